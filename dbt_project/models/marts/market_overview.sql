{{ config(
    materialized='incremental',
    incremental_strategy='replace_all',
    unique_key='symbol',
    on_schema_change='append_new_columns',
    meta={'newest': 'ts'},
) }}

{#- The newest state of every symbol. Every value belongs to the hour `ts`; a block that has no
    usable value there is null, says why, and says since when: eight days are looked back. -#}

{%- set blocks = [
    'price', 'volatility', 'regime', 'funding', 'liquidations', 'open_interest', 'futures', 'correlation'
] -%}
{%- set of_symbol = ['symbol', 'ts', 'data_origin', 'known_at'] -%}
{%- set of_event = ['last_event_type', 'last_event_severity', 'last_event_title', 'last_event_at'] -%}
{%- set made_here = of_symbol + of_event -%}
{%- for block in blocks -%}{%- set _ = made_here.append(block ~ '_age_h') -%}{%- endfor %}

with newest as (
    select ts from {{ ref('stg_market__newest_hour') }}
),

hours as (
    {{ hourly_rows(
        "(select ts - interval '8 days' from newest)", "(select ts + interval '1 hour' from newest)"
    ) }}
),

ages as (
    select
        h.symbol,
        {% for block in blocks -%}
        (
            extract(epoch from max(n.ts) - max(h.ts) filter (where {{ usable('h.' ~ block ~ '_status') }})) / 3600
        )::bigint as {{ block }}_age_h{{ ',' if not loop.last }}
        {% endfor %}
    from hours as h
    cross join newest as n
    group by h.symbol
),

events as (
    select distinct on (e.symbol)
        e.symbol,
        e.event_type as last_event_type,
        e.alert_severity as last_event_severity,
        e.title as last_event_title,
        e.known_at as last_event_at
    from {{ ref('stg_alerts__market_events') }} as e
    inner join newest as n on e.known_at <= n.ts + interval '1 hour'
    order by
        e.symbol, e.known_at desc,
        array_position(array['CRITICAL', 'WARNING', 'INFO'], e.alert_severity), e.event_id
)

select
    ages.symbol,
    newest.ts,
    identity.origin as data_origin,
    newest.ts + interval '1 hour' as known_at,
    {% for block in blocks -%}
    ages.{{ block }}_age_h,
    {% endfor -%}
    {% for name in contract_columns() if name not in made_here -%}
    {% if name.endswith('_status') -%}
    coalesce(hours.{{ name }}, 'missing') as {{ name }},
    {% elif name.endswith('_reason') -%}
    case when hours.symbol is null then 'no_row_for_this_hour' else hours.{{ name }} end as {{ name }},
    {% else -%}
    hours.{{ name }},
    {% endif -%}
    {% endfor -%}
    {% for name in of_event -%}
    events.{{ name }}{{ ',' if not loop.last }}
    {% endfor %}
from ages
cross join newest
left join hours on hours.symbol = ages.symbol and hours.ts = newest.ts
left join {{ ref('stg_ops__database_identity') }} as identity on true
left join events on events.symbol = ages.symbol
