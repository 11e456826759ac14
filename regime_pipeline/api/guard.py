"""What happens to every request before and after it is answered.

Belongs here: the name of the host, the length of address and body, the token, the rate; the headers that
every answer carries; one line of log. Does not belong here: answers.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regime_pipeline.api.answers import Served, known_answer, sent
from regime_pipeline.api.auth import COOKIE, Tokens, check_host, scope_of, token_of
from regime_pipeline.api.limits import PER_SECOND, Buckets
from regime_pipeline.api.problems import Problem, response_to

MOST_URL_BYTES = 4096
MOST_BODY_BYTES = 64 << 10
LOGIN = "/login"
_OPEN = (LOGIN, "/livez")
_OF_ANY_LENGTH = ("/mcp",)
"""Who answers here counts the bytes itself as they come."""
_LOG = logging.getLogger("regime_pipeline.api")
_SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        b"img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        hosts: further host names than those of loopback.
        needs_token: whether everything but ``/livez`` and ``/login`` needs a token.
        origins: pages of other hosts that may read answers, as ``https://host.example``.
        per_second: requests of one token, or of one address without any.
    """

    hosts: frozenset[str] = frozenset()
    needs_token: bool = False
    origins: frozenset[str] = frozenset()
    per_second: float = PER_SECOND


class Guard:
    """The application with all of this around it.

    Args:
        app: answers.
        access: who may ask.
        served: what requests share.
    """

    def __init__(self, app: ASGIApp, access: Access, served: Served) -> None:
        self._app = app
        self._access = access
        self._served = served
        self._buckets = Buckets(time.monotonic, access.per_second)
        self._tokens = Tokens(served.pool, time.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given: dict[bytes, bytes] = dict(scope["headers"])
        scope["request_id"] = secrets.token_hex(8)
        own = self._own(scope, given)
        began = time.perf_counter()
        seen = 0

        async def noted(message: Message) -> None:
            nonlocal seen
            if message["type"] == "http.response.start":
                seen = message["status"]
                there = {name.lower() for name, _ in message["headers"]}
                more = [h for h in own if h[0] not in there]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        try:
            try:
                caller = self._check(scope, given)
                if caller is not None:
                    await self._admit(scope, receive, caller)
            except Problem as problem:
                request = Request(scope, receive)
                answer = response_to(request, problem)
                if problem.kind == "unauthorized" and _is_page(request):
                    answer = RedirectResponse(LOGIN, 303)
                await answer(scope, receive, noted)
                return
            known = known_answer(self._served, scope["path"], scope["query_string"])
            if known is None or scope["method"] != "GET":
                await self._app(scope, receive, noted)
                return
            scope["route_path"] = known[1]
            seen, head, body = sent(known[0], given)
            start = {"type": "http.response.start", "status": seen, "headers": head + own}
            await send(start)
            await send({"type": "http.response.body", "body": body})
        finally:
            self._note(scope, seen, time.perf_counter() - began)

    def _own(self, scope: Scope, given: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """The headers that every answer carries."""
        own = [(b"x-request-id", scope["request_id"].encode()), *_SECURITY]
        origin = given.get(b"origin")
        if origin is not None and origin.decode("latin-1") in self._access.origins:
            own += [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
        if scope.get("scheme") == "https":
            own.append(_HSTS)
        return own

    def _check(self, scope: Scope, given: Mapping[bytes, bytes]) -> str | None:
        """The address that asks; None for who need not be counted.

        Raises:
            Problem: the request is refused, whoever asks.
        """
        check_host(given.get(b"host", b"").decode("latin-1"), self._access.hosts)
        path = scope["path"]
        if len(path) + len(scope["query_string"]) > MOST_URL_BYTES:
            raise Problem("too-long", f"at most {MOST_URL_BYTES} bytes")
        length = given.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:12]) > MOST_BODY_BYTES:
            raise Problem("body", f"at most {MOST_BODY_BYTES} bytes")
        if b"transfer-encoding" in given and path not in _OF_ANY_LENGTH:
            raise Problem("body", "say its length: content-length")
        origin = given.get(b"origin")
        if origin is not None and scope["method"] == "POST":
            check_host(urlsplit(origin.decode("latin-1")).netloc, self._access.hosts)
        if path == "/livez":
            return None
        client = scope.get("client")
        return client[0] if client else "?"

    async def _admit(self, scope: Scope, receive: Receive, caller: str) -> None:
        """Count a request to its token, or where none is needed to its address.

        Raises:
            Problem: it came too early, or its token does not open this.
        """
        path = scope["path"]
        if self._access.needs_token and path not in _OPEN and not path.startswith("/static/"):
            caller = await self._identity(Request(scope, receive), path, caller)
        self._take(caller)

    async def _identity(self, request: Request, path: str, caller: str) -> str:
        """The id of the token of a request.

        Raises:
            Problem: there is none, it is not valid, or it is for something else.
        """
        token = token_of(request.headers.get("authorization"), request.cookies.get(COOKIE))
        if token is None or not self._tokens.is_known(token):
            self._take(f"? {caller}")  # guessing is counted by address
        if token is None:
            raise Problem(
                "unauthorized", "send `Authorization: Bearer rgm_...`; regime tokens create"
            )
        identity, scopes = await self._tokens.scopes(token)
        needed = scope_of(path)
        if needed not in scopes:
            raise Problem("forbidden", f"it lacks the scope {needed!r}")
        request.scope["token_id"] = identity
        return identity

    def _take(self, caller: str) -> None:
        wait = self._buckets.take(caller)
        if wait:
            raise Problem(
                "too-many",
                f"{self._buckets.per_second:g} a second, {self._buckets.burst:g} at once",
                retry_after_s=max(1, round(wait)),
            )

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path = str(scope.get("route_path") or getattr(scope.get("route"), "path", "other"))
        key = (path, status)
        self._served.counts[key] = self._served.counts.get(key, 0) + 1
        if not _LOG.isEnabledFor(logging.INFO):
            return
        line = {
            "at": self._served.clock.now().isoformat(timespec="milliseconds"),
            "request_id": scope["request_id"],
            "token": scope.get("token_id"),
            "method": scope["method"],
            "route": path,
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        _LOG.info(json.dumps(line))


def _is_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and request.method == "GET"
