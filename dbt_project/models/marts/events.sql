{{ config(
    materialized='incremental',
    incremental_strategy='replace_span',
    unique_key=['event_id', 'symbol'],
    on_schema_change='append_new_columns',
    meta={'span': {'column': 'known_at', 'before': '26 hours', 'after': '2 hours'}, 'newest': 'known_at'},
) }}

{#- The last price of an event that is known in a window is seen a day later. -#}

{%- set later = [1, 4, 24] -%}
{%- set returns -%}
    {%- for h in later %}r.return_{{ h }}h_pct{{ ', ' if not loop.last }}{% endfor -%}
{%- endset -%}

with events as (
    select
        e.*,
        -- the last hour that was closed when the event was known
        date_trunc('hour', e.known_at, 'UTC') - interval '1 hour' as price_ts
    from {{ ref('stg_alerts__market_events') }} as e
    where e.known_at >= {{ span_start(this) }} and e.known_at < {{ span_end() }}
),

priced as (
    select
        e.event_id, e.symbol,
        max(c.close) filter (where c.ts = e.price_ts) as price
        {%- for h in later %},
        max(c.close) filter (where c.ts = e.price_ts + interval '{{ h }} hours') as price_{{ h }}h
        {%- endfor %}
    from events as e
    inner join {{ ref('stg_market__candles_1h') }} as c
        on c.symbol = e.symbol
        and c.ts >= e.price_ts and c.ts <= e.price_ts + interval '24 hours'
    where c.market = 'spot'
        and c.ts >= {{ span_start(this) }} - interval '2 hours' and c.ts < {{ span_end() }} + interval '25 hours'
    group by e.event_id, e.symbol
),

returns as (
    select
        e.*, p.price,
        {% for h in later -%}
        p.price_{{ h }}h,
        100 * (p.price_{{ h }}h / p.price - 1) as return_{{ h }}h_pct,
        {% endfor -%}
        n.ts as newest_ts
    from events as e
    cross join {{ ref('stg_market__newest_hour') }} as n
    left join priced as p on p.event_id = e.event_id and p.symbol = e.symbol
)

select
    r.event_id,
    r.symbol,
    r.ts,
    r.event_type,
    r.instrument,
    r.kind,
    r.ordinal,
    r.alert_severity,
    r.level,
    r.episode_start,
    r.title,
    r.price,
    {% for h in later -%}
    r.price_{{ h }}h,
    r.return_{{ h }}h_pct,
    {% endfor -%}
    case num_nonnulls({{ returns }})
        when {{ later | length }} then 'ok'
        when 0 then 'missing'
        else 'partial'
    end as status,
    case
        when num_nulls({{ returns }}) = 0 then null
        when r.price is not null and r.price_ts + interval '24 hours' > r.newest_ts then 'not_yet'
        else 'price_not_observed'
    end as reason,
    r.source_tier,
    r.method_version,
    r.known_at,
    r.ingested_at
from returns as r
