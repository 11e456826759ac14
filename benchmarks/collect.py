"""The live collector: messages a processor second from socket to typed rows, beside a bare reader; delays.

A server in a process of its own, which is not counted, sends the same trade over and over. The bare side
receives with the same library and decodes JSON; ours also stamps, watches, writes segments with
checksums, reads them again and parses their rows. Each side runs in a process of its own.

Delays are by the clock, so they mean something only where nothing else runs: from receipt to the disk at
1,000 messages a second, and from a forced closure to its committed row. What the storer's turn costs in
processor time says what the second delay is on a machine with a free core: a closure waits for the next
turn, a second at most, and for that turn.
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
from typing import Any

MESSAGES = 60_000
SYMBOLS = ("BTC/USDT", "ETH/USDT")
STEADY, STEADY_A_SECOND = 20_000, 1_000
CLOSURES, CLOSURES_A_SECOND = 300, 10
SUSTAINED_S, SUSTAINED_A_SECOND = 600, 5_000
TURNS = 200
_SERVER = """
import asyncio, sys, time, orjson
from websockets.asyncio.server import serve
count, rate, kind = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
def message(n):
    row = {"T": 1717236000000 + n, "s": "BTCUSDT", "S": "Buy", "v": "0.010", "p": "67451.00", "L": "PlusTick",
        "i": f"9dc75fca-4bdd-4773-9f78-{n:012d}", "BT": False, "RPI": False}
    told = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1717236000005 + n, "data": [row]}
    return orjson.dumps(told).decode()
names = [name + "USDT" for name in ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOT", "LINK")]
def market(n):
    at, name = time.time_ns() // 1_000_000, names[n % len(names)]
    row = {"T": at, "s": name, "S": "Buy" if n % 3 else "Sell", "v": "0.010", "p": f"{n % 1000 + 67000}.00",
        "L": "PlusTick", "i": f"9dc75fca-4bdd-4773-9f78-{n:012d}", "BT": False, "RPI": False}
    told = {"topic": "publicTrade." + name, "type": "snapshot", "ts": at, "data": [row]}
    return orjson.dumps(told).decode()
def closure(n):
    at = time.time_ns() // 1_000_000
    row = {"T": at, "s": "BTCUSDT", "S": "Buy", "v": str(n + 1), "p": "67451.00"}
    told = {"topic": "allLiquidation.BTCUSDT", "type": "snapshot", "ts": at, "data": [row]}
    return orjson.dumps(told).decode()
async def tell(socket):
    await socket.recv()
    begin = time.monotonic()
    for n in range(count):
        if rate and (ahead := begin + n / rate - time.monotonic()) > 0.002:
            await asyncio.sleep(ahead)
        await socket.send({"closures": closure, "market": market}.get(kind, message)(n))
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
    from regime_pipeline.collect import decode
    from regime_pipeline.collect.collector import calm_garbage_collection
    from regime_pipeline.collect.segments import read, segments_of
    from regime_pipeline.collect.session import Session
    from regime_pipeline.collect.spool import Spool
    from regime_pipeline.collect.watch import Watch

    line = _line(port, "perp")
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


def _line(port: int, name: str, symbols: tuple[str, ...] = SYMBOLS):
    from dataclasses import replace

    from regime_pipeline.collect.plan import lines_of
    from regime_pipeline.collect.venues import CONNECTIONS
    from regime_pipeline.settings import Settings

    found = lines_of(CONNECTIONS, Settings(_env_file=None), symbols, ["bybit"])  # type: ignore[call-arg]
    line = next(item for item in found if item.connection.name == name)
    return replace(line, url=f"ws://127.0.0.1:{port}")


async def _steady(port: int, home: Path) -> float:
    """Milliseconds from receipt to the segment on the disk, 99 of 100 messages within."""
    from regime_pipeline.collect.segments import SegmentError, read, segments_of
    from regime_pipeline.collect.session import Session
    from regime_pipeline.collect.spool import Spool
    from regime_pipeline.collect.watch import Watch

    line, offset, waits = _line(port, "perp"), 0, []
    with Spool(home, [line.name]) as spool:
        running = asyncio.create_task(Session(line, Watch(line), spool).run())
        while len(waits) < STEADY:
            await asyncio.sleep(0.005)
            for path in segments_of(home, *line.name.split("/"))[-1:]:
                try:
                    part = read(path, offset)
                except SegmentError:
                    continue
                now, offset = time.time_ns(), part.end
                waits += [(now - record.received_ns) / 1e6 for record in part.records]
        running.cancel()
    return sorted(waits)[int(0.99 * len(waits))]


async def _commits(port: int, home: Path) -> float:
    """Milliseconds from a closure to its committed row, 99 of 100 within."""
    import threading

    from regime_pipeline.collect.collector import Collector
    from regime_pipeline.settings import Settings
    from regime_pipeline.simulator.server import overrides_for
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.warehouse import Warehouse
    from regime_pipeline.windows import SystemClock

    settings = Settings(
        **overrides_for(f"http://127.0.0.1:{port}"), home=home, symbols=SYMBOLS, _env_file=None
    )  # type: ignore[call-arg]
    database = open_database(settings, origin="simulated")
    collector = Collector(
        Warehouse(database, SystemClock()), settings, symbols=SYMBOLS, venues=["bybit"],
        lines=[_line(port, "liquidations-a")],
    )  # fmt: skip
    running = threading.Thread(target=collector.run, args=(600.0,))
    running.start()
    known: set[object] = set()
    waits: list[float] = []
    while len(waits) < CLOSURES:
        await asyncio.sleep(0.02)
        with database.connect() as connection:
            rows = connection.execute(
                "select closure_id, ts from raw.liquidation_events"
            ).fetchall()
        now = time.time()
        waits += [1e3 * (now - at.timestamp()) for name, at in rows if name not in known]
        known.update(name for name, _ in rows)
    collector.stop()
    running.join()
    database.close()
    return sorted(waits)[int(0.99 * len(waits))]


async def _turns(_port: int, home: Path) -> dict[str, float]:
    """Processor milliseconds of the storer's turns, each with ten closures, PostgreSQL's told apart."""
    from benchmarks import processes
    from regime_pipeline.collect.collector import Collector
    from regime_pipeline.collect.spool import Spool
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer
    from regime_pipeline.storage.warehouse import Warehouse
    from regime_pipeline.windows import SystemClock

    processes.adopt_orphans()
    settings = Settings(home=home, symbols=SYMBOLS, _env_file=None)  # type: ignore[call-arg]
    database = open_database(settings, origin="simulated")
    line = _line(0, "liquidations-a")
    topic = next(iter(line.subscriptions))
    collector = Collector(
        Warehouse(database, SystemClock()),
        settings,
        symbols=SYMBOLS,
        venues=["bybit"],
        lines=[line],
    )
    watch, own = collector.watches[line.name], []
    before = processes.spent_s()
    with Spool(collector.folder, [line.name]) as spool:
        watch.opened(time.time_ns())
        for turn in range(1, TURNS + 1):
            for n in range(CLOSURES_A_SECOND):
                now = time.time_ns()
                row = {"T": now // 1_000_000, "s": "BTCUSDT", "S": "Buy", "p": "67451.00"}
                row["v"] = str(turn * CLOSURES_A_SECOND + n)
                told = {"topic": topic, "type": "snapshot", "ts": row["T"], "data": [row]}
                spool.put(line.name, now, json.dumps(told).encode())
                watch.data(topic, now)
            begin = time.process_time()
            collector.turn(spool, turn)
            own.append(1e3 * (time.process_time() - begin))
    spent = processes.difference_s(before, processes.spent_s())
    assert collector.totals.stored == TURNS * CLOSURES_A_SECOND
    database.close()
    EmbeddedServer(home).stop()
    return {
        "turn_own_p99_ms": sorted(own)[int(0.99 * TURNS)],
        "turn_mean_ms": 1e3 * spent["total"] / TURNS,
        "turn_postgres_mean_ms": 1e3 * spent["postgres"] / TURNS,
    }


async def _sustained(port: int, home: Path) -> dict[str, float]:
    """A whole collector under a steady rate of eight symbols: lag, memory, messages a processor second."""
    import threading

    from benchmarks import processes
    from regime_pipeline.collect.collector import Collector
    from regime_pipeline.settings import Settings
    from regime_pipeline.simulator.server import overrides_for
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer
    from regime_pipeline.storage.warehouse import Warehouse
    from regime_pipeline.windows import SystemClock

    symbols = Settings(_env_file=None).universe[:8]  # type: ignore[call-arg]
    settings = Settings(
        **overrides_for(f"http://127.0.0.1:{port}"), home=home, symbols=symbols, _env_file=None
    )  # type: ignore[call-arg]
    processes.adopt_orphans()
    database = open_database(settings, origin="simulated")
    collector = Collector(
        Warehouse(database, SystemClock()), settings, symbols=symbols, venues=["bybit"],
        lines=[_line(port, "perp", symbols)],
    )  # fmt: skip
    sent = SUSTAINED_S * SUSTAINED_A_SECOND
    before = processes.spent_s()
    running = threading.Thread(target=collector.run, args=(SUSTAINED_S + 600.0,))
    running.start()
    lags, memory = [], []
    while collector.totals.received < sent:
        await asyncio.sleep(1.0)
        lags.append(collector.storer.lag_ns / 1e9)
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6)
    collector.stop()
    running.join()
    spent = processes.difference_s(before, processes.spent_s())
    database.close()
    EmbeddedServer(home).stop()
    assert collector.totals.dropped == 0
    settled = memory[len(memory) // 10 :]
    return {
        "sent": sent,
        "messages_per_cpu_s": round(sent / spent["total"]),
        "lag_p99_s": round(sorted(lags)[int(0.99 * len(lags))], 2),
        "lag_max_s": round(max(lags), 2),
        "memory_mb": round(settled[0]),
        "memory_most_mb": round(max(settled)),
        "clock_s": len(lags),
    }


SIDES = {
    "bare": (MESSAGES, 0, "trades", lambda port, _: _bare(port)),
    "ours": (MESSAGES, 0, "trades", _ours),
    "steady": (STEADY, STEADY_A_SECOND, "trades", _steady),
    "commits": (CLOSURES, CLOSURES_A_SECOND, "closures", _commits),
    "turns": (0, 0, "closures", _turns),
}
"""How many messages are sent, how many a second (0: as fast as they are taken), what, and who takes them."""
SUSTAINED = {
    "sustained": (SUSTAINED_S * SUSTAINED_A_SECOND, SUSTAINED_A_SECOND, "market", _sustained),
}


def sustained() -> None:
    """Prints what ten minutes at a high rate do; takes as long as they do."""
    told = {"benchmark": "collect sustained", **_measured(SUSTAINED)["sustained"]}
    sys.stdout.write(json.dumps(told) + "\n")


def _measured(sides: dict[str, Any]) -> dict[str, Any]:
    """What each side found, in a process of its own beside a server's."""
    found: dict[str, Any] = {}
    for side, (count, rate, kind, _) in sides.items():
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(count), str(rate), kind],
            stdout=subprocess.PIPE,
            text=True,
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
            found[side] = json.loads(done.stdout)
        finally:
            server.terminate()
            server.wait()
    return found


def run() -> None:
    """Prints the figures."""
    found = _measured(SIDES)
    told = {
        "benchmark": "collect",
        "messages": MESSAGES,
        "messages_per_cpu_s": round(MESSAGES / found["ours"]),
        "bare_messages_per_cpu_s": round(MESSAGES / found["bare"]),
        "times_the_bare_cost": round(found["ours"] / found["bare"], 2),
        "receipt_to_disk_p99_ms": round(found["steady"]),
        "closure_to_row_p99_ms": round(found["commits"]),
        **{name: round(ms, 1) for name, ms in found["turns"].items()},
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        work = (SIDES | SUSTAINED)[sys.argv[1]][3](int(sys.argv[2]), Path(folder))
        sys.stdout.write(json.dumps(asyncio.run(work)) + "\n")
