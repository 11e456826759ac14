{{ config(
    materialized='incremental',
    incremental_strategy='replace_span',
    unique_key=['symbol', 'venue', 'interval', 'ts'],
    on_schema_change='append_new_columns',
    meta={'span': {'column': 'ts', 'whole_days': true}, 'newest': 'ts'},
) }}

{{ bars(
    ref('stg_raw__funding_rates'), 'r.funding_rate * 8 / r.interval_hours',
    {'1h': '1 hour', '4h': '4 hours', '8h': '8 hours'}
) }}
