"""The hourly schedule: one tick, one run.

Hand-written, because a schedule built from a partitioned job asks for one partition, while a tick just
after midnight owes yesterday's last hour as well. It runs by default; where time stands still (a
replayed tape) it skips and says so.
"""

from __future__ import annotations

import dagster as dg

from regime_pipeline.orchestration.jobs import hourly_tick
from regime_pipeline.orchestration.partitions import range_tags, tick_window
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.windows import HOUR, floor_hour

TICK_TAG = "regime/tick"


@dg.schedule(
    name="hourly",
    job=hourly_tick,
    cron_schedule="2 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    required_resource_keys={"platform"},
    description="At minute 2: fetch and derive the day of the last closed hour up to today.",
)
def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request per tick; its key is the hour that has closed."""
    platform: Platform = context.resources.platform
    why = platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
    at = context.scheduled_execution_time
    hour = f"{floor_hour(at) - HOUR:%Y-%m-%dT%H}"
    return dg.RunRequest(run_key=hour, tags={**range_tags(tick_window(at)), TICK_TAG: hour})


SCHEDULES = (hourly,)
