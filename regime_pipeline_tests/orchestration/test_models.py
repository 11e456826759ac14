"""Models are trained in partitions of months, noted as trials first, and judged night by night."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from regime_pipeline.orchestration.derived import asset_of
from regime_pipeline.orchestration.partitions import COMPUTE, MONTHLY, month_tags
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.orchestration.training import untrained
from regime_pipeline.research.models import MODELS
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import FixedClock, Window, hours_between, utc
from regime_pipeline_tests.orchestration.conftest import SYMBOLS, a_night, settings_for
from regime_pipeline_tests.synthetic import frame_of

NIGHT = Window(utc("2024-06-30"), utc("2024-07-01"))


def test_the_registry_is_made_in_months_and_any_range_of_them_in_one_run() -> None:
    asset = asset_of("signals.models")
    assert asset.partitions_def is MONTHLY
    assert asset.backfill_policy is COMPUTE
    keys = MONTHLY.get_partition_keys(current_time=utc("2024-05-02 10:40"))
    assert (keys[0], keys[-1]) == ("2019-09-01", "2024-05-01")
    months = Window(utc("2024-04-30"), utc("2024-06-01"))
    assert sorted(month_tags(months).values()) == ["2024-04-01", "2024-05-01"]


def test_a_day_is_given_the_registry_whose_months_are_partitions() -> None:
    mapping = dg.TimeWindowPartitionMapping()
    days = asset_of("signals.model_performance").partitions_def
    assert days is not None
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        days.subset_with_partition_keys(["2024-06-30"]), days, MONTHLY
    )
    assert list(found.partitions_subset.get_partition_keys()) == ["2024-06-01"]


@pytest.mark.slow
def test_a_month_writes_its_trials_first_and_then_a_row_of_every_model(
    database: Database, tmp_path: Path
) -> None:
    select = "signals/models,signals/model_performance"
    report, platform = a_night(database, tmp_path, NIGHT, select)
    assert [(r.job, r.error) for r in report.runs] == [("training", None), ("research", None)]
    trials = platform.warehouse.read("signals.trials")
    assert (trials["trial_kind"] == "model").sum() == len(MODELS)
    registry = platform.warehouse.read("signals.models")
    assert set(registry["model"]) == {m.name for m in MODELS}
    assert set(registry["status"]) == {"insufficient_history"}
    assert (
        registry["model_parameters"].isna().all()
    )  # nothing is stored, and nothing stands in for it
    judged = platform.warehouse.read("signals.model_performance")
    whole = judged[(judged["symbol"] == "*") & (judged["passport_regime"] == "*")]
    assert set(whole["status"]) == {"missing"}
    assert not whole["is_published"].any()
    said = platform.warehouse.read("signals.model_predictions")
    assert len(said) == 24 * len(MODELS) * len(SYMBOLS)
    assert set(said["reason"]) == {"no_model"}


@pytest.mark.slow
def test_the_months_that_lack_a_model_are_those_that_have_ended_and_hold_bars(
    database: Database, tmp_path: Path
) -> None:
    settings = settings_for(database, tmp_path)
    platform = Platform(settings, FixedClock(utc("2024-07-02")), database)
    assert untrained(platform, utc("2024-07-02")) is None  # no bars
    hours = hours_between(utc("2024-04-20"), utc("2024-04-21"))
    bars = frame_of(
        "market.candles_1h",
        **{"market": "perp", "symbol": "BTC/USDT", "ts": hours, "venue": "binance"},
        **dict.fromkeys(("open", "high", "low", "close"), 1.0),
    )
    platform.warehouse.merge("market.candles_1h", bars, mode="upsert")
    months = Window(utc("2024-04-01"), utc("2024-07-01"))
    assert untrained(platform, utc("2024-07-02")) == months
    assert untrained(platform, utc("2024-06-30")) == Window(months.start, utc("2024-06-01"))
