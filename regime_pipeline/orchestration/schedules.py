"""Schedules: the hourly tick, order books between ticks, and what is done once a day.

The tick is hand-written, because a schedule built from a partitioned job asks for one partition, while
a tick just after midnight owes yesterday's last hour as well. All run by default; where time stands
still (a replayed tape) they skip and say so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from regime_pipeline.orchestration.book_samples import BookSampler, not_collected, tell_last_hour
from regime_pipeline.orchestration.jobs import (
    book_samples,
    hourly_tick,
    quality,
    research,
    retention,
    training,
)
from regime_pipeline.orchestration.partitions import TICK_TAG, month_tags, range_tags, tick_window
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.orchestration.training import unjudged, untrained
from regime_pipeline.windows import DAY, HOUR, Window, floor_day, floor_hour

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

BOOKS_EVERY = timedelta(minutes=5)
QUALITY_DAYS = 7
"""Days whose findings are made anew each day."""
_books = BookSampler()

Answer = dg.RunRequest | dg.SkipReason


def scheduled(
    name: str, job: dg.JobDefinition | UnresolvedAssetJobDefinition, cron: str, description: str
) -> Callable[[Callable[[dg.ScheduleEvaluationContext, Platform], Answer]], dg.ScheduleDefinition]:
    """Make a schedule of a function that is asked at each tick, unless time stands still."""

    def declare(
        asked: Callable[[dg.ScheduleEvaluationContext, Platform], Answer],
    ) -> dg.ScheduleDefinition:
        @dg.schedule(
            name=name,
            job=job,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            required_resource_keys={"platform"},
            description=description,
        )
        def schedule(context: dg.ScheduleEvaluationContext) -> Answer:
            platform: Platform = context.resources.platform
            why = platform.at_rest()
            return asked(context, platform) if why is None else dg.SkipReason(why)

        return schedule

    return declare


@scheduled(
    "hourly",
    hourly_tick,
    "2 * * * *",
    "At minute 2: fetch and derive the day of the last closed hour up to today.",
)
def hourly(context: dg.ScheduleEvaluationContext, _: Platform) -> Answer:
    """One run request per tick; its key is the hour that has closed."""
    at = context.scheduled_execution_time
    hour = f"{floor_hour(at) - HOUR:%Y-%m-%dT%H}"
    return dg.RunRequest(run_key=hour, tags={**range_tags(tick_window(at)), TICK_TAG: hour})


@scheduled(
    "books",
    book_samples,
    "*/5 * * * *",
    "Every five minutes: one snapshot of every order book, taken without a run; the asset "
    "is materialized once an hour.",
)
def books(context: dg.ScheduleEvaluationContext, platform: Platform) -> Answer:
    """Take the sample here; what became of it is the tick's text."""
    from regime_pipeline.providers.registry import sources_of

    sources = [s for s in sources_of("order_book") if s in platform.settings.sources]
    if not sources:
        return dg.SkipReason("no configured source has order books")
    at = context.scheduled_execution_time
    if at.minute == 0:
        tell_last_hour(platform, context.instance, at)
    if platform.clock.now() - at >= BOOKS_EVERY:
        return dg.SkipReason("its time has passed, and a book of the past is served by no venue")
    left = not_collected(platform, sources, platform.clock.now())
    if not left:
        return dg.SkipReason("the live collector samples every book")
    return dg.SkipReason(_books.sample(platform, at, left))


@scheduled(
    "daily_quality",
    quality,
    "20 1 * * *",
    "Every day at 01:20: the suites, and the findings of the last days anew.",
)
def daily_quality(context: dg.ScheduleEvaluationContext, _: Platform) -> Answer:
    """One run request per day."""
    at = context.scheduled_execution_time
    days = Window(floor_day(at) - QUALITY_DAYS * DAY, floor_day(at))
    return dg.RunRequest(run_key=f"{at:%Y-%m-%d}", tags=range_tags(days))


@scheduled(
    "nightly_research",
    research,
    "10 2 * * *",
    "Every night at 02:10: passports and models judged to the end of the day before, and of the days "
    "of the last week whose night failed.",
)
def nightly_research(context: dg.ScheduleEvaluationContext, platform: Platform) -> Answer:
    """One run request per night."""
    today = floor_day(context.scheduled_execution_time)
    return dg.RunRequest(run_key=f"{today:%Y-%m-%d}", tags=range_tags(unjudged(platform, today)))


@scheduled(
    "monthly_training",
    training,
    "40 1 * * *",
    "Every night at 01:40: the models of months that have ended and have none; once a month "
    "there is something to do.",
)
def monthly_training(context: dg.ScheduleEvaluationContext, platform: Platform) -> Answer:
    """One run request for all months that lack models, asked for every night under the same key."""
    months = untrained(platform, floor_day(context.scheduled_execution_time))
    if months is None:
        return dg.SkipReason("every month that has ended is trained")
    key = f"{months.start:%Y-%m}..{months.end - DAY:%Y-%m}"
    return dg.RunRequest(run_key=key, tags=month_tags(months))


@scheduled(
    "nightly_retention",
    retention,
    "40 2 * * *",
    "Every night at 02:40: old events and runs of Dagster itself are removed.",
)
def nightly_retention(context: dg.ScheduleEvaluationContext, _: Platform) -> Answer:
    """One run request per night."""
    return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")


SCHEDULES = (hourly, books, daily_quality, nightly_research, monthly_training, nightly_retention)
