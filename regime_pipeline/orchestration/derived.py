"""How a pure function becomes a derived asset: key, inputs with lookback, partitions, descriptions.

An asset module only says which table, which declared lookback and which function. Everything else
about the asset comes from here and from the catalogue. Does not belong here: any computation.

Step functions carry no annotations: Dagster reads the ones of ``context``, and they are strings here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg
import pandas as pd

from regime_pipeline.catalogue import Table, table
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.orchestration import io_manager as io
from regime_pipeline.orchestration.metadata import spec_metadata
from regime_pipeline.orchestration.partitions import COMPUTE, DAILY, as_window, owed
from regime_pipeline.orchestration.resources import Platform, Scope
from regime_pipeline.quality.withholding import BLOCKS, QUARANTINED, causes, explained, withhold
from regime_pipeline.settings import Params, Settings
from regime_pipeline.windows import Grid, Window, parse_lookback

IO_MANAGER = "warehouse_io"
Frames = Mapping[str, pd.DataFrame]


def asset_key(full_name: str) -> dg.AssetKey:
    """The asset key of a catalogue table: ``[schema, name]``."""
    return dg.AssetKey(full_name.split("."))


def parameter(full_name: str) -> str:
    """The name under which an asset's body gets a table: ``schema__name``."""
    return full_name.replace(".", "__")


@dataclass(frozen=True)
class Run:
    """What a derived asset is asked for, in the words of the pure functions."""

    settings: Settings
    window: Window
    symbols: tuple[str, ...]

    @cached_property
    def grid(self) -> Grid:
        """The hours of the window for the run's symbols."""
        return Grid.of(self.window, self.symbols)

    @property
    def universe_grid(self) -> Grid:
        """The hours of the window for every configured symbol, even in a narrowed run."""
        return Grid.of(self.window, self.settings.universe)

    @property
    def params(self) -> Params:
        """All thresholds."""
        return self.settings.params

    @property
    def perp_venues(self) -> dict[str, str]:
        """Symbol to the venue of its derivatives series."""
        return {s: self.settings.perp_venue_of(s) for s in self.settings.universe}

    @property
    def candle_venues(self) -> dict[str, dict[str, str]]:
        """Market to symbol to the venue of its candles."""
        spot = {s: self.settings.spot_venue_of(s) for s in self.settings.universe}
        return {"spot": spot, "perp": self.perp_venues}


Body = Callable[..., Any]


def inputs(
    target: str,
    lookback: Mapping[str, str],
    where: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    whole_universe: bool | Collection[str] = False,
    all_stored: Collection[str] = (),
    columns: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, dg.AssetIn]:
    """Asset inputs as the IO manager understands them, one per table of ``lookback``.

    ``whole_universe``: all tables, or those named, are read of every configured symbol. Tables of
    ``all_stored`` are too, and from their first row on; their lookback is what a run sees to being
    there. ``columns`` names all that is looked at of a table.
    """
    out = {}
    everyone = lookback if whole_universe is True else whole_universe or ()
    for name, text in lookback.items():
        metadata: dict[str, Any] = {io.LOOKBACK: text, io.FOR_TABLE: target}
        if where and name in where:
            metadata[io.WHERE] = dict(where[name])
        if columns and name in columns:
            metadata[io.COLUMNS] = list(columns[name])
        if name in everyone or name in all_stored:
            metadata[io.WHOLE_UNIVERSE] = True
        if name in all_stored:
            metadata[io.ALL_STORED] = True
        out[parameter(name)] = dg.AssetIn(key=asset_key(name), metadata=metadata)
    return out


def guarded(lookback: Mapping[str, str]) -> dict[str, str]:
    """The inputs of an asset and, beside raw tables, the rows of them that are withheld."""
    reach = [text for name, text in lookback.items() if name.startswith("raw.")]
    if not reach:
        return dict(lookback)
    return {**lookback, BLOCKS: max(reach, key=parse_lookback)}


def _without_withheld(
    frames: dict[str, pd.DataFrame], lookback: Mapping[str, str]
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame | None]:
    """The frames without withheld raw rows, and what was withheld as causes."""
    blocked = frames.pop(parameter(BLOCKS), None)
    if blocked is None or blocked.empty:
        return frames, None
    raw = [n for n in lookback if n.startswith("raw.")]
    kept = {parameter(n): withhold(frames[parameter(n)], n, blocked) for n in raw}
    return {**frames, **kept}, causes(blocked, raw)


def _quarantined_inputs(
    platform: Platform,
    run: Run,
    lookback: Mapping[str, str],
    where: Mapping[str, Mapping[str, Any]] | None,
) -> pd.DataFrame | None:
    """Rows of the asset's inputs in its window that are null because something was withheld."""
    found = []
    for name in lookback:
        item = table(name)
        if "status" not in item.fields or not item.symbol_columns:
            continue
        names = [c for c in ("market", "symbol", "ts", "reason") if c in item.fields]
        asked = {k: v for k, v in ((where or {}).get(name) or {}).items() if k == "market"}
        rows = platform.warehouse.read(
            name, run.window, columns=names, where={**asked, "status": QUARANTINED}
        )
        if len(rows):
            found.append(rows.drop(columns="market") if asked and "market" in rows else rows)
    return pd.concat(found, ignore_index=True) if found else None


def _explained(
    rows: pd.DataFrame,
    why: pd.DataFrame | None,
    platform: Platform,
    run: Run,
    lookback: Mapping[str, str],
    where: Mapping[str, Mapping[str, Any]] | None,
) -> pd.DataFrame:
    """Rows that are missing because of a withheld input say so."""
    if "status" not in rows or not (rows["status"] == "missing").any():
        return rows
    inherited = _quarantined_inputs(platform, run, lookback, where)
    for told in (why, inherited):
        if told is not None:
            rows = explained(rows, told)
    return rows


def _run(context: dg.AssetExecutionContext, item: Table) -> Run:
    platform: Platform = context.resources.platform
    scope: Scope = context.resources.scope
    window = owed(
        as_window(context.partition_time_window),
        platform.clock.now(),
        full_table_name=item.full_name,
    )
    return Run(platform.settings, window, platform.symbols(scope.symbols))


def _frames(found: Any, items: Sequence[Table]) -> tuple[pd.DataFrame, ...]:
    frames = found if isinstance(found, tuple) else (found,)
    if len(frames) != len(items):
        raise ValueError(f"{len(items)} tables are owed, the function gave {len(frames)}")
    return frames


def common(item: Table) -> dict[str, Any]:
    """Arguments that describe the asset of a table, whatever kind of asset it is."""
    return {
        "description": item.description,
        "metadata": spec_metadata(item),
        "owners": [SCHEMAS[item.schema].owner],
        "kinds": {"python", "postgres"},
        "tags": {"layer": item.schema},
        "group_name": item.schema,
    }


def derived(
    full_name: str,
    *,
    lookback: Mapping[str, str],
    where: Mapping[str, Mapping[str, Any]] | None = None,
    whole_universe: Collection[str] = (),
    all_stored: Collection[str] = (),
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[Body], dg.AssetsDefinition]:
    """Make the asset of one derived table out of ``body(run, *, schema__table=frame, ...)``.

    Args:
        full_name: ``schema.name`` of the table.
        lookback: input tables and the history before the window, as the pure module declares it.
        where: per input table, values that text columns must have; reads less, changes nothing.
        whole_universe: input tables read of every configured symbol even in a narrowed run.
        all_stored: input tables read from their first row on, of the whole universe.
        columns: per input table, the columns that the function looks at; absent means all. A long
            lookback costs a quarter of the time without the others.
    """
    item = table(full_name)

    def wrap(body: Body) -> dg.AssetsDefinition:
        @dg.asset(
            key=asset_key(full_name),
            ins=inputs(
                full_name,
                guarded(lookback),
                where,
                whole_universe=whole_universe,
                all_stored=all_stored,
                columns=columns,
            ),
            io_manager_key=IO_MANAGER,
            required_resource_keys={"platform", "scope"},
            partitions_def=DAILY,
            backfill_policy=COMPUTE,
            **common(item),
        )
        def compute(context, **frames):  # type: ignore[no-untyped-def]
            run = _run(context, item)
            if run.window.is_empty:
                return empty(item)
            kept, why = _without_withheld(frames, lookback)
            rows = body(run, **kept)
            return _explained(rows, why, context.resources.platform, run, lookback, where)

        return compute

    return wrap


def derived_together(
    *full_names: str,
    name: str,
    lookback: Mapping[str, str],
    where: Mapping[str, Mapping[str, Any]] | None = None,
    whole_universe: bool = False,
) -> Callable[[Body], dg.AssetsDefinition]:
    """Make the assets of tables that one function computes together, as a tuple in this order.

    Args:
        full_names: ``schema.name`` of each table.
        name: name of the step.
        lookback: as for :func:`derived`.
        where: as for :func:`derived`.
        whole_universe: the function needs all configured symbols even in a narrowed run.
    """
    items = [table(n) for n in full_names]

    def wrap(body: Body) -> dg.AssetsDefinition:
        @dg.multi_asset(
            name=name,
            outs={
                parameter(i.full_name): dg.AssetOut(
                    key=asset_key(i.full_name), io_manager_key=IO_MANAGER, **common(i)
                )
                for i in items
            },
            ins=inputs(full_names[0], lookback, where, whole_universe=whole_universe),
            required_resource_keys={"platform", "scope"},
            partitions_def=DAILY,
            backfill_policy=COMPUTE,
        )
        def compute(context, **frames):  # type: ignore[no-untyped-def]
            run = _run(context, items[0])
            if run.window.is_empty:
                return tuple(empty(i) for i in items)
            platform: Platform = context.resources.platform
            return tuple(
                _explained(rows, None, platform, run, lookback, where)
                for rows in _frames(body(run, **frames), items)
            )

        return compute

    return wrap
