"""What a check is, what it found, and how findings of rows become findings of days.

Belongs here: the list of checks in words, the one shape of every finding, penalties. Does not belong
here: the checks themselves (``prices``, ``derivatives``, ``calendar``, ``records``, ``drift``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import HOUR_US, microseconds
from regime_pipeline.windows import Window

SERIES = ("source", "venue", "market", "symbol")
"""What tells one series of a table from another; a column that a table lacks is null."""
NAMES = (*SERIES, "timeframe", "metric")
"""What names a row beside its ``ts``."""
WHOLE_TABLE = "*"
"""``series`` of the row that sums a check up over all series of a table."""
SAMPLE = 5
"""Failing keys that are kept per finding."""
SHOWN_SERIES = 50
"""Failing series of a check, table and day that get a row of their own; the sum counts all."""

DAY_US = 24 * HOUR_US
WARN, BLOCK = "WARN", "BLOCK"
WEIGHT: Mapping[str, float] = {WARN: 0.10, BLOCK: 0.50}
"""Largest penalty of a failed check: every row fails."""
LEAST_SHARE = 0.2
"""A failed check costs at least this part of its weight, however few rows fail."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check in words.

    Attributes:
        check_id: ``DQ01`` .. ``DQ15``.
        title: what it says when it fails, in a few words.
        tolerance: the limit, as people read it.
        severity: the worst it can be: ``WARN`` or ``BLOCK``.
        acts: what is kept from being published when it fails.
        advice: what to do.
        tables: what it looks at.
    """

    check_id: str
    title: str
    tolerance: str
    severity: str
    acts: str
    advice: str
    tables: tuple[str, ...]


RAW = tuple(d.table for d in DATASETS.values() if d.is_judged)
"""Raw tables that the checks of records look at."""
HOURLY = tuple(d.table for d in DATASETS.values() if d.is_continuous)
"""Raw tables that have a row for every hour of every living series."""
AGED = tuple(d.table for d in DATASETS.values() if d.slo is not None)
"""Raw tables that promise how old their newest row may be."""
_NOTHING = "nothing: the values that are there stay right"
_REFUSED = "the refused rows: they are in ops.quarantine and in no table"

CHECKS = (
    Check(
        "DQ01", "rows or replies break the contract", "none", BLOCK, _REFUSED,
        "read the reasons in ops.quarantine; a field that changed its name needs a new parser", RAW,
    ),
    Check(
        "DQ02", "one key came with several values", "none", BLOCK, _REFUSED,
        "look at the provider's pages around the hour", RAW,
    ),
    Check(
        "DQ03", "hours are missing", "99 % of the day's hours, no gap above 2 h; below 90 % BLOCK",
        BLOCK, "the missing hours, which are null already",
        "`regime run` asks again for what we missed; what the venue lacks stays missing", HOURLY,
    ),
    Check(
        "DQ04", "bars contradict themselves", "none", BLOCK, _REFUSED,
        "look at the row in ops.quarantine; neighbours are kept", ("raw.candles",),
    ),
    Check(
        "DQ05", "a price jumped and no other series followed",
        "|r| > max(10 x 1.4826 MAD of 30 d, 10 %), no other series moved half as far", BLOCK,
        "that hour of that series; where no other series has it, it is published as partial",
        "compare with another venue; fetch the hour again", ("raw.candles",),
    ),
    Check(
        "DQ06", "the feed repeats itself",
        "6 equal closes with volume, 24 equal closes, or 6 equal replies", WARN, _NOTHING,
        "see whether the venue halts or a cache stands still",
        ("raw.candles", "raw.order_book", "raw.coin_markets"),
    ),
    Check(
        "DQ07", "venues disagree on the price", "0.5 % from the median of 3 and more, 1 % of two",
        WARN, _NOTHING, "find the venue that is alone; `regime doctor` shows its state",
        ("raw.candles",),
    ),
    Check(
        "DQ08", "rows were stored before they could be known", "none later than 5 s ahead", BLOCK,
        "those rows", "check this machine's clock; fetch the hours again",
        tuple(t for t in RAW if t not in ("raw.fear_greed",)),
    ),
    Check(
        "DQ09", "long bars differ from the sum of their hours", "1e-6 of a price, 1e-3 of a volume",
        WARN, _NOTHING, "fetch the hours again; the provider restated one of the two",
        ("raw.candles",),
    ),
    Check(
        "DQ10", "funding is out of bounds or prints are missing",
        "cap of the venue; 1, 2, 4, 6 or 8 h; gaps only WARN", BLOCK,
        "prints beyond the cap or with an impossible interval",
        "check the unit (percent or fraction) and the venue's interval", ("raw.funding_rates",),
    ),
    Check(
        "DQ11", "liquidations do not add up", "sides = total; USD = price x quantity within 1 %; "
        "sides not swapped", WARN, _NOTHING, "check the provider's side map and contract size",
        ("raw.liquidation_events", "market.liquidations_1h"),
    ),
    Check(
        "DQ12", "order book snapshots cannot be used", "bid < ask, 5 levels a side, 60 s old", BLOCK,
        "those snapshots: they enter no mean", "look at the venue's book; a stale one is a dead feed",
        ("raw.order_book",),
    ),
    Check(
        "DQ13", "values or row counts look unlike the last 30 days",
        "PSI 0.25; open interest within 3 x, volume within 10 x; |z| of the row count 4", WARN, _NOTHING,
        "a changed unit shows as a level, a changed market as a distribution",
        ("raw.candles", "raw.funding_rates", "raw.open_interest"),
    ),
    Check(
        "DQ14", "the provider changed what it had said", "1 bp of a price, 1 % of a volume", WARN,
        _NOTHING, "the old versions are in the _revisions table; derived days are computed again",
        (
            "raw.candles", "raw.funding_rates", "raw.open_interest", "raw.positioning",
            "raw.liquidations",
        ),
    ),
    Check(
        "DQ15", "the newest row is old", "SLO of the dataset; four times of it BLOCK", BLOCK,
        "the hours that are not there, which are null already",
        "`regime doctor` asks the source", AGED,
    ),
)  # fmt: skip
"""Every check, in order."""
BY_ID: Mapping[str, Check] = {c.check_id: c for c in CHECKS}


Series = Callable[[npt.NDArray[np.int64]], tuple[npt.NDArray[np.int64], pd.DataFrame]]


@dataclass(frozen=True)
class Verdicts:
    """What a check says about single rows: arrays of one length, and the rows' names on demand.

    Attributes:
        ts_us: the row's instant, microseconds since 1970.
        value: the measured figure, NaN where unknown.
        failed: whether the row fails.
        blocking: it fails with BLOCK.
        withheld: it is kept from being published.
        doubtful: it is published as partial, with ``what`` as the reason.
        what: what is wrong with it, or None.
        series: of the rows at some positions, which of the named series each belongs to, and those
            series: one row of names (:data:`NAMES` as far as there are any) for each.
    """

    ts_us: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    failed: npt.NDArray[np.bool_]
    blocking: npt.NDArray[np.bool_]
    withheld: npt.NDArray[np.bool_]
    doubtful: npt.NDArray[np.bool_]
    what: npt.NDArray[np.object_]
    series: Series

    def rows(self, at: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Rows at some positions as a frame: names, ``ts``, value, verdict."""
        stamps = pd.DatetimeIndex(self.ts_us[at].astype("datetime64[us]")).tz_localize("UTC")
        code, names = self.series(at)
        out = names.reindex(columns=list(NAMES)).take(code).reset_index(drop=True)
        return out.assign(
            ts=stamps,
            value=self.value[at],
            failed=self.failed[at],
            blocking=self.blocking[at],
            withheld=self.withheld[at],
            what=self.what[at],
        )


@dataclass(frozen=True)
class Judged:
    """What a check says about one table. Rows that could not be judged are left out.

    Attributes:
        check_id: which check.
        table_name: ``schema.name``.
        verdicts: one per judged row.
        tolerance: the limit that the values are held against; None where there are several.
        without: why nothing was judged, for days without a verdict.
        worst_is_low: the smallest value is the worst one.
    """

    check_id: str
    table_name: str
    verdicts: Verdicts
    tolerance: float | None
    without: str = "nothing_to_judge"
    worst_is_low: bool = False


def verdicts_of(
    ts_us: npt.NDArray[np.int64],
    series: Series,
    failed: npt.ArrayLike,
    value: npt.ArrayLike | float,
    blocking: npt.ArrayLike | bool,
    withheld: npt.ArrayLike | bool,
    what: npt.ArrayLike | str | None,
    doubtful: npt.ArrayLike | bool = False,
) -> Verdicts:
    """Verdicts from arrays of one length or single values; all but the value count only where it failed."""
    bad = np.asarray(failed, dtype=bool)
    count = len(ts_us)
    said = np.empty(count, dtype=object)
    said[bad] = np.broadcast_to(np.asarray(what, dtype=object), (count,))[bad]
    return Verdicts(
        ts_us,
        np.broadcast_to(np.asarray(value, dtype="float64"), (count,)),
        bad,
        bad & np.asarray(blocking, dtype=bool),
        bad & np.asarray(withheld, dtype=bool),
        bad & np.asarray(doubtful, dtype=bool),
        said,
        series,
    )


def of_frame(
    frame: pd.DataFrame,
    failed: npt.ArrayLike,
    value: npt.ArrayLike | float = np.nan,
    *,
    blocking: npt.ArrayLike | bool = False,
    withheld: npt.ArrayLike | bool = False,
    what: npt.ArrayLike | str | None = None,
) -> Verdicts:
    """A verdict for each row of a frame; all but ``failed`` and ``value`` counts only where it fails."""
    names = [c for c in NAMES if c in frame]

    def series(at: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], pd.DataFrame]:
        rows = frame[names].iloc[at]
        if not names or rows.empty:
            return np.zeros(len(at), np.int64), rows.head(1) if names else pd.DataFrame(index=[0])
        code = rows.groupby(names, sort=False, dropna=False).ngroup().to_numpy()
        first = np.unique(code, return_index=True)[1]
        return code.astype(np.int64), rows.iloc[first]

    stamps = microseconds(frame["ts"])
    return verdicts_of(stamps, series, failed, value, blocking, withheld, what)


def nobody() -> Verdicts:
    """No verdict at all."""
    return of_frame(pd.DataFrame({"ts": pd.Series(dtype="datetime64[us, UTC]")}), [])


def joined(parts: Sequence[Verdicts]) -> Verdicts:
    """Verdicts of several kinds on one table as one."""
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([len(p.ts_us) for p in parts])

    def series(at: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], pd.DataFrame]:
        code, tables, known = np.zeros(len(at), np.int64), [], 0
        for part, end in zip(parts, ends, strict=True):
            mine = np.flatnonzero((at >= end - len(part.ts_us)) & (at < end))
            if len(mine):
                own, names = part.series(at[mine] - (end - len(part.ts_us)))
                code[mine] = own + known
                known += len(names)
                tables.append(names.reindex(columns=list(NAMES)).astype("str"))
        if not tables:
            return code, pd.DataFrame(columns=list(NAMES))
        return code, pd.concat(tables, ignore_index=True)

    arrays = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("ts_us", "value", "failed", "blocking", "withheld", "doubtful", "what")
    }
    return Verdicts(**arrays, series=series)


def days_of(window: Window) -> pd.DatetimeIndex:
    """The days of a window."""
    return pd.DatetimeIndex(window.days(), tz="UTC").as_unit("us")


def penalty(failed: int, judged: int, blocking: bool) -> float:
    """What a failed check takes from the score: its weight, by the share of rows that fail."""
    if not failed:
        return 0.0
    share = failed / max(judged, failed)
    return WEIGHT[BLOCK if blocking else WARN] * (LEAST_SHARE + (1.0 - LEAST_SHARE) * share)


def fold(
    items: Sequence[Judged], window: Window, stored: Mapping[str, npt.NDArray[np.bool_]]
) -> pd.DataFrame:
    """Rows of ``ops.quality_checks`` out of the verdicts of all checks.

    One row per check, table and day sums it up (``series`` is ``*``); each failing series has one of
    its own. A day without a verdict is ``not_applicable`` with a reason; nothing passes unseen.

    Args:
        items: the verdicts; those outside the window are left out.
        window: the days.
        stored: per table, for each day, whether it has any row; absent means no.
    """
    target = table("ops.quality_checks")
    parts = [part for item in items for part in _days(item, window, stored)]
    out = pd.concat(parts, ignore_index=True)
    failed = out["n_failed"] > 0
    blocking = out.pop("n_blocking") > 0
    worst = out["check_id"].map({c.check_id: c.severity for c in CHECKS})
    out["check_outcome"] = np.select(
        [out["n_judged"] == 0, failed], ["not_applicable", "failed"], "passed"
    )
    out["check_severity"] = np.where(failed, np.where(blocking, BLOCK, WARN), worst)
    out["penalty"] = 0.0
    bad = np.flatnonzero(failed)
    out.loc[bad, "penalty"] = [
        penalty(int(f), int(j), bool(b))
        for f, j, b in zip(
            out["n_failed"].to_numpy()[bad],
            out["n_judged"].to_numpy()[bad],
            blocking.to_numpy()[bad],
            strict=True,
        )
    ]
    ready = conform(out[list(target.content)], target)[list(target.content)]
    return ready.sort_values(list(target.key), ignore_index=True)


def _days(
    item: Judged, window: Window, stored: Mapping[str, npt.NDArray[np.bool_]]
) -> list[pd.DataFrame]:
    days = days_of(window)
    count, seen = len(days), item.verdicts
    first = microseconds(days[:1])[0]
    day = (seen.ts_us - first) // DAY_US
    end = int(pd.Timestamp(window.end).as_unit("us").value // 1000)
    inside = np.flatnonzero((seen.ts_us >= first) & (seen.ts_us < end))
    at = day[inside]

    def per_day(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(at[mask[inside]], minlength=count)

    judged = np.bincount(at, minlength=count)
    there = stored.get(item.table_name, np.zeros(count, bool))
    sign = -1.0 if item.worst_is_low else 1.0
    worst = np.full(count, -np.inf)
    known = inside[np.isfinite(seen.value[inside])]
    np.maximum.at(worst, day[known], sign * seen.value[known])
    whole = pd.DataFrame(
        {
            "table_name": item.table_name,
            "check_id": item.check_id,
            "series": WHOLE_TABLE,
            "ts": days,
            **dict.fromkeys(SERIES),
            "measured_value": np.where(np.isfinite(worst), sign * worst, np.nan),
            "tolerance": np.nan if item.tolerance is None else item.tolerance,
            "n_judged": judged,
            "n_failed": per_day(seen.failed),
            "n_blocking": per_day(seen.blocking),
            "n_withheld": per_day(seen.withheld),
            "failing_keys": None,
            "reason": _why(judged > 0, there, item.without),
        }
    )
    if not seen.failed[inside].any():
        return [whole]
    on_bad_days = np.isin(at, at[seen.failed[inside]])
    near, at = inside[on_bad_days], at[on_bad_days]
    code, names = seen.series(near)
    words = names.reindex(columns=list(NAMES)).astype("str").fillna("")
    series, of_names = np.unique(
        words[list(SERIES)].agg("|".join, axis=1).to_numpy(dtype=object), return_inverse=True
    )
    group = at * len(series) + of_names[code]
    bad = np.flatnonzero(seen.failed[near])
    texts = _texts(seen, near[bad], words, code[bad])
    by_day, by_group = _few(at[bad], texts), _few(group[bad], texts)
    whole["failing_keys"] = [by_day.get(d) for d in range(count)]
    chosen = np.unique(group[bad])
    size = count * len(series)
    worst = np.full(size, -np.inf)
    known = np.isfinite(seen.value[near])
    np.maximum.at(worst, group[known], sign * seen.value[near][known])

    def sums(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(group[mask[near]], minlength=size)[chosen]

    single = pd.DataFrame(
        {
            "table_name": item.table_name,
            "check_id": item.check_id,
            "series": series[chosen % len(series)],
            "ts": days[chosen // len(series)],
            "measured_value": np.where(np.isfinite(worst), sign * worst, np.nan)[chosen],
            "tolerance": np.nan if item.tolerance is None else item.tolerance,
            "n_judged": np.bincount(group, minlength=size)[chosen],
            "n_failed": sums(seen.failed),
            "n_blocking": sums(seen.blocking),
            "n_withheld": sums(seen.withheld),
            "failing_keys": [by_group[g] for g in chosen.tolist()],
            "reason": None,
        }
    )
    parts = single["series"].str.split("|", expand=True).set_axis(list(SERIES), axis=1)
    single[list(SERIES)] = parts.mask(parts == "")
    single = single.sort_values(["ts", "n_failed", "series"], ascending=[True, False, True])
    return [whole, single.groupby("ts").head(SHOWN_SERIES)]


def _why(judged: npt.ArrayLike, there: npt.ArrayLike, without: str) -> npt.NDArray[np.object_]:
    """Why days have no verdict; None where they have one."""
    out = np.where(there, without, "no_rows_stored").astype(object)
    out[np.asarray(judged, dtype=bool)] = None
    return out


def _few(group: npt.NDArray[np.int64], texts: list[str]) -> dict[int, str]:
    """A JSON list of the first texts of each group."""
    found: dict[int, list[str]] = {}
    for one, text in sorted(zip(group.tolist(), texts, strict=True)):
        mine = found.setdefault(one, [])
        if len(mine) < SAMPLE:
            mine.append(text)
    return {one: json.dumps(few, ensure_ascii=False) for one, few in found.items()}


def _texts(
    seen: Verdicts,
    bad: npt.NDArray[np.int64],
    words: pd.DataFrame,
    code: npt.NDArray[np.int64],
) -> list[str]:
    """Each failing row as one line: series, instant, figure, what is wrong.

    Args:
        seen: the verdicts.
        bad: positions of the failing rows.
        words: names of each series, "" for what it lacks.
        code: of each failing row, which series.
    """
    names = ["".join(f"{w} " for w in row if w) for row in words.itertuples(index=False)]
    stamps = np.datetime_as_string(seen.ts_us[bad].astype("datetime64[us]"), unit="s").tolist()
    return [
        f"{names[c]}{stamp}Z"
        + (f" {value:.6g}" if np.isfinite(value) else "")
        + (f" {note}" if isinstance(note, str) else "")
        for c, stamp, value, note in zip(
            code.tolist(), stamps, seen.value[bad].tolist(), seen.what[bad].tolist(), strict=True
        )
    ]


def scores(checks: pd.DataFrame) -> pd.DataFrame:
    """``ops.quality_scores``: ``100 x product of (1 - penalty)`` per table and day.

    A day on which nothing could be judged has no score: null, never 100.

    Args:
        checks: rows of ``ops.quality_checks``.
    """
    target = table("ops.quality_scores")
    whole = checks[checks["series"] == WHOLE_TABLE].sort_values(["table_name", "ts", "check_id"])
    by = ["table_name", "ts"]
    failed = whole["check_outcome"] == "failed"
    judged = whole["check_outcome"] != "not_applicable"
    block = failed & (whole["check_severity"] == BLOCK)
    work = whole.assign(
        kept=np.where(judged, 1.0 - whole["penalty"].to_numpy("float64"), 1.0),
        n_checks=judged.astype("int64"),
        n_not_applicable=(~judged).astype("int64"),
        n_block=block.astype("int64"),
        n_warn=(failed & ~block).astype("int64"),
    )
    group = work.groupby(by, sort=True)
    out = group[["n_checks", "n_not_applicable", "n_block", "n_warn", "n_withheld"]].sum()
    out["quality_score"] = (100.0 * group["kept"].prod()).where(out["n_checks"] > 0)
    ids = work[failed].groupby(by, sort=True)["check_id"].agg(",".join)
    out["failing_checks"] = ids.reindex(out.index)
    out = out.reset_index()
    return conform(out[list(target.content)], target)[list(target.content)]
