"""The stored-table suites: what makes them fail, and that a person finds the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.orchestration.checks import CHECKS
from regime_pipeline.orchestration.jobs import quality
from regime_pipeline.orchestration.partitions import range_tags
from regime_pipeline.orchestration.quality import CHECK_NAME
from regime_pipeline.orchestration.resources import Platform, platform_resource
from regime_pipeline.orchestration.suites import (
    DAYS,
    SUITES,
    Declared,
    ExpectationCrash,
    Judged,
    Suite,
    judge,
)
from regime_pipeline.windows import DAY, FixedClock, Grid, Window, hours_between
from regime_pipeline_tests.orchestration.conftest import NOW, raw_candles

START = NOW - DAYS * DAY


def evaluate(platform: Platform) -> dict[str, dg.AssetCheckEvaluation]:
    definitions = build_definitions(
        assets=pipeline_assets(),
        resources={"platform": platform_resource(platform)},
        jobs=[quality],
        schedules=(),
        sensors=(),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("quality").execute_in_process(
            instance=instance, tags=range_tags(Window(START, NOW))
        )
    assert done.success
    found = [e for e in done.get_asset_check_evaluations() if e.check_name != CHECK_NAME]
    return {e.check_name: e for e in found}


def candles(platform: Platform, *, without: slice = slice(0, 0)) -> pd.DataFrame:
    stamps = hours_between(START, NOW)
    parts = []
    for market in ("perp", "spot"):
        for symbol in platform.settings.universe:
            close = 100.0 + np.arange(len(stamps)) % 7
            parts.append(
                pd.DataFrame(
                    {
                        "market": market,
                        "symbol": symbol,
                        "ts": stamps,
                        "venue": "binance",
                        "open": close,
                        "high": close,
                        "low": close,
                        "close": close,
                        "volume_base": 1.0,
                        "status": "ok",
                        "source_tier": 1,
                        "method_version": "test",
                    }
                ).drop(range(len(stamps))[without])
            )
    frame = pd.concat(parts, ignore_index=True)
    item = table("market.candles_1h")
    for name in set(item.content) - set(frame.columns):
        frame[name] = empty(item)[name].reindex(frame.index)
    return conform(frame, item)


@pytest.mark.slow
def test_nothing_stored_fails_every_check_and_says_so(platform: Platform) -> None:
    found = evaluate(platform)
    assert set(found) == {s.name for d in CHECKS for s in d.check_specs}
    assert not any(e.passed for e in found.values())
    assert all("no rows" in str(e.metadata["reason"].value) for e in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("hole", [slice(0, 0), slice(5, 6)])
def test_one_missing_hour_fails_completeness(
    platform: Platform, hole: slice, caplog: pytest.LogCaptureFixture
) -> None:
    platform.warehouse.merge("market.candles_1h", candles(platform, without=hole))
    found = evaluate(platform)["complete_against_the_calendar"]
    assert found.passed is (hole == slice(0, 0))
    page = str(found.metadata["page"].value)
    with open(page) as text:
        assert "expectation" in text.read().lower()
    assert "invalid value" not in caplog.text  # a number that the page could not show


def test_a_suite_that_crashes_is_an_error_and_no_bad_data(
    platform: Platform, tmp_path: Path
) -> None:
    import great_expectations as gx

    e = gx.expectations
    frame = pd.DataFrame({"ts": pd.date_range("2024-01-01", periods=3, tz="UTC"), "x": [1, 2, 3]})

    def judged(expectation: Any) -> Judged:
        declared = Declared("raw.x", "planted", lambda *_: Suite(frame, [expectation]))
        return judge(platform, [declared], tmp_path / "docs")[0]

    absent = e.ExpectColumnMeanToBeBetween(column="y", min_value=0)
    naive = e.ExpectColumnValuesToBeBetween(column="ts", min_value=pd.Timestamp("2024-01-01"))
    for crashing in (absent, naive):
        with pytest.raises(ExpectationCrash, match="expect_column"):
            judged(crashing)
    assert not (tmp_path / "docs").exists()
    unmet = judged(e.ExpectColumnMeanToBeBetween(column="x", max_value=1))
    assert not unmet.holds
    page = (tmp_path / "docs" / "index.html").read_text()
    assert unmet.page is not None and str(unmet.page.relative_to(tmp_path / "docs")) in page
    assert "mean" in unmet.page.read_text()


@pytest.mark.slow
def test_of_data_that_nobody_adds_to_the_last_stored_week_is_judged(
    platform: Platform, tmp_path: Path
) -> None:
    platform.warehouse.merge("market.candles_1h", candles(platform))
    platform.clock = FixedClock(NOW + 90 * DAY)
    (found,) = judge(platform, SUITES[:1], tmp_path / "docs")
    assert found.window == Window(START, NOW)
    assert found.holds, found.expectations


@pytest.mark.slow
def test_one_venue_and_a_young_history_are_nothing_to_judge(platform: Platform) -> None:
    platform.warehouse.merge("raw.candles", raw_candles(START, NOW))
    grid = Grid.of(Window(START, NOW), platform.settings.universe)
    young = volatility_regimes(
        candles(platform), grid=grid, params=platform.settings.params.volatility
    )
    platform.warehouse.merge("features.volatility_regimes", young)
    found = evaluate(platform)
    for name, why in (
        ("venues_agree", "nothing to compare"),
        ("volatility_stays_in_range", "insufficient history"),
    ):
        assert found[name].passed and why in str(found[name].metadata["reason"].value)
