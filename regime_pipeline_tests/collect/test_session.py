"""One connection to a real socket: what it is sent is in its segments, as fast as it comes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve

from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.segments import read, segments_of
from regime_pipeline.collect.session import Session
from regime_pipeline.collect.spool import Spool
from regime_pipeline.collect.watch import Watch
from regime_pipeline.windows import utc
from regime_pipeline_tests.collect.streams import lines, settings_in, trade

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
