"""Schedules: the hourly tick, order books between ticks, and what is done once a day.

The tick is hand-written, because a schedule built from a partitioned job asks for one partition, while
a tick just after midnight owes yesterday's last hour as well. All run by default; where time stands
still (a replayed tape) they skip and say so.
"""

from __future__ import annotations

from datetime import timedelta

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
from regime_pipeline.orchestration.training import untrained
from regime_pipeline.windows import DAY, HOUR, Window, floor_day, floor_hour

BOOKS_EVERY = timedelta(minutes=5)
QUALITY_DAYS = 7
"""Days whose findings are made anew each day."""
_books = BookSampler()


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


@dg.schedule(
    name="books",
    job=book_samples,
    cron_schedule="*/5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    required_resource_keys={"platform"},
    description="Every five minutes: one snapshot of every order book, taken without a run; the asset "
    "is materialized once an hour.",
)
def books(context: dg.ScheduleEvaluationContext) -> dg.SkipReason:
    """Take the sample here; what became of it is the tick's text."""
    platform: Platform = context.resources.platform
    why = platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
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


@dg.schedule(
    name="daily_quality",
    job=quality,
    cron_schedule="20 1 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    required_resource_keys={"platform"},
    description="Every day at 01:20: the suites, and the findings of the last days anew.",
)
def daily_quality(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request per day."""
    platform: Platform = context.resources.platform
    why = platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
    at = context.scheduled_execution_time
    days = Window(floor_day(at) - QUALITY_DAYS * DAY, floor_day(at))
    return dg.RunRequest(run_key=f"{at:%Y-%m-%d}", tags=range_tags(days))


@dg.schedule(
    name="nightly_research",
    job=research,
    cron_schedule="10 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    required_resource_keys={"platform"},
    description="Every night at 02:10: passports and models judged to the end of the day before.",
)
def nightly_research(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request per night."""
    platform: Platform = context.resources.platform
    why = platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
    today = floor_day(context.scheduled_execution_time)
    day = Window(today - DAY, today)
    return dg.RunRequest(run_key=f"{today:%Y-%m-%d}", tags=range_tags(day))


@dg.schedule(
    name="monthly_training",
    job=training,
    cron_schedule="40 1 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    required_resource_keys={"platform"},
    description="Every night at 01:40: the models of months that have ended and have none; once a month "
    "there is something to do.",
)
def monthly_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request for all months that lack models, asked for every night under the same key."""
    platform: Platform = context.resources.platform
    why = platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
    months = untrained(platform, floor_day(context.scheduled_execution_time))
    if months is None:
        return dg.SkipReason("every month that has ended is trained")
    key = f"{months.start:%Y-%m}..{months.end - DAY:%Y-%m}"
    return dg.RunRequest(run_key=key, tags=month_tags(months))


@dg.schedule(
    name="nightly_retention",
    job=retention,
    cron_schedule="40 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    required_resource_keys={"platform"},
    description="Every night at 02:40: old events and runs of Dagster itself are removed.",
)
def nightly_retention(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request per night."""
    why = context.resources.platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
    return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")


SCHEDULES = (hourly, books, daily_quality, nightly_research, monthly_training, nightly_retention)
