"""How a declared pure function becomes an asset: key, inputs with lookback, partitions, descriptions.

What is computed from what stands beside each function (``catalogue.derivation``); everything else about
its asset comes from here and from the catalogue. Does not belong here: any computation, any table.

Step functions carry no annotations: Dagster reads the ones of ``context``, and they are strings here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

import dagster as dg
import pandas as pd

from regime_pipeline.catalogue import Cadence, Table, table
from regime_pipeline.catalogue.derivation import Derivation, Given, Input, derivations
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.market.book_levels import LevelsOf, no_levels
from regime_pipeline.orchestration import io_manager as io
from regime_pipeline.orchestration.ledger import BEFORE
from regime_pipeline.orchestration.metadata import spec_metadata
from regime_pipeline.orchestration.partitions import COMPUTE, DAILY, MONTHLY, as_window, owed
from regime_pipeline.orchestration.resources import Platform, Scope
from regime_pipeline.quality.withholding import (
    BLOCKS,
    QUARANTINED,
    causes,
    doubted,
    explained,
    withhold,
)
from regime_pipeline.settings import Settings, method_version
from regime_pipeline.windows import Grid, Window, parse_lookback

IO_MANAGER = "warehouse_io"
_THRESHOLDS = "params."


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
    levels_of: LevelsOf = no_levels

    @cached_property
    def grid(self) -> Grid:
        """The hours of the window for the run's symbols."""
        return Grid.of(self.window, self.symbols)

    def arguments(self, what: Derivation) -> dict[str, Any]:
        """The function's parameters that are no tables."""
        wide = replace(self, symbols=self.settings.universe) if what.of_universe else self
        given = {name: attrgetter(path)(self.settings) for name, path in what.settings.items()}
        return given | {name: getattr(wide, name) for name in what.of_run}


def inputs(
    target: str,
    read: Mapping[str, Input],
    settings: Mapping[str, str] | None = None,
    *,
    resumes: bool = False,
) -> dict[str, dg.AssetIn]:
    """Asset inputs as the IO manager understands them, named ``schema__table``.

    Args:
        target: the table that they are read for.
        read: parameter -> input, as a function declares them.
        settings: parameter -> path in the settings, for what ``where`` refers to.
        resumes: whether the function goes on from a stored state where there is one.
    """
    out = {}
    for one in read.values():
        metadata: dict[str, Any] = {io.LOOKBACK: one.lookback, io.FOR_TABLE: target}
        if one.where:
            metadata[io.WHERE] = {
                column: io.FROM_SETTINGS + (settings or {})[value.parameter]
                if isinstance(value, Given)
                else value
                for column, value in one.where.items()
            }
        if one.columns is not None:
            metadata[io.COLUMNS] = list(one.columns)
        if one.of_universe:
            metadata[io.WHOLE_UNIVERSE] = True
        if one.all_stored:
            metadata[io.ALL_STORED] = True
            if resumes:
                metadata[io.RESUMES] = True
        if one.whole:
            metadata[io.WHOLE] = True
        out[parameter(one.table)] = dg.AssetIn(key=asset_key(one.table), metadata=metadata)
    return out


def _read_by(what: Derivation) -> dict[str, Input]:
    """The function's inputs and, beside raw tables, the rows of them that are withheld."""
    read = dict(what.inputs)
    if what.of_universe:
        read = {name: replace(one, of_universe=True) for name, one in read.items()}
    raw = [one.lookback for one in read.values() if one.table.startswith("raw.")]
    if raw:
        read[BLOCKS] = Input(BLOCKS, max(raw, key=parse_lookback))
    return read


def _without_withheld(
    frames: Mapping[str, pd.DataFrame], what: Derivation
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame | None]:
    """The frames by parameter without withheld raw rows, and what was withheld as causes."""
    given = {name: frames[parameter(one.table)] for name, one in what.inputs.items()}
    blocked = frames.get(parameter(BLOCKS))
    if blocked is None or blocked.empty:
        return given, None
    raw = {n: one.table for n, one in what.inputs.items() if one.table.startswith("raw.")}
    kept = {name: withhold(given[name], full, blocked) for name, full in raw.items()}
    return given | kept, causes(blocked, list(raw.values()))


def _doubted(
    rows: pd.DataFrame, frames: Mapping[str, pd.DataFrame], what: Derivation
) -> pd.DataFrame:
    """Rows that stand on a raw row that a check doubts say so."""
    blocked = frames.get(parameter(BLOCKS))
    if blocked is None or blocked.empty:
        return rows
    return doubted(rows, blocked, [one.table for one in what.inputs.values()])


def _quarantined_inputs(
    platform: Platform, run: Run, read: Collection[Input]
) -> pd.DataFrame | None:
    """Rows of the inputs in the run's window that are null because something was withheld."""
    found = []
    for one in read:
        item = table(one.table)
        if "status" not in item.fields or not item.symbol_columns:
            continue
        names = [c for c in ("market", "symbol", "ts", "reason") if c in item.fields]
        asked = {"market": str(one.where["market"])} if "market" in one.where else {}
        rows = platform.warehouse.read(
            one.table, run.window, columns=names, where=asked | {"status": QUARANTINED}
        )
        if len(rows):
            found.append(rows.drop(columns="market") if asked and "market" in rows else rows)
    return pd.concat(found, ignore_index=True) if found else None


def _explained(
    rows: pd.DataFrame,
    why: pd.DataFrame | None,
    platform: Platform,
    run: Run,
    read: Collection[Input],
) -> pd.DataFrame:
    """Rows that are missing because of a withheld input say so."""
    if "status" not in rows or not (rows["status"] == "missing").any():
        return rows
    inherited = _quarantined_inputs(platform, run, read)
    for cause in (why, inherited):
        if cause is not None:
            rows = explained(rows, cause)
    return rows


def _run(context: dg.AssetExecutionContext, item: Table) -> Run:
    platform: Platform = context.resources.platform
    scope: Scope = context.resources.scope
    window = owed(
        as_window(context.partition_time_window),
        platform.until(context.run_id),
        full_table_name=item.full_name,
    )
    return Run(platform.settings, window, platform.symbols(scope.symbols), platform.levels_of)


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


def inputs_of(what: Derivation) -> dict[str, dg.AssetIn]:
    """Everything that the asset of a declared function is given, named ``schema__table``."""
    return inputs(what.tables[0], _read_by(what), what.settings, resumes=bool(what.resume))


def computed(
    what: Derivation, frames: Mapping[str, pd.DataFrame], run: Run, platform: Platform
) -> tuple[pd.DataFrame, ...]:
    """What a declared function gives for a run, a frame for each of its tables.

    Args:
        what: the function.
        frames: what is read for it, by the names of :func:`inputs_of`.
        run: what is asked for.
        platform: where rows of its inputs are looked up that are null because of withheld ones.
    """
    items = [table(name) for name in what.tables]
    if run.window.is_empty:
        return tuple(empty(i) for i in items)
    given, why = _without_withheld(frames, what)
    for name, resume in what.resume.items():
        given[name] = io.own_rows(platform, resume, run.window)
    return tuple(
        _explained(_doubted(rows, frames, what), why, platform, run, what.inputs.values())
        for rows in _frames(what.function(**given, **run.arguments(what)), items)
    )


def partitions_of(item: Table) -> dg.TimeWindowPartitionsDefinition:
    """Days, or months for what is made at their ends."""
    return MONTHLY if item.cadence is Cadence.MONTHLY else DAILY


def derived(what: Derivation) -> dg.AssetsDefinition:
    """The asset or assets of one declared function."""
    items = [table(name) for name in what.tables]

    @dg.multi_asset(
        name=what.step,
        outs={
            parameter(i.full_name): dg.AssetOut(
                key=asset_key(i.full_name), io_manager_key=IO_MANAGER, **common(i)
            )
            for i in items
        },
        ins=inputs_of(what),
        required_resource_keys={"platform", "scope"},
        partitions_def=partitions_of(items[0]),
        backfill_policy=COMPUTE,
    )
    def compute(context, **frames):  # type: ignore[no-untyped-def]
        if first := BEFORE.get(items[0].full_name):
            first(context.resources.platform)
        run = _run(context, items[0])
        found = computed(what, frames, run, context.resources.platform)
        return found if len(found) > 1 else found[0]

    return compute


def code_version(what: Derivation, settings: Settings) -> str | None:
    """The thresholds that a declared function is given, as ``futures+3f0c9a1e,funding+9b1d22c0``.

    Dagster marks a day as stale that was made with another version. The digests are those that end a
    row's ``method_version`` and by which ``ops.parameter_versions`` keeps the values; None: it is given
    no thresholds.
    """
    sections = [path for path in what.settings.values() if path.startswith(_THRESHOLDS)]
    versions = [
        method_version(path.removeprefix(_THRESHOLDS), attrgetter(path)(settings))
        for path in sections
    ]
    return ",".join(versions) or None


def versioned(assets: Sequence[Any], settings: Settings) -> tuple[Any, ...]:
    """The assets, those of functions with thresholds with these thresholds as their code version."""
    version_of = {
        asset_key(name): code_version(what, settings)
        for what in derivations()
        for name in what.tables
    }

    def spec(one: dg.AssetSpec) -> dg.AssetSpec:
        return one.replace_attributes(code_version=version_of[one.key])

    return tuple(
        asset.map_asset_specs(spec)
        if any(version_of.get(spec.key) for spec in asset.specs)
        else asset
        for asset in assets
    )


@cache
def derived_assets() -> tuple[dg.AssetsDefinition, ...]:
    """The assets of every declared function."""
    return tuple(derived(what) for what in derivations())


def asset_of(full_name: str) -> dg.AssetsDefinition:
    """The asset that computes a declared table.

    Raises:
        KeyError: no function declares it.
    """
    key = asset_key(full_name)
    for asset in derived_assets():
        if key in asset.keys:
            return asset
    raise KeyError(f"no function declares {full_name}")
