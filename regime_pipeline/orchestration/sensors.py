"""Sensors: deliver alerts, report what fails or is wrong, fill gaps, recompute what a filled gap changes.

Each body reads the tables, asks a pure function what to do, and does that. All run by default: without
configured webhooks the dispatcher has nothing to send, simulated data reaches receivers on this
machine only, and gaps of replayed history are not looked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.coverage import gaps as arithmetic
from regime_pipeline.coverage.rules import KEPT_DAYS, series_of
from regime_pipeline.coverage.words import hours_of
from regime_pipeline.orchestration.assets.raw import ASSETS as RAW_ASSETS
from regime_pipeline.orchestration.derived import asset_key
from regime_pipeline.orchestration.jobs import derived_chain, raw_fetch
from regime_pipeline.orchestration.partitions import range_tags, run_window
from regime_pipeline.orchestration.processes import PROCESS_TAG
from regime_pipeline.orchestration.resources import Platform, process_platform
from regime_pipeline.windows import DAY, Window, floor_day

GAP_TAG = "regime/gap"
DISPATCH_SECONDS = 15
DISPATCH_BUDGET_S = 40.0
GAPS_SECONDS = 300
WATCH_SECONDS = 60
REQUESTS_PER_TICK = 3
FIRST_LINE = 300

RUNNING = dg.DefaultSensorStatus.RUNNING


@dg.sensor(
    name="alert_dispatch",
    minimum_interval_seconds=DISPATCH_SECONDS,
    default_status=RUNNING,
    required_resource_keys={"platform"},
    description="Sends what waits in the outbox: claim, commit, send, record; looks first whether the live "
    "collector is down.",
)
def alert_dispatch(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Deliver due alerts; the counts are the tick's text."""
    from regime_pipeline.alerts.dispatch import dispatch_due
    from regime_pipeline.alerts.watch import tell_collector

    platform: Platform = context.resources.platform
    if platform.at_rest() is None:
        tell_collector(platform.database, platform.settings, platform.clock)
    counts = dispatch_due(
        platform.database, platform.settings, platform.clock, budget_s=DISPATCH_BUDGET_S
    )
    told = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return dg.SkipReason(told or "nothing was due")


@dg.run_failure_sensor(
    name="run_failures",
    default_status=RUNNING,
    description="Writes a system alert for a failed run; it goes out with the market alerts.",
)
def run_failures(context: dg.RunFailureSensorContext) -> None:
    """One system alert per failed run. Only writes: a receiver that is down cannot lose it."""
    from regime_pipeline.alerts.kinds import RUN_FAILED
    from regime_pipeline.alerts.outbox import enqueue_system

    run = context.dagster_run
    if PROCESS_TAG in run.tags:
        return  # whoever launched it is told by the command
    platform = process_platform()
    enqueue_system(
        platform.database,
        settings=platform.settings,
        clock=platform.clock,
        kind=RUN_FAILED,
        title=f"run failed: {run.job_name}",
        details={
            "run_id": run.run_id,
            "job": run.job_name,
            "error": (context.failure_event.message or "")[:FIRST_LINE],
            "days": f"{run.tags.get('dagster/asset_partition_range_start', '')}.."
            f"{run.tags.get('dagster/asset_partition_range_end', '')}",
        },
    )


@dg.sensor(
    name="system_watch",
    minimum_interval_seconds=WATCH_SECONDS,
    default_status=RUNNING,
    required_resource_keys={"platform"},
    description="Looks for what is wrong with the pipeline itself and writes it as operational events: stale "
    "sources, low coverage, withheld or drifting data, silent sensors, disk, memory, the collector.",
)
def system_watch(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Store what is wrong; only writes, so that a receiver that is down cannot lose it."""
    from regime_pipeline.alerts.watch import tell

    platform: Platform = context.resources.platform
    why = platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
    told = tell(platform.database, platform.settings, platform.clock)
    return dg.SkipReason("; ".join(f.title for f in told)[:FIRST_LINE] or "nothing new is wrong")


def look_for_gaps(platform: Platform) -> tuple[list[arithmetic.Gap], dict[str, int]]:
    """What we missed of all raw datasets, and per dataset the hours that venues themselves lack.

    Brings ``ops.coverage`` up to date first, so that hours which no run has touched show; doing so
    again writes nothing.
    """
    from regime_pipeline.coverage import store as coverage_store

    now = platform.clock.now()
    askable: dict[tuple[str, str, str], str] = {}
    for name in DATASETS:
        coverage_store.catch_up(platform.warehouse, platform.settings, now, name)
        for series in series_of(platform.settings, name, platform.settings.universe):
            if series.off is None and not series.is_forward_only:
                askable[name, series.source, series.symbol] = series.asked_as
    window = Window(floor_day(now) - KEPT_DAYS * DAY, now)
    spans = coverage_store.spans_of(platform.warehouse, window)
    missed = spans[spans["coverage_state"] == "missed"]
    lacking = spans[spans["coverage_state"] == "venue_had_none"]
    hours = hours_of(lacking)
    absent = {str(name): int(n) for name, n in hours.groupby(lacking["dataset"]).sum().items()}
    if missed.empty:
        return [], absent
    log = platform.warehouse.read(
        "ops.fetch_log",
        Window(missed["start"].min().to_pydatetime(), now + DAY),
        where={"dataset": sorted(set(missed["dataset"]))},
    )
    return arithmetic.find(missed, log, askable), absent


@dg.sensor(
    name="gaps",
    job=raw_fetch,
    minimum_interval_seconds=GAPS_SECONDS,
    default_status=RUNNING,
    required_resource_keys={"platform"},
    description=f"Asks again for raw hours of the last {KEPT_DAYS} days that we missed; what "
    "does not exist is left alone.",
)
def gaps(context: dg.SensorEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """Raw runs over exactly the missing days, a few per tick."""
    platform: Platform = context.resources.platform
    why = platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
    found, absent = look_for_gaps(platform)
    wanted = arithmetic.refetches(found, platform.clock.now(), limit=REQUESTS_PER_TICK)
    if not wanted:
        lacking = ", ".join(f"{name} {n} h" for name, n in absent.items() if n)
        return dg.SkipReason(
            f"{len(found)} gaps, none due" + (f"; venues lack {lacking}" if lacking else "")
        )
    return [refetch_request(item) for item in wanted]


def refetch_request(item: arithmetic.Refetch) -> dg.RunRequest:
    """A raw run for one stretch of missing days."""
    keys = [asset_key(f"raw.{name}") for name in item.datasets]
    own = {asset.key: asset.check_keys for asset in RAW_ASSETS}
    return dg.RunRequest(
        run_key=item.run_key,
        asset_selection=keys,
        asset_check_keys=[check for key in keys for check in sorted(own[key], key=str)],
        tags={**range_tags(item.window), GAP_TAG: "fetch"},
        run_config={
            "resources": {
                "scope": {
                    "config": {
                        "symbols": list(item.symbols),
                        "sources": list(item.sources),
                        "only_missing": True,
                    }
                }
            }
        },
    )


@dg.run_status_sensor(
    name="recompute_after_gaps",
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[raw_fetch],
    request_jobs=[derived_chain],
    default_status=RUNNING,
    description="When a gap was fetched: derives again from its first day to today, which its hours "
    "reach through the lookbacks.",
)
def recompute_after_gaps(
    context: dg.RunStatusSensorContext,
) -> dg.RunRequest | dg.SkipReason:
    """One derived run per filled gap."""
    run = context.dagster_run
    if GAP_TAG not in run.tags:
        return dg.SkipReason("not a gap")
    filled = run_window(run.tags)
    today = floor_day(process_platform().clock.now()) + DAY
    window = Window(filled.start, max(filled.end, today))
    return dg.RunRequest(
        run_key=f"after:{run.run_id}",
        job_name=derived_chain.name,
        tags={**range_tags(window), GAP_TAG: "derive"},
    )


SENSORS = (alert_dispatch, run_failures, system_watch, gaps, recompute_after_gaps)
