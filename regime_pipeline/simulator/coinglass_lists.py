"""Coinglass v4 beside the hourly sums: rates, ratios, lists, orders, maps, news, transfers.

Belongs here: row formats of those paths. Does not belong here: the key check and the envelope
(``coinglass_desk``), where values come from. Rates and shares are in percent, as the provider has
them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from regime_pipeline.simulator.coinglass_desk import EXCHANGES, Answer, Desk
from regime_pipeline.simulator.context import NEVER_MS, BadParameterError, Query, World
from regime_pipeline.simulator.render import fixed, rows_of, whole
from regime_pipeline.simulator.series import DAY_MS, HOUR_MS

_WHALE_USD = 1.0e7
_RATIOS = {
    "global-long-short-account-ratio": ("global_account", "global_account"),
    "top-long-short-account-ratio": ("top_account", "top_account"),
    "top-long-short-position-ratio": ("top_position", "top_position"),
}


class Lists:
    """Answers for the paths of this module."""

    def __init__(self, world: World, desk: Desk) -> None:
        self._world, self._desk = world, desk

    def paths(self) -> dict[str, Answer]:
        """Path -> answer."""
        prefix = "/api/futures"
        found: dict[str, Answer] = {
            f"{prefix}/{name}/history": self._ratio(metric, field)
            for name, (metric, field) in _RATIOS.items()
        }
        found |= {
            f"{prefix}/liquidation/{kind}heatmap/model{n}": self.heatmap
            for kind in ("", "aggregated-")
            for n in (1, 2, 3)
        }
        return found | {
            f"{prefix}/funding-rate/history": self.funding,
            f"{prefix}/funding-rate/oi-weight-history": self.funding_of_all,
            f"{prefix}/funding-rate/vol-weight-history": self.funding_of_all,
            f"{prefix}/funding-rate/exchange-list": self.funding_list,
            f"{prefix}/aggregated-taker-buy-sell-volume/history": self.taker,
            f"{prefix}/price/history": self.price,
            f"{prefix}/coins-markets": self.markets,
            f"{prefix}/open-interest/exchange-list": self.interest_list,
            f"{prefix}/liquidation/coin-list": self.liquidation_coins,
            f"{prefix}/liquidation/exchange-list": self.liquidation_exchanges,
            f"{prefix}/liquidation/order": self.orders,
            f"{prefix}/liquidation/map": self.map,
            f"{prefix}/liquidation/aggregated-map": self.map,
            "/api/index/fear-greed-history": self.fear_greed,
            "/api/chain/v2/whale-transfer": self.transfers,
            "/api/article/list": self.articles,
        }

    # ---------------------------------------------------------------- series

    def _ratio(self, metric: str, field: str) -> Answer:
        def answer(query: Query) -> bytes:
            venue, symbol = self._desk.pair_of(query)

            def render(part: Any) -> object:
                long = np.round(part.long * 100.0, 2)
                ratio = np.round(long / np.maximum(100.0 - long, 0.01), 2)
                return rows_of(
                    '{"time":', whole(part.ts), f',"{field}_long_percent":', fixed(long, 2),
                    f',"{field}_short_percent":', fixed(100.0 - long, 2),
                    f',"{field}_long_short_ratio":', fixed(ratio, 2), "},",
                )  # fmt: skip

            return self._desk.rows(
                query, "positioning", venue, symbol, f"ratio_{metric}", render, detail=metric
            )

        return answer

    def _rates(self, query: Query, venue: str, symbol: str) -> bytes:
        """The running rate by hour in percent: the print that the hour leads to."""
        step = self._desk.step_of(query)
        prints = self._world.tape.funding(venue, symbol) if venue else None
        if prints is None or not len(prints):
            return b"[]"
        now = self._world.now_ms()
        low, high = query.whole("start_time", 0), query.whole("end_time", NEVER_MS)
        limit = query.whole("limit", 1000)
        last = min(high, now) // step * step
        first = max(low, int(prints.ts[0]), last - (limit - 1) * step)
        first = -(-first // step) * step
        if "start_time" in query:
            first = -(-max(low, int(prints.ts[0])) // step) * step
            last = min(last, first + (limit - 1) * step)
        times = np.arange(first, last + 1, step)
        ahead = np.searchsorted(prints.ts, times, side="right")
        settled = ahead < len(prints)
        times, ahead = times[settled], ahead[settled]
        rate = prints.rate[ahead] * 100.0
        before = prints.rate[np.maximum(ahead - 1, 0)] * 100.0
        rows = [
            {
                "time": int(t),
                "open": f"{o:.6f}",
                "high": f"{max(o, c):.6f}",
                "low": f"{min(o, c):.6f}",
                "close": f"{c:.6f}",
            }
            for t, o, c in zip(times, (before + rate) / 2.0, rate, strict=True)
        ]
        return orjson.dumps(rows)

    def funding(self, query: Query) -> bytes:
        """``funding-rate/history``: one pair."""
        return self._rates(query, *self._desk.pair_of(query))

    def funding_of_all(self, query: Query) -> bytes:
        """The weighted rate of a coin; the largest venue stands for it."""
        return self._rates(query, "binance", self._desk.coin_of(query))

    def taker(self, query: Query) -> bytes:
        """``aggregated-taker-buy-sell-volume/history``, USD."""
        symbol = self._desk.coin_of(query)

        def render(part: Any) -> object:
            buy = np.nan_to_num(part.taker_buy_base * part.close)
            every = np.nan_to_num(part.volume_base * part.close)
            return rows_of(
                '{"time":', whole(part.ts), ',"aggregated_buy_volume_usd":', fixed(buy, 4),
                ',"aggregated_sell_volume_usd":', fixed(np.maximum(every - buy, 0.0), 4), "},",
            )  # fmt: skip

        return self._desk.rows(query, "candles", "binance", symbol, "taker", render, detail="perp")

    def price(self, query: Query) -> bytes:
        """``price/history``: bars of one pair."""
        venue, symbol = self._desk.pair_of(query)

        def render(part: Any) -> object:
            usd = np.nan_to_num(part.volume_base * part.close)
            return rows_of(
                '{"time":', whole(part.ts), ',"open":"', fixed(part.open, 6),
                '","high":"', fixed(part.high, 6), '","low":"', fixed(part.low, 6),
                '","close":"', fixed(part.close, 6), '","volume_usd":"', fixed(usd, 4), '"},',
            )  # fmt: skip

        return self._desk.rows(query, "candles", venue, symbol, "price", render, detail="perp")

    def fear_greed(self, _: Query) -> bytes:
        """``fear-greed-history``: three arrays side by side, times in seconds."""
        series = self._world.tape.fear_greed()
        if series is None:
            return b"[]"
        stop = int(np.searchsorted(series.ts, self._world.now_ms(), side="right"))
        times = [int(t) // 1000 for t in series.ts[:stop]]
        # another index than the one of alternative.me: it moves with it, not the same
        values = [float(v) for v in np.clip(np.round(series.value[:stop] * 0.9 + 5.0), 0, 100)]
        if not times:
            return b"[]"
        block = {"data_list": values, "price_list": [], "time_list": times}
        return orjson.dumps([block])

    # ---------------------------------------------------------------- the present

    def _tail(self, kind: str, venue: str, symbol: str, hours: int, detail: str = "") -> Any | None:
        """The rows of the last closed hours; None where the tape has none."""
        feed = self._world.feed(kind, venue, detail, symbol, HOUR_MS)
        if feed is None:
            return None
        last = self._world.now_ms() // HOUR_MS * HOUR_MS
        ts = feed.closed.ts
        part = feed.closed.rows(slice(*np.searchsorted(ts, [last - hours * HOUR_MS, last])))
        return part if len(part) else None

    def _liquidated(self, venue: str, symbol: str, hours: int) -> tuple[float, float]:
        part = self._tail("liquidations", venue, symbol, hours)
        if part is None:
            return 0.0, 0.0
        return round(float(part.long_usd.sum()), 5), round(float(part.short_usd.sum()), 5)

    def markets(self, query: Query) -> bytes:
        """``coins-markets``: pages from 1; a coin that was never liquidated misses those members."""
        size, page = query.whole("per_page", 100), query.whole("page", 1)
        if not size or not page:
            raise BadParameterError("page")
        rows = []
        coins = list(self._desk.coins.items())
        for coin, symbol in coins[(page - 1) * size : page * size]:
            bars = self._tail("candles", "binance", symbol, 25, "perp")
            if bars is None:
                continue
            close = [float(x) for x in bars.close]
            row: dict[str, object] = {"symbol": coin, "current_price": close[-1]}
            for hours in (1, 4, 12, 24):
                before = close[max(-1 - hours, -len(close))]
                row[f"price_change_percent_{hours}h"] = round(100.0 * (close[-1] / before - 1.0), 2)
            interest = self._tail("open_interest", "binance+okx", symbol, 1)
            if interest is not None:
                row["open_interest_usd"] = round(float(interest.close_usd[-1]), 4)
                row["open_interest_quantity"] = round(float(interest.close[-1]), 4)
            prints = self._world.tape.funding("binance", symbol)
            if prints is not None:
                stop = int(np.searchsorted(prints.ts, self._world.now_ms(), side="right"))
                if stop:
                    row["avg_funding_rate_by_oi"] = round(100.0 * float(prints.rate[stop - 1]), 6)
            long, short = self._liquidated("binance+okx", symbol, 24)
            if long + short > 0:
                row["long_liquidation_usd_24h"], row["short_liquidation_usd_24h"] = long, short
            rows.append(row)
        return orjson.dumps(rows)

    def liquidation_coins(self, _: Query) -> bytes:
        """``liquidation/coin-list``."""
        rows = []
        for coin, symbol in self._desk.coins.items():
            row: dict[str, object] = {"symbol": coin}
            for hours in (24, 12, 4, 1):
                long, short = self._liquidated("binance+okx", symbol, hours)
                row |= {
                    f"liquidation_usd_{hours}h": long + short,
                    f"long_liquidation_usd_{hours}h": long,
                    f"short_liquidation_usd_{hours}h": short,
                }
            rows.append(row)
        return orjson.dumps(rows)

    def liquidation_exchanges(self, query: Query) -> bytes:
        """``liquidation/exchange-list``: the first row is the sum of the others."""
        symbol = self._desk.coin_of(query)
        spans = {"1h": 1, "4h": 4, "12h": 12, "24h": 24}
        if query.needed("range") not in spans:
            raise BadParameterError("range")
        rows = []
        for exchange, venue in EXCHANGES.items():
            long, short = self._liquidated(venue, symbol, spans[query["range"]])
            rows.append((exchange, long, short))
        rows.insert(0, ("All", sum(r[1] for r in rows), sum(r[2] for r in rows)))
        return orjson.dumps(
            [
                {
                    "exchange": e,
                    "liquidation_usd": long + short,
                    "longLiquidation_usd": long,
                    "shortLiquidation_usd": short,
                }
                for e, long, short in rows
            ]
        )

    def interest_list(self, query: Query) -> bytes:
        """``open-interest/exchange-list``: the first row is the sum of the others."""
        symbol = self._desk.coin_of(query)
        rows = []
        for exchange, venue in EXCHANGES.items():
            part = self._tail("open_interest", venue, symbol, 1)
            if part is not None:
                rows.append((exchange, float(part.close_usd[-1]), float(part.close[-1])))
        if rows:
            rows.insert(0, ("All", sum(r[1] for r in rows), sum(r[2] for r in rows)))
        coin = symbol.split("/")[0]
        return orjson.dumps(
            [
                {"exchange": e, "symbol": coin, "open_interest_usd": round(usd, 4),
                 "open_interest_quantity": round(coins, 4)}
                for e, usd, coins in rows
            ]
        )  # fmt: skip

    def funding_list(self, query: Query) -> bytes:
        """``funding-rate/exchange-list``: by coin and margin."""
        now = self._world.now_ms()
        rows = []
        for coin, symbol in self._desk.coins.items():
            if query.get("symbol", coin) != coin:
                continue
            listed = []
            for exchange, venue in EXCHANGES.items():
                prints = self._world.tape.funding(venue, symbol)
                stop = int(np.searchsorted(prints.ts, now, side="right")) if prints else 0
                if prints is None or not stop:
                    continue
                listed.append(
                    {
                        "exchange": exchange,
                        "funding_rate_interval": 8,
                        "funding_rate": round(100.0 * float(prints.rate[stop - 1]), 6),
                        "next_funding_time": (now // (8 * HOUR_MS) + 1) * 8 * HOUR_MS,
                    }
                )
            rows.append({"symbol": coin, "stablecoin_margin_list": listed, "token_margin_list": []})
        return orjson.dumps(rows)

    # ---------------------------------------------------------------- orders, levels, transfers

    def orders(self, query: Query) -> bytes:
        """``liquidation/order``: the last seven days, 200 rows at most, newest first."""
        coin, exchange = query.needed("symbol"), query.needed("exchange")
        symbol = self._desk.coins.get(coin.removesuffix("USDT"))
        venue = EXCHANGES.get(exchange)
        bars = self._tail("candles", "binance", symbol, 168, "perp") if symbol and venue else None
        part = self._tail("liquidations", venue, symbol, 168) if symbol and venue else None
        if symbol is None or venue is None or bars is None or part is None:
            return b"[]"
        price = dict(zip(bars.ts.tolist(), bars.close.tolist(), strict=True))
        least = float(query.whole("min_liquidation_amount", 0))
        rows = []
        for ts, *sums in zip(part.ts.tolist(), part.long_usd, part.short_usd, strict=True):
            for side, value in zip((2, 1), sums, strict=True):
                if value > max(least, 0.0) and ts in price:
                    rows.append(
                        {
                            "exchange_name": exchange.upper(),
                            "symbol": symbol.replace("/", ""),
                            "base_asset": symbol.split("/")[0],
                            "price": price[ts],
                            "usd_value": float(value),
                            "side": side,
                            "time": ts + 600_000 * side,
                        }
                    )
        rows.sort(key=lambda r: -r["time"])  # type: ignore[operator]
        return orjson.dumps(rows[:200])

    def _levels(self, symbol: str) -> tuple[Any, np.ndarray] | None:
        bars = self._tail("candles", "binance", symbol, 12, "perp")
        if bars is None:
            return None
        return bars, np.round(float(bars.close[-1]) * np.linspace(0.95, 1.05, 11), 4)

    def heatmap(self, query: Query) -> bytes:
        """``heatmap``: estimated levels over the last bars; times in seconds."""
        symbol = self._desk.any_of(query)
        found = self._levels(symbol)
        if found is None:
            return b'{"y_axis":[],"liquidation_leverage_data":[],"price_candlesticks":[]}'
        bars, levels = found
        points = [
            [x, y, round(1.0e6 / (1 + abs(y - 5)) * (1 + x / 12), 2)]
            for x in range(len(bars))
            for y in range(len(levels))
            if y != 5
        ]
        candles = [
            [int(t) // 1000, *(f"{v:g}" for v in row)]
            for t, *row in zip(bars.ts, bars.open, bars.high, bars.low, bars.close,
                               np.nan_to_num(bars.volume_base), strict=True)
        ]  # fmt: skip
        return orjson.dumps(
            {
                "y_axis": levels.tolist(),
                "liquidation_leverage_data": points,
                "price_candlesticks": candles,
            }
        )

    def map(self, query: Query) -> bytes:
        """``map``: estimated sums by price level."""
        found = self._levels(self._desk.any_of(query))
        levels = [] if found is None else found[1].tolist()
        told = {f"{v:g}": [[v, round(1.0e6 + v, 2), 25, None]] for v in levels}
        return orjson.dumps({"data": told})

    def transfers(self, query: Query) -> bytes:
        """``whale-transfer``: at least ten million dollars, oldest first."""
        moved = self._world.tape.transfers()
        if moved is None:
            return b"[]"
        now = self._world.now_ms()
        low = max(query.whole("start_time", now - DAY_MS), now - 180 * DAY_MS)
        high = min(query.whole("end_time", now), now)
        place = np.arange(*np.searchsorted(moved.ts, [low, high + 1]))
        place = place[moved.usd[place] >= _WHALE_USD]
        if "symbol" in query:
            place = place[moved.coin[place] == query["symbol"].upper()]
        rows = [
            {
                "transaction_hash": f"0x{int(moved.number[i]):064x}",
                "amount_usd": f"{float(moved.usd[i]):.4f}",
                "asset_quantity": f"{float(moved.amount[i]):.4f}",
                "asset_symbol": str(moved.coin[i]),
                "from": str(moved.sender[i]) or "unknown wallet",
                "to": str(moved.receiver[i]) or "unknown wallet",
                "blockchain_name": "bitcoin" if moved.coin[i] == "BTC" else "ethereum",
                "block_height": int(moved.number[i]),
                "block_timestamp": int(moved.ts[i]) // 1000,
            }
            for i in place[:1000]
        ]
        return orjson.dumps(rows)

    def articles(self, query: Query) -> bytes:
        """``article/list``: a made headline an hour, newest first."""
        size, page = query.whole("per_page", 20), query.whole("page", 1)
        symbol = next(iter(self._desk.coins.values()), None)
        part = self._tail("mood", "", symbol, 24 * 7, "news") if symbol else None
        if part is None or not size or not page:
            return b"[]"
        times = part.ts[::-1][(page - 1) * size : page * size]
        return orjson.dumps(
            [
                {
                    "article_title": f"A made headline, hour {int(t) // HOUR_MS}",
                    "article_content": "<p>made</p>",
                    "source_name": "SIMULATED PRESS",
                    "article_release_time": int(t) + 900_000,
                    "article_description": "<p>made</p>",
                }
                for t in times
            ]
        )
