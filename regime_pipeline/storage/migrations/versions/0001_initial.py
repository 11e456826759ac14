"""All schemas and tables as the catalogue had them at the first release."""

from __future__ import annotations

from importlib.resources import files

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the frozen statements of ``0001_initial.sql``."""
    text = files(__package__ or "regime_pipeline.storage.migrations.versions")
    sql = (text / "0001_initial.sql").read_text(encoding="utf-8")
    # one round trip, and percent signs stay as they are
    op.get_bind().connection.driver_connection.execute(sql)  # type: ignore[union-attr]


def downgrade() -> None:
    """Schema versions only go forward."""
    raise NotImplementedError("restore a backup; schema versions only go forward")
