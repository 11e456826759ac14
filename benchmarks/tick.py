"""The hourly tick against the same graph with empty bodies: what our work costs beside Dagster's own.

Both run in this process on the same Dagster storage, over the same two days of partitions, with the
simulator as the provider. The reporting assets are shown apart: nearly all of their time is dbt's
start, which no empty body has.
"""

from __future__ import annotations

from benchmarks.common import filled_pipeline, line, paired

BUDGET = 2.0
TIMES = 5


def run() -> None:
    """Five ticks of each, in turn, after one warm-up."""
    import dagster as dg

    from regime_pipeline.orchestration.build import all_assets, build_definitions, pipeline_assets
    from regime_pipeline.orchestration.instance import instance_for
    from regime_pipeline.orchestration.partitions import DAILY, range_tags, tick_window
    from regime_pipeline.orchestration.resources import Platform, platform_resource

    def empty(assets: tuple[dg.AssetsDefinition, ...]) -> list[dg.AssetsDefinition]:
        """One asset per key with the same dependencies and partitions, and nothing in it."""
        out = []
        for asset in assets:
            for spec in asset.specs:

                @dg.asset(key=spec.key, deps=[d.asset_key for d in spec.deps], partitions_def=DAILY)
                def nothing() -> None:
                    return None

                out.append(nothing)
        return out

    with filled_pipeline(days=35) as (settings, clock):
        platform = Platform(settings, clock)
        tags = range_tags(tick_window(clock.now()))
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        with instance_for(settings, platform.database) as instance:

            def tick(assets: list, resources: dict) -> None:
                job = build_definitions(
                    assets=assets,
                    resources=resources,
                    jobs=[dg.define_asset_job("tick", executor_def=dg.in_process_executor)],
                    schedules=(),
                    sensors=(),
                ).resolve_job_def("tick")
                done = job.execute_in_process(instance=instance, tags=tags, run_config=quiet)
                if not done.success:
                    raise RuntimeError("the tick failed")

            ours = {"platform": platform_resource(platform)}
            for case, assets in (("without dbt", pipeline_assets()), ("with dbt", all_assets())):
                hollow = empty(assets)
                tick(list(assets), ours)
                tick(hollow, {})
                full_s, empty_s, ratio = paired(
                    lambda assets=assets: tick(list(assets), ours),
                    lambda hollow=hollow: tick(hollow, {}),
                    TIMES,
                )
                line(
                    "tick",
                    f"8 symbols, {len(hollow)} assets, {case}",
                    ours_s=full_s,
                    other_s=empty_s,
                    ratio=ratio,
                    budget=BUDGET,
                )
        platform.close()
