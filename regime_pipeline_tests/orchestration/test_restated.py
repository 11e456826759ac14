"""Restated raw rows: what is derived again, and that it is exactly what depends on them."""

from __future__ import annotations

from datetime import datetime, timedelta

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from regime_pipeline.catalogue.lineage import Edge, Lineage, stored
from regime_pipeline.orchestration import restated
from regime_pipeline.orchestration.assets.raw import ASSETS as RAW_ASSETS
from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.orchestration.derived import asset_key, asset_of
from regime_pipeline.orchestration.jobs import APART_TABLES
from regime_pipeline.orchestration.partitions import run_window
from regime_pipeline.orchestration.resources import Platform, platform_resource
from regime_pipeline.storage.query import rows
from regime_pipeline.windows import DAY, HOUR, Window, utc
from regime_pipeline_tests.orchestration.conftest import raw_candles, run_assets

START, END = utc("2024-03-07"), utc("2024-03-10")
HOUR_MENDED = START + 30 * HOUR


class Going:
    """A clock that runs in the eyes of the code; put forward by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def definitions(platform: Platform) -> dg.Definitions:
    return build_definitions(
        assets=pipeline_assets(), resources={"platform": platform_resource(platform)}, jobs=None
    )


def looked(
    platform: Platform, cursor: str | None, instance: dg.DagsterInstance | None = None
) -> SensorExecutionData:
    with (
        dg.DagsterInstance.ephemeral() as nothing,
        dg.build_sensor_context(
            cursor=cursor,
            instance=instance or nothing,
            resources={"platform": platform_resource(platform)},
            repository_def=definitions(platform).get_repository_def(),
        ) as context,
    ):
        return restated.restated_rows.evaluate_tick(context)


def mended(platform: Platform, candles: pd.DataFrame, run_id: str | None = None) -> None:
    """One hour of BTC's spot candles is another one now."""
    one = candles[
        (candles["ts"] == HOUR_MENDED)
        & (candles["symbol"] == "BTC/USDT")
        & (candles["market"] == "spot")
    ]
    platform.warehouse.merge(
        "raw.candles", one.assign(high=one["high"] * 1.01).reset_index(drop=True), run_id=run_id
    )


@pytest.mark.slow
def test_a_restated_candle_is_derived_again_once_and_changes_only_what_depends_on_it(
    platform: Platform,
) -> None:
    clock = platform.clock = platform.warehouse.clock = Going(END + 5 * HOUR)
    candles = raw_candles(START, END)
    platform.warehouse.merge("raw.candles", candles)
    fetched = next(a for a in RAW_ASSETS if asset_key("raw.candles") in a.keys)
    chain = [*fetched.to_source_assets()]
    chain += [asset_of("market.candles_1h"), asset_of("market.candles_resampled")]
    run_assets(platform, chain, Window(START, END))
    first = looked(platform, None)
    assert not first.run_requests

    clock.at += 10 * timedelta(minutes=1)
    mended(platform, candles)
    clock.at += timedelta(minutes=1)
    found = looked(platform, first.cursor)
    (request,) = found.run_requests
    assert run_window(request.tags) == Window(utc("2024-03-08"), utc("2024-03-11"))
    assert request.tags[restated.RESTATED_TAG] == "raw.candles"
    selected = {"/".join(k.path) for k in request.asset_selection}
    assert {"market/candles_1h", "features/volatility_regimes", "reporting/hourly"} <= selected
    assert not {"market/fear_greed", "reporting/positioning_ohlc", "raw/candles"} & selected
    assert not looked(platform, found.cursor).run_requests

    run_assets(platform, chain, run_window(request.tags))
    changed = "select symbol, market, ts from market.candles_1h_revisions"
    assert [tuple(r.values()) for r in rows(platform.database, changed)] == [
        ("BTC/USDT", "spot", pd.Timestamp(HOUR_MENDED))
    ]
    bars = rows(
        platform.database,
        "select symbol, timeframe, bar_open, ts from market.candles_resampled_revisions",
    )
    assert {b["symbol"] for b in bars} == {"BTC/USDT"}
    assert all(b["bar_open"] <= HOUR_MENDED <= b["ts"] for b in bars)
    said = rows(
        platform.database,
        "select count(*) as n from reporting.restatements where table_name = 'market.candles_1h'",
    )
    assert said == [{"n": 1}]


@pytest.mark.slow
def test_a_run_that_derives_what_it_fetched_is_left_alone(platform: Platform) -> None:
    clock = platform.clock = platform.warehouse.clock = Going(END + 5 * HOUR)
    candles = raw_candles(START, END)
    platform.warehouse.merge("raw.candles", candles)
    cursor = clock.at.isoformat()
    clock.at += timedelta(minutes=1)
    with dg.DagsterInstance.ephemeral() as instance:
        for name, tags, wanted in (
            ("hourly_tick", {}, 0),
            ("raw_fetch", {"regime/gap": "fetch"}, 0),
            ("raw_fetch", {}, 1),
        ):
            run = instance.create_run_for_job(
                empty_job(name), tags=tags, status=dg.DagsterRunStatus.SUCCESS
            )
            candles["high"] *= 1.001
            mended(platform, candles, run_id=run.run_id)
            clock.at += timedelta(minutes=1)
            found = looked(platform, cursor, instance)
            assert len(found.run_requests or []) == wanted, (name, tags)
            cursor = found.cursor


def empty_job(name: str) -> dg.JobDefinition:
    @dg.op
    def nothing() -> None:
        return None

    return dg.GraphDefinition(name=name, node_defs=[nothing]).to_job()


def test_what_the_sensor_asks_for_is_what_its_job_has(platform: Platform) -> None:
    known = definitions(platform).resolve_job_def("recompute").asset_layer.executable_asset_keys
    every = {t for t in stored().tables if t.split(".")[0] == "raw"}
    wanted = restated.dependents(stored(), {"raw.candles", "raw.funding_rates", *every})
    wanted = wanted.keys() - set(APART_TABLES)  # judged anew the next night, trained the next month
    assert {"/".join(k.path) for k in known} >= {t.replace(".", "/") for t in wanted}


def test_the_reach_of_a_row_is_the_longest_way_through_the_lookbacks() -> None:
    edges = {
        "b.b": (Edge("a.a", lookback="2d"),),
        "c.c": (Edge("a.a", lookback="1d"), Edge("b.b", lookback="3d")),
        "d.d": (Edge("x.x", lookback="9d"),),
    }
    found = restated.dependents(Lineage({}, edges, ""), {"a.a"})
    assert found == {"b.b": 2 * DAY, "c.c": 5 * DAY}
