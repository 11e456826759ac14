"""OKX's ``rubik`` statistics: by contract, by currency, and of options.

Belongs here: row formats of those paths. Does not belong here: instruments, bars and envelopes
(``okx_desk``), where values come from.

By contract 1440 rows are kept, a wall that stands only in a world with ``walls``, because a replay
stands for having recorded those series all along. By currency the hours reach 30 days and the days
180 days back, always. The tape has no options: they hold and trade a fixed share of what the
perpetual does, calls and puts as its accounts are long and short and as its takers buy and sell.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import orjson

from regime_pipeline.simulator.context import BadParameterError, Query, World
from regime_pipeline.simulator.okx_desk import BARS, Answer, Desk
from regime_pipeline.simulator.render import Feed, Render, fixed, rows_of, whole
from regime_pipeline.simulator.series import (
    HOUR_MS,
    Activity,
    Candles,
    OpenInterest,
    Shares,
    contract_size,
)

STATISTICS = "/api/v5/rubik/stat"
_NEWEST_ROWS = 1440
_BY_COIN_ROWS = {"1H": 720, "1D": 180}
_OPTION_PERIODS = {"8H": (8 * HOUR_MS, 0), "1D": BARS["1D"]}
_OPTION_COINS = ("BTC", "ETH")
_OPTION_SHARE = 0.3
_BLOCK_SHARE = 0.1
_EXPIRIES = (0.4, 0.3, 0.2, 0.1)
"""Shares of the coming Fridays."""
_STRIKES = {0.8: 0.1, 0.9: 0.2, 1.0: 0.4, 1.1: 0.2, 1.2: 0.1}
"""Strike over price -> its share."""


class Statistics:
    """Answers for the paths of this module."""

    def __init__(self, world: World, desk: Desk) -> None:
        self._world, self._desk = world, desk
        self._coins: dict[str, str] = {}
        for symbol in desk.swap.values():
            self._coins.setdefault(symbol.split("/")[0], symbol)

    def paths(self) -> dict[str, Answer]:
        """Path -> answer with the rows."""
        contracts, options = f"{STATISTICS}/contracts", f"{STATISTICS}/option"
        ratio = f"{contracts}/long-short-account-ratio"
        positions = f"{contracts}/long-short-position-ratio-contract-top-trader"
        return {
            f"{contracts}/open-interest-history": self.open_interest,
            f"{ratio}-contract": self.shares("global_account"),
            f"{ratio}-contract-top-trader": self.shares("top_account"),
            positions: self.shares("top_position"),
            f"{STATISTICS}/taker-volume-contract": self.takers,
            ratio: self.ratio_of_coin,
            f"{STATISTICS}/margin/loan-ratio": self.ratio_of_coin,
            f"{contracts}/open-interest-volume": self.interest_of_coin,
            f"{STATISTICS}/taker-volume": self.takers_of_coin,
            f"{options}/open-interest-volume": self.options,
            f"{options}/open-interest-volume-ratio": self.option_ratios,
            f"{options}/open-interest-volume-expiry": self.expiries,
            f"{options}/open-interest-volume-strike": self.strikes,
            f"{options}/taker-block-volume": self.option_takers,
        }

    # ---------------------------------------------------------------- by contract

    def _statistics(self, query: Query, feed: Feed | None, name: str, render: Render) -> bytes:
        if feed is None:
            return b""
        oldest = 0
        if self._world.walls:
            oldest = self._world.now_ms() - _NEWEST_ROWS * feed.step_ms
        full = ("okx", name, query["instId"], query.get("unit"), feed.step_ms, feed.offset_ms)
        return self._desk.page(
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
        symbol = self._desk.contract_of(query)
        feed = self._world.feed(
            "open_interest", "okx", "", symbol, *self._desk.bar_of(query, "period")
        )
        size = contract_size(symbol)

        def render(part: OpenInterest) -> object:
            return rows_of(
                '["', whole(part.ts), '","', fixed(part.close / size, 8), '","',
                fixed(part.close, 8), '","', fixed(part.close_usd, 8), '"],',
            )  # fmt: skip

        return self._statistics(query, feed, "open_interest", render)

    def shares(self, metric: str) -> Answer:
        """The three long/short ratios: long divided by short."""

        def answer(query: Query) -> bytes:
            symbol = self._desk.contract_of(query)
            bar = self._desk.bar_of(query, "period")
            feed = self._world.feed("positioning", "okx", metric, symbol, *bar)
            return self._statistics(query, feed, metric, _ratio_rows)

        return answer

    def takers(self, query: Query) -> bytes:
        """``taker-volume-contract``: sold first, then bought; unit 0 coins, 1 contracts, 2 USD."""
        symbol = self._desk.contract_of(query)
        bar = self._desk.bar_of(query, "period")
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

        feed = self._world.feed("takers", "okx", "perp", symbol, *bar)
        return self._statistics(query, feed, "takers", render)

    # ---------------------------------------------------------------- by currency

    def coins(self, _: Query) -> bytes:
        """``support-coin``: the currencies that the statistics cover."""
        spot = {symbol.split("/")[0] for symbol in self._desk.spot.values()}
        told = {
            "contract": sorted(self._coins),
            "option": [coin for coin in _OPTION_COINS if coin in self._coins],
            "spot": sorted(spot),
        }
        return orjson.dumps(told)

    def _coin(self, query: Query, listed: tuple[str, ...] | None = None) -> str:
        coin = query.needed("ccy")
        if coin not in self._coins or (listed is not None and coin not in listed):
            raise BadParameterError("ccy")
        return self._coins[coin]

    def _by_coin(self, query: Query, name: str, feed: Feed | None, render: Render) -> bytes:
        most = _BY_COIN_ROWS[query.get("period", "1H")]
        if feed is None:
            return b""
        return self._desk.page(
            ("okx", name, query["ccy"], feed.step_ms), feed, render, query, most=most, default=most,
            oldest=self._world.now_ms() - most * feed.step_ms,
            running=render, older="end", newer="begin",
        )  # fmt: skip

    def _period(self, query: Query) -> tuple[int, int]:
        if query.get("period", "1H") not in _BY_COIN_ROWS:
            raise BadParameterError("period")
        return self._desk.bar_of(query, "period")

    def ratio_of_coin(self, query: Query) -> bytes:
        """The long/short ratio of accounts; what is borrowed on margin is taken to lean alike."""
        symbol, bar = self._coin(query), self._period(query)
        feed = self._world.feed("positioning", "okx", "global_account", symbol, *bar)
        return self._by_coin(query, "ratio_of_coin", feed, _ratio_rows)

    def interest_of_coin(self, query: Query) -> bytes:
        """``open-interest-volume``: USD at the end of a bucket and USD traded in it."""

        def render(part: Activity) -> object:
            return rows_of(
                '["', whole(part.ts), '","', fixed(part.interest_usd, 4), '","',
                fixed(part.volume_usd, 4), '"],',
            )  # fmt: skip

        feed = self._activity(self._coin(query), *self._period(query))
        return self._by_coin(query, "interest_of_coin", feed, render)

    def takers_of_coin(self, query: Query) -> bytes:
        """``taker-volume`` of spot or of contracts: coins, sold first."""
        symbol, bar = self._coin(query), self._period(query)
        market = {"SPOT": "spot", "CONTRACTS": "perp"}.get(query.needed("instType"))
        if market is None:
            raise BadParameterError("instType")

        def render(part: Candles) -> object:
            sold = part.volume_base - part.taker_buy_base
            return rows_of(
                '["', whole(part.ts), '","', fixed(sold, 8), '","',
                fixed(part.taker_buy_base, 8), '"],',
            )  # fmt: skip

        feed = self._world.feed("takers", "okx", market, symbol, *bar)
        return self._by_coin(query, f"takers_of_coin_{market}", feed, render)

    def _activity(self, symbol: str, step: int, offset: int) -> Feed | None:
        def make() -> Feed | None:
            tape = self._world.tape
            interest, bars = tape.open_interest("okx", symbol), tape.candles("okx", "perp", symbol)
            long = tape.positioning("okx", symbol, "global_account")
            if interest is None or bars is None:
                return None
            return Feed.of(Activity.of(interest, bars, long), step, offset)

        found: Feed | None = self._world.digits(("activity", symbol, step, offset), make)
        return found

    # ---------------------------------------------------------------- options

    def _options(self, query: Query) -> Feed | None:
        symbol = self._coin(query, _OPTION_COINS)
        period = query.get("period", "8H")
        if period not in _OPTION_PERIODS:
            raise BadParameterError("period")
        return self._activity(symbol, *_OPTION_PERIODS[period])

    def _option_rows(self, query: Query, name: str, render: Render) -> bytes:
        feed = self._options(query)
        if feed is None:
            return b""
        return self._desk.page(
            ("okx", name, query["ccy"], feed.step_ms), feed, render, query, most=100,
            older="end", newer="begin",
        )  # fmt: skip

    def options(self, query: Query) -> bytes:
        """``option/open-interest-volume``: coins."""

        def render(part: Activity) -> object:
            return rows_of(
                '["', whole(part.ts), '","', fixed(_OPTION_SHARE * part.interest_base, 4), '","',
                fixed(_OPTION_SHARE * part.volume_base, 4), '"],',
            )  # fmt: skip

        return self._option_rows(query, "options", render)

    def option_ratios(self, query: Query) -> bytes:
        """``open-interest-volume-ratio``: puts over calls."""

        def render(part: Activity) -> object:
            interest = (1.0 - part.long) / part.long
            volume = (part.volume_base - part.bought_base) / part.bought_base
            return rows_of(
                '["', whole(part.ts), '","', fixed(interest, 4), '","', fixed(volume, 4), '"],'
            )

        return self._option_rows(query, "option_ratios", render)

    def _now(self, query: Query) -> tuple[Activity, np.ndarray] | None:
        """The newest closed bucket, and calls and puts of its open interest and volume."""
        feed = self._options(query)
        if feed is None:
            return None
        closed: Activity = feed.closed
        place = int(np.searchsorted(closed.ts, self._world.now_ms() - feed.step_ms, "right")) - 1
        if place < 0:
            return None
        part = closed.rows(slice(place, place + 1))
        calls = np.array([part.interest_base * part.long, part.bought_base]).ravel()
        every = np.array([part.interest_base, part.volume_base]).ravel()
        return part, _OPTION_SHARE * np.column_stack([calls, every - calls]).ravel()

    def expiries(self, query: Query) -> bytes:
        """``open-interest-volume-expiry``: the newest bucket's coins by the coming Fridays."""
        found = self._now(query)
        if found is None:
            return b""
        part, amounts = found
        return orjson.dumps(
            [
                [str(int(part.ts[0])), day, *(f"{v:.4f}" for v in share * amounts)]
                for day, share in self._fridays(int(part.ts[0])).items()
            ]
        )[1:-1]

    @staticmethod
    def _fridays(ts: int) -> dict[str, float]:
        day = datetime.fromtimestamp(ts / 1000, UTC) + timedelta(days=1)
        first = day + timedelta(days=(4 - day.weekday()) % 7)
        return {f"{first + timedelta(weeks=i):%Y%m%d}": s for i, s in enumerate(_EXPIRIES)}

    def strikes(self, query: Query) -> bytes:
        """``open-interest-volume-strike``: the same of one expiry, by strikes around the price."""
        found = self._now(query)
        expiry = query.needed("expTime")
        if found is None:
            return b""
        part, amounts = found
        share = self._fridays(int(part.ts[0])).get(expiry)
        if share is None:
            return b""
        price = float(part.interest_usd[0] / part.interest_base[0])
        tick = 10.0 ** (np.floor(np.log10(price)) - 1)
        return orjson.dumps(
            [
                [
                    str(int(part.ts[0])),
                    f"{round(price * level / tick) * tick:.0f}",
                    *(f"{v:.4f}" for v in share * at * amounts),
                ]
                for level, at in _STRIKES.items()
            ]
        )[1:-1]

    def option_takers(self, query: Query) -> bytes:
        """``taker-block-volume``: one row by itself: calls and puts bought and sold, and blocks."""
        found = self._now(query)
        if found is None:
            return b""
        part, (_, _, calls, puts) = found
        buying = float(part.bought_base[0] / part.volume_base[0])
        told = [calls * buying, calls * (1 - buying), puts * buying, puts * (1 - buying),
                calls * _BLOCK_SHARE, puts * _BLOCK_SHARE]  # fmt: skip
        return orjson.dumps([str(int(part.ts[0])), *(f"{v:.4f}" for v in told)])[1:-1]


def _ratio_rows(part: Shares) -> object:
    ratio = part.long / (1.0 - part.long)
    return rows_of('["', whole(part.ts), '","', fixed(ratio, 4), '"],')
