"""The derived asset graph over frames in memory: the real assets, the real IO manager, no database.

Belongs here: the order of the steps, a warehouse of frames, byte-exact comparison. The functions that
are run, their inputs, lookbacks and filters are read from the assets themselves, so a table added to
the pipeline is part of every proof without a word here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa

from regime_pipeline.catalogue import FIELDS, Kind, Table, table
from regime_pipeline.catalogue.frames import conform, empty, validate
from regime_pipeline.orchestration.build import pipeline_assets
from regime_pipeline.orchestration.io_manager import LOOKBACK, WarehouseIOManager, trimmed
from regime_pipeline.orchestration.partitions import as_window, owed
from regime_pipeline.orchestration.resources import Platform, Scope
from regime_pipeline.quality.evaluate import BLOCKING
from regime_pipeline.quality.withholding import BLOCKS
from regime_pipeline.settings import Settings
from regime_pipeline.storage.arrow import digest, sorted_by, to_arrow
from regime_pipeline.storage.merge import WriteResult
from regime_pipeline.windows import FixedClock, Window, parse_lookback, utc

Frames = dict[str, pd.DataFrame]
Tamper = Callable[[pd.DataFrame], pd.DataFrame]


LEDGERS = {"signals.trials", "signals.trial_days"}
_ONE, _TWO = (Window(utc(day), utc("2024-10-02")) for day in ("2024-10-01", "2024-09-30"))
COSTLY = {
    "signals.passports": _TWO,
    "signals.model_performance": _TWO,
    "signals.strategies": _TWO,
    "signals.calibrators": _ONE,
}
"""Tables of which some days stand for all: each day of theirs looks at all hours there are."""


class MemoryWarehouse:
    """Tables as frames, read and replaced by window as the stored ones are."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self.frames = dict(frames)

    def read(
        self,
        name: str,
        window: Window | None = None,
        *,
        symbols: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        where: Mapping[str, str | list[str]] | None = None,
    ) -> pd.DataFrame:
        item = table(name)
        frame = self.frames.get(name)
        if frame is None:
            frame = empty(item)
        keep = np.ones(len(frame), bool)
        if window is not None:
            stamps = frame[item.time_column]
            keep = ((stamps >= window.start) & (stamps < window.end)).to_numpy(bool)
        if symbols is not None:
            for column in item.symbol_columns:
                keep = keep & frame[column].isin(symbols).to_numpy(bool)
        for column, value in (where or {}).items():
            allowed = [value] if isinstance(value, str) else list(value)
            keep = keep & frame[column].isin(allowed).to_numpy(bool)
        out = frame[keep].reset_index(drop=True)
        return out if columns is None else out[list(columns)]

    def merge(
        self,
        name: str,
        frame: pd.DataFrame,
        *,
        window: Window | None = None,
        mode: str = "replace",
        symbols: Sequence[str] | None = None,
        **_: Any,
    ) -> WriteResult:
        item = table(name)
        new = conform(frame, item)
        old = self.frames.get(name)
        if window is None and mode != "insert":
            raise ValueError(f"{name}: rows of which window are replaced?")
        if old is not None and len(old):
            stamps = old[item.time_column]
            replaced = stamps.isna()
            if window is not None:
                replaced = (stamps >= window.start) & (stamps < window.end)
            for column in item.symbol_columns if symbols is not None else ():
                replaced &= old[column].isin(symbols)
            if mode == "insert":  # what is stored stays
                replaced &= False
                stored = old.set_index(list(item.key)).index
                new = new[~new.set_index(list(item.key)).index.isin(stored)]
            outside = old[~replaced]
            new = pd.concat([outside, new], ignore_index=True) if len(outside) else new
        self.frames[name] = new.sort_values(list(item.key), ignore_index=True)
        return WriteResult(inserted=len(frame), updated=0, unchanged=0, deleted=0)


class MemoryPlatform(Platform):
    """A platform whose tables are frames."""

    def __init__(self, settings: Settings, frames: Mapping[str, pd.DataFrame], now: Any) -> None:
        super().__init__(settings, FixedClock(now))
        self.__dict__["warehouse"] = MemoryWarehouse(frames)


@dataclass(frozen=True)
class Step:
    """One derived asset (or several that one function computes): what it is given, what it looks up."""

    tables: tuple[str, ...]
    reads: dict[str, tuple[str, Mapping[str, Any]]]
    function: Callable[..., Any] = field(compare=False)
    looks_up: tuple[str, ...] = ()

    @property
    def upstream(self) -> tuple[str, ...]:
        return (*(name for name, _ in self.reads.values()), *self.looks_up)


@cache
def steps() -> tuple[Step, ...]:
    """Every derived step of the pipeline, readers after what they read."""
    found: list[Step] = []
    for asset in pipeline_assets():
        names = tuple(".".join(key.path) for key in asset.keys)
        if BLOCKS not in names and any(n.startswith(("raw.", "ops.")) for n in names):
            continue  # the other ops tables are verdicts about stored days
        if LEDGERS & set(names):
            continue  # written by doors, not computed of rows
        given = {
            d: ".".join(asset.keys_by_input_name[d.name].path) for d in asset.node_def.input_defs
        }
        reads = {
            d.name: (name, d.metadata or {})
            for d, name in given.items()
            if not d.dagster_type.is_nothing
        }
        looks_up = tuple(name for d, name in given.items() if d.dagster_type.is_nothing)
        ordered = tuple(
            ".".join(asset.keys_by_output_name[d.name].path) for d in asset.node_def.output_defs
        )
        found.append(Step(ordered, reads, asset.op.compute_fn.decorated_fn, looks_up))
    maker = {name: step for step in found for name in step.tables}
    graph = {s.tables: {maker[u].tables for u in s.upstream if u in maker} for s in found}
    return tuple(maker[tables[0]] for tables in TopologicalSorter(graph).static_order())


def derived_tables() -> tuple[str, ...]:
    """Every derived table, in the order in which it can be computed."""
    return tuple(name for step in steps() for name in step.tables)


def raw_inputs() -> tuple[str, ...]:
    """Every raw table that a derived one is given."""
    names = {u for step in steps() for u, _ in step.reads.values() if u.startswith("raw.")}
    return tuple(sorted(names))


def history_tables() -> set[str]:
    """Derived tables whose past other tables look back at."""
    return {
        upstream
        for step in steps()
        for upstream, metadata in step.reads.values()
        if not upstream.startswith("raw.") and parse_lookback(metadata[LOOKBACK])
    }


def upstream_of(*targets: str) -> set[str]:
    """The derived tables that are needed to make these, themselves among them."""
    needed = set(targets)
    for step in reversed(steps()):
        if needed & set(step.tables):
            needed |= set(step.upstream)
    return needed & set(derived_tables())


def downstream(*sources: str) -> set[str]:
    """The derived tables whose other rows depend on any of these tables, directly or not.

    What is looked up to judge rows one by one changes the verdicts about those rows only.
    """
    reached = set(sources)
    for step in steps():
        given = {name for name, _ in step.reads.values()}
        if reached & (given | {name for name in step.looks_up if BLOCKING.get(name)}):
            reached |= set(step.tables)
    return reached & set(derived_tables())


def run(
    frames: Frames,
    window: Window,
    *,
    settings: Settings,
    now: Any = None,
    only: Collection[str] | None = None,
    checked: bool = False,
    tamper: Mapping[str, Tamper] | None = None,
    symbols: Sequence[str] = (),
) -> Frames:
    """All frames after one run over the days of a window.

    Args:
        frames: raw tables, and derived ones as earlier runs left them; left as they are.
        window: the days of the run.
        settings: everything that can be configured.
        now: the clock; by default the window's end.
        only: tables to compute; others stay as they are.
        checked: whether every frame is held against the contract of its table.
        tamper: by table, or by ``table<-input``, what to do to the frame made or read.
        symbols: what the run is narrowed to; empty is everything configured.
    """
    platform = MemoryPlatform(settings, frames, now or window.end)
    manager = WarehouseIOManager(platform, list(symbols))
    scope = Scope(symbols=list(symbols))
    for step in steps():
        if only is None or set(only) & set(step.tables):
            _step(step, platform, scope, manager, window, checked, tamper or {})
    return platform.warehouse.frames


def _step(
    step: Step,
    platform: Platform,
    scope: Scope,
    manager: WarehouseIOManager,
    window: Window,
    checked: bool,
    tamper: Mapping[str, Tamper],
) -> None:
    judged = COSTLY.get(step.tables[0], window)
    window = Window(
        max(window.start, judged.start),
        max(window.start, judged.start, min(window.end, judged.end)),
    )
    if window.is_empty:
        return
    span = SimpleNamespace(start=window.start, end=window.end)
    loaded = {
        name: manager.load_input(
            SimpleNamespace(
                asset_key=dg.AssetKey(upstream.split(".")),
                definition_metadata=metadata,
                asset_partitions_time_window=span,
            )
        )
        for name, (upstream, metadata) in step.reads.items()
    }
    for name, (upstream, _) in step.reads.items():
        change = tamper.get(f"{step.tables[0]}<-{upstream}")
        loaded[name] = change(loaded[name]) if change else loaded[name]
    context = SimpleNamespace(
        partition_time_window=span,
        resources=SimpleNamespace(platform=platform, scope=scope),
        run=SimpleNamespace(tags={}),
        run_id="proof",
        log=logging.getLogger(__name__),
        asset_key=dg.AssetKey(step.tables[0].split(".")),
        partition_key_range=SimpleNamespace(end=None),
        add_asset_metadata=lambda *_: None,
    )
    made = step.function(context, **loaded)
    if isinstance(made, dg.MaterializeResult):  # it wrote its table itself
        return
    for name, frame in zip(step.tables, made if isinstance(made, tuple) else (made,), strict=True):
        item = table(name)
        stretch = owed(as_window(span), platform.clock.now(), full_table_name=name)
        rows = trimmed(tamper.get(name, _as_it_is)(frame), item, stretch)
        own = platform.symbols(scope.symbols)
        for column in item.symbol_columns:
            rows = rows[rows[column].isin(own)]
        if checked:
            rows = validate(rows, item)
        platform.warehouse.merge(
            name, rows, window=stretch, symbols=own if item.symbol_columns else None
        )


def _as_it_is(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


# ------------------------------------------------------------------ comparison


def content_hash(frame: pd.DataFrame, name: str) -> str:
    """The hash that ``regime db hash`` gives for these rows."""
    item = table(name)
    columns = {c: to_arrow(frame[c], FIELDS[c].kind) for c in item.content}
    return digest(sorted_by(pa.table(columns), item.key))


def decided_by(frame: pd.DataFrame, item: Table, t: pd.Timestamp) -> pd.DataFrame:
    """The rows whose decision time is not after ``t``.

    An hourly row is decided when its bar closes. A print's row stands from the print on, and one at
    ``t`` is not known at ``t``; a daily value stands from its ``available_at``.
    """
    if "available_at" in item.content:
        known = frame["available_at"] <= t
    elif "known_at" in item.content:
        known = (frame["known_at"] <= t) & (frame["ts"] < t)
    elif item.full_name in EVENT_STAMPED:
        known = frame["ts"] < t
    else:
        known = frame["ts"] + pd.Timedelta(hours=1) <= t
    return frame[known].sort_values(list(item.key), ignore_index=True)


EVENT_STAMPED = frozenset(
    {"market.funding", "features.funding_prints", "features.funding_outcomes"}
)
"""Tables whose ``ts`` is an instant (a settlement, the end of a day), not the open of a bar."""


def _codes(values: pd.Series, kind: Kind) -> np.ndarray:
    """Values such that equal bytes, and only they, are equal; one code for null."""
    if kind is Kind.FLOAT:
        numbers = values.to_numpy("float64", na_value=np.nan) + 0.0
        return np.where(np.isnan(numbers), np.float64("nan"), numbers).view(np.int64)
    if kind is Kind.TIMESTAMP:
        return values.to_numpy("datetime64[us]").view(np.int64)
    texts = values.astype("object")
    return texts.where(values.notna(), "\0null").to_numpy(object)


def differences(before: pd.DataFrame, after: pd.DataFrame, item: Table) -> dict[str, pd.DataFrame]:
    """Per column the keys of the rows that are not the same to the byte.

    Rows that only one side has are listed under the name ``*rows*``.
    """
    key = list(item.key)
    same = len(before) == len(after) and all(
        np.array_equal(_codes(before[k], FIELDS[k].kind), _codes(after[k], FIELDS[k].kind))
        for k in key
    )
    if not same:
        both = before[key].merge(after[key], on=key, how="outer", indicator=True)
        return {"*rows*": both[both["_merge"] != "both"]}
    out = {}
    for name in item.content:
        kind = FIELDS[name].kind
        differ = _codes(before[name], kind) != _codes(after[name], kind)
        if differ.any():
            out[name] = before.loc[differ, key]
    return out
