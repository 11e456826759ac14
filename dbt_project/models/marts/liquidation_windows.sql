{{ config(
    materialized='incremental',
    incremental_strategy='replace_span',
    unique_key=['symbol', 'ts', 'window_h'],
    on_schema_change='append_new_columns',
    meta={'span': {'column': 'ts', 'after': '24 hours'}, 'newest': 'ts'},
) }}

{%- set lengths = [1, 4, 12, 24] -%}

with summed as (
    select
        l.symbol, l.ts, l.method_version,
        {% for h in lengths -%}
        sum(l.long_liquidations_usd) over last_{{ h }} as long_{{ h }},
        sum(l.short_liquidations_usd) over last_{{ h }} as short_{{ h }},
        count(l.total_liquidation_usd) over last_{{ h }} as observed_{{ h }},
        bool_or(l.is_lower_bound) over last_{{ h }} as is_lower_bound_{{ h }},
        max(l.source_tier) over last_{{ h }} as source_tier_{{ h }},
        max(l.ingested_at) over last_{{ h }} as ingested_at_{{ h }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('stg_market__liquidations_1h') }} as l
    where l.ts >= {{ span_start(this) }} - interval '23 hours' and l.ts < {{ span_end() }}
    window
        {% for h in lengths -%}
        last_{{ h }} as (
            partition by l.symbol order by l.ts
            range between interval '{{ h - 1 }} hours' preceding and current row
        ){{ ',' if not loop.last }}
        {% endfor %}
),

windows as (
    select s.symbol, s.ts, s.method_version, w.*
    from summed as s
    cross join lateral (values
        {% for h in lengths -%}
        (
            {{ h }}, s.long_{{ h }}, s.short_{{ h }}, s.observed_{{ h }}, s.is_lower_bound_{{ h }},
            s.source_tier_{{ h }}, s.ingested_at_{{ h }}
        ){{ ',' if not loop.last }}
        {% endfor %}
    ) as w (window_h, long_usd, short_usd, hours_observed, is_lower_bound, source_tier, ingested_at)
    where s.ts >= {{ span_start(this) }}
)

select
    w.symbol,
    w.ts,
    w.window_h::bigint as window_h,
    case when 6 * w.hours_observed >= 5 * w.window_h then w.long_usd end as long_usd,
    case when 6 * w.hours_observed >= 5 * w.window_h then w.short_usd end as short_usd,
    w.hours_observed,
    w.is_lower_bound,
    case
        when w.hours_observed = w.window_h then 'ok'
        when 6 * w.hours_observed >= 5 * w.window_h then 'partial'
        else 'missing'
    end as status,
    case when w.hours_observed < w.window_h then 'hours_not_observed' end as reason,
    w.source_tier,
    w.method_version,
    w.ts + interval '1 hour' as known_at,
    w.ingested_at
from windows as w
