"""Who may ask, and under which names: tokens with scopes, the guard against DNS rebinding.

On loopback the server is open to whoever uses the machine; a page of somebody else could reach it there by
a name that leads to 127.0.0.1, so that only names which are served are answered. Elsewhere a token is
needed. Belongs here: the form of a token, what it is for, asking the database whether it is valid. Does not
belong here: storing tokens (``regime tokens``), counting requests (``limits``).
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable

import psycopg
from psycopg_pool import AsyncConnectionPool

from regime_pipeline.api.problems import Problem
from regime_pipeline.api.query import connection_of

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SCOPES = ("read", "export", "mcp", "metrics")
"""What a token may be for: everything that is read, whole marts as files, agents, figures of the server."""
COOKIE = "regime_token"
KEPT_S = 60.0
"""How long a verdict on a token is believed; one that is revoked opens nothing after that."""
MOST_KEPT = 1000
_PREFIX = "rgm"
_LONGEST = 120


def check_host(header: str | None, allowed: frozenset[str]) -> None:
    """Refuse a host name that is not served.

    Args:
        header: the header ``Host`` of a request.
        allowed: further names than those of loopback, in lower case.

    Raises:
        Problem: ``host``.
    """
    name = (header or "").lower()
    name = name[1 : name.find("]")] if name.startswith("[") else name.partition(":")[0]
    if name not in allowed and name not in LOOPBACK:
        raise Problem("host", "name it with --allow-host, or ask 127.0.0.1")


def scope_of(path: str) -> str:
    """The scope that a path needs."""
    if path.startswith("/v1/export/"):
        return "export"
    return {"/mcp": "mcp", "/metrics": "metrics"}.get(path, "read")


def new_token() -> tuple[str, str, str]:
    """A token that nobody has: its id, its whole text, the digest of its secret part."""
    identity, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    return identity, f"{_PREFIX}_{identity}_{secret}", digest_of(secret)


def digest_of(secret: str) -> str:
    """What is stored of the secret part of a token: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Tokens:
    """Verdicts on tokens, from the database and for a minute from memory.

    Args:
        pool: connections as ``regime_api``, which may ask about one token and list none.
        now: seconds that only go up.
    """

    def __init__(self, pool: AsyncConnectionPool, now: Callable[[], float]) -> None:
        self._pool = pool
        self._now = now
        self._kept: OrderedDict[tuple[str, str], tuple[float, frozenset[str]]] = OrderedDict()

    async def scopes(self, token: str) -> tuple[str, frozenset[str]]:
        """The id of a token and what it is for.

        Raises:
            Problem: ``unauthorized`` where it is none, or not valid any more; the database does not answer.
        """
        key = _key(token)
        if key is None:
            raise Problem("unauthorized", "that is no token; `regime tokens create` makes one")
        kept = self._kept.get(key)
        if kept is None or self._now() - kept[0] >= KEPT_S:
            kept = (self._now(), await self._asked(*key))
            self._kept[key] = kept
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        if not kept[1]:
            raise Problem("unauthorized", "the token is unknown, revoked or has expired")
        return key[0], kept[1]

    def is_known(self, token: str) -> bool:
        """Whether the verdict on a token is remembered, so that nobody has to be asked."""
        kept = self._kept.get(_key(token) or ("", ""))
        return kept is not None and self._now() - kept[0] < KEPT_S

    async def _asked(self, identity: str, digest: str) -> frozenset[str]:
        async with connection_of(self._pool) as connection:
            try:
                cursor = await connection.execute(
                    "select reporting.token_scope(%s, %s)", (identity, digest)
                )
            except (psycopg.errors.UndefinedFunction, psycopg.errors.InsufficientPrivilege):
                return frozenset()  # a database of before there were tokens
            found = await cursor.fetchone()
        return frozenset((found[0] or "").split(",")) - {""} if found else frozenset()


def _key(token: str) -> tuple[str, str] | None:
    """The id of a token and the digest of its secret; None where the text is no token."""
    parts = token.split("_", 2)
    if len(token) > _LONGEST or len(parts) != 3 or parts[0] != _PREFIX:
        return None
    return parts[1], digest_of(parts[2])


def token_of(authorization: str | None, cookie: str | None) -> str | None:
    """The token of a request: from the header ``Authorization``, else from the cookie of ``/login``."""
    kind, _, value = (authorization or "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    return cookie or None
