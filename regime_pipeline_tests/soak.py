"""Hours of operation in minutes, with faults that a seed decides; then what must hold whatever happened.

    python -m regime_pipeline_tests.soak --hours 6 --seed 1

Each simulated hour is a launch as cron makes it, an hour later by the clock than the one before: fetch over
real HTTP from the simulator, derive, find events, send what is due to a receiver on this machine. The seed
decides which requests fail and how, after which step a launch is killed, after which the database server is,
when the machine stands still, when every source is down, when the clock is set back. Then the faults end,
launches go on until no hour is missed, and the invariants are looked at. What does not hold is printed with
the seed, and the exit code is 1.

Belongs here: the plan, carrying it out, the invariants. Does not belong here: Dagster's daemon, whose own
kills have their tests, and workers of other machines (``orchestration/test_scale.py``).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from regime_pipeline.catalogue import TABLES
from regime_pipeline.orchestration import launch
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.storage.database import Database, open_database
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import StorageError
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, HOUR, Window, utc
from regime_pipeline_tests.alerts.receivers import receiving
from regime_pipeline_tests.orchestration.replay import KINDS, Hand

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
SOURCES = ("binance", "binance_futures", "okx", "alternative_me")
FIRST, BEGIN = utc("2024-02-25"), utc("2024-03-05 06:02")
CANARY = "canary-key-of-the-soak-7f3a"
SHARE = 0.05
"""Of requests that fail."""
_WHEN = (1, 50)
GROWTH = 1.1
"""How much larger memory, open files and connections may be at the end than after the first launch."""
_EXACT = ("raw.candles", "raw.funding_rates")
"""Raw tables of which the past can be had whole, whenever one asks."""


@dataclass(frozen=True)
class Hour:
    """What happens in one launch.

    Attributes:
        at: what the clock says.
        is_on: whether the machine runs at all.
        down: every source fails.
        killed_at: the step, a dataset asked for or a table derived, after which the launch is killed.
        server_killed_at: the step after which the database server is.
        set_back: how far the clock is behind.
    """

    at: datetime
    is_on: bool = True
    down: bool = False
    killed_at: int | None = None
    server_killed_at: int | None = None
    set_back: timedelta = timedelta(0)


def plan(hours: int, seed: int) -> list[Hour]:
    """The hours of a soak; the same for the same seed.

    Of six hours or more a quarter on end finds the machine off, and there are a kill of a launch, one of the
    server, an hour without any source and a clock that is set back.
    """
    chance = random.Random(seed)
    out = [Hour(BEGIN + i * HOUR) for i in range(hours)]
    off = range(0)
    if hours >= 6:
        first = chance.randint(2, hours - hours // 4)
        off = range(first, first + hours // 4)
    kinds: list[Callable[[Hour], Hour]] = [
        lambda h: replace(h, killed_at=chance.randint(*_WHEN)),
        lambda h: replace(h, server_killed_at=chance.randint(*_WHEN)),
        lambda h: replace(h, down=True),
        lambda h: replace(h, set_back=timedelta(minutes=chance.randint(5, 58))),
    ]
    hit = [i for i in range(1, hours) if i not in off]
    chance.shuffle(hit)
    for k, i in enumerate(hit[: max(len(kinds), hours * 2 // 3)]):
        out[i] = kinds[k % len(kinds)](out[i])
    return [replace(h, is_on=i not in off) for i, h in enumerate(out)]


@dataclass(frozen=True)
class Footprint:
    """What a process holds: bytes of memory now, open files."""

    rss: int
    fds: int


def launched(settings: Settings, hour: Hour, window: Window) -> Footprint:
    """One launch, in a process that may not live to its end."""
    steps = 0

    def progress(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == hour.server_killed_at:
            data = EmbeddedServer(settings.home).data
            os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        if steps == hour.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    launch.run_pipeline(
        settings=settings,
        clock=Hand(hour.at - hour.set_back),
        window=window,
        symbols=SYMBOLS,
        progress=progress,
        reports=False,
    )
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Footprint(pages * resource.getpagesize(), len(list(Path("/proc/self/fd").iterdir())))


class Soak:
    """One database, the market that it follows, and what is known of how it went."""

    def __init__(self, settings: Settings, simulator: SimulatorServer, clock: Hand) -> None:
        self.settings = settings
        self.clock = clock
        self.faults = simulator.app.state.faults
        self.kills = self.ends = self.launches = 0
        self.footprints: list[Footprint] = []
        self._pool: ProcessPoolExecutor | None = None

    def hour(self, hour: Hour, chance: random.Random | None) -> None:
        """One launch; without ``chance`` nothing fails."""
        self.clock.at = hour.at
        self.faults.clear()
        if hour.down:
            self.faults["/"] = KINDS["error"]
        elif chance is not None:
            self.faults["/"] = lambda _: _failing(chance)
        self.launches += 1
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([launch.__name__])
            self._pool = ProcessPoolExecutor(1, context)
            self.footprints.clear()
        window = Window(BEGIN.replace(hour=0, minute=0), hour.at.replace(minute=0))
        try:
            self.footprints.append(
                self._pool.submit(launched, self.settings, hour, window).result()
            )
        except BrokenProcessPool:
            self.kills += 1
            self._pool.shutdown()
            self._pool = None
        except StorageError as error:  # the server was killed and the command said so
            self.ends += 1
            print(f"  {hour.at:%d %H:%M} ended: {error}", flush=True)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


def _failing(chance: random.Random) -> Fault | None:
    if chance.random() >= SHARE:
        return None
    kind = chance.choice([n for n in KINDS if n != "geo"])  # a refusal by place lasts for hours
    return replace(KINDS[kind])


# ---------------------------------------------------------------- what must hold


def broken(soak: Soak, database: Database, received: int) -> Iterator[str]:
    """Every invariant that does not hold, as a sentence."""
    warehouse = Warehouse(database, soak.clock, landing=soak.settings.landing)
    yield from _lost(soak, warehouse)
    yield from _other_values(soak, warehouse)
    yield from _alerts(database, received)
    yield from _secrets(soak.settings.home, database)
    yield from _leaks(soak)


def _lost(soak: Soak, warehouse: Warehouse) -> Iterator[str]:
    """I1: what the venues have is here, to the bit, as in a database that met no fault."""
    own = changed_home(soak.settings, soak.settings.home / "calm")
    calm = open_database(own)
    soak.faults.clear()
    window = Window(BEGIN.replace(hour=0, minute=0), soak.clock.at.replace(minute=0))
    try:
        launch.run_selection(
            settings=own,
            clock=soak.clock,
            window=window,
            symbols=SYMBOLS,
            select=",".join(name.replace(".", "/") for name in _EXACT),
        )
        other = Warehouse(calm, soak.clock)
        for name in _EXACT:
            if warehouse.content_hash(name, window) != other.content_hash(name, window):
                yield f"{name} is not what a fetch without faults stores"
    finally:
        calm.close()
        EmbeddedServer(own.home).destroy()


def _other_values(soak: Soak, warehouse: Warehouse) -> Iterator[str]:
    """Derived rows are those that the final raw rows give, derived anew in one go."""
    derived = [n for n in warehouse.counts() if _is_derived(n)]
    before = {name: warehouse.content_hash(name) for name in derived}
    launch.run_pipeline(
        settings=soak.settings,
        clock=soak.clock,
        window=Window(BEGIN.replace(hour=0, minute=0), soak.clock.at.replace(minute=0)),
        symbols=SYMBOLS,
        recompute=True,
        reports=False,
    )
    for name in derived:
        if warehouse.content_hash(name) != before[name]:
            yield f"{name} differs from what the stored raw rows give"
            return


def _is_derived(name: str) -> bool:
    table = TABLES.get(name)
    return (
        table is not None
        and table.partitioned
        and table.schema in ("market", "features", "regimes", "correlation", "signals", "alerts")
    )


def _alerts(database: Database, received: int) -> Iterator[str]:
    """I3: one outbox row per event and receiver, with an attempt or a reason, and no waiting ones."""
    with database.connect() as connection:

        def count(query: str) -> int:
            row = connection.execute(query).fetchone()
            assert row is not None
            return int(row[0])

        events = count("select count(*) from alerts.market_events")
        if lacking := count(
            "select count(*) from alerts.market_events e where "
            "(select count(*) from alerts.outbox o where o.event_id = e.event_id) <> 1"
        ):
            yield f"{lacking} of {events} events have not one outbox row"
        if silent := count(
            "select count(*) from alerts.outbox o where o.reason is null and not exists "
            "(select from alerts.delivery_attempts a where a.endpoint = o.endpoint and "
            "a.event_id in (o.event_id, o.digest_id))"
        ):
            yield f"{silent} outbox rows have neither an attempt nor a reason"
        sent = count("select count(*) from alerts.delivery_starts")
        if received > sent:
            yield f"{received} messages came, {sent} were begun"
        print(f"  {events} events, {sent} deliveries begun, {received} received", flush=True)


def _secrets(home: Path, database: Database) -> Iterator[str]:
    """I4: the key is in no file of the home but the landed replies, and in no row of the logs."""
    for path in sorted((home / "logs").rglob("*")):
        if path.is_file() and CANARY.encode() in path.read_bytes():
            yield f"{path.name} shows a key"
    with database.connect() as connection:
        for table in ("ops.fetch_log", "dagster.event_logs"):
            found = connection.execute(
                f"select count(*) from {table} t where t::text like %s", (f"%{CANARY}%",)
            ).fetchone()
            if found != (0,):
                yield f"{table} shows a key"


def _leaks(soak: Soak) -> Iterator[str]:
    """I7: a process that has made many launches holds no more than after its first ones."""
    if len(soak.footprints) < 4:
        return
    base, last = soak.footprints[1], soak.footprints[-1]
    print(f"  {len(soak.footprints)} launches of one process: {base} .. {last}", flush=True)
    if last.rss > base.rss * GROWTH + 32 * 2**20:
        yield f"memory grew from {base.rss / 2**20:.0f} to {last.rss / 2**20:.0f} MiB"
    if last.fds > base.fds * GROWTH + 4:
        yield f"open files grew from {base.fds} to {last.fds}"


def changed_home(settings: Settings, home: Path) -> Settings:
    return settings.model_copy(update={"home": home, "landing_url": None})


def missed(database: Database) -> int:
    """Hours that we missed and that can still be had."""
    with database.connect() as connection:
        row = connection.execute(
            "select count(*) from ops.coverage where coverage_state = 'missed' and ts >= %s",
            (BEGIN.replace(hour=0, minute=0),),
        ).fetchone()
    assert row is not None
    return int(row[0])


def soaked(hours: int, seed: int, home: Path) -> list[str]:
    """Carry a plan out below a folder; what does not hold afterwards."""
    clock = Hand(BEGIN)
    end = BEGIN + (hours + 12) * HOUR
    tape = SyntheticTape(seed=seed, start=FIRST, end=end + DAY, symbols=SYMBOLS)
    with SimulatorServer(tape, clock) as simulator, receiving() as receiver:
        settings = Settings(
            _env_file=None,
            home=home,
            symbols=SYMBOLS,
            sources=SOURCES,
            start_date=FIRST.date(),
            http_attempts=1,
            webhooks_all=SecretStr(receiver.url),
            **(simulator.settings_overrides() | {"coinglass_api_key": CANARY}),
        )
        EmbeddedServer(home, settings={"fsync": "off"}).start()
        database = open_database(settings)
        soak = Soak(settings, simulator, clock)
        chance = random.Random(seed + 1)
        try:
            schedule = plan(hours, seed)
            for hour in schedule:
                print(f"  {_told(hour)}", flush=True)
                if hour.is_on:
                    soak.hour(hour, chance)
            at = schedule[-1].at
            for _ in range(12):
                at += timedelta(minutes=70)
                soak.hour(Hour(at), None)
                if not (left := missed(database)):
                    break
            else:
                return [f"{left} hours are still missed after twelve launches without a fault"]
            soak.close()
            return list(broken(soak, database, len(receiver.requests)))
        finally:
            soak.close()
            print(
                f"  {soak.launches} launches, {soak.kills} killed, {soak.ends} ended by the server's death",
                flush=True,
            )
            database.close()
            EmbeddedServer(home).destroy()


def _told(hour: Hour) -> str:
    if not hour.is_on:
        return f"{hour.at:%d %H:%M} off"
    what = {
        "every source down": hour.down,
        f"killed at step {hour.killed_at}": hour.killed_at,
        f"server killed at step {hour.server_killed_at}": hour.server_killed_at,
        f"clock set back by {hour.set_back}": hour.set_back,
    }
    return f"{hour.at:%d %H:%M} " + (", ".join(k for k, v in what.items() if v) or "-")


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    asked = parser.parse_args()
    print(f"soak of {asked.hours} hours, seed {asked.seed}", flush=True)
    for name in [n for n in os.environ if n.startswith(("REGIME_", "WEBHOOKS_", "DAGSTER_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="regime-soak-") as folder:
        faults = soaked(asked.hours, asked.seed, Path(folder) / "home")
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(u.ru_utime + u.ru_stime for u in used)
    print(json.dumps({"hours": asked.hours, "seed": asked.seed, "cpu_s": round(cpu, 1)}))
    for fault in faults:
        print(f"BROKEN (seed {asked.seed}): {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
