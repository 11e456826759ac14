"""Paper positions: rules, what they wanted, were filled at, held and were worth."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables."""
    for name in ("strategies", "trade_intents", "trade_executions", "positions", "equity"):
        create_table(f"signals.{name}")
