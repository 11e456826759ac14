"""What happens to every request before and after it is answered.

Belongs here: the name of the host, the length of address and body, the token, the rate; the headers that
every answer carries; one line of log. Does not belong here: answers.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regime_pipeline.api.answers import Served, known_answer, respond
from regime_pipeline.api.auth import COOKIE, Tokens, check_host, scope_of, token_of
from regime_pipeline.api.limits import PER_SECOND, Buckets
from regime_pipeline.api.problems import Problem, response_to

MOST_URL_BYTES = 4096
MOST_BODY_BYTES = 64 << 10
LOGIN = "/login"
_OPEN = (LOGIN, "/livez")
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
        request = Request(scope, receive)
        scope["request_id"] = secrets.token_hex(8)
        began = time.perf_counter()
        seen = 0

        async def noted(message: Message) -> None:
            nonlocal seen
            if message["type"] == "http.response.start":
                seen = message["status"]
                given = {name.lower() for name, _ in message["headers"]}
                own = [(b"x-request-id", scope["request_id"].encode()), *_SECURITY]
                own += self._sharing(request)
                if scope.get("scheme") == "https":
                    own.append(_HSTS)
                message["headers"] = [
                    *message["headers"], *(h for h in own if h[0] not in given)
                ]  # fmt: skip
            await send(message)

        try:
            try:
                await self._check(request)
            except Problem as problem:
                answer = response_to(request, problem)
                if problem.kind == "unauthorized" and _is_page(request):
                    answer = RedirectResponse(LOGIN, 303)
                await answer(scope, receive, noted)
                return
            known = known_answer(self._served, scope["path"], scope["query_string"])
            if known is not None and scope["method"] == "GET":
                scope["route_path"] = known[1]
                await respond(request, known[0])(scope, receive, noted)
                return
            await self._app(scope, receive, noted)
        finally:
            self._note(scope, seen, time.perf_counter() - began)

    def _sharing(self, request: Request) -> list[tuple[bytes, bytes]]:
        origin = request.headers.get("origin")
        if origin is None or origin not in self._access.origins:
            return []
        return [(b"access-control-allow-origin", origin.encode()), (b"vary", b"origin")]

    async def _check(self, request: Request) -> None:
        check_host(request.headers.get("host"), self._access.hosts)
        path = request.scope["path"]
        if len(path) + len(request.scope["query_string"]) > MOST_URL_BYTES:
            raise Problem("too-long", f"at most {MOST_URL_BYTES} bytes")
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length[:12]) > MOST_BODY_BYTES:
            raise Problem("body", f"at most {MOST_BODY_BYTES} bytes")
        origin = request.headers.get("origin")
        if origin is not None and request.method == "POST":
            check_host(urlsplit(origin).netloc, self._access.hosts)
        if path == "/livez":
            return
        caller = request.client.host if request.client else "?"
        if self._access.needs_token and path not in _OPEN and not path.startswith("/static/"):
            caller = await self._identity(request, path, caller)
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
