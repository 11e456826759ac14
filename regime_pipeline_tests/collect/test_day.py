"""Hours of a collector with faults: what is proven is what the venue has, and all else lies in a hole.

A day of a market passes by a clock that is set, with connections that end, topics that fall mute, a twin
that is away, a collector that is killed, and one trade that never comes. ``VIRTUAL_HOURS=6`` in the
environment makes it shorter.
"""

from __future__ import annotations

import asyncio
import os
import resource
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest

from regime_pipeline.collect.proofs import prove_day
from regime_pipeline.collect.segments import read, segments_of
from regime_pipeline.providers.fetch.fetch import fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.bybit import trade_id
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.streams import StreamFault
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import HOUR, Window
from regime_pipeline_tests.collect.streams import SYMBOLS, lines
from regime_pipeline_tests.collect.virtual import START, STEP, Day

HOURS = int(os.environ.get("VIRTUAL_HOURS", "24"))
NAMES = dict(zip(SYMBOLS, ("BTCUSDT", "ETHUSDT"), strict=True))
CUT = START + timedelta(hours=2, minutes=30)
"""From here on one trade of the first symbol does not come."""


def _fault_of(hour: int) -> str:
    return ("disconnect", "gap", "twin", "kill", "mute")[(hour - 1) % 5]


def _memory_mb() -> float:
    """The most that was taken, kB as Linux has it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _hours(day: Day) -> tuple[int, float]:
    """Faults at seeded moments, one an hour from the second on; topics that died, memory that came on top."""
    deaths = 0
    rng = np.random.default_rng(17)
    day.begin()
    await day.run(START + HOUR)
    before = _memory_mb()
    state = day.venue.state
    for hour in range(1, HOURS):
        begin = START + hour * HOUR
        kind = _fault_of(hour)
        await day.run(begin + timedelta(minutes=int(rng.integers(5, 25))))
        if kind == "gap" and hour == 2:
            await day.run(CUT)
            state.faults.append(StreamFault("/ws/bybit", "gap", "publicTrade.BTC", count=1))
        elif kind == "disconnect":
            state.faults.append(StreamFault("/ws/bybit", "disconnect", "publicTrade.ETH", count=1))
        elif kind == "mute":
            fault = StreamFault("/ws/bybit", "mute", "publicTrade.ETH")
            state.faults.append(fault)
            await day.run(day.clock.at + timedelta(minutes=8))
            state.faults.remove(fault)
        elif kind == "twin":
            link = day.links[1 + hour % 2]
            link.close("down")
            away = [one for one in day.links if one is not link]
            kept, day.links = day.links, away
            await day.run(begin + timedelta(minutes=55))
            day.links = kept
        elif kind == "kill":
            deaths += sum(link.watch.deaths for link in day.links)
            await day.kill()
            day.clock.at += timedelta(seconds=90)
            day.begin()
    await day.run(START + HOURS * HOUR + timedelta(minutes=3))
    day.end()
    return deaths + sum(link.watch.deaths for link in day.links), _memory_mb() - before


def _trades(day: Day, hour: datetime, symbol: str) -> set[str]:
    """The names of the venue's trades of an hour."""
    found = day.venue.world.trades_of_hour("bybit", "perp", symbol, _ms(hour))
    assert found is not None
    return {trade_id("perp", symbol, number) for number in found.number}


def _kept(day: Day) -> set[str]:
    """The names of all trades in segments."""
    (line,) = lines(day.settings, "bybit", "perp")
    out: set[str] = set()
    for path in segments_of(day.folder, *line.name.split("/")):
        for record in read(path).records:
            message = orjson.loads(record.body)
            if message["topic"].startswith("publicTrade"):
                out.update(row["i"] for row in message["data"])
    return out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_proven_is_what_the_venue_has_and_all_else_lies_in_a_hole(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = Day(database, tmp_path)
    deaths, grown = asyncio.run(_hours(day))
    with capsys.disabled():
        print(f"\n{HOURS - 1} hours: memory grew by {grown:.0f} MB")
    assert deaths == sum(_fault_of(hour) == "mute" for hour in range(1, HOURS))
    hours = day.warehouse.read("ops.stream_hours")
    hours = hours[(hours["ts"] >= START) & (hours["ts"] < START + HOURS * HOUR)]
    flow = hours[hours["dataset"] == "trade_flow"].set_index(["ts", "symbol"])
    closures = hours[hours["dataset"] == "liquidations"].set_index(["ts", "symbol"])
    assert len(flow) == len(closures) == 2 * HOURS
    _trades_hold(day, flow)
    _closures_hold(day, closures)
    cut = flow.loc[(CUT.replace(minute=0), SYMBOLS[0])]
    assert cut["live_s"] >= 3599
    assert "trades sum to" in cut["reason"]
    whole = flow[(flow["live_s"] >= 3599) & ~flow["is_proven"]]
    assert len(whole) == 1  # the one that was cut out
    for n in range((HOURS + 23) // 24):
        assert prove_day(day.warehouse, day.settings, START + timedelta(days=n)).differing == []
    _equals_what_is_asked_for(day, tmp_path)


def _trades_hold(day: Day, flow: pd.DataFrame) -> None:
    """Proven hours have all their trades; what is missing is the one trade, or was not called heard."""
    kept = _kept(day)
    spans = day.warehouse.read("ops.stream_spans", where={"dataset": "trade_flow"})
    heard = spans[spans["stream_state"].isin(["live", "backfilled"])]
    missing = []
    for (hour, symbol), row in flow.iterrows():
        lost = _trades(day, hour, symbol) - kept
        assert not (row["is_proven"] and lost)
        found = day.venue.world.trades_of_hour("bybit", "perp", symbol, _ms(hour))
        assert found is not None
        for at, number in zip(found.ts, found.number, strict=True):
            if trade_id("perp", symbol, number) in lost:
                missing.append((pd.Timestamp(int(at), unit="ms", tz="UTC"), symbol))
    assert missing
    assert min(missing)[0] >= CUT
    for at, symbol in missing[1:]:
        mine = heard[heard["symbol"] == symbol]
        assert not ((mine["span_start"] < at) & (at + STEP < mine["span_end"])).any(), (at, symbol)


def _closures_hold(day: Day, closures: pd.DataFrame) -> None:
    """Proven hours have every closure once; most hours are proven, that of a twin's absence too."""
    events = day.warehouse.read("raw.liquidation_events")
    for (hour, symbol), row in closures.iterrows():
        told = day.tape.closures("bybit", symbol, _ms(hour))
        count = 0 if told is None else len(told.ts)
        mine = events[(events["symbol"] == symbol) & (events["ts"].dt.floor("h") == hour)]
        assert len(mine) == count if row["is_proven"] else len(mine) <= count
    kills = sum(_fault_of(hour) == "kill" for hour in range(1, HOURS))
    assert (~closures["is_proven"]).sum() <= 2 * kills


def _equals_what_is_asked_for(day: Day, home: Path) -> None:
    """Bars of a request over HTTP change no row that was collected."""
    with SimulatorServer(day.tape, day.clock) as server:
        settings = Settings(
            **server.settings_overrides(),
            home=home,
            symbols=SYMBOLS,
            sources="bybit",
            _env_file=None,
        )
        with HttpClient(settings, LandingStore.of(settings), day.clock) as client:
            found = fetch(
                "candles", Window(START, START + HOURS * HOUR), settings=settings, client=client,
                clock=day.clock, symbols=SYMBOLS,
            )  # fmt: skip
    asked = found.frame[found.frame["market"] == "perp"].reset_index(drop=True)
    assert len(asked) == 2 * HOURS
    stored = day.warehouse.read("raw.candles", Window(START, START + HOURS * HOUR))
    added = 2 * HOURS - len(stored)  # bars whose message fell into a hole
    assert 0 <= added <= 4
    result = day.warehouse.merge("raw.candles", asked)
    assert result.changed == added


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
