{#
    Bars of a column of a staging model with a row per source, venue, symbol and instant. Several sources
    of one venue count once, the best first. Bars begin at UTC midnight and divide the day.

    relation: the staging model; of: further columns of the key; value: the SQL value of a row `r`;
    lengths: name -> length.
#}
{% macro bars(relation, value, lengths, of=[], condition='true') -%}
    with best as (
        select distinct on (r.symbol, r.venue{% for c in of %}, r.{{ c }}{% endfor %}, r.ts)
            r.*, {{ value }} as measured
        from {{ relation }} as r
        where r.market = 'perp' and {{ condition }} and ({{ value }}) is not null
            and r.ts >= {{ span_start(this) }} and r.ts < {{ span_end() }}
        order by r.symbol, r.venue{% for c in of %}, r.{{ c }}{% endfor %}, r.ts, r.source_tier, r.source
    )

    select
        b.symbol,
        b.venue,
        {% for c in of -%}
        b.{{ c }},
        {% endfor -%}
        bar.name as "interval",
        date_bin(bar.length, b.ts, '2000-01-01 00:00+00') as ts,
        (array_agg(b.measured order by b.ts))[1] as open,
        max(b.measured) as high,
        min(b.measured) as low,
        (array_agg(b.measured order by b.ts desc))[1] as close,
        count(*) as n,
        max(b.source_tier)::bigint as source_tier,
        max(b.available_at) as known_at,
        max(b.ingested_at) as ingested_at
    from best as b
    cross join (values
        {%- for name, length in lengths.items() %}
        ('{{ name }}', interval '{{ length }}'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as bar (name, length)
    group by b.symbol, b.venue{% for c in of %}, b.{{ c }}{% endfor %}, bar.name, date_bin(bar.length, b.ts, '2000-01-01 00:00+00')
{%- endmacro %}
