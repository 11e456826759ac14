"""An index of implied volatility, option chains, what is made of them; how positions were closed by force."""

from __future__ import annotations

from regime_pipeline.storage.schema import add_column, create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables and the column."""
    create_table("raw.volatility_index")
    create_table("raw.option_chain")
    create_table("features.implied_volatility")
    add_column("raw.liquidation_events", "closure_method")
