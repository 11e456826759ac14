"""A threshold changed over a year of eight symbols: processor seconds, and whether brute force says the same.

One threshold of every table that events are made of, each changed alone. Recorded market tables
(``REGIME_MARKET_HISTORY``) lie in a throw-away database with the events that were announced of them. The
replay reads and computes only what the threshold touches; brute force computes the whole history in memory
under the new threshold.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from benchmarks import processes
from benchmarks.common import line
from benchmarks.worlds import RECORDED, recorded
from regime_pipeline.windows import FixedClock, Window, utc

YEAR = Window(utc("2024-01-01"), RECORDED.end)
CHANGED = {
    "features.liquidation_cascades": ("CASCADES__CASCADE_THRESHOLD_USD", "5000000"),
    "features.funding_prints": ("FUNDING__ANOMALY_Z_THRESHOLD", "2.5"),
    "features.volatility_regimes": ("VOLATILITY__BORDERS", "[1.0, 2.2, 3.0]"),
    "regimes.timeframe_regimes": ("TIMEFRAMES__TREND_Z_MIN", "1.2"),
    "correlation.correlation_breaks": ("CORRELATION__P_BREAK_MAX", "0.005"),
}
"""Another threshold of each table that events are made of."""
BUDGET_S = 90.0


def run() -> None:
    """The figures, and the number of rows by which the two differ."""
    from regime_pipeline.alerts.events import LOOKBACK, market_events
    from regime_pipeline.catalogue.derivation import derivations
    from regime_pipeline.orchestration.derived import Run
    from regime_pipeline.orchestration.what_if import SAME_EVENT, TOLD, replay, with_thresholds
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer
    from regime_pipeline.storage.warehouse import Warehouse
    from regime_pipeline_tests.recordings import MARKET_HISTORY

    processes.adopt_orphans()
    history = recorded(MARKET_HISTORY)
    clock = FixedClock(RECORDED.end)
    maker = {name: what for what in derivations() for name in what.tables if name in LOOKBACK}
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as folder:
        settings = Settings(_env_file=None, home=Path(folder), symbols=history.symbols)
        try:
            database = open_database(settings, origin="live")
            warehouse = Warehouse(database, clock)
            for name in ("candles_1h", "funding", "liquidations_1h", "open_interest"):
                warehouse.merge(f"market.{name}", getattr(history, name))

            def brute(name: str, under: Settings) -> pd.DataFrame:
                """The whole history of a table."""
                what = maker[name]
                frames = {
                    parameter: warehouse.read(
                        one.table,
                        where={k: v for k, v in one.where.items() if isinstance(v, str)},
                        columns=one.columns,
                    )
                    for parameter, one in what.inputs.items()
                }
                ran = Run(under, RECORDED, history.symbols)
                rows = what.function(**frames, **ran.arguments(what))
                frame: pd.DataFrame = (
                    rows[what.tables.index(name)] if isinstance(rows, tuple) else rows
                )
                return frame

            def events(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
                found = market_events(**{n.split(".")[1]: frame for n, frame in rows.items()})
                return found[found["ts"] >= pd.Timestamp(YEAR.start)].reset_index(drop=True)

            stored = {name: brute(name, settings) for name in CHANGED}
            for name, rows in stored.items():
                warehouse.merge(name, rows)
            told = events(stored)
            warehouse.merge("alerts.market_events", told, mode="insert")
            for name, (threshold, text) in CHANGED.items():
                changed = with_thresholds(settings, {f"REGIME_PARAMS__{threshold}": text})
                began, before = time.perf_counter(), processes.spent_s()
                found = replay(settings, changed, database, clock, YEAR)
                took = time.perf_counter() - began
                cpu = processes.difference_s(before, processes.spent_s())
                columns = [*SAME_EVENT, *TOLD]
                wanted = events({**stored, name: brute(name, changed)})[columns]
                ours = pd.concat([found.same, found.changed, found.new])[columns]
                both = ours.astype(str).merge(wanted.astype(str), how="outer", indicator=True)
                line(
                    "what_if",
                    f"{threshold} over a year of {len(history.symbols)} symbols",
                    cpu_s=cpu["total"],
                    own_cpu_s=cpu["own"],
                    clock_s=took,
                    budget_s=BUDGET_S,
                    events=len(wanted),
                    announced=len(told),
                    otherwise=len(found.new) + len(found.gone) + len(found.changed),
                    differing=int((both["_merge"] != "both").sum()),
                )
            database.close()
        finally:
            EmbeddedServer(Path(folder)).stop()


if __name__ == "__main__":
    run()
