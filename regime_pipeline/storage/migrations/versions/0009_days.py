"""Daily figures of perpetuals, raw and put side by side."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables."""
    create_table("raw.derivatives_1d")
    create_table("market.derivatives_1d")
