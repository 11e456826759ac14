"""Deribit API v2, as its public methods answer over HTTP.

Belongs here: paths, parameters, row formats and error envelopes. Does not belong here: what options are
worth (``options``), where values come from.

Numbers are JSON numbers, times ms, rows oldest first; the newest rows of a range are given where it holds
more than a page. A coin without options has no index, no chain and no perpetual here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.coins import OPTION_COINS
from regime_pipeline.simulator.context import BadParameterError, Query, World, reply
from regime_pipeline.simulator.options import Expiry, chain, open_coins
from regime_pipeline.simulator.render import fixed, rows_of, whole
from regime_pipeline.simulator.series import DAY_MS, HOUR_MS, Candles, Funding

_RESOLUTIONS = {"3600": HOUR_MS, "43200": 12 * HOUR_MS, "1D": DAY_MS}
_INDEX_ROWS = 1000
_FUNDING_ROWS = 744
_PERPETUAL = "-PERPETUAL"


class Refused(Exception):
    """An error with its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)
    methods: dict[str, Callable[[Query], bytes]] = {
        "get_time": desk.time,
        "get_volatility_index_data": desk.volatility_index,
        "get_funding_rate_history": desk.funding,
        "get_book_summary_by_currency": desk.summaries,
        "ticker": desk.ticker,
    }
    found = [
        Route(f"/api/v2/public/{name}", _endpoint(world, answer))
        for name, answer in methods.items()
    ]
    return [*found, Route("/{rest:path}", _endpoint(world, desk.unknown))]


def _endpoint(
    world: World, answer: Callable[[Query], bytes]
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        now = world.now_ms() * 1000
        told = f'"usIn":{now},"usOut":{now + 300},"usDiff":300,"testnet":false}}'.encode()
        try:
            return reply(b'{"jsonrpc":"2.0","result":' + answer(Query.of(request)) + b"," + told)
        except Refused as refused:
            error: dict[str, object] = {"code": refused.code, "message": str(refused)}
        except BadParameterError as bad:
            error = {
                "code": -32602,
                "message": "Invalid params",
                "data": {"param": bad.name, "reason": "wrong value"},
            }
        return reply(b'{"jsonrpc":"2.0","error":' + orjson.dumps(error) + b"," + told, status=400)

    return handle


class Desk:
    """Answers the requests."""

    def __init__(self, world: World) -> None:
        self._world = world
        listed = {s.split("/")[0]: s for s in reversed(world.tape.listed("deribit", "perp"))}
        self._symbols = {c: s for c, s in listed.items() if c in OPTION_COINS}

    def time(self, _: Query) -> bytes:
        """``get_time``: milliseconds."""
        return str(self._world.now_ms()).encode()

    def unknown(self, _: Query) -> bytes:
        """A method that there is not."""
        raise Refused(-32601, "Method not found")

    def _coin(self, query: Query) -> str:
        coin = query.needed("currency")
        if coin not in self._symbols:
            raise BadParameterError("currency")
        return coin

    def volatility_index(self, query: Query) -> bytes:
        """``get_volatility_index_data``: bars, and where the page before ends."""
        symbol = self._symbols[self._coin(query)]
        resolution = query.needed("resolution")
        if resolution not in _RESOLUTIONS:
            raise BadParameterError("resolution")
        feed = self._world.feed("volatility_index", "deribit", "", symbol, _RESOLUTIONS[resolution])
        low, high = (query.whole(f"{side}_timestamp", -1) for side in ("start", "end"))
        if low < 0 or high < 0:
            raise BadParameterError("start_timestamp")
        if feed is None:
            return b'{"data":[],"continuation":null}'

        def render(part: Candles) -> object:
            return rows_of(
                "[", whole(part.ts), ",", fixed(part.open, 2), ",", fixed(part.high, 2), ",",
                fixed(part.low, 2), ",", fixed(part.close, 2), "],",
            )  # fmt: skip

        rows = self._world.page(
            ("deribit", "index", symbol, resolution), feed, render,
            low=low, high=high, limit=_INDEX_ROWS, newest_rows=True, running=render,
        )  # fmt: skip
        told = orjson.loads(b"[" + rows + b"]")
        cut = len(told) == _INDEX_ROWS and told[0][0] > low
        more = str(told[0][0] - 1) if cut else "null"
        return b'{"data":[' + rows + b'],"continuation":' + more.encode() + b"}"

    def funding(self, query: Query) -> bytes:
        """``get_funding_rate_history``: what each hour cost, and eight of them."""
        coin = query.needed("instrument_name").removesuffix(_PERPETUAL)
        if coin not in self._symbols:
            raise Refused(13020, "not_found")
        feed = self._world.feed("funding", "deribit", "", self._symbols[coin], 0)
        if feed is None:
            return b"[]"

        def render(part: Funding) -> object:
            return rows_of(
                '{"timestamp":', whole(part.ts // HOUR_MS * HOUR_MS),
                ',"index_price":', fixed(part.mark_price, 2),
                ',"prev_index_price":', fixed(part.mark_price, 2),
                ',"interest_1h":', fixed(part.rate, 12),
                ',"interest_8h":', fixed(8.0 * part.rate, 12), "},",
            )  # fmt: skip

        rows = self._world.page(
            ("deribit", "funding", coin), feed, render,
            low=query.whole("start_timestamp", 0), high=query.whole("end_timestamp", 0),
            limit=_FUNDING_ROWS, newest_rows=True,
        )  # fmt: skip
        return b"[" + rows + b"]"

    def _chain(self, coin: str) -> list[Expiry]:
        symbol = self._symbols[coin]
        price = self._world.last_price("deribit", "perp", symbol)
        feed = self._world.feed("volatility_index", "deribit", "", symbol, HOUR_MS)
        if price is None or feed is None:
            return []
        now = self._world.now_ms()
        _, stop, opened = feed.page(now, 0, now, 1, newest=True)
        if opened is None and not stop:
            return []
        index = opened.close[0] if opened is not None else feed.closed.close[stop - 1]
        return chain(now, price, float(index))

    def summaries(self, query: Query) -> bytes:
        """``get_book_summary_by_currency``: every option of a coin; of futures the perpetual."""
        coin = self._coin(query)
        kind = query.get("kind", "option")
        if kind == "option":
            return orjson.dumps(
                [row for expiry in self._chain(coin) for row in self._rows(coin, expiry)]
            )
        if kind != "future":
            raise BadParameterError("kind")
        price = self._world.last_price("deribit", "perp", self._symbols[coin])
        known = {"instrument_name": f"{coin}{_PERPETUAL}", "base_currency": coin}
        figures = {"mark_price": price, "creation_timestamp": self._world.now_ms()}
        return orjson.dumps([] if price is None else [known | figures])

    def _rows(self, coin: str, expiry: Expiry) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for i in range(len(expiry.strike)):
            for letter, marks in (("C", expiry.call), ("P", expiry.put)):
                name = name_of(coin, expiry, i, letter)
                mark = float(marks[i])
                rows.append(
                    {
                        "instrument_name": name, "base_currency": coin, "quote_currency": coin,
                        "underlying_price": expiry.forward,
                        "underlying_index": name.rsplit("-", 2)[0],
                        "mark_price": mark, "mark_iv": float(expiry.iv[i]),
                        "bid_price": round(mark * 0.97, 4) if mark >= 0.0005 else None,
                        "ask_price": round(mark * 1.03 + 0.0001, 4),
                        "open_interest": open_coins(name), "volume": round(open_coins(name) / 50, 1),
                        "interest_rate": 0.0, "creation_timestamp": self._world.now_ms(),
                        "estimated_delivery_price": expiry.forward, "high": None, "low": None,
                        "last": None, "mid_price": None, "price_change": None,
                        "volume_usd": 0.0, "volume_notional": 0.0,
                    }
                )  # fmt: skip
        return rows

    def ticker(self, query: Query) -> bytes:
        """``ticker``: one option with its greeks, or a perpetual."""
        wanted = query.needed("instrument_name")
        coin = wanted.split("-")[0]
        if wanted == f"{coin}{_PERPETUAL}" and coin in self._symbols:
            price = self._world.last_price("deribit", "perp", self._symbols[coin])
            known = {"timestamp": self._world.now_ms(), "instrument_name": wanted}
            return orjson.dumps(known | {"state": "open", "mark_price": price})
        for expiry in self._chain(coin) if coin in self._symbols else ():
            for i in range(len(expiry.strike)):
                for letter, marks in (("C", expiry.call), ("P", expiry.put)):
                    if name_of(coin, expiry, i, letter) == wanted:
                        delta = float(expiry.delta[i]) - (letter == "P")
                        iv = float(expiry.iv[i])
                        return orjson.dumps(
                            {
                                "timestamp": self._world.now_ms(), "state": "open",
                                "instrument_name": wanted, "mark_price": float(marks[i]),
                                "mark_iv": iv, "bid_iv": iv - 1.0, "ask_iv": iv + 1.0,
                                "underlying_price": expiry.forward, "interest_rate": 0.0,
                                "greeks": {"delta": round(delta, 5)},
                            }
                        )  # fmt: skip
        raise Refused(13020, "not_found")


def name_of(coin: str, expiry: Expiry, place: int, letter: str) -> str:
    """The venue's name of an option."""
    day = f"{expiry.at.day}{expiry.at:%b%y}".upper()
    strike = f"{expiry.strike[place]:.10g}".replace(".", "d")
    return f"{coin}-{day}-{strike}-{letter}"


ROUTES = {"deribit": routes}
