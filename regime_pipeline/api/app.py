"""The server: routes made from the endpoints, one guard and one form of errors around all of them.

Belongs here: HTTP. Does not belong here: what an endpoint is (``endpoints``), pages (``dashboard``),
which are handed in.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from regime_pipeline.api import envelope, formats, params, query
from regime_pipeline.api.answers import (
    Served,
    answer_of,
    beside,
    in_json,
    remember,
    reported,
    respond,
)
from regime_pipeline.api.cache import Answer, AnswerCache
from regime_pipeline.api.endpoints import BY_PATH, ENDPOINTS, EXPORT_PATH, VERSION, Endpoint
from regime_pipeline.api.export import Exports
from regime_pipeline.api.guard import Access, Guard
from regime_pipeline.api.legacy import OLD, Old, translated, with_old_names
from regime_pipeline.api.live import Feed, stream
from regime_pipeline.api.mcp import Door
from regime_pipeline.api.openapi import action_schema, catalogue, document
from regime_pipeline.api.problems import Problem, response_to
from regime_pipeline.api.why import WHY_PATH, explain
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.exposition import CONTENT_TYPE, Family, gauge, text
from regime_pipeline.windows import Clock

CACHE_BYTES = 64 << 20
POOL = (2, 8)

_LOG = logging.getLogger("regime_pipeline.api")


def create_app(
    conninfo: str,
    *,
    symbols: Sequence[str],
    clock: Clock,
    access: Access | None = None,
    public_url: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    more: Callable[[Served], list[BaseRoute]] | None = None,
) -> ASGIApp:
    """The application.

    Args:
        conninfo: libpq connection string of the role ``regime_api``.
        symbols: configured symbols, canonical.
        clock: the present.
        access: who may ask; None: whoever uses this machine.
        public_url: address under which agents reach it, for the schema of their actions.
        parameters: thresholds that are set, by the digest that a method version ends with.
        more: makes further routes, the dashboard's.
    """
    served = made_served(conninfo, symbols=symbols, clock=clock, parameters=parameters)

    agents = Door(served)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await served.pool.open(wait=False)
        async with served.feed.running(), agents.open():
            yield
        await served.pool.close(timeout=2)

    routes: list[BaseRoute] = [
        *(more(served) if more else []),
        Route("/mcp", agents),
        Route(VERSION + EXPORT_PATH, Exports(served, conninfo).__call__),
        *_routes(served, public_url),
    ]
    app = Starlette(
        routes=_looked_up(routes),
        lifespan=lifespan,
        exception_handlers={Problem: _problem, HTTPException: _http_problem, Exception: _fault},
    )
    return Guard(app, access or Access(), served)


class _Fixed(BaseRoute):
    """Routes whose paths have no part that varies, found by their path instead of one after the other."""

    def __init__(self, by_path: Mapping[str, Route]) -> None:
        self._by_path = by_path

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = self._by_path.get(scope["path"]) if scope["type"] == "http" else None
        return (Match.NONE, {}) if found is None else found.matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._by_path[scope["path"]].handle(scope, receive, send)


def _looked_up(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """The same routes; most are found at once."""
    fixed: dict[str, Route] = {}
    others: list[BaseRoute] = []
    for route in routes:
        if isinstance(route, Route) and "{" not in route.path and route.path not in fixed:
            fixed[route.path] = route
        else:
            others.append(route)
    return [_Fixed(fixed), *others]


def made_served(
    conninfo: str,
    *,
    symbols: Sequence[str],
    clock: Clock,
    parameters: Mapping[str, Any] | None = None,
) -> Served:
    """What requests share; its pool is not open yet."""
    pool = AsyncConnectionPool(
        conninfo,
        min_size=POOL[0],
        max_size=POOL[1],
        max_waiting=100,
        timeout=query.POOL_WAIT_S,
        open=False,
        kwargs={
            "autocommit": True,
            "application_name": "regime_pipeline api",
            "options": "-c timezone=UTC",  # instants of this zone are read and written fastest
        },
        check=query.checked(time.monotonic),
    )
    cache_of_answers = AnswerCache(CACHE_BYTES, time.monotonic)
    return Served(
        pool,
        tuple(symbols),
        clock,
        cache_of_answers,
        Feed(pool, conninfo),
        parameters=parameters or {},
    )


def _routes(served: Served, public_url: str | None) -> list[BaseRoute]:
    openapi = _made_once(lambda: document(served.symbols))
    actions = _made_once(lambda: action_schema(served.symbols, public_url))
    everything = _made_once(catalogue)

    async def described(request: Request) -> Response:
        name = params.single(request.query_params.multi_items(), "name").get("name")
        if name is None:
            return await everything(request)
        found = catalogue(name)
        if not found["marts"]:
            raise Problem("not-found", f"no mart and no column {name[:60]!r}")
        return Response(formats.json_bytes(found), media_type="application/json")

    async def why(request: Request) -> Response:
        given = params.single(request.query_params.multi_items(), "column")
        found = await explain(
            served.pool, request.path_params, given, served.symbols, served.parameters
        )
        origin, newest = await served.feed.newest()
        meta = envelope.bare_meta(
            found["mart"], found["meaning"], origin=origin, newest=newest, now=served.clock.now()
        )
        body = formats.json_bytes({"meta": meta | {"count": len(found["rows"])}} | found)
        told = {"regime-data-origin": origin, "cache-control": "private, no-cache"}
        return Response(body, headers=told, media_type="application/json")

    async def live(request: Request) -> Response:
        return stream(served.feed, request)

    async def metrics(_: Request) -> Response:
        return Response(_metrics(served), media_type=CONTENT_TYPE)

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
        given = request.query_params.multi_items()
        if old is not None:
            given = translated(OLD.get(old, Old()), given)
        asked = _read(served, endpoint, given, dict(request.path_params))
        if old is None:
            found = await answer_of(served, asked)
            remember(served, request, asked, VERSION + endpoint.path)
            return respond(request, found)
        path = VERSION + endpoint.path.format(**request.path_params)
        link = f'<{path}>; rel="successor-version"'
        if asked.shape != "json" or old not in OLD:
            found = await answer_of(served, asked)
            return respond(
                request, found, link=", ".join(filter(None, [link, found.headers.get("link")]))
            )
        found = await _old_answer(served, old, asked, dict(request.path_params))
        return respond(request, found, link=link)

    return answer


def _read(
    served: Served, endpoint: Endpoint, given: Sequence[tuple[str, str]], path: dict[str, str]
) -> params.Query:
    return params.read(endpoint, given, path, known=served.symbols, now=served.clock.now())


async def _old_answer(
    served: Served,
    name_of_old: str,
    asked: params.Query,
    path: dict[str, str],
) -> Answer:
    """An answer as a replaced service gave it."""
    old = OLD[name_of_old]

    async def make() -> Answer:
        mart = asked.endpoint.described
        # what stood at its top is made of columns that may not be asked for
        whole = asked if mart is None else replace(asked, columns=mart.names)
        meta, page = await reported(served, whole)
        meta["next"] = envelope.following(asked, page)
        state = None
        if old.state:
            _, now = await reported(served, _read(served, BY_PATH["/overview/{symbol}"], [], path))
            state = dict(zip(now.names, now.rows[0], strict=True)) if now.rows else None
        content = with_old_names(old, envelope.records(whole, page), state, asked.columns)
        content |= await beside(served, asked, meta, page)
        return in_json(served, asked, meta, content)

    key = formats.json_bytes(["old", name_of_old, asked.canonical.decode()])
    return await served.cache.get(key, served.feed.stamp(asked.marts, seconds=15), make)


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
        lacking = await query.missing(served.pool)
        checks["schema"] = (
            f"lacks {', '.join(lacking[:3])}: regime run brings it up" if lacking else "ok"
        )
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
    requests = tuple(
        ({"route": path, "status": str(status)}, n)
        for (path, status), n in sorted(served.counts.items())
    )
    versions = tuple(
        ({"mart": mart}, version)
        for mart in sorted(MARTS)
        if (version := served.feed.version(mart)) is not None
    )
    feed, kept = served.feed, served.cache
    families = [
        Family("regime_api_requests_total", "Requests answered.", requests, "counter"),
        *(
            gauge(f"regime_api_{name}", "Of the pool of connections.", stats.get(name, 0))
            for name in ("pool_size", "pool_available", "requests_waiting", "requests_errors")
        ),
        gauge("regime_api_streams", "Open streams.", len(feed)),
        gauge("regime_api_is_listening", "Whether changes are heard of.", feed.is_listening),
        Family("regime_api_cache_hits_total", "Answers kept.", (({}, kept.hits),), "counter"),
        Family("regime_api_cache_misses_total", "Answers made.", (({}, kept.misses),), "counter"),
        Family("regime_mart_version", "Raised with each change of a mart.", versions, "counter"),
    ]
    return text(families)


# ------------------------------------------------------------------------------------ errors


async def _problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return response_to(request, problem)


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return response_to(request, Problem("method", "nothing is changed from outside"))
    return response_to(
        request, Problem("not-found", "see /openapi.json for what there is, or / for people")
    )


async def _fault(request: Request, error: Exception) -> Response:
    _LOG.error("request %s failed", request.scope.get("request_id"), exc_info=error)
    return response_to(request, Problem("internal", "it has been logged under this request_id"))
