"""What a change of regime came from, the cascade in fixed dollars, and rows that are only doubtful."""

from __future__ import annotations

from regime_pipeline.storage.schema import add_column, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Add the columns; rows of earlier method versions have no value in them."""
    add_column("features.volatility_regimes", "vol_regime_from")
    add_column("features.liquidation_cascades", "is_cascade_legacy")
    add_column("ops.quality_blocks", "is_withheld", fill="true")
