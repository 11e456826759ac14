"""``reporting.why``: a published number followed down to the rows, versions and payloads that it is made of.

Belongs here: the SQL function and what it knows of tables and marts. Does not belong here: what is made of
what (``catalogue.lineage``), the bytes of a payload (``providers.landing``), showing the answer.

The function follows the lineage for the rows at hand. From a row to the rows of an input: those that have
the same values in the columns of the input's key that the row has too (market, venue, symbol ...), within
the history that is declared. Of each series of the input its newest row in that history is answered and
followed further, with the count of all rows of it. It runs with its owner's rights, because readers of
reports see no table below them; names in its statements come from the lineage only, values are parameters.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

from regime_pipeline.catalogue.lineage import Lineage, stored
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.catalogue.model import Mart, Table
from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.windows import parse_lookback

SIGNATURE = "reporting.why(text, text, timestamptz, text)"
MOST_ROWS = 400
"""Rows of an answer; what is left out is said."""
MOST_SERIES = 12
"""Series of one input that are shown, those with the newest rows."""

COLUMNS = {
    "step": ("integer", "Number of the row, from 1; inputs come after what is made of them."),
    "made_for": ("integer", "Step of the row that this one is an input of; null for the mart's."),
    "depth": ("integer", "Steps down from the mart, which is 0."),
    "input_table": ("text", "Relation of the row, schema.name."),
    "row_key": ("jsonb", "Key of the row; null: there is none, see note."),
    "columns": ("text[]", "Columns that count; null: every one."),
    "value": ("jsonb", "What the row says in those columns."),
    "status": ("text", "Status of the row."),
    "reason": ("text", "Reason beside the status."),
    "source": ("text", "Provider that was asked."),
    "venue": ("text", "Venue that it is about."),
    "source_tier": ("bigint", "Worst origin of the row."),
    "available_at": ("timestamptz", "When a raw row could be known."),
    "ingested_at": ("timestamptz", "When this version of the row was stored."),
    "revision": ("bigint", "Number of this version, from 0: how often the row was restated."),
    "run_id": ("text", "Run that stored it."),
    "method_version": ("text", "Definition and thresholds by which it was computed."),
    "payload_id": ("text", "SHA-256 of the provider's reply; its bytes are in the landing store."),
    "history_from": ("timestamptz", "From when on rows of this series are read for it."),
    "history_rows": ("bigint", "Rows of the series in that history, this one among them."),
    "note": ("text", "Why there is no row, or why nothing is told below this one."),
}
"""Columns of an answer: type and meaning."""


@cache
def _body() -> str:
    known = json.dumps(_known(stored()), sort_keys=True).replace("'", "''")
    text = (files("regime_pipeline.storage") / "why.sql").read_text(encoding="utf-8")
    text = text.replace("%MOST%", str(MOST_ROWS)).replace("%SERIES%", str(MOST_SERIES))
    return text.replace("%KNOWN%", known)


def definition() -> str:
    """Everything that :func:`settle_why` makes, as text; it changes when a database must."""
    return _body() + str(COLUMNS)


def settle_why(connection: psycopg.Connection) -> None:
    """Bring the function to what the lineage says; everybody's right to call it is taken away."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
        for name, (kind, _) in COLUMNS.items()
    )
    connection.execute(sql.SQL("drop function if exists {}").format(sql.SQL(SIGNATURE)))
    connection.execute(
        sql.SQL(
            "create function reporting.why(mart text, symbol text, ts timestamptz, "
            '"column" text default null) '
            "returns table ({}) language plpgsql stable security definer rows 50 "
            "set search_path = pg_catalog, pg_temp as {}"
        ).format(columns, sql.Literal(_body()))
    )
    said = (
        "What a published number is made of, row by row down to the provider's reply: why(mart, symbol, ts, "
        "column). symbol: A|B of a pair, null of the whole market; ts: the mart's time column; column null: "
        "the whole row. " + " ".join(f"{name}: {text}" for name, (_, text) in COLUMNS.items())
    )
    connection.execute(
        sql.SQL("comment on function {} is {}").format(sql.SQL(SIGNATURE), sql.Literal(said))
    )
    connection.execute(
        sql.SQL("revoke execute on function {} from public").format(sql.SQL(SIGNATURE))
    )


def _known(lineage: Lineage) -> dict[str, Any]:
    """What the function knows: per relation its key, time, symbols, and inputs."""
    out: dict[str, Any] = {}
    for name, item in TABLES.items():
        edges = [
            {
                "table": e.table,
                "columns": None if e.columns is None else list(e.columns),
                "where": dict(e.where),
                "lookback": None if e.all_stored else str(parse_lookback(e.lookback)),
                "of_universe": e.of_universe,
                "when": dict(e.when),
            }
            for e in lineage.tables.get(name, ())
        ]
        out[name] = _table(item) | {"inputs": edges}
    for name, columns in lineage.marts.items():
        if name in MARTS:
            out[f"reporting.{name}"] = _mart(MARTS[name]) | {"made_of": columns}
    return out


def _table(item: Table) -> dict[str, Any]:
    return {
        "key": list(item.key),
        "time": item.time_column if item.time_column in item.fields else None,
        "symbols": [c for c in item.symbol_columns if c in item.fields],
        **({"instrument": True} if "instrument" in item.fields else {}),
        "aside": sorted(item.bookkeeping),
    }


def _mart(item: Mart) -> dict[str, Any]:
    low, high = item.extent or (None, None)
    return {
        "key": list(item.key),
        "time": item.instant_column,
        "symbols": list(item.symbol_columns),
        "low": low,
        "high": high,
        "aside": ["ingested_at"],
    }
