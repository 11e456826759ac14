"""Probabilities behind scores, how reliable they were, and what voters say together."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables."""
    for name in ("signals.calibrators", "signals.reliability", "signals.consensus"):
        create_table(name)
