"""Columns of the signal tables."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.common import COMPONENTS, STATUSES
from regime_pipeline.catalogue.model import Field, Kind

FACTORS = (
    "liquidations",
    "funding",
    "momentum",
    "long_short",
    "smart_money",
    "oi_trend",
    "social",
    "fear_greed",
)
"""The eight futures factors in table order, which also breaks ties."""

FACTOR_NUMBERS: dict[str, tuple[str, ...]] = {
    "liquidations": (
        "long_liquidations_24h_usd",
        "short_liquidations_24h_usd",
        "liquidations_usual_24h_usd",
        "liquidations_balance",
        "liquidations_balance_usual",
    ),
    "funding": ("rate_8h", "funding_z", "funding_age_h"),
    "momentum": (
        "momentum_return_1h",
        "momentum_return_4h",
        "momentum_return_24h",
        "momentum_sigma_1h",
        "momentum_factor_raw",
    ),
    "long_short": ("global_account_long_frac", "long_short_z"),
    "smart_money": ("top_trader_position_long_frac", "smart_money_z"),
    "oi_trend": (
        "open_interest_base",
        "oi_trend_change_24h",
        "oi_trend_z",
        "oi_trend_return_24h",
    ),
    "social": ("social_score", "social_mentions", "social_z", "social_mentions_z"),
    "fear_greed": ("fear_greed", "fear_greed_age_h"),
}
"""The raw numbers behind each factor, in the order in which they are worked out."""

DIRECTIONS = ("BULLISH", "NEUTRAL", "BEARISH")

SINGLE_COMPONENTS = tuple(name for name in COMPONENTS if name != "confluence")
"""The components of ``signals.components``: all but the one that is made of the others."""

_WHAT = {
    "momentum": "Mean of 4, 24 and 72 h returns over lagged volatility",
    "technical": "Trend by RSI, MACD and Bollinger %b",
    "volume": "Distance from the 24 h VWAP over volatility, weighed by the volume spike",
    "orderflow": "Takers' balance of the hour against its week",
    "orderbook": "Resting value within 25 bps, bids against asks, against what is usual",
    "sentiment": "Mood of the coin against its own 30 days",
    "price_action": "Place of the close in its channels and its own bar",
    "beta_exp": "Momentum of BTC times the coin's exposure to it",
    "whale_act": "Large transfers off exchanges against those onto them",
    "liquidation": "Shorts closed by force against longs, in the hour",
}


def _component(name: str, what: str) -> list[Field]:
    return [
        Field(f"{name}_score", Kind.FLOAT, f"{what}, 50 neutral.", "0-100", 0, 100),
        Field(f"{name}_direction", Kind.TEXT, f"Reading of {name}_score.", allowed=DIRECTIONS),
        Field(f"{name}_strength", Kind.FLOAT, "|score - 50| / 50.", "fraction", 0, 1),
        Field(
            f"{name}_confidence", Kind.FLOAT, "Data coverage x sample adequacy.", "fraction", 0, 1
        ),
        Field(f"{name}_status", Kind.TEXT, f"Status of {name}_score.", allowed=STATUSES),
        Field(f"{name}_reason", Kind.TEXT, f"Why {name}_status is not ok."),
    ]


BLOCKS = (
    "market",
    "volatility",
    "regime",
    "funding",
    "cascade",
    "confluence",
    "futures",
    "fear_greed",
)
"""Blocks of a snapshot."""


def _block(name: str) -> list[Field]:
    return [
        Field(f"{name}_block_status", Kind.TEXT, f"Status of the {name} block.", allowed=STATUSES),
        Field(f"{name}_block_reason", Kind.TEXT, f"Why the {name} block is not ok."),
        Field(
            f"{name}_block_age_h",
            Kind.INTEGER,
            f"Hours since the {name} block had a value; null beyond 48.",
            "h",
            0,
        ),
    ]


def _factor(name: str) -> list[Field]:
    return [
        Field(f"{name}_factor", Kind.FLOAT, f"Sub-score of the {name} factor.", "0-100", 0, 100),
        Field(
            f"{name}_factor_status",
            Kind.TEXT,
            f"Status of the {name} factor.",
            allowed=STATUSES,
        ),
        Field(f"{name}_factor_reason", Kind.TEXT, f"Why the {name} factor is not ok."),
        Field(
            f"{name}_factor_weight_pct",
            Kind.INTEGER,
            f"Configured weight of the {name} factor.",
            "%",
            0,
            100,
        ),
    ]


_FACTOR_NUMBERS = (
    Field(
        "liquidations_usual_24h_usd", Kind.FLOAT,
        "Median of the 24 h totals of the 30 d before.", "USD", 0,
    ),
    Field(
        "liquidations_balance", Kind.FLOAT,
        "(shorts - longs) / (total + usual total) of 24 h.", "fraction", -1, 1,
    ),
    Field(
        "liquidations_balance_usual", Kind.FLOAT,
        "Median of liquidations_balance over the 30 d before.", "fraction", -1, 1,
    ),
    Field("funding_z", Kind.FLOAT, "Lagged z of the newest settled print.", "sd"),
    Field("funding_age_h", Kind.FLOAT, "Age of that print when the row decides.", "h", 0),
    *(
        Field(
            f"momentum_return_{hours}h", Kind.FLOAT, f"Log return of the perpetual over {hours} h.",
            "log return",
        )
        for hours in (1, 4, 24)
    ),
    Field(
        "momentum_sigma_1h", Kind.FLOAT,
        "Exponentially weighted volatility of the 447 returns before the row.", "fraction per 1 h", 0,
    ),
    Field(
        "momentum_factor_raw", Kind.FLOAT,
        "Volatility-scaled mean of the 1, 4 and 24 h returns.", "sd", -3, 3,
    ),
    Field("long_short_z", Kind.FLOAT, "Lagged z of the log odds of the accounts' share.", "sd"),
    Field("smart_money_z", Kind.FLOAT, "Lagged z of the log odds of the top traders' share.", "sd"),
    Field(
        "oi_trend_change_24h", Kind.FLOAT, "Log change over 24 h of the open interest in coins.",
        "log change",
    ),
    Field("oi_trend_z", Kind.FLOAT, "Lagged z of oi_trend_change_24h.", "sd"),
    Field(
        "oi_trend_return_24h", Kind.FLOAT,
        "Log return of the price over the time of that change; its sign is the factor's.",
        "log return",
    ),
    Field("social_mentions_z", Kind.FLOAT, "Lagged z of ln(1 + mentions) over 30 d.", "sd"),
    Field("fear_greed_age_h", Kind.FLOAT, "Age of the index when the row decides.", "h", 0),
)  # fmt: skip


_BEHIND = (
    Field(
        "inputs_asof",
        Kind.TIMESTAMP,
        "End of the newest hour behind the row; null where it has no value.",
    ),
    Field(
        "left_out", Kind.TEXT,
        "Components that are not applicable to the symbol or whose source is not configured, by comma.",
    ),
    Field("momentum_raw", Kind.FLOAT, "Volatility-scaled mean return behind momentum_score.", "sd"),
    Field("technical_rsi", Kind.FLOAT, "RSI of 14 hours.", "0-100", 0, 100, source="Wilder 1978"),
    Field(
        "technical_macd_hist", Kind.FLOAT, "MACD(12, 26) less its signal(9).", "quote",
        source="Appel 1979",
    ),
    Field(
        "technical_percent_b", Kind.FLOAT, "Place of the close in its Bollinger band(20, 2).",
        "fraction", source="Bollinger 2001",
    ),
    Field("technical_is_overbought", Kind.BOOLEAN, "RSI of 70 and above."),
    Field("technical_is_oversold", Kind.BOOLEAN, "RSI of 30 and below."),
    Field(
        "volume_spike_z", Kind.FLOAT, "Robust z of the log volume against the same hour of 20 days.",
        "sd",
    ),
    Field(
        "volume_vwap_24h", Kind.FLOAT, "Volume-weighted price of 24 h.", "quote", 0,
        exclusive_minimum=True,
    ),
    Field(
        "volume_poc_24h", Kind.FLOAT, "Middle of the busiest of 50 price bins of 24 h.", "quote", 0,
        exclusive_minimum=True,
    ),
    Field("orderflow_z", Kind.FLOAT, "Lagged z of flow_imbalance over 168 h.", "sd"),
    Field("orderbook_z", Kind.FLOAT, "z behind orderbook_score.", "sd"),
    Field(
        "spread_pctl_30d", Kind.FLOAT, "Share of the 30 d before in which the spread was tighter.",
        "fraction", 0, 1,
    ),
    Field(
        "orderbook_score_legacy", Kind.FLOAT,
        "The legacy formula on the hour's means; its spread has no direction and lifts the score.",
        "0-100", 0, 100,
    ),
    *(
        Field(f"{kind}_z", Kind.FLOAT, f"Lagged z of the {kind} mood over 30 d.", "sd")
        for kind in ("social", "news", "trader")
    ),
    Field("sentiment_z", Kind.FLOAT, "Weighted z of the kinds of mood present.", "sd"),
    Field(
        "sentiment_score_legacy", Kind.FLOAT, "The social provider's own score, passed through.",
        "0-100", 0, 100,
    ),
    *(
        Field(
            f"channel_position_{n}", Kind.FLOAT,
            f"Place of the close between the extremes of the {n} bars before.", "0-100", 0, 100,
        )
        for n in (20, 55)
    ),
    Field("candle_position", Kind.FLOAT, "Place of the close in its bar.", "0-100", 0, 100),
    Field("candle_body_frac", Kind.FLOAT, "Body over range of the bar.", "fraction", 0, 1),
    Field("candle_upper_wick_frac", Kind.FLOAT, "Upper wick over range.", "fraction", 0, 1),
    Field("candle_lower_wick_frac", Kind.FLOAT, "Lower wick over range.", "fraction", 0, 1),
    Field("is_channel_break_up", Kind.BOOLEAN, "Close above the high of the 55 bars before."),
    Field("is_channel_break_down", Kind.BOOLEAN, "Close below the low of the 55 bars before."),
    Field(
        "beta", Kind.FLOAT, "Exposure to BTC, 30 d, half-life 10 d, leads and lags of 1 h, shrunk to 1.",
        source="Dimson 1979; Vasicek 1973",
    ),
    Field("beta_se", Kind.FLOAT, "Error of beta before shrinking.", None, 0, source="White 1980"),
    Field("beta_r2", Kind.FLOAT, "Weighted R squared behind beta.", "fraction", 0, 1),
    Field(
        "idiosyncratic_volatility_1h", Kind.FLOAT, "Volatility that BTC does not explain.",
        "fraction per 1 h", 0,
    ),
    Field(
        "whale_flow_to_volume", Kind.FLOAT, "net_flow_usd over the mean day's volume of 30 d.",
        "fraction",
    ),
    Field("whale_z", Kind.FLOAT, "Flow off exchanges over the sd of 30 days' flows.", "sd"),
    Field(
        "whale_act_score_legacy", Kind.FLOAT,
        "The legacy formula on 24 h: jumps by 10 at 10 million USD, ends at 20 and 80.",
        "0-100", 0, 100,
    ),
    Field(
        "liquidation_imbalance", Kind.FLOAT, "(shorts - longs) / (total + usual total).", "fraction",
        -1, 1,
    ),
    Field(
        "liquidation_exhaustion_score", Kind.FLOAT,
        "The opposite reading of liquidation_score; only from severity_pct 4 on.", "0-100", 0, 100,
    ),
    Field(
        "liquidation_score_legacy", Kind.FLOAT,
        "The legacy share of shorts: one liquidation alone reads 0 or 100.", "0-100", 0, 100,
    ),
)  # fmt: skip

_CONFLUENCE = (
    Field(
        "confluence_score", Kind.FLOAT, "Weighted mean of the components present, 50 neutral.", "0-100",
        0, 100,
    ),
    Field("confluence_direction", Kind.TEXT, "Reading of confluence_score.", allowed=DIRECTIONS),
    Field("confluence_strength", Kind.FLOAT, "|score - 50| / 50.", "fraction", 0, 1),
    Field(
        "confluence_confidence", Kind.FLOAT,
        "component_coverage x alignment x sqrt(n_eff / components present); null without n_eff.",
        "fraction", 0, 1,
    ),
    Field(
        "confluence_decorrelated", Kind.FLOAT,
        "Mean of the same scores under generalised least squares weights: views that repeat each "
        "other count less.", "0-100", 0, 100,
    ),
    Field("alignment", Kind.FLOAT, "|sum w sgn(s - 50)| / sum w.", "fraction", 0, 1),
    Field(
        "component_coverage", Kind.FLOAT,
        "Weight of the components present in that of those configured and applicable.",
        "fraction", 0, 1,
    ),
    Field(
        "n_eff", Kind.FLOAT, "Independent views among the components present, by participation ratio.",
        "components", 0,
    ),
    Field("n_eff_reason", Kind.TEXT, "Why n_eff is null."),
    Field("bullish_n", Kind.INTEGER, "Components at 55 and above.", "components", 0),
    Field("bearish_n", Kind.INTEGER, "Components at 45 and below.", "components", 0),
    Field("neutral_n", Kind.INTEGER, "Components between.", "components", 0),
    Field("missing_n", Kind.INTEGER, "Configured and applicable components without a score.",
          "components", 0),
    Field("dashboard_score", Kind.FLOAT, "The dashboard service's score.", "0-100", 0, 100),
    Field("dashboard_confidence", Kind.FLOAT, "The service's own confidence.", "fraction", 0, 1),
    Field("own_score", Kind.FLOAT, "Our score of the same component and hour.", "0-100", 0, 100),
    Field("score_difference", Kind.FLOAT, "dashboard_score less own_score.", "points", -100, 100),
    Field("component_a", Kind.TEXT, "First component of the pair, by the alphabet.", allowed=COMPONENTS),
    Field("component_b", Kind.TEXT, "Second component of the pair.", allowed=COMPONENTS),
    Field(
        "signal_corr", Kind.FLOAT, "Spearman correlation of the two scores over 720 h.", None, -1, 1,
        source="Spearman 1904",
    ),
    Field(
        "partial_corr", Kind.FLOAT,
        "The same given all other components, the confluence left out.", None, -1, 1,
    ),
)  # fmt: skip

FIELDS = (
    *(
        field
        for name, what in _WHAT.items()
        for field in _component(name, what)
        if field.name != "sentiment_score"  # described with the providers' moods, on the same scale
    ),
    *_BEHIND,
    *_CONFLUENCE,
    *(field for name in BLOCKS for field in _block(name)),
    *(field for name in FACTORS for field in _factor(name)),
    *_FACTOR_NUMBERS,
    Field("futures_score", Kind.FLOAT, "Weighted mean of the available factors.", "0-100", 0, 100),
    Field(
        "futures_signal",
        Kind.TEXT,
        "LONG at 65 and above, SHORT at 35 and below; null under 70 % coverage.",
        allowed=("LONG", "NEUTRAL", "SHORT"),
    ),
    Field(
        "score_uncovered",
        Kind.FLOAT,
        "The weighted mean whatever the coverage; not for decisions.",
        "0-100",
        0,
        100,
    ),
    Field(
        "score_fixed50",
        Kind.FLOAT,
        "The legacy composite, missing factors read as 50; for comparison only.",
        "0-100",
        0,
        100,
    ),
    Field(
        "coverage_pct",
        Kind.INTEGER,
        "Weight of the available factors out of that of the factors that have a source.",
        "%",
        0,
        100,
    ),
    Field("factor_agreement", Kind.FLOAT, "|sum w(s-50)| / sum w|s-50|.", "fraction", 0, 1),
    Field("freshness", Kind.FLOAT, "Weighted freshness of the factors.", "fraction", 0, 1),
    Field(
        "confidence_level",
        Kind.TEXT,
        "high from 0.75, medium from 0.5.",
        allowed=("high", "medium", "low"),
    ),
    Field("top_factors", Kind.JSON, "The three factors that move the score most, with reasons."),
)
