{# Whether a row's value can be used. #}
{% macro usable(status='status') -%}
    {{ status }} in ('ok', 'partial')
{%- endmacro %}

{# Status and reason of a block whose row may be absent. #}
{% macro told(block, name=none) -%}
    coalesce({{ block }}.status, 'missing') as {{ name or block }}_status,
    case when {{ block }}.status is null then 'no_row_for_this_hour' else {{ block }}.reason end
        as {{ name or block }}_reason
{%- endmacro %}

{# The columns of the mart that is being built, as its contract lists them. A unit test has no contract: it
   names those that it looks at in place of this macro. #}
{% macro contract_columns() -%}
    {{ return(model.columns | list) }}
{%- endmacro %}
