"""The computed world that all proofs start from, and the harness that looks for the future in it.

Belongs here: what the pipeline makes of the clean rows, and :func:`seen_of_the_future`. Does not
belong here: choosing what to try (the tests).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.quality.evaluate import BLOCKING
from regime_pipeline.windows import DAY, Window, floor_day
from regime_pipeline_tests.proofs import chain, world
from regime_pipeline_tests.proofs.world import Frames

LAST_DAYS = Window(world.END - 9 * DAY, world.END)
"""The days over which every table is computed; before them only what lookbacks reach."""


@cache
def computed() -> Frames:
    """Raw rows (of the last two weeks) and every derived table of the clean world.

    Raw rows further back are left out once the history is computed from them: but for the month that
    the verdicts on candles need no step looks further back than a few days at raw rows, and reading
    them again costs most of a run.
    """
    settings = world.settings()
    raw = world.clean()
    frames = chain.run(
        raw,
        Window(world.START, LAST_DAYS.start),
        settings=settings,
        only=chain.history_tables(),
    )
    for name in raw:
        rows = frames[name]
        needed = rows["ts"] >= world.RECENT - BLOCKING.get(name, timedelta(0))
        frames[name] = rows[needed].reset_index(drop=True)
    return chain.run(frames, LAST_DAYS, settings=settings, checked=True)


def raw_of(frames: Frames) -> Frames:
    """The raw tables among the frames."""
    return {name: frame for name, frame in frames.items() if name.startswith("raw.")}


@dataclass(frozen=True)
class Seen:
    """A column of a table in which rows knew something of what came after them."""

    table: str
    column: str
    rows: pd.DataFrame

    def __str__(self) -> str:
        first = self.rows.iloc[0].to_dict()
        return f"{self.table}.{self.column}: {len(self.rows)} rows, the first {first}"


def seen_of_the_future(
    t: pd.Timestamp,
    *,
    seed: int,
    only: Collection[str] | None = None,
    window: Window | None = None,
    tamper: Mapping[str, chain.Tamper] | None = None,
    mutant: bool = False,
) -> list[Seen]:
    """What changes in rows decided by ``t`` when everything after ``t`` becomes garbage.

    Args:
        t: the instant.
        seed: of the garbage.
        only: tables to look at, with all that they are made of; None is every derived table.
        window: days that are computed again; by default from the day before ``t`` to the end.
        tamper: see :func:`chain.run`.
        mutant: whether the pipeline is not the real one now, so that the clean rows have to be made
            by it as well.
    """
    frames = computed()
    days = window or Window(floor_day(t.to_pydatetime()) - DAY, world.END)
    needed = chain.upstream_of(*only) if only is not None else set(chain.derived_tables())
    how = {"settings": world.settings(), "only": needed, "tamper": tamper}
    announced = frames["alerts.market_events"]  # stored events stay; here they are made again
    fresh = frames | {"alerts.market_events": announced[announced["ts"] < days.start]}
    before = chain.run(fresh, days, **how) if mutant or tamper else frames
    garbage = world.with_garbage_after(raw_of(frames), t, seed)
    after = chain.run(fresh | garbage, days, **how)
    found = []
    for name in chain.derived_tables():
        if name not in needed:
            continue
        item = table(name)
        old, new = (chain.decided_by(f[name], item, t) for f in (before, after))
        found += [
            Seen(name, column, rows) for column, rows in chain.differences(old, new, item).items()
        ]
    return found
