"""An index of implied volatility, option chains, and what is made of them."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables."""
    create_table("raw.volatility_index")
    create_table("raw.option_chain")
    create_table("features.implied_volatility")
