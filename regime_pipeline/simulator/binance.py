"""Binance spot, Binance.US and Binance USD-M futures, as their REST interfaces answer.

Belongs here: paths, parameters, row formats, errors and weight headers of the three. Does not
belong here: where values come from.

Where the documentation is silent: more rows than ``limit`` are answered with the first ones after
``startTime``, without ``startTime`` with the newest up to ``endTime``. The tape is hourly, so other
intervals than 1h, 4h, 1d and 1w are refused. The thirty-day wall of ``/futures/data`` stands only
in a world with ``walls``, because a replay stands for having recorded those series all along.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from regime_pipeline.simulator.context import (
    NEVER_MS,
    BadParameterError,
    Query,
    World,
    reply,
)
from regime_pipeline.simulator.microstructure import IDS_PER_HOUR, Trades
from regime_pipeline.simulator.series import (
    DAY_MS,
    HOUR_MS,
    Candles,
    Funding,
    OpenInterest,
    Shares,
    joined,
)
from regime_pipeline.simulator.wire import (
    INTERVALS_MS,
    MONDAY_MS,
    Feed,
    Render,
    decimals_of,
    fixed,
    quoted,
    rows_of,
    whole,
)

_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_FUTURES_DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
_WALL_MS = 30 * DAY_MS
_NOT_FOUND = "<html><head><title>404 Not Found</title></head><body>404 Not Found</body></html>"


class Refused(Exception):
    """An error envelope with its HTTP status."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class House:
    """One of the three: its provider name, venue, market and limits."""

    provider: str
    venue: str
    market: str
    max_klines: int
    kline_weight: int
    minute_weight: int


SPOT = House("binance", "binance", "spot", 1000, 2, 6000)
US = House("binance_us", "binance_us", "spot", 1000, 1, 1200)
FUTURES = House("binance_futures", "binance", "perp", 1500, 2, 2400)

Answer = Callable[[Query], tuple[object, int]]


def routes(world: World, house: House) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world, house)
    paths: dict[str, Answer]
    if house.market == "spot":
        paths = {
            "/api/v3/klines": desk.klines,
            "/api/v3/depth": desk.depth,
            "/api/v3/aggTrades": desk.agg_trades,
            "/api/v3/trades": desk.trades,
            "/api/v3/historicalTrades": desk.trades,
            "/api/v3/exchangeInfo": desk.exchange_info,
            "/api/v3/ping": lambda _: ({}, 1),
            "/api/v3/time": lambda _: ({"serverTime": world.now_ms()}, 1),
        }
    else:
        paths = {
            "/fapi/v1/klines": desk.klines,
            "/fapi/v1/depth": desk.depth,
            "/fapi/v1/aggTrades": desk.agg_trades,
            "/fapi/v1/trades": desk.trades,
            "/fapi/v1/historicalTrades": desk.trades,
            "/fapi/v1/exchangeInfo": desk.exchange_info,
            "/fapi/v1/fundingRate": desk.funding_rate,
            "/fapi/v1/fundingInfo": desk.funding_info,
            "/fapi/v1/premiumIndex": desk.premium_index,
            "/fapi/v1/openInterest": desk.open_interest_now,
            "/fapi/v1/ping": lambda _: ({}, 1),
            "/fapi/v1/time": lambda _: ({"serverTime": world.now_ms()}, 1),
            "/futures/data/openInterestHist": desk.open_interest,
            "/futures/data/globalLongShortAccountRatio": desk.shares("global_account"),
            "/futures/data/topLongShortAccountRatio": desk.shares("top_account"),
            "/futures/data/topLongShortPositionRatio": desk.shares("top_position"),
            "/futures/data/takerlongshortRatio": desk.taker_ratio,
        }
    found = [Route(path, desk.endpoint(answer)) for path, answer in paths.items()]
    return [*found, Route("/{rest:path}", lambda _: HTMLResponse(_NOT_FOUND, 404))]


class Desk:
    """Answers the requests to one house."""

    def __init__(self, world: World, house: House) -> None:
        self._world = world
        self._house = house
        self._listed = {joined(s): s for s in world.tape.listed(house.venue, house.market)}

    def endpoint(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """An ASGI endpoint around an answer: envelopes errors, adds the weight headers."""

        async def handle(request: Request) -> Response:
            status, weight = 200, 1
            try:
                content, weight = answer(Query.of(request))
            except Refused as refused:
                content, status = {"code": refused.code, "msg": refused.message}, refused.status
            except BadParameterError as bad:
                content, status = _bad_parameter(bad), 400
            used = str(self._world.used(self._house.provider, weight))
            names = ("x-mbx-used-weight", "x-mbx-used-weight-1m")
            headers = dict.fromkeys(names, used)
            if self._house.market == "perp":
                del headers["x-mbx-used-weight"]
            return reply(content, status=status, headers=headers)

        return handle

    def _symbol(self, query: Query) -> str:
        text = query.needed("symbol")
        if not _SYMBOL.fullmatch(text):
            raise Refused(
                -1100,
                "Illegal characters found in parameter 'symbol'; "
                "legal range is '^[A-Z0-9-_.]{1,20}$'.",
            )
        if text not in self._listed:
            raise Refused(-1121, "Invalid symbol.")
        return self._listed[text]

    def klines(self, query: Query) -> tuple[bytes, int]:
        """``klines``: rows of twelve, oldest first, the open bar last."""
        house, symbol = self._house, self._symbol(query)
        interval = query.needed("interval")
        if interval not in INTERVALS_MS:
            raise Refused(-1120, "Invalid interval.")
        limit = query.whole("limit", 500)
        if house.market == "perp" and not 0 < limit <= house.max_klines:
            raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
        limit = max(1, min(limit, house.max_klines))
        step = INTERVALS_MS[interval]
        feed = self._candles(symbol, step)
        if feed is None:
            return b"[]", house.kline_weight
        render = self._kline_rows(symbol, step, feed.hourly)
        name = (house.provider, "klines", symbol, step)
        rows = self._rows(name, feed, render, query, limit)
        weight = house.kline_weight
        if house.market == "perp":
            weight = 1 + sum(limit >= border for border in (100, 500)) + 5 * (limit > 1000)
        return b"[" + rows + b"]", weight

    def _candles(self, symbol: str, step: int) -> Feed | None:
        house = self._house
        offset = MONDAY_MS if step == 7 * DAY_MS else 0
        return self._world.feed("candles", house.venue, house.market, symbol, step, offset)

    def _rows(
        self, name: tuple[object, ...], feed: Feed, render: Render, query: Query, limit: int
    ) -> bytes:
        return self._world.page(
            name,
            feed,
            render,
            low=query.whole("startTime", 0),
            high=query.whole("endTime", NEVER_MS),
            limit=limit,
            newest_rows="startTime" not in query,
            running=render,
        )

    def _kline_rows(self, symbol: str, step: int, series: Candles) -> Render:
        house = self._house
        if house.market == "spot":
            price = lot = quote = 8
        else:
            price, lot, quote = self._world.digits(
                (house.provider, symbol),
                lambda: (
                    max(decimals_of(getattr(series, n)) for n in ("open", "high", "low", "close")),
                    decimals_of(series.volume_base),
                    decimals_of(series.volume_quote, at_least=2),
                ),
            )

        def render(part: Candles) -> object:
            return rows_of(
                "[", whole(part.ts), ',"', fixed(part.open, price), '","', fixed(part.high, price),
                '","', fixed(part.low, price), '","', fixed(part.close, price), '",',
                quoted(part.volume_base, lot), ",", whole(part.ts + step - 1), ",",
                quoted(part.volume_quote, quote), ",", whole(part.trade_count), ",",
                quoted(part.taker_buy_base, lot), ",", quoted(part.taker_buy_quote, quote),
                ',"0"],',
            )  # fmt: skip

        return render

    def exchange_info(self, query: Query) -> tuple[object, int]:
        """``exchangeInfo``: limits and the listed symbols."""
        listed = dict(self._listed)
        if "symbol" in query:
            self._symbol(query)
            listed = {query["symbol"]: listed[query["symbol"]]}
        info = {
            "timezone": "UTC",
            "serverTime": self._world.now_ms(),
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": self._house.minute_weight,
                }
            ],
            "exchangeFilters": [],
            "symbols": [self._described(text, symbol) for text, symbol in listed.items()],
        }
        return info, 20 if self._house.market == "spot" else 1

    def _described(self, text: str, symbol: str) -> dict[str, object]:
        base, quote = symbol.split("/")
        common: dict[str, object] = {
            "symbol": text,
            "status": "TRADING",
            "baseAsset": base,
            "quoteAsset": quote,
            "baseAssetPrecision": 8,
            "filters": [],
        }
        if self._house.market == "spot":
            return common | {
                "quotePrecision": 8,
                "quoteAssetPrecision": 8,
                "orderTypes": ["LIMIT", "MARKET"],
                "icebergAllowed": True,
                "ocoAllowed": True,
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
                "permissions": ["SPOT"],
            }
        return common | {"pair": text, "contractType": "PERPETUAL", "marginAsset": quote}

    def depth(self, query: Query) -> tuple[object, int]:
        """``depth``: levels best first; without a time on spot, empty where the tape has no book."""
        house, symbol = self._house, self._symbol(query)
        now = self._world.now_ms()
        if house.market == "perp":
            limit = query.whole("limit", 500)
            if limit not in _FUTURES_DEPTHS:
                raise Refused(-4021, f"{limit} is not valid depth limit.")
            weight = 2 if limit <= 50 else {100: 5, 500: 10}.get(limit, 20)
        else:
            limit = max(1, min(query.whole("limit", 100), 5000))
            weight = _tiered(limit, (5, 25, 50, 250) if house is SPOT else (1, 5, 10, 50))
        book = self._world.book(house.venue, house.market, symbol)
        lot = 8 if house.market == "spot" else 3
        sides: dict[str, object] = {"bids": [], "asks": []}
        if book is not None:
            digits = 8 if house.market == "spot" else book.digits
            sides = {
                "bids": _levels(book.bid_price, book.bid_size, digits, lot, limit),
                "asks": _levels(book.ask_price, book.ask_size, digits, lot, limit),
            }
        told: dict[str, object] = {"lastUpdateId": now // 100}
        if house.market == "perp":
            told |= {"E": now, "T": now - 5}
        return told | sides, weight

    def agg_trades(self, query: Query) -> tuple[object, int]:
        """``aggTrades``: oldest first, from an id or within inclusive times."""
        house, symbol = self._house, self._symbol(query)
        limit = max(1, min(query.whole("limit", 500), 1000))
        part = self._trades(symbol, query, limit)
        rows = []
        for i in range(len(part) if part is not None else 0):
            assert part is not None
            number, at = int(part.number[i]), int(part.ts[i])
            row: dict[str, object] = {
                "a": number, "p": f"{part.price[i]:.8f}", "q": f"{part.size[i]:.8f}",
                "f": number, "l": number, "T": at, "m": not part.buy[i],
            }  # fmt: skip
            if house.market == "spot":
                row["M"] = True
            if house is US:  # writes numbers as texts here
                row |= {n: str(row[n]) for n in ("a", "f", "l", "T")}
            rows.append(row)
        return rows, {"binance": 4, "binance_us": 1}.get(house.provider, 20)

    def trades(self, query: Query) -> tuple[object, int]:
        """``trades`` and ``historicalTrades``: oldest first, the newest ones or from an id."""
        symbol = self._symbol(query)
        limit = max(1, min(query.whole("limit", 500), 1000))
        part = self._trades(symbol, query, limit)
        rows = []
        for i in range(len(part) if part is not None else 0):
            assert part is not None
            row: dict[str, object] = {
                "id": int(part.number[i]), "price": f"{part.price[i]:.8f}",
                "qty": f"{part.size[i]:.8f}", "quoteQty": f"{part.price[i] * part.size[i]:.8f}",
                "time": int(part.ts[i]), "isBuyerMaker": not part.buy[i],
            }  # fmt: skip
            if self._house.market == "spot":
                row["isBestMatch"] = True
            rows.append(row)
        return rows, 25 if self._house is SPOT else 5

    def _trades(self, symbol: str, query: Query, limit: int) -> Trades | None:
        house, world = self._house, self._world
        if "fromId" in query:
            first = query.whole("fromId", 0)
            low = first // IDS_PER_HOUR * HOUR_MS
            part = world.trades(house.venue, house.market, symbol, low, NEVER_MS, limit + 1000)
            return None if part is None else part.rows(part.number >= first).rows(slice(0, limit))
        if "startTime" in query:
            low, high = query.whole("startTime", 0), query.whole("endTime", NEVER_MS)
            return world.trades(house.venue, house.market, symbol, low, high, limit)
        before = query.whole("endTime", NEVER_MS) + 1
        return world.newest_trades(house.venue, house.market, symbol, before, limit)

    # --- futures only ----------------------------------------------------------------------------

    def funding_rate(self, query: Query) -> tuple[bytes, int]:
        """``fundingRate``: settled prints, oldest first; all symbols when none is named."""
        limit = max(1, min(query.whole("limit", 100), 1000))
        symbols = [self._symbol(query)] if "symbol" in query else sorted(self._listed.values())
        pieces = []
        for symbol in symbols:
            feed = self._world.feed("funding", "binance", "", symbol, 0)
            if feed is None:
                continue
            render = _funding_rows(joined(symbol))
            name = ("binance_futures", "fundingRate", symbol)
            pieces.append(self._rows(name, feed, render, query, limit))
        if len(pieces) > 1:
            return b"[" + _merged(pieces, limit, newest="startTime" not in query) + b"]", 1
        return b"[" + b"".join(pieces) + b"]", 1

    def funding_info(self, _: Query) -> tuple[object, int]:
        """``fundingInfo``: only symbols whose interval is not the default eight hours."""
        listed = []
        for text, symbol in self._listed.items():
            feed = self._world.feed("funding", "binance", "", symbol, 0)
            if feed is None or len(feed.closed) < 2:
                continue
            seen = int(np.searchsorted(feed.closed.ts, self._world.now_ms(), side="right"))
            gap = np.diff(feed.closed.ts[max(0, seen - 2) : seen])
            hours = round(float(gap[0]) / HOUR_MS) if len(gap) else 8
            if hours in (1, 2, 4, 6):
                listed.append(
                    {
                        "adjustedFundingRateCap": "0.02000000",
                        "adjustedFundingRateFloor": "-0.02000000",
                        "disclaimer": False,
                        "fundingIntervalHours": hours,
                        "symbol": text,
                        "updateTime": int(feed.closed.ts[seen - 2]),
                    }
                )
        return listed, 0

    def premium_index(self, query: Query) -> tuple[object, int]:
        """``premiumIndex``: the running state; an object for one symbol, else a list."""
        if "symbol" in query:
            return self._premium(self._symbol(query)), 1
        return [self._premium(s) for s in sorted(self._listed.values())], 10

    def _premium(self, symbol: str) -> dict[str, object]:
        now = self._world.now_ms()
        coming, at = np.nan, (now // (8 * HOUR_MS) + 1) * 8 * HOUR_MS
        feed = self._world.feed("funding", "binance", "", symbol, 0)
        if feed is not None:
            place = int(np.searchsorted(feed.closed.ts, now, side="right"))
            if place < len(feed.closed):
                series = feed.closed
                guess = series.predicted[place]
                coming = float(guess if np.isfinite(guess) else series.rate[place])
                at = int(series.ts[place]) // HOUR_MS * HOUR_MS
        mark = self._last_price("perp", symbol)
        index = self._last_price("spot", symbol) or mark
        return {
            "symbol": joined(symbol),
            "markPrice": _text(mark),
            "indexPrice": _text(index),
            "estimatedSettlePrice": _text(index),
            "lastFundingRate": "" if np.isnan(coming) else _text(coming),
            "interestRate": "0.00010000",
            "nextFundingTime": at,
            "time": now,
        }

    def _last_price(self, market: str, symbol: str) -> float | None:
        return self._world.last_price("binance", market, symbol)

    def open_interest_now(self, query: Query) -> tuple[object, int]:
        """``openInterest``: the newest figure."""
        symbol = self._symbol(query)
        feed = self._world.feed("open_interest", "binance", "", symbol, HOUR_MS)
        now = self._world.now_ms()
        place = -1 if feed is None else int(np.searchsorted(feed.closed.ts, now - HOUR_MS, "right"))
        if feed is None or place < 1:
            return {"openInterest": "0", "symbol": joined(symbol), "time": now}, 1
        value = f"{float(feed.closed.close[place - 1]):.3f}"
        return {"openInterest": value, "symbol": joined(symbol), "time": now}, 1

    def open_interest(self, query: Query) -> tuple[bytes, int]:
        """``openInterestHist``: coins and USD at the bucket's close."""
        text = query.get("symbol", "")

        def render(part: OpenInterest) -> object:
            return rows_of(
                f'{{"symbol":"{text}","sumOpenInterest":', quoted(part.close, 8),
                ',"sumOpenInterestValue":', quoted(part.close_usd, 8),
                ',"timestamp":', whole(part.ts), "},",
            )  # fmt: skip

        return self._statistics(query, "open_interest", "", render)

    def shares(self, metric: str) -> Answer:
        """The three ``...LongShort...Ratio`` paths: shares of long and short and their ratio."""

        def answer(query: Query) -> tuple[bytes, int]:
            text = query.get("symbol", "")

            def render(part: Shares) -> object:
                ratio = part.long / (1.0 - part.long)
                return rows_of(
                    f'{{"symbol":"{text}","longAccount":"', fixed(part.long, 4),
                    '","longShortRatio":"', fixed(ratio, 4),
                    '","shortAccount":"', fixed(1.0 - part.long, 4),
                    '","timestamp":', whole(part.ts), "},",
                )  # fmt: skip

            return self._statistics(query, "positioning", metric, render)

        return answer

    def taker_ratio(self, query: Query) -> tuple[bytes, int]:
        """``takerlongshortRatio``: bought and sold by takers, in coins; rows name no symbol."""

        def render(part: Candles) -> object:
            bought, sold = part.taker_buy_base, part.volume_base - part.taker_buy_base
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(sold > 0, bought / sold, 0.0)
            return rows_of(
                '{"buySellRatio":"', fixed(ratio, 4), '","buyVol":"', fixed(bought, 4),
                '","sellVol":"', fixed(sold, 4), '","timestamp":', whole(part.ts), "},",
            )  # fmt: skip

        return self._statistics(query, "takers", "perp", render)

    def _statistics(
        self, query: Query, kind: str, detail: str, render: Render
    ) -> tuple[bytes, int]:
        world, symbol = self._world, self._symbol(query)
        period = query.needed("period")
        if period not in ("1h", "4h", "1d"):
            raise Refused(-1130, "parameter 'period' is invalid.")
        limit = query.whole("limit", 30)
        if not 0 < limit <= 500:
            raise Refused(-1130, "parameter 'limit' is invalid.")
        oldest = world.now_ms() - _WALL_MS if world.walls else 0
        if world.walls and query.whole("startTime", NEVER_MS) < oldest:
            raise Refused(-1130, "parameter 'startTime' is invalid.")
        step = INTERVALS_MS[period]
        feed = (
            self._takers(symbol, step)
            if kind == "takers"
            else world.feed(kind, "binance", detail, symbol, step)
        )
        if feed is None:
            return b"[]", 0
        rows = world.page(
            ("binance_futures", kind, detail, symbol, step),
            feed,
            render,
            low=max(oldest, query.whole("startTime", 0)),
            high=query.whole("endTime", NEVER_MS),
            limit=limit,
            newest_rows="startTime" not in query,
            running=render,
        )
        return b"[" + rows + b"]", 0

    def _takers(self, symbol: str, step: int) -> Feed | None:
        return takers(self._world, "binance", symbol, step, 0)


def takers(world: World, venue: str, symbol: str, step: int, offset: int) -> Feed | None:
    """Perpetual bars whose taker side is known; None when no bar tells it."""

    def make() -> Feed | None:
        series = world.tape.candles(venue, "perp", symbol)
        if series is None:
            return None
        known = np.isfinite(series.taker_buy_base) & np.isfinite(series.volume_base)
        return Feed.of(series.rows(known), step, offset) if known.any() else None

    return world.digits(("takers", venue, symbol, step, offset), make)


def _levels(
    price: np.ndarray, size: np.ndarray, digits: int, lot: int, limit: int
) -> list[list[str]]:
    pairs = zip(price[:limit].tolist(), size[:limit].tolist(), strict=True)
    return [[f"{p:.{digits}f}", f"{max(s, 10.0**-lot):.{lot}f}"] for p, s in pairs]


def _tiered(limit: int, weights: tuple[int, int, int, int]) -> int:
    """The weight of a book by the levels asked for."""
    return weights[sum(limit > border for border in (100, 500, 1000))]


def _funding_rows(text: str) -> Render:
    def render(part: Funding) -> object:
        return rows_of(
            f'{{"symbol":"{text}","fundingTime":', whole(part.ts), ',"fundingRate":"',
            fixed(part.rate, 8), '","markPrice":"', fixed(part.mark_price, 8), '"},',
        )  # fmt: skip

    return render


def _merged(pieces: list[bytes], limit: int, *, newest: bool) -> bytes:
    """Rows of several symbols, by time then symbol."""
    import orjson

    rows = [row for piece in pieces for row in orjson.loads(b"[" + piece + b"]")]
    rows.sort(key=lambda r: (r["fundingTime"], r["symbol"]))
    return orjson.dumps(rows[-limit:] if newest else rows[:limit])[1:-1]


def _text(value: float | None) -> str:
    return "0.00000000" if value is None else f"{value:.8f}"


def _bad_parameter(bad: BadParameterError) -> dict[str, object]:
    if bad.missing:
        message = f"Mandatory parameter '{bad.name}' was not sent, was empty/null, or malformed."
        return {"code": -1102, "msg": message}
    message = (
        f"Illegal characters found in parameter '{bad.name}'; legal range is '^[0-9]{{1,20}}$'."
    )
    return {"code": -1100, "msg": message}
