"""Columns that most marts have, and marts that are a stored table as it is. No mart is listed here."""

from __future__ import annotations

from dataclasses import replace

from regime_pipeline.catalogue.model import Cadence, Field, Kind, Mart
from regime_pipeline.catalogue.registry import FIELDS, TABLES

SYMBOL = FIELDS["symbol"]
SOURCE_TIER = FIELDS["source_tier"]
METHOD_VERSION = FIELDS["method_version"]
STATUS = FIELDS["status"]
REASON = FIELDS["reason"]
KNOWN_AT = Field(
    "known_at", Kind.TIMESTAMP, "From when on the row could be known: its hour's end, or its event."
)
INGESTED_AT = Field(
    "ingested_at", Kind.TIMESTAMP, "When the newest stored version behind the row was stored."
)
TAIL = (STATUS, REASON, SOURCE_TIER, METHOD_VERSION, KNOWN_AT, INGESTED_AT)
"""What every row of a mart ends with, where its inputs have it."""
HIDDEN = frozenset({"revision", "run_id", "payload_id", "pit_grade", "paper_state"})
"""Bookkeeping of stored tables that says nothing to a reader of reports; ``reporting.why`` tells it."""


def columns(*names: str) -> tuple[Field, ...]:
    """Columns that mean what they mean in the stored tables."""
    return tuple(FIELDS[name] for name in names)


def renamed(name: str, of: str, description: str | None = None) -> Field:
    """A column of the stored tables under another name."""
    known = FIELDS[of]
    return replace(known, name=name, description=description or known.description)


def as_table(
    name: str, table: str, description: str, *, known: str | None = None, names: str = ""
) -> Mart:
    """A mart that shows a stored table row by row.

    Args:
        name: of the mart.
        table: ``schema.name`` of the table.
        description: what the mart answers.
        known: when a row ``t`` could be known, as SQL; by default an hour after its ``ts``, or its
            column ``available_at``.
        names: other names of columns, as ``old>new old>new``.
    """
    stored = TABLES[table]
    new = dict(pair.split(">") for pair in names.split())
    if known is None:
        instant = stored.cadence in (Cadence.HOURLY, Cadence.SPARSE, Cadence.MONTHLY)
        known = "t.ts + interval '1 hour'" if instant else "t.available_at"
    shown = [f for f in stored.fields if f not in HIDDEN | {"ingested_at", "available_at"}]
    picked = [f"t.{f} as {new[f]}" if f in new else f"t.{f}" for f in shown]
    tail = [f"{known} as known_at", "t.ingested_at"]
    return Mart(
        name,
        description,
        tuple(new.get(k, k) for k in stored.key),
        (
            *(renamed(new[f], f) if f in new else FIELDS[f] for f in shown),
            KNOWN_AT,
            INGESTED_AT,
        ),
        query=f"select {', '.join([*picked, *tail])} from {{{table}}} as t",
        required=frozenset(new.get(f, f) for f in shown if f in stored.required),
    )
