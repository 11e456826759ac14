"""A collector that is killed at any moment stores what its segments hold, once, and claims no more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import orjson
import pytest

from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.segments import (
    Record,
    SegmentWriter,
    cut_torn_tail,
    read,
    segments_of,
)
from regime_pipeline.collect.store import instant_ns
from regime_pipeline.collect.watch import Watch
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import utc
from regime_pipeline_tests.collect.streams import closure, lines, settings_in, storer

START = utc("2024-05-30T02:00:00")
TOPIC = "allLiquidation.BTCUSDT"
DEATHS = ("in memory", "torn", "written", "stored", "told")


def _kept(home: Path, name: str) -> list[Record]:
    paths = segments_of(home / "collect", *name.split("/"))
    return [record for path in paths for record in read(path).records]


class Life:
    """One run of a collector of one connection, until it is killed."""

    def __init__(
        self, warehouse: Warehouse, home: Path, line: Line, rng: np.random.Generator
    ) -> None:
        for path in segments_of(home / "collect", *line.name.split("/")):
            cut_torn_tail(path)
        self.keeper, self.watch = storer(warehouse, settings_in(home), [line]), Watch(line)
        self.writer = SegmentWriter(home / "collect", *line.name.split("/"))
        self._rng = rng

    def turn(self, messages: list[tuple[int, bytes]], end: str) -> None:
        """What the collector does each second, up to the moment at which it dies."""
        for received_ns, _ in messages:
            self.watch.data(TOPIC, received_ns)
        if noted := bool(self._rng.random() < 0.5):
            self.keeper.note_spans([self.watch])
        if end == "in memory":
            return
        self.writer.append(messages)
        if end == "torn":
            self._tear(messages)
            return
        self.writer.sync()
        if end == "written":
            return
        self.keeper.store()
        if end != "stored" and noted:
            self.keeper.save_spans()

    def _tear(self, messages: list[tuple[int, bytes]]) -> None:
        path = self.writer.path
        if messages and path is not None:
            with path.open("r+b") as file:
                file.truncate(
                    path.stat().st_size - int(self._rng.integers(1, len(messages[-1][1])))
                )


def _lives(warehouse: Warehouse, home: Path, line: Line, kills: int) -> set[int]:
    """Runs and kills; the times of all messages that were sent, ns."""
    rng = np.random.default_rng(3)
    at, number, sent = START, 0, set()
    for _ in range(kills):
        life = Life(warehouse, home, line, rng)
        life.watch.opened(instant_ns(at))
        life.watch.accepted([TOPIC], instant_ns(at))
        turns = int(rng.integers(1, 5))
        for turn in range(turns):
            messages = []
            for _ in range(int(rng.integers(0, 6))):
                at += timedelta(milliseconds=int(rng.integers(1, 5_000)))
                number += 1
                # three in a row are the same closure of one millisecond, and are three
                size = float(3 + number - number % 3)
                told = closure(START + timedelta(seconds=size), "BTCUSDT", "Buy", size, 100.0)
                messages.append((instant_ns(at), orjson.dumps(told)))
            sent.update(received_ns for received_ns, _ in messages)
            last = turn == turns - 1
            life.turn(messages, str(rng.choice(DEATHS)) if last else "told")
        at += timedelta(seconds=10)
    return sent


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_fifty_kills_leave_what_the_segments_hold_once_and_no_claim_about_the_rest(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    line = next(x for x in lines(settings, "bybit", "liquidations") if x.name.endswith("-a"))
    sent = _lives(warehouse, tmp_path, line, 50)
    Life(warehouse, tmp_path, line, np.random.default_rng(1)).keeper.store()
    kept = _kept(tmp_path, line.name)
    assert 100 < len(kept) < len(sent)
    events = warehouse.read("raw.liquidation_events")
    assert sorted(events["quantity_base"]) == sorted(
        float(orjson.loads(record.body)["data"][0]["v"]) for record in kept
    )
    spans = warehouse.read("ops.stream_spans")
    heard = [
        (instant_ns(start), instant_ns(end))
        for start, end in spans[["span_start", "span_end"]].itertuples(index=False)
    ]
    assert heard
    for lost_ns in sent - {record.received_ns for record in kept}:
        assert not any(start < lost_ns <= end for start, end in heard)
