{#
    One row per symbol and hour with what was known of each block at the hour's end: the marts `hourly`
    and `market_overview` are made of it. Each staging model is read once, with its bounds, so that
    PostgreSQL folds it into the query and looks at the months between them only. Values before an hour
    are found by time and not by position: an hour that has no row is unknown, not skipped.

    start, until: SQL instants, the end excluded.
#}
{% macro hourly_rows(start, until) -%}
    with candles as (
        select
            c.market, c.symbol, c.ts, c.close, c.status, c.reason, c.source_tier, c.method_version,
            c.ingested_at,
            {% for name, gap in (('1h', '1 hour'), ('24h', '24 hours'), ('7d', '7 days')) -%}
            max(c.close) over (hour range between interval '{{ gap }}' preceding and interval '{{ gap }}' preceding)
                as close_{{ name }}_ago{{ ',' if not loop.last }}
            {% endfor %}
        from {{ ref('stg_market__candles_1h') }} as c
        where c.ts >= {{ start }} - interval '7 days' and c.ts < {{ until }}
        window hour as (partition by c.market, c.symbol order by c.ts)
    ),

    prices as (
        select
            c.symbol, c.ts,
            max(c.close) filter (where c.market = 'spot') as price,
            {% for name in ('1h', '24h', '7d') -%}
            max(c.close_{{ name }}_ago) filter (where c.market = 'spot') as price_{{ name }}_ago,
            {% endfor -%}
            max(c.close) filter (where c.market = 'perp') as perp_price,
            max(c.status) filter (where c.market = 'spot') as status,
            max(c.reason) filter (where c.market = 'spot') as reason,
            max(c.status) filter (where c.market = 'perp') as perp_status,
            max(c.source_tier) as source_tier,
            max(c.method_version) as method_version,
            max(c.ingested_at) as ingested_at
        from candles as c
        where c.ts >= {{ start }}
        group by c.symbol, c.ts
    ),

    {% for name, model in (
        ('volatility', 'stg_features__volatility_regimes'),
        ('regime', 'stg_regimes__timeframe_regimes'),
        ('funding', 'stg_features__funding_anomalies'),
        ('cascade', 'stg_features__liquidation_cascades'),
        ('futures', 'stg_signals__futures_scores'),
    ) -%}
    {{ name }} as (
        select r.*
        from {{ ref(model) }} as r
        where r.ts >= {{ start }} and r.ts < {{ until }}
    ),

    {% endfor -%}
    liquidations as (
        select
            l.symbol, l.ts, l.status, l.reason, l.method_version,
            l.long_liquidations_usd as long_1h,
            l.short_liquidations_usd as short_1h,
            sum(l.long_liquidations_usd) over day as long_24h,
            sum(l.short_liquidations_usd) over day as short_24h,
            count(l.total_liquidation_usd) over day as hours_24h,
            bool_or(l.is_lower_bound) over day as is_lower_bound,
            max(l.source_tier) over day as source_tier,
            max(l.ingested_at) over day as ingested_at
        from {{ ref('stg_market__liquidations_1h') }} as l
        where l.ts >= {{ start }} - interval '24 hours' and l.ts < {{ until }}
        window day as (
            partition by l.symbol order by l.ts range between interval '23 hours' preceding and current row
        )
    ),

    open_interest as (
        select
            o.symbol, o.ts, o.status, o.reason, o.source_tier, o.method_version, o.ingested_at,
            o.open_interest_usd as usd,
            o.open_interest_base as base,
            max(o.open_interest_usd) over day_ago as usd_24h_ago,
            max(o.open_interest_base) over day_ago as base_24h_ago
        from {{ ref('stg_market__open_interest') }} as o
        where o.ts >= {{ start }} - interval '24 hours' and o.ts < {{ until }}
        window day_ago as (
            partition by o.symbol order by o.ts
            range between interval '24 hours' preceding and interval '24 hours' preceding
        )
    ),

    moods as (
        -- each value at the hours at whose end it was the newest that was out, for eight days at most
        select m.fear_greed, m.available_at, hour.ts
        from (
            select
                f.fear_greed, f.available_at,
                lead(f.available_at, 1, 'infinity') over (order by f.available_at, f.ts) as replaced_at
            from {{ ref('stg_market__fear_greed') }} as f
            where f.fear_greed is not null and f.ts >= {{ start }} - interval '9 days' and f.ts < {{ until }}
        ) as m
        cross join lateral generate_series(
            date_trunc('hour', m.available_at, 'UTC'),
            least(m.replaced_at - interval '1 hour', m.available_at + interval '8 days'),
            interval '1 hour'
        ) as hour (ts)
    ),

    pairs as (
        select p.symbol, p.ts, count(*) as pairs, count(p.corr_7d) as known_pairs
        from {{ ref('stg_correlation__pairs') }} as p
        where p.ts >= {{ start }} and p.ts < {{ until }}
        group by p.symbol, p.ts
    ),

    breaks as (
        select distinct on (b.symbol, b.ts) b.*
        from {{ ref('stg_correlation__breaks') }} as b
        where b.ts >= {{ start }} and b.ts < {{ until }}
        order by b.symbol, b.ts, abs(b.rel_drop) desc nulls last, b.other
    )

    select
        prices.symbol,
        prices.ts,
        greatest(
            prices.source_tier, volatility.source_tier, regime.source_tier, funding.source_tier,
            cascade.source_tier, liquidations.source_tier, open_interest.source_tier,
            futures.source_tier
        )::bigint as source_tier,

        prices.price,
        100 * (prices.price / prices.price_1h_ago - 1) as price_change_1h_pct,
        100 * (prices.price / prices.price_24h_ago - 1) as price_change_24h_pct,
        100 * (prices.price / prices.price_7d_ago - 1) as price_change_7d_pct,
        {{ told('prices', 'price') }},
        prices.perp_price,
        10000 * (prices.perp_price / prices.price - 1) as basis_bps,
        coalesce(prices.perp_status, 'missing') as perp_status,

        volatility.vol_regime_confirmed,
        volatility.regime_age_h as vol_regime_age_h,
        volatility.vol_ratio_gk,
        volatility.vol_ratio,
        volatility.volatility_24h,
        volatility.risk_multiplier_confirmed,
        {{ told('volatility') }},

        regime.primary_regime,
        regime.regime_1h,
        regime.regime_4h,
        regime.regime_1d,
        regime.regime_1w,
        regime.frames_available,
        regime.agreement_count,
        regime.agreement_score,
        regime.is_confirmed as regime_is_confirmed,
        {{ told('regime') }},

        funding.print_ts as funding_print_ts,
        funding.rate_8h as funding_rate_8h,
        funding.rate_annual as funding_rate_annual,
        funding.z_score as funding_z,
        funding.extreme_level as funding_level,
        funding.is_anomaly as funding_is_anomaly,
        {{ told('funding') }},

        liquidations.long_1h as long_liquidations_1h_usd,
        liquidations.short_1h as short_liquidations_1h_usd,
        case when liquidations.hours_24h >= 20 then liquidations.long_24h end as long_liquidations_24h_usd,
        case when liquidations.hours_24h >= 20 then liquidations.short_24h end as short_liquidations_24h_usd,
        coalesce(liquidations.hours_24h, 0) as liquidations_24h_hours,
        liquidations.is_lower_bound as liquidations_are_lower_bound,
        {{ told('liquidations') }},
        cascade.severity as cascade_severity,
        cascade.severity_pct as cascade_severity_pct,
        cascade.is_cascade,
        cascade.dominance as liquidation_dominance,
        coalesce(cascade.status, 'missing') as cascade_status,

        open_interest.usd as open_interest_usd,
        open_interest.base as open_interest_base,
        100 * (open_interest.usd / nullif(open_interest.usd_24h_ago, 0) - 1)
            as open_interest_usd_change_24h_pct,
        100 * (open_interest.base / nullif(open_interest.base_24h_ago, 0) - 1)
            as open_interest_base_change_24h_pct,
        {{ told('open_interest') }},

        futures.futures_score,
        futures.futures_signal,
        futures.coverage_pct as futures_coverage_pct,
        futures.confidence as futures_confidence,
        futures.confidence_level as futures_confidence_level,
        futures.top_factors,
        {{ told('futures') }},

        -- 36 hours after it came out a value is stale
        case
            when moods.available_at > prices.ts - interval '35 hours' then moods.fear_greed
        end as fear_greed,
        case
            when moods.available_at > prices.ts - interval '35 hours' then 'ok'
            when moods.available_at is not null then 'stale'
            else 'missing'
        end as fear_greed_status,
        floor(extract(epoch from prices.ts + interval '1 hour' - moods.available_at) / 3600)::bigint
            as fear_greed_age_h,

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

        jsonb_strip_nulls(jsonb_build_object(
            'price', prices.method_version, 'volatility', volatility.method_version,
            'regime', regime.method_version, 'funding', funding.method_version,
            'liquidations', liquidations.method_version, 'cascade', cascade.method_version,
            'open_interest', open_interest.method_version, 'futures', futures.method_version
        )) as method_versions,
        prices.ts + interval '1 hour' as known_at,
        greatest(
            prices.ingested_at, volatility.ingested_at, regime.ingested_at, funding.ingested_at,
            liquidations.ingested_at, cascade.ingested_at, open_interest.ingested_at,
            futures.ingested_at
        ) as ingested_at
    from prices
    left join volatility on volatility.symbol = prices.symbol and volatility.ts = prices.ts
    left join regime on regime.symbol = prices.symbol and regime.ts = prices.ts
    left join funding on funding.symbol = prices.symbol and funding.ts = prices.ts
    left join cascade on cascade.symbol = prices.symbol and cascade.ts = prices.ts
    left join futures on futures.symbol = prices.symbol and futures.ts = prices.ts
    left join liquidations on liquidations.symbol = prices.symbol and liquidations.ts = prices.ts
    left join open_interest on open_interest.symbol = prices.symbol and open_interest.ts = prices.ts
    left join moods on moods.ts = prices.ts
    left join pairs on pairs.symbol = prices.symbol and pairs.ts = prices.ts
    left join breaks on breaks.symbol = prices.symbol and breaks.ts = prices.ts
{%- endmacro %}
