{{ config(
    materialized='incremental',
    incremental_strategy='replace_span',
    unique_key=['symbol', 'venue', 'unit', 'interval', 'ts'],
    on_schema_change='append_new_columns',
    meta={'span': {'column': 'ts', 'whole_days': true}, 'newest': 'ts'},
) }}

{{ bars(
    ref('stg_raw__open_interest'), 'r.value',
    {'1h': '1 hour', '4h': '4 hours', '8h': '8 hours', '12h': '12 hours', '1d': '1 day'}, of=['unit']
) }}
