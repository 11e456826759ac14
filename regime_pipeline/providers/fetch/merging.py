"""Rows of all streams as one frame that keeps the contract: one row a key, and what was refused.

Does not belong here: what is done to the rows of one feed (``rows``), writing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from regime_pipeline.catalogue.frames import DTYPES, empty, is_in_order, key_order, split
from regime_pipeline.catalogue.registry import FIELDS, table
from regime_pipeline.providers.fetch.rows import Batch, alike, concat, rows_of
from regime_pipeline.providers.fetch.stream import CONTRACTS, INTERVALS, Stamping, Stream
from regime_pipeline.providers.symbols import to_venue
from regime_pipeline.windows import HOUR


def _unique(
    frame: pd.DataFrame, key: list[str], values: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per key in key order, and the rows that said something else under the same key.

    The later reply wins; within equal times the larger values do, so that the order of pages and
    rows never decides. Exact repeats vanish.
    """
    order, repeats = key_order([pa.array(frame[c]) for c in key])
    if not repeats.any():
        kept = frame if is_in_order(order) else frame.take(order)
        return kept.reset_index(drop=True), frame.head(0)
    several = repeats | np.append(repeats[1:], False)
    rivals = frame.take(order[several]).sort_values(
        [*key, "fetched_at", *values, "payload_id"], kind="stable", na_position="first"
    )
    lost = rivals.duplicated(key, keep="last").to_numpy()
    winners, losers = rivals.loc[~lost], rivals.loc[lost]
    same = pd.concat([losers, winners]).duplicated([*key, *values], keep="last").to_numpy()
    differing = losers.loc[~same[: len(losers)]].drop_duplicates([*key, *values])
    order[several] = rivals.index
    gone = np.zeros(len(frame), dtype=bool)
    gone[losers.index] = True
    return (
        frame.take(order[~gone[order]]).reset_index(drop=True),
        differing.reset_index(drop=True),
    )


def assemble(
    dataset: str, streams: Sequence[Stream], common: Stamping
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Contract-valid rows, and the others with their reasons; counts both per stream."""
    target = table(f"raw.{dataset}")
    key = list(target.key)
    values = [f for f in target.content if f not in target.key and f != "source_tier"]
    wanted = tuple(dict.fromkeys([*target.fields, "reason", "fetched_at", "stream"]))
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    bad: list[pd.DataFrame] = []
    contracts = _contract_sizes(streams)
    for numbers in alike(streams):
        batch = Batch({number: streams[number] for number in numbers})
        rows = rows_of(batch, common, contracts)
        if rows.empty:
            continue
        rows = pd.DataFrame({c: rows[c] if c in rows else _nulls(c, rows.index) for c in wanted})
        broken = rows["reason"].notna() | rows["ts"].isna()
        if broken.any():
            bad.append(rows.loc[broken])
            rows = rows.loc[~broken]
        parts[batch.one.feed.part].append(rows)
    finished: list[pd.DataFrame] = []
    halves: dict[str, pd.DataFrame] = {}
    for part, pieces in parts.items():
        one, differing = _unique(pd.concat(pieces, ignore_index=True), key, values)
        bad.append(differing.assign(reason="another row with the same key says otherwise"))
        _count(streams, one, "stored")
        if part:
            halves[part] = one
        else:
            finished.append(one)
    if halves:
        finished.append(reduce(lambda left, right: _complete(left, right, key), halves.values()))
    good = pd.concat(finished, ignore_index=True) if finished else pd.DataFrame()
    if good.empty:
        for frame in bad:
            _count(streams, frame, "quarantined")
        return empty(target), _quarantine(bad, target.fields)
    good = _label_intervals(good, [s for s in streams if s.feed.part == INTERVALS])
    ready, refused = split(good[list(target.fields)], target)
    if len(refused):
        refused = refused.merge(good[[*key, "stream"]], on=key, how="left")
        _count(streams, refused, "stored", sign=-1)
        bad.append(refused)
    for frame in bad:
        _count(streams, frame, "quarantined")
    if len(parts) > 1:
        ready = ready.sort_values(key, ignore_index=True)
    return ready, _quarantine(bad, target.fields)


def _nulls(column: str, index: pd.Index) -> pd.Series:
    dtype: Any = DTYPES[FIELDS[column].kind]
    return pd.Series(None, index=index, dtype=dtype)


def _count(streams: Sequence[Stream], frame: pd.DataFrame, what: str, sign: int = 1) -> None:
    if len(frame):
        for number, rows in frame["stream"].value_counts().items():
            stream = streams[int(number)]  # type: ignore[call-overload]
            setattr(stream, what, getattr(stream, what) + sign * int(rows))


def _complete(left: pd.DataFrame, right: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Rows of two frames with the same keys made one: the left's values, else the right's."""
    merged = left.merge(right, on=key, how="outer", suffixes=("", "_right"))
    for column in left.columns.difference(key):
        other = merged.pop(f"{column}_right")
        merged[column] = merged[column].where(merged[column].notna(), other)
    return merged


def _quarantine(bad: Sequence[pd.DataFrame], fields: Sequence[str]) -> pd.DataFrame:
    columns = list(dict.fromkeys([*fields, "reason", "source"]))
    filled = [b.reindex(columns=columns) for b in bad if len(b)]
    if not filled:
        return pd.DataFrame({c: pd.Series(dtype=DTYPES[FIELDS[c].kind]) for c in columns})
    return pd.concat(filled, ignore_index=True)


def _contract_sizes(streams: Sequence[Stream]) -> dict[tuple[str, str], float]:
    """Coins behind one contract by source and instrument, as the venues list them."""
    out: dict[tuple[str, str], float] = {}
    for stream in streams:
        if stream.feed.part == CONTRACTS:
            for page in stream.pages:
                listed = concat([page.frame])
                known = listed[listed["contract_base"].notna()]
                names = [(stream.source.name, str(n)) for n in known["venue_symbol"]]
                out |= dict(zip(names, known["contract_base"], strict=True))
    return out


def _label_intervals(good: pd.DataFrame, lists: Sequence[Stream]) -> pd.DataFrame:
    """Adds the funding intervals that a venue says are in force now.

    Binance lists only contracts that were ever adjusted, with the present interval and the time of
    the entry's last change. That labels no print before the change plus one whole interval: older
    history stays null, as do contracts that are not listed, and whoever needs the interval there
    takes it from the spacing of the prints.
    """
    for stream in lists:
        for page in stream.pages:
            listed = concat([page.frame])
            listed = listed.loc[listed["reason"].isna() & listed["since"].notna()]
            own = good["source"] == stream.source.name
            names = {
                to_venue(s, stream.venue, "perp").name: s for s in good.loc[own, "symbol"].unique()
            }
            for name, hours, since in zip(
                listed["venue_symbol"], listed["interval_hours"], listed["since"], strict=True
            ):
                if name in names and 1 <= hours <= 24:
                    from_here = good["ts"] >= since + int(hours) * HOUR
                    good.loc[
                        own & (good["symbol"] == names[name]) & from_here, "interval_hours"
                    ] = int(hours)
    return good


def filled(
    frame: pd.DataFrame,
    quarantined: pd.DataFrame,
    streams: Sequence[Stream],
    common: Stamping,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of the other sources, and those of the archive for keys that they lack."""
    target = table(f"raw.{common.dataset}")
    key = list(target.key)
    rows, bad = assemble(common.dataset, streams, common)
    known = pd.MultiIndex.from_frame(frame[key])
    rows = rows.loc[~pd.MultiIndex.from_frame(rows[key]).isin(known)]
    both = [f for f in (frame, rows) if len(f)]
    if len(both) == 2:
        frame = pd.concat(both, ignore_index=True).sort_values(key, ignore_index=True)
    elif both:
        frame = both[0].reset_index(drop=True)
    return frame, _quarantine([quarantined, bad], target.fields)
