"""The hourly tick against the same graph with empty bodies: what our work costs beside Dagster's own.

Both run in this process on the same Dagster storage, over the same two days of partitions, with the
simulator as the provider. The reporting assets are shown apart: nearly all of their time is dbt's
start, which no empty body has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common import filled_pipeline, line, paired

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    import dagster as dg

BUDGET = 2.0
TIMES = 5


def hollow(assets: Iterable[dg.AssetsDefinition], keys: Container) -> list[dg.AssetsDefinition]:
    """The same graph: one asset per key with its dependencies, partitions and checks, and no work."""
    return [_empty(asset, spec) for asset in assets for spec in asset.specs if spec.key in keys]


def _empty(asset: dg.AssetsDefinition, spec: dg.AssetSpec) -> dg.AssetsDefinition:
    import dagster as dg

    names = [c.name for c in asset.check_specs if c.asset_key == spec.key]

    @dg.asset(
        key=spec.key,
        group_name=spec.group_name,
        deps=[d.asset_key for d in spec.deps],
        partitions_def=spec.partitions_def,
        check_specs=[dg.AssetCheckSpec(n, asset=spec.key) for n in names],
    )
    def nothing():  # type: ignore[no-untyped-def]  # Dagster resolves annotations by name
        return dg.MaterializeResult(
            check_results=[dg.AssetCheckResult(passed=True, check_name=n) for n in names]
        )

    return nothing


def run() -> None:
    """Five ticks of each, in turn, after one warm-up."""
    import dagster as dg

    from regime_pipeline.orchestration.build import all_assets, build_definitions
    from regime_pipeline.orchestration.instance import instance_for
    from regime_pipeline.orchestration.jobs import DERIVED, RAW, REPORTING
    from regime_pipeline.orchestration.partitions import range_tags, tick_window
    from regime_pipeline.orchestration.resources import Platform, platform_resource

    def job_of(assets: Iterable, selection: dg.AssetSelection, **slots: tuple) -> dg.JobDefinition:
        tick = dg.define_asset_job("tick", selection, executor_def=dg.in_process_executor)
        return build_definitions(
            assets=list(assets), resources=ours, jobs=[tick], schedules=(), sensors=(), **slots
        ).resolve_job_def("tick")

    def tick(job: dg.JobDefinition) -> None:
        if not job.execute_in_process(instance=instance, tags=tags, run_config=quiet).success:
            raise RuntimeError("the tick failed")

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with filled_pipeline(days=35) as (settings, clock):
        platform = Platform(settings, clock)
        ours = {"platform": platform_resource(platform)}
        tags = range_tags(tick_window(clock.now()))
        assets = all_assets()
        with instance_for(settings, platform.database) as instance:
            for case, selection in (
                ("without dbt", RAW | DERIVED),
                ("with dbt", RAW | DERIVED | REPORTING),
            ):
                full = job_of(assets, selection)
                keys = full.asset_layer.selected_asset_keys
                empty = job_of(hollow(assets, keys), dg.AssetSelection.all(), checks=())
                tick(full)
                tick(empty)
                full_s, empty_s, ratio = paired(
                    lambda job=full: tick(job), lambda job=empty: tick(job), TIMES
                )
                line(
                    "tick",
                    f"8 symbols, {len(keys)} assets, {case}",
                    ours_s=full_s,
                    other_s=empty_s,
                    ratio=ratio,
                    budget=BUDGET,
                )
        platform.close()
