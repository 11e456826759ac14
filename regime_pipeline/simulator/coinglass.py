"""Coinglass v4, as its REST interface answers.

Belongs here: its routes, and the hourly sums: liquidations and open interest. Does not belong here:
the other rows (``coinglass_lists``), keys and envelopes (``coinglass_desk``), where values come from.

Errors come with HTTP 200 and a ``code`` that is not ``"0"``. Rows are oldest first, labelled by the
bucket's start, the last one still growing; hours in which nobody was liquidated have no row. Without
``start_time`` the newest ``limit`` rows are given, else the first ones from there.
"""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.coinglass_desk import EXCHANGES, Answer, Desk
from regime_pipeline.simulator.coinglass_lists import Lists
from regime_pipeline.simulator.context import BadParameterError, Query, World, reply
from regime_pipeline.simulator.render import fixed, rows_of, shortest, whole
from regime_pipeline.simulator.series import Depth, Liquidations, OpenInterest


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)
    paths = {**Sums(desk).paths(), **Lists(world, desk).paths()}
    found = [Route(path, desk.endpoint(answer, path)) for path, answer in paths.items()]
    return [*found, Route("/{rest:path}", _not_found)]


async def _not_found(_: Request) -> Response:
    return reply({"code": "404", "msg": "Not Found"}, status=404)


class Sums:
    """Answers for the paths of this module."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def paths(self) -> dict[str, Answer]:
        """Path -> answer."""
        prefix = "/api/futures"
        return {
            f"{prefix}/liquidation/history": self.liquidations,
            f"{prefix}/liquidation/aggregated-history": self.liquidations_of_all,
            f"{prefix}/open-interest/history": self.open_interest,
            f"{prefix}/open-interest/aggregated-history": self.open_interest_of_all,
            f"{prefix}/orderbook/aggregated-ask-bids-history": self.depth,
            f"{prefix}/supported-coins": self.coins,
            f"{prefix}/supported-exchange-pairs": self.pairs,
        }

    def coins(self, _: Query) -> bytes:
        """``supported-coins``."""
        return b"[" + ",".join(f'"{c}"' for c in sorted(self._desk.coins)).encode() + b"]"

    def pairs(self, query: Query) -> bytes:
        """``supported-exchange-pairs``: exchange to its pairs."""
        wanted = [query["exchange"]] if "exchange" in query else list(self._desk.pairs)
        told = {}
        for exchange in wanted:
            told[exchange] = [
                {
                    "instrument_id": pair,
                    "base_asset": symbol.split("/")[0],
                    "quote_asset": symbol.split("/")[1],
                }
                for pair, symbol in self._desk.pairs.get(exchange, {}).items()
            ]
        return orjson.dumps(told)

    def liquidations(self, query: Query) -> bytes:
        """``liquidation/history``: one pair of one exchange, as texts."""
        venue, symbol = self._desk.pair_of(query)

        def render(part: Liquidations) -> object:
            return rows_of(
                '{"time":', whole(part.ts), ',"long_liquidation_usd":"', fixed(part.long_usd, 5),
                '","short_liquidation_usd":"', fixed(part.short_usd, 5), '"},',
            )  # fmt: skip

        return self._desk.rows(query, "liquidations", venue, symbol, "liquidations", render)

    def liquidations_of_all(self, query: Query) -> bytes:
        """``liquidation/aggregated-history``: one coin over the named exchanges, as numbers."""
        symbol = self._desk.coin_of(query)
        wanted = [part.strip() for part in query.needed("exchange_list").split(",")]
        venues = "+".join(v for e, v in EXCHANGES.items() if e in wanted)

        def render(part: Liquidations) -> object:
            return rows_of(
                '{"time":', whole(part.ts), ',"aggregated_long_liquidation_usd":',
                shortest(part.long_usd.round(5)), ',"aggregated_short_liquidation_usd":',
                shortest(part.short_usd.round(5)), "},",
            )  # fmt: skip

        return self._desk.rows(query, "liquidations", venues, symbol, "liquidations_of_all", render)

    def open_interest(self, query: Query) -> bytes:
        """``open-interest/history``: one pair of one exchange, USD or coins."""
        venue, symbol = self._desk.pair_of(query)
        return self._open_interest(query, venue, symbol)

    def open_interest_of_all(self, query: Query) -> bytes:
        """``open-interest/aggregated-history``: one coin over all exchanges."""
        return self._open_interest(query, "+".join(EXCHANGES.values()), self._desk.coin_of(query))

    def depth(self, query: Query) -> bytes:
        """``orderbook/aggregated-ask-bids-history``: days within one percent, where they were recorded."""
        symbol = self._desk.coin_of(query)
        query.needed("exchange_list")
        if query.get("range", "1") != "1":
            return b"[]"

        def render(part: Depth) -> object:
            return rows_of(
                '{"time":', whole(part.ts), ',"aggregated_bids_usd":', fixed(part.bids_usd, 4),
                ',"aggregated_asks_usd":', fixed(part.asks_usd, 4), "},",
            )  # fmt: skip

        return self._desk.rows(
            query, "depth", "+".join(EXCHANGES.values()), symbol, "depth", render
        )

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

        return self._desk.rows(
            query,
            "open_interest",
            venues,
            symbol,
            f"open_interest_{unit}",
            render,
            detail="coin" if unit == "coin" else "",
        )


ROUTES = {"coinglass": routes}
