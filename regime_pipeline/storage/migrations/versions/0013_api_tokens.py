"""Tokens of the API, and the one question that its account may ask about them."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, driver_connection, numbered

revision, down_revision = numbered(__file__)

_SCOPE = """
CREATE OR REPLACE FUNCTION reporting.token_scope(id text, digest text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.scopes FROM ops.api_tokens AS t
    WHERE t.token_id = id AND t.token_digest = digest AND t.revoked_at IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > pg_catalog.now())
$$
"""


def upgrade() -> None:
    """Make the table and the function."""
    create_table("ops.api_tokens")
    connection = driver_connection()
    connection.execute(_SCOPE)
    connection.execute("REVOKE ALL ON FUNCTION reporting.token_scope(text, text) FROM PUBLIC")
    connection.execute(
        "COMMENT ON FUNCTION reporting.token_scope(text, text) IS "
        "'What a token of the API opens; null where it is none, was revoked or has expired.'"
    )
