"""Who is asked at the simulated OKX, and how: instruments, bars, error envelopes, pages.

Belongs here: what every path shares before a row is written. Does not belong here: row formats
(``okx``, ``okx_statistics``), where values come from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from regime_pipeline.simulator.context import (
    NEVER_MS,
    BadParameterError,
    Query,
    World,
    reply,
)
from regime_pipeline.simulator.render import MONDAY_MS, Feed, Render
from regime_pipeline.simulator.series import DAY_MS, HOUR_MS

# bar -> (length, offset of the grid): the long bars open at 16:00 UTC, which is midnight in UTC+8
_EIGHT = -8 * HOUR_MS
BARS = {
    "1H": (HOUR_MS, 0),
    "4H": (4 * HOUR_MS, 0),
    "1D": (DAY_MS, _EIGHT),
    "1Dutc": (DAY_MS, 0),
    "1W": (7 * DAY_MS, MONDAY_MS + _EIGHT),
    "1Wutc": (7 * DAY_MS, MONDAY_MS),
}
UNKNOWN = (200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")

Answer = Callable[[Query], bytes]


class Refused(Exception):
    """An error envelope with its HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def endpoint(answer: Answer, *, listed: bool = True) -> Callable[[Request], Awaitable[Response]]:
    """An ASGI endpoint around an answer: its rows, or the data itself, in the envelope."""
    head, tail = (b"[", b"]") if listed else (b"", b"")

    async def handle(request: Request) -> Response:
        try:
            data = head + answer(Query.of(request)) + tail
            return reply(b'{"code":"0","msg":"","data":' + data + b"}")
        except Refused as refused:
            status, code, message = refused.status, refused.code, str(refused)
        except BadParameterError as bad:
            status = 400
            code = "50014" if bad.missing else "51000"
            text = "Parameter {} can not be empty" if bad.missing else "Parameter {} error"
            message = text.format(bad.name)
        return reply({"code": code, "msg": message, "data": []}, status=status)

    return handle


class Desk:
    """Reads requests and cuts pages."""

    def __init__(self, world: World) -> None:
        self.world = world
        listed = {m: world.tape.listed("okx", m) for m in ("spot", "perp")}
        self.spot = {s.replace("/", "-"): s for s in listed["spot"]}
        self.swap = {f"{s.replace('/', '-')}-SWAP": s for s in listed["perp"]}

    def instrument_of(self, query: Query) -> tuple[str, str]:
        """Market and symbol of a request for one instrument.

        Raises:
            Refused: there is none of that name.
        """
        text = query.needed("instId")
        for market, listed in (("spot", self.spot), ("perp", self.swap)):
            if text in listed:
                return market, listed[text]
        raise Refused(*UNKNOWN)

    def contract_of(self, query: Query) -> str:
        """The symbol of a request for one swap.

        Raises:
            Refused: there is none of that name.
        """
        market, symbol = self.instrument_of(query)
        if market != "perp":
            raise Refused(*UNKNOWN)
        return symbol

    def instruments_of(self, query: Query) -> dict[str, str]:
        """The instruments of the asked kind, or the one that is named: name -> symbol.

        Raises:
            BadParameterError: the tape has no such kind.
            Refused: there is none of that name.
        """
        kind = query.needed("instType")
        if kind not in ("SPOT", "SWAP"):
            raise BadParameterError("instType")
        listed = self.swap if kind == "SWAP" else self.spot
        if "instId" not in query:
            return listed
        if query["instId"] not in listed:
            raise Refused(*UNKNOWN)
        return {query["instId"]: listed[query["instId"]]}

    def bar_of(self, query: Query, name: str) -> tuple[int, int]:
        """Length and offset of the asked bar or period, ms.

        Raises:
            BadParameterError: none of the tape.
        """
        bar = query.get(name, "1H" if name == "period" else "1m")
        if bar not in BARS:
            raise BadParameterError(name)
        return BARS[bar]

    def page(
        self,
        name: tuple[object, ...],
        feed: Feed,
        render: Render,
        query: Query,
        *,
        most: int,
        oldest: int = 0,
        running: Render | None = None,
        older: str = "after",
        newer: str = "before",
        default: int = 100,
    ) -> bytes:
        """Rows newest first; both bounds are exclusive.

        Raises:
            BadParameterError: no limit.
        """
        limit = query.whole("limit", default)
        if limit < 1:
            raise BadParameterError("limit")
        return self.world.page(
            name,
            feed,
            render,
            low=max(oldest, query.whole(newer, -1) + 1),
            high=query.whole(older, NEVER_MS) - 1,
            limit=min(limit, most),
            newest_rows=True,
            newest_first=True,
            running=running,
        )
