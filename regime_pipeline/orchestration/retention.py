"""Keeping bounded what grows beside the data: each night the rules of ``storage.retention`` are followed.

Belongs here: the job. Does not belong here: what goes after how many days.
"""

from __future__ import annotations

import dagster as dg

from regime_pipeline.net import logs
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.providers.sealing import seal
from regime_pipeline.storage.retention import RULES, remove_old

NAME = "retention"


@dg.op(name="remove_old_events", required_resource_keys={"platform"})
def remove_old_events(context) -> None:  # type: ignore[no-untyped-def]
    """Remove what is older than the settings say."""
    platform: Platform = context.resources.platform
    gone = remove_old(platform.database, platform.clock.now(), platform.settings)
    settings, now = platform.settings, platform.clock.now()
    files = logs.remove_old(settings.home / "logs", now, settings.log_days)
    context.log.info(f"removed {files} files of logs after {settings.log_days} days")
    sealed = seal(platform.database, LandingStore.of(settings), now)
    context.log.info(
        f"sealed {sealed.replies} replies in {sealed.files} files; {sealed.removed} single files are gone"
    )
    for rule in RULES:
        if rule.name in gone:
            days = rule.days(platform.settings)
            context.log.info(f"removed {gone[rule.name]} after {days} days: {rule.about}")


@dg.job(
    name=NAME,
    description="Events and runs of Dagster and repeated rows of the fetch log that are older than the "
    "settings say are removed; what says that a day is there stays. Replies of days that are over are put "
    "into one file per source and day.",
    executor_def=dg.in_process_executor,
)
def retention() -> None:
    """Remove what is too old."""
    remove_old_events()
