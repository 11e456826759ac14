"""Migrating legacy signal files: from a folder into ``raw.legacy_signals``, with a report per file.

Belongs here: what becomes of the rows that the reader gives, how they are checked against what is
stored, and what is written. Does not belong here: reading files (``legacy.reader``), Dagster.

Two checks against better tiers. A record that carries a price must agree with the stored candles of
its hour within :data:`PRICE_TOLERANCE`; one that does not is about another symbol, unit or time and
is quarantined. A score is an opinion, so one that is more than :data:`SCORE_BOUND` points from the
stored score of the same component is kept and flagged ``differs``. Where nothing is stored to compare
with, the row says ``no_reference``; migrating again later compares again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.fields.common import COMPONENTS
from regime_pipeline.legacy.reader import (
    KEY,
    LegacyFile,
    empty_rows,
    legacy_paths,
    parse_legacy,
)
from regime_pipeline.net.files import UnreadableFileError, read_stable
from regime_pipeline.providers.landing import Landed, LandingStore
from regime_pipeline.settings import Settings
from regime_pipeline.windows import HOUR, Clock, Window, floor_hour

if TYPE_CHECKING:
    from regime_pipeline.storage.merge import WriteResult
    from regime_pipeline.storage.warehouse import Warehouse

TABLE = "raw.legacy_signals"
SOURCE = "legacy_files"
TIER = 3
PRICE_TOLERANCE = 0.2
"""How far outside an hour's low and high a price may lie, as a fraction of them."""
SCORE_BOUND = 25.0
"""Points of difference, half the way from neutral to an extreme, from which a score is flagged."""


@dataclass(frozen=True)
class Migration:
    """What a migration did, or would do.

    Attributes:
        folder: where the files are.
        files: what came of each, in name order.
        frame: rows of the table.
        refused: rows for the quarantine.
        written: counts of the merge; None after a dry run.
        quarantined: refused rows that were new; None after a dry run.
    """

    folder: Path
    files: list[LegacyFile]
    frame: pd.DataFrame
    refused: pd.DataFrame
    written: WriteResult | None = None
    quarantined: int | None = None

    def outcomes(self) -> dict[str, int]:
        """Files per outcome."""
        names = ("ok", "repaired", "partial", "quarantined")
        return {n: sum(f.outcome == n for f in self.files) for n in names}

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        out: dict[str, Any] = {
            "folder": str(self.folder),
            "dry_run": self.written is None,
            "files": [
                {
                    "file": f.path,
                    "outcome": f.outcome,
                    "rows": len(f.rows),
                    "refused": len(f.refused),
                    "reason": f.reason,
                    "payload_id": f.payload_id,
                }
                for f in self.files
            ],
            "outcomes": self.outcomes(),
            "rows": len(self.frame),
            "refused": len(self.refused),
        }
        if self.written is not None:
            out |= {
                "inserted": self.written.inserted,
                "updated": self.written.updated,
                "unchanged": self.written.unchanged,
                "quarantined": self.quarantined,
            }
        return out


Tell = Callable[[str, int, int], None]


def migrate(
    folder: Path,
    *,
    settings: Settings,
    clock: Clock,
    warehouse: Warehouse | None,
    run_id: str | None = None,
    progress: Tell | None = None,
) -> Migration:
    """Read every file of a folder and store what is sound.

    The files are only read. What is stored already stays as it is, so it can be repeated at any time.

    Args:
        folder: legacy ``*.json`` files, at any depth.
        settings: accepted symbols; where original bytes are kept.
        clock: signals after now are refused.
        warehouse: where rows go; None is a dry run, which writes nothing and checks nothing against
            what is stored.
        run_id: kept in the rows' bookkeeping.
        progress: told ``(what, done, total)``.

    Raises:
        LegacyFileError: there is no such folder.
    """
    tell = progress or (lambda *_: None)
    now = clock.now()
    landing = LandingStore.of(settings) if warehouse is not None else None
    paths = legacy_paths(folder)
    files: list[LegacyFile] = []
    landed: dict[str, Landed] = {}
    for done, (path, barred) in enumerate(paths):
        tell("read files", done, len(paths))
        name = str(path.relative_to(folder))
        try:
            if barred is not None:
                raise UnreadableFileError(barred)
            body = read_stable(path)
        except UnreadableFileError as error:
            files.append(LegacyFile(name, empty_rows(), error=str(error)))
            continue
        files.append(parse_legacy(body, name=name, now=now, symbols=settings.universe))
        if landing is not None:
            landed[name] = landing.put(body)
    tell("read files", len(paths), len(paths))
    frame = _settled(files)
    if warehouse is not None:
        frame = _checked(frame, files, warehouse)
    else:
        frame["cross_check"] = "no_reference"
    refused = _refused(files)
    ready = _stamped(frame)
    if warehouse is None:
        return Migration(folder, files, ready, refused)
    tell("store", 0, 1)
    written = warehouse.merge(TABLE, ready, run_id=run_id)
    quarantined = warehouse.quarantine(TABLE, refused, source=SOURCE, run_id=run_id)
    warehouse.record("ops.payloads", _payloads(landed, now), run_id=run_id)
    tell("store", 1, 1)
    return Migration(folder, files, ready, refused, written, quarantined)


# --- one row per key ------------------------------------------------------------------------------


def _settled(files: list[LegacyFile]) -> pd.DataFrame:
    """The rows of all files, one per key: sound beats repaired, then the last name wins.

    A loser that says otherwise is refused in its own file's report; one that says the same vanishes.
    """
    parts = [
        f.rows.assign(file_name=f.path, payload_id=f.payload_id, is_repaired=f.repair is not None)
        for f in files
        if len(f.rows)
    ]
    if not parts:
        return empty_rows().assign(
            file_name=pd.Series(dtype="str"),
            payload_id=pd.Series(dtype="str"),
            is_repaired=pd.Series(dtype="bool"),
        )
    frame = pd.concat(parts, ignore_index=True)
    frame["is_sound"] = ~frame["is_repaired"]
    frame = frame.sort_values([*KEY, "is_sound", "file_name"], kind="stable", ignore_index=True)
    lost = frame.duplicated(list(KEY), keep="last")
    if lost.any():
        said = [c for c in empty_rows().columns if c not in KEY]
        winner = frame.loc[~lost].set_index(list(KEY))
        losers = frame.loc[lost]
        of = winner.reindex(pd.MultiIndex.from_frame(losers[list(KEY)]))
        same = np.ones(len(losers), dtype=bool)
        for column in said:
            left, right = losers[column].reset_index(drop=True), of[column].reset_index(drop=True)
            same &= ((left == right) | (left.isna() & right.isna())).to_numpy(bool)
        differing = losers.loc[~same]
        why = "the file " + of["file_name"].loc[~same].to_numpy(object) + " says otherwise"
        _refuse(differing, why, files)
    return frame.loc[~lost].drop(columns="is_sound").reset_index(drop=True)


def _refuse(rows: pd.DataFrame, reasons: np.ndarray | list[str], files: list[LegacyFile]) -> None:
    """Moves rows from the accepted ones of their file to its refused records."""
    by_name = {f.path: f for f in files}
    said = list(empty_rows().columns)
    for name, part in rows.assign(reason=reasons).groupby("file_name", sort=True):
        of = by_name[str(name)]
        out = pd.MultiIndex.from_frame(part[list(KEY)])
        of.rows = of.rows.loc[~pd.MultiIndex.from_frame(of.rows[list(KEY)]).isin(out)]
        records = part[said].to_json(orient="records", lines=True, date_format="iso")
        of.refused += [
            {"reason": str(why), "record": text}
            for why, text in zip(part["reason"], records.splitlines(), strict=True)
        ]


# --- against what is stored -----------------------------------------------------------------------


def _checked(frame: pd.DataFrame, files: list[LegacyFile], warehouse: Warehouse) -> pd.DataFrame:
    """Without rows whose price no market had, and with ``cross_check``."""
    frame = frame.assign(hour=frame["ts"].dt.floor("h"), cross_check="no_reference")
    if frame.empty:
        return frame.drop(columns="hour")
    reach = Window(
        floor_hour(frame["ts"].min().to_pydatetime()) - HOUR,
        floor_hour(frame["ts"].max().to_pydatetime()) + HOUR,
    )
    symbols = sorted(frame["symbol"].unique())
    frame = _with_possible_prices(frame, files, warehouse, reach, symbols)
    # a row stamped h decides at h + 1h: what was known at a signal's time is the row before its hour
    stored = _scores(warehouse, reach, symbols)
    known = frame[["symbol", "component", "hour"]].assign(hour=frame["hour"] - HOUR)
    reference = known.merge(stored, on=["symbol", "component", "hour"], how="left")["score"]
    off = (frame["score"] - reference.set_axis(frame.index)).abs()
    frame.loc[off.notna(), "cross_check"] = "agrees"
    frame.loc[off > SCORE_BOUND, "cross_check"] = "differs"
    return frame.drop(columns="hour")


def _with_possible_prices(
    frame: pd.DataFrame,
    files: list[LegacyFile],
    warehouse: Warehouse,
    reach: Window,
    symbols: list[str],
) -> pd.DataFrame:
    priced = frame["price"].notna()
    if not priced.any():
        return frame
    bars = warehouse.read(
        "raw.candles",
        reach,
        symbols=symbols,
        columns=["symbol", "ts", "low", "high", "source_tier"],
        where={"timeframe": "1h"},
    )
    bars = bars.loc[bars["source_tier"] <= 2]
    hours = bars.groupby(["symbol", "ts"], sort=False).agg(low=("low", "min"), high=("high", "max"))
    at = frame[["symbol", "hour"]].merge(
        hours.reset_index().rename(columns={"ts": "hour"}), on=["symbol", "hour"], how="left"
    )
    low, high = (at[c].to_numpy() for c in ("low", "high"))
    price = frame["price"].to_numpy()
    with np.errstate(invalid="ignore"):
        wrong = (price < low * (1 - PRICE_TOLERANCE)) | (price > high * (1 + PRICE_TOLERANCE))
    if not wrong.any():
        return frame
    why = [
        f"price {p:g} is not the market's, which was {lo:g} to {hi:g} in that hour"
        for p, lo, hi in zip(price[wrong], low[wrong], high[wrong], strict=True)
    ]
    _refuse(frame.loc[wrong], why, files)
    return frame.loc[~wrong].reset_index(drop=True)


def _scores(warehouse: Warehouse, reach: Window, symbols: list[str]) -> pd.DataFrame:
    """Stored scores of tier 1 and 2 as symbol, component, hour, score."""
    fields = table("signals.components").fields
    names = [c for c in COMPONENTS if f"{c}_score" in fields]
    wide = warehouse.read(
        "signals.components",
        reach,
        symbols=symbols,
        columns=["symbol", "ts", "source_tier", *(f"{c}_score" for c in names)],
    )
    wide = wide.loc[wide["source_tier"] <= 2]
    long = wide.melt(["symbol", "ts"], [f"{c}_score" for c in names], "component", "score")
    long["component"] = long["component"].str.removesuffix("_score").astype("str")
    return long.rename(columns={"ts": "hour"}).dropna(subset=["score"])


# --- rows as the tables want them -----------------------------------------------------------------


def _stamped(frame: pd.DataFrame) -> pd.DataFrame:
    names = {n: f"legacy_{n}" for n in ("score", "direction", "strength", "confidence", "price")}
    return frame.rename(columns=names).assign(
        source=SOURCE, source_tier=TIER, available_at=frame["ts"], pit_grade="assumed"
    )


def _refused(files: list[LegacyFile]) -> pd.DataFrame:
    rows = []
    for f in files:
        records: list[dict[str, Any]] = list(f.refused)
        if f.error:
            records.append({"reason": f.error, "record": None})
        rows += [{"file_name": f.path, "payload_id": f.payload_id, **r} for r in records]
    return pd.DataFrame(rows, columns=["file_name", "payload_id", "reason", "record"])


def _payloads(landed: dict[str, Landed], now: datetime) -> pd.DataFrame:
    rows = [
        {
            "payload_id": got.payload_id,
            "source": SOURCE,
            "endpoint_path": "signals",
            "url": f"file:{name}",
            "byte_count": got.byte_count,
            "landing_path": got.path,
            "fetched_at": now,
        }
        for name, got in landed.items()
    ]
    columns = list(table("ops.payloads").fields)
    return pd.DataFrame(rows, columns=columns) if rows else pd.DataFrame(columns=columns)
