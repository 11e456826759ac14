"""OKX v5, as its REST interface answers.

Belongs here: paths, parameters, row formats and error envelopes. Does not belong here: where values
come from.

Everything is text and newest first; ``after`` is older than, ``before`` newer than, both exclusive,
as are ``end`` and ``begin`` of the statistics. ``1D`` and ``1W`` open at UTC+8, ``1Dutc`` and
``1Wutc`` at UTC. Volumes of swaps are contracts. ``market/candles`` reaches 1440 bars back, always;
the walls of the statistics (1440 rows) and of funding (94 days) stand only in a world with
``walls``, because a replay stands for having recorded those series all along.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.binance import takers
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
    contract_size,
)
from regime_pipeline.simulator.wire import (
    MONDAY_MS,
    Feed,
    Render,
    decimals_of,
    fixed,
    rows_of,
    whole,
)

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
_NEWEST_BARS = 1440
_FUNDING_WALL_MS = 94 * DAY_MS
_UNKNOWN = (200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")

Answer = Callable[[Query], bytes]


class Refused(Exception):
    """An error envelope with its HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)
    market, public = "/api/v5/market", "/api/v5/public"
    statistics = "/api/v5/rubik/stat"
    ratio = f"{statistics}/contracts/long-short-account-ratio-contract"
    positions = f"{statistics}/contracts/long-short-position-ratio-contract-top-trader"
    paths: dict[str, Answer] = {
        f"{market}/candles": desk.candles,
        f"{market}/history-candles": desk.history_candles,
        f"{market}/books": desk.books,
        f"{market}/trades": desk.trades,
        f"{market}/history-trades": desk.history_trades,
        f"{public}/instruments": desk.instruments,
        f"{public}/funding-rate": desk.funding_now,
        f"{public}/mark-price": desk.mark_price,
        f"{public}/liquidation-orders": desk.liquidation_orders,
        f"{public}/funding-rate-history": desk.funding,
        f"{public}/open-interest": desk.open_interest_now,
        f"{public}/time": lambda _: f'{{"ts":"{world.now_ms()}"}}'.encode(),
        f"{statistics}/contracts/open-interest-history": desk.open_interest,
        ratio: desk.shares("global_account"),
        f"{ratio}-top-trader": desk.shares("top_account"),
        positions: desk.shares("top_position"),
        f"{statistics}/taker-volume-contract": desk.takers,
    }
    found = [Route(path, _endpoint(answer)) for path, answer in paths.items()]
    return [*found, Route("/{rest:path}", _not_found)]


def _endpoint(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return reply(b'{"code":"0","msg":"","data":[' + answer(Query.of(request)) + b"]}")
        except Refused as refused:
            status, code, message = refused.status, refused.code, str(refused)
        except BadParameterError as bad:
            status = 400
            code = "50014" if bad.missing else "51000"
            text = "Parameter {} can not be empty" if bad.missing else "Parameter {} error"
            message = text.format(bad.name)
        return reply({"code": code, "msg": message, "data": []}, status=status)

    return handle


async def _not_found(_: Request) -> Response:
    return reply({"code": "404", "msg": "Not Found", "data": []}, status=404)


class Desk:
    """Answers the requests."""

    def __init__(self, world: World) -> None:
        self._world = world
        listed = {m: world.tape.listed("okx", m) for m in ("spot", "perp")}
        self._spot = {s.replace("/", "-"): s for s in listed["spot"]}
        self._swap = {f"{s.replace('/', '-')}-SWAP": s for s in listed["perp"]}

    def _instrument(self, query: Query) -> tuple[str, str]:
        text = query.needed("instId")
        for market, listed in (("spot", self._spot), ("perp", self._swap)):
            if text in listed:
                return market, listed[text]
        raise Refused(*_UNKNOWN)

    def _contract(self, query: Query) -> str:
        market, symbol = self._instrument(query)
        if market != "perp":
            raise Refused(*_UNKNOWN)
        return symbol

    def candles(self, query: Query) -> bytes:
        """``market/candles``: the newest 1440 bars with the open one, which says confirm 0."""
        return self._candles(query, most=300, reach=_NEWEST_BARS)

    def history_candles(self, query: Query) -> bytes:
        """``market/history-candles``: closed bars of all years."""
        return self._candles(query, most=100, reach=None)

    def _candles(self, query: Query, *, most: int, reach: int | None) -> bytes:
        market, symbol = self._instrument(query)
        step, offset = self._bar(query, "bar")
        feed = self._world.feed("candles", "okx", market, symbol, step, offset)
        if feed is None:
            return b""
        oldest = 0
        if reach is not None:
            oldest = (self._world.now_ms() // step - reach + 1) * step
        name = ("okx", "candles", market, symbol, step, offset)
        return self._page(
            name,
            feed,
            self._bar_rows(market, symbol, feed.hourly, "1"),
            query,
            most=most,
            oldest=oldest,
            running=self._bar_rows(market, symbol, feed.hourly, "0") if reach is not None else None,
        )

    def _bar(self, query: Query, name: str) -> tuple[int, int]:
        bar = query.get(name, "1H" if name == "period" else "1m")
        if bar not in BARS:
            raise BadParameterError(name)
        return BARS[bar]

    def _page(
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
    ) -> bytes:
        limit = query.whole("limit", 100)
        if limit < 1:
            raise BadParameterError("limit")
        return self._world.page(
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

    def _bar_rows(self, market: str, symbol: str, series: Candles, confirm: str) -> Render:
        size = contract_size(symbol) if market == "perp" else 1.0
        price, lots, coins, quote = self._world.digits(
            ("okx", market, symbol),
            lambda: (
                max(
                    decimals_of(getattr(series, n), at_least=1)
                    for n in ("open", "high", "low", "close")
                ),
                decimals_of(series.volume_base / size),
                decimals_of(series.volume_base),
                decimals_of(series.volume_quote),
            ),
        )

        def render(part: Candles) -> object:
            in_quote = fixed(part.volume_quote, quote)
            # volCcy is coins on swaps and quote currency on spot
            ccy = fixed(part.volume_base, coins) if market == "perp" else in_quote
            return rows_of(
                '["', whole(part.ts), '","', fixed(part.open, price), '","',
                fixed(part.high, price), '","', fixed(part.low, price), '","',
                fixed(part.close, price), '","', fixed(part.volume_base / size, lots), '","',
                ccy, '","', in_quote, f'","{confirm}"],',
            )  # fmt: skip

        return render

    def books(self, query: Query) -> bytes:
        """``books``: four texts a level, contracts on swaps; empty where the tape has no book."""
        market, symbol = self._instrument(query)
        limit = max(1, min(query.whole("sz", 1), 400))
        book = self._world.book("okx", market, symbol)
        if book is None:
            return b""
        size = contract_size(symbol) if market == "perp" else 1.0
        row = {
            "asks": _levels(book.ask_price, book.ask_size / size, book.digits, limit),
            "bids": _levels(book.bid_price, book.bid_size / size, book.digits, limit),
            "ts": str(self._world.now_ms() - 5),
            "seqId": self._world.now_ms() // 100,
        }
        return orjson.dumps(row)

    def trades(self, query: Query) -> bytes:
        """``trades``: the newest, newest first."""
        market, symbol = self._instrument(query)
        limit = max(1, min(query.whole("limit", 100), 500))
        part = self._world.newest_trades("okx", market, symbol, NEVER_MS, limit)
        return self._trade_rows(part, query["instId"], market, symbol)

    def history_trades(self, query: Query) -> bytes:
        """``history-trades``: older than an id (type 1, the default) or a time (type 2)."""
        market, symbol = self._instrument(query)
        limit = max(1, min(query.whole("limit", 100), 100))
        after = query.whole("after", NEVER_MS)
        if query.get("type", "1") == "2":
            part = self._world.newest_trades("okx", market, symbol, after, limit)
        else:
            before = min((after // IDS_PER_HOUR + 1) * HOUR_MS, NEVER_MS)
            part = self._world.newest_trades("okx", market, symbol, before, limit + IDS_PER_HOUR)
            if part is not None:
                part = part.rows(part.number < after).rows(slice(-limit, None))
        return self._trade_rows(part, query["instId"], market, symbol)

    def _trade_rows(self, part: Trades | None, text: str, market: str, symbol: str) -> bytes:
        if part is None:
            return b""
        size = contract_size(symbol) if market == "perp" else 1.0
        rows = [
            {
                "instId": text,
                "side": "buy" if part.buy[i] else "sell",
                "sz": f"{part.size[i] / size:.8f}",
                "px": f"{part.price[i]:.{part.digits}f}",
                "source": "0",
                "tradeId": str(part.number[i]),
                "ts": str(part.ts[i]),
            }
            for i in reversed(range(len(part)))
        ]
        return orjson.dumps(rows)[1:-1]

    def instruments(self, query: Query) -> bytes:
        """``instruments``: what stands behind a contract."""
        kind = query.needed("instType")
        if kind not in ("SPOT", "SWAP"):
            raise BadParameterError("instType")
        listed = self._swap if kind == "SWAP" else self._spot
        rows = [
            {
                "instType": kind,
                "instId": text,
                "uly": "-".join(text.split("-")[:2]) if kind == "SWAP" else "",
                "ctVal": f"{contract_size(symbol):g}" if kind == "SWAP" else "",
                "ctMult": "1" if kind == "SWAP" else "",
                "ctValCcy": symbol.split("/")[0] if kind == "SWAP" else "",
                "ctType": "linear" if kind == "SWAP" else "",
                "state": "live",
            }
            for text, symbol in listed.items()
            if query.get("instId", text) == text
        ]
        return orjson.dumps(rows)[1:-1]

    def mark_price(self, query: Query) -> bytes:
        """``mark-price`` of one swap or of all."""
        if query.needed("instType") != "SWAP":
            raise BadParameterError("instType")
        wanted = {query["instId"]: self._contract(query)} if "instId" in query else self._swap
        now = str(self._world.now_ms())
        rows = []
        for text, symbol in wanted.items():
            price = self._world.last_price("okx", "perp", symbol)
            if price is not None:
                rows.append(
                    {"instType": "SWAP", "instId": text, "markPx": f"{price:.8f}", "ts": now}
                )
        return orjson.dumps(rows)[1:-1]

    def funding_now(self, query: Query) -> bytes:
        """``funding-rate``: the estimate of the coming settlement, and the last settled rate."""
        symbol = self._contract(query)
        feed = self._world.feed("funding", "okx", "", symbol, 0)
        if feed is None:
            return b""
        now, series = self._world.now_ms(), feed.closed
        place = int(np.searchsorted(series.ts, now, side="right"))
        if place >= len(series):
            return b""
        guess = series.predicted[place]
        at = int(series.ts[place]) // HOUR_MS * HOUR_MS
        row = {
            "instType": "SWAP",
            "instId": query["instId"],
            "method": "current_period",
            "fundingRate": f"{guess if np.isfinite(guess) else series.rate[place]:.10f}",
            "fundingTime": str(at),
            "nextFundingTime": str(at + 8 * HOUR_MS),
            "settFundingRate": f"{series.rate[place - 1]:.10f}" if place else "",
            "settState": "settled",
            "ts": str(now),
        }
        return orjson.dumps(row)

    def liquidation_orders(self, query: Query) -> bytes:
        """``liquidation-orders``: contracts closed by force in the last day, newest first."""
        if query.needed("instType") != "SWAP":
            raise BadParameterError("instType")
        text = f"{query.needed('uly')}-SWAP"
        if text not in self._swap:
            raise Refused(*_UNKNOWN)
        symbol, now = self._swap[text], self._world.now_ms()
        before, after = query.whole("before", 0), query.whole("after", NEVER_MS)
        limit = max(1, min(query.whole("limit", 100), 100))
        details: list[dict[str, str]] = []
        hour = min(now, after - 1) // HOUR_MS * HOUR_MS
        oldest = max(now - DAY_MS, before + 1)
        while hour > oldest - HOUR_MS and len(details) < limit:
            found = self._world.tape.closures("okx", symbol, hour)
            for i in reversed(range(0 if found is None else len(found.ts))):
                assert found is not None
                if oldest <= found.ts[i] <= now and found.ts[i] < after:
                    details.append(
                        {
                            "bkLoss": "0",
                            "bkPx": f"{found.price[i]:.{found.digits}f}",
                            "ccy": "",
                            "posSide": "long" if found.long[i] else "short",
                            "side": "sell" if found.long[i] else "buy",
                            "sz": f"{found.size[i] / contract_size(symbol):.8f}",
                            "ts": str(found.ts[i]),
                        }
                    )
            hour -= HOUR_MS
        if not details:
            return b""
        uly = query["uly"]
        row = {
            "instType": "SWAP",
            "instId": text,
            "instFamily": uly,
            "uly": uly,
            "totalLoss": "0",
            "details": details[:limit],
        }
        return orjson.dumps(row)

    def funding(self, query: Query) -> bytes:
        """``funding-rate-history``: predicted and settled rates."""
        symbol = self._contract(query)
        feed = self._world.feed("funding", "okx", "", symbol, 0)
        if feed is None:
            return b""
        instrument = query["instId"]

        def render(part: Funding) -> object:
            predicted = np.where(np.isfinite(part.predicted), part.predicted, part.rate)
            # settlements are told at the full hour here, without Binance's milliseconds
            return rows_of(
                f'{{"instType":"SWAP","instId":"{instrument}","fundingRate":"',
                fixed(predicted, 10), '","realizedRate":"', fixed(part.rate, 10),
                '","fundingTime":"', whole(part.ts // HOUR_MS * HOUR_MS),
                '","method":"current_period","formulaType":"withRate"},',
            )  # fmt: skip

        oldest = self._world.now_ms() - _FUNDING_WALL_MS if self._world.walls else 0
        name = ("okx", "funding", symbol)
        return self._page(name, feed, render, query, most=100, oldest=oldest)

    def open_interest_now(self, query: Query) -> bytes:
        """``public/open-interest``: the newest figure of one swap, or of all."""
        if query.needed("instType") != "SWAP":
            raise BadParameterError("instType")
        wanted = {query["instId"]: self._contract(query)} if "instId" in query else self._swap
        now = self._world.now_ms()
        rows = []
        for instrument, symbol in wanted.items():
            feed = self._world.feed("open_interest", "okx", "", symbol, HOUR_MS)
            if feed is None:
                continue
            place = int(np.searchsorted(feed.closed.ts, now - HOUR_MS, "right")) - 1
            if place >= 0:
                coins = float(feed.closed.close[place])
                rows.append(
                    f'{{"instType":"SWAP","instId":"{instrument}",'
                    f'"oi":"{coins / contract_size(symbol):.2f}","oiCcy":"{coins:.4f}",'
                    f'"oiUsd":"{float(feed.closed.close_usd[place]):.2f}","ts":"{now}"}}'
                )
        return ",".join(rows).encode()

    def _statistics(self, query: Query, feed: Feed | None, name: str, render: Render) -> bytes:
        if feed is None:
            return b""
        oldest = 0
        if self._world.walls:
            oldest = self._world.now_ms() - _NEWEST_BARS * feed.step_ms
        full = ("okx", name, query["instId"], query.get("unit"), feed.step_ms, feed.offset_ms)
        return self._page(
            full,
            feed,
            render,
            query,
            most=100,
            oldest=oldest,
            running=render,
            older="end",
            newer="begin",
        )

    def open_interest(self, query: Query) -> bytes:
        """``open-interest-history``: contracts, coins, USD."""
        symbol = self._contract(query)
        feed = self._world.feed("open_interest", "okx", "", symbol, *self._bar(query, "period"))
        size = contract_size(symbol)

        def render(part: OpenInterest) -> object:
            return rows_of(
                '["', whole(part.ts), '","', fixed(part.close / size, 8), '","',
                fixed(part.close, 8), '","', fixed(part.close_usd, 8), '"],',
            )  # fmt: skip

        return self._statistics(query, feed, "open_interest", render)

    def shares(self, metric: str) -> Answer:
        """The three long/short ratios: long divided by short."""

        def render(part: Shares) -> object:
            ratio = part.long / (1.0 - part.long)
            return rows_of('["', whole(part.ts), '","', fixed(ratio, 4), '"],')

        def answer(query: Query) -> bytes:
            symbol = self._contract(query)
            bar = self._bar(query, "period")
            feed = self._world.feed("positioning", "okx", metric, symbol, *bar)
            return self._statistics(query, feed, metric, render)

        return answer

    def takers(self, query: Query) -> bytes:
        """``taker-volume-contract``: sold first, then bought; unit 0 coins, 1 contracts, 2 USD."""
        symbol = self._contract(query)
        step, offset = self._bar(query, "period")
        unit = query.get("unit", "1")
        if unit not in ("0", "1", "2"):
            raise BadParameterError("unit")
        size = contract_size(symbol)

        def render(part: Candles) -> object:
            bought, sold = part.taker_buy_base, part.volume_base - part.taker_buy_base
            if unit == "1":
                bought, sold = bought / size, sold / size
            elif unit == "2":
                bought, sold = part.taker_buy_quote, part.volume_quote - part.taker_buy_quote
            return rows_of(
                '["', whole(part.ts), '","', fixed(sold, 8), '","', fixed(bought, 8), '"],'
            )

        feed = takers(self._world, "okx", symbol, step, offset)
        return self._statistics(query, feed, "takers", render)


def _levels(price: np.ndarray, size: np.ndarray, digits: int, limit: int) -> list[list[str]]:
    pairs = zip(price[:limit].tolist(), size[:limit].tolist(), strict=True)
    return [[f"{p:.{digits}f}", f"{max(s, 1e-8):.8f}", "0", "1"] for p, s in pairs]
