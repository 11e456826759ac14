"""Trades of a gap are asked for, told as the stream tells them, and refused where they do not join on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from regime_pipeline.collect.recent import RECENT, missed
from regime_pipeline.simulator import binance as binance_rest
from regime_pipeline.simulator.binance import FUTURES, SPOT
from regime_pipeline.simulator.binance_desk import Desk as BinanceDesk
from regime_pipeline.simulator.bybit import Desk as BybitRest
from regime_pipeline.simulator.context import Query, World
from regime_pipeline.simulator.okx import Market as OkxRest
from regime_pipeline.simulator.okx_desk import Desk as OkxDesk
from regime_pipeline.simulator.stream_desks import Binance, Bybit, Okx
from regime_pipeline.simulator.streams import StreamDesk
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock, utc

START = utc("2024-06-20T10:00:00")


@dataclass
class Venue:
    """One simulated venue's trades: as they stream, and as they are asked for."""

    world: World
    desk: StreamDesk
    topic: str
    name: str
    get: Callable[[Mapping[str, str]], Any]
    market: str = "perp"

    def streamed(self, low: datetime, high: datetime) -> list[Any]:
        self.world.clock = FixedClock(high)
        bounds = (round(at.timestamp() * 1000) for at in (low, high))
        return [orjson.loads(sent.body) for sent in self.desk.since(self.topic, *bounds)]


def _venue(source: str) -> Venue:
    tape = SyntheticTape(seed=7, symbols=("BTC/USDT",), end=START + timedelta(days=1))
    world = World(tape, FixedClock(START))
    if source == "bybit":
        rest = BybitRest(world)
        return Venue(
            world, Bybit(world, "perp"), "publicTrade.BTCUSDT", "BTCUSDT",
            lambda p: {"result": rest.recent_trades(Query(p))},
        )  # fmt: skip
    if source == "okx":
        market = OkxRest(world, OkxDesk(world))
        return Venue(
            world, Okx(world, business=True), "trades-all:BTC-USDT-SWAP", "BTC-USDT-SWAP",
            lambda p: orjson.loads(b'{"data":[' + market.history_trades(Query(p)) + b"]}"),
        )  # fmt: skip
    house = SPOT if source == "binance" else FUTURES
    found = binance_rest.Market(world, BinanceDesk(world, house))
    return Venue(
        world, Binance(world, house), "btcusdt@aggTrade", "BTCUSDT",
        lambda p: found.agg_trades(Query(p))[0], house.market,
    )  # fmt: skip


def _trades(source: str, messages: list[Any]) -> list[tuple[object, ...]]:
    """Each trade of some messages: its name, price, size."""
    if source == "bybit":
        return [(r["i"], r["p"], r["v"], r["S"], r["T"]) for m in messages for r in m["data"]]
    if source == "okx":
        rows = [row for m in messages for row in m["data"]]
        return [(r["tradeId"], r["px"], r["sz"], r["side"], r["ts"]) for r in rows]
    rows = [m["data"] for m in messages]
    return [(r["a"], r["p"], r["q"], r["m"], r["T"], r["s"]) for r in rows]


@pytest.mark.parametrize("source", sorted(RECENT))
def test_trades_of_a_gap_are_those_that_were_streamed_meanwhile(source: str) -> None:
    venue, rules = _venue(source), RECENT[source]
    *_, last = venue.streamed(START, START + timedelta(minutes=20))
    gap = venue.streamed(START + timedelta(minutes=20), START + timedelta(hours=3))
    rows = missed(rules, venue.get, venue.name, venue.market, rules.heard(last))
    assert rows is not None
    told = rules.messages(venue.topic, rows)
    assert _trades(source, told) == _trades(source, gap)
    assert rules.heard(told[-1]) == rules.heard(gap[-1])
    assert missed(rules, venue.get, venue.name, venue.market, rules.heard(gap[-1])) == []


def test_a_gap_whose_trades_do_not_join_on_is_not_told() -> None:
    for source, known in (("bybit", "of another life"), ("okx", -1)):
        venue = _venue(source)
        venue.streamed(START, START + timedelta(minutes=20))
        found = missed(RECENT[source], venue.get, venue.name, venue.market, known)
        assert found is None, source
    with pytest.raises(LookupError):
        RECENT["bybit"].rows({"result": {}})
