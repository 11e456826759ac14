"""What was received held against what is stored: a day again from its bytes.

Belongs here: recomputing and comparing. Does not belong here: how rows are made (``decode``, ``hours``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.collect.hours import Hours, Key, digest_of
from regime_pipeline.collect.plan import lines_of
from regime_pipeline.collect.store import RUN_ID, Storer
from regime_pipeline.collect.venues import CONNECTIONS
from regime_pipeline.settings import Settings
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, HOUR, Window


@dataclass
class Proofs:
    """Hours that are as they were received, and those that are not, in words."""

    equal: int = 0
    differing: list[str] = field(default_factory=list)


def prove_day(warehouse: Warehouse, settings: Settings, day: datetime) -> Proofs:
    """Hold every proven hour of a day against what its bytes say.

    Raises:
        LandingError: bytes that were kept are gone or damaged.
    """
    storer, hours = _keeper(warehouse, settings)
    out = Proofs()
    for hour, keys in sorted(_proven(warehouse, Window(day, day + DAY)).items()):
        for dataset in sorted({k[0] for k in keys}):
            mine = [k for k in keys if k[0] == dataset]
            made, _, _ = hours.recomputed(dataset, hour, mine)
            for key in mine:
                if _digest(made, key) == _digest(_stored(storer.warehouse, hour, key), key):
                    out.equal += 1
                else:
                    out.differing.append(f"{' '.join(key)} {hour:%Y-%m-%d %H:%M}")
    return out


def replay_day(warehouse: Warehouse, settings: Settings, day: datetime) -> dict[str, int]:
    """Store a day's rows of proven hours once more from their bytes: rows that changed, by dataset."""
    _, hours = _keeper(warehouse, settings)
    out: dict[str, int] = defaultdict(int)
    for hour, keys in sorted(_proven(warehouse, Window(day, day + DAY)).items()):
        for dataset in sorted({k[0] for k in keys}):
            made, _, _ = hours.recomputed(dataset, hour, [k for k in keys if k[0] == dataset])
            made["payload_id"] = None
            out[dataset] += warehouse.merge(f"raw.{dataset}", made, run_id=RUN_ID).changed
    return dict(out)


def _keeper(warehouse: Warehouse, settings: Settings) -> tuple[Storer, Hours]:
    found = lines_of(CONNECTIONS, settings, settings.symbols, settings.collect_venues)
    storer = Storer(warehouse, settings, found, Path(settings.home) / "collect")
    return storer, Hours(storer)


def _proven(warehouse: Warehouse, window: Window) -> dict[datetime, list[Key]]:
    rows = warehouse.transact(
        lambda c: c.execute(
            "select ts, dataset, source, venue, market, symbol from ops.stream_hours "
            "where is_proven and ts >= %s and ts < %s",
            (window.start, window.end),
        ).fetchall()
    )
    out: dict[datetime, list[Key]] = defaultdict(list)
    for hour, *key in rows:
        out[hour].append(tuple(key))  # type: ignore[arg-type]
    return out


def _stored(warehouse: Warehouse, hour: datetime, key: Key) -> pd.DataFrame:
    dataset, source, venue, market, symbol = key
    return warehouse.read(
        f"raw.{dataset}",
        Window(hour, hour + HOUR),
        symbols=[symbol],
        where={"source": source, "venue": venue, "market": market},
    )


def _digest(frame: pd.DataFrame, key: Key) -> str:
    item = table(f"raw.{key[0]}")
    mine = frame[(frame["market"] == key[3]) & (frame["symbol"] == key[4])]
    return digest_of(mine[list(item.fields)], item.full_name)
