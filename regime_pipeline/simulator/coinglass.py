"""Coinglass v4, as its REST interface answers.

Belongs here: paths, parameters, row formats, the key check, rate headers. Does not belong here:
where values come from.

Errors come with HTTP 200 and a ``code`` that is not ``"0"``. Rows are oldest first, labelled by the
bucket's start, the last one still growing; hours in which nobody was liquidated have no row. Without
``start_time`` the newest ``limit`` rows are given, else the first ones from there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.coinglass_lists import Lists, allowed, plan_of
from regime_pipeline.simulator.context import (
    NEVER_MS,
    BadParameterError,
    Query,
    World,
    reply,
)
from regime_pipeline.simulator.series import DAY_MS, Liquidations, OpenInterest, joined
from regime_pipeline.simulator.wire import (
    INTERVALS_MS,
    MONDAY_MS,
    Feed,
    Render,
    fixed,
    rows_of,
    shortest,
    whole,
)

_EXCHANGES = {"Binance": "binance", "OKX": "okx"}
_ALSO_KNOWN = ("Bybit", "Bitget", "Gate", "HTX", "BitMEX", "Deribit", "Bitfinex", "Kraken")
_PER_MINUTE = 300

Answer = Callable[[Query], bytes]


class Refused(Exception):
    """An error envelope."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)
    paths: dict[str, Answer] = {
        "/api/futures/liquidation/history": desk.liquidations,
        "/api/futures/liquidation/aggregated-history": desk.liquidations_of_all,
        "/api/futures/open-interest/history": desk.open_interest,
        "/api/futures/open-interest/aggregated-history": desk.open_interest_of_all,
        "/api/futures/supported-coins": desk.coins,
        "/api/futures/supported-exchange-pairs": desk.pairs,
        **Lists(world, desk).paths(),
    }
    found = [Route(path, desk.endpoint(answer, path)) for path, answer in paths.items()]
    return [*found, Route("/{rest:path}", _not_found)]


async def _not_found(_: Request) -> Response:
    return reply({"code": "404", "msg": "Not Found"}, status=404)


class Desk:
    """Answers the requests."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pairs: dict[str, dict[str, str]] = {}
        for exchange, venue in _EXCHANGES.items():
            listed = world.tape.listed(venue, "perp")
            self._pairs[exchange] = {_pair(exchange, s): s for s in listed}
        self._coins: dict[str, str] = {}
        for listed_pairs in self._pairs.values():
            for symbol in listed_pairs.values():
                self._coins.setdefault(symbol.split("/")[0], symbol)

    @property
    def coins_listed(self) -> dict[str, str]:
        """Coin -> canonical symbol."""
        return self._coins

    @property
    def exchanges(self) -> dict[str, str]:
        """Exchange as the provider writes it -> venue."""
        return dict(_EXCHANGES)

    def endpoint(self, answer: Answer, path: str) -> Callable[[Request], Awaitable[Response]]:
        """An ASGI endpoint around an answer: checks the key, envelopes errors."""

        async def handle(request: Request) -> Response:
            key = request.headers.get("cg-api-key", "").strip()
            if not key:
                return reply({"code": "400", "msg": "API key missing."})
            step = INTERVALS_MS.get(Query.of(request).get("interval", ""))
            if not allowed(plan_of(key), path, step):
                return reply({"code": "401", "msg": "Upgrade plan"})
            headers = {
                "api-key-max-limit": str(_PER_MINUTE),
                "api-key-use-limit": str(self._world.used("coinglass", 1)),
            }
            try:
                body = b'{"code":"0","msg":"success","data":' + answer(Query.of(request)) + b"}"
                return reply(body, headers=headers)
            except Refused as refused:
                envelope = {"code": refused.code, "msg": str(refused)}
            except BadParameterError as bad:
                text = "Required parameter '{}' is missing" if bad.missing else "Invalid {}"
                envelope = {"code": "400", "msg": text.format(bad.name)}
            return reply(envelope, headers=headers)

        return handle

    def coins(self, _: Query) -> bytes:
        """``supported-coins``."""
        return b"[" + ",".join(f'"{c}"' for c in sorted(self._coins)).encode() + b"]"

    def pairs(self, query: Query) -> bytes:
        """``supported-exchange-pairs``: exchange to its pairs."""
        import orjson

        wanted = [query["exchange"]] if "exchange" in query else list(self._pairs)
        told = {}
        for exchange in wanted:
            told[exchange] = [
                {
                    "instrument_id": pair,
                    "base_asset": symbol.split("/")[0],
                    "quote_asset": symbol.split("/")[1],
                }
                for pair, symbol in self._pairs.get(exchange, {}).items()
            ]
        return orjson.dumps(told)

    def pair_of(self, query: Query) -> tuple[str, str]:
        """Venue and symbol of a request for one pair; empty ones where nothing is on the tape.

        Raises:
            Refused: no such exchange or pair.
        """
        exchange, pair = query.needed("exchange"), query.needed("symbol")
        if exchange in _ALSO_KNOWN:
            return "", ""
        if exchange not in self._pairs:
            raise Refused("400", "The requested exchange is not supported")
        if pair not in self._pairs[exchange]:
            raise Refused("400", "The requested pair is not supported")
        return _EXCHANGES[exchange], self._pairs[exchange][pair]

    def coin_of(self, query: Query) -> str:
        """The symbol of a request for one coin.

        Raises:
            Refused: no such coin.
        """
        coin = query.needed("symbol")
        if coin not in self._coins:
            raise Refused("400", "The requested coin is not supported")
        return self._coins[coin]

    def any_of(self, query: Query) -> str:
        """The symbol of a request for a pair of an exchange, or for a coin."""
        return self.pair_of(query)[1] if "exchange" in query else self.coin_of(query)

    def step_of(self, query: Query) -> int:
        """Length of the asked interval, ms.

        Raises:
            BadParameterError: no interval of the provider.
        """
        interval = query.needed("interval")
        if interval not in INTERVALS_MS:
            raise BadParameterError("interval")
        return INTERVALS_MS[interval]

    def rows(
        self,
        query: Query,
        kind: str,
        venues: str,
        symbol: str,
        name: str,
        render: Render,
        *,
        detail: str = "",
    ) -> bytes:
        """A page of a series of the tape."""
        step = self.step_of(query)
        offset = MONDAY_MS if step == 7 * DAY_MS else 0
        feed: Feed | None = None
        if venues:
            feed = self._world.feed(kind, venues, detail, symbol, step, offset)
        if feed is None:
            return b"[]"
        limit = query.whole("limit", 1000)
        if not 0 < limit <= 1000:
            raise BadParameterError("limit")
        rows = self._world.page(
            ("coinglass", name, venues, symbol, step),
            feed,
            render,
            low=query.whole("start_time", 0),
            high=query.whole("end_time", NEVER_MS),
            limit=limit,
            newest_rows="start_time" not in query,
            running=render,
        )
        return b"[" + rows + b"]"

    def liquidations(self, query: Query) -> bytes:
        """``liquidation/history``: one pair of one exchange, as texts."""
        venue, symbol = self.pair_of(query)

        def render(part: Liquidations) -> object:
            return rows_of(
                '{"time":', whole(part.ts), ',"long_liquidation_usd":"', fixed(part.long_usd, 5),
                '","short_liquidation_usd":"', fixed(part.short_usd, 5), '"},',
            )  # fmt: skip

        return self.rows(query, "liquidations", venue, symbol, "liquidations", render)

    def liquidations_of_all(self, query: Query) -> bytes:
        """``liquidation/aggregated-history``: one coin over the named exchanges, as numbers."""
        symbol = self.coin_of(query)
        wanted = [part.strip() for part in query.needed("exchange_list").split(",")]
        venues = "+".join(v for e, v in _EXCHANGES.items() if e in wanted)

        def render(part: Liquidations) -> object:
            return rows_of(
                '{"time":', whole(part.ts), ',"aggregated_long_liquidation_usd":',
                shortest(part.long_usd.round(5)), ',"aggregated_short_liquidation_usd":',
                shortest(part.short_usd.round(5)), "},",
            )  # fmt: skip

        return self.rows(query, "liquidations", venues, symbol, "liquidations_of_all", render)

    def open_interest(self, query: Query) -> bytes:
        """``open-interest/history``: one pair of one exchange, USD or coins."""
        venue, symbol = self.pair_of(query)
        return self._open_interest(query, venue, symbol)

    def open_interest_of_all(self, query: Query) -> bytes:
        """``open-interest/aggregated-history``: one coin over all exchanges."""
        return self._open_interest(query, "+".join(_EXCHANGES.values()), self.coin_of(query))

    def _open_interest(self, query: Query, venues: str, symbol: str) -> bytes:
        unit = query.get("unit", "usd")
        if unit not in ("usd", "coin"):
            raise BadParameterError("unit")

        def render(part: OpenInterest) -> object:
            if unit == "usd":
                values = [part.open_usd, part.high_usd, part.low_usd, part.close_usd]
            else:
                values = [part.open, part.high, part.low, part.close]
            opened, high, low, close = (fixed(v, 4) for v in values)
            return rows_of(
                '{"time":', whole(part.ts), ',"open":"', opened, '","high":"', high,
                '","low":"', low, '","close":"', close, '"},',
            )  # fmt: skip

        return self.rows(query, "open_interest", venues, symbol, f"open_interest_{unit}", render)


def _pair(exchange: str, symbol: str) -> str:
    return f"{symbol.replace('/', '-')}-SWAP" if exchange == "OKX" else joined(symbol)
