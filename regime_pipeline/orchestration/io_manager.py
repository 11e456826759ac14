"""The range-aware IO manager over the warehouse.

Inputs are read by time range: the run's days plus the history that the input declares
(``metadata={"lookback": "45d"}``), never past the end of what the run owes. Outputs are trimmed to the
run's window, validated and merged as a replacement of that window. So the same asset body serves one
day, an hourly tick and a range of years, and a day's rows do not depend on which of them wrote it.
Does not belong here: data logic, SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import dagster as dg
import pandas as pd

from regime_pipeline.catalogue import Table, table
from regime_pipeline.catalogue.derivation import Resume, derivations
from regime_pipeline.catalogue.frames import ContractError
from regime_pipeline.orchestration.metadata import add_run_metadata, write_metadata
from regime_pipeline.orchestration.partitions import as_window, owed
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.orchestration.shards import refuse_whole
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Window, parse_lookback, utc

LOOKBACK = "lookback"
"""Input metadata: history before the window, as ``45d``; absent means none."""
WHERE = "where"
"""Input metadata: values that text columns must have; what begins with :data:`FROM_SETTINGS` stands for
what the settings say at run time."""
FROM_SETTINGS = "settings:"
"""Before a path in the settings."""
COLUMNS = "columns"
"""Input metadata: the only columns that the function looks at; absent means all."""
WHOLE_UNIVERSE = "whole_universe"
"""Input metadata: read all configured symbols even in a narrowed run."""
ALL_STORED = "all_stored"
"""Input metadata: read from the first partition on, however far that is before the lookback."""
RESUMES = "resumes"
"""Input metadata: what is :data:`ALL_STORED` is read from a stored state on where the table that it is read
for has one."""
WHOLE = "whole"
"""Input metadata: read every row, whenever it is stamped."""
FOR_TABLE = "for_table"
"""Input metadata: the table that the input is read for, which decides where the window ends."""


def configured(settings: Settings, value: str) -> str | list[str]:
    """A value of ``where``; a path in the settings becomes every value that is set there."""
    if not value.startswith(FROM_SETTINGS):
        return value
    return sorted(set(_values(attrgetter(value.removeprefix(FROM_SETTINGS))(settings))))


def _values(found: str | Mapping[str, Any]) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    else:
        for one in found.values():
            yield from _values(one)


class WarehouseIOManager(dg.IOManager):
    """Reads and writes catalogue tables for the window of a run.

    Args:
        platform: warehouse, settings and clock.
        symbols: what the run is narrowed to; empty is everything configured.
        run_id: the run; None outside of one.
    """

    def __init__(self, platform: Platform, symbols: list[str], run_id: str | None = None) -> None:
        self._platform = platform
        self._symbols = platform.symbols(symbols)
        self._run_id = run_id

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """The upstream table over the run's window and the declared history before it.

        Raises:
            KeyError: the upstream asset is no catalogue table.
        """
        upstream = _table_of(context.asset_key)
        window = as_window(context.asset_partitions_time_window)
        declared = context.definition_metadata or {}
        until = self._platform.until(self._run_id)
        return read_input(self._platform, self._symbols, upstream, declared, window, until)

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        """Trim to the window, validate, replace the window's rows of the symbols in scope.

        Raises:
            ContractError: a row lies after the window, or breaks the table's contract.
        """
        item = _table_of(context.asset_key)
        window = owed(
            as_window(context.asset_partitions_time_window),
            self._platform.until(self._run_id),
            full_table_name=item.full_name,
        )
        frame = trimmed(obj, item, window)
        if item.symbol_columns:
            keep = frame[list(item.symbol_columns)].isin(self._symbols).all(axis=1)
            frame = frame[keep].reset_index(drop=True)
        self._platform.keep_parameters()
        result = self._platform.warehouse.merge(
            item.full_name,
            frame,
            mode="replace",
            window=window,
            symbols=self._symbols if item.symbol_columns else None,
            run_id=context.run_id,
        )
        self._platform.written(item.full_name, len(frame), result)
        add_run_metadata(context, write_metadata(item, frame, window, result))


def read_input(
    platform: Platform,
    symbols: Sequence[str],
    upstream: Table,
    declared: Mapping[str, Any],
    window: Window,
    until: datetime,
) -> pd.DataFrame:
    """An upstream table over the days of a window and the declared history before it.

    Args:
        platform: warehouse, settings and clock.
        symbols: of the run.
        upstream: the table that is read.
        declared: the input's metadata.
        window: the days of the run.
        until: where the rows of the run end.
    """
    owed_window = owed(window, until, full_table_name=declared.get(FOR_TABLE))
    lookback = parse_lookback(declared[LOOKBACK]) if LOOKBACK in declared else timedelta(0)
    reach = owed_window.widened(lookback)
    if declared.get(ALL_STORED, False):
        first = utc(platform.settings.start_date)
        if declared.get(RESUMES, False):
            first = _resumed(platform, table(declared[FOR_TABLE]), owed_window) or first
        reach = Window(min(first, reach.start), reach.end)
    asked = platform.settings.universe if declared.get(WHOLE_UNIVERSE, False) else symbols
    return platform.warehouse.read(
        upstream.full_name,
        None if declared.get(WHOLE, False) else reach,
        symbols=asked if upstream.symbol_columns else None,
        columns=declared.get(COLUMNS),
        where={
            column: configured(platform.settings, value)
            for column, value in (declared.get(WHERE) or {}).items()
        },
    )


def own_rows(platform: Platform, resume: Resume, window: Window) -> pd.DataFrame:
    """The rows before a window that its function may go on from."""
    before = Window(window.start - parse_lookback(resume.within), window.start)
    return platform.warehouse.read(resume.table, before, columns=resume.columns)


def _resumed(platform: Platform, target: Table, window: Window) -> datetime | None:
    """From when on the inputs of a table are read that goes on from a stored state; None: it has none."""
    what = next(d for d in derivations() if target.full_name in d.tables)
    (resume,) = what.resume.values()
    since = resume.since(own_rows(platform, resume, window), platform.settings.universe)
    return None if since is None else since - parse_lookback(resume.lookback)


def trimmed(frame: pd.DataFrame, item: Table, window: Window) -> pd.DataFrame:
    """The frame without the history before the window.

    Raises:
        ContractError: a row lies at or after the window's end: it cannot be known yet.
    """
    stamps = frame[item.time_column]
    late = frame[stamps >= pd.Timestamp(window.end)]
    if len(late):
        raise ContractError(
            f"{item.full_name}: {len(late)} rows lie at or after the window's end {window.end}, "
            f"the last at {late[item.time_column].max()}"
        )
    return frame[stamps >= pd.Timestamp(window.start)].reset_index(drop=True)


def _table_of(key: dg.AssetKey) -> Table:
    return table(".".join(key.path))


@dg.io_manager(
    required_resource_keys={"platform", "scope"},
    description="Catalogue tables in PostgreSQL, by time range.",
)
def warehouse_io_manager(context: dg.InitResourceContext) -> WarehouseIOManager:
    """The IO manager of a run.

    Raises:
        ShardError: a run of some symbols that is to make what needs all of them.
    """
    resources = context.resources
    if context.run is not None:
        chosen = context.run.asset_selection
        names = None if chosen is None else [".".join(key.path) for key in chosen]
        refuse_whole(context.run.tags, names)
    return WarehouseIOManager(resources.platform, list(resources.scope.symbols), context.run_id)
