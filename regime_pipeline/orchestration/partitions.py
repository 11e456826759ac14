"""Partitions, backfill policies and the stretch of time a run owes. Each object exists once.

Every partitioned asset shares :data:`DAILY`; the derived chain shares :data:`COMPUTE` as well. One
backfill of the chain is one run only because these are the same objects, so never build another.
Symbols and venues are columns, not a partition dimension. Does not belong here: reading data.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from regime_pipeline.catalogue import Cadence, table
from regime_pipeline.orchestration.instance import FIRST_DAY_VARIABLE
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, Window, floor_day, floor_hour, utc

# Backfill policies, pools and partitions of checks are marked beta or preview; the version is pinned, and
# the warning would come once per asset in every process.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

DAILY = dg.DailyPartitionsDefinition(
    start_date=os.environ.get(FIRST_DAY_VARIABLE) or Settings().start_date.isoformat(),
    timezone="UTC",
    end_offset=1,
)
"""One partition per UTC day, today's included. Only its first day is not the same everywhere."""

MONTHLY = dg.MonthlyPartitionsDefinition(
    start_date=f"{DAILY.start:%Y-%m}-01", timezone="UTC", end_offset=1
)
"""One partition per month, the running one included: what is trained at the ends of months."""

EVERY_HOUR = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=6), warn_window=timedelta(hours=2)
)
"""What the hourly tick makes is late after a tick that failed, and stale when six of them did."""

TICK_TAG = "regime/tick"
"""Tag of a run for the newest hours: raw assets ask only for what is not stored yet."""

FETCH = dg.BackfillPolicy.multi_run(max_partitions_per_run=31)
"""Raw data: a failed month is asked for again, not years."""

COMPUTE = dg.BackfillPolicy.single_run()
"""Everything derived: one run for any range."""


def owed(window: Window, now: datetime, *, full_table_name: str | None = None) -> Window:
    """The part of a window that can exist at ``now``: closed hours, or prints that have happened.

    Args:
        window: what was asked for, usually whole days.
        now: by the clock.
        full_table_name: ``schema.name``; tables of instants reach up to now, the others to the end
            of the last closed hour.
    """
    instants = full_table_name is not None and table(full_table_name).cadence is Cadence.INSTANT
    return window.clipped(now if instants else floor_hour(now))


def run_window(tags: Mapping[str, str], partition_key: str | None = None) -> Window:
    """The days a run is about, from its range tags or its single partition key."""
    first = tags.get(RANGE_START) or partition_key or tags["dagster/partition"]
    last = tags.get(RANGE_END) or partition_key or tags["dagster/partition"]
    return Window(utc(first), utc(last) + DAY)


def range_tags(window: Window) -> dict[str, str]:
    """Run tags that make one run out of all days that a window touches."""
    days = window.days()
    if not days:
        raise ValueError(f"no day lies in {window.start} .. {window.end}")
    return {RANGE_START: day_key(days[0]), RANGE_END: day_key(days[-1])}


def month_tags(window: Window) -> dict[str, str]:
    """Run tags that make one run out of all months that a window touches."""
    first, last = (f"{day:%Y-%m}-01" for day in (window.days()[0], window.days()[-1]))
    return {RANGE_START: first, RANGE_END: last}


def day_key(at: datetime) -> str:
    """The partition key of the day that holds ``at``."""
    return f"{floor_day(at):%Y-%m-%d}"


def tick_window(at: datetime) -> Window:
    """What an hourly tick at ``at`` covers: the day of the last closed hour up to today."""
    return Window(floor_day(floor_hour(at) - HOUR), floor_day(at) + DAY)


def as_window(span: Any) -> Window:
    """A Dagster time window as ours."""
    return Window(utc(span.start), utc(span.end))
