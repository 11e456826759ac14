"""How far back each table must reach so that a window's rows do not depend on where history begins.

Pure arithmetic over the lookbacks that the assets' inputs declare. Does not belong here: fetching or
computing that history (``launch``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import dagster as dg

from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.orchestration.io_manager import ALL_STORED, LOOKBACK
from regime_pipeline.settings import Settings
from regime_pipeline.source_choice import source_of_perp
from regime_pipeline.windows import Window, floor_day, parse_lookback

Inputs = Mapping[str, Mapping[str, timedelta]]
"""Table -> input table -> history that it reads before its window."""


def declared_inputs(assets: Iterable[dg.AssetsDefinition]) -> dict[str, dict[str, timedelta]]:
    """The lookbacks of all assets, as their inputs declare them."""
    out: dict[str, dict[str, timedelta]] = {}
    for asset in assets:
        lookbacks: dict[str, timedelta] = {}
        for definition in asset.node_def.input_defs:
            text = (definition.metadata or {}).get(LOOKBACK)
            if text is not None:
                upstream = ".".join(asset.keys_by_input_name[definition.name].path)
                lookbacks[upstream] = parse_lookback(text)
        for key in asset.keys:
            out[".".join(key.path)] = lookbacks
    return out


def on_all_stored(assets: Iterable[dg.AssetsDefinition], inputs: Inputs) -> frozenset[str]:
    """Tables that depend on rows of any age: they read all that is stored, or a table that does."""
    found = {
        ".".join(key.path)
        for asset in assets
        if any((i.metadata or {}).get(ALL_STORED, False) for i in asset.node_def.input_defs)
        for key in asset.keys
    }
    while more := {name for name, read in inputs.items() if found & set(read)} - found:
        found |= more
    return frozenset(found)


def required_starts(
    inputs: Inputs, targets: Sequence[str], start: datetime, *, first: datetime
) -> dict[str, datetime]:
    """The first day of every table that the targets' rows from ``start`` on depend on.

    Whole days, because a run covers whole days, and what a day of history needs counts from that
    day's start; never before ``first``.

    Args:
        inputs: from :func:`declared_inputs`.
        targets: tables whose rows are wanted from ``start`` on.
        start: first wanted instant.
        first: the first partition.
    """
    out: dict[str, datetime] = {}

    def need(name: str, day: datetime) -> None:
        if name in out and out[name] <= day:
            return
        out[name] = day
        for upstream, lookback in inputs.get(name, {}).items():
            need(upstream, max(first, floor_day(day - lookback)))

    for target in targets:
        need(target, max(first, floor_day(start)))
    return out


def grouped(
    starts: Mapping[str, datetime],
    before: datetime,
    only: Iterable[str],
    ends: Mapping[str, datetime] | None = None,
) -> list[tuple[Window, list[str]]]:
    """Tables that need history before a day, by the stretch they need, the earliest first.

    A table never reaches further back than what it is computed from, nor does what is there of it,
    so in this order inputs are there before their readers.

    Args:
        starts: table -> first day it needs.
        before: where its history ends.
        only: these tables.
        ends: where it ends earlier, because the rest is there.
    """
    by_days: dict[tuple[datetime, datetime], list[str]] = {}
    for name in only:
        end = (ends or {}).get(name, before)
        if name in starts and starts[name] < end:
            by_days.setdefault((starts[name], end), []).append(name)
    return [(Window(*days), sorted(names)) for days, names in sorted(by_days.items())]


def primary_sources(dataset: str, settings: Settings) -> tuple[str, ...]:
    """The sources that the derived series of a dataset are made of; history needs no others."""
    item = DATASETS[dataset]
    if not item.by_venue or item.forward_only is not None:
        return settings.sources
    named = [getattr(settings, name) for name in item.primary_settings]
    wanted = {s for one in named for s in (one.values() if isinstance(one, Mapping) else (one,))}
    if not wanted:
        home = {"spot": settings.spot_venue_of, "perp": settings.perp_venue_of}
        venues = {(m, home[m](s)) for m in item.markets for s in settings.universe}
        wanted = {source_of_perp(v) if m == "perp" else v for m, v in venues}
    chosen = tuple(s for s in settings.sources if s in wanted)
    if settings.url_of("binance_archive") is not None and any(s in wanted for s in _ARCHIVED):
        chosen += tuple(s for s in settings.sources if s == "binance_archive")
    return chosen or settings.sources


_ARCHIVED = ("binance", "binance_futures")
"""Sources that the bulk archive stands in for where they are missing."""
