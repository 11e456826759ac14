"""Small questions to a database: rows of a query as dicts, whether a relation is there.

Belongs here: running a query and giving back plain rows. Does not belong here: what to ask
(``reporting.queries``, ``coverage``), bulk reads into frames (``arrow``, ``warehouse``).
"""

from __future__ import annotations

from typing import Any

from psycopg import Cursor, sql
from psycopg.rows import dict_row

from regime_pipeline.storage.database import Database


def rows(database: Database, query: sql.Composable | str, **values: object) -> list[dict[str, Any]]:
    """The rows of a query, one dict each; ``values`` fill ``%(name)s``."""
    with database.connect() as connection:
        cursor: Cursor[dict[str, Any]] = connection.cursor(row_factory=dict_row)
        return cursor.execute(query, values or None).fetchall()  # type: ignore[arg-type]


def exists(database: Database, full_name: str) -> bool:
    """Whether a relation is there."""
    found = rows(database, "select to_regclass(%(name)s) is not null as found", name=full_name)
    return bool(found[0]["found"])
