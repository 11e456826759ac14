"""What became of each hour of each raw series: array arithmetic over log rows and stored hours.

Frames and arrays in, frames out; no clock, no tables. Hours are whole numbers since the epoch. The
rules are told in ``rules``; reading and writing is done by ``store``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.datasets import MISSED_AFTER, Expected
from regime_pipeline.coverage.answers import (
    OPEN_REASONS,
    cells,
    count_over,
    covered,
    epoch_hours,
    read_answers,
)
from regime_pipeline.coverage.asked import ANSWERED, REFUSED, was_made
from regime_pipeline.coverage.rules import Series
from regime_pipeline.windows import HOUR

KEY = ("source", "venue", "market", "symbol")
SPAN = (*KEY, "start", "end", "coverage_state", "coverage_reason", "is_forward_only")
"""Columns of a frame of stretches; ``start`` and ``end`` are hours since the epoch."""
_TYPES = dict.fromkeys([*KEY, "coverage_state", "coverage_reason"], "str") | {
    "start": "int64",
    "end": "int64",
    "is_forward_only": "bool",
}
STATES = (
    "stored",
    "venue_had_none",
    "not_listed",
    "plan_limit",
    "beyond_retention",
    "source_off",
    "not_yet",
    "forward_only",
    "missed",
)
_CODE = {state: i for i, state in enumerate(STATES)}
_NEVER = "nobody asked"
_REFUSED_ROW = "refused: "
"""How the reason of an hour begins whose row came and could not be used."""
_LONGEST_REASON = 120
_REASONS = {
    "venue_had_none": "answered without a row",
    "not_yet": "within the grace after the hour",
    "forward_only": "not recorded while it happened",
    "not_listed": "UnknownSymbol",
    "plan_limit": "PlanLimit",
    "beyond_retention": "RetentionLimit",
}


def hour_of(at: datetime) -> float:
    """An instant in hours since the epoch."""
    return at.timestamp() / 3600.0


def no_spans() -> pd.DataFrame:
    """A frame of stretches without rows."""
    return typed(pd.DataFrame(columns=list(SPAN)))


def typed(spans: pd.DataFrame) -> pd.DataFrame:
    """Stretches in the column types that all of them have."""
    return spans[list(SPAN)].astype(_TYPES)


def matched(rows: pd.DataFrame, series: Sequence[Series]) -> np.ndarray:
    """Number of the series that each row is about, by its key columns; -1 for none of them."""
    if rows.empty or not series:
        return np.full(len(rows), -1)
    names = [rows[c].astype("str") for c in KEY]
    known = pd.Index(["\n".join(s.key) for s in series], dtype="str")
    wanted = ["\n".join(key) for key in zip(*names, strict=True)]
    return known.get_indexer(pd.Index(wanted, dtype="str"))


def hour_spans(
    series: Sequence[Series],
    first: int,
    last: int,
    *,
    stored: pd.DataFrame,
    log: pd.DataFrame,
    refused: pd.DataFrame | None = None,
    lived: pd.DataFrame | None = None,
    begins: np.ndarray,
    now: datetime,
) -> pd.DataFrame:
    """The hours ``[first, last)`` of the series as stretches of equal state.

    Args:
        series: whose hours; their order is that of the result.
        first: first hour.
        last: end, exclusive; no later than the last full hour at ``now``.
        stored: hours with rows, as stretches: ``KEY``, ``start``, ``end``.
        log: rows of ``ops.fetch_log`` about the series: ``KEY``, ``run_id``, ``window_start``,
            ``window_end``, ``fetch_status``, ``error_class``, ``request_count``, ``fetched_at``,
            ``endpoint_path``, ``rows_stored``, ``rows_quarantined``, ``first_row_at``, ``last_row_at``.
        refused: hours of which a row was refused: ``KEY``, ``hour``, ``reason``; the last of several
            counts. An answer with such a row settles nothing.
        lived: hours with rows at any time, as ``stored``: between them a series is alive.
        begins: bool, series x hours: which hours are judged at all.
        now: decides what is not due yet and what is too old.

    Returns:
        Columns ``SPAN``, in order of series and start, neighbours of one state and reason merged.
    """
    count, length = len(series), last - first
    if not count or length <= 0:
        return no_spans()
    rows = _painted(stored, matched(stored, series), (count, length), first)
    events = np.array([s.rule == Expected.ANSWERS for s in series])[:, None]
    multi = np.array([s.needs_answer for s in series])[:, None]
    forward = np.array([s.is_forward_only for s in series])[:, None]
    off = np.array([s.off is not None for s in series])[:, None]
    grace_h = np.array([(MISSED_AFTER + s.every - HOUR) / HOUR for s in series])[:, None]
    horizon = np.array([np.inf if s.horizon is None else s.horizon / HOUR for s in series])

    log = log.assign(series=matched(log, series))
    log = log[log["series"] >= 0].reset_index(drop=True)
    alive = _alive(stored if lived is None else pd.concat([stored, lived]), series, first, length)
    answers = read_answers(log, series, alive, horizon, first)
    failure, classes = _failures(log, horizon, (count, length), first)
    why, reasons = np.zeros((count, length), np.int64), list[str]()
    if refused is not None and len(refused):
        # of events nobody knows whether the row that was refused has come since
        why, reasons = _refusals(refused, series, (count, length), first)
        why[np.broadcast_to(events | rows, why.shape)] = 0
    failure = np.where(why > 0, why + len(classes), failure)
    classes = [*classes, *reasons]
    lacking, plans = _lacking(log, horizon, (count, length), first)
    hour = np.arange(first, last)[None, :]
    refusals = np.array([_CODE.get(REFUSED.get(c, ""), -1) for c in ("", *classes)])[failure]
    # what refuses one endpoint of several says nothing of the hour when others answered
    is_open = (answers.open_reason > 0) & ~forward & (why == 0) & ((refusals < 0) | multi)
    refusals = np.where(is_open, -1, refusals)
    failure = np.where(is_open, len(classes) + answers.open_reason, failure)
    classes = [*classes, *OPEN_REASONS]

    state = np.select(
        [
            np.where(events, answers.events, rows & (answers.with_row | ~multi)),
            answers.confirmed & ~forward & ~events & (why == 0),
            refusals >= 0,
            np.broadcast_to(off, rows.shape),
            np.broadcast_to(hour + 1 + grace_h > hour_of(now), rows.shape),
            np.broadcast_to(forward, rows.shape),
            hour < hour_of(now) - horizon[:, None],
        ],
        [
            np.full(rows.shape, _CODE["stored"]),
            np.full(rows.shape, _CODE["venue_had_none"]),
            refusals,
            np.full(rows.shape, _CODE["source_off"]),
            np.full(rows.shape, _CODE["not_yet"]),
            np.full(rows.shape, _CODE["forward_only"]),
            np.full(rows.shape, _CODE["beyond_retention"]),
        ],
        _CODE["missed"],
    )
    # a failure tells why only where the hour could still have come
    told = np.isin(state, [_CODE["missed"], _CODE["forward_only"]])
    cause = np.where(told, failure, 0)
    beyond = (state == _CODE["beyond_retention"]) & (refusals < 0)
    cell = (state * (len(classes) + 2) + np.where(beyond, len(classes) + 1, cause)).astype(np.int64)
    # of a series of several endpoints the others may have filled the hour
    part = np.where(multi & (state <= _CODE["venue_had_none"]), lacking, 0)
    cell = cell * len(plans) + part
    return _runs(np.where(begins, cell, -1), series, classes, plans, first)


def _painted(
    spans: pd.DataFrame, number: np.ndarray, shape: tuple[int, int], first: int
) -> np.ndarray:
    """Hours that any of the stretches covers: bool, series x hours."""
    known = number >= 0
    start = np.clip(spans["start"].to_numpy(np.int64)[known] - first, 0, shape[1])
    end = np.clip(spans["end"].to_numpy(np.int64)[known] - first, 0, shape[1])
    return count_over(number[known], start, np.maximum(start, end), shape) > 0


def _alive(stored: pd.DataFrame, series: Sequence[Series], first: int, length: int) -> np.ndarray:
    """Hours between a series' first and last stored row: bool, series x hours."""
    number = matched(stored, series)
    known = number >= 0
    begin = np.full(len(series), np.iinfo(np.int64).max)
    end = np.full(len(series), np.iinfo(np.int64).min)
    np.minimum.at(begin, number[known], stored["start"].to_numpy(np.int64)[known])
    np.maximum.at(end, number[known], stored["end"].to_numpy(np.int64)[known])
    hour = np.arange(first, first + length)[None, :]
    return (hour >= begin[:, None]) & (hour < end[:, None])


def _failures(
    log: pd.DataFrame, horizon: np.ndarray, shape: tuple[int, int], first: int
) -> tuple[np.ndarray, list[str]]:
    """Number (from 1) of the class of the last failure over each hour, 0 for none, and the classes.

    A request that was made tells more than one that was not (an open breaker, a spent budget).
    """
    out = np.zeros(shape, np.int64)
    failed = log[log["fetch_status"] == "failed"] if len(log) else log
    if failed.empty:
        return out, []
    failed = failed.assign(
        asked=was_made(failed),
        error_class=failed["error_class"].fillna("Failed"),
    ).sort_values(["asked", "fetched_at", "error_class"], kind="stable")
    classes = sorted(failed["error_class"].unique())
    code = pd.Index(classes).get_indexer(pd.Index(failed["error_class"])) + 1
    at = epoch_hours(failed["fetched_at"])
    reach = np.floor(at - horizon[failed["series"].to_numpy()])
    start = np.maximum(np.floor(epoch_hours(failed["window_start"])), reach)
    end = np.ceil(np.minimum(epoch_hours(failed["window_end"]), at))
    start = np.clip(start - first, 0, shape[1]).astype(np.int64)
    end = np.clip(end - first, 0, shape[1]).astype(np.int64)
    of, hour, row = cells(failed["series"].to_numpy(), start, end)
    out[of, hour] = code[row]  # of several the last one stays
    return out, classes


def _refusals(
    refused: pd.DataFrame, series: Sequence[Series], shape: tuple[int, int], first: int
) -> tuple[np.ndarray, list[str]]:
    """Number (from 1) of why the last row of each hour was refused, 0 for none, and the reasons."""
    out = np.zeros(shape, np.int64)
    number = matched(refused, series)
    reasons = [f"{_REFUSED_ROW}{text}"[:_LONGEST_REASON] for text in refused["reason"]]
    names = sorted(set(reasons))
    code = pd.Index(names).get_indexer(pd.Index(reasons)) + 1
    for of, hour, why in zip(number, refused["hour"], code, strict=True):
        if of < 0:
            continue
        daily = series[of].rule == Expected.DAILY  # the hours of a day share its row
        start = (hour // 24 * 24 if daily else hour) - first
        out[of, max(0, start) : max(0, start + (24 if daily else 1))] = why
    return out, names


def _lacking(
    log: pd.DataFrame, horizon: np.ndarray, shape: tuple[int, int], first: int
) -> tuple[np.ndarray, list[str]]:
    """Which endpoints the plan kept from each hour: number of a list of them, and the lists.

    The first list is empty. An endpoint that ever answered for the hour is not in any.
    """
    out = np.zeros(shape, np.int64)
    lists = [""]
    if log.empty:
        return out, lists
    refused = log[(log["fetch_status"] == "failed") & (log["error_class"] == "PlanLimit")]
    for path in sorted(refused["endpoint_path"].dropna().unique()):
        told = log[(log["endpoint_path"] == path) & log["fetch_status"].isin(ANSWERED)]
        kept_from = covered(
            refused[refused["endpoint_path"] == path], horizon, shape, first, 0.0
        ) & ~covered(told, horizon, shape, first, 0.0)
        before, here = np.unique(out[kept_from], return_inverse=True)
        out[kept_from] = len(lists) + here
        lists += [f"{lists[i]}, {path}" if i else path for i in before]
    return out, lists


def _runs(
    cell: np.ndarray,
    series: Sequence[Series],
    classes: Sequence[str],
    plans: Sequence[str],
    first: int,
) -> pd.DataFrame:
    """Runs of equal cells as stretches; -1 is no cell."""
    count, length = cell.shape
    change = np.ones((count, length), bool)
    change[:, 1:] = cell[:, 1:] != cell[:, :-1]
    number, start = np.nonzero(change)
    flat = np.append(number * length + start, count * length)
    end = start + np.diff(flat)
    value = cell[number, start]
    kept = value >= 0
    number, start, end, value = number[kept], start[kept], end[kept], value[kept]
    width = len(classes) + 2
    value, part = value // len(plans), value % len(plans)
    state, cause = value // width, value % width
    reasons = [
        _reason(STATES[s], c, series[int(n)], classes, plans[p])
        for n, s, c, p in zip(number, state, cause, part, strict=True)
    ]
    keys = pd.DataFrame([s.key for s in series], columns=list(KEY)).take(number)
    return typed(
        keys.reset_index(drop=True).assign(
            start=start + first,
            end=end + first,
            coverage_state=np.array(STATES, object)[state],
            coverage_reason=pd.Series(reasons, dtype=object),
            is_forward_only=np.array([s.is_forward_only for s in series], bool)[number],
        )
    )


def _reason(state: str, cause: int, of: Series, classes: Sequence[str], lacking: str) -> str | None:
    if lacking:
        rows = "" if state == "stored" else f"{_REASONS[state]}; "
        return f"{rows}plan limit: {lacking}"
    if state == "stored":
        return None
    if state == "source_off":
        return of.off
    if state == "missed":
        why = classes[cause - 1] if cause else _NEVER
        is_plain = not cause or why in OPEN_REASONS or why.startswith(_REFUSED_ROW)
        return why if is_plain else f"failed: {why}"
    if state == "beyond_retention" and cause > len(classes):
        return of.limit
    if state == "forward_only" and cause:
        return f"{_REASONS[state]}: {classes[cause - 1]}"
    return _REASONS[state]


def replaced(
    old: pd.DataFrame, new: pd.DataFrame, series: Sequence[Series], window: tuple[int, int]
) -> pd.DataFrame:
    """Old stretches with the hours of a window cut out of the given series, and new ones put there.

    Args:
        old: stretches of a dataset, columns ``SPAN``.
        new: what replaces them between the window's hours.
        series: those that are replaced; the others stay as they are.
        window: first hour and end.

    Returns:
        Columns ``SPAN``, sorted by series and start, touching neighbours of one state merged.
    """
    first, last = window
    mine = matched(old, series) >= 0
    left = old[mine & (old["start"] < first).to_numpy(bool)]
    right = old[mine & (old["end"] > last).to_numpy(bool)]
    parts = [
        old[~mine],
        left.assign(end=np.minimum(left["end"].to_numpy(np.int64), first)),
        right.assign(start=np.maximum(right["start"].to_numpy(np.int64), last)),
        new,
    ]
    parts = [p for p in parts if len(p)]
    if not parts:
        return no_spans()
    return merged_spans(pd.concat(parts, ignore_index=True))


def merged_spans(spans: pd.DataFrame) -> pd.DataFrame:
    """Stretches sorted by series and start, touching neighbours of one state and reason merged."""
    spans = spans.sort_values([*KEY, "start"], kind="stable", ignore_index=True)
    same = [*KEY, "coverage_state", "coverage_reason", "is_forward_only"]
    shown = spans[same].fillna("").astype(str)
    joins = (shown == shown.shift()).all(axis=1) & (spans["start"] == spans["end"].shift())
    group = (~joins).cumsum()
    out = spans[~joins].reset_index(drop=True)
    out["end"] = spans.groupby(group)["end"].last().to_numpy()
    return typed(out)
