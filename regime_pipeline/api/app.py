"""The server: routes made from the endpoints, one guard and one form of errors around all of them.

Belongs here: HTTP. Does not belong here: what an endpoint is (``endpoints``), pages (``dashboard``),
which are handed in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regime_pipeline.api import envelope, formats, params, query
from regime_pipeline.api.auth import check_host
from regime_pipeline.api.cache import Answer, AnswerCache
from regime_pipeline.api.endpoints import ENDPOINTS, VERSION, Endpoint
from regime_pipeline.api.limits import Buckets
from regime_pipeline.api.live import Feed, stream
from regime_pipeline.api.openapi import action_schema, catalogue, document
from regime_pipeline.api.problems import MEDIA_TYPE, Problem
from regime_pipeline.api.why import WHY_PATH, explain
from regime_pipeline.windows import Clock

MOST_URL_BYTES = 4096
CACHE_BYTES = 64 << 20
CACHE_SECONDS = 2.0
"""An answer is at most this old; ``age_s`` in it is of the moment it was made."""
POOL = (2, 8)

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


@dataclass
class Served:
    """What a running server shares between requests.

    Attributes:
        pool: connections as ``regime_api``.
        symbols: configured symbols.
        clock: the present.
        cache: finished answers.
        feed: what is told to those who listen.
        counts: requests by path of the route and status, for ``/metrics``.
    """

    pool: AsyncConnectionPool
    symbols: tuple[str, ...]
    clock: Clock
    cache: AnswerCache
    feed: Feed
    counts: dict[tuple[str, int], int] = field(default_factory=dict)


def create_app(
    conninfo: str,
    *,
    symbols: Sequence[str],
    clock: Clock,
    hosts: tuple[str, ...] = (),
    more: Callable[[Served], list[BaseRoute]] | None = None,
) -> ASGIApp:
    """The application.

    Args:
        conninfo: libpq connection string of the role ``regime_api``.
        symbols: configured symbols, canonical.
        clock: the present.
        hosts: further host names to be served.
        more: makes further routes, the dashboard's.
    """
    pool = AsyncConnectionPool(
        conninfo,
        min_size=POOL[0],
        max_size=POOL[1],
        max_waiting=100,
        timeout=query.POOL_WAIT_S,
        open=False,
        kwargs={"autocommit": True, "application_name": "regime_pipeline api"},
        check=AsyncConnectionPool.check_connection,
    )
    served = Served(
        pool,
        tuple(symbols),
        clock,
        AnswerCache(CACHE_BYTES, CACHE_SECONDS, time.monotonic),
        Feed(pool),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await pool.open(wait=False)
        async with served.feed.running():
            yield
        await pool.close(timeout=2)

    routes: list[BaseRoute] = [*(more(served) if more else []), *_routes(served)]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={Problem: _problem, HTTPException: _http_problem, Exception: _fault},
    )
    named = frozenset(h.lower() for h in hosts)
    return _Guard(app, named, Buckets(time.monotonic), served)


def _routes(served: Served) -> list[BaseRoute]:
    openapi = _made_once(lambda: document(served.symbols))
    actions = _made_once(lambda: action_schema(served.symbols))
    described = _made_once(catalogue)

    async def why(request: Request) -> Response:
        body = await explain(served.pool, request.path_params, request.query_params, served.symbols)
        return Response(formats.json_bytes(body), media_type="application/json")

    async def live(request: Request) -> Response:
        return stream(served.feed, request)

    async def metrics(_: Request) -> Response:
        return Response(_metrics(served), media_type="text/plain; version=0.0.4")

    async def ready(_: Request) -> Response:
        return await _ready(served)

    routes: list[BaseRoute] = [
        Route("/livez", _alive),
        Route("/readyz", ready),
        Route("/health", ready),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route(f"{VERSION}/openapi.json", openapi),
        Route("/gpt/action-schema", actions),
        Route(f"{VERSION}/catalogue", described),
        Route(f"{VERSION}/stream", live),
        Route(VERSION + WHY_PATH, why),
        Route("/api/intelligent/signals/generate", _generate, methods=["POST"]),
        Route("/api/live/execute-trade", _orders, methods=["POST"]),
    ]
    for endpoint in ENDPOINTS:
        routes.append(Route(VERSION + endpoint.path, _asked(served, endpoint, None)))
        routes += [Route(old, _asked(served, endpoint, old)) for old in endpoint.old]
    # /signals/{symbol} would take /signals/matrix
    return sorted(routes, key=lambda r: "{" in getattr(r, "path", ""))


def _made_once(make: Callable[[], object]) -> Callable[[Request], Awaitable[Response]]:
    """Answers with a document that is the same as long as the server runs."""
    body = cache(lambda: formats.json_bytes(make()))

    async def answer(_: Request) -> Response:
        return Response(body(), media_type="application/json")

    return answer


def _asked(
    served: Served, endpoint: Endpoint, old: str | None
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        asked = params.read(
            endpoint,
            request.query_params.multi_items(),
            dict(request.path_params),
            known=served.symbols,
            now=served.clock.now(),
        )
        found = await served.cache.get(asked.canonical, lambda: answer_of(served, asked))
        headers = dict(found.headers)
        if old is not None:
            path = VERSION + endpoint.path.format(**request.path_params)
            headers["link"] = ", ".join(
                filter(None, [f'<{path}>; rel="successor-version"', headers.get("link")])
            )
        if found.etag in {t.strip() for t in request.headers.get("if-none-match", "").split(",")}:
            return Response(status_code=304, headers=headers)
        return Response(found.body, headers=headers)

    return answer


async def answer_of(served: Served, asked: params.Query) -> Answer:
    """The finished answer of a query.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    page = await query.rows(served.pool, asked)
    origin, newest = await query.newest(served.pool)
    said = envelope.meta(asked, page, origin=origin, newest=newest, now=served.clock.now())
    if asked.shape == "csv":
        width = len(asked.columns)
        body = formats.csv_bytes(asked.columns, [row[:width] for row in page.rows])
    else:
        body = formats.json_bytes({"meta": said, "data": envelope.records(asked, page)})
    ageless = {k: v for k, v in said.items() if k != "age_s"}
    seen = hashlib.sha256(asked.canonical + formats.json_bytes([ageless, page.rows]))
    etag = f'W/"{seen.hexdigest()[:24]}"'
    is_past = asked.as_of is not None and (served.clock.now() - asked.as_of).total_seconds() > 3600
    headers = {
        "content-type": formats.MEDIA_TYPES[asked.shape],
        "etag": etag,
        "cache-control": "private, max-age=86400, immutable" if is_past else "private, no-cache",
        "regime-data-origin": origin,
        "regime-status": str(said["status"]),
        "vary": "accept-encoding, authorization",
    }
    if said["next"]:
        headers["link"] = f'<?cursor={said["next"]}>; rel="next"'
    return Answer(body, headers, etag)


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _ready(served: Served) -> Response:
    checks: dict[str, str] = {}
    try:
        origin, newest = await query.newest(served.pool)
        checks["database"] = "ok"
        if newest is None:
            checks["newest_hour"] = "missing: nothing has been built yet (regime run)"
        else:
            hours = (served.clock.now() - newest).total_seconds() / 3600 - 1
            fresh = hours <= 2 or origin != "live"
            checks["newest_hour"] = "ok" if fresh else f"stale: {hours:.0f} h old"
    except Problem as problem:
        checks["database"] = problem.detail
    good = all(c == "ok" for c in checks.values())
    return JSONResponse(
        {"status": "ok" if good else "not ready", "checks": checks}, 200 if good else 503
    )


async def _generate(_: Request) -> Response:
    return RedirectResponse(f"{VERSION}/signals", status_code=303)


async def _orders(_: Request) -> Response:
    raise Problem("no-orders", "it publishes signals; what to do with them is yours to decide")


def _metrics(served: Served) -> str:
    stats = served.pool.get_stats()
    lines = ["# TYPE regime_api_requests_total counter"]
    lines += [
        f'regime_api_requests_total{{route="{path}",status="{status}"}} {n}'
        for (path, status), n in sorted(served.counts.items())
    ]
    for name in ("pool_size", "pool_available", "requests_waiting", "requests_errors"):
        lines.append(f"regime_api_{name} {stats.get(name, 0)}")
    lines.append(f"regime_api_streams {len(served.feed)}")
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------ errors


def _answer_of_problem(request: Request, problem: Problem) -> Response:
    headers = {"cache-control": "no-store"}
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    body = problem.body(request.url.path, request.scope.get("request_id", ""))
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


async def _problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return _answer_of_problem(request, problem)


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _answer_of_problem(request, Problem("method", "nothing is changed from outside"))
    return _answer_of_problem(
        request, Problem("not-found", "see /openapi.json for what there is, or / for people")
    )


async def _fault(request: Request, error: Exception) -> Response:
    _LOG.error("request %s failed", request.scope.get("request_id"), exc_info=error)
    return _answer_of_problem(
        request, Problem("internal", "it has been logged under this request_id")
    )


# ------------------------------------------------------------------------------------ guard


class _Guard:
    """What happens to every request: host, length and rate are checked, a line is logged."""

    def __init__(
        self, app: ASGIApp, hosts: frozenset[str], buckets: Buckets, served: Served
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._buckets = buckets
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
                message["headers"] = [
                    *message["headers"], *(h for h in own if h[0] not in given)
                ]  # fmt: skip
            await send(message)

        try:
            try:
                self._check(request)
            except Problem as problem:
                await _answer_of_problem(request, problem)(scope, receive, noted)
                return
            await self._app(scope, receive, noted)
        finally:
            self._note(scope, seen, time.perf_counter() - began)

    def _check(self, request: Request) -> None:
        check_host(request.headers.get("host"), self._hosts)
        if len(request.url.path) + len(request.url.query) > MOST_URL_BYTES:
            raise Problem("too-long", f"at most {MOST_URL_BYTES} bytes")
        path = request.url.path
        if path == "/livez":
            return
        wait = self._buckets.take(request.client.host if request.client else "?")
        if wait:
            raise Problem("too-many", "20 a second, 60 at once", retry_after_s=max(1, round(wait)))

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        path = getattr(route, "path", "other")
        key = (path, status)
        self._served.counts[key] = self._served.counts.get(key, 0) + 1
        line = {
            "at": self._served.clock.now().isoformat(timespec="milliseconds"),
            "request_id": scope["request_id"],
            "method": scope["method"],
            "route": path,
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        _LOG.info(json.dumps(line))
