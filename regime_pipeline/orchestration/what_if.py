"""The events of a past period again, under the same or other thresholds, beside those of the ledger.

Belongs here: which derived tables other settings touch, computing those in memory from what is stored,
comparing events. Nothing is written, fetched or sent: the tables are read through a warehouse that
refuses to write. Does not belong here: printing (``cli``), what makes an event (``alerts.events``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from graphlib import TopologicalSorter
from operator import attrgetter
from typing import Any

import pandas as pd

from regime_pipeline.alerts import events
from regime_pipeline.alerts.kinds import TYPES
from regime_pipeline.alerts.routing import Quiet
from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.derivation import Derivation, derivations
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.orchestration import io_manager as io
from regime_pipeline.orchestration.derived import Run, computed, inputs_of, parameter
from regime_pipeline.orchestration.partitions import owed
from regime_pipeline.orchestration.quality import blocks
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.quality.withholding import BLOCKS
from regime_pipeline.settings import Settings
from regime_pipeline.settings import changed as changed_settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.merge import WriteResult
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import Clock, Window, floor_day, parse_lookback

EVENTS = "alerts.market_events"
SAME_EVENT = ["event_type", "instrument", "episode_start", "kind", "ordinal"]
"""What an event is, whatever the thresholds are; its id names the thresholds too."""
TOLD = ["alert_severity", "level", "title"]
"""What may differ of the same event."""


class _Overlay(Warehouse):
    """The stored tables, with frames in place of some; nothing can be written."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock)
        self.made: dict[str, pd.DataFrame] = {}

    def read(
        self,
        table: str,
        window: Window | None = None,
        *,
        symbols: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        where: Mapping[str, str | list[str]] | None = None,
    ) -> pd.DataFrame:
        if table not in self.made:
            return super().read(table, window, symbols=symbols, columns=columns, where=where)
        return _rows(self.made[table], table, window, symbols, columns, where or {})

    def merge(self, *_: Any, **__: Any) -> WriteResult:
        raise TypeError("a replay writes nothing")


def _rows(
    frame: pd.DataFrame,
    name: str,
    window: Window | None,
    symbols: Sequence[str] | None,
    columns: Sequence[str] | None,
    where: Mapping[str, str | list[str]],
) -> pd.DataFrame:
    """Rows of a frame as the warehouse would read them."""
    item = table(name)
    keep = pd.Series(True, index=frame.index)
    if window is not None:
        stamps = frame[item.time_column]
        keep &= (stamps >= pd.Timestamp(window.start)) & (stamps < pd.Timestamp(window.end))
    for column in item.symbol_columns if symbols is not None else ():
        keep &= frame[column].isin(list(symbols or ()))
    for column, value in where.items():
        keep &= frame[column].isin([value] if isinstance(value, str) else value)
    found = frame[keep].reset_index(drop=True)
    return found if columns is None else found[list(columns)]


class _Beside(Platform):
    """A platform that reads the stored tables and keeps what it makes in memory."""

    @cached_property
    def warehouse(self) -> _Overlay:
        return _Overlay(self.database, self.clock)


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Attributes:
        executed: tables that were computed again; the others were read as they are stored.
        same: events that both have, alike.
        changed: events that both have, with ``*_before`` for what the ledger says.
        new: events that the ledger lacks.
        gone: events that only the ledger has.
    """

    executed: tuple[str, ...]
    same: pd.DataFrame
    changed: pd.DataFrame
    new: pd.DataFrame
    gone: pd.DataFrame
    _all: tuple[pd.DataFrame, pd.DataFrame] = field(repr=False)

    def by_night(self, night: Quiet) -> pd.DataFrame:
        """Events per night that are sent by default: ``before`` in the ledger, ``after`` in the replay.

        Args:
            night: its hours; a night is called after the day on which it ends.
        """
        counts = []
        for name, frame in zip(("before", "after"), self._all, strict=True):
            ends = [
                night.until(known.to_pydatetime())
                for known, kind, severity, place in zip(
                    frame["known_at"],
                    frame["event_type"],
                    frame["alert_severity"],
                    frame["kind"],
                    strict=True,
                )
                if TYPES[kind].is_sent(severity, place)
            ]
            nights = [f"{end.astimezone(night.where):%Y-%m-%d}" for end in ends if end is not None]
            counts.append(pd.Series(nights, dtype="str", name=name).value_counts())
        both = pd.concat(counts, axis=1).fillna(0).astype("int64").sort_index()
        both.columns = ["before", "after"]
        return both


def replay(
    settings: Settings, changed: Settings, database: Database, clock: Clock, window: Window
) -> Replay:
    """Compute the events of a period again and compare them with the ledger.

    Args:
        settings: those of the stored tables.
        changed: those to replay under; may be the same.
        database: what is stored.
        clock: what now is.
        window: days of events.
    """
    platform, until = _Beside(changed, clock, database), clock.now()
    end = owed(window, until, full_table_name=EVENTS).end
    todo = touched(settings, changed)
    starts = _starts(todo, window)
    if settings.params.quality != changed.params.quality:
        first = min(start for name, start in starts.items() if name.startswith("raw."))
        is_other = _withhold(platform, settings, Window(first, end))
        todo = touched(settings, changed, withholds=is_other)
        starts = _starts(todo, window)
    for what in todo:
        start = min(starts[n] for n in what.tables if n in starts)
        _compute(what, platform, Window(start, end), until)
    columns = events.columns_read()
    found = events.market_events(
        **{
            name.split(".")[1]: platform.warehouse.read(
                name,
                Window(starts[name], end),
                symbols=changed.universe,
                columns=columns[name],
            )
            for name in events.LOOKBACK
        }
    )
    found = io.trimmed(found, table(EVENTS), Window(window.start, end))
    stored = platform.warehouse.read(EVENTS, Window(window.start, end), columns=list(found.columns))
    executed = tuple(name for what in todo for name in what.tables)
    return compared(stored, found, executed)


def _starts(todo: Sequence[Derivation], window: Window) -> dict[str, datetime]:
    """From when on rows of each table are looked at, so that the events of a window are right."""
    starts = {
        name: floor_day(window.start - parse_lookback(back))
        for name, back in events.LOOKBACK.items()
    }
    for what in reversed(todo):
        start = min((starts[n] for n in what.tables if n in starts), default=window.start)
        for one in what.inputs.values():
            earliest = floor_day(start - parse_lookback(one.lookback))
            starts[one.table] = min(starts.get(one.table, earliest), earliest)
    return starts


def _withhold(platform: _Beside, before: Settings, window: Window) -> bool:
    """Withhold the raw rows that other quality thresholds withhold; whether those are others."""
    now, then = (
        blocks(_Beside(settings, platform.clock, platform.database), window)
        for settings in (platform.settings, before)
    )
    platform.warehouse.made[BLOCKS] = conform(now, table(BLOCKS))
    return not now.equals(then)


def touched(before: Settings, after: Settings, *, withholds: bool = True) -> tuple[Derivation, ...]:
    """Functions whose results other settings may change and that events are made of, in order.

    Args:
        before: the settings.
        after: the others.
        withholds: whether other quality thresholds withhold other raw rows.
    """
    if before.params == after.params:
        return ()
    withholds = withholds and before.params.quality != after.params.quality
    every = {what.step: what for what in derivations()}
    maker = {name: what.step for what in every.values() for name in what.tables}
    needs = {
        step: {maker[i.table] for i in what.inputs.values() if i.table in maker} - {step}
        for step, what in every.items()
    }
    order = list(TopologicalSorter(needs).static_order())
    wanted = {maker[name] for name in events.LOOKBACK}
    for step in reversed(order):
        if step in wanted:
            wanted |= needs[step]
    found: list[str] = []
    for step in order:
        differs = any(
            attrgetter(path)(before) != attrgetter(path)(after)
            for path in every[step].settings.values()
        ) or (withholds and parameter(BLOCKS) in inputs_of(every[step]))
        if step in wanted and (differs or needs[step] & set(found)):
            found.append(step)
    return tuple(every[step] for step in found)


def _compute(what: Derivation, platform: _Beside, window: Window, until: datetime) -> None:
    """Compute the tables of a function in memory, up to an instant."""
    read = inputs_of(what)
    frames = {}
    for name, given in read.items():
        assert given.key is not None
        upstream = table(".".join(given.key.path))
        frames[name] = io.read_input(
            platform, platform.settings.universe, upstream, given.metadata or {}, window, until
        )
    span = owed(window, until, full_table_name=what.tables[0])
    run = Run(platform.settings, span, platform.settings.universe, platform.levels_of)
    for name, rows in zip(what.tables, computed(what, frames, run, platform), strict=True):
        platform.warehouse.made[name] = conform(io.trimmed(rows, table(name), span), table(name))


def compared(stored: pd.DataFrame, found: pd.DataFrame, executed: tuple[str, ...]) -> Replay:
    """Events of the ledger beside those of a replay."""
    both = stored.merge(
        found, on=SAME_EVENT, how="outer", suffixes=("_before", ""), indicator=True
    ).sort_values([*SAME_EVENT], ignore_index=True)
    differs = pd.Series(False, index=both.index)
    for name in TOLD:
        differs |= both[f"{name}_before"].astype("object").ne(both[name].astype("object"))
    shared = both["_merge"] == "both"
    plain = [c for c in found.columns if c in both]
    gone = both[both["_merge"] == "left_only"]
    gone = gone[[*SAME_EVENT, *(f"{c}_before" for c in plain if c not in SAME_EVENT)]]
    return Replay(
        executed,
        both.loc[shared & ~differs, plain].reset_index(drop=True),
        both.loc[shared & differs, [*plain, *(f"{c}_before" for c in TOLD)]].reset_index(drop=True),
        both.loc[both["_merge"] == "right_only", plain].reset_index(drop=True),
        gone.rename(columns=lambda c: c.removesuffix("_before")).reset_index(drop=True),
        (stored, found),
    )


def with_thresholds(settings: Settings, texts: Mapping[str, str]) -> Settings:
    """The settings with some thresholds replaced, validated as if they came from outside.

    Args:
        settings: those now.
        texts: values by the name of their variable, as ``REGIME_PARAMS__VOLATILITY__HIGH``.

    Raises:
        KeyError: there is no such threshold.
        pydantic.ValidationError: a value is not one that it takes.
    """
    plain = settings.params.model_dump()
    for variable, text in texts.items():
        path = variable.upper().removeprefix("REGIME_PARAMS__").lower().split("__")
        place: Any = plain
        for part in path[:-1]:
            place = place[part] if isinstance(place, dict) and part in place else None
        if not isinstance(place, dict) or path[-1] not in place:
            raise KeyError(variable)
        place[path[-1]] = _value(text, place[path[-1]])
    return changed_settings(settings, {"params": type(settings.params).model_validate(plain)})


def _value(text: str, like: Any) -> Any:
    """A text as what stands there is written: lists and tables as JSON, the rest as it is."""
    return json.loads(text) if isinstance(like, list | tuple | dict) else text


NIGHT = "22:00-07:00"
"""Hours that replays count by, where nobody says others."""
