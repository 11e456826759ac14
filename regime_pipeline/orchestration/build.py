"""Assembly: every asset, job, schedule, sensor and resource in explicit lists.

Tests, the CLI and the code server call the same function with different overrides. Does not belong
here: what any of the parts does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from regime_pipeline.orchestration.checks import CHECKS
from regime_pipeline.orchestration.derived import IO_MANAGER, derived_assets, versioned
from regime_pipeline.orchestration.io_manager import warehouse_io_manager
from regime_pipeline.orchestration.jobs import JOBS
from regime_pipeline.orchestration.live import collector, live_assets
from regime_pipeline.orchestration.partitions import DAILY, EVERY_HOUR
from regime_pipeline.orchestration.quality import data_quality
from regime_pipeline.orchestration.resources import Scope, environment_platform
from regime_pipeline.orchestration.restated import restated_rows
from regime_pipeline.orchestration.schedules import SCHEDULES
from regime_pipeline.orchestration.sensors import SENSORS
from regime_pipeline.settings import Settings
from regime_pipeline.windows import FixedClock, clock_from_text


def default_resources() -> dict[str, Any]:
    """Resources that make themselves from the environment when a run first needs them."""
    return {
        "platform": environment_platform,
        "scope": Scope(),
        IO_MANAGER: warehouse_io_manager,
    }


def pipeline_assets() -> tuple[dg.AssetsDefinition, ...]:
    """The assets of every layer but reporting."""
    from regime_pipeline.orchestration import quality
    from regime_pipeline.orchestration.assets import alerts, legacy, raw, research

    fetched, events = (*raw.ASSETS, *legacy.ASSETS), alerts.ASSETS
    return (*fetched, *quality.ASSETS, *research.ASSETS, *derived_assets(), *events)


def all_assets(settings: Settings | None = None) -> tuple[dg.AssetsDefinition, ...]:
    """Every asset; parses the dbt project when it has changed.

    Args:
        settings: whose thresholds are the code versions of the assets that have any; None: those of the
            environment.
    """
    from regime_pipeline.orchestration.assets.reporting import reporting_assets

    found = settings or Settings()
    assets = (*versioned(pipeline_assets(), found), reporting_assets())
    return assets if _time_stands_still(found) else watched(assets)


def watched(assets: Sequence[dg.AssetsDefinition]) -> tuple[dg.AssetsDefinition, ...]:
    """The assets; those that every hourly tick makes are called stale when it does not.

    Dagster looks at when an asset was made last, whichever day of it. How far the rows themselves reach
    is judged by the quality checks, the doctor and the watch.
    """

    def spec(one: dg.AssetSpec) -> dg.AssetSpec:
        is_made = one.partitions_def is DAILY
        return one.replace_attributes(freshness_policy=EVERY_HOUR) if is_made else one

    return tuple(asset.map_asset_specs(spec) for asset in assets)


def _time_stands_still(settings: Settings) -> bool:
    is_still = isinstance(clock_from_text(settings.clock), FixedClock)
    return is_still or settings.origin == "tape"


def build_definitions(
    *,
    resources: Mapping[str, Any] | None = None,
    assets: Sequence[dg.AssetsDefinition] | None = None,
    checks: Sequence[dg.AssetChecksDefinition] | None = None,
    jobs: Sequence[Any] | None = None,
    schedules: Sequence[dg.ScheduleDefinition] | None = None,
    sensors: Sequence[dg.SensorDefinition] | None = None,
) -> dg.Definitions:
    """Fresh definitions; each slot can be replaced, single resources too.

    Args:
        resources: put over the default ones, by key.
        assets: instead of all assets, those of the live collector too.
        checks: instead of the stored-table checks; those that assets make themselves stay.
        jobs: instead of all jobs.
        schedules: instead of all schedules.
        sensors: instead of all sensors.
    """
    found = all_assets() if assets is None else assets
    return dg.Definitions(
        assets=[*found, *(live_assets() if assets is None else ())],
        asset_checks=_checks_of(found) if checks is None else checks,
        resources={**default_resources(), **(resources or {})},
        jobs=JOBS if jobs is None else jobs,
        schedules=SCHEDULES if schedules is None else schedules,
        sensors=(*SENSORS, restated_rows, collector) if sensors is None else sensors,
        executor=dg.in_process_executor,
    )


def _checks_of(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetChecksDefinition]:
    keys = {key for asset in assets for key in asset.keys}
    return [
        c for c in (*CHECKS, data_quality) if all(spec.asset_key in keys for spec in c.check_specs)
    ]
