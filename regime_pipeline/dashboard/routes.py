"""The dashboard's addresses: pages drawn once for all who look, the sign-in, the theme.

Belongs here: HTTP of the pages and what all of them show. Does not belong here: what a single page shows
(``pages``), markup (``templates``).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from regime_pipeline.api import formats as formats_of_api
from regime_pipeline.api.answers import Served, finished, respond
from regime_pipeline.api.auth import COOKIE, Tokens
from regime_pipeline.api.cache import QUICK_LEVEL, Answer
from regime_pipeline.api.endpoints import ENDPOINTS, VERSION
from regime_pipeline.api.envelope import is_stale
from regime_pipeline.api.problems import Problem
from regime_pipeline.dashboard import now, pages, research
from regime_pipeline.dashboard.data import HOUR
from regime_pipeline.dashboard.markup import rendered
from regime_pipeline.wording import formats
from regime_pipeline.wording.labels import BANNERS
from regime_pipeline.wording.palette import by_choice

FOLDER = Path(__file__).parent
KEPT_S = 15.0
"""A page is drawn anew when a mart changes, and after this time for what has no version."""
LIVE_KEPT_S = 2.0
"""The same of the page of prices to the second."""
Make = Callable[[Served, Request], Awaitable[tuple[str, dict[str, Any]]]]


def routes(served: Served) -> list[BaseRoute]:
    """The dashboard's routes."""

    def page(make: Make, kept_s: float = KEPT_S) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            asked = [request.url.path, request.url.query, _theme_of(request)]
            stamp = served.feed.stamp(seconds=kept_s)
            try:
                found = await served.cache.get(
                    formats_of_api.json_bytes(["page", *asked]),
                    stamp,
                    lambda: _made(served, request, make),
                )
            except Problem as problem:
                content = {"title": "No answer", "problem": problem}
                html = await _whole(served, request, "problem.html", content)
                return HTMLResponse(html, problem.status, {"cache-control": "no-store"})
            return respond(request, found)

        return answer

    async def index(request: Request) -> Response:
        accepts = request.headers.get("accept", "")
        if "application/json" in accepts and "text/html" not in accepts:
            return JSONResponse(
                {"dashboard": "/", "api": [VERSION + e.path for e in ENDPOINTS]}
                | {"openapi": "/openapi.json", "docs": "/docs"}
            )
        return await page(now.now_page)(request)

    return [
        Route("/", index),
        Route("/realtime", page(pages.realtime_page, LIVE_KEPT_S)),
        Route("/symbol/{symbol}", page(pages.symbol_page)),
        Route("/pair/{one}/{other}", page(pages.pair_page)),
        Route("/pair/{pair}", _pair),
        Route("/research", page(research.research_page)),
        Route("/signal/{signal}", page(research.signal_page)),
        Route("/paper/{strategy}", page(research.paper_page)),
        Route("/event/{event_id}", page(pages.event_page)),
        Route("/data-health", page(pages.health_page)),
        Route("/why/{mart}/{symbol}/{ts}", page(pages.why_page)),
        Route("/docs", page(pages.docs_page)),
        Route("/redoc", _redoc),
        Route("/problems/{kind}", _problem_kind),
        Route("/glossary", page(pages.glossary_page)),
        Route("/theme", _theme),
        Route("/login", _sign_in(served), methods=["GET", "POST"]),
        Route("/static/palette.css", _palette),
        Mount("/static", StaticFiles(directory=FOLDER / "static")),
    ]


async def _palette(_: Request) -> Response:
    return Response(by_choice(), media_type="text/css", headers={"cache-control": "no-cache"})


async def _redoc(_: Request) -> Response:
    return RedirectResponse("/docs", 308)


async def _problem_kind(request: Request) -> Response:
    """What a kind of problem is called in answers leads to its row of the page about the API."""
    return RedirectResponse(f"/docs#problem-{quote(request.path_params['kind'])}", 308)


async def _pair(request: Request) -> Response:
    """A pair written as ``BTC-ETH``."""
    one, _, other = request.path_params["pair"].partition("-")
    return RedirectResponse(f"/pair/{quote(one)}/{quote(other)}", 308)


async def _theme(request: Request) -> Response:
    """Dark or light, kept in a cookie, and back to the page."""
    wanted = "light" if request.query_params.get("to") == "light" else "dark"
    back = urlsplit(request.query_params.get("back", "/")).path
    path = back if back.startswith("/") and not back.startswith("//") else "/"
    answer = RedirectResponse(path, 303)
    answer.set_cookie("theme", wanted, max_age=365 * 86400, httponly=True, samesite="strict")
    return answer


async def _made(served: Served, request: Request, make: Make) -> Answer:
    template, content = await make(served, request)
    body = (await _whole(served, request, template, content)).encode()
    headers = {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "private, no-cache",
        "vary": "accept-encoding, cookie",
    }
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'
    return finished(body, headers, etag, QUICK_LEVEL)


async def _whole(served: Served, request: Request, template: str, content: dict[str, Any]) -> str:
    try:
        origin, newest = await served.feed.newest()
    except Problem:
        origin, newest = "unknown", None
    age = None if newest is None else (served.clock.now() - newest - HOUR).total_seconds() / 3600
    if template == "login.html":
        origin, newest = "live", None  # nothing is told before the token
    shared = {
        "origin": origin,
        "newest": newest,
        "age": formats.age_text(age),
        "is_stale": is_stale(newest, origin, served.clock.now()),
        "banner": BANNERS.get(origin),
        "theme": _theme_of(request),
        "path": request.url.path,
        "symbols": served.symbols,
    }
    return rendered(template, **shared | content)


def _theme_of(request: Request) -> str:
    return "light" if request.cookies.get("theme") == "light" else "dark"


def _sign_in(served: Served) -> Callable[[Request], Awaitable[Response]]:
    """The form for a token, and the cookie that keeps it from then on."""
    tokens = Tokens(served.pool, time.monotonic)

    async def answer(request: Request) -> Response:
        content: dict[str, Any] = {"title": "Sign in", "problem": None}
        if request.method == "POST":
            given = parse_qs((await request.body()).decode("utf-8", "replace"))
            token = given.get("token", [""])[0].strip()
            try:
                await tokens.scopes(token)
            except Problem as problem:
                content["problem"] = problem
            else:
                back = RedirectResponse("/", 303)
                is_tls = request.url.scheme == "https"
                back.set_cookie(
                    COOKIE, token, 30 * 86400, httponly=True, samesite="strict", secure=is_tls
                )
                return back
        html = await _whole(served, request, "login.html", content)
        status = 401 if content["problem"] else 200
        return HTMLResponse(html, status, {"cache-control": "no-store"})

    return answer
