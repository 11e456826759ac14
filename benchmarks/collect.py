"""The live collector: messages a processor second from socket to typed rows, beside a bare reader.

A server in a process of its own, which is not counted, sends the same trade over and over. The bare side
receives with the same library and decodes JSON; ours also stamps, watches, writes segments with
checksums, reads them again and parses their rows. Each side runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MESSAGES = 60_000
SYMBOLS = ("BTC/USDT", "ETH/USDT")
_SERVER = """
import asyncio, sys, orjson
from websockets.asyncio.server import serve
count = int(sys.argv[1])
def message(n):
    row = {"T": 1717236000000 + n, "s": "BTCUSDT", "S": "Buy", "v": "0.010", "p": "67451.00", "L": "PlusTick",
        "i": f"9dc75fca-4bdd-4773-9f78-{n:012d}", "BT": False, "RPI": False}
    told = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1717236000005 + n, "data": [row]}
    return orjson.dumps(told).decode()
async def tell(socket):
    await socket.recv()
    for n in range(count):
        await socket.send(message(n))
    await socket.send('{"success":true,"ret_msg":"pong","op":"ping"}')
    await asyncio.sleep(3600)
async def main():
    async with serve(tell, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def _bare(port: int) -> float:
    import orjson
    from websockets.asyncio.client import connect

    async with connect(
        f"ws://127.0.0.1:{port}", compression=None, max_size=2**24, ping_interval=None
    ) as socket:
        await socket.send("begin")
        gc.freeze()
        begin = time.process_time()
        for _ in range(MESSAGES):
            orjson.loads(await socket.recv(decode=False))
        return time.process_time() - begin


async def _ours(port: int, home: Path) -> float:
    from dataclasses import replace

    from regime_pipeline.collect import decode
    from regime_pipeline.collect.collector import calm_garbage_collection
    from regime_pipeline.collect.plan import lines_of
    from regime_pipeline.collect.segments import read, segments_of
    from regime_pipeline.collect.session import Session
    from regime_pipeline.collect.spool import Spool
    from regime_pipeline.collect.venues import CONNECTIONS
    from regime_pipeline.collect.watch import Watch
    from regime_pipeline.settings import Settings

    found = lines_of(CONNECTIONS, Settings(_env_file=None), SYMBOLS, ["bybit"])  # type: ignore[call-arg]
    line = next(item for item in found if item.connection.name == "perp")
    line = replace(line, url=f"ws://127.0.0.1:{port}")
    watch = Watch(line)
    calm_garbage_collection()  # as the collector does
    with Spool(home, [line.name]) as spool:
        begin = time.process_time()
        running = asyncio.create_task(Session(line, watch, spool).run())
        while watch.received < MESSAGES:
            await asyncio.sleep(0.05)
        running.cancel()
        spool.flush()
    assert watch.dropped == 0
    count = 0
    for path in segments_of(home, *line.name.split("/")):
        offset = 0
        while (part := read(path, offset, 2**20)).records:
            parsed = decode.parsed([decode.Batch(line, path.name, part.records)], ["trade_flow"])
            count += sum(len(frame) for _, _, frame, _ in parsed.pages)
            offset = part.end
    assert count == MESSAGES
    return time.process_time() - begin


def run() -> None:
    """Prints the figure of both sides."""
    seconds = {}
    for side in ("bare", "ours"):
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(MESSAGES)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            done = subprocess.run(
                [sys.executable, __file__, side, port],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            )
            seconds[side] = float(done.stdout)
        finally:
            server.terminate()
            server.wait()
    told = {
        "benchmark": "collect",
        "messages": MESSAGES,
        "messages_per_cpu_s": round(MESSAGES / seconds["ours"]),
        "bare_messages_per_cpu_s": round(MESSAGES / seconds["bare"]),
        "times_the_bare_cost": round(seconds["ours"] / seconds["bare"], 2),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        work = (
            _bare(int(sys.argv[2]))
            if sys.argv[1] == "bare"
            else _ours(int(sys.argv[2]), Path(folder))
        )
        sys.stdout.write(str(asyncio.run(work)) + "\n")
