"""What is made of what: columns of marts from columns of tables, tables from their inputs and from replies.

Belongs here: reading the stored answer, ``lineage.json``, and its form. Does not belong here: finding it
out (``orchestration.lineage`` reads the queries of marts, the models of dbt and the declarations of
derived tables, and writes the file), rows of data (``storage.provenance``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

Columns = dict[str, dict[str, dict[str, tuple[str, ...]]]]
"""Mart -> column -> table -> columns of that table."""

Replies = dict[str, dict[str, dict[str, tuple[str, ...]]]]
"""Raw table -> column -> ``source/endpoint`` -> places of its reply, as ``data[].close``."""

PATH = Path(__file__).with_name("lineage.json")


@dataclass(frozen=True, slots=True)
class Edge:
    """One table that a stored table is computed from.

    Attributes:
        table: ``schema.name`` of the input.
        columns: what is looked at; None: every column.
        where: column -> value that the rows of the input have.
        lookback: history before a row that is read, as ``30d``.
        of_universe: read of every configured symbol.
        all_stored: read from the first stored row on.
        when: column -> value of rows that are computed from this input, where others are not.
    """

    table: str
    columns: tuple[str, ...] | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    lookback: str = "0h"
    of_universe: bool = False
    all_stored: bool = False
    when: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The whole of it.

    Attributes:
        marts: mart -> column -> table -> columns of that table.
        tables: computed table -> its inputs.
        made_of: digest of the queries and models that it was read from, so that a stale file shows.
        replies: raw table -> column -> source and endpoint -> places of the reply; of endpoints of which
            a reply is recorded.
    """

    marts: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]]
    tables: Mapping[str, tuple[Edge, ...]]
    made_of: str
    replies: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]] = field(default_factory=dict)

    def told_by(self, table: str, column: str, source: str) -> tuple[str, ...]:
        """Places of the replies of a source that a raw column is read from; empty when not known."""
        known = self.replies.get(table, {}).get(column, {})
        of_source = [places for name, places in known.items() if name.split("/")[0] == source]
        return tuple(dict.fromkeys(place for places in of_source for place in places))


@cache
def stored() -> Lineage:
    """The lineage as it was last written."""
    return from_json(json.loads(PATH.read_text(encoding="utf-8")))


def from_json(found: Mapping[str, Any]) -> Lineage:
    """The lineage that a file says."""
    return Lineage(
        _tuples(found["marts"]),
        {
            table: tuple(
                Edge(
                    e["table"],
                    tuple(e["columns"]) if "columns" in e else None,
                    e.get("where", {}),
                    e.get("lookback", "0h"),
                    e.get("of_universe", False),
                    e.get("all_stored", False),
                    e.get("when", {}),
                )
                for e in edges
            )
            for table, edges in found["tables"].items()
        },
        found["made_of"],
        _tuples(found.get("replies", {})),
    )


def _tuples(found: Mapping[str, Any]) -> Columns:
    return {
        name: {c: {t: tuple(of) for t, of in below.items()} for c, below in columns.items()}
        for name, columns in found.items()
    }


def _lists(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {c: {t: list(of) for t, of in below.items()} for c, below in columns.items()}
        for name, columns in found.items()
    }


def to_json(lineage: Lineage) -> dict[str, Any]:
    """What :func:`from_json` reads; what is as usual is left out."""

    def edge(e: Edge) -> dict[str, Any]:
        said: dict[str, Any] = {"table": e.table}
        if e.columns is not None:
            said["columns"] = list(e.columns)
        if e.lookback != "0h":
            said["lookback"] = e.lookback
        optional = {
            "where": dict(e.where),
            "of_universe": e.of_universe,
            "all_stored": e.all_stored,
            "when": dict(e.when),
        }
        return said | {name: value for name, value in optional.items() if value}

    return {
        "made_of": lineage.made_of,
        "marts": _lists(lineage.marts),
        "replies": _lists(lineage.replies),
        "tables": {table: [edge(e) for e in edges] for table, edges in lineage.tables.items()},
    }
