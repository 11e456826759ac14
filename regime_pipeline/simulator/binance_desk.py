"""Who is asked at a simulated Binance house, and how: symbols, errors, weights, pages.

Belongs here: what the three houses share before any row is written. Does not belong here: row
formats (``binance``, ``binance_futures``), where values come from.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from regime_pipeline.simulator.context import (
    NEVER_MS,
    BadParameterError,
    Query,
    World,
    reply,
)
from regime_pipeline.simulator.render import INTERVALS_MS, MONDAY_MS, Feed, Render, decimals_of
from regime_pipeline.simulator.series import DAY_MS, Candles, joined

_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")


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


class Desk:
    """Answers the requests to one house."""

    def __init__(self, world: World, house: House) -> None:
        self.world, self.house = world, house
        self.listed = {joined(s): s for s in world.tape.listed(house.venue, house.market)}

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
            used = str(self.world.used(self.house.provider, weight))
            names = ("x-mbx-used-weight", "x-mbx-used-weight-1m")
            headers = dict.fromkeys(names, used)
            if self.house.market == "perp":
                del headers["x-mbx-used-weight"]
            return reply(content, status=status, headers=headers)

        return handle

    def symbol_of(self, query: Query, name: str = "symbol") -> str:
        """The canonical symbol that a parameter names.

        Raises:
            Refused: it is none, or not listed.
        """
        text = query.needed(name)
        if not _SYMBOL.fullmatch(text):
            raise Refused(
                -1100,
                f"Illegal characters found in parameter '{name}'; "
                "legal range is '^[A-Z0-9-_.]{1,20}$'.",
            )
        if text not in self.listed:
            raise Refused(-1121, "Invalid symbol.")
        return self.listed[text]

    def step_of(self, query: Query) -> int:
        """Length of the asked interval, ms.

        Raises:
            Refused: no interval of the tape.
        """
        interval = query.needed("interval")
        if interval not in INTERVALS_MS:
            raise Refused(-1120, "Invalid interval.")
        return INTERVALS_MS[interval]

    def bars_asked(self, query: Query) -> tuple[int, int]:
        """How many bars a request gets, and what it weighs.

        Raises:
            Refused: more than a futures request may ask for.
        """
        house, limit = self.house, query.whole("limit", 500)
        if house.market == "spot":
            return max(1, min(limit, house.max_klines)), house.kline_weight
        if not 0 < limit <= house.max_klines:
            raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
        return limit, 1 + sum(limit >= border for border in (100, 500)) + 5 * (limit > 1000)

    def candles(self, symbol: str, step: int, market: str | None = None) -> Feed | None:
        """Bars of a symbol at the house, of another market where one is named."""
        offset = MONDAY_MS if step == 7 * DAY_MS else 0
        market = market or self.house.market
        return self.world.feed("candles", self.house.venue, market, symbol, step, offset)

    def page(
        self, name: tuple[object, ...], feed: Feed, render: Render, query: Query, limit: int
    ) -> bytes:
        """Rows oldest first, the running one last: from ``startTime``, else the newest."""
        return self.world.page(
            (self.house.provider, *name),
            feed,
            render,
            low=query.whole("startTime", 0),
            high=query.whole("endTime", NEVER_MS),
            limit=limit,
            newest_rows="startTime" not in query,
            running=render,
        )

    def digits(self, symbol: str, series: Candles) -> tuple[int, int, int]:
        """Decimals of prices, of amounts and of amounts in quote currency."""
        if self.house.market == "spot":
            return 8, 8, 8
        found: tuple[int, int, int] = self.world.digits(
            (self.house.provider, symbol),
            lambda: (
                max(decimals_of(getattr(series, n)) for n in ("open", "high", "low", "close")),
                decimals_of(series.volume_base),
                decimals_of(series.volume_quote, at_least=2),
            ),
        )
        return found


def _bad_parameter(bad: BadParameterError) -> dict[str, object]:
    if bad.missing:
        message = f"Mandatory parameter '{bad.name}' was not sent, was empty/null, or malformed."
        return {"code": -1102, "msg": message}
    message = (
        f"Illegal characters found in parameter '{bad.name}'; legal range is '^[0-9]{{1,20}}$'."
    )
    return {"code": -1100, "msg": message}
