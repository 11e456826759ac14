{#
    Incremental strategies that make a stretch of the target equal to what the model returned and
    touch only rows that differ: a second build writes nothing, and readers are never without a
    table (a `table` materialization would drop the views that others have built on it).
#}
{% macro _make_equal(arg_dict, scope) -%}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set fresh = arg_dict['temp_relation'] -%}
    {%- set names = arg_dict['dest_columns'] | map(attribute='quoted') | list -%}
    {%- set row = "(row(t." ~ names | join(', t.') ~ ") is not distinct from row(n." ~ names | join(', n.') ~ "))" -%}
    {%- set keys = config.require('unique_key') -%}
    {%- set same_key -%}
        {%- for key in ([keys] if keys is string else keys) %}t.{{ key }} = n.{{ key }}{{ ' and ' if not loop.last }}{% endfor -%}
    {%- endset -%}
    do $replace$
    declare
        deleted bigint;
        inserted bigint;
    begin
        delete from {{ target }} as t
        where {{ scope }}
            and not exists (select 1 from {{ fresh }} as n where {{ same_key }} and {{ row }});
        get diagnostics deleted = row_count;

        insert into {{ target }} ({{ names | join(', ') }})
        select n.{{ names | join(', n.') }}
        from {{ fresh }} as n
        where not exists (select 1 from {{ target }} as t where {{ same_key }});
        get diagnostics inserted = row_count;

        if deleted + inserted > 0 then
            {{ raise_version('deleted + inserted') }}
        end if;
    end
    $replace$
{%- endmacro %}

{# The whole target: for tables that hold only the newest state. #}
{% macro get_incremental_replace_all_sql(arg_dict) -%}
    {{ return(_make_equal(arg_dict, "true")) }}
{%- endmacro %}

{# The span of time that the model says in `config(meta={'span': ...})`; see `span_start`. #}
{% macro get_incremental_replace_span_sql(arg_dict) -%}
    {%- set column = config.get('meta')['span'].column -%}
    {%- set scope -%}
        t.{{ column }} >= {{ span_start(arg_dict['temp_relation']) }} and t.{{ column }} < {{ span_end() }}
    {%- endset -%}
    {{ return(_make_equal(arg_dict, scope)) }}
{%- endmacro %}

{# Every stored spell of the same kind and symbol that the returned ones overlap. #}
{% macro get_incremental_replace_spells_sql(arg_dict) -%}
    {%- set scope -%}
        exists (
            select 1
            from (
                select s.kind, s.symbol, min(s.from_ts) as low, max(s.through_ts) as high
                from {{ arg_dict['temp_relation'] }} as s
                group by s.kind, s.symbol
            ) as stretch
            where stretch.kind = t.kind and stretch.symbol = t.symbol
                and t.through_ts >= stretch.low and t.from_ts <= stretch.high
        )
    {%- endset -%}
    {{ return(_make_equal(arg_dict, scope)) }}
{%- endmacro %}

{# One more version of this model's table; readers that listen are told of it when the build commits. #}
{% macro raise_version(rows) -%}
    insert into ops.table_versions as v (table_name, version, rows_changed, newest_ts, changed_at)
    select
        '{{ this.schema }}.{{ this.identifier }}', 1, {{ rows }},
        {% if model.config.meta.get('newest') -%}
        (select max({{ model.config.meta['newest'] }}) from {{ this }})
        {%- else %}null{% endif %}, now()
    on conflict (table_name) do update set
        version = v.version + 1, rows_changed = excluded.rows_changed,
        newest_ts = excluded.newest_ts, changed_at = excluded.changed_at;
    perform pg_notify('regime_tables', '{{ this.schema }}.{{ this.identifier }}');
{%- endmacro %}

{# After a table was made anew as a whole: a build of a span raises the version in its own statement. #}
{% macro raise_version_when_whole() -%}
    {%- if execute and not is_incremental() -%}
    do $version$
    begin
        {{ raise_version('(select count(*) from ' ~ this ~ ')') }}
    end
    $version$
    {%- endif -%}
{%- endmacro %}
