"""Who is asked at the simulated Coinglass, and how: keys, plans, envelopes, pairs, pages.

Belongs here: the key check, plan gates, rate headers, error envelopes, naming pairs and coins, pages
of a series. Does not belong here: row formats (``coinglass``, ``coinglass_lists``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from regime_pipeline.simulator.context import (
    NEVER_MS,
    BadParameterError,
    Query,
    World,
    reply,
)
from regime_pipeline.simulator.render import INTERVALS_MS, MONDAY_MS, Feed, Render
from regime_pipeline.simulator.series import DAY_MS, HOUR_MS, joined

EXCHANGES: Mapping[str, str] = {"Binance": "binance", "OKX": "okx"}
"""Exchange as the provider writes it -> venue."""
_ALSO_KNOWN = ("Bybit", "Bitget", "Gate", "HTX", "BitMEX", "Deribit", "Bitfinex", "Kraken")
_PER_MINUTE = 300

PLANS = ("hobbyist", "startup", "standard", "professional")
DEFAULT_PLAN = "standard"
_NEEDS: Mapping[str, str] = {
    "/api/futures/coins-markets": "standard",
    "/api/futures/liquidation/order": "standard",
    "/api/futures/liquidation/map": "professional",
    "/api/futures/liquidation/aggregated-map": "professional",
    "/api/futures/liquidation/heatmap": "professional",
    "/api/futures/liquidation/aggregated-heatmap": "professional",
    "/api/chain/v2/whale-transfer": "startup",
    "/api/article/list": "startup",
}
_LEAST_INTERVAL_MS = {"hobbyist": 4 * HOUR_MS, "startup": HOUR_MS // 2}

Answer = Callable[[Query], bytes]


class Refused(Exception):
    """An error envelope."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def plan_of(key: str) -> str:
    """The plan behind a simulated key: ``anything-PLAN``, else the standard one."""
    tail = key.rpartition("-")[2].lower()
    return tail if tail in PLANS else DEFAULT_PLAN


def allowed(plan: str, path: str, interval_ms: int | None) -> bool:
    """Whether a plan includes an endpoint at an interval."""
    needed = max(
        (PLANS.index(p) for prefix, p in _NEEDS.items() if path.startswith(prefix)), default=0
    )
    return PLANS.index(plan) >= needed and (interval_ms or NEVER_MS) >= _LEAST_INTERVAL_MS.get(
        plan, 0
    )


class Desk:
    """Answers the requests."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pairs: dict[str, dict[str, str]] = {}
        for exchange, venue in EXCHANGES.items():
            listed = world.tape.listed(venue, "perp")
            self._pairs[exchange] = {_pair(exchange, s): s for s in listed}
        self._coins: dict[str, str] = {}
        for listed_pairs in self._pairs.values():
            for symbol in listed_pairs.values():
                self._coins.setdefault(symbol.split("/")[0], symbol)

    @property
    def coins(self) -> Mapping[str, str]:
        """Coin -> canonical symbol."""
        return self._coins

    @property
    def pairs(self) -> Mapping[str, Mapping[str, str]]:
        """Exchange -> its name of a pair -> canonical symbol."""
        return self._pairs

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
        return EXCHANGES[exchange], self._pairs[exchange][pair]

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
        feed = self._recorded_days(kind, venues, symbol, detail) if step == DAY_MS else None
        recorded = feed is not None
        if feed is None and venues and kind != "depth":
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
            running=None if recorded else render,  # nobody recorded how a day began
        )
        return b"[" + rows + b"]"

    def _recorded_days(self, kind: str, venues: str, symbol: str, detail: str) -> Feed | None:
        """Days that the tape holds as days: of Binance's accounts, else over several venues."""
        of = "binance" if kind == "positioning" else "+".join(EXCHANGES.values())
        if venues != of:
            return None
        series = self._world.tape.days(kind, symbol, detail)
        return None if series is None else Feed(series, series, DAY_MS)


def _pair(exchange: str, symbol: str) -> str:
    return f"{symbol.replace('/', '-')}-SWAP" if exchange == "OKX" else joined(symbol)
