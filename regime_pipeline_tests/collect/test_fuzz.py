"""Whatever a venue sends is rows, or a refusal that quotes it; nothing takes its neighbours with it."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from regime_pipeline.collect import decode
from regime_pipeline.collect.plan import Kind, Line, lines_of
from regime_pipeline.collect.present import Present
from regime_pipeline.collect.segments import Record
from regime_pipeline.collect.store import instant_ns
from regime_pipeline.collect.venues import CONNECTIONS
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.context import World
from regime_pipeline.simulator.stream_desks import STREAMS
from regime_pipeline.simulator.streams import StreamDesk
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock, utc
from regime_pipeline_tests.collect.streams import settings_in

AT = utc("2024-06-20T11:00:01")
SYMBOLS = ("BTC/USDT",)
SOURCES = ("bybit", "okx", "binance", "binance_futures")
TOGETHER = 20
ODD = (None, "", "x", "-1", "1e400", "NaN", 0, -1, 2**70, [], {}, [[]], True, "0" * 400, "\0")


def _originals(settings: Settings) -> list[tuple[Line, bytes]]:
    """What each simulated connection would have sent in the last hour, some of each topic."""
    tape = SyntheticTape(seed=7, symbols=SYMBOLS, end=AT + timedelta(days=1))
    world = World(tape, FixedClock(AT))
    desks: dict[str, StreamDesk] = {path: make(world) for path, make in STREAMS.items()}
    end = world.now_ms()
    found = []
    for line in lines_of(CONNECTIONS, settings, SYMBOLS, SOURCES):
        desk = desks[line.source.name + line.connection.path]
        for topic, subscription in line.subscriptions.items():
            low = 0 if subscription.channel.book is not None else end - 3_600_000
            sent = [message.body for message in desk.since(topic, low, end)]
            found += [(line, body) for body in sent[:3]]
    return found


def _spoiled(body: bytes, rng: random.Random) -> bytes:
    """The message with something wrong about it: a byte, its end, or a value somewhere inside."""
    kind = rng.randrange(4)
    if kind == 0:
        at = rng.randrange(len(body))
        return body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
    if kind == 1:
        return body[: rng.randrange(len(body))]
    message = orjson.loads(body)
    places = list(_places(message))
    inside, key = rng.choice(places)
    if kind == 2 and isinstance(inside, dict):
        del inside[key]
    else:
        inside[key] = rng.choice([o for o in ODD if not isinstance(o, int) or abs(o) < 2**63])
    return orjson.dumps(message)


def _places(value: object):  # type: ignore[no-untyped-def]
    items = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from _places(inner)


def _fuzz(home: Path, frames: int) -> tuple[int, int, int]:
    settings = settings_in(home)
    originals = _originals(settings)
    assert {line.source.name for line, _ in originals} == set(SOURCES)
    rng = random.Random(5)
    records: dict[str, list[Record]] = {}
    lines = {line.name: line for line, _ in originals}
    begin = instant_ns(AT)
    presents: dict[str, Present] = {}
    for n in range(frames):
        line, body = rng.choice(originals)
        spoiled = _spoiled(body, rng)
        records.setdefault(line.name, []).append(Record(begin + n * 1_000, spoiled))
        present = presents.setdefault(line.name, Present(line))
        try:
            message = orjson.loads(spoiled)
        except orjson.JSONDecodeError:
            continue
        heard = line.connection.dialect.heard(message)
        if heard.kind is Kind.DATA and heard.topic in present.topics:
            present.take(heard.topic, message)
    batches = [
        decode.Batch(lines[name], f"segment-{at}", mine[at : at + TOGETHER])
        for name, mine in records.items()
        for at in range(0, len(mine), TOGETHER)
    ]
    rows = refused = unread = 0
    for dataset in ("liquidation_events", "candles", "order_book"):
        parsed = decode.parsed(batches, [dataset])
        unread += len(parsed.unread)
        good, bad = decode.rows(dataset, parsed, settings)
        rows, refused = rows + len(good), refused + len(bad)
    return rows, refused, unread


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_spoiled_messages_are_rows_or_refusals(tmp_path: Path) -> None:
    rows, refused, unread = _fuzz(tmp_path, 10_000)
    assert min(rows, refused, unread) > 20
