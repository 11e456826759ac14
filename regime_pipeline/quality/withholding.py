"""What is withheld from publishing, or published with a doubt: which raw rows, and how derived rows say so.

A blocked row stays in its raw table. The market series of that hour are computed as if it had not come,
and their rows say ``quarantined`` with the check's id instead of ``missing``. A doubtful row is used, and
the market row says ``partial`` with the doubt. Does not belong here: deciding it (the checks).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.quality.model import BY_ID, NAMES, Judged
from regime_pipeline.windows import Window

BLOCKS = "ops.quality_blocks"
QUARANTINED = "quarantined"


def series_text(frame: pd.DataFrame) -> pd.Series:
    """The series of each row as one text, the same for a raw row and for its block."""
    parts = [
        frame[name].astype("str").fillna("") if name in frame else pd.Series("", frame.index)
        for name in NAMES
    ]
    out = parts[0].astype("str")
    for part in parts[1:]:
        out = out + "|" + part.astype("str")
    return out


def blocks(judged: Iterable[Judged], window: Window) -> pd.DataFrame:
    """Rows of ``ops.quality_blocks``: a window's raw rows that are withheld or doubtful, and why."""
    spec = table(BLOCKS)
    parts = []
    for item in judged:
        held = np.flatnonzero(item.verdicts.withheld | item.verdicts.doubtful)
        if not len(held):
            continue
        rows = item.verdicts.rows(held)
        rows = rows[(rows["ts"] >= window.start) & (rows["ts"] < window.end)]
        if rows.empty:
            continue
        rows = rows.assign(
            table_name=item.table_name,
            check_id=item.check_id,
            series=series_text(rows),
            measured_value=rows["value"],
            is_withheld=rows["withheld"],
            reason=rows["what"].where(rows["what"].notna(), BY_ID[item.check_id].title),
        )
        parts.append(rows.reindex(columns=list(spec.content)))
    if not parts:
        return empty(spec)[list(spec.content)]
    long = pd.concat(parts, ignore_index=True).drop_duplicates(list(spec.key))
    return conform(long, spec)[list(spec.content)].sort_values(list(spec.key), ignore_index=True)


def withhold(frame: pd.DataFrame, full_name: str, blocked: pd.DataFrame) -> pd.DataFrame:
    """The raw rows without the blocked ones.

    Args:
        frame: rows of a raw table.
        full_name: that table.
        blocked: rows of ``ops.quality_blocks``.
    """
    mine = blocked[(blocked["table_name"] == full_name) & blocked["is_withheld"]]
    if mine.empty or frame.empty:
        return frame
    near = frame.loc[frame["ts"].isin(mine["ts"])]  # few hours have a blocked row at all
    keys = pd.MultiIndex.from_arrays([mine["series"], mine["ts"]])
    held = pd.MultiIndex.from_arrays([series_text(near), near["ts"]]).isin(keys)
    return frame.drop(index=near.index[held]).reset_index(drop=True) if held.any() else frame


def explained(
    rows: pd.DataFrame,
    causes: pd.DataFrame,
    where: Sequence[str] = ("venue", "market", "symbol", "ts"),
) -> pd.DataFrame:
    """Derived rows that are missing for a withheld input, told as ``quarantined`` with its reason.

    Args:
        rows: rows of a derived table, with ``status`` and ``reason``.
        causes: ``market`` (if any), ``symbol``, hour ``ts`` and ``reason`` of what was withheld.
        where: columns that place a row; those that either side lacks are not compared.
    """
    if rows.empty or causes.empty or not {"status", "reason", "symbol", "ts"} <= set(rows.columns):
        return rows
    by = [c for c in where if c in rows and c in causes and causes[c].notna().all()]
    told = (
        causes.sort_values([*by, "reason"], kind="stable")
        .drop_duplicates([*by, "reason"])
        .groupby(by, sort=True)["reason"]
        .agg(",".join)
        .rename("why")
        .reset_index()
    )
    why = rows[by].merge(told, on=by, how="left")["why"].to_numpy(dtype=object)
    change = (rows["status"] == "missing").to_numpy(bool) & ~pd.isna(why)
    if not change.any():
        return rows
    return rows.assign(
        status=rows["status"].mask(change, QUARANTINED),
        reason=rows["reason"].mask(change, pd.Series(why, index=rows.index, dtype="str")),
    )


def doubted(rows: pd.DataFrame, blocked: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Derived rows that are ok and stand on a doubtful row, told as ``partial`` with the doubt.

    Args:
        rows: rows of a derived table, with ``status`` and ``reason``.
        blocked: rows of ``ops.quality_blocks``.
        names: raw tables that the rows were made of.
    """
    mine = blocked[blocked["table_name"].isin(list(names)) & ~blocked["is_withheld"]]
    if rows.empty or mine.empty or not {"status", "reason", "symbol", "ts"} <= set(rows.columns):
        return rows
    by = [c for c in ("venue", "market", "symbol", "ts") if c in rows]
    doubt = mine.drop_duplicates(by)[[*by, "reason"]].rename(columns={"reason": "doubt"})
    why = rows[by].merge(doubt, on=by, how="left")["doubt"].astype("str")
    change = (rows["status"] == "ok").to_numpy(bool) & why.notna().to_numpy(bool)
    return rows.assign(
        status=rows["status"].mask(change, "partial"),
        reason=rows["reason"].mask(change, why.set_axis(rows.index)),
    )


def causes(blocked: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Withheld rows of raw tables as causes: ``reason`` is the check's id, ``ts`` the hour."""
    mine = blocked[blocked["table_name"].isin(list(names)) & blocked["is_withheld"]]
    return pd.DataFrame(
        {
            "market": mine["market"].to_numpy(),
            "venue": mine["venue"].to_numpy(),
            "symbol": mine["symbol"].to_numpy(),
            "ts": mine["ts"].dt.floor("h").array,
            "reason": mine["check_id"].to_numpy(),
        }
    )
