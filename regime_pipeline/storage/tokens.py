"""``ops.api_tokens``: tokens of the API are made, listed, replaced and taken back.

Belongs here: the rows. Does not belong here: the form of a token and what it opens (``api.auth``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from regime_pipeline.storage.database import Database

_COLUMNS = "token_id, token_name, scopes, created_at, expires_at, revoked_at"


@dataclass(frozen=True)
class Token:
    """A stored token, without anything that would open something."""

    identity: str
    name: str
    scopes: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at an instant."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def add(database: Database, token: Token, digest: str) -> None:
    """Store a new token."""
    with database.connect() as connection:
        connection.execute(
            f"insert into ops.api_tokens ({_COLUMNS}, token_digest) "  # noqa: S608
            "values (%s, %s, %s, %s, %s, %s, %s)",
            (
                token.identity,
                token.name,
                token.scopes,
                token.created_at,
                token.expires_at,
                token.revoked_at,
                digest,
            ),
        )


def listed(database: Database) -> list[Token]:
    """Every token that was ever made, the newest first."""
    with database.connect() as connection:
        found = connection.execute(
            f"select {_COLUMNS} from ops.api_tokens order by created_at desc, token_id"  # noqa: S608
        ).fetchall()
    return [Token(*row) for row in found]


def revoke(database: Database, identity: str, at: datetime) -> None:
    """Take a token back; one that was taken back stays so."""
    with database.connect() as connection:
        connection.execute(
            "update ops.api_tokens set revoked_at = coalesce(revoked_at, %s) where token_id = %s",
            (at, identity),
        )


def end_in(database: Database, identity: str, at: datetime, left: timedelta) -> None:
    """Let a token end after a while, unless it ends before."""
    with database.connect() as connection:
        connection.execute(
            "update ops.api_tokens set expires_at = least(expires_at, %s) where token_id = %s",
            (at + left, identity),
        )
