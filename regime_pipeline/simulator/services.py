"""The small services with a request shape of ours: sentiment, liquidations, news, dashboard.

Belongs here: paths, the key checks, how a reading of the present is made from the tape. Does not belong
here: where values come from. A tape without moods gives a reading that says it has none; nothing is
made neutral.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.catalogue.fields.common import COMPONENTS
from regime_pipeline.simulator.context import (
    NEVER_MS,
    BadParameterError,
    Query,
    World,
    bearer,
    reply,
)
from regime_pipeline.simulator.series import HOUR_MS, canonical

Answer = Callable[[World, Request, Query], Response]
Handler = Callable[[Request], Awaitable[Response]]
_PAGE = 20
_NEWS_DAYS = 7


def _guarded(world: World, answer: Answer) -> Handler:
    async def handle(request: Request) -> Response:
        if not bearer(request):
            return reply({"error": "missing or invalid api key"}, status=401)
        try:
            return answer(world, request, Query.of(request))
        except BadParameterError as bad:
            return reply({"error": f"invalid parameter {bad.name}"}, status=400)

    return handle


def sentiment_routes(world: World) -> list[Route]:
    """``/social``, ``/news``, ``/trader``."""
    return [
        Route(f"/{kind}", _guarded(world, _reading(kind))) for kind in ("social", "news", "trader")
    ]


def liquidation_routes(world: World) -> list[Route]:
    """``/liquidations``."""
    return [Route("/liquidations", _guarded(world, _liquidations))]


def dashboard_routes(world: World) -> list[Route]:
    """``/api/signals/{symbol}``."""
    return [Route("/api/signals/{symbol}", _guarded(world, _signals))]


def news_routes(world: World) -> list[Route]:
    """``/posts/``, with the token in the query and again in ``next``."""

    async def handle(request: Request) -> Response:
        query = Query.of(request)
        if not query.get("auth_token"):
            return reply({"status": "api_error", "info": "Token not found"}, status=401)
        try:
            return _posts(world, request, query)
        except BadParameterError as bad:
            return reply({"status": "api_error", "info": f"invalid {bad.name}"}, status=400)

    return [Route("/posts/", handle), Route("/posts", handle)]


def _symbol(world: World, text: str) -> str | None:
    symbol = canonical(text.upper())
    return symbol if symbol in world.tape.symbols else None


def _last_day(world: World, kind: str, symbol: str) -> Any:
    """The last 24 closed hours of a mood, or None without any."""
    feed = world.feed("mood", "", kind, symbol, HOUR_MS)
    if feed is None:
        return None
    stop = int(np.searchsorted(feed.closed.ts, world.now_ms() - HOUR_MS, side="right"))
    return feed.closed.rows(slice(max(0, stop - 24), stop)) if stop else None


def _reading(kind: str) -> Answer:
    def answer(world: World, _: Request, query: Query) -> Response:
        asked = query.needed("symbol")
        symbol = _symbol(world, asked)
        if symbol is None:
            return reply({"error": "unknown symbol"}, status=404)
        mood = _last_day(world, kind, symbol)
        if mood is None:
            told: dict[str, object] = {"sentiment_score": None, "mention_count": 0}
        else:
            posts = float(mood.posts.sum())
            score = float((mood.score * mood.posts).sum() / posts) if posts else None
            told = {
                "sentiment_score": None if score is None else round(score, 2),
                "mention_count": int(posts),
                "confidence": round(posts / (posts + 200.0), 3),
            }
        return reply({"symbol": asked, "timeframe": "24h", **told})

    return answer


def _liquidations(world: World, _: Request, query: Query) -> Response:
    """Events of the closed hours: what a venue sums to an hour, told as one event a side and venue."""
    symbol = _symbol(world, query.needed("symbol"))
    if symbol is None:
        return reply({"error": "unknown symbol"}, status=404)
    low, high = query.whole("start_time", 0), query.whole("end_time", NEVER_MS)
    limit = query.whole("limit", 1000)
    if not 0 < limit <= 1000:
        raise BadParameterError("limit")
    events: list[tuple[int, dict[str, object]]] = []
    for place, venue in enumerate(("binance", "okx")):
        feed = world.feed("liquidations", venue, "", symbol, HOUR_MS)
        if feed is None:
            continue
        now = world.now_ms()
        first, stop, _open = feed.page(now, low - HOUR_MS, high, limit, newest=False, running=False)
        part = feed.closed.rows(slice(first, stop))
        for ts, *sums in zip(part.ts, part.long_usd, part.short_usd, strict=True):
            for number, (side, value) in enumerate(zip(("long", "short"), sums, strict=True)):
                at = int(ts) + 600_000 * (1 + 2 * place + number)
                if value > 0 and low <= at <= high:
                    row = {"id": f"{venue}-{at}", "timestamp": at, "exchange": venue,
                           "side": side, "value": float(value)}  # fmt: skip
                    events.append((at, row))
    events.sort(key=lambda e: e[0])
    return reply({"data": [row for _, row in events[:limit]]})


def _share(*parts: object) -> float:
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _signals(world: World, request: Request, _: Query) -> Response:
    """Scores of the last closed hour; they lean with the day's return, the rest is chance."""
    asked = request.path_params["symbol"]
    symbol = _symbol(world, asked)
    if symbol is None:
        return reply({"error": "unknown symbol"}, status=404)
    feed = world.feed("mood", "", "trader", symbol, HOUR_MS)
    bars = world.feed("candles", "binance", "perp", symbol, HOUR_MS)
    now = world.now_ms()
    stop = int(np.searchsorted(bars.closed.ts, now - HOUR_MS, side="right")) if bars else 0
    if feed is None or bars is None or stop < 25:
        at = datetime.fromtimestamp(now / 1000, UTC).isoformat()
        return reply({"symbol": asked, "timestamp": at, "signals": {}})
    hour = int(bars.closed.ts[stop - 1])
    day = float(np.log(bars.closed.close[stop - 1] / bars.closed.close[stop - 25]))
    signals = {}
    for name in COMPONENTS:
        score = float(
            np.clip(50.0 + 600.0 * day + 24.0 * (_share(symbol, name, hour) - 0.5), 0, 100)
        )
        verdict = "bullish" if score > 60 else "bearish" if score < 40 else "neutral"
        signals[name] = {
            "score": round(score, 2),
            "confidence": round(0.5 + 0.5 * _share(symbol, name, hour, "trust"), 3),
            "direction": verdict,
        }
    at = datetime.fromtimestamp((hour + HOUR_MS) / 1000 - 1, UTC).isoformat()
    return reply({"symbol": asked, "timestamp": at, "signals": signals})


def _posts(world: World, request: Request, query: Query) -> Response:
    """Made headlines, one an hour and coin over the last days, newest first, in numbered pages."""
    asked = [c.upper() for c in query.get("currencies", "").split(",") if c]
    now = world.now_ms()
    rows: list[tuple[int, dict[str, object]]] = []
    for symbol in world.tape.symbols:
        base = symbol.split("/")[0]
        feed = world.feed("mood", "", "news", symbol, HOUR_MS)
        if feed is None or (asked and base not in asked):
            continue
        stop = int(np.searchsorted(feed.closed.ts, now - HOUR_MS, side="right"))
        part = feed.closed.rows(slice(max(0, stop - 24 * _NEWS_DAYS), stop))
        rows += [
            (int(ts), _post(base, int(ts), float(score)))
            for ts, score in zip(part.ts, part.score, strict=True)
        ]
    rows.sort(key=lambda r: (-r[0], str(r[1]["title"])))
    page = query.whole("page", 1)
    if page < 1:
        raise BadParameterError("page")
    part_of = [row for _, row in rows[(page - 1) * _PAGE : page * _PAGE]]
    more = len(rows) > page * _PAGE
    link = f"{request.url.scheme}://{request.url.netloc}{request.url.path}?"
    return reply(
        {
            "count": len(rows),
            "next": link + urlencode({**query, "page": str(page + 1)}) if more else None,
            "previous": None,
            "results": part_of,
        }
    )


def _post(base: str, ts: int, score: float) -> dict[str, object]:
    at = datetime.fromtimestamp(ts / 1000 + 60 * (1 + int(55 * _share(base, ts))), UTC)
    positive = round(score / 10)
    about = [] if _share(base, ts, "about") < 0.1 else [{"code": base, "title": base.title()}]
    return {
        "id": int(_share(base, ts, "id") * 2**48),
        "kind": "news",
        "title": f"{base}: a made headline of {at:%H:%M}",
        "published_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "currencies": about,
        "votes": {"positive": positive, "negative": 10 - positive},
    }


ROUTES = {
    "sentiment": sentiment_routes,
    "liquidation_service": liquidation_routes,
    "dashboard": dashboard_routes,
    "news": news_routes,
}
