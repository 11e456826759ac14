"""One connection to a real socket: what it is sent is in its segments, as fast as it comes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve

from regime_pipeline.collect import session as session_module
from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.segments import read, segments_of
from regime_pipeline.collect.session import Session
from regime_pipeline.collect.spool import Spool
from regime_pipeline.collect.store import instant_ns
from regime_pipeline.collect.watch import Watch
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.streams import StreamState
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import DAY, HOUR, FastClock, utc
from regime_pipeline_tests.collect.streams import SYMBOLS, lines, settings_in, trade

AT = utc("2024-06-01T10:00:00")


async def _burst(line: Line, home: Path, count: int) -> Watch:
    async def tell(socket: ServerConnection) -> None:
        await socket.recv()
        for number in range(count):
            await socket.send(orjson.dumps(trade(AT, "BTCUSDT", 0.25, 100.0, number)).decode())
        await socket.wait_closed()

    watch = Watch(line)
    async with serve(tell, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with Spool(home / "collect", [line.name]) as spool:
            session = Session(replace(line, url=f"ws://127.0.0.1:{port}"), watch, spool)
            running = asyncio.create_task(session.run())
            while watch.received < count:
                await asyncio.sleep(0.05)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return watch


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_burst_of_fifty_thousand_messages_is_kept_whole(tmp_path: Path) -> None:
    (line,) = lines(settings_in(tmp_path), "bybit", "perp")
    watch = asyncio.run(_burst(line, tmp_path, 50_000))
    assert watch.dropped == 0
    kept = [
        orjson.loads(record.body)["data"][0]["i"]
        for path in segments_of(tmp_path / "collect", *line.name.split("/"))
        for record in read(path).records
    ]
    assert kept == [f"id-{number}" for number in range(50_000)]


async def _renewed_twice(line: Line, home: Path, clock: FastClock, opened: StreamState) -> Watch:
    watch = Watch(line)
    with Spool(home / "collect", [line.name]) as spool:
        session = Session(line, watch, spool, lambda: instant_ns(clock.now()))
        running = asyncio.create_task(session.run())
        while opened.opened < 3:
            await asyncio.sleep(0.1)
        await asyncio.sleep(session_module.OVERLAP_S + 1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return watch


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_connection_that_is_renewed_loses_no_trade_and_no_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "OVERLAP_S", 5.0)
    clock = FastClock(AT, 300)
    tape = SyntheticTape(seed=7, symbols=SYMBOLS, end=AT + DAY)
    with SimulatorServer(tape, clock) as server:
        settings = settings_in(tmp_path, **server.settings_overrides())
        (line,) = lines(settings, "binance_futures", "perp")
        trades = {t: s for t, s in line.subscriptions.items() if s.channel.has_trades}
        dialect = replace(line.connection.dialect, renew_after_s=2.0, ping_every_s=0.5)
        line = replace(
            line, subscriptions=trades, connection=replace(line.connection, dialect=dialect)
        )
        watch = asyncio.run(_renewed_twice(line, tmp_path, clock, server.app.state.streams))
        world = server.app.state.world
        kept: dict[str, set[int]] = {}
        for path in segments_of(tmp_path / "collect", *line.name.split("/")):
            for record in read(path).records:
                event = orjson.loads(record.body)["data"]
                kept.setdefault(event["s"], set()).add(event["a"])
        for name, numbers in kept.items():
            symbol = {"BTCUSDT": "BTC/USDT", "ETHUSDT": "ETH/USDT"}[name]
            hours = [
                world.trades_of_hour("binance", "perp", symbol, _ms(AT + n * HOUR))
                for n in range(3)
            ]
            venues = {int(n) for hour in hours for n in hour.number}
            first, last = min(numbers), max(numbers)
            assert len(numbers) > 5
            assert numbers == {n for n in venues if first <= n <= last}
    spans = watch.spans()
    assert len(spans) == len(kept) == 2  # one stretch a topic, from the first message to the last
    assert watch.received > sum(map(len, kept.values()))  # both connections heard for a while


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
