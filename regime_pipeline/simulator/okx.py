"""OKX v5, as its REST interface answers.

Belongs here: its routes; bars, books, trades, tickers, instruments, rates and forced closures. Does
not belong here: the statistics (``okx_statistics``), instruments and envelopes (``okx_desk``), where
values come from.

Everything is text and newest first; ``after`` is older than, ``before`` newer than, both exclusive,
as are ``end`` and ``begin`` of the statistics. ``1D`` and ``1W`` open at UTC+8, ``1Dutc`` and
``1Wutc`` at UTC. Volumes of swaps are contracts. ``market/candles`` reaches 1440 bars back, always;
the wall of funding (94 days) stands only in a world with ``walls``, because a replay stands for
having recorded that series all along. The mark price is the swap's, the index the spot price.
"""

from __future__ import annotations

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.context import NEVER_MS, BadParameterError, Query, World, reply
from regime_pipeline.simulator.microstructure import IDS_PER_HOUR, Trades
from regime_pipeline.simulator.okx_desk import UNKNOWN, Answer, Desk, Refused, endpoint
from regime_pipeline.simulator.okx_statistics import STATISTICS, Statistics
from regime_pipeline.simulator.render import Render, decimals_of, fixed, rows_of, whole
from regime_pipeline.simulator.series import (
    DAY_MS,
    HOUR_MS,
    Candles,
    Funding,
    contract_size,
)

_NEWEST_BARS = 1440
_FUNDING_WALL_MS = 94 * DAY_MS


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)
    statistics = Statistics(world, desk)
    paths = Market(world, desk).paths() | statistics.paths()
    found = [Route(path, endpoint(answer)) for path, answer in paths.items()]
    coins = Route(
        f"{STATISTICS}/trading-data/support-coin", endpoint(statistics.coins, listed=False)
    )
    return [*found, coins, Route("/{rest:path}", _not_found)]


async def _not_found(_: Request) -> Response:
    return reply({"code": "404", "msg": "Not Found", "data": []}, status=404)


class Market:
    """Answers for the paths of this module."""

    def __init__(self, world: World, desk: Desk) -> None:
        self._world, self._desk = world, desk

    def paths(self) -> dict[str, Answer]:
        """Path -> answer."""
        market, public = "/api/v5/market", "/api/v5/public"
        return {
            f"{market}/candles": self.candles,
            f"{market}/history-candles": self.history_candles,
            f"{market}/books": self.books,
            f"{market}/trades": self.trades,
            f"{market}/history-trades": self.history_trades,
            f"{market}/ticker": self.ticker,
            f"{market}/tickers": self.tickers,
            f"{market}/index-tickers": self.index_tickers,
            f"{public}/instruments": self.instruments,
            f"{public}/funding-rate": self.funding_now,
            f"{public}/mark-price": self.mark_price,
            f"{public}/liquidation-orders": self.liquidation_orders,
            f"{public}/funding-rate-history": self.funding,
            f"{public}/open-interest": self.open_interest_now,
            f"{public}/time": lambda _: f'{{"ts":"{self._world.now_ms()}"}}'.encode(),
        }

    def candles(self, query: Query) -> bytes:
        """``market/candles``: the newest 1440 bars with the open one, which says confirm 0."""
        return self._candles(query, most=300, reach=_NEWEST_BARS)

    def history_candles(self, query: Query) -> bytes:
        """``market/history-candles``: closed bars of all years."""
        return self._candles(query, most=100, reach=None)

    def _candles(self, query: Query, *, most: int, reach: int | None) -> bytes:
        market, symbol = self._desk.instrument_of(query)
        step, offset = self._desk.bar_of(query, "bar")
        feed = self._world.feed("candles", "okx", market, symbol, step, offset)
        if feed is None:
            return b""
        oldest = 0
        if reach is not None:
            oldest = (self._world.now_ms() // step - reach + 1) * step
        name = ("okx", "candles", market, symbol, step, offset)
        return self._desk.page(
            name,
            feed,
            self._bar_rows(market, symbol, feed.hourly, "1"),
            query,
            most=most,
            oldest=oldest,
            running=self._bar_rows(market, symbol, feed.hourly, "0") if reach is not None else None,
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
        market, symbol = self._desk.instrument_of(query)
        limit = max(1, min(query.whole("sz", 1), 400))
        book = self._world.book("okx", market, symbol)
        if book is None:
            return b""
        size = contract_size(symbol) if market == "perp" else 1.0
        row = {
            "asks": levels_of(book.ask_price, book.ask_size / size, book.digits, limit),
            "bids": levels_of(book.bid_price, book.bid_size / size, book.digits, limit),
            "ts": str(self._world.now_ms() - 5),
            "seqId": self._world.now_ms() // 100,
        }
        return orjson.dumps(row)

    def trades(self, query: Query) -> bytes:
        """``trades``: the newest, newest first."""
        market, symbol = self._desk.instrument_of(query)
        limit = max(1, min(query.whole("limit", 100), 500))
        part = self._world.newest_trades("okx", market, symbol, NEVER_MS, limit)
        return self.trade_rows(part, query["instId"], market, symbol)

    def history_trades(self, query: Query) -> bytes:
        """``history-trades``: older than an id (type 1, the default) or a time (type 2)."""
        market, symbol = self._desk.instrument_of(query)
        limit = max(1, min(query.whole("limit", 100), 100))
        after = query.whole("after", NEVER_MS)
        if query.get("type", "1") == "2":
            part = self._world.newest_trades("okx", market, symbol, after, limit)
        else:
            before = min((after // IDS_PER_HOUR + 1) * HOUR_MS, NEVER_MS)
            part = self._world.newest_trades("okx", market, symbol, before, limit + IDS_PER_HOUR)
            if part is not None:
                part = part.rows(part.number < after).rows(slice(-limit, None))
        return self.trade_rows(part, query["instId"], market, symbol)

    def trade_rows(self, part: Trades | None, text: str, market: str, symbol: str) -> bytes:
        """Trades as JSON objects with commas between, newest first."""
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

    def ticker(self, query: Query) -> bytes:
        """``ticker``: the last day of one instrument."""
        market, symbol = self._desk.instrument_of(query)
        row = self._ticker(query["instId"], market, symbol)
        return b"" if row is None else orjson.dumps(row)

    def tickers(self, query: Query) -> bytes:
        """``tickers``: the same of every instrument of a kind."""
        market = "perp" if query.get("instType") == "SWAP" else "spot"
        listed = self._desk.instruments_of(query)
        rows = [self._ticker(text, market, symbol) for text, symbol in listed.items()]
        return orjson.dumps([row for row in rows if row is not None])[1:-1]

    def _ticker(self, text: str, market: str, symbol: str) -> dict[str, str] | None:
        day = self._world.last_day("okx", market, symbol)
        if day is None:
            return None
        last, volume = float(day.close[0]), float(day.volume_base[0])
        size = contract_size(symbol) if market == "perp" else 1.0
        book = self._world.book("okx", market, symbol)
        sides = {"ask": (last, 0.0), "bid": (last, 0.0)}
        if book is not None:
            sides = {"ask": (book.ask_price[0], book.ask_size[0] / size),
                     "bid": (book.bid_price[0], book.bid_size[0] / size)}  # fmt: skip
        newest = self._world.newest_trades("okx", market, symbol, NEVER_MS, 1)
        row = {
            "instType": "SWAP" if market == "perp" else "SPOT",
            "instId": text,
            "last": f"{last:.8f}",
            "lastSz": f"{0.0 if newest is None else newest.size[0] / size:.8f}",
        }
        for side, (price, amount) in sides.items():
            row |= {f"{side}Px": f"{price:.8f}", f"{side}Sz": f"{amount:.8f}"}
        in_quote = float(day.volume_quote[0])
        return (
            row
            | self._range(market, symbol, day)
            | {
                "vol24h": f"{volume / size:.8f}",
                # coins on swaps, quote currency on spot
                "volCcy24h": f"{volume if market == 'perp' else in_quote:.8f}",
                "ts": str(self._world.now_ms()),
            }
        )

    def _range(self, market: str, symbol: str, day: Candles) -> dict[str, str]:
        """The last day's open and extremes, and the opens of the day here and in UTC+8."""
        feed = self._world.feed("candles", "okx", market, symbol, HOUR_MS)
        told = {"open24h": day.open, "high24h": day.high, "low24h": day.low}
        row = {name: f"{float(value[0]):.8f}" for name, value in told.items()}
        for name, offset in (("sodUtc0", 0), ("sodUtc8", -8 * HOUR_MS)):
            begin = (self._world.now_ms() - offset) // DAY_MS * DAY_MS + offset
            assert feed is not None
            place = int(np.searchsorted(feed.closed.ts, begin))
            known = place < len(feed.closed) and int(feed.closed.ts[place]) <= self._world.now_ms()
            row[name] = f"{float(feed.closed.open[place]):.8f}" if known else ""
        return row

    def index_tickers(self, query: Query) -> bytes:
        """``index-tickers`` of one index or of all of a quote currency."""
        wanted = {text.removesuffix("-SWAP"): symbol for text, symbol in self._desk.swap.items()}
        if "instId" in query:
            if query["instId"] not in wanted:
                raise Refused(*UNKNOWN)
            wanted = {query["instId"]: wanted[query["instId"]]}
        elif "quoteCcy" in query:
            wanted = {t: s for t, s in wanted.items() if s.split("/")[1] == query["quoteCcy"]}
        else:
            raise BadParameterError("instId", missing=True)
        rows = []
        for text, symbol in wanted.items():
            market = self._world.index_market("okx", symbol)
            day = self._world.last_day("okx", market, symbol)
            if day is not None:
                price = {"instId": text, "idxPx": f"{float(day.close[0]):.8f}"}
                now = {"ts": str(self._world.now_ms())}
                rows.append(price | self._range(market, symbol, day) | now)
        return orjson.dumps(rows)[1:-1]

    def instruments(self, query: Query) -> bytes:
        """``instruments``: what stands behind a contract."""
        kind = query.needed("instType")
        if kind not in ("SPOT", "SWAP"):
            raise BadParameterError("instType")
        listed = self._desk.swap if kind == "SWAP" else self._desk.spot
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
                "listTime": str(
                    self._world.listed_ms("okx", "perp" if kind == "SWAP" else "spot", symbol)
                ),
                "expTime": "",
            }
            for text, symbol in listed.items()
            if query.get("instId", text) == text
        ]
        return orjson.dumps(rows)[1:-1]

    def mark_price(self, query: Query) -> bytes:
        """``mark-price`` of one swap or of all."""
        if query.needed("instType") != "SWAP":
            raise BadParameterError("instType")
        wanted = self._desk.instruments_of(query)
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
        """``funding-rate``: the estimate of the coming settlement, and the last settled rate.

        Of one swap, or of every one where the instrument is ``ANY``.
        """
        if query.get("instId", "") == "ANY":
            rows = [self._running_rate(text, symbol) for text, symbol in self._desk.swap.items()]
            return b",".join(row for row in rows if row)
        return self._running_rate(query.needed("instId"), self._desk.contract_of(query))

    def _running_rate(self, instrument: str, symbol: str) -> bytes:
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
            "instId": instrument,
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
        if text not in self._desk.swap:
            raise Refused(*UNKNOWN)
        symbol, now = self._desk.swap[text], self._world.now_ms()
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
        symbol = self._desk.contract_of(query)
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
        return self._desk.page(name, feed, render, query, most=100, oldest=oldest)

    def open_interest_now(self, query: Query) -> bytes:
        """``public/open-interest``: the newest figure of one swap, or of all."""
        if query.needed("instType") != "SWAP":
            raise BadParameterError("instType")
        wanted = self._desk.instruments_of(query)
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


def levels_of(price: np.ndarray, size: np.ndarray, digits: int, limit: int) -> list[list[str]]:
    """The best levels of a side: price, size, an unused field, orders."""
    pairs = zip(price[:limit].tolist(), size[:limit].tolist(), strict=True)
    return [[f"{p:.{digits}f}", f"{max(s, 1e-8):.8f}", "0", "1"] for p, s in pairs]


ROUTES = {"okx": routes}
