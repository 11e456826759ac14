"""Binance spot, Binance.US and Binance USD-M futures, as their REST interfaces answer.

Belongs here: the routes of the three, and what they answer alike: bars, books, trades, tickers,
instruments. Does not belong here: what only futures have (``binance_futures``), symbols, errors and
weights (``binance_desk``), where values come from.

Where the documentation is silent: more rows than ``limit`` are answered with the first ones after
``startTime``, without ``startTime`` with the newest up to ``endTime``. The tape is hourly, so other
intervals than 1h, 4h, 1d and 1w are refused.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import orjson
from starlette.responses import HTMLResponse
from starlette.routing import Route

from regime_pipeline.simulator.binance_desk import FUTURES, SPOT, US, Answer, Desk, House, Refused
from regime_pipeline.simulator.binance_futures import Futures
from regime_pipeline.simulator.context import NEVER_MS, Query, World
from regime_pipeline.simulator.microstructure import IDS_PER_HOUR, Trades
from regime_pipeline.simulator.render import Render, fixed, quoted, rows_of, whole
from regime_pipeline.simulator.series import DAY_MS, HOUR_MS, Candles

__all__ = ["FUTURES", "SPOT", "US", "routes"]

_FUTURES_DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
_NO_DELIVERY_MS = 4_133_404_800_000
"""What the venue writes for a contract without an end: a day of the year 2100."""
_NOT_FOUND = "<html><head><title>404 Not Found</title></head><body>404 Not Found</body></html>"


def routes(world: World, house: House) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world, house)
    paths = Market(world, desk).paths()
    if house is FUTURES:
        paths |= Futures(world, desk).paths()
    found = [Route(path, desk.endpoint(answer)) for path, answer in paths.items()]
    return [*found, Route("/{rest:path}", lambda _: HTMLResponse(_NOT_FOUND, 404))]


class Market:
    """Answers for the paths of this module."""

    def __init__(self, world: World, desk: Desk) -> None:
        self._world, self._desk, self._house = world, desk, desk.house

    def paths(self) -> dict[str, Answer]:
        """Path -> answer."""
        prefix = "/api/v3" if self._house.market == "spot" else "/fapi/v1"
        found: dict[str, Answer] = {
            f"{prefix}/klines": self.klines,
            f"{prefix}/depth": self.depth,
            f"{prefix}/aggTrades": self.agg_trades,
            f"{prefix}/trades": self.trades,
            f"{prefix}/historicalTrades": self.trades,
            f"{prefix}/ticker/24hr": self.tickers,
            f"{prefix}/exchangeInfo": self.exchange_info,
            f"{prefix}/ping": lambda _: ({}, 1),
            f"{prefix}/time": lambda _: ({"serverTime": self._world.now_ms()}, 1),
        }
        return found | (
            {f"{prefix}/avgPrice": self.average} if self._house.market == "spot" else {}
        )

    def klines(self, query: Query) -> tuple[bytes, int]:
        """``klines``: rows of twelve, oldest first, the open bar last."""
        symbol, step = self._desk.symbol_of(query), self._desk.step_of(query)
        limit, weight = self._desk.bars_asked(query)
        feed = self._desk.candles(symbol, step)
        if feed is None:
            return b"[]", weight
        render = self._kline_rows(symbol, step, feed.hourly)
        rows = self._desk.page(("klines", symbol, step), feed, render, query, limit)
        return b"[" + rows + b"]", weight

    def _kline_rows(self, symbol: str, step: int, series: Candles) -> Render:
        price, lot, quote = self._desk.digits(symbol, series)

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

    def tickers(self, query: Query) -> tuple[object, int]:
        """``ticker/24hr``: rolling figures; an object for one symbol, else a list."""
        every = 40 if self._house is not SPOT else 80
        if "symbol" in query:
            told = self._ticker(query["symbol"], self._desk.symbol_of(query))
            return ({} if told is None else told), 2 if self._house is SPOT else 1
        wanted = self._several(query) if "symbols" in query else dict(self._desk.listed)
        rows = [self._ticker(text, symbol) for text, symbol in wanted.items()]
        weight = every if "symbols" not in query else 2 if len(wanted) <= 20 else 40
        return [row for row in rows if row is not None], weight

    def _several(self, query: Query) -> dict[str, str]:
        try:
            texts = orjson.loads(query["symbols"])
        except orjson.JSONDecodeError:
            texts = None
        if not isinstance(texts, list) or not texts:
            raise Refused(-1100, "Illegal characters found in parameter 'symbols'.")
        return {str(t): self._desk.symbol_of(Query(symbol=str(t))) for t in texts}

    def _ticker(self, text: str, symbol: str) -> dict[str, object] | None:
        house, world, now = self._house, self._world, self._world.now_ms()
        day = world.last_day(house.venue, house.market, symbol)
        feed = self._desk.candles(symbol, HOUR_MS)
        if day is None or feed is None:
            return None
        price, lot, quote = self._desk.digits(symbol, feed.hourly)
        opened, last, base = (float(v[0]) for v in (day.open, day.close, day.volume_base))
        trades = int(np.nan_to_num(day.trade_count[0]))
        newest = world.newest_trades(house.venue, house.market, symbol, NEVER_MS, 1)
        size = 0.0 if newest is None else float(newest.size[0])
        number = now // HOUR_MS * IDS_PER_HOUR if newest is None else int(newest.number[0])
        row: dict[str, object] = {
            "symbol": text,
            "priceChange": f"{last - opened:.{price}f}",
            "priceChangePercent": f"{100.0 * (last / opened - 1.0):.3f}",
            "weightedAvgPrice": f"{day.volume_quote[0] / base if base else last:.{price}f}",
            "lastPrice": f"{last:.{price}f}",
            "lastQty": f"{size:.{lot}f}",
            "openPrice": f"{opened:.{price}f}",
            "highPrice": f"{day.high[0]:.{price}f}",
            "lowPrice": f"{day.low[0]:.{price}f}",
            "volume": f"{base:.{lot}f}",
            "quoteVolume": f"{day.volume_quote[0]:.{quote}f}",
        }
        if house.market == "spot":
            book = world.book(house.venue, house.market, symbol)
            sides = {"bid": (last, 0.0), "ask": (last, 0.0)}
            if book is not None:
                sides = {"bid": (book.bid_price[0], book.bid_size[0]),
                         "ask": (book.ask_price[0], book.ask_size[0])}  # fmt: skip
            row["prevClosePrice"] = row["openPrice"]
            for side, (at, amount) in sides.items():
                row |= {f"{side}Price": f"{at:.8f}", f"{side}Qty": f"{amount:.8f}"}
        counts = {"openTime": now - DAY_MS, "closeTime": now, "firstId": number - trades + 1,
                  "lastId": number, "count": trades}  # fmt: skip
        # writes numbers as texts here
        return row | ({n: str(v) for n, v in counts.items()} if house is US else counts)

    def average(self, query: Query) -> tuple[object, int]:
        """``avgPrice``: bars run straight, so five minutes' average is nearly the price of now."""
        symbol = self._desk.symbol_of(query)
        price = self._world.last_price(self._house.venue, "spot", symbol)
        told = {"mins": 5, "price": f"{price or 0.0:.8f}", "closeTime": self._world.now_ms()}
        return told, 2 if self._house is SPOT else 1

    def exchange_info(self, query: Query) -> tuple[object, int]:
        """``exchangeInfo``: limits and the listed symbols."""
        listed = dict(self._desk.listed)
        if "symbol" in query:
            self._desk.symbol_of(query)
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
        contract = {"pair": text, "contractType": "PERPETUAL", "marginAsset": quote}
        since = self._world.listed_ms(self._house.venue, "perp", symbol)
        return common | contract | {"onboardDate": since, "deliveryDate": _NO_DELIVERY_MS}

    def depth(self, query: Query) -> tuple[object, int]:
        """``depth``: levels best first; without a time on spot, empty where the tape has no book."""
        house, symbol = self._house, self._desk.symbol_of(query)
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
                "bids": levels_of(book.bid_price, book.bid_size, digits, lot, limit),
                "asks": levels_of(book.ask_price, book.ask_size, digits, lot, limit),
            }
        versions = self._world.book_versions(house.venue, house.market, symbol)
        told: dict[str, object] = {"lastUpdateId": versions[-1].number if versions else now // 100}
        if house.market == "perp":
            told |= {"E": now, "T": now - 5}
        return told | sides, weight

    def agg_trades(self, query: Query) -> tuple[object, int]:
        """``aggTrades``: oldest first, from an id or within inclusive times."""
        house, symbol = self._house, self._desk.symbol_of(query)
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
        symbol = self._desk.symbol_of(query)
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


def levels_of(
    price: np.ndarray, size: np.ndarray, digits: int, lot: int, limit: int
) -> list[list[str]]:
    """The best levels of a side: price and size."""
    pairs = zip(price[:limit].tolist(), size[:limit].tolist(), strict=True)
    return [[f"{p:.{digits}f}", f"{max(s, 10.0**-lot):.{lot}f}"] for p, s in pairs]


def _tiered(limit: int, weights: tuple[int, int, int, int]) -> int:
    """The weight of a book by the levels asked for."""
    return weights[sum(limit > border for border in (100, 500, 1000))]


ROUTES = {
    "binance": partial(routes, house=SPOT),
    "binance_us": partial(routes, house=US),
    "binance_futures": partial(routes, house=FUTURES),
}
