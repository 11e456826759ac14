"""Bybit v5, as its REST interface answers.

Belongs here: paths, parameters, row formats and error envelopes. Does not belong here: where values
come from.

Everything is a text and newest first; ``start``/``startTime`` and ``end``/``endTime`` are inclusive.
Every reply is HTTP 200, errors are in ``retCode``. Open interest counts both sides and adds the single
one; it and the account ratio hand out a percent-encoded cursor while older rows are left. The mark
price is the perpetual's, the index the spot price. A symbol of the tape that this venue has no series
of is listed and answers without rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, quote, urlencode

import numpy as np
import orjson
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
from regime_pipeline.simulator.render import (
    MONDAY_MS,
    Feed,
    Render,
    decimals_of,
    fixed,
    rows_of,
    whole,
)
from regime_pipeline.simulator.series import (
    DAY_MS,
    HOUR_MS,
    Candles,
    Funding,
    OpenInterest,
    Premium,
    Shares,
    joined,
)

_KLINES = {
    "60": (HOUR_MS, 0),
    "240": (4 * HOUR_MS, 0),
    "D": (DAY_MS, 0),
    "W": (7 * DAY_MS, MONDAY_MS),
}
_PERIODS = {"1h": HOUR_MS, "4h": 4 * HOUR_MS, "1d": DAY_MS}
_MARKETS = {"spot": "spot", "linear": "perp"}
_BOOK_LEVELS = {"spot": 1000, "perp": 1000}
_BOOK_DEFAULT = {"spot": 1, "perp": 25}
_TRADES = {"spot": 60, "perp": 1000}

Answer = Callable[[Query], dict[str, object]]


class Refused(Exception):
    """An error envelope."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def trade_id(market: str, symbol: str, number: object) -> str:
    """The venue's name of a trade, over HTTP and in its stream."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{symbol}/{market}/{number}"))


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)
    paths: dict[str, Answer] = {
        "/v5/market/time": desk.time,
        "/v5/market/kline": desk.klines,
        "/v5/market/mark-price-kline": desk.reference_klines("mark"),
        "/v5/market/index-price-kline": desk.reference_klines("index"),
        "/v5/market/premium-index-price-kline": desk.reference_klines("premium"),
        "/v5/market/orderbook": desk.order_book,
        "/v5/market/funding/history": desk.funding,
        "/v5/market/open-interest": desk.open_interest,
        "/v5/market/account-ratio": desk.account_ratio,
        "/v5/market/recent-trade": desk.recent_trades,
        "/v5/market/tickers": desk.tickers,
        "/v5/market/instruments-info": desk.instruments,
    }
    found = [Route(path, _endpoint(world, answer)) for path, answer in paths.items()]
    return [*found, Route("/{rest:path}", lambda _: HTMLResponse("404 page not found", 404))]


def _endpoint(world: World, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        code, message, result = 0, "OK", {}
        try:
            result = answer(Query.of(request))
        except Refused as refused:
            code, message = refused.code, str(refused)
        except BadParameterError as bad:
            code, message = 10001, f"params error: {bad.name} invalid"
        rows = result.pop("list", None)
        parts = [orjson.dumps(result)[:-1]] if result else [b"{"]
        if isinstance(rows, bytes):  # rendered rows go in as they are
            parts.append((b"," if result else b"") + b'"list":[' + rows + b"]")
        elif rows is not None:
            parts.append((b"," if result else b"") + b'"list":' + orjson.dumps(rows))
        body = (
            f'{{"retCode":{code},"retMsg":"{message}","result":'.encode()
            + b"".join(parts)
            + f'}},"retExtInfo":{{}},"time":{world.now_ms()}}}'.encode()
        )
        used = world.used("bybit", 1)
        headers = {"X-Bapi-Limit": "600", "X-Bapi-Limit-Status": str(max(0, 600 - used))}
        return reply(body, headers=headers)

    return handle


class Desk:
    """Answers the requests."""

    def __init__(self, world: World) -> None:
        self._world = world
        everything = world.tape.symbols
        self._listed = {
            m: {joined(s): s for s in (world.tape.listed("bybit", m) or everything)}
            for m in ("spot", "perp")
        }

    def time(self, _: Query) -> dict[str, object]:
        """``time``: seconds and nanoseconds."""
        now = self._world.now_ms()
        return {"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)}

    def _instrument(self, query: Query, *, only_linear: bool = False) -> tuple[str, str]:
        category = query.get("category", "linear")
        if category not in _MARKETS or (only_linear and category != "linear"):
            raise BadParameterError("category")
        market = _MARKETS[category]
        text = query.needed("symbol")
        if text not in self._listed[market]:
            raise Refused(10001, "params error: symbol invalid")
        return market, self._listed[market][text]

    def _page(
        self,
        name: tuple[object, ...],
        feed: Feed | None,
        render: Render,
        query: Query,
        *,
        most: int,
        default: int,
        start: str = "startTime",
        end: str = "endTime",
        running: Render | None = None,
        high: int | None = None,
    ) -> bytes:
        if feed is None:
            return b""
        limit = query.whole("limit", default)
        if not limit > 0:
            raise BadParameterError("limit")
        return self._world.page(
            name,
            feed,
            render,
            low=query.whole(start, 0),
            high=query.whole(end, NEVER_MS) if high is None else high,
            limit=min(limit, most),
            newest_rows=True,
            newest_first=True,
            running=running,
        )

    def klines(self, query: Query) -> dict[str, object]:
        """``kline``: arrays of seven, the open bar first."""
        market, symbol = self._instrument(query)
        interval = query.needed("interval")
        if interval not in _KLINES:
            raise BadParameterError("interval")
        step, offset = _KLINES[interval]
        feed = self._world.feed("candles", "bybit", market, symbol, step, offset)
        rows = b""
        if feed is not None:
            render = self._bars(market, symbol, feed.hourly)
            name = ("bybit", "klines", market, symbol, step)
            rows = self._page(
                name, feed, render, query,
                most=1000, default=200, start="start", end="end", running=render,
            )  # fmt: skip
        return {
            "category": query.get("category", "linear"),
            "symbol": query["symbol"],
            "list": rows,
        }

    def _bars(self, market: str, symbol: str, series: Candles) -> Render:
        price, lot, value = self._world.digits(
            ("bybit", market, symbol),
            lambda: (
                max(
                    decimals_of(getattr(series, n), at_least=1)
                    for n in ("open", "high", "low", "close")
                ),
                decimals_of(series.volume_base),
                decimals_of(series.volume_quote),
            ),
        )

        def render(part: Candles) -> object:
            return rows_of(
                '["', whole(part.ts), '","', fixed(part.open, price), '","',
                fixed(part.high, price), '","', fixed(part.low, price), '","',
                fixed(part.close, price), '","', fixed(part.volume_base, lot), '","',
                fixed(part.volume_quote, value), '"],',
            )  # fmt: skip

        return render

    def reference_klines(self, kind: str) -> Answer:
        """Bars of the mark price, the index or the premium: arrays of five, the open bar first."""

        def answer(query: Query) -> dict[str, object]:
            _, symbol = self._instrument(query, only_linear=True)
            interval = query.needed("interval")
            if interval not in _KLINES:
                raise BadParameterError("interval")
            market = self._world.index_market("bybit", symbol) if kind == "index" else "perp"
            series, detail = ("premium", "") if kind == "premium" else ("candles", market)
            feed = self._world.feed(series, "bybit", detail, symbol, *_KLINES[interval])

            def render(part: Candles | Premium) -> object:
                return rows_of(
                    '["', whole(part.ts), '","', fixed(part.open, 8), '","',
                    fixed(part.high, 8), '","', fixed(part.low, 8), '","',
                    fixed(part.close, 8), '"],',
                )  # fmt: skip

            rows = self._page(
                ("bybit", kind, symbol, _KLINES[interval]), feed, render, query,
                most=1000, default=200, start="start", end="end", running=render,
            )  # fmt: skip
            return {"symbol": query["symbol"], "category": "linear", "list": rows}

        return answer

    def funding(self, query: Query) -> dict[str, object]:
        """``funding/history``: settled prints; a start without an end is refused."""
        _, symbol = self._instrument(query, only_linear=True)
        if "startTime" in query and "endTime" not in query:
            raise Refused(10001, "params error: startTime without endTime")
        feed = self._world.feed("funding", "bybit", "", symbol, 0)
        text = query["symbol"]

        def render(part: Funding) -> object:
            return rows_of(
                f'{{"symbol":"{text}","fundingRate":"', fixed(part.rate, 8),
                '","fundingRateTimestamp":"', whole(part.ts // HOUR_MS * HOUR_MS), '"},',
            )  # fmt: skip

        rows = self._page(("bybit", "funding", symbol), feed, render, query, most=200, default=200)
        return {"category": "linear", "list": rows}

    def _with_cursor(
        self, name: str, feed: Feed | None, render: Render, query: Query, *, most: int, default: int
    ) -> dict[str, object]:
        high = query.whole("endTime", NEVER_MS)
        if "cursor" in query:
            told = parse_qs(query["cursor"]).get("lasttime", [""])[0]
            if not told.isdigit():
                raise BadParameterError("cursor")
            high = min(high, int(told) - 1)
        full = ("bybit", name, query["symbol"], 0 if feed is None else feed.step_ms)
        rows = self._page(full, feed, render, query, most=most, default=default, high=high)
        oldest = orjson.loads(b"[" + rows + b"]")[-1]["timestamp"] if rows else None
        cursor = ""
        if feed is not None and oldest is not None:
            left = np.searchsorted(feed.closed.ts, int(oldest))
            low = np.searchsorted(feed.closed.ts, query.whole("startTime", 0))
            if left > low:
                cursor = quote(urlencode({"lastid": 0, "lasttime": oldest}), safe="")
        return {"nextPageCursor": cursor, "list": rows}

    def _period(self, query: Query, name: str) -> int:
        period = query.needed(name)
        if period not in _PERIODS:
            raise BadParameterError(name)
        return _PERIODS[period]

    def open_interest(self, query: Query) -> dict[str, object]:
        """``open-interest``: both sides, and one."""
        _, symbol = self._instrument(query, only_linear=True)
        feed = self._world.feed(
            "open_interest", "bybit", "", symbol, self._period(query, "intervalTime")
        )

        def render(part: OpenInterest) -> object:
            return rows_of(
                '{"openInterest":"', fixed(2.0 * part.close, 8), '","singleOpenInterest":"',
                fixed(part.close, 8), '","timestamp":"', whole(part.ts), '"},',
            )  # fmt: skip

        found = self._with_cursor("open_interest", feed, render, query, most=200, default=50)
        return {"symbol": query["symbol"], "category": "linear", **found}

    def account_ratio(self, query: Query) -> dict[str, object]:
        """``account-ratio``: shares of long and short accounts."""
        _, symbol = self._instrument(query, only_linear=True)
        text = query["symbol"]
        period = self._period(query, "period")
        feed = self._world.feed("positioning", "bybit", "global_account", symbol, period)

        def render(part: Shares) -> object:
            return rows_of(
                f'{{"symbol":"{text}","buyRatio":"', fixed(part.long, 4), '","sellRatio":"',
                fixed(1.0 - part.long, 4), '","timestamp":"', whole(part.ts), '"},',
            )  # fmt: skip

        return self._with_cursor("account_ratio", feed, render, query, most=500, default=50)

    def order_book(self, query: Query) -> dict[str, object]:
        """``orderbook``: texts, best first; empty where the tape has no book."""
        market, symbol = self._instrument(query)
        limit = query.whole("limit", _BOOK_DEFAULT[market])
        if not 0 < limit <= _BOOK_LEVELS[market]:
            raise BadParameterError("limit")
        now = self._world.now_ms()
        book = self._world.book("bybit", market, symbol)
        bids: list[list[str]] = []
        asks: list[list[str]] = []
        if book is not None:
            bids = levels_of(book.bid_price, book.bid_size, book.digits, limit)
            asks = levels_of(book.ask_price, book.ask_size, book.digits, limit)
        return {
            "s": query["symbol"], "b": bids, "a": asks,
            "ts": now, "u": now // 100, "seq": now // 10, "cts": now - 5,
        }  # fmt: skip

    def recent_trades(self, query: Query) -> dict[str, object]:
        """``recent-trade``: the newest trades, no history."""
        market, symbol = self._instrument(query)
        limit = min(max(1, query.whole("limit", 500)), _TRADES[market])
        now = self._world.now_ms()
        part = self._world.newest_trades("bybit", market, symbol, now + 1, limit)
        rows = []
        for i in reversed(range(len(part) if part is not None else 0)):
            assert part is not None
            rows.append(
                {
                    "execId": trade_id(market, symbol, part.number[i]),
                    "symbol": query["symbol"],
                    "price": f"{part.price[i]:.{part.digits}f}", "size": f"{part.size[i]:.8f}",
                    "side": "Buy" if part.buy[i] else "Sell", "time": str(part.ts[i]),
                    "isBlockTrade": False, "isRPITrade": False, "seq": str(part.number[i]),
                }
            )  # fmt: skip
        return {"category": query.get("category", "linear"), "list": rows}

    def tickers(self, query: Query) -> dict[str, object]:
        """``tickers``: the last day of one instrument or of all, with the marks a contract has."""
        category = query.get("category", "linear")
        if "symbol" in query or category not in _MARKETS:
            asked = [(*self._instrument(query), query.needed("symbol"))]
        else:
            market = _MARKETS[category]
            asked = [(market, symbol, text) for text, symbol in self._listed[market].items()]
        rows = [self._ticker(market, symbol, text) for market, symbol, text in asked]
        return {"category": category, "list": [row for row in rows if row is not None]}

    def instruments(self, query: Query) -> dict[str, object]:
        """``instruments-info``: the listed contracts or pairs; a perpetual has no delivery."""
        category = query.get("category", "linear")
        if category not in _MARKETS:
            raise BadParameterError("category")
        market = _MARKETS[category]
        rows: list[dict[str, object]] = []
        for text, symbol in self._listed[market].items():
            if query.get("symbol", text) != text:
                continue
            base, quote = symbol.split("/")
            row: dict[str, object] = {
                "symbol": text,
                "status": "Trading",
                "baseCoin": base,
                "quoteCoin": quote,
            }
            if market == "perp":
                since = str(self._world.listed_ms("bybit", market, symbol))
                row |= {"contractType": "LinearPerpetual", "launchTime": since, "deliveryTime": "0"}
            rows.append(row)
        return {"category": category, "list": rows, "nextPageCursor": ""}

    def _ticker(self, market: str, symbol: str, name: str) -> dict[str, object] | None:
        day = self._world.last_day("bybit", market, symbol)
        if day is None:
            return None
        opened, last = float(day.open[0]), float(day.close[0])
        text = f"{last:.8f}"
        book = self._world.book("bybit", market, symbol)
        row: dict[str, object] = {
            "symbol": name,
            "lastPrice": text,
            "bid1Price": text if book is None else f"{book.bid_price[0]:.{book.digits}f}",
            "ask1Price": text if book is None else f"{book.ask_price[0]:.{book.digits}f}",
            "prevPrice24h": f"{opened:.8f}",
            "price24hPcnt": f"{last / opened - 1.0:.6f}",
            "highPrice24h": f"{day.high[0]:.8f}",
            "lowPrice24h": f"{day.low[0]:.8f}",
            "volume24h": f"{day.volume_base[0]:.8f}",
            "turnover24h": f"{day.volume_quote[0]:.8f}",
        }
        if market == "perp":
            rate, at = self._coming_funding(symbol)
            index = self._world.last_price(
                "bybit", self._world.index_market("bybit", symbol), symbol
            )
            row |= {
                "markPrice": text,
                "indexPrice": text if index is None else f"{index:.8f}",
                "fundingRate": rate,
                "nextFundingTime": at,
            }
        return row

    def _coming_funding(self, symbol: str) -> tuple[str, str]:
        """The estimate of the coming settlement and its time; blank and 0 where none comes."""
        feed = self._world.feed("funding", "bybit", "", symbol, 0)
        if feed is None:
            return "", "0"
        series = feed.closed
        place = int(np.searchsorted(series.ts, self._world.now_ms(), side="right"))
        if place >= len(series):
            return "", "0"
        guess = series.predicted[place]
        rate = float(guess if np.isfinite(guess) else series.rate[place])
        return f"{rate:.10f}", str(int(series.ts[place]) // HOUR_MS * HOUR_MS)


def levels_of(price: np.ndarray, size: np.ndarray, digits: int, limit: int) -> list[list[str]]:
    """The best levels of a side: price and size."""
    pairs = zip(price[:limit].tolist(), size[:limit].tolist(), strict=True)
    return [[f"{p:.{digits}f}", f"{s:.8f}"] for p, s in pairs]


ROUTES = {"bybit": routes}
