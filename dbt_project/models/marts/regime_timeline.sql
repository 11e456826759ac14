{{ config(
    materialized='incremental',
    incremental_strategy='replace_spells',
    unique_key=['kind', 'symbol', 'from_ts'],
    on_schema_change='append_new_columns',
    meta={'newest': 'through_ts'},
) }}

{#- Spells of one regime. The spells of a symbol and kind tile the hours from its first row to its
    newest: hours without a regime are spells of their own, with a null regime.

    A window is rebuilt from the start of the spell that holds the hour before it to the end of the
    spell that holds the hour after it; all other spells stay as they are. -#}

{%- set start = window_start("(select max(through_ts) - interval '2 days' from " ~ this ~ ")") -%}

with observed as (
    select
        'volatility' as kind, symbol, ts, vol_regime_confirmed as regime, source_tier, method_version, ingested_at
    from {{ ref('stg_features__volatility_regimes') }}
    union all
    select
        'primary' as kind, symbol, ts, primary_regime as regime, source_tier, method_version, ingested_at
    from {{ ref('stg_regimes__timeframe_regimes') }}
),

{% if is_incremental() -%}
stored as (
    select
        kind, symbol,
        max(from_ts) filter (where from_ts < {{ start }}) as low,
        min(coalesce(to_ts, 'infinity')) filter (where through_ts >= {{ window_end() }}) as high
    from {{ this }}
    group by kind, symbol
),
{%- endif %}

stretch as (
    {% if is_incremental() -%}
    select o.*, coalesce(s.low, '-infinity') as low, coalesce(s.high, 'infinity') as high
    from observed as o
    left join stored as s on s.kind = o.kind and s.symbol = o.symbol
    where o.ts >= coalesce(s.low, '-infinity') and o.ts <= coalesce(s.high, 'infinity')
    {%- else -%}
    select o.*, '-infinity'::timestamptz as low, 'infinity'::timestamptz as high
    from observed as o
    {%- endif %}
),

-- every hour of the stretch, and the one after it for the price at the end
grid as (
    select kind, symbol, low, high, hour.ts
    from (
        select
            kind, symbol, low, high,
            case when isfinite(low) then low else min(ts) end as first_ts,
            case when isfinite(high) then high else max(ts) end as last_ts
        from stretch
        group by kind, symbol, low, high
    ) as bounds
    cross join lateral generate_series(first_ts, last_ts, interval '1 hour') as hour (ts)
),

hours as (
    select
        g.kind, g.symbol, g.ts, g.low, g.high, s.regime, s.source_tier, s.method_version, s.ingested_at,
        c.close,
        (s.regime is distinct from (lag(s.regime) over hour))
            or row_number() over hour = 1
            or g.ts = g.high as starts
    from grid as g
    left join stretch as s on s.kind = g.kind and s.symbol = g.symbol and s.ts = g.ts
    left join {{ ref('stg_market__candles_1h') }} as c
        on c.market = 'spot' and c.symbol = g.symbol and c.ts = g.ts
    window hour as (partition by g.kind, g.symbol order by g.ts)
),

islands as (
    select *, count(*) filter (where starts) over (partition by kind, symbol order by ts) as island
    from hours
),

spells as (
    select
        kind, symbol, regime, low, high,
        min(ts) as from_ts,
        max(ts) as through_ts,
        count(*) as hours,
        (array_agg(close order by ts))[1] as price_start,
        (array_agg(close order by ts desc))[1] as price_newest,
        max(source_tier) as source_tier,
        max(method_version) as method_version,
        max(ingested_at) as ingested_at
    from islands
    group by kind, symbol, island, regime, low, high
),

chained as (
    select
        spells.*,
        lead(from_ts) over spell as to_ts,
        lag(regime) over spell as previous_regime,
        lead(price_start) over spell as price_at_to_ts
    from spells
    window spell as (partition by kind, symbol order by from_ts)
)

select
    c.kind,
    c.symbol,
    c.from_ts,
    c.to_ts,
    c.through_ts,
    c.hours,
    c.regime,
    {% if is_incremental() -%}
    case when c.from_ts = c.low then before.regime else c.previous_regime end as previous_regime,
    {%- else -%}
    c.previous_regime,
    {%- endif %}
    case when c.regime is null then 'missing' else 'ok' end as status,
    c.price_start,
    case when c.to_ts is null then c.price_newest else c.price_at_to_ts end as price_end,
    100 * (case when c.to_ts is null then c.price_newest else c.price_at_to_ts end / c.price_start - 1)
        as return_pct,
    c.source_tier,
    c.method_version,
    c.from_ts + interval '1 hour' as known_at,
    c.ingested_at
from chained as c
{% if is_incremental() -%}
left join {{ this }} as before
    on before.kind = c.kind and before.symbol = c.symbol
    and before.through_ts = c.low - interval '1 hour'
{% endif -%}
where c.from_ts < c.high
