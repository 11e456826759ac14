{{ config(
    materialized='incremental',
    incremental_strategy='replace_span',
    unique_key=['symbol', 'ts'],
    on_schema_change='append_new_columns',
    meta={'span': {'column': 'ts', 'after': '7 days'}, 'newest': 'ts'},
) }}

{#- Changes of a price reach rows of the seven days after it. -#}

select rows_of_hours.*
from (
    {{ hourly_rows(span_start(this), span_end()) }}
) as rows_of_hours
