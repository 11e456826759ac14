"""What a field, a table and a mart are. None of them is described here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

PLACEHOLDER = re.compile(r"\{(\w+\.\w+)\}")
"""How the query of a mart names a table."""


class Kind(StrEnum):
    """Column types, each with one pandas, one SQL and one Arrow counterpart."""

    TIMESTAMP = "timestamp"  # datetime64[us, UTC] / timestamptz
    FLOAT = "float"  # float64, NaN = null / double precision, finite
    INTEGER = "integer"  # Int64 / bigint
    BOOLEAN = "boolean"  # boolean / boolean
    TEXT = "text"  # str / text
    JSON = "json"  # canonical JSON text in frames / jsonb
    FLOATS = "floats"  # canonical JSON text of a list in frames / jsonb


class Cadence(StrEnum):
    """When a derived table owes rows."""

    HOURLY = "hourly"  # one per key and closed hour
    SPARSE = "sparse"  # at some closed hours: the ends of bars, of days, of cases
    MONTHLY = "monthly"  # at the last hour of each month
    INSTANT = "instant"  # whenever something happened, up to the present instant


@dataclass(frozen=True, slots=True)
class Field:
    """One column, described once for every table that has it.

    ``minimum``/``maximum`` are inclusive unless ``exclusive_minimum``; ``allowed`` lists the values
    of an enumeration; ``source`` names the paper or venue document that defines the quantity.
    """

    name: str
    kind: Kind
    description: str
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    allowed: tuple[str, ...] | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One stored table.

    Attributes:
        schema: PostgreSQL schema, which is also the Dagster asset group (``raw``, ``market`` ...).
        name: table name; the asset key is ``[schema, name]``.
        fields: column names in order, each in the field registry.
        key: primary key columns, none nullable.
        required: further columns that are never null.
        time_column: the column that places a row in a window and a monthly partition.
        symbol_columns: columns that hold canonical symbols; a narrowed run writes only its own.
        partitioned: native monthly range partitions on ``time_column``.
        tiered: a row of a higher ``source_tier`` number never replaces one of a lower number.
        kept: columns whose stored value a null never replaces: they come from a list beside the rows,
            which may fail or forget, while a row is restated only when its venue restates it.
        rules: comparisons between columns that hold in every row, as ``"high >= low"``; the text is
            valid both for ``DataFrame.eval`` and for an SQL CHECK.
        bookkeeping: columns that say *when and how* a row came, not what it says; they neither make
            two rows differ nor enter a content hash.
        indexes: columns of further indexes, beside the primary key's.
        main: the column that stands for the table in a small plot; None takes its first number.
        cadence: when rows are owed; None for tables that no window owes rows of.
        computed_in: module below the package whose function computes it (``catalogue.derivation``);
            None where an asset of its own writes it.
    """

    schema: str
    name: str
    description: str
    fields: tuple[str, ...]
    key: tuple[str, ...]
    required: frozenset[str] = frozenset()
    time_column: str = "ts"
    symbol_columns: tuple[str, ...] = ("symbol",)
    partitioned: bool = True
    tiered: bool = False
    bookkeeping: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    rules: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    main: str | None = None
    cadence: Cadence | None = None
    computed_in: str | None = None

    @property
    def full_name(self) -> str:
        """``schema.name``."""
        return f"{self.schema}.{self.name}"

    @property
    def content(self) -> tuple[str, ...]:
        """The columns that a comparison and a content hash look at."""
        return tuple(f for f in self.fields if f not in self.bookkeeping)


@dataclass(frozen=True)
class Mart:
    """One relation of the schema ``reporting``, for people who know SQL and nothing of the pipeline.

    Attributes:
        name: relation in ``reporting``.
        description: what it answers and what one row of it is.
        key: columns that name a row.
        columns: every column in order, described as it is meant here.
        query: of a plain view, the SELECT that it is, with ``{schema.table}`` for the tables it reads.
            None: a model of the dbt project
            with the mart's name fills a table.
        time_column: the column by which a history is read and a window rebuilt; None for a state.
        present: value column -> the status column that says whether it is there.
        rules: further conditions that hold in every row; unknown counts as held.
        required: columns beside the key that are never null.
        indexes: columns of indexes beside the key's; only of tables.
        extent: where a row ``r`` is made of stored rows of several times: the first instant and the end
            of those, as SQL; None: of those with the same key.
        has_past: of a table that dbt builds: whether it can be asked for as it was known at an instant. Of
            a view that follows from the tables that it reads.
        past: of a view over tables that keep no replaced versions, but say when each thing was known: the
            SELECT over the mart itself that gives what it said at the instant ``$1``.
        why_no_past: why it cannot be asked for as it was known at an instant; None where it can.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Field, ...]
    query: str | None = None
    time_column: str | None = "ts"
    present: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    indexes: tuple[tuple[str, ...], ...] = ()
    extent: tuple[str, str] | None = None
    has_past: bool = False
    past: str | None = None
    why_no_past: str | None = None

    @property
    def full_name(self) -> str:
        """``reporting.name``."""
        return f"reporting.{self.name}"

    @property
    def reads(self) -> tuple[str, ...]:
        """The tables that a view reads, in order of appearance."""
        return tuple(dict.fromkeys(m[1] for m in PLACEHOLDER.finditer(self.query or "")))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(c.name for c in self.columns)

    @cached_property
    def symbol_columns(self) -> tuple[str, ...]:
        """The columns that say what a row is about: a symbol, an instrument, or the two of a pair."""
        if "symbol_a" in self.names:
            return ("symbol_a", "symbol_b")
        return tuple(c for c in ("symbol", "instrument") if c in self.names)[:1]

    @cached_property
    def instant_column(self) -> str | None:
        """The column of a row's instant, also where no history is read by it; None: rows have none."""
        return self.time_column or ("ts" if "ts" in self.names else None)


def meaning(field: Field) -> str:
    """A column's description for people, with its unit and the values it may have."""
    text = field.description
    if field.unit:
        text += f" Unit: {field.unit}."
    if field.allowed:
        text += f" One of {', '.join(field.allowed)}."
    return text
