"""Which trials a run writes into the ledger before it computes their numbers.

Belongs here: trials that follow from the settings, noted by the step that is about to look at them. Does
not belong here: what a trial is (``research``), the table (``storage.trials``), passports' own trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.research import models
from regime_pipeline.storage.trials import note

MADE_UP = "simulated"
"""Origin of data on which nothing is a trial: who looks at noise learns nothing of the market."""


def note_models(platform: Platform) -> None:
    """Note every model as a trial; on simulated data nothing is noted."""
    if platform.settings.origin != MADE_UP:
        own = models.trials_of(platform.settings.universe)
        note(platform.warehouse, own, code_version=models.METHOD, now=platform.clock.now())


BEFORE: Mapping[str, Callable[[Platform], None]] = {models.TABLE: note_models}
"""By table, what the step that makes it does first."""
