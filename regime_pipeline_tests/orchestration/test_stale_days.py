"""A changed threshold marks the days that were made with another one, and changes no stored row."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import (
    CachingStaleStatusResolver,
    StaleCauseCategory,
    StaleStatus,
)
from dagster._core.loader import LoadingContextForTest

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.derivation import derivations
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.orchestration.derived import (
    IO_MANAGER,
    asset_key,
    asset_of,
    code_version,
    versioned,
)
from regime_pipeline.orchestration.io_manager import WarehouseIOManager
from regime_pipeline.orchestration.partitions import DAILY, range_tags
from regime_pipeline.orchestration.resources import Scope, platform_resource
from regime_pipeline.orchestration.storage_pool import PooledStorage
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, Window, utc
from regime_pipeline_tests.orchestration.test_storage_pool import QUIET, instance_on
from regime_pipeline_tests.proofs.chain import MemoryPlatform

TARGET = "signals.confluence"
FIRST, SECOND = "2024-01-02", "2024-01-03"
START = utc(FIRST)


def settings_of(**thresholds: object) -> Settings:
    return Settings(_env_file=None, symbols=("BTC/USDT",), params=thresholds)  # type: ignore[call-arg]


@pytest.mark.slow
def test_another_weight_marks_the_days_made_with_the_old_one_and_leaves_their_rows(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    old, new = settings_of(), settings_of(signals={"weights": {"momentum": 3.0}})
    what = next(d for d in derivations() if TARGET in d.tables)
    frames = {i.table: empty(table(i.table)) for i in what.inputs.values()}
    frames[TARGET] = empty(table(TARGET))

    def given(name: str) -> dg.AssetsDefinition:
        @dg.asset(key=asset_key(name), partitions_def=DAILY, io_manager_key=IO_MANAGER)
        def body():
            return empty(table(name))

        return body

    upstream = [given(i.table) for i in what.inputs.values()]

    def assets_of(settings: Settings) -> tuple[dg.AssetsDefinition, ...]:
        return (*upstream, *versioned([asset_of(TARGET)], settings))

    def resources_of(platform: MemoryPlatform) -> dict[str, object]:
        manager = WarehouseIOManager(platform, [])
        return {
            "platform": platform_resource(platform),
            "scope": Scope(),
            IO_MANAGER: dg.IOManagerDefinition.hardcoded_io_manager(manager),
        }

    def run(settings: Settings, days: Window) -> None:
        platform = MemoryPlatform(settings, frames, utc("2024-02-01"))
        result = dg.materialize(
            assets_of(settings),
            instance=instance,
            tags=range_tags(days),
            resources=resources_of(platform),
            run_config=QUIET,
        )
        assert result.success
        frames.update(platform.warehouse.frames)

    def stale(settings: Settings) -> dict[str, list[StaleCauseCategory]]:
        seen = CachingStaleStatusResolver(
            instance,
            dg.Definitions(
                assets_of(settings), resources=resources_of(MemoryPlatform(settings, {}, START))
            ).resolve_asset_graph(),
            LoadingContextForTest(instance),
        )
        key = asset_key(TARGET)
        return {
            day: [c.category for c in seen.get_stale_causes(key, day)]
            for day in (FIRST, SECOND)
            if seen.get_status(key, day) == StaleStatus.STALE
        }

    with instance_on(database, PooledStorage, tmp_path) as instance:
        run(old, Window(START, START + 2 * DAY))
        assert stale(old) == {}
        code = [StaleCauseCategory.CODE]
        assert stale(new) == {FIRST: code, SECOND: code}
        before = frames[TARGET]
        run(new, Window(START + DAY, START + 2 * DAY))
        assert stale(new) == {FIRST: code}
    versions = (
        frames[TARGET]
        .groupby(frames[TARGET]["ts"].dt.strftime("%Y-%m-%d"))["method_version"]
        .unique()
    )
    assert len(versions[FIRST]) == len(versions[SECOND]) == 1
    assert versions[FIRST][0] == before["method_version"].iloc[0] != versions[SECOND][0]


def test_only_what_is_given_the_changed_thresholds_has_another_version() -> None:
    old, new = settings_of(), settings_of(signals={"weights": {"momentum": 3.0}})
    changed = {
        name
        for what in derivations()
        if code_version(what, old) != code_version(what, new)
        for name in what.tables
    }
    assert changed == {TARGET, "signals.passports"}  # a score of other weights is another trial
    funding = settings_of(funding={"rearm_z": 1.4})
    changed = {
        name
        for what in derivations()
        if code_version(what, old) != code_version(what, funding)
        for name in what.tables
    }
    assert {"features.funding_prints", "signals.futures_scores"} <= changed
    assert TARGET not in changed
