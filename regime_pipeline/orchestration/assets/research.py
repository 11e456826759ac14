"""The ledger of trials as assets: the passports' own specifications are written down before they are read.

Belongs here: noting what passports are about to compute. Does not belong here: the passports, which are
made by a declared function (``research.passports``).
"""

from __future__ import annotations

import dagster as dg

from regime_pipeline.catalogue import table
from regime_pipeline.orchestration.derived import IO_MANAGER, asset_key, common
from regime_pipeline.orchestration.ledger import noted
from regime_pipeline.orchestration.partitions import COMPUTE, DAILY
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.research.passports import score_versions
from regime_pipeline.research.trials import CODE_VERSION, published
from regime_pipeline.settings import Settings
from regime_pipeline.storage.trials import TRIAL_DAYS, TRIALS, Trial


def own_trials(settings: Settings) -> tuple[Trial, ...]:
    """The specifications that passports compute under some settings."""
    versions = score_versions(settings.params.signals, settings.params.futures)
    return published(settings.universe, versions)


@dg.asset(
    key=asset_key(TRIALS),
    io_manager_key=IO_MANAGER,
    required_resource_keys={"platform"},
    partitions_def=DAILY,
    backfill_policy=COMPUTE,
    **common(table(TRIALS)),
)
def trials(context) -> dg.MaterializeResult:  # type: ignore[no-untyped-def]
    """Note the passports' own specifications; on simulated data nothing is noted."""
    platform: Platform = context.resources.platform
    own = own_trials(platform.settings)
    new = noted(platform, own, CODE_VERSION)
    if new is None:
        return dg.MaterializeResult(metadata={"new": 0, "why": "simulated data are no trial"})
    return dg.MaterializeResult(metadata={"noted": len(own), "new": new})


@dg.asset(
    key=asset_key(TRIAL_DAYS),
    io_manager_key=IO_MANAGER,
    partitions_def=DAILY,
    backfill_policy=COMPUTE,
    **common(table(TRIAL_DAYS)),
)
def trial_days() -> dg.MaterializeResult:
    """Nothing is made: who asks for a variant keeps its days; the passports only read them."""
    return dg.MaterializeResult()


ASSETS = (trials, trial_days)
