"""A variant of a signal judged on stored history: noted in the ledger first, then computed.

Belongs here: reading what passports read for one day, for one signal that is turned round, narrowed to some
symbols or judged by another horizon. Nothing but the ledger is written. Does not belong here: printing
(``cli``), statistics (``research``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.derivation import derivation_of
from regime_pipeline.orchestration import io_manager as io
from regime_pipeline.orchestration.derived import inputs, parameter
from regime_pipeline.orchestration.ledger import noted
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.research import passports
from regime_pipeline.research.trials import CODE_VERSION, Trial
from regime_pipeline.storage.trials import keep_days
from regime_pipeline.windows import DAY, Grid, Window


def variant(
    platform: Platform,
    signal: str,
    *,
    symbols: tuple[str, ...],
    headline_h: int,
    sign: int,
    origin: str = "cli",
) -> Trial:
    """The trial that a variant of a signal is.

    Args:
        platform: whose settings the thresholds are.
        signal: name of a signal.
        symbols: that are judged together.
        headline_h: horizon that it is judged by.
        sign: 1 as published, -1 turned round.
        origin: the door that asks.
    """
    params = platform.settings.params
    versions = passports.score_versions(params.signals, params.futures)
    return passports.trial_of(
        signal, versions, symbols, headline_h=headline_h, sign=sign, origin=origin
    )


def judge(platform: Platform, trial: Trial, day: datetime) -> list[dict[str, Any]]:
    """The passport rows of a trial at the end of a day.

    The trial is in the ledger before anything is read, whatever becomes of the rest; simulated data are no
    trial.

    Args:
        platform: warehouse, settings and clock.
        trial: of :func:`variant`.
        day: midnight of the day; its last hour is closed.
    """
    is_trial = noted(platform, [trial], CODE_VERSION) is not None
    frames = _frames(platform, Window(day, day + DAY))
    trials, trial_days = frames.pop("trials"), frames.pop("trial_days")
    grid = Grid.of(Window(day, day + DAY), trial.universe)
    (history,) = passports.histories_of(**frames, grid=grid)
    rows, days = passports.of_trial(history, trial, trials, trial_days)
    if is_trial:
        keep_days(platform.warehouse, days)
    return rows


def _frames(platform: Platform, window: Window) -> dict[str, pd.DataFrame]:
    """What the passports read, by the names of their parameters."""
    what = derivation_of(passports.passports)
    declared = inputs(passports.TABLE, what.inputs, what.settings)
    settings = platform.settings
    return {
        name: io.read_input(
            platform,
            settings.universe,
            table(one.table),
            declared[parameter(one.table)].metadata or {},
            window,
            window.end,
        )
        for name, one in what.inputs.items()
    }
