{# Whether a row's value can be used. #}
{% macro usable(status='status') -%}
    {{ status }} in ('ok', 'partial')
{%- endmacro %}

{#
    One row per symbol of a table with a row per symbol and hour: the values of the newest hour
    (from the CTE `newest`), their status and reason, and for how many hours there was no usable
    value. Nothing is carried forward: without a row of that very hour the values are null.
    Eight days are looked back, after that the age is null too.
#}
{% macro block(relation, columns) -%}
    select
        symbol,
        {% for column in columns -%}
        case when ts = newest_ts then {{ column }} end as {{ column }},
        {% endfor -%}
        case when ts = newest_ts then source_tier end as source_tier,
        case when ts = newest_ts then status else 'missing' end as status,
        case when ts = newest_ts then reason else 'no_row_for_this_hour' end as reason,
        (extract(epoch from newest_ts - usable_ts) / 3600)::bigint as age_h
    from (
        select distinct on (r.symbol)
            r.*,
            newest.ts as newest_ts,
            max(r.ts) filter (where {{ usable('r.status') }}) over (partition by r.symbol) as usable_ts
        from {{ relation }} as r
        cross join newest
        where r.ts <= newest.ts and r.ts >= newest.ts - interval '8 days'
        order by r.symbol, r.ts desc
    ) as latest
{%- endmacro %}
