"""Without a database, without disk: nothing falls over, and what is not kept is counted and called so."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from psycopg import sql

from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.segments import read, segments_of
from regime_pipeline.collect.session import Session
from regime_pipeline.collect.spool import MOST_BYTES, Spool
from regime_pipeline.collect.store import instant_ns
from regime_pipeline.collect.watch import Watch
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import HOUR
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.collect.streams import SYMBOLS, closure, lines, settings_in, trade
from regime_pipeline_tests.collect.virtual import START, Day

PADDING = "x" * 65_536


@contextmanager
def _files_of(most_bytes: int) -> Iterator[None]:
    """The system refuses to let a file grow further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _kept(home: Path, line: Line) -> int:
    paths = segments_of(home / "collect", *line.name.split("/"))
    return sum(len(read(path).records) for path in paths)


def _take(session: Session, number: int, message: dict[str, Any]) -> None:
    at = instant_ns(START) + number * 1_000_000
    session.take(orjson.dumps(message | {"padding": PADDING}), at)


def test_a_full_disk_costs_what_is_counted_as_left_out_and_no_closure(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (perp,) = lines(settings, "bybit", "perp")
    forced = lines(settings, "bybit", "liquidations")[0]
    spool = Spool(tmp_path / "collect", [perp.name, forced.name])
    trades, closures = (Session(line, Watch(line), spool) for line in (perp, forced))
    sent = MOST_BYTES // len(PADDING)
    for number in range(sent):
        _take(trades, number, trade(START, "BTCUSDT", 0.25, 100.0, number))
        if number == 3:
            with _files_of(4_096), pytest.raises(OSError, match="too large"):
                spool.flush()
    for number in range(sent // 4):
        _take(closures, number, closure(START, "BTCUSDT", "Buy", 1.0 + number, 100.0))
    spool.flush()
    dropped = trades._watch.dropped
    assert dropped > sent // 4
    assert _kept(tmp_path, perp) == sent - dropped
    assert closures._watch.dropped == 0
    assert _kept(tmp_path, forced) == sent // 4
    spool.measure(1.0)
    _take(trades, sent, trade(START, "BTCUSDT", 0.25, 100.0, sent))
    _take(closures, sent, closure(START, "BTCUSDT", "Buy", 99.0, 100.0))
    assert (trades._watch.dropped, closures._watch.dropped) == (dropped + 1, 0)
    states = {span.state: span.dropped for _, span in trades._watch.spans()}
    assert states["dropped"] == dropped + 1
    for line in (perp, forced):
        spool.cut(line.name)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_minutes_without_the_database_lose_nothing(
    postgres: TestServer, database: Database, tmp_path: Path
) -> None:
    day = Day(database, tmp_path)

    def let_in(is_open: bool) -> None:
        with postgres.admin() as admin:
            name = sql.Identifier(database.name)
            admin.execute(
                sql.SQL("alter database {} allow_connections {}").format(name, sql.Literal(is_open))
            )
            if not is_open:
                admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                    (database.name,),
                )

    async def away() -> None:
        day.begin()
        await day.run(START + timedelta(minutes=20))
        let_in(False)
        try:
            await day.run(START + timedelta(minutes=30))
        finally:
            let_in(True)
        await day.run(START + HOUR + timedelta(minutes=3))
        day.end()

    asyncio.run(away())
    hours = day.warehouse.read("ops.stream_hours")
    mine = hours[hours["ts"] == START]
    assert set(mine["dataset"]) == {"candles", "trade_flow", "liquidations", "liquidation_events"}
    assert mine["is_proven"].all(), mine[["dataset", "symbol", "live_s", "reason"]].to_string()
    events = day.warehouse.read("raw.liquidation_events")
    for symbol in SYMBOLS:
        told = day.tape.closures("bybit", symbol, round(START.timestamp() * 1000))
        stored = (events["symbol"] == symbol) & (events["ts"].dt.floor("h") == START)
        assert stored.sum() == (0 if told is None else len(told.ts))
