"""Which source was chosen is written down, and liquidations say whether their venue tells all of them."""

from __future__ import annotations

from regime_pipeline.storage.schema import add_column, create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the table and add the columns."""
    create_table("ops.resolved_sources")
    told = "case when is_lower_bound then 'partial' when not is_lower_bound then 'complete' end"
    for name in ("market.liquidations_1h", "features.liquidation_cascades"):
        add_column(name, "completeness", fill=told)
