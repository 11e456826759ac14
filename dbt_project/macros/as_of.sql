{#
    A function `<mart>_as_of(at, start, until)` with the rows of a mart as they could be read at an instant:
    the model's own query, each table that it reads replaced by those versions of its rows that were the
    newest at that instant (`reporting.<schema>_<table>_versions`), its window by the given span. It is a
    plain SQL function with the caller's rights, so that PostgreSQL opens it up and conditions reach the
    tables below. Only models that say `config(meta={'has_past': true})` have one; it is made again when it
    says something else.
#}
{% macro make_as_of() -%}
    {%- if execute and model.config.meta.get('has_past') -%}
        {%- set body = namespace(sql=compiled_code, tables=[]) -%}
        {%- set body.sql = modules.re.sub('/\\*from\\*/.*?/\\*from\\*/', '$2', body.sql) -%}
        {%- set body.sql = modules.re.sub('/\\*until\\*/.*?/\\*until\\*/', '$3', body.sql) -%}
        {%- for source in graph.sources.values() if source.relation_name in body.sql -%}
            {%- set name = source.schema ~ '_' ~ source.identifier ~ '_versions' -%}
            {%- set body.sql = body.sql.replace(source.relation_name, name) -%}
            {%- set _ = body.tables.append(name) -%}
        {%- endfor -%}
        {%- set columns = adapter.get_columns_in_relation(this) -%}
        {%- set typed -%}
            {%- for c in columns %}{{ c.quoted }} {{ c.data_type }}{{ ', ' if not loop.last }}{% endfor -%}
        {%- endset -%}
        {%- set text -%}
            -- {{ typed }}
            with
            {% for name in body.tables -%}
            {{ name }} as not materialized (
                select v.* from reporting.{{ name }} as v where v.valid_from <= $1 and v.valid_to > $1
            ){{ ',' if not loop.last }}
            {% endfor -%}
            select {{ columns | map(attribute='quoted') | join(', ') }} from ({{ body.sql }}) as q
        {%- endset -%}
        {%- set signature = this.schema ~ '.' ~ this.identifier ~ '_as_of' -%}
        {%- set kinds = '(timestamptz, timestamptz, timestamptz)' -%}
        do $settle$
        begin
            if (
                select p.prosrc from pg_proc as p
                where p.oid = to_regprocedure('{{ signature }}{{ kinds }}')
            ) is not distinct from $body${{ text }}$body$ then
                return;
            end if;
            drop function if exists {{ signature }}{{ kinds }};
            create function {{ signature }}(
                at timestamptz, start timestamptz default '-infinity', until timestamptz default 'infinity'
            ) returns table ({{ typed }}) language sql stable parallel safe rows 10000 as $body${{ text }}$body$;
            comment on function {{ signature }}{{ kinds }} is
            'reporting.{{ this.identifier }} as it could be read at that instant, rows from start until.';
        end
        $settle$
    {%- endif -%}
{%- endmacro %}
