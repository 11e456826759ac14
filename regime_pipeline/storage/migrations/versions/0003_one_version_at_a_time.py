"""A replaced version ends where the next one begins: no instant has two of them.

Earlier builds took the two times one after the other, so that a version seemed valid for up to some
seconds after the next had begun. The later version is right for those seconds. A version that was
removed, and came back later, keeps its end.
"""

from __future__ import annotations

from psycopg import sql

from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.storage.schema import driver_connection, numbered
from regime_pipeline.storage.statements import on_key, revisions_of, table_of

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Mend the ends of replaced versions."""
    connection = driver_connection()
    for table in TABLES.values():
        known = connection.execute("SELECT to_regclass(%s)", (f"{table.full_name}_revisions",))
        if not table.partitioned or known.fetchone() == (None,):
            continue
        for next_version in (revisions_of(table), table_of(table)):
            connection.execute(
                sql.SQL(
                    "UPDATE {} r SET superseded_at = n.ingested_at FROM {} n WHERE {} "
                    "AND n.revision = r.revision + 1 AND n.ingested_at < r.superseded_at "
                    "AND n.ingested_at >= r.ingested_at"
                ).format(revisions_of(table), next_version, on_key(table, "r", "n"))
            )
