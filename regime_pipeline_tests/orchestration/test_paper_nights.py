"""Nights on PostgreSQL: paper goes on from the stored state; one that failed is made up for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.orchestration.training import unjudged
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, FixedClock, Window, hours_between, utc
from regime_pipeline_tests.orchestration.conftest import SYMBOLS, a_night, settings_for
from regime_pipeline_tests.synthetic import filled, long

NIGHT = Window(utc("2024-06-01"), utc("2024-06-02"))
NEXT = Window(NIGHT.end, NIGHT.end + DAY)
BEGAN = NIGHT.start - 36 * DAY


@pytest.mark.slow
def test_the_second_night_goes_on_from_the_first_and_needs_a_month(
    database: Database, tmp_path: Path
) -> None:
    settings = settings_for(database, tmp_path)
    platform = Platform(settings, FixedClock(NEXT.end), database)
    hours = hours_between(BEGAN, NEXT.end)
    steps = np.random.default_rng(1).normal(0, 5e-3, (len(hours), len(SYMBOLS)))
    close = 100.0 * np.exp(np.cumsum(steps, axis=0))
    bars = long(SYMBOLS, hours, market="perp", venue="okx", close=close, source_tier=1)
    name = "market.candles_1h"
    whole = Window(BEGAN, NEXT.end)
    platform.warehouse.merge(name, filled(name, bars), window=whole, symbols=SYMBOLS)
    report, _ = a_night(database, tmp_path, NIGHT, "signals/strategies")
    assert [run.error for run in report.runs] == [None]
    # hours that only a walk from the first price would look at
    before = Window(BEGAN, NIGHT.end - 33 * DAY)
    platform.warehouse.merge(name, filled(name, bars.head(0)), window=before, symbols=SYMBOLS)
    report, _ = a_night(database, tmp_path, NEXT, "signals/strategies")
    assert [run.error for run in report.runs] == [None]
    rows = platform.warehouse.read("signals.strategies")
    assert rows.groupby("strategy")["paper_days"].agg(list).tolist() == [[37, 38]] * 2
    assert set(rows["inception_at"]) == {pd.Timestamp(BEGAN)}


def test_a_night_that_failed_is_made_up_for_by_the_next(database: Database, tmp_path: Path) -> None:
    platform = Platform(settings_for(database, tmp_path), FixedClock(NEXT.end), database)
    today = NEXT.end
    assert unjudged(platform, today) == Window(today - DAY, today)  # nothing was ever judged
    last = today - 3 * DAY
    ts = pd.Timestamp(last) + pd.Timedelta("23h")
    row = filled("signals.strategies", pd.DataFrame({"ts": [ts], "strategy": "x", "status": "ok"}))
    platform.warehouse.merge("signals.strategies", row, window=Window(last, last + DAY))
    assert unjudged(platform, today) == Window(today - 2 * DAY, today)
    assert unjudged(platform, today + 9 * DAY) == Window(today + 8 * DAY, today + 9 * DAY)
