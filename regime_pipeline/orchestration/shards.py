"""Which derived tables may be made symbol by symbol, and what has to wait for what.

A shard is a part of the symbols. What a function computes of one symbol from that symbol's rows alone can be
made by several processes at once, each for its own shard. What looks at every symbol (correlations, events,
quality, statistics over all that is stored) is made once, and only when all shards have ended that it reads.
Both follow from what assets declare. Pure arithmetic over declarations. Does not belong here: running
anything (``shard_runs``, ``launch``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import dagster as dg

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.derivation import derivations

SHARD_TAG = "regime/shard"
"""Run tag: which shard a run makes, as ``2/4``. Such a run may write tables by symbol and no others."""


class ShardError(RuntimeError):
    """A run of some symbols was to make what needs all of them."""


@dataclass(frozen=True)
class Declared:
    """What decides about stages.

    Attributes:
        parents: table -> tables that it is made of.
        wide: pairs of a table and one of its parents of which it reads more than its own symbols.
        by_symbol: tables that are made of one symbol's rows.
    """

    parents: Mapping[str, frozenset[str]]
    wide: frozenset[tuple[str, str]]
    by_symbol: frozenset[str]


@dataclass(frozen=True)
class Stage:
    """What may be made at the same time; the next stage begins when all of it has succeeded.

    Attributes:
        by_symbol: tables that each shard makes for its symbols.
        whole: tables that one run makes for all symbols.
    """

    by_symbol: tuple[str, ...]
    whole: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One run of a stage.

    Attributes:
        tables: what it makes.
        symbols: for which.
        shard: which of how many, as ``2/4``; None: it makes tables for all symbols.
    """

    tables: tuple[str, ...]
    symbols: tuple[str, ...]
    shard: str | None

    @property
    def title(self) -> str:
        """As people read it."""
        return "all symbols" if self.shard is None else f"shard {self.shard}"

    @property
    def tags(self) -> dict[str, str]:
        """Of its run."""
        return {} if self.shard is None else {SHARD_TAG: self.shard}


def declared(assets: Iterable[dg.AssetsDefinition]) -> Declared:
    """What assets, and the functions that they are made of, say about themselves."""
    parents: dict[str, frozenset[str]] = {}
    for asset in assets:
        names = [".".join(key.path) for key in asset.keys]
        read = {".".join(key.path) for key in asset.dependency_keys} - set(names)
        parents |= dict.fromkeys(names, frozenset(read))
    wide = {
        (name, read.table)
        for what in derivations()
        for read in what.inputs.values()
        for name in what.tables
        if read.of_universe or read.whole
    }
    return Declared(parents, frozenset(wide), made_by_symbol())


@cache
def made_by_symbol() -> frozenset[str]:
    """Tables of functions that look at one symbol at a time; a row about a pair has two."""
    return frozenset(
        name
        for what in derivations()
        if not what.of_universe and all(len(TABLES[n].symbol_columns) == 1 for n in what.tables)
        for name in what.tables
    )


def stages(what: Declared, tables: Collection[str]) -> list[Stage]:
    """The fewest stages in which some tables can be made.

    A table waits for a stage to end when it reads other symbols' rows of it, or when one of the two is made
    for all symbols at once and the other is not.

    Args:
        what: the declarations.
        tables: those that are to be made; of others nothing is waited for.
    """
    at: dict[str, int] = {}

    def stage_of(name: str) -> int:
        if name not in at:
            read = what.parents.get(name, frozenset()) & set(tables)
            at[name] = max((stage_of(one) + _waits(what, name, one) for one in read), default=0)
        return at[name]

    for name in tables:
        stage_of(name)
    return [
        Stage(
            tuple(n for n in tables if at[n] == i and n in what.by_symbol),
            tuple(n for n in tables if at[n] == i and n not in what.by_symbol),
        )
        for i in range(max(at.values(), default=-1) + 1)
    ]


def parts(stage: Stage, symbols: Sequence[str], shards: int) -> list[Part]:
    """The runs of a stage: a shard each, and one for what is made of all symbols.

    Args:
        stage: from :func:`stages`.
        symbols: of the whole.
        shards: into how many parts they are dealt; never more than there are symbols.
    """
    count = min(shards, len(symbols))
    dealt = [tuple(symbols[i::count]) for i in range(count)]
    out = [Part(stage.whole, tuple(symbols), None)] if stage.whole else []
    if stage.by_symbol:
        out += [Part(stage.by_symbol, own, f"{i}/{count}") for i, own in enumerate(dealt, 1)]
    return out


def refuse_whole(tags: Mapping[str, str], tables: Collection[str] | None) -> None:
    """End a run of a shard that was to make a table which needs every symbol.

    Args:
        tags: of the run.
        tables: what the run is to make; None: all of its job.

    Raises:
        ShardError: it is a run of a shard, and one of the tables is not made by symbol.
    """
    if SHARD_TAG not in tags:
        return
    wrong = ["everything"] if tables is None else sorted(set(tables) - made_by_symbol())
    if wrong:
        raise ShardError(
            f"{', '.join(wrong)}: made of all symbols at once, and not in shard {tags[SHARD_TAG]}"
        )


def _waits(what: Declared, name: str, read: str) -> bool:
    is_other_kind = (name in what.by_symbol) != (read in what.by_symbol)
    return is_other_kind or (name in what.by_symbol and (name, read) in what.wide)
