"""The HTML report of a window: one file that needs nothing else.

Belongs here: reading what the report shows, down-sampling it, writing the file. How it looks is in
``page`` and ``charts``. Nothing is computed that is not stored: buckets take the last price, the
largest ratio, the sum of liquidations, and stay null where every hour is.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from regime_pipeline.catalogue.fields.signals import FACTORS, SINGLE_COMPONENTS
from regime_pipeline.reporting import queries
from regime_pipeline.reporting.charts import SymbolSeries
from regime_pipeline.reporting.html import write_page
from regime_pipeline.reporting.models import models_of
from regime_pipeline.reporting.page import ReportData, render
from regime_pipeline.reporting.research import newest_of, paper_of, passports_of
from regime_pipeline.reporting.summary import collect
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, HOUR, Clock, Window


def bucket_of(window: Window) -> str:
    """Length of a chart bucket: hours for short windows, days for years."""
    days = (window.end - window.start) / DAY
    if days <= 45:
        return "1h"
    return "4h" if days <= 400 else "1d"


def bucketed(values: pd.Series, bucket: str, window: Window, how: str) -> pd.Series:
    """A series by bucket of the window; a bucket is null when every hour in it is.

    Args:
        values: indexed by UTC time.
        bucket: length of a bucket.
        window: what the buckets cover, whether there are values or not.
        how: last, max or sum.
    """
    grid = pd.date_range(window.start, window.end, freq=bucket, inclusive="left", unit="us")
    kept = values.dropna()
    grouped = kept.groupby(pd.DatetimeIndex(kept.index).floor(bucket))
    found = grouped.agg(how) if len(kept) else pd.Series(dtype="float64")
    return found.reindex(grid).astype("float64")


def load(
    database: Database,
    settings: Settings,
    clock: Clock,
    window: Window,
    *,
    symbols: tuple[str, ...] | None = None,
    label: str | None = None,
) -> ReportData:
    """Read what the page shows; reads only."""
    warehouse = Warehouse(database, clock)
    past = window.clipped(clock.now())
    wanted = queries.by_traded_value(database, past, symbols or settings.symbols)
    bucket = bucket_of(past)
    summary = collect(database, settings, clock, window, symbols=wanted, label=label)
    scores = _by_symbol(
        warehouse, "signals.futures_scores", past, wanted, ["futures_score"], bucket, "last"
    )
    correlations = warehouse.read(
        "correlation.asset_correlations",
        past,
        symbols=wanted,
        columns=[
            "symbol_a", "symbol_b", "ts", "corr_7d", "corr_30d_base", "rel_drop", "abs_change",
            "p_break", "is_break", "status", "reason",
        ],
    )  # fmt: skip
    grouped = correlations.groupby(correlations["ts"].dt.floor("1D"))["corr_7d"]
    days = pd.date_range(past.start, past.end, freq="1D", inclusive="left", unit="us").floor("1D")
    breaks = warehouse.read(
        "correlation.correlation_breaks",
        past,
        symbols=wanted,
        columns=["symbol_a", "symbol_b", "ts", "event_kind"],
    )
    started = breaks[breaks["event_kind"].eq("start")]
    return ReportData(
        summary=summary,
        settings=settings,
        window=past,
        bucket=bucket,
        series=_series(warehouse, past, wanted, bucket),
        factors=_newest(
            warehouse.read(
                "signals.futures_scores",
                Window(max(past.start, past.end - DAY), past.end),
                symbols=wanted,
                columns=[
                    "symbol",
                    "ts",
                    "futures_score",
                    "futures_signal",
                    "score_uncovered",
                    "coverage_pct",
                    "confidence",
                    "status",
                    "reason",
                    *(f"{f}_factor{tail}" for f in FACTORS for tail in ("", "_status", "_reason")),
                ],
            ),
            ["symbol"],
        ),
        scores={s: v["futures_score"] for s, v in scores.items()},
        components=_components(warehouse, past, wanted),
        signal_pairs=_newest(
            warehouse.read(
                "correlation.signal_correlations",
                Window(max(past.start, past.end - 2 * DAY), past.end),
                symbols=wanted,
                columns=["symbol", "component_a", "component_b", "ts", "signal_corr"],
            ),
            ["symbol", "component_a", "component_b"],
        ),
        pairs=_newest(correlations, ["symbol_a", "symbol_b"]),
        correlation=pd.DataFrame(
            {"mean": grouped.mean(), "low": grouped.min(), "high": grouped.max()}
        ).reindex(days),
        breaks=Counter(
            zip(started["symbol_a"].astype(str), started["symbol_b"].astype(str), strict=True)
        ),
        passports=passports_of(database, past.end),
        models=models_of(database, past.end),
        consensus=newest_of(database, "consensus_1h", past, wanted),
        costs=newest_of(database, "execution_quality", past, wanted),
        paper=paper_of(database, past.end),
        events=queries.events(database, past, wanted),
        coverage=queries.coverage(database, past, wanted),
    )


def _components(warehouse: Warehouse, past: Window, symbols: tuple[str, ...]) -> pd.DataFrame:
    """Newest row of each symbol's components of the last day, with the confluence of that hour."""
    lately = Window(max(past.start, past.end - DAY), past.end)
    tails = ("score", "status", "reason")
    newest = _newest(
        warehouse.read(
            "signals.components",
            lately,
            symbols=symbols,
            columns=["symbol", "ts", *(f"{n}_{t}" for n in SINGLE_COMPONENTS for t in tails)],
        ),
        ["symbol"],
    )
    together = warehouse.read(
        "signals.confluence",
        lately,
        symbols=symbols,
        columns=["symbol", "ts", "confluence_score", "confluence_direction", "alignment", "n_eff",
                 "status", "reason"],
    )  # fmt: skip
    return newest.merge(together, on=["symbol", "ts"], how="left")


def write_report(
    path: Path,
    database: Database,
    settings: Settings,
    clock: Clock,
    window: Window,
    *,
    symbols: tuple[str, ...] | None = None,
    label: str | None = None,
) -> Path:
    """Write the report of a window as one HTML file and return its path.

    Args:
        path: the file; its folder is made, an older file is replaced at once, never half.
        database: where the tables are.
        settings: thresholds, weights, symbols.
        clock: says what is past and how old things are.
        window: what to show.
        symbols: which symbols; None takes the configured ones.
        label: the caller's own words for the source of the data.
    """
    return write_page(
        path, render(load(database, settings, clock, window, symbols=symbols, label=label))
    )


def _newest(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """The newest row of each key."""
    return frame.sort_values("ts").groupby(key, sort=True).tail(1).sort_values(key)


def _by_symbol(
    warehouse: Warehouse,
    table: str,
    window: Window,
    symbols: tuple[str, ...],
    columns: list[str],
    bucket: str,
    how: str,
    where: dict[str, str | list[str]] | None = None,
) -> dict[str, dict[str, pd.Series]]:
    frame = warehouse.read(
        table, window, symbols=symbols, columns=["symbol", "ts", *columns], where=where
    )
    groups = dict(list(frame.set_index("ts").groupby("symbol")))
    none = frame.head(0).set_index("ts")
    return {
        s: {c: bucketed(groups.get(s, none)[c], bucket, window, how) for c in columns}
        for s in symbols
    }


def _series(
    warehouse: Warehouse, window: Window, symbols: tuple[str, ...], bucket: str
) -> dict[str, SymbolSeries]:
    def hourly(table: str, *columns: str) -> dict[str, pd.DataFrame]:
        frame = warehouse.read(table, window, symbols=symbols, columns=["symbol", "ts", *columns])
        return {str(s): f for s, f in frame.set_index("ts").groupby("symbol")}

    wide = "1d" if bucket == "4h" and (window.end - window.start) > 120 * 24 * HOUR else bucket
    price = _by_symbol(
        warehouse, "market.candles_1h", window, symbols, ["close"], bucket, "last",
        {"market": "spot"},
    )  # fmt: skip
    forced = _by_symbol(
        warehouse, "market.liquidations_1h", window, symbols,
        ["long_liquidations_usd", "short_liquidations_usd"], wide, "sum",
    )  # fmt: skip
    volatility = hourly("features.volatility_regimes", "vol_regime_confirmed", "vol_ratio_gk")
    regimes = hourly("regimes.timeframe_regimes", "primary_regime")
    prints = hourly("features.funding_prints", "z_score", "is_anomaly")
    cascades = hourly("features.liquidation_cascades", "severity", "dominance", "event_kind")
    empty = pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC"))

    def column(found: dict[str, pd.DataFrame], symbol: str, name: str) -> pd.Series:
        frame = found.get(symbol, empty)
        return frame[name] if name in frame else pd.Series(dtype="object", index=empty.index)

    out = {}
    for symbol in symbols:
        z = column(prints, symbol, "z_score").astype("float64")
        flagged = column(prints, symbol, "is_anomaly").fillna(False).astype(bool)
        kinds = column(cascades, symbol, "event_kind")
        shown = cascades.get(symbol, pd.DataFrame(columns=["severity", "dominance"]))
        out[symbol] = SymbolSeries(
            price=price[symbol]["close"],
            primary=column(regimes, symbol, "primary_regime"),
            volatility=column(volatility, symbol, "vol_regime_confirmed"),
            vol_ratio=bucketed(
                column(volatility, symbol, "vol_ratio_gk").astype("float64"), bucket, window, "max"
            ),
            funding_z=z,
            anomalies=z[flagged & z.notna()],
            longs=forced[symbol]["long_liquidations_usd"],
            shorts=forced[symbol]["short_liquidations_usd"],
            cascades=shown[kinds.isin(["start", "escalation"])] if len(kinds) else shown,
        )
    return out
