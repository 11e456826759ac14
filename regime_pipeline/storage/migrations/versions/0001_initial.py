"""All schemas and tables as the catalogue had them at the first release."""

from __future__ import annotations

from regime_pipeline.storage.migrate import initial_sql
from regime_pipeline.storage.schema import driver_connection, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Run the frozen statements of ``0001_initial.sql``."""
    # one round trip, and percent signs stay as they are
    driver_connection().execute(initial_sql())
