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

{#
    The span of a model's rows that a build makes anew: the window, and how far its rows reach beyond it.
    Rows before a window depend on it when they look ahead, rows after it when they look back.
    Without a window it begins two days before the newest row of the table. The strategy
    `replace_span` replaces the same span, from the model's `config(meta={'span': ...})`. The marks around
    the window are where `make_as_of` puts another one.
#}
{% macro span_start(relation) -%}
    {#- while the project is parsed nothing of a model's config can be read -#}
    {%- if not execute -%}{{ return("'epoch'::timestamptz") }}{%- endif -%}
    {%- set span = config.get('meta')['span'] -%}
    {%- set otherwise = "(select max(" ~ span.column ~ ") - interval '2 days' from " ~ relation ~ ")" -%}
    {%- set start -%}
        /*from*/{{ window_start(otherwise) if is_incremental() else "'-infinity'::timestamptz" }}/*from*/ - interval '{{ span.get('before', '0 hours') }}'
    {%- endset -%}
    {{ return(whole_days(start) if span.get('whole_days') else '(' ~ start ~ ')') }}
{%- endmacro %}

{% macro span_end() -%}
    {%- if not execute -%}{{ return("'epoch'::timestamptz") }}{%- endif -%}
    {%- set span = config.get('meta')['span'] -%}
    {%- set end -%}
        /*until*/{{ window_end() if is_incremental() else "'infinity'::timestamptz" }}/*until*/ + interval '{{ span.get('after', '0 hours') }}'
    {%- endset -%}
    {%- if span.get('whole_days') -%}
        {%- set end = whole_days(end ~ " + interval '1 day' - interval '1 microsecond'") -%}
    {%- else -%}
        {%- set end = '(' ~ end ~ ')' -%}
    {%- endif -%}
    {{ return(end) }}
{%- endmacro %}

{# The UTC midnight before an instant, whatever the session's time zone is; infinity stays. #}
{% macro whole_days(instant) -%}
    {{ return("date_trunc('day', " ~ instant ~ ", 'UTC')") }}
{%- endmacro %}
