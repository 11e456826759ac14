"""Checks of the records about rows: refusals, times of arrival, restatements (DQ01, DQ02, DQ04, DQ08, DQ14).

Contracts are enforced before a write; what broke one lies in the quarantine with its reason, and is
counted here. Does not belong here: the contracts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.datasets import BY_TABLE
from regime_pipeline.catalogue.registry import table
from regime_pipeline.quality.model import SERIES, Judged, Verdicts, joined, of_frame
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import Window

SAME_KEY = "another row with the same key"
"""How ``providers.fetch`` begins the reason of a row that another one of its key contradicts."""
_BAR = ("open", "high", "low", "close", "volume_base", "volume_quote", "taker_buy", "trade_count")
CONTRACT_FAILURES = ("ContractViolation", "Malformed", "EmptyNotAllowed")
"""Error classes of a reply of which no row could be read."""


def refusals(
    quarantine: pd.DataFrame, log: pd.DataFrame, full_name: str, stored: pd.DataFrame
) -> list[Judged]:
    """DQ01, DQ02 and (for candles) DQ04: rows of the quarantine by what they broke.

    A row counts on the day of its own ``ts``; one whose time cannot be read on the day it was met.
    A reply that could not be read at all counts once, on every day it was asked for (DQ01).

    Args:
        quarantine: rows of ``ops.quarantine`` of this table, parsed by :func:`parsed`.
        log: failed fetches of this table whose class is :data:`CONTRACT_FAILURES`.
        full_name: the table.
        stored: ``ts`` and series of the stored rows: what else was judged.
    """
    names = table(full_name)
    reason = quarantine["reason"]
    doubled = reason.str.startswith(SAME_KEY)
    is_bar = full_name == "raw.candles"
    bar = reason.map(lambda text: _about_bars(text)) if is_bar else pd.Series(False, reason.index)
    bar = bar.astype(bool) & ~doubled
    kinds = {"DQ01": ~doubled & ~bar, "DQ02": doubled}
    if is_bar:
        kinds["DQ04"] = bar
    fine = of_frame(stored, np.zeros(len(stored), bool))
    out = []
    for check_id, mask in kinds.items():
        rows = quarantine[mask.to_numpy(bool)]
        bad = of_frame(
            rows, np.ones(len(rows), bool), blocking=True, withheld=True,
            what=rows["reason"].to_numpy(),
        )  # fmt: skip
        parts = [fine, bad] if len(rows) else [fine]
        if check_id == "DQ01" and len(log):
            parts.append(_whole_replies(log, names.symbol_columns != ()))
        out.append(Judged(check_id, full_name, joined(parts), 0.0))
    return out


def _about_bars(reason: str) -> bool:
    """Whether a reason speaks of prices and volumes of a bar only."""
    return all(part.strip().startswith(_BAR) for part in reason.split("; "))


def _whole_replies(log: pd.DataFrame, by_symbol: bool) -> Verdicts:
    days: list[object] = [
        pd.date_range(a.floor("D"), b - pd.Timedelta(1, "us"), freq="1D")
        for a, b in zip(log["window_start"], log["window_end"], strict=True)
    ]
    keys = [c for c in SERIES if c in log and (by_symbol or c != "symbol")]
    rows = (
        log[keys]
        .assign(ts=pd.Series(days, index=log.index, dtype=object), what=log["error_message"])
        .explode("ts", ignore_index=True)
    )
    rows = rows[rows["ts"].notna()]
    rows["ts"] = pd.to_datetime(rows["ts"], utc=True).dt.as_unit("us")
    failed = np.ones(len(rows), bool)
    return of_frame(rows, failed, blocking=True, withheld=True, what=rows["what"].to_numpy())


def parsed(quarantine: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Quarantined rows with ``ts`` and the series' names out of the row as it came.

    Args:
        quarantine: rows of ``ops.quarantine``.
        window: rows of other days are left out.
    """
    told = [json.loads(text) for text in quarantine["row_data"]]
    out = pd.DataFrame(
        {
            "table_name": quarantine["table_name"].to_numpy(),
            "reason": quarantine["reason"].fillna("").to_numpy(),
            **{c: [_text(row.get(c)) for row in told] for c in SERIES},
        }
    )
    out["source"] = out["source"].fillna(quarantine["source"].reset_index(drop=True))
    stamps = pd.to_datetime(
        pd.Series([_text(row.get("ts")) for row in told], dtype="str"),
        utc=True, errors="coerce", format="ISO8601",
    )  # fmt: skip
    met = quarantine["created_at"].reset_index(drop=True)
    out["ts"] = stamps.where(stamps.notna(), met).dt.as_unit("us")
    inside = (out["ts"] >= window.start) & (out["ts"] < window.end)
    return out[inside].reset_index(drop=True)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def future_stamps(frame: pd.DataFrame, full_name: str, params: QualityParams) -> Judged:
    """DQ08: rows that were stored before their time had come, an open bar among them.

    The measured value is how far ahead, in seconds. Such a row is withheld until a later fetch brings
    another version of it. Where the provider's own clock says that the time had come (``served_at``,
    the Date of the reply), this machine's clock is late and the row is right.

    Args:
        frame: rows with ``ts``, ``ingested_at`` and, where looked up, ``served_at``.
        full_name: the table.
        params: tolerance.
    """
    length = pd.Timedelta(BY_TABLE[full_name].length)
    ahead = ahead_s(frame, full_name)
    if "served_at" in frame:
        told = (frame["ts"] + length - frame["served_at"]).dt.total_seconds().to_numpy("float64")
        ahead = np.fmin(ahead, told)
    known = np.isfinite(ahead)
    bad = (ahead > params.future_s)[known]
    rows = of_frame(frame[known], bad, np.maximum(ahead[known], 0.0), blocking=bad, withheld=bad)
    return Judged("DQ08", full_name, rows, params.future_s, "no_time_of_arrival")


def ahead_s(frame: pd.DataFrame, full_name: str) -> np.ndarray:
    """Seconds by which each row was stored before its end, by this machine's clock."""
    length = pd.Timedelta(BY_TABLE[full_name].length)
    seconds = (frame["ts"] + length - frame["ingested_at"]).dt.total_seconds()
    return seconds.to_numpy("float64")


RESTATED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "raw.candles": (("open", "high", "low", "close"), ("volume_base", "volume_quote")),
    "raw.funding_rates": (("funding_rate",), ()),
    "raw.open_interest": ((), ("open_interest_base", "open_interest_usd")),
    "raw.positioning": ((), ("value",)),
    "raw.liquidations": ((), ("long_liquidations_usd", "short_liquidations_usd")),
}
"""Columns of each table that are held against 1 bp, and those against 1 %."""


def restatements(
    versions: pd.DataFrame, full_name: str, stored: pd.DataFrame, params: QualityParams
) -> Judged:
    """DQ14: values that a provider changed after the fact.

    The measured value is the larger of price change / 1 bp and volume change / 1 %, so above 1 is a
    WARN; the text says how old the row was. A funding rate is held against 1 bp of notional.

    Args:
        versions: all versions of the rows that were ever replaced: key, values, ``revision``,
            ``ingested_at``; the newest among them.
        full_name: the table.
        stored: ``ts`` and series of the stored rows.
        params: tolerances.
    """
    fine = of_frame(stored, np.zeros(len(stored), bool))
    if versions.empty:
        return Judged("DQ14", full_name, fine, 1.0)
    key = list(table(full_name).key)
    rows = versions.sort_values([*key, "revision"], kind="stable", ignore_index=True)
    later = rows.groupby(key, sort=False).shift(-1)
    prices, volumes = RESTATED[full_name]
    size = np.zeros(len(rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        for columns, limit in (
            (prices, params.restated_price_frac),
            (volumes, params.restated_volume_frac),
        ):
            for name in columns:
                old, new = (f[name].to_numpy("float64", na_value=np.nan) for f in (rows, later))
                change = np.abs(new - old)
                if name != "funding_rate":
                    change = np.where(new == old, 0.0, change / np.abs(old))
                size = np.fmax(size, change / limit)
    replaced = later["ingested_at"].notna().to_numpy(bool)
    age = (later["ingested_at"] - rows["ts"]).dt.total_seconds().to_numpy("float64") / 3600.0
    bad = (size > 1.0)[replaced]
    what = [f"restated {a:.0f} h after its start" for a in age[replaced]]
    told = of_frame(rows[replaced], bad, size[replaced], what=np.array(what, dtype=object))
    return Judged("DQ14", full_name, joined([fine, told]), 1.0)
