"""Prices and books of this moment, in tables that are not logged."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, driver_connection, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the schema and its tables."""
    driver_connection().execute("CREATE SCHEMA IF NOT EXISTS live")
    for name in ("live.prices_5s", "live.books_10s"):
        create_table(name)
        driver_connection().execute(f"ALTER TABLE IF EXISTS {name} SET UNLOGGED")
