"""Which trials a run writes into the ledger before it computes their numbers.

Belongs here: trials that follow from the settings, noted by the step that is about to look at them. Does
not belong here: what a trial is (``research``), the table (``storage.trials``), passports' own trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.research import models, paper_tables
from regime_pipeline.storage.trials import Trial, note

MADE_UP = "simulated"
"""Origin of data on which nothing is a trial: who looks at noise learns nothing of the market."""


def noted(platform: Platform, trials: Sequence[Trial], code_version: str) -> int | None:
    """Note trials before their numbers are known; how many were new.

    None: the data are made up, and nothing is noted.
    """
    if platform.settings.origin == MADE_UP:
        return None
    return note(platform.warehouse, trials, code_version=code_version, now=platform.clock.now())


def note_models(platform: Platform) -> None:
    """Note every model as a trial."""
    noted(platform, models.trials_of(platform.settings.universe), models.METHOD)


def note_paper(platform: Platform) -> None:
    """Note every strategy that is followed on paper as a trial."""
    noted(platform, paper_tables.trials_of(platform.settings.universe), paper_tables.METHOD)


BEFORE: Mapping[str, Callable[[Platform], None]] = {
    models.TABLE: note_models,
    paper_tables.TABLES[0]: note_paper,
}
"""By table, what the step that makes it does first."""
