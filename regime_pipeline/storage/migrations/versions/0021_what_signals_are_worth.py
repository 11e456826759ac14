"""What signals are worth: passports, and the ledger of everything that was tried."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables."""
    for name in ("signals.trials", "signals.trial_days", "signals.passports"):
        create_table(name)
