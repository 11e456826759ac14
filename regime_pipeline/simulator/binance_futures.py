"""Binance USD-M futures beside bars, books and trades: funding, references, open interest, positions.

Belongs here: row formats of those paths. Does not belong here: what futures answer as spot does
(``binance``), where values come from.

The mark price is the perpetual's, the index is the spot price where the tape has one. The tape has
perpetuals only: other contract types have no basis, and the taker volumes by pair, which the venue
has for coin-margined contracts, are those of the perpetual. The thirty-day wall of ``/futures/data``
stands only in a world with ``walls``, because a replay stands for having recorded those series.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import orjson

from regime_pipeline.simulator.binance_desk import Answer, Desk, Refused
from regime_pipeline.simulator.context import NEVER_MS, Query, World
from regime_pipeline.simulator.render import INTERVALS_MS, Render, fixed, quoted, rows_of, whole
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

_WALL_MS = 30 * DAY_MS
_CONTRACT_TYPES = ("PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER")
_CONTRACT_USD = {"BTC": 100.0}
_OTHER_CONTRACT_USD = 10.0


class Futures:
    """Answers for the paths of this module."""

    def __init__(self, world: World, desk: Desk) -> None:
        self._world, self._desk = world, desk

    def paths(self) -> dict[str, Answer]:
        """Path -> answer."""
        return {
            "/fapi/v1/markPriceKlines": self.reference_klines("symbol", lambda _: "perp"),
            "/fapi/v1/indexPriceKlines": self.reference_klines(
                "pair", lambda symbol: self._world.index_market("binance", symbol)
            ),
            "/fapi/v1/fundingRate": self.funding_rate,
            "/fapi/v1/fundingInfo": self.funding_info,
            "/fapi/v1/premiumIndex": self.premium_index,
            "/fapi/v1/openInterest": self.open_interest_now,
            "/futures/data/openInterestHist": self.open_interest,
            "/futures/data/globalLongShortAccountRatio": self.shares("global_account"),
            "/futures/data/topLongShortAccountRatio": self.shares("top_account"),
            "/futures/data/topLongShortPositionRatio": self.shares("top_position"),
            "/futures/data/takerlongshortRatio": self.taker_ratio,
            "/futures/data/takerBuySellVol": self.taker_volume,
            "/futures/data/basis": self.basis,
        }

    def reference_klines(self, name: str, market: Callable[[str], str]) -> Answer:
        """``markPriceKlines`` by symbol, ``indexPriceKlines`` by pair: prices without volumes."""

        def answer(query: Query) -> tuple[bytes, int]:
            symbol, step = self._desk.symbol_of(query, name), self._desk.step_of(query)
            limit, weight = self._desk.bars_asked(query)
            feed = self._desk.candles(symbol, step, market(symbol))
            if feed is None:
                return b"[]", weight

            def render(part: Candles) -> object:
                return rows_of(
                    "[", whole(part.ts), ',"', fixed(part.open, 8), '","', fixed(part.high, 8),
                    '","', fixed(part.low, 8), '","', fixed(part.close, 8), '","0",',
                    whole(part.ts + step - 1), f',"0",{step // 1000},"0","0","0"],',
                )  # fmt: skip

            rows = self._desk.page((name, "klines", symbol, step), feed, render, query, limit)
            return b"[" + rows + b"]", weight

        return answer

    def funding_rate(self, query: Query) -> tuple[bytes, int]:
        """``fundingRate``: settled prints, oldest first; all symbols when none is named."""
        limit = max(1, min(query.whole("limit", 100), 1000))
        symbols = (
            [self._desk.symbol_of(query)]
            if "symbol" in query
            else sorted(self._desk.listed.values())
        )
        pieces = []
        for symbol in symbols:
            feed = self._world.feed("funding", "binance", "", symbol, 0)
            if feed is None:
                continue
            render = _funding_rows(joined(symbol))
            name = ("fundingRate", symbol)
            pieces.append(self._desk.page(name, feed, render, query, limit))
        if len(pieces) > 1:
            return b"[" + _merged(pieces, limit, newest="startTime" not in query) + b"]", 1
        return b"[" + b"".join(pieces) + b"]", 1

    def funding_info(self, _: Query) -> tuple[object, int]:
        """``fundingInfo``: only symbols whose interval is not the default eight hours."""
        listed = []
        for text, symbol in self._desk.listed.items():
            feed = self._world.feed("funding", "binance", "", symbol, 0)
            if feed is None or len(feed.closed) < 2:
                continue
            seen = int(np.searchsorted(feed.closed.ts, self._world.now_ms(), side="right"))
            gap = np.diff(feed.closed.ts[max(0, seen - 2) : seen])
            hours = round(float(gap[0]) / HOUR_MS) if len(gap) else 8
            if hours in (1, 2, 4, 6):
                listed.append(
                    {
                        "adjustedFundingRateCap": "0.02000000",
                        "adjustedFundingRateFloor": "-0.02000000",
                        "disclaimer": False,
                        "fundingIntervalHours": hours,
                        "symbol": text,
                        "updateTime": int(feed.closed.ts[seen - 2]),
                    }
                )
        return listed, 0

    def premium_index(self, query: Query) -> tuple[object, int]:
        """``premiumIndex``: the running state; an object for one symbol, else a list."""
        if "symbol" in query:
            return self._premium(self._desk.symbol_of(query)), 1
        return [self._premium(s) for s in sorted(self._desk.listed.values())], 10

    def _premium(self, symbol: str) -> dict[str, object]:
        now = self._world.now_ms()
        coming, at = np.nan, (now // (8 * HOUR_MS) + 1) * 8 * HOUR_MS
        feed = self._world.feed("funding", "binance", "", symbol, 0)
        if feed is not None:
            place = int(np.searchsorted(feed.closed.ts, now, side="right"))
            if place < len(feed.closed):
                series = feed.closed
                guess = series.predicted[place]
                coming = float(guess if np.isfinite(guess) else series.rate[place])
                at = int(series.ts[place]) // HOUR_MS * HOUR_MS
        mark = self._world.last_price("binance", "perp", symbol)
        market = self._world.index_market("binance", symbol)
        index = self._world.last_price("binance", market, symbol) or mark
        return {
            "symbol": joined(symbol),
            "markPrice": _text(mark),
            "indexPrice": _text(index),
            "estimatedSettlePrice": _text(index),
            "lastFundingRate": "" if np.isnan(coming) else _text(coming),
            "interestRate": "0.00010000",
            "nextFundingTime": at,
            "time": now,
        }

    def open_interest_now(self, query: Query) -> tuple[object, int]:
        """``openInterest``: the newest figure."""
        symbol = self._desk.symbol_of(query)
        feed = self._world.feed("open_interest", "binance", "", symbol, HOUR_MS)
        now = self._world.now_ms()
        place = -1 if feed is None else int(np.searchsorted(feed.closed.ts, now - HOUR_MS, "right"))
        if feed is None or place < 1:
            return {"openInterest": "0", "symbol": joined(symbol), "time": now}, 1
        value = f"{float(feed.closed.close[place - 1]):.3f}"
        return {"openInterest": value, "symbol": joined(symbol), "time": now}, 1

    def open_interest(self, query: Query) -> tuple[bytes, int]:
        """``openInterestHist``: coins and USD at the bucket's close."""
        text = query.get("symbol", "")

        def render(part: OpenInterest) -> object:
            return rows_of(
                f'{{"symbol":"{text}","sumOpenInterest":', quoted(part.close, 8),
                ',"sumOpenInterestValue":', quoted(part.close_usd, 8),
                ',"timestamp":', whole(part.ts), "},",
            )  # fmt: skip

        return self._statistics(query, "open_interest", "", render)

    def shares(self, metric: str) -> Answer:
        """The three ``...LongShort...Ratio`` paths: shares of long and short and their ratio."""

        def answer(query: Query) -> tuple[bytes, int]:
            text = query.get("symbol", "")

            def render(part: Shares) -> object:
                ratio = part.long / (1.0 - part.long)
                return rows_of(
                    f'{{"symbol":"{text}","longAccount":"', fixed(part.long, 4),
                    '","longShortRatio":"', fixed(ratio, 4),
                    '","shortAccount":"', fixed(1.0 - part.long, 4),
                    '","timestamp":', whole(part.ts), "},",
                )  # fmt: skip

            return self._statistics(query, "positioning", metric, render)

        return answer

    def taker_ratio(self, query: Query) -> tuple[bytes, int]:
        """``takerlongshortRatio``: bought and sold by takers, in coins; rows name no symbol."""

        def render(part: Candles) -> object:
            bought, sold = part.taker_buy_base, part.volume_base - part.taker_buy_base
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(sold > 0, bought / sold, 0.0)
            return rows_of(
                '{"buySellRatio":"', fixed(ratio, 4), '","buyVol":"', fixed(bought, 4),
                '","sellVol":"', fixed(sold, 4), '","timestamp":', whole(part.ts), "},",
            )  # fmt: skip

        return self._statistics(query, "takers", "perp", render)

    def taker_volume(self, query: Query) -> tuple[bytes, int]:
        """``takerBuySellVol``: bought and sold by takers, in contracts and in coins."""
        pair = query.needed("pair")
        symbol = self._pair_of(pair)
        kind = query.needed("contractType")
        if kind != "ALL":
            self._contract_type(query)
        size = _CONTRACT_USD.get(symbol.split("/")[0], _OTHER_CONTRACT_USD)

        def render(part: Candles) -> object:
            bought, sold = part.taker_buy_base, part.volume_base - part.taker_buy_base
            return rows_of(
                f'{{"contractType":"{kind}","pair":"{pair}","takerBuyVol":"',
                fixed(np.round(bought * part.close / size), 0), '","takerBuyVolValue":"',
                fixed(bought, 4), '","takerSellVol":"',
                fixed(np.round(sold * part.close / size), 0), '","takerSellVolValue":"',
                fixed(sold, 4), '","timestamp":', whole(part.ts), "},",
            )  # fmt: skip

        detail = "perp" if kind in ("ALL", "PERPETUAL") else ""
        return self._statistics(
            query, "takers", detail, render, symbol=symbol, name=f"takers {kind}"
        )

    def _pair_of(self, pair: str) -> str:
        """The symbol whose coin-margined pair is asked for, ``BTCUSD``."""
        for symbol in self._desk.listed.values():
            if pair == f"{symbol.split('/')[0]}USD":
                return symbol
        raise Refused(-1121, "Invalid symbol.")

    def _contract_type(self, query: Query) -> str:
        kind = query.needed("contractType")
        if kind not in _CONTRACT_TYPES:
            raise Refused(-1130, "parameter 'contractType' is invalid.")
        return kind

    def basis(self, query: Query) -> tuple[bytes, int]:
        """``basis``: the contract's price less its index, by bucket."""
        symbol, kind = self._desk.symbol_of(query, "pair"), self._contract_type(query)
        pair = query["pair"]

        def render(part: Premium) -> object:
            basis = part.contract_close - part.index_close
            return rows_of(
                f'{{"pair":"{pair}","contractType":"{kind}","futuresPrice":"',
                fixed(part.contract_close, 8), '","indexPrice":"', fixed(part.index_close, 8),
                '","basis":"', fixed(basis, 8), '","basisRate":"', fixed(part.close, 4),
                '","annualizedBasisRate":"","timestamp":', whole(part.ts), "},",
            )  # fmt: skip

        series = "premium" if kind == "PERPETUAL" else ""
        return self._statistics(query, series, "", render, symbol=symbol)

    def _statistics(
        self,
        query: Query,
        kind: str,
        detail: str,
        render: Render,
        *,
        symbol: str | None = None,
        name: str | None = None,
    ) -> tuple[bytes, int]:
        """Rows by period of a series of the tape; of none where there is no such contract."""
        world = self._world
        symbol = symbol or self._desk.symbol_of(query)
        period = query.needed("period")
        if period not in ("1h", "4h", "1d"):
            raise Refused(-1130, "parameter 'period' is invalid.")
        limit = query.whole("limit", 30)
        if not 0 < limit <= 500:
            raise Refused(-1130, "parameter 'limit' is invalid.")
        oldest = world.now_ms() - _WALL_MS if world.walls else 0
        if world.walls and query.whole("startTime", NEVER_MS) < oldest:
            raise Refused(-1130, "parameter 'startTime' is invalid.")
        step = INTERVALS_MS[period]
        listed = kind and (detail or kind != "takers")
        feed = world.feed(kind, "binance", detail, symbol, step) if listed else None
        if feed is None:
            return b"[]", 0
        rows = world.page(
            ("binance_futures", name or kind, detail, symbol, step),
            feed,
            render,
            low=max(oldest, query.whole("startTime", 0)),
            high=query.whole("endTime", NEVER_MS),
            limit=limit,
            newest_rows="startTime" not in query,
            running=render,
        )
        return b"[" + rows + b"]", 0


def _funding_rows(text: str) -> Render:
    def render(part: Funding) -> object:
        return rows_of(
            f'{{"symbol":"{text}","fundingTime":', whole(part.ts), ',"fundingRate":"',
            fixed(part.rate, 8), '","markPrice":"', fixed(part.mark_price, 8), '"},',
        )  # fmt: skip

    return render


def _merged(pieces: list[bytes], limit: int, *, newest: bool) -> bytes:
    """Rows of several symbols, by time then symbol."""
    rows = [row for piece in pieces for row in orjson.loads(b"[" + piece + b"]")]
    rows.sort(key=lambda r: (r["fundingTime"], r["symbol"]))
    return orjson.dumps(rows[-limit:] if newest else rows[:limit])[1:-1]


def _text(value: float | None) -> str:
    return "0.00000000" if value is None else f"{value:.8f}"
