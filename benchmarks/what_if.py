"""A threshold changed over a year of eight symbols: processor seconds, and whether brute force says the same.

Recorded prices (``REGIME_MARKET_HISTORY``) lie in a throw-away database with the events that were
announced of them. The replay reads and computes only what the threshold touches; brute force computes the
whole history in memory under the new threshold.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.common import line
from benchmarks.worlds import RECORDED, recorded
from regime_pipeline.windows import FixedClock, Grid, Window, utc

YEAR = Window(utc("2024-01-01"), RECORDED.end)
CHANGED = {"REGIME_PARAMS__VOLATILITY__BORDERS": "[1.0, 2.2, 3.0]"}
BUDGET_S = 90.0


def run() -> None:
    """The figure, and the number of rows by which the two differ."""
    from regime_pipeline.alerts.events import market_events
    from regime_pipeline.features.volatility_regimes import volatility_regimes
    from regime_pipeline.orchestration.what_if import SAME_EVENT, TOLD, replay, with_thresholds
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer
    from regime_pipeline.storage.warehouse import Warehouse
    from regime_pipeline_tests.recordings import MARKET_HISTORY

    history = recorded(MARKET_HISTORY)
    clock, grid = FixedClock(RECORDED.end), Grid.of(RECORDED, history.symbols)
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as folder:
        settings = Settings(_env_file=None, home=Path(folder), symbols=history.symbols)
        try:
            database = open_database(settings, origin="live")
            warehouse = Warehouse(database, clock)
            spot = history.candles_1h[history.candles_1h["market"] == "spot"]
            warehouse.merge("market.candles_1h", spot.reset_index(drop=True))
            candles = warehouse.read("market.candles_1h")
            rows = volatility_regimes(candles, grid=grid, params=settings.params.volatility)
            warehouse.merge("features.volatility_regimes", rows)
            told = market_events(volatility_regimes=rows)
            told = told[told["ts"] >= pd.Timestamp(YEAR.start)].reset_index(drop=True)
            warehouse.merge("alerts.market_events", told, mode="insert")
            changed = with_thresholds(settings, CHANGED)
            began, spent = time.perf_counter(), time.process_time()
            found = replay(settings, changed, database, clock, YEAR)
            took, cpu = time.perf_counter() - began, time.process_time() - spent
            brute = market_events(
                volatility_regimes=volatility_regimes(
                    candles, grid=grid, params=changed.params.volatility
                )
            )
            database.close()
        finally:
            EmbeddedServer(Path(folder)).stop()
    names = [*SAME_EVENT, *TOLD]
    wanted = brute.loc[brute["ts"] >= pd.Timestamp(YEAR.start), names]
    ours = pd.concat([found.same, found.changed, found.new])[names]
    both = ours.astype(str).merge(wanted.astype(str), how="outer", indicator=True)
    line(
        "what_if",
        "one threshold over a year of eight symbols",
        cpu_s=cpu,
        clock_s=took,
        budget_s=BUDGET_S,
        events=len(wanted),
        announced=len(told),
        differing=int((both["_merge"] != "both").sum()),
        symbols=len(history.symbols),
    )


if __name__ == "__main__":
    run()
