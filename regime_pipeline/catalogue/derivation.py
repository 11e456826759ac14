"""How a pure function says, beside itself, which tables it computes and from what.

Belongs here: the declaration ``@derives``, what it holds, and finding it again. Does not belong here:
computing, reading tables, Dagster; the orchestration makes an asset of every declaration. Importing
this module loads no data library.

    @derives(
        "features.volatility_regimes",
        candles_1h=reads("market.candles_1h", "405d", where={"market": "spot"}),
        params="params.volatility",
    )
    def volatility_regimes(candles_1h, *, grid, params): ...

Every parameter of the function is named once: a table that is read, or a path in the settings. Those
called ``grid``, ``window`` and ``symbols`` are what the run owes and are given without being named, and so
is ``levels_of``, which finds the levels that a stored book was summed from; a parameter with a default may
be left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, TypeVar

from regime_pipeline.catalogue.registry import TABLES

OF_THE_RUN = ("grid", "window", "symbols", "levels_of")
"""Parameters that every function may have and that the run fills: hours x symbols, time, symbols, books."""

_PACKAGE = "regime_pipeline"
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Given:
    """In ``where``: whatever the parameter of this name is given, all its values if it is a mapping."""

    parameter: str


@dataclass(frozen=True, slots=True)
class Input:
    """One table that a function reads.

    Attributes:
        table: ``schema.name``.
        lookback: history before the window, as ``30d``.
        where: column -> value that a row must have, or :class:`Given`; reads less, changes nothing.
        columns: all that the function looks at; None means every column.
        of_universe: read of every configured symbol even in a narrowed run.
        all_stored: read from the first stored row on, of every configured symbol; the lookback is
            then what a run makes sure to be there.
        whole: read in whole, rows stamped after the window too: a ledger of what people did, not a
            series.
    """

    table: str
    lookback: str
    where: Mapping[str, str | Given] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    of_universe: bool = False
    all_stored: bool = False
    whole: bool = False


def reads(
    table: str,
    lookback: str = "0h",
    *,
    where: Mapping[str, str | Given] | None = None,
    columns: tuple[str, ...] | None = None,
    of_universe: bool = False,
    all_stored: bool = False,
    whole: bool = False,
) -> Input:
    """An input of :func:`derives`; the arguments are those of :class:`Input`."""
    of_universe = of_universe or all_stored
    return Input(table, lookback, where or {}, columns, of_universe, all_stored, whole)


@dataclass(frozen=True, slots=True)
class Resume:
    """Rows of its own that a function goes on from, instead of from the first stored row.

    Attributes:
        table: one of the function's own tables; read before the window, and no input of the lineage.
        columns: of it that are read.
        within: how far before the window they are looked for, as ``10d``.
        lookback: history before the newest usable one that inputs declared ``all_stored`` are then read for.
        since: given these rows and the symbols of the run: the time from which the function goes on; None:
            it begins at the first stored row.
    """

    table: str
    columns: tuple[str, ...]
    within: str
    lookback: str
    since: Callable[[Any, tuple[str, ...]], datetime | None]


@dataclass(frozen=True, slots=True)
class Derivation:
    """A pure function and everything that is known about running it.

    Attributes:
        function: called with keywords only; gives a frame, or one per table in their order.
        tables: what it computes.
        inputs: parameter -> table read.
        settings: parameter -> dotted path in the settings.
        of_run: the parameters out of :data:`OF_THE_RUN` that it has.
        step: name of the step where several tables are computed together.
        of_universe: it always computes every configured symbol, even in a narrowed run.
        resume: parameter -> rows of its own that it goes on from; one at most.
    """

    function: Callable[..., Any]
    tables: tuple[str, ...]
    inputs: Mapping[str, Input]
    settings: Mapping[str, str]
    of_run: tuple[str, ...]
    step: str
    of_universe: bool
    resume: Mapping[str, Resume] = field(default_factory=dict)


_DECLARED: dict[Callable[..., Any], Derivation] = {}


def derives(
    *tables: str,
    step: str | None = None,
    of_universe: bool = False,
    **parameters: Input | Resume | str,
) -> Callable[[_F], _F]:
    """Declare the decorated function as what computes ``tables``; the function stays as it is.

    Args:
        tables: ``schema.name`` of each table, in the order in which the function gives them.
        step: name of the step; by default the one table's ``schema__name``.
        of_universe: the function needs every configured symbol, in its inputs and its grid.
        parameters: for each parameter of the function an :class:`Input`, a :class:`Resume`, or a path in
            the settings.

    Raises:
        TypeError: a parameter is declared that the function lacks, or the other way round.
        ValueError: several tables without a name for their step, or an input read twice.
    """
    if step is None and len(tables) != 1:
        raise ValueError(f"{tables}: tables that are computed together need a name for their step")

    def declare(function: _F) -> _F:
        found = inspect.signature(function).parameters
        of_run = tuple(name for name in OF_THE_RUN if name in found)
        unknown = set(parameters) - set(found)
        open_ = {n for n, p in found.items() if p.default is p.empty} - set(parameters)
        if unknown or open_ - set(of_run):
            raise TypeError(
                f"{function.__qualname__}: no such parameters {sorted(unknown)}, "
                f"undeclared {sorted(open_ - set(of_run))}"
            )
        inputs = {n: p for n, p in parameters.items() if isinstance(p, Input)}
        if len({i.table for i in inputs.values()}) != len(inputs):
            raise ValueError(f"{function.__qualname__}: a table is read by two parameters")
        _DECLARED[function] = Derivation(
            function,
            tables,
            inputs,
            {n: p for n, p in parameters.items() if isinstance(p, str)},
            of_run,
            step or tables[0].replace(".", "__"),
            of_universe,
            {n: p for n, p in parameters.items() if isinstance(p, Resume)},
        )
        return function

    return declare


def derivation_of(function: Callable[..., Any]) -> Derivation:
    """What a decorated function declares.

    Raises:
        KeyError: it declares nothing.
    """
    return _DECLARED[function]


def lookbacks(function: Callable[..., Any]) -> dict[str, str]:
    """Table -> history before the window that a decorated function reads, as ``30d``."""
    return {i.table: i.lookback for i in derivation_of(function).inputs.values()}


def reach_of(function: Callable[..., Any], table: str) -> timedelta:
    """How far before its grid a decorated function reads a table."""
    from regime_pipeline.windows import parse_lookback

    return parse_lookback(lookbacks(function)[table])


def derivations() -> tuple[Derivation, ...]:
    """Every declaration, in the order of the catalogue's tables; imports the modules they are in.

    Raises:
        LookupError: a table names a module that declares no function for it, or a function declares
            a table that does not name its module.
    """
    modules = dict.fromkeys(t.computed_in for t in TABLES.values() if t.computed_in)
    out = []
    for name in modules:
        module = import_module(f"{_PACKAGE}.{name}")
        mine = [d for d in map(_DECLARED.get, _functions(module)) if d is not None]
        said = [n for d in mine for n in d.tables]
        wanted = [n for n, t in TABLES.items() if t.computed_in == name]
        if sorted(said) != sorted(wanted):
            raise LookupError(f"{name} computes {sorted(said)}, the catalogue says {wanted}")
        out += mine
    order = list(TABLES)
    return tuple(sorted(out, key=lambda d: order.index(d.tables[0])))


def _functions(module: Any) -> list[Callable[..., Any]]:
    own = (f for f in vars(module).values() if inspect.isfunction(f))
    return [f for f in own if f.__module__ == module.__name__]
