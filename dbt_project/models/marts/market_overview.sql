{{ config(
    materialized='incremental',
    incremental_strategy='replace_all',
    unique_key='symbol',
    on_schema_change='append_new_columns',
) }}

{#- The newest state of every symbol. Every value belongs to the hour `ts`; a block that has no
    usable value there is null, says why, and says since when. Each staging model is read once,
    so that PostgreSQL folds it into the query. -#}

with newest as (
    select ts from {{ ref('stg_market__newest_hour') }}
),

candles as (
    select
        c.symbol,
        max(c.close) filter (where c.market = 'spot' and c.ts = n.ts) as price,
        max(c.close) filter (where c.market = 'spot' and c.ts = n.ts - interval '1 hour') as price_1h_ago,
        max(c.close) filter (where c.market = 'spot' and c.ts = n.ts - interval '24 hours') as price_24h_ago,
        max(c.close) filter (where c.market = 'spot' and c.ts = n.ts - interval '7 days') as price_7d_ago,
        max(c.close) filter (where c.market = 'perp' and c.ts = n.ts) as perp_price,
        max(c.status) filter (where c.market = 'spot' and c.ts = n.ts) as status,
        max(c.reason) filter (where c.market = 'spot' and c.ts = n.ts) as reason,
        max(c.status) filter (where c.market = 'perp' and c.ts = n.ts) as perp_status,
        max(c.source_tier) filter (where c.ts = n.ts) as source_tier,
        (extract(epoch from max(n.ts) - max(c.ts) filter (where c.market = 'spot' and {{ usable('c.status') }}))
            / 3600)::bigint as age_h
    from {{ ref('stg_market__candles_1h') }} as c
    cross join newest as n
    where c.ts <= n.ts and c.ts >= n.ts - interval '8 days'
    group by c.symbol
),

volatility as (
    {{ block(ref('stg_features__volatility_regimes'), [
        'vol_regime_confirmed', 'regime_age_h', 'risk_multiplier_confirmed', 'vol_ratio_gk',
        'vol_ratio', 'volatility_24h']) }}
),

regimes as (
    {{ block(ref('stg_regimes__timeframe_regimes'), [
        'primary_regime', 'regime_1h', 'regime_4h', 'regime_1d', 'regime_1w', 'frames_available',
        'agreement_count', 'agreement_score', 'is_confirmed']) }}
),

funding as (
    {{ block(ref('stg_features__funding_anomalies'), [
        'print_ts', 'rate_8h', 'rate_annual', 'z_score', 'extreme_level', 'is_anomaly']) }}
),

cascades as (
    {{ block(ref('stg_features__liquidation_cascades'), [
        'severity', 'severity_pct', 'is_cascade', 'dominance']) }}
),

scores as (
    {{ block(ref('stg_signals__futures_scores'), [
        'futures_score', 'futures_signal', 'coverage_pct', 'confidence', 'confidence_level',
        'top_factors']) }}
),

liquidations as (
    select
        l.symbol,
        max(l.long_liquidations_usd) filter (where l.ts = n.ts) as long_1h,
        max(l.short_liquidations_usd) filter (where l.ts = n.ts) as short_1h,
        sum(l.long_liquidations_usd) filter (where l.ts > n.ts - interval '24 hours') as long_24h,
        sum(l.short_liquidations_usd) filter (where l.ts > n.ts - interval '24 hours') as short_24h,
        count(l.total_liquidation_usd) filter (where l.ts > n.ts - interval '24 hours') as hours_24h,
        bool_or(l.is_lower_bound) filter (where l.ts > n.ts - interval '24 hours') as is_lower_bound,
        max(l.status) filter (where l.ts = n.ts) as status,
        max(l.reason) filter (where l.ts = n.ts) as reason,
        max(l.source_tier) filter (where l.ts > n.ts - interval '24 hours') as source_tier,
        (extract(epoch from max(n.ts) - max(l.ts) filter (where {{ usable('l.status') }})) / 3600)::bigint as age_h
    from {{ ref('stg_market__liquidations_1h') }} as l
    cross join newest as n
    where l.ts <= n.ts and l.ts >= n.ts - interval '8 days'
    group by l.symbol
),

open_interest as (
    select
        o.symbol,
        max(o.open_interest_usd) filter (where o.ts = n.ts) as usd,
        max(o.open_interest_base) filter (where o.ts = n.ts) as base,
        max(o.open_interest_usd) filter (where o.ts = n.ts - interval '24 hours') as usd_24h_ago,
        max(o.open_interest_base) filter (where o.ts = n.ts - interval '24 hours') as base_24h_ago,
        max(o.status) filter (where o.ts = n.ts) as status,
        max(o.reason) filter (where o.ts = n.ts) as reason,
        max(o.source_tier) filter (where o.ts = n.ts) as source_tier,
        (extract(epoch from max(n.ts) - max(o.ts) filter (where {{ usable('o.status') }})) / 3600)::bigint as age_h
    from {{ ref('stg_market__open_interest') }} as o
    cross join newest as n
    where o.ts <= n.ts and o.ts >= n.ts - interval '8 days'
    group by o.symbol
),

fear_greed as (
    -- the newest value that was out when the row decides; 36 hours later it is stale
    select
        f.fear_greed,
        f.available_at > n.ts + interval '1 hour' - interval '36 hours' as is_fresh,
        floor(extract(epoch from n.ts + interval '1 hour' - f.available_at) / 3600)::bigint as age_h
    from {{ ref('stg_market__fear_greed') }} as f
    cross join newest as n
    where f.available_at < n.ts + interval '1 hour'
        and f.ts >= n.ts - interval '8 days'
        and f.fear_greed is not null
    order by f.available_at desc
    limit 1
),

pairs as (
    select
        p.symbol,
        count(*) filter (where p.ts = n.ts) as pairs,
        count(p.corr_7d) filter (where p.ts = n.ts) as known_pairs,
        (extract(epoch from max(n.ts) - max(p.ts) filter (where {{ usable('p.status') }})) / 3600)::bigint as age_h
    from {{ ref('stg_correlation__pairs') }} as p
    cross join newest as n
    where p.ts <= n.ts and p.ts >= n.ts - interval '8 days'
    group by p.symbol
),

breaks as (
    select distinct on (b.symbol) b.*
    from {{ ref('stg_correlation__breaks') }} as b
    inner join newest as n on n.ts = b.ts
    order by b.symbol, abs(b.rel_drop) desc nulls last, b.other
),

events as (
    select distinct on (e.symbol) e.*
    from {{ ref('stg_alerts__market_events') }} as e
    inner join newest as n on e.known_at <= n.ts + interval '1 hour'
    order by
        e.symbol, e.known_at desc,
        array_position(array['CRITICAL', 'WARNING', 'INFO'], e.alert_severity), e.event_id
)

select
    candles.symbol,
    newest.ts,
    identity.origin as data_origin,
    greatest(
        candles.source_tier, volatility.source_tier, regimes.source_tier, funding.source_tier,
        cascades.source_tier, liquidations.source_tier, open_interest.source_tier,
        scores.source_tier
    )::bigint as source_tier,

    candles.price,
    100 * (candles.price / candles.price_1h_ago - 1) as price_change_1h_pct,
    100 * (candles.price / candles.price_24h_ago - 1) as price_change_24h_pct,
    100 * (candles.price / candles.price_7d_ago - 1) as price_change_7d_pct,
    coalesce(candles.status, 'missing') as price_status,
    case when candles.status is null then 'no_row_for_this_hour' else candles.reason end as price_reason,
    candles.age_h as price_age_h,
    candles.perp_price,
    10000 * (candles.perp_price / candles.price - 1) as basis_bps,
    coalesce(candles.perp_status, 'missing') as perp_status,

    volatility.vol_regime_confirmed,
    volatility.regime_age_h as vol_regime_age_h,
    volatility.vol_ratio_gk,
    volatility.vol_ratio,
    volatility.volatility_24h,
    volatility.risk_multiplier_confirmed,
    coalesce(volatility.status, 'missing') as volatility_status,
    case when volatility.status is null then 'no_rows' else volatility.reason end as volatility_reason,
    volatility.age_h as volatility_age_h,

    regimes.primary_regime,
    regimes.regime_1h,
    regimes.regime_4h,
    regimes.regime_1d,
    regimes.regime_1w,
    regimes.frames_available,
    regimes.agreement_count,
    regimes.agreement_score,
    regimes.is_confirmed as regime_is_confirmed,
    coalesce(regimes.status, 'missing') as regime_status,
    case when regimes.status is null then 'no_rows' else regimes.reason end as regime_reason,
    regimes.age_h as regime_age_h,

    funding.print_ts as funding_print_ts,
    funding.rate_8h as funding_rate_8h,
    funding.rate_annual as funding_rate_annual,
    funding.z_score as funding_z,
    funding.extreme_level as funding_level,
    funding.is_anomaly as funding_is_anomaly,
    coalesce(funding.status, 'missing') as funding_status,
    case when funding.status is null then 'no_rows' else funding.reason end as funding_reason,
    funding.age_h as funding_age_h,

    liquidations.long_1h as long_liquidations_1h_usd,
    liquidations.short_1h as short_liquidations_1h_usd,
    case when liquidations.hours_24h >= 20 then liquidations.long_24h end as long_liquidations_24h_usd,
    case when liquidations.hours_24h >= 20 then liquidations.short_24h end as short_liquidations_24h_usd,
    coalesce(liquidations.hours_24h, 0) as liquidations_24h_hours,
    liquidations.is_lower_bound as liquidations_are_lower_bound,
    coalesce(liquidations.status, 'missing') as liquidations_status,
    case when liquidations.status is null then 'no_row_for_this_hour' else liquidations.reason end
        as liquidations_reason,
    liquidations.age_h as liquidations_age_h,
    cascades.severity as cascade_severity,
    cascades.severity_pct as cascade_severity_pct,
    cascades.is_cascade,
    cascades.dominance as liquidation_dominance,
    coalesce(cascades.status, 'missing') as cascade_status,

    open_interest.usd as open_interest_usd,
    open_interest.base as open_interest_base,
    100 * (open_interest.usd / nullif(open_interest.usd_24h_ago, 0) - 1) as open_interest_usd_change_24h_pct,
    100 * (open_interest.base / nullif(open_interest.base_24h_ago, 0) - 1) as open_interest_base_change_24h_pct,
    coalesce(open_interest.status, 'missing') as open_interest_status,
    case when open_interest.status is null then 'no_row_for_this_hour' else open_interest.reason end
        as open_interest_reason,
    open_interest.age_h as open_interest_age_h,

    scores.futures_score,
    scores.futures_signal,
    scores.coverage_pct as futures_coverage_pct,
    scores.confidence as futures_confidence,
    scores.confidence_level as futures_confidence_level,
    scores.top_factors,
    coalesce(scores.status, 'missing') as futures_status,
    case when scores.status is null then 'no_rows' else scores.reason end as futures_reason,
    scores.age_h as futures_age_h,

    case when fear_greed.is_fresh then fear_greed.fear_greed end as fear_greed,
    case
        when fear_greed.is_fresh then 'ok'
        when fear_greed.is_fresh is not null then 'stale'
        else 'missing'
    end as fear_greed_status,
    fear_greed.age_h as fear_greed_age_h,

    breaks.other as correlation_break_with,
    breaks.break_kind as correlation_break_kind,
    breaks.break_severity as correlation_break_severity,
    breaks.rel_drop as correlation_rel_drop,
    breaks.duration_hours as correlation_break_hours,
    case
        when coalesce(pairs.known_pairs, 0) = 0 then 'missing'
        when pairs.known_pairs < pairs.pairs then 'partial'
        else 'ok'
    end as correlation_status,
    pairs.age_h as correlation_age_h,

    events.event_type as last_event_type,
    events.alert_severity as last_event_severity,
    events.title as last_event_title,
    events.known_at as last_event_at
from candles
cross join newest
left join {{ ref('stg_ops__database_identity') }} as identity on true
left join volatility on volatility.symbol = candles.symbol
left join regimes on regimes.symbol = candles.symbol
left join funding on funding.symbol = candles.symbol
left join cascades on cascades.symbol = candles.symbol
left join liquidations on liquidations.symbol = candles.symbol
left join open_interest on open_interest.symbol = candles.symbol
left join scores on scores.symbol = candles.symbol
left join fear_greed on true
left join pairs on pairs.symbol = candles.symbol
left join breaks on breaks.symbol = candles.symbol
left join events on events.symbol = candles.symbol
