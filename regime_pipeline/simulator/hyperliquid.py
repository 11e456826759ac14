"""Hyperliquid's info interface: questions posted as JSON to one path.

Belongs here: questions, row formats and errors. Does not belong here: where values come from.

Prices and sizes are texts, rows run oldest first. A page of funding has 500 rows, the newest 5,000 candles
are kept. A question that is not understood is answered 422 with a text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from regime_pipeline.simulator.context import NEVER_MS, World, reply
from regime_pipeline.simulator.render import decimals_of, fixed, rows_of, whole
from regime_pipeline.simulator.series import DAY_MS, HOUR_MS, Candles, Funding

VENUE = "hyperliquid"
_INTERVALS = {"1h": HOUR_MS, "4h": 4 * HOUR_MS, "1d": DAY_MS}
_CANDLES = 5000
_PRINTS = 500
_LEVELS = 20
_MULTIPLES = ("BONK", "DOGS", "FLOKI", "LUNC", "NEIRO", "PEPE", "SHIB")
"""Coins that trade by the thousand, under their name behind a k."""
_DELISTED = "MATIC"
"""A name that stays in the list, so that the places of those behind it do not move."""


class Misunderstood(Exception):
    """A question that the venue does not understand."""


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)
    questions: dict[str, Callable[[dict[str, Any]], bytes]] = {
        "candleSnapshot": desk.candles,
        "fundingHistory": desk.funding,
        "predictedFundings": desk.predictions,
        "metaAndAssetCtxs": desk.contexts,
        "meta": lambda _: orjson.dumps(desk.meta()),
        "l2Book": desk.book,
    }

    async def info(request: Request) -> Response:
        try:
            asked = orjson.loads(await request.body())
            kind = asked.get("type") if isinstance(asked, dict) else None
            if kind not in questions:
                raise Misunderstood
            return reply(questions[kind](asked))
        except (Misunderstood, orjson.JSONDecodeError):
            text = "Failed to deserialize the JSON body into the target type"
            return PlainTextResponse(text, 422)

    return [Route("/info", info, methods=["POST"])]


class Desk:
    """Answers the questions."""

    def __init__(self, world: World) -> None:
        self._world = world
        listed = reversed(world.tape.listed(VENUE, "perp"))
        self._symbols = {_name(s): s for s in listed}

    def _symbol(self, asked: dict[str, Any]) -> str | None:
        coin = asked.get("coin")
        if not isinstance(coin, str):
            raise Misunderstood
        return self._symbols.get(coin)

    def candles(self, question: dict[str, Any]) -> bytes:
        """``candleSnapshot``: objects, the open bar last."""
        asked = question.get("req")
        if not isinstance(asked, dict) or asked.get("interval") not in _INTERVALS:
            raise Misunderstood
        low, high = _bounds(asked)
        symbol = self._symbol(asked)
        step = _INTERVALS[asked["interval"]]
        feed = self._world.feed("candles", VENUE, "perp", symbol, step) if symbol else None
        if feed is None or symbol is None:
            return b"[]"
        times = multiple_of(symbol)
        digits = self._world.digits((VENUE, symbol), lambda: decimals_of(feed.hourly.close))

        def render(part: Candles) -> object:
            prices = {
                n: fixed(getattr(part, n) * times, digits) for n in ("open", "high", "low", "close")
            }
            return rows_of(
                '{"t":', whole(part.ts), ',"T":', whole(part.ts + step - 1),
                f',"s":"{asked["coin"]}","i":"{asked["interval"]}","o":"', prices["open"],
                '","h":"', prices["high"], '","l":"', prices["low"], '","c":"', prices["close"],
                '","v":"', fixed(part.volume_base / times, 5), '","n":', whole(part.trade_count), "},",
            )  # fmt: skip

        kept = max(low, self._world.now_ms() - _CANDLES * step) if self._world.walls else low
        rows = self._world.page(
            (VENUE, "candles", symbol, step), feed, render,
            low=kept, high=high, limit=_CANDLES, newest_rows=False, running=render,
        )  # fmt: skip
        return b"[" + rows + b"]"

    def funding(self, asked: dict[str, Any]) -> bytes:
        """``fundingHistory``: the first rows from a start on."""
        low, high = _bounds(asked)
        symbol = self._symbol(asked)
        feed = self._world.feed("funding", VENUE, "", symbol, 0) if symbol else None
        if feed is None:
            return b"[]"

        def render(part: Funding) -> object:
            return rows_of(
                f'{{"coin":"{asked["coin"]}","fundingRate":"', fixed(part.rate, 10),
                '","premium":"', fixed(part.rate, 10), '","time":', whole(part.ts), "},",
            )  # fmt: skip

        rows = self._world.page(
            (VENUE, "funding", symbol), feed, render,
            low=low, high=high, limit=_PRINTS, newest_rows=False,
        )  # fmt: skip
        return b"[" + rows + b"]"

    def _coming(self, symbol: str) -> float | None:
        """The rate that is expected at the coming hour."""
        feed = self._world.feed("funding", VENUE, "", symbol, 0)
        if feed is None:
            return None
        place = int(np.searchsorted(feed.hourly.ts, self._world.now_ms()))
        return float(feed.hourly.predicted[place]) if place < len(feed.hourly) else None

    def predictions(self, _: dict[str, Any]) -> bytes:
        """``predictedFundings``: of this venue beside others, null where one has no such contract."""
        coming = (self._world.now_ms() // HOUR_MS + 1) * HOUR_MS
        rows = []
        for coin, symbol in sorted(self._symbols.items()):
            rate = self._coming(symbol)
            own = None
            if rate is not None:
                own = {
                    "fundingRate": f"{rate:.10f}",
                    "nextFundingTime": coming,
                    "fundingIntervalHours": 1,
                }
            rows.append([coin, [["BinPerp", None], ["HlPerp", own], ["BybitPerp", None]]])
        return orjson.dumps(rows)

    def meta(self) -> dict[str, object]:
        """``meta``: names, a delisted one among them."""
        names = [_DELISTED, *sorted(self._symbols)] if self._symbols else []
        return {
            "universe": [
                {"name": n, "szDecimals": 5, "maxLeverage": 50}
                | ({"isDelisted": True} if n == _DELISTED else {})
                for n in names
            ]
        }

    def contexts(self, _: dict[str, Any]) -> bytes:
        """``metaAndAssetCtxs``: the names and, in their order, the states."""
        states: list[dict[str, object]] = []
        nobody: dict[str, object] = {
            "openInterest": "0.0",
            "oraclePx": "0.5",
            "markPx": "0.5",
            "midPx": None,
        }
        for coin in sorted(self._symbols):
            symbol = self._symbols[coin]
            times = multiple_of(symbol)
            price = self._world.last_price(VENUE, "perp", symbol)
            feed = self._world.feed("open_interest", VENUE, "", symbol, HOUR_MS)
            coins = self._open_coins(feed)
            rate = self._coming(symbol)
            if price is None or coins is None:
                states.append(nobody)
                continue
            text = f"{price * times:.8g}"
            states.append(
                {
                    "funding": None if rate is None else f"{rate:.10f}",
                    "openInterest": f"{coins / times:.4f}",
                    "oraclePx": text, "markPx": text, "midPx": text, "premium": "0.0",
                    "prevDayPx": text, "dayNtlVlm": "0.0", "dayBaseVlm": "0.0",
                    "impactPxs": [text, text],
                }
            )  # fmt: skip
        gone = [nobody | {"funding": "0.0", "impactPxs": None}] if self._symbols else []
        return orjson.dumps([self.meta(), [*gone, *states]])

    def _open_coins(self, feed: Any) -> float | None:
        if feed is None:
            return None
        _, stop, opened = feed.page(self._world.now_ms(), 0, NEVER_MS, 1, newest=True)
        if opened is not None:
            return float(opened.close[0])
        return float(feed.closed.close[stop - 1]) if stop else None

    def book(self, asked: dict[str, Any]) -> bytes:
        """``l2Book``: twenty levels a side, best first; ``null`` for a coin that is not listed."""
        symbol = self._symbol(asked)
        if symbol is None:
            return b"null"
        book = self._world.book(VENUE, "perp", symbol)
        sides: list[list[dict[str, object]]] = [[], []]
        if book is not None:
            times = multiple_of(symbol)
            for side, (prices, sizes) in enumerate(
                ((book.bid_price, book.bid_size), (book.ask_price, book.ask_size))
            ):
                sides[side] = [
                    {"px": f"{p * times:.10g}", "sz": f"{s / times:.5f}", "n": 3}
                    for p, s in zip(prices[:_LEVELS], sizes[:_LEVELS], strict=True)
                ]
        return orjson.dumps({"coin": asked["coin"], "time": self._world.now_ms(), "levels": sides})


def _bounds(asked: dict[str, Any]) -> tuple[int, int]:
    low, high = asked.get("startTime"), asked.get("endTime", NEVER_MS)
    if not isinstance(low, int) or not isinstance(high, int):
        raise Misunderstood
    return low, high


def multiple_of(symbol: str) -> int:
    """Coins behind one unit of a symbol's contract."""
    return 1000 if symbol.split("/")[0] in _MULTIPLES else 1


def _name(symbol: str) -> str:
    """The venue's name of a symbol."""
    coin = symbol.split("/")[0]
    return f"k{coin}" if coin in _MULTIPLES else coin


ROUTES = {VENUE: routes}
