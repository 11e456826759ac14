"""LunarCrush v4, as its interface answers.

Belongs here: paths, row formats, the key check. Does not belong here: where values come from. Times
are seconds, the last bucket of a series still grows, and a coin nobody talks about has an empty list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.context import NEVER_MS, Query, World, bearer, reply
from regime_pipeline.simulator.render import fixed, rows_of, whole
from regime_pipeline.simulator.series import DAY_MS, HOUR_MS

Answer = Callable[[Request], Response]
_NETWORKS = {"tweet": 0.75, "reddit-post": 0.1, "youtube-video": 0.05, "tiktok-video": 0.05}


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)

    def guarded(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            if not bearer(request):
                return reply({"error": "Unauthorized: missing or invalid api key"}, status=401)
            return answer(request)

        return handle

    paths: dict[str, Answer] = {
        "/public/coins/list/v1": desk.coins,
        "/public/coins/list/v2": desk.coins,
        "/public/coins/{coin}/time-series/v1": desk.series,
        "/public/coins/{coin}/time-series/v2": desk.series,
        "/public/coins/{coin}/meta/v1": desk.meta,
        "/public/coins/{coin}/v1": desk.coin,
        "/public/topic/{coin}/time-series/v1": desk.series,
        "/public/topic/{coin}/time-series/v2": desk.series,
        "/public/topic/{coin}/news/v1": desk.posts("news", "news"),
        "/public/topic/{coin}/posts/v1": desk.posts("social", "tweet"),
        "/public/topic/{coin}/v1": desk.topic,
        "/public/system/changes": desk.changes,
    }
    found = [Route(path, guarded(answer)) for path, answer in paths.items()]
    return [*found, Route("/{rest:path}", guarded(_unknown))]


def _unknown(_: Request) -> Response:
    return reply({"error": "not found"}, status=404)


class Desk:
    """Answers the requests."""

    def __init__(self, world: World) -> None:
        self._world = world
        listed = world.tape.listed("binance", "spot") or world.tape.symbols
        self._symbols = {s.split("/")[0]: s for s in listed}

    def _config(self, **more: object) -> dict[str, object]:
        return {**more, "generated": self._world.now_ms() // 1000}

    def _last(self, kind: str, venue: str, detail: str, symbol: str) -> Any:
        """The newest closed hour of a series, or None."""
        feed = self._world.feed(kind, venue, detail, symbol, HOUR_MS)
        if feed is None:
            return None
        stop = int(np.searchsorted(feed.closed.ts, self._world.now_ms() - HOUR_MS, side="right"))
        return feed.closed.rows(slice(stop - 1, stop)) if stop else None

    def _row(self, place: int, base: str) -> dict[str, object] | None:
        symbol = self._symbols[base]
        bar = self._last("candles", "binance", "spot", symbol)
        if bar is None:
            return None
        row: dict[str, object] = {
            "id": place + 1,
            "symbol": base,
            "name": base.title(),
            "price": float(bar.close[0]),
            "market_cap_rank": place + 1,
            "max_supply": None,
        }
        mood = self._last("mood", "", "social", symbol)
        if mood is not None:
            row |= {
                "interactions_24h": int(mood.interactions[0] * 24),
                "social_volume_24h": int(mood.posts[0] * 24),
                "social_dominance": round(60.0 / (place + 2), 4),
                "galaxy_score": round(20.0 + 0.6 * float(mood.score[0]), 1),
                "alt_rank": place * 40 + 12,
                "sentiment": int(mood.score[0]),
            }
        return row

    def coins(self, request: Request) -> Response:
        """``coins/list``: pages from 0."""
        query = Query.of(request)
        limit, page = query.whole("limit", 10), query.whole("page", 0)
        rows = [r for r in (self._row(i, b) for i, b in enumerate(self._symbols)) if r is not None]
        part = rows[page * limit : (page + 1) * limit]
        return reply({"config": self._config(page=page, total_rows=len(rows)), "data": part})

    def _symbol(self, request: Request) -> str | None:
        return self._symbols.get(request.path_params["coin"].upper())

    def coin(self, request: Request) -> Response:
        """``coins/{coin}``: prices and scores, nothing social."""
        symbol = self._symbol(request)
        place = list(self._symbols.values()).index(symbol) if symbol else 0
        row = self._row(place, symbol.split("/")[0]) if symbol else None
        if row is None:
            return _unknown(request)
        kept = ("id", "symbol", "name", "price", "market_cap_rank", "max_supply", "galaxy_score")
        data = {n: row[n] for n in (*kept, "alt_rank") if n in row}
        return reply({"config": self._config(), "data": data})

    def meta(self, request: Request) -> Response:
        """``coins/{coin}/meta``."""
        symbol = self._symbol(request)
        if symbol is None:
            return _unknown(request)
        base = symbol.split("/")[0]
        data = {"id": list(self._symbols).index(base) + 1, "symbol": base, "name": base.title(),
                "market_categories": "layer-1", "updated": 1_672_531_200}  # fmt: skip
        return reply({"data": data, "config": self._config()})

    def series(self, request: Request) -> Response:
        """``time-series``: start and end in seconds, else the last week."""
        symbol = self._symbol(request)
        if symbol is None:
            return _unknown(request)
        query = Query.of(request)
        step = DAY_MS if query.get("bucket", "hour") == "day" else HOUR_MS
        now = self._world.now_ms()
        low = query.whole("start", now // 1000 - 7 * 86400) * 1000
        high = query.whole("end", NEVER_MS // 1000) * 1000
        feed = self._world.feed("mood", "", "social", symbol, step)

        def render(part: Any) -> object:
            return rows_of(
                '{"time":', whole(part.ts // 1000), ',"sentiment":', whole(part.score),
                ',"posts_active":', whole(part.posts), ',"interactions":', whole(part.interactions),
                ',"galaxy_score":', fixed(20.0 + 0.6 * part.score, 1), "},",
            )  # fmt: skip

        rows = b""
        if feed is not None:
            rows = self._world.page(
                ("lunarcrush", symbol, step), feed, render,
                low=low, high=high, limit=100_000, newest_rows=False, running=render,
            )  # fmt: skip
        config = self._config(symbol=symbol.split("/")[0], bucket=query.get("bucket", "hour"))
        head = reply({"config": config, "data": []}).body
        return reply(bytes(head).replace(b'"data":[]', b'"data":[' + rows + b"]"))

    def topic(self, request: Request) -> Response:
        """``topic``: counts and moods per network."""
        symbol = self._symbol(request)
        mood = self._last("mood", "", "social", symbol) if symbol else None
        press = self._last("mood", "", "news", symbol) if symbol else None
        if symbol is None or mood is None or press is None:
            return _unknown(request)
        counts = {n: int(mood.posts[0] * 24 * share) for n, share in _NETWORKS.items()}
        counts["news"] = int(press.posts[0] * 24)
        moods = {n: int(mood.score[0]) for n in _NETWORKS} | {"news": int(press.score[0])}
        data = {"topic": symbol.split("/")[0].lower(), "types_count": counts,
                "types_interactions": {n: c * 40 for n, c in counts.items()},
                "types_sentiment": moods, "num_posts": sum(counts.values())}  # fmt: skip
        return reply({"config": self._config(), "data": data})

    def posts(self, kind: str, network: str) -> Answer:
        """``topic/news`` and ``topic/posts``: one made post an hour over the last day."""

        def answer(request: Request) -> Response:
            symbol = self._symbol(request)
            feed = self._world.feed("mood", "", kind, symbol, HOUR_MS) if symbol else None
            if symbol is None or feed is None:
                return _unknown(request)
            closed = feed.closed
            stop = int(np.searchsorted(closed.ts, self._world.now_ms() - HOUR_MS, side="right"))
            part = closed.rows(slice(max(0, stop - 24), stop))
            base = symbol.split("/")[0]
            data = [
                {
                    "id": f"simulated-{network}-{base}-{int(ts) // HOUR_MS}",
                    "post_type": network,
                    "post_title": f"{base}: a made {network}",
                    "post_created": int(ts) // 1000 + 1800,
                    "post_sentiment": round(1.0 + float(score) / 25.0, 2),
                    "creator_name": "Simulated Press",
                    "interactions_total": int(count),
                }
                for ts, score, count in zip(part.ts, part.score, part.interactions, strict=True)
            ]
            return reply({"config": self._config(topic=base.lower()), "data": data})

        return answer

    def changes(self, _: Request) -> Response:
        """``system/changes``: each coin was found once, when the tape began."""
        began = int(self._world.tape.span.start.timestamp())
        data = [
            {
                "asset_type": "coins",
                "asset_id": place + 1,
                "asset_name": f"{base.title()} ({base})",
                "change": "search terms established",
                "description": "search criteria initially set for this asset",
                "time": began,
            }
            for place, base in enumerate(self._symbols)
            if began * 1000 <= self._world.now_ms()
        ]
        return reply({"data": data})


ROUTES = {"lunarcrush": routes}
