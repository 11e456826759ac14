"""Hashes of all derived tables after hourly ticks, uneven chunks and one shot.

``python -m regime_pipeline_tests.proofs.hashing [TICKS]`` prints them as JSON, one object per way; the
tests start it under other hash seeds and numbers of threads. Each run sees only what could be known at
its clock.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.orchestration.partitions import tick_window
from regime_pipeline.windows import DAY, HOUR, Window, floor_day, utc
from regime_pipeline_tests.proofs import base, chain, world
from regime_pipeline_tests.proofs.world import Frames

START = utc("2024-09-29")
END = utc("2024-10-02 01:00")
"""Over the end of a week, past a midnight with a print and an hour before it that is withheld."""


NOT_MADE = {"market.derivatives_1d"}
"""Tables that the world's settings make nothing of: its factors are made of hours, not of days."""


def ways(ticks: int) -> dict[str, list[tuple[Window, datetime]]]:
    """Ways to come to the same rows: each run as its days and its clock."""
    first = END - ticks * HOUR
    chunks = [utc("2024-09-29 11:00"), utc("2024-09-29 12:00"), utc("2024-10-01 08:00"), END]
    begins = [START, *(floor_day(c) for c in chunks[:-1])]
    return {
        "one shot": [(_days(START, END), END)],
        "uneven chunks": [(_days(b, now), now) for b, now in zip(begins, chunks, strict=True)],
        "hourly ticks": [
            (_days(START, first), first),
            *((tick_window(now), now) for now in (first + k * HOUR for k in range(1, ticks + 1))),
        ],
    }


def _days(start: datetime, now: datetime) -> Window:
    return Window(floor_day(start), floor_day(now) + DAY)


def known_at(raw: Frames, now: datetime) -> Frames:
    """The raw rows that can be there at an instant."""
    t = pd.Timestamp(now)
    return {
        name: rows[~world.AFTER[name](rows, t).to_numpy(bool)].reset_index(drop=True)
        for name, rows in raw.items()
    }


def hashes(runs: Sequence[tuple[Window, datetime]]) -> dict[str, str]:
    """The content hash of every derived table's rows from ``START`` on after some runs."""
    frames = base.computed()
    raw = base.raw_of(frames)
    made: Frames = {}
    for name in chain.derived_tables():
        rows = frames[name]
        made[name] = rows[rows[table(name).time_column] < pd.Timestamp(START)]
    for days, now in runs:
        made = chain.run(made | known_at(raw, now), days, settings=world.settings(), now=now)
    out = {}
    for name in chain.derived_tables():
        rows = made[name]
        own = rows[rows[table(name).time_column] >= pd.Timestamp(START)]
        assert len(own) or name in NOT_MADE, f"{name} has no rows to compare"
        out[name] = chain.content_hash(own, name)
    return out


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(json.dumps({way: hashes(runs) for way, runs in ways(count).items()}))
