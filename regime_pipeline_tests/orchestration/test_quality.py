"""Blocking before publishing: what is withheld, what is published beside it, how it is mended."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.orchestration import quality
from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.orchestration.derived import asset_of
from regime_pipeline.orchestration.jobs import derived_chain
from regime_pipeline.orchestration.metadata import RUN_COUNTS
from regime_pipeline.orchestration.partitions import DAILY, day_key, range_tags
from regime_pipeline.orchestration.resources import Platform, Scope, platform_resource
from regime_pipeline.quality import evaluate
from regime_pipeline.quality.model import WHOLE_TABLE
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, utc
from regime_pipeline_tests.orchestration.conftest import (
    NOW,
    SYMBOLS,
    raw_candles,
    raw_funding,
    run_assets,
)

WINDOW = Window(NOW - 2 * DAY, NOW)
SPIKE = NOW - 30 * HOUR
RAW = ("candles", "funding_rates", "funding_predictions")
BLOCKED, CHECKED, SCORED = "ops.quality_blocks", "ops.quality_checks", "ops.quality_scores"


def fill(platform: Platform, candles: pd.DataFrame) -> None:
    platform.warehouse.merge("raw.candles", candles)
    platform.warehouse.merge("raw.funding_rates", raw_funding(NOW - 12 * DAY, NOW))


@pytest.fixture
def candles() -> pd.DataFrame:
    """Twelve days; the perpetual moves with the spot market, as it does."""
    frame = raw_candles(NOW - 12 * DAY, NOW)
    spot = frame[frame["market"] == "spot"]
    return pd.concat(
        [spot, spot.assign(market="perp", source="binance_futures")], ignore_index=True
    )


def spiked(candles: pd.DataFrame, factor: float = 100.0) -> pd.DataFrame:
    """One candle of BTC's spot series is off by a factor."""
    out = candles.copy()
    hit = (
        (out["symbol"] == "BTC/USDT")
        & (out["market"] == "spot")
        & (out["ts"] == pd.Timestamp(SPIKE))
    )
    assert hit.sum() == 1
    out.loc[hit, ["open", "high", "low", "close"]] *= factor
    return out


def derive(platform: Platform, window: Window = WINDOW, **more: Any) -> dg.ExecuteInProcessResult:
    raws = [dg.AssetSpec(["raw", n], partitions_def=DAILY) for n in RAW]
    chain = [quality.quality_blocks, asset_of("market.candles_1h"), asset_of("market.funding")]
    given = [dg.AssetsDefinition(specs=[s.with_io_manager_key("warehouse_io")]) for s in raws]
    return run_assets(platform, [*given, *chain], window, **more)


def candle(platform: Platform, at=SPIKE, symbol: str = "BTC/USDT", which: str = "spot"):
    rows = platform.warehouse.read("market.candles_1h", Window(at, at + HOUR))
    (row,) = rows[(rows["symbol"] == symbol) & (rows["market"] == which)].to_dict("records")
    return row


@pytest.mark.slow
def test_fault_26_a_hundredfold_candle_is_stored_and_only_its_hour_withheld(
    platform: Platform, candles: pd.DataFrame
) -> None:
    fill(platform, candles)
    derive(platform)
    clean = platform.warehouse.read("market.candles_1h")
    fill(platform, spiked(candles))
    derive(platform)
    assert candle(platform)["status"] == "quarantined"
    assert candle(platform)["reason"] == "DQ05"
    assert pd.isna(candle(platform)["close"])
    now = platform.warehouse.read("market.candles_1h")
    content = list(table("market.candles_1h").content)
    same = ~(
        (now["symbol"] == "BTC/USDT")
        & (now["market"] == "spot")
        & (now["ts"] == pd.Timestamp(SPIKE))
    )
    pd.testing.assert_frame_equal(now.loc[same, content], clean.loc[same, content])
    raw = platform.warehouse.read("raw.candles", Window(SPIKE, SPIKE + HOUR))
    assert raw["close"].max() > 1000  # ingestion is not stopped
    (block,) = platform.warehouse.read(BLOCKED).to_dict("records")
    assert (block["symbol"], block["market"], block["ts"]) == ("BTC/USDT", "spot", SPIKE)


@pytest.mark.slow
def test_a_mended_row_is_published_by_the_next_run(
    platform: Platform, candles: pd.DataFrame
) -> None:
    fill(platform, spiked(candles))
    derive(platform)
    assert candle(platform)["status"] == "quarantined"
    fill(platform, candles)
    derive(platform)
    assert candle(platform)["status"] == "ok"
    assert platform.warehouse.read(BLOCKED).empty


@pytest.mark.slow
def test_an_open_bar_is_withheld_even_when_the_reply_it_came_from_is_not_kept(
    settings: Settings, database: Database, candles: pd.DataFrame
) -> None:
    """The last bar is stored half an hour before it closes; nobody can ask the provider's clock."""
    early = Platform(settings, FixedClock(NOW - HOUR / 2), database)
    fill(early, candles)
    late = Platform(settings, FixedClock(NOW), database)
    derive(late)
    blocks = late.warehouse.read(BLOCKED)
    assert set(blocks["check_id"]) == {"DQ08"}
    assert set(blocks["ts"]) == {pd.Timestamp(NOW - HOUR)}
    assert candle(late, at=NOW - HOUR)["reason"] == "DQ08"
    assert candle(late, at=NOW - 2 * HOUR)["status"] == "ok"


@pytest.mark.slow
def test_days_and_ranges_withhold_the_same_and_a_second_run_changes_nothing(
    platform: Platform, candles: pd.DataFrame
) -> None:
    fill(platform, spiked(candles))
    names = [BLOCKED, "market.candles_1h"]
    derive(platform)
    whole = [platform.warehouse.content_hash(n) for n in names]
    for day in WINDOW.days():
        derive(platform, Window(day, day + DAY))
    assert [platform.warehouse.content_hash(n) for n in names] == whole
    again = derive(platform)
    last = f"{WINDOW.days()[-1]:%Y-%m-%d}"
    told = [
        event.materialization.metadata
        for event in again.get_asset_materialization_events()
        if event.materialization.partition == last  # the other days' events say nothing of the run
    ]
    assert len(told) == 3
    for counts in told:
        assert counts[RUN_COUNTS].value["rows inserted"] == 0
        assert counts[RUN_COUNTS].value["rows updated"] == 0


@pytest.mark.slow
def test_a_series_that_died_keeps_failing_while_coverage_expects_its_rows(
    platform: Platform, candles: pd.DataFrame
) -> None:
    died = NOW - 8 * DAY
    eth = candles["symbol"].eq("ETH/USDT") & candles["market"].eq("spot")
    fill(platform, candles[~(eth & (candles["ts"] >= pd.Timestamp(died)))])

    def judged() -> tuple[pd.DataFrame, pd.Series]:
        seen = quality.read_evidence(platform, WINDOW)
        params = platform.settings.params.quality
        checks, scores = evaluate.findings(seen, WINDOW, NOW, params)
        mine = scores[scores["table_name"].eq("raw.candles")].set_index("ts")["quality_score"]
        failed = checks[checks["check_id"].eq("DQ15") & checks["check_outcome"].eq("failed")]
        return failed[failed["series"].str.contains("ETH")], mine

    before, score = judged()
    assert before.empty
    span = pd.DataFrame(
        {
            "dataset": "candles", "source": "binance", "venue": "binance", "market": "spot",
            "symbol": "ETH/USDT", "span_start": [died], "span_end": [NOW],
            "coverage_state": "missed", "coverage_reason": "failed: Transient",
            "is_forward_only": False,
        }
    )  # fmt: skip
    platform.warehouse.record("ops.coverage_spans", span)
    after, lower = judged()
    assert after["table_name"].eq("raw.candles").all()
    assert after["measured_value"].tolist() == [7 * 24.0, 8 * 24.0]
    assert after["check_severity"].eq("BLOCK").all()
    assert (lower < score).all()


def test_each_day_gets_its_own_verdict_and_a_long_run_tells_old_days_that_fail() -> None:
    days = Window(NOW - 30 * DAY, NOW).days()
    outcomes = {day: "passed" for day in days} | {days[3]: "failed", days[28]: "failed"}
    outcomes[days[29]] = "not_applicable"
    found = pd.DataFrame(
        {
            "table_name": "raw.candles",
            "check_id": "DQ05",
            "series": WHOLE_TABLE,
            "ts": pd.DatetimeIndex(outcomes),
            "check_severity": "BLOCK",
            "check_outcome": list(outcomes.values()),
            "n_judged": 24,
            "n_failed": 1,
            "n_withheld": 0,
            "failing_keys": None,
            "reason": [None] * 29 + ["nothing to compare"],
        }
    )
    window = Window(NOW - 30 * DAY, NOW)
    told = {v.partition: v for v in quality.verdicts(found, "raw.candles", window)}
    assert list(told) == [day_key(d) for d in [days[3], *days[23:29]]]
    assert [day for day, v in told.items() if not v.passed] == [day_key(days[3]), day_key(days[28])]
    of_last = found[found["ts"] == days[29]]
    why = quality.unjudged(of_last, "raw.candles", window)
    assert (why.partition, why.metadata["why"].value) == (day_key(days[29]), "nothing to compare")


@pytest.mark.slow
def test_a_block_of_one_symbol_stays_when_another_is_computed(
    platform: Platform, candles: pd.DataFrame
) -> None:
    fill(platform, spiked(candles))
    derive(platform)
    derive(platform, scope=Scope(symbols=["ETH/USDT"]))
    assert len(platform.warehouse.read(BLOCKED)) == 1
    assert candle(platform)["status"] == "quarantined"


@pytest.mark.slow
def test_fault_83_what_is_made_of_a_withheld_hour_says_so_and_the_rest_is_published(
    platform: Platform, candles: pd.DataFrame
) -> None:
    definitions = build_definitions(
        assets=pipeline_assets(),
        resources={"platform": platform_resource(platform)},
        jobs=[derived_chain],
        schedules=(),
        sensors=(),
    )
    fill(platform, spiked(candles))
    bad = raw_funding(NOW - 12 * DAY, NOW)
    at = NOW - 32 * HOUR
    bad.loc[(bad["symbol"] == "SOL/USDT") & (bad["ts"] == at), "funding_rate"] = 0.5
    platform.warehouse.merge("raw.funding_rates", bad)

    def run() -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            done = definitions.resolve_job_def("derived_chain").execute_in_process(
                instance=instance,
                tags=range_tags(WINDOW),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        assert done.success
        return done

    done = run()
    rows = platform.warehouse.read("regimes.timeframe_regimes", Window(SPIKE, SPIKE + HOUR))
    by_symbol = rows.set_index("symbol")
    assert by_symbol.loc["BTC/USDT", "status"] == "quarantined"
    assert by_symbol.loc["BTC/USDT", "reason"] == "DQ05"
    assert by_symbol.loc["ETH/USDT", "status"] != "quarantined"
    prints = platform.warehouse.read("market.funding", Window(at, at + HOUR))
    assert set(prints["symbol"]) == set(SYMBOLS) - {"SOL/USDT"}

    told = {
        (e.asset_key.to_user_string(), e.partition): e for e in done.get_asset_check_evaluations()
    }
    found = told["raw/candles", day_key(SPIKE)]
    assert told["raw/candles", day_key(SPIKE + DAY)].passed
    assert (found.check_name, found.passed) == ("data_quality", False)
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert "DQ05" in str(found.metadata["failing checks"].value)
    assert any(r.data["check"] == "DQ05" for r in found.metadata["failing rows"].records)
    assert told["raw/funding_rates", day_key(at)].severity is dg.AssetCheckSeverity.ERROR
    assert "raw/order_book" not in {name for name, _ in told}  # nothing was judged: that is no pass
    observed = {
        e.asset_observation_data.asset_observation.asset_key.to_user_string(): e
        for e in done.all_events
        if e.event_type is dg.DagsterEventType.ASSET_OBSERVATION
    }
    why = observed["raw/order_book"].asset_observation_data.asset_observation.metadata["why"]
    assert why.value

    checks = platform.warehouse.read(CHECKED)
    score = platform.warehouse.read(SCORED).set_index(["table_name", "ts"])
    day = pd.Timestamp(utc("2024-03-08"))
    assert score.loc[("raw.candles", day), "quality_score"] < 100
    assert "DQ05" in score.loc[("raw.candles", day), "failing_checks"]
    assert score.loc[("raw.candles", day), "n_block"] >= 1
    assert pd.isna(score.loc[("raw.order_book", day), "quality_score"])
    run()  # unchanged data
    pd.testing.assert_frame_equal(
        platform.warehouse.read(CHECKED).drop(columns="run_id"), checks.drop(columns="run_id")
    )
    assert (platform.warehouse.read(CHECKED)["run_id"] == checks["run_id"]).all()


@pytest.mark.slow
def test_restatements_are_read_from_the_replaced_versions(
    platform: Platform, candles: pd.DataFrame
) -> None:
    fill(platform, candles)
    fill(platform, spiked(candles, 1.01))
    seen = quality.read_evidence(platform, WINDOW)
    versions = seen.versions["raw.candles"]
    assert versions["revision"].tolist() == [0, 1]
    checks, _ = quality.evaluate.findings(
        seen, WINDOW, platform.clock.now(), platform.settings.params.quality
    )
    (row,) = checks[
        (checks["check_id"] == "DQ14")
        & (checks["check_outcome"] == "failed")
        & (checks["series"] == "*")
    ].to_dict("records")
    assert row["measured_value"] == pytest.approx(100)  # 1 % in units of 1 bp
    assert "BTC/USDT" in row["failing_keys"]
