{#
    Rows of a unit test in the shape of a stored table: the columns that a row does not name are null.
    The types are those of the table in the database, so that a fixture names only what it is about.

    table: `schema.name`; rows: column -> value, values as SQL casts them from text; more: name -> type of
    columns that a staging model adds.
#}
{% macro planted(table, rows, more={}) -%}
    {%- if not execute -%}{{ return('select 1 as one') }}{%- endif -%}
    {%- set place = table.split('.') -%}
    {%- set types = {} -%}
    {%- for column in adapter.get_columns_in_relation(
        api.Relation.create(database=target.dbname, schema=place[0], identifier=place[1])
    ) -%}
        {%- do types.update({column.name: column.data_type}) -%}
    {%- endfor -%}
    {%- do types.update(more) -%}
    {%- for row in rows or [{}] -%}
        {%- for name in row if name not in types -%}
            {{ exceptions.raise_compiler_error(table ~ ' has no column ' ~ name) }}
        {%- endfor %}
    select
        {%- for name, type in types.items() %}
        {{ 'null' if row.get(name) is none else dbt.string_literal(row[name]) }}::{{ type }} as "{{ name }}"
        {{- ',' if not loop.last }}
        {%- endfor %}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {{ 'limit 0' if not rows }}
{%- endmacro %}
