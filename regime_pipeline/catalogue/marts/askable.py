"""The fields that a condition of ``reporting.outcomes`` may ask about, gathered from the marts.

Belongs here: which marts and columns they are, and the mart that lists them. Does not belong here: what
followed on a condition (``storage.outcomes``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from regime_pipeline.catalogue.model import Field, Kind, Mart, meaning

_KINDS = {
    Kind.FLOAT: "number",
    Kind.INTEGER: "number",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "text",
}
_NOT_ASKED = frozenset({"status", "source_tier"})


def askable(marts: Sequence[Mart]) -> Iterator[tuple[Mart, Field]]:
    """Numbers, flags and words from a list, of every view with one row per symbol and hour.

    A row counts where its ``status`` is ok or partial.
    """
    for mart in marts:
        if mart.query is None or mart.key != ("symbol", "ts") or "status" not in mart.names:
            continue
        for column in mart.columns:
            is_open = column.kind is Kind.TEXT and column.allowed is None
            hidden = column.name in _NOT_ASKED or column.name.endswith(("_status", "_reason"))
            if column.kind in _KINDS and not is_open and not hidden:
                yield mart, column


def listed(marts: Sequence[Mart]) -> Mart:
    """The mart that lists them."""
    rows = ", ".join(
        "("
        + ", ".join(
            "null::jsonb" if text is None else "'" + text.replace("'", "''") + "'"
            for text in (
                f"{mart.name}.{column.name}",
                mart.name,
                column.name,
                _KINDS[column.kind],
                column.unit or "",
                None if column.allowed is None else json.dumps(column.allowed),
                meaning(column),
            )
        )
        + ")"
        for mart, column in askable(marts)
    )
    return Mart(
        "askable",
        "What a condition of reporting.outcomes may ask about, one row per field.",
        ("field",),
        (
            Field("field", Kind.TEXT, "Name in a condition: mart and column."),
            Field("mart", Kind.TEXT, "The mart whose column it is."),
            Field("column_name", Kind.TEXT, "Its column."),
            Field("kind", Kind.TEXT, "What it is.", allowed=tuple(dict.fromkeys(_KINDS.values()))),
            Field("unit", Kind.TEXT, "Its unit; empty: none."),
            Field("allowed", Kind.JSON, "The words it may be, where kind is text."),
            Field("description", Kind.TEXT, "What it says."),
        ),
        query="select v.field, v.mart, v.column_name, v.kind, v.unit, v.allowed::jsonb as allowed, "
        f"v.description from (values {rows}) as v "
        "(field, mart, column_name, kind, unit, allowed, description)",
        time_column=None,
        why_no_past="it lists what can be asked now",
        required=frozenset({"mart", "column_name", "kind", "unit", "description"}),
    )
