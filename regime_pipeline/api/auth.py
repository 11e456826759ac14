"""Who asks: bearer tokens, and host names that are served.

Belongs here: reading a token and asking the database what it allows. Does not belong here: making and
revoking tokens (``tokens``), pages for signing in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable

import psycopg
from psycopg_pool import AsyncConnectionPool

from regime_pipeline.api.problems import Problem
from regime_pipeline.api.query import connection_of

_TOKEN = re.compile(r"rgm_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_KEPT = 1000
REMEMBERED_S = 60.0
SCOPES = ("read", "export", "mcp", "metrics")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def digest_of(secret: str) -> str:
    """What is stored of a token's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Doorkeeper:
    """Lets a request in or says why not.

    Args:
        pool: connections as the role ``regime_api``.
        needs_token: False on loopback.
        hosts: names under which this server may be asked; guards against DNS rebinding.
        now: seconds that only go up.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        *,
        needs_token: bool,
        hosts: tuple[str, ...],
        now: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._needs_token = needs_token
        self._hosts = {h.lower() for h in (*hosts, *LOOPBACK)}
        self._now = now
        self._scopes: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()

    def check_host(self, header: str | None) -> None:
        """Refuse a host name that is not served.

        Raises:
            Problem: ``host``.
        """
        name = (header or "").lower()
        name = name[1 : name.find("]")] if name.startswith("[") else name.partition(":")[0]
        if name not in self._hosts:
            raise Problem("host", "name it with --allow-host, or ask 127.0.0.1")

    async def check_token(self, header: str | None, scope: str) -> str | None:
        """Refuse a request without a token that allows ``scope``; its id otherwise.

        Raises:
            Problem: ``unauthorised`` or ``forbidden``.
        """
        if not self._needs_token:
            return None
        found = _TOKEN.fullmatch((header or "").removeprefix("Bearer ").strip())
        if not found:
            raise Problem("unauthorised", "send `Authorization: Bearer rgm_...` (regime tokens)")
        scopes = await self._scopes_of(found[1], digest_of(found[2]))
        if not scopes:
            raise Problem("unauthorised", "this token is unknown, expired or revoked")
        if scope not in scopes:
            raise Problem("forbidden", f"the token lacks the scope {scope}")
        return found[1]

    async def _scopes_of(self, token_id: str, digest: str) -> tuple[str, ...]:
        key = f"{token_id}:{digest}"
        kept = self._scopes.get(key)
        if kept and self._now() - kept[0] < REMEMBERED_S:
            return kept[1]
        async with connection_of(self._pool) as connection:
            try:
                cursor = await connection.execute(
                    "select reporting.token_scope(%s, %s)", (token_id, digest)
                )
            except psycopg.errors.UndefinedFunction:
                return ()
            row = await cursor.fetchone()
        scopes = tuple(row[0]) if row and row[0] else ()
        self._scopes[key] = (self._now(), scopes)
        while len(self._scopes) > _KEPT:
            self._scopes.popitem(last=False)
        return scopes


def is_same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
