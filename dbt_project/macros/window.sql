{#
    The window that a run rebuilds: [REGIME_WINDOW_START, REGIME_WINDOW_END), ISO instants in UTC.
    Environment variables and not dbt vars, because changed vars switch partial parsing off.
#}
{% macro _instant(name) -%}
    {%- set text = env_var(name, '') | trim -%}
    {%- if text and not modules.re.match('^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9:]+)?)?$', text) -%}
        {{ exceptions.raise_compiler_error(name ~ ' is no ISO date or instant: ' ~ text) }}
    {%- endif -%}
    {#- an instant without an offset is UTC, whatever the server's time zone is -#}
    {%- if text and not modules.re.search('(Z|[+-][0-9:]+)$', text[10:]) -%}
        {%- set text = text ~ '+00' if text | length > 10 else text ~ ' 00:00+00' -%}
    {%- endif -%}
    {{ return(text) }}
{%- endmacro %}

{# Start of the window as SQL; without one, `otherwise`. #}
{% macro window_start(otherwise="'-infinity'::timestamptz") -%}
    {%- set text = _instant('REGIME_WINDOW_START') if execute else '' -%}
    {{ return("'" ~ text ~ "'::timestamptz" if text else otherwise) }}
{%- endmacro %}

{# End of the window as SQL; without one, the end of time. #}
{% macro window_end() -%}
    {%- set text = _instant('REGIME_WINDOW_END') if execute else '' -%}
    {{ return("'" ~ text ~ "'::timestamptz" if text else "'infinity'::timestamptz") }}
{%- endmacro %}

{# Lets a test's `where` say __window_start__ and __window_end__: tests look at what was rebuilt. #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if where -%}
        {%- set where = where.replace('__window_start__', window_start()).replace('__window_end__', window_end()) -%}
        (select * from {{ relation }} where {{ where }}) as in_window
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}
