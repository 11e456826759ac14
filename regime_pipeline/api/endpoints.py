"""Every endpoint as one row: its path, the mart behind it, what may be filtered, its old paths.

Belongs here: what there is. Does not belong here: what a mart holds (``catalogue.marts``), how a request
is read (``params``) and answered (``query``, ``app``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from regime_pipeline.catalogue.marts import MARTS, WITH_PAST
from regime_pipeline.catalogue.model import Field, Mart

VERSION = "/v1"
SYMBOL = "{symbol}"


@dataclass(frozen=True, slots=True)
class Beside:
    """What a value of a parameter adds to an answer, beside its ``data``.

    Attributes:
        parameter: its name, as ``include``.
        value: the value that asks for it, as ``orders``; a flag's is ``true``.
        key: where it stands in the answer.
        path: the endpoint whose rows it is; None: it is made of the rows of the answer themselves.
        of_page: whether it has rows from the oldest hour of the page on; else those of its newest instant.
        needs: columns of the answer's own rows that it is made of.
    """

    parameter: str
    value: str
    key: str
    path: str | None = None
    of_page: bool = True
    needs: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What it adds, for people."""
        rows = "the rows as a matrix" if self.path is None else f"rows of {VERSION}{self.path}"
        return f"`{self.value}` adds {rows} as `{self.key}`"


@dataclass(frozen=True)
class Endpoint:
    """One GET endpoint.

    Attributes:
        path: below :data:`VERSION`; ``{symbol}`` or ``{event_id}`` is matched exactly.
        mart: relation of ``reporting``; it may not be built yet.
        summary: one sentence for people and agents.
        filters: columns that a parameter of the same name compares for equality, with commas between.
        old: paths of the replaced services that it answers as well.
        is_export: whether it gives all rows of a span as a file, instead of pages.
        beside: what further parameters add to the answer.
        instead: parameter -> the path that answers, with it, when it is given.
    """

    path: str
    mart: str
    summary: str
    filters: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    is_export: bool = False
    beside: tuple[Beside, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def described(self) -> Mart | None:
        """The mart as the catalogue describes it; None while there is none."""
        return MARTS.get(self.mart)

    @property
    def has_past(self) -> bool:
        """Whether it answers as of an instant."""
        return self.described in WITH_PAST

    @cached_property
    def filter_columns(self) -> tuple[Field, ...]:
        """The columns behind its filters, those that its mart has."""
        mart = self.described
        by_name = {} if mart is None else {c.name: c for c in mart.columns}
        return tuple(by_name[f] for f in self.filters if f in by_name)

    @property
    def symbol_columns(self) -> tuple[str, ...]:
        """The columns that ``symbols`` compares."""
        mart = self.described
        names = () if mart is None else mart.names
        return tuple(c for c in ("symbol", "symbol_a", "symbol_b") if c in names)


def _row(
    path: str,
    mart: str,
    summary: str,
    filters: str = "",
    old: str = "",
    *,
    beside: tuple[Beside, ...] = (),
    instead: Mapping[str, str] | None = None,
) -> Endpoint:
    return Endpoint(
        path,
        mart,
        summary,
        tuple(filters.split()),
        tuple(old.split()),
        False,
        beside,
        instead or {},
    )


_FACTORS = (Beside("debug", "true", "factors", "/signals/{symbol}/factors"),)


ENDPOINTS = (
    _row(
        "/overview",
        "market_overview",
        "The market at its newest hour: price, volatility, regimes, funding, liquidations, score.",
        "vol_regime_confirmed primary_regime futures_signal",
        "/api/features /api/live/market-data",
    ),
    _row(
        "/overview/{symbol}",
        "market_overview",
        "One symbol at its newest hour.",
        "",
        "/api/live/market-data/{symbol} /market/{symbol} /coinglass/dashboard/{symbol}",
    ),
    _row("/hourly/{symbol}", "hourly", "Everything that was known about a symbol, hour by hour."),
    _row(
        "/candles/{symbol}",
        "candles_1h",
        "Hourly candles of one symbol, spot and perpetual.",
        "market",
    ),
    _row(
        "/snapshots",
        "snapshots_1h",
        "What a trader looks at first, of every symbol, hour by hour.",
    ),
    _row(
        "/cascades",
        "cascades_1h",
        "Liquidation cascades: sums by side, severity, dominance, excitation, levels.",
        "severity is_cascade dominance cascade_state",
        "/api/cascades",
    ),
    _row(
        "/liquidations/{symbol}",
        "liquidation_windows",
        "Forced closures summed over 1, 4, 12 and 24 hours.",
        "window_h",
        "/coinglass/liquidations/{symbol}",
        beside=(
            Beside("include", "orders", "orders", "/liquidations/{symbol}/orders"),
            Beside("include", "map", "map", "/liquidations/{symbol}/levels"),
        ),
    ),
    _row(
        "/liquidations/{symbol}/orders",
        "liquidation_orders",
        "Forced closures one by one, as far as venues publish them.",
        "side venue",
    ),
    _row(
        "/liquidations/{symbol}/levels",
        "liquidation_levels",
        "Price levels at which closures cluster.",
        "level_model venue",
        "/coinglass/liquidations/{symbol}/heatmap",
    ),
    _row(
        "/funding/{symbol}",
        "funding_1h",
        "The newest settled funding and how unusual it is, hour by hour.",
        "extreme_level is_anomaly",
        instead={"interval": "/funding/{symbol}/bars"},
    ),
    _row(
        "/funding/{symbol}/bars",
        "funding_ohlc",
        "Settled funding rates of every venue as bars.",
        "interval venue",
        "/coinglass/funding-rate/{symbol}",
    ),
    _row(
        "/funding/{symbol}/prints",
        "funding_prints_1h",
        "Each settled funding rate with what is unusual about it.",
    ),
    _row(
        "/volatility",
        "volatility_1h",
        "Volatility and its confirmed regime, hour by hour.",
        "vol_regime vol_regime_confirmed",
        "/api/volatility",
    ),
    _row(
        "/implied-volatility",
        "implied_volatility_1h",
        "What options say of the volatility to come, hour by hour.",
    ),
    _row(
        "/regimes",
        "regimes_1h",
        "Regime labels on four timeframes, their agreement, the primary regime.",
        "primary_regime is_confirmed",
    ),
    _row(
        "/regimes/spells",
        "regime_timeline",
        "Spells of one regime, from when to when.",
        "kind regime",
    ),
    _row(
        "/correlations",
        "correlation_pairs_1h",
        "Correlation of every pair against its own past.",
        "is_break break_kind",
        "/api/correlation/asset-correlations /api/correlation",
    ),
    _row(
        "/correlations/matrix",
        "correlation_matrix_1d",
        "The correlation matrix of each day.",
    ),
    _row("/correlations/breaks", "correlation_breaks", "Episodes of a broken correlation."),
    _row("/correlations/lead-lag", "lead_lag_1d", "Who moves first within a pair."),
    _row("/correlations/pair-signals", "pair_signals_1h", "Spreads of pairs that revert."),
    _row("/correlations/structure", "market_structure_1d", "All symbols together, day by day."),
    _row(
        "/signals",
        "futures_scores_1h",
        "The futures score with its factors, hour by hour.",
        "futures_signal",
        "/api/intelligent/signals/latest",
        beside=_FACTORS,
    ),
    _row(
        "/signals/matrix",
        "signal_components_1h",
        "Scores of the signal components.",
        "component",
        "/api/correlation/matrix /api/correlation/live-matrix",
        beside=(Beside("performance", "true", "performance", "/performance", of_page=False),),
    ),
    _row(
        "/signals/correlations",
        "signal_correlations_1d",
        "How the signal components move together.",
        "component_a component_b",
        "/api/correlation/signal-correlations /api/correlation/heatmap-data",
        beside=(Beside("shape", "heatmap", "heatmap", needs=("corr",)),),
    ),
    _row(
        "/signals/{symbol}",
        "futures_scores_1h",
        "The futures score of one symbol.",
        "futures_signal",
        "/signals/{symbol} /api/intelligent/signals/{symbol}",
        beside=_FACTORS,
    ),
    _row(
        "/signals/{symbol}/factors",
        "futures_factors_1h",
        "The factors behind the futures score, one row each.",
        "factor",
    ),
    _row(
        "/coins",
        "coin_markets_1h",
        "Market size, open interest and price changes of every coin.",
        "",
        "/coinglass/markets",
    ),
    _row(
        "/coins/{symbol}",
        "coin_markets_1h",
        "Market size, open interest and price changes of one coin.",
        "",
        "/coinglass/markets/{symbol} /coinglass/perpetual-market/{symbol}",
    ),
    _row(
        "/positioning/{symbol}",
        "positioning_ohlc",
        "Long-short and taker ratios as bars.",
        "interval venue metric",
        "/coinglass/long-short-ratio/{symbol}",
    ),
    _row(
        "/open-interest/{symbol}",
        "open_interest_ohlc",
        "Open interest of every venue as bars.",
        "interval venue unit",
        "/coinglass/open-interest/{symbol}",
    ),
    _row(
        "/instruments",
        "instruments",
        "Instruments of every venue, listed from and to.",
        "venue market",
        "/coinglass/supported-coins /coinglass/exchanges",
    ),
    _row(
        "/venues",
        "venues",
        "Venues whose rows are stored: markets, symbols, from when on, until when.",
        "venue",
    ),
    _row(
        "/events",
        "market_events",
        "Market events, newest first, and how their delivery stands.",
        "event_type alert_severity kind instrument",
    ),
    _row("/events/{event_id}", "market_events", "One event with the numbers behind it."),
    _row("/events/{event_id}/after", "events", "What the price did after one event."),
    _row(
        "/deliveries",
        "webhook_logs",
        "Every attempt to deliver an event.",
        "endpoint outcome event_id",
    ),
    _row(
        "/performance",
        "signal_performance",
        "What signals were worth, with sample sizes and base rates.",
        "signal horizon_h regime",
        "/api/live/performance",
    ),
    _row(
        "/performance/runs",
        "run_performance",
        "What each step of each run cost: time, processor seconds, rows, requests.",
        "run_id job_name step step_outcome",
    ),
    _row(
        "/passports",
        "passports",
        "What every score has been worth, with its verdict: all symbols, regimes, symbols, across symbols.",
        "signal horizon_h passport_kind passport_regime verdict",
    ),
    _row(
        "/execution/{symbol}",
        "execution_quality",
        "What trading a symbol would have cost hour by hour: spread, depth, slippage, impact.",
    ),
    _row(
        "/calibration",
        "calibrators",
        "The probability behind each score, its skill, and whether it may be shown.",
        "signal calibration_side is_calibrated",
    ),
    _row(
        "/reliability",
        "reliability",
        "How often it came true what probabilities said, by bins.",
        "signal calibration_side",
    ),
    _row(
        "/consensus/{symbol}",
        "consensus_1h",
        "What the voters say together about a symbol, hour by hour.",
        "consensus",
    ),
    _row("/paper", "paper_strategies", "What rules followed on paper came to.", "strategy"),
    _row(
        "/paper/executions",
        "paper_executions",
        "What each paper order met; none was ever placed.",
        "strategy symbol fill_kind",
    ),
    _row(
        "/paper/intents",
        "paper_intents",
        "Each change of a position that a paper strategy decided, within its limits.",
        "strategy symbol",
    ),
    _row(
        "/paper/positions",
        "paper_positions",
        "What paper strategies hold at the end of each hour.",
        "strategy symbol",
    ),
    _row("/paper/equity", "paper_equity", "Equity of paper strategies by the hour.", "strategy"),
    _row(
        "/trials",
        "trials",
        "What was tried, dropped trials too; verdicts allow for all of it.",
        "trial_family trial_origin",
    ),
    _row(
        "/models",
        "models",
        "Every fit of every forecasting model, with its parameters.",
        "model model_version model_role",
    ),
    _row(
        "/models/performance",
        "ml_model_performance",
        "What the forecasting models have been worth, whether they are published, whether they drift.",
        "model regime model_role is_published",
    ),
    _row(
        "/models/forecasts",
        "model_predictions",
        "What the published models say of the coming hours, with intervals.",
        "model model_role status",
    ),
    _row(
        "/sources/{symbol}",
        "source_health",
        "What each source behind a symbol's rows last answered.",
        "source dataset status",
        "/debug/premium/{symbol}",
        beside=(
            Beside("include", "coverage", "coverage", "/coverage", of_page=False),
            Beside("include", "coins", "coins", "/coins/{symbol}", of_page=False),
            Beside("include", "prices", "prices", "/live/prices"),
        ),
    ),
    _row(
        "/live/prices",
        "live_prices",
        "Prices to the second as the live collector sees them: best prices, marks, how far to trust them.",
        "source venue market",
    ),
    _row(
        "/health/sources",
        "source_health",
        "When each source last answered, and what it lacks.",
        "source dataset status",
    ),
    _row(
        "/health/data",
        "data_health",
        "How far each raw dataset reaches, and its quality.",
        "dataset status",
    ),
    _row(
        "/coverage",
        "coverage_daily",
        "What became of the hours of each raw series, day by day.",
        "dataset source",
    ),
    _row("/quality", "quality_scores", "Data-quality scores of tables, day by day.", "table_name"),
    _row(
        "/restatements",
        "restatements",
        "Every version of a stored row that was replaced, and what it said.",
        "table_name",
    ),
    _row(
        "/restatements/announcements",
        "restated_announcements",
        "Rows that announce another event now than when they were stored.",
        "table_name announced_then announced_now",
    ),
    _row(
        "/versions", "versions", "A number for each mart that goes up when its rows change.", "mart"
    ),
)
"""In the order in which a router tries them."""
BY_PATH = MappingProxyType({e.path: e for e in ENDPOINTS})


EXPORT_PATH = "/export/{mart}"


def export_of(mart: str) -> Endpoint | None:
    """The endpoint that gives a whole mart as a file; None where there is no such mart."""
    if mart not in MARTS:
        return None
    return Endpoint(EXPORT_PATH.format(mart=mart), mart, "All rows as a file.", is_export=True)
