"""Single subscriptions that die on a healthy connection are found by what the venue traded meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from regime_pipeline.collect.spool import Spool
from regime_pipeline.collect.watch import ASKED_AGAIN_NS, HOUR_NS, NEWER_NS, S
from regime_pipeline.simulator.streams import StreamFault
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import utc
from regime_pipeline_tests.collect.streams import SYMBOLS, lines, settings_in
from regime_pipeline_tests.collect.virtual import Link, SetClock, Venue, pass_time

START = utc("2024-06-20T10:00:00")
SECOND = timedelta(seconds=1)


def _link(home: Path) -> tuple[Venue, Link]:
    tape = SyntheticTape(seed=7, symbols=SYMBOLS, end=START + timedelta(days=3))
    venue = Venue(tape, SetClock(START))
    (line,) = lines(settings_in(home), "bybit", "perp")
    trades = {t: s for t, s in line.subscriptions.items() if s.channel.has_trades}
    line = replace(line, subscriptions=trades)
    return venue, Link(venue, line, Spool(home / "collect", [line.name]))


async def _muted(venue: Venue, link: Link, count: int) -> list[tuple[str, int, float, int]]:
    """Mutes one topic after the other: topic, last heard (ns), quiet after (s), dead (ns)."""
    await link.open()
    await pass_time(venue, [link], START + timedelta(minutes=30), 5 * SECOND)
    assert link.watch.deaths == 0
    topics = list(link.line.subscriptions)
    rng, out = np.random.default_rng(5), []
    for number in range(count):
        topic = topics[number % len(topics)]
        state = link.watch.topics[topic]
        fault = StreamFault("/ws/bybit", "mute", topic)
        venue.state.faults.append(fault)
        last, quiet = state.last_ns, state.quiet_after_s
        assert last is not None
        latest = venue.clock.at + timedelta(hours=1)
        await pass_time(venue, [link], latest, SECOND, _has_died(link))
        out.append((topic, last, quiet, venue.clock.now_ns()))
        venue.state.faults.remove(fault)
        calm = venue.clock.at + timedelta(seconds=int(rng.integers(300, 900)))
        await pass_time(venue, [link], calm, 5 * SECOND)
    return out


def _has_died(link: Link) -> Callable[[], bool]:
    before = link.watch.deaths
    return lambda: link.watch.deaths > before


def _traded_ns(venue: Venue, topic: str, after_ns: int) -> int:
    """When the first trade was that the topic's last message does not tell."""
    symbol = dict(zip(("BTCUSDT", "ETHUSDT"), SYMBOLS, strict=True))[topic.rpartition(".")[2]]
    low = (after_ns + NEWER_NS) // 1_000_000 + 1
    found = venue.world.trades("bybit", "perp", symbol, low, venue.world.now_ms(), 1)
    assert found is not None
    return int(found.ts[0]) * 1_000_000


@pytest.mark.slow
def test_twenty_mute_topics_are_found_and_their_trades_asked_for(tmp_path: Path) -> None:
    venue, link = _link(tmp_path)
    muted = asyncio.run(_muted(venue, link, 20))
    assert link.watch.deaths == 20
    spans = link.watch.spans()
    for topic, last, quiet, dead in muted:
        traded = _traded_ns(venue, topic, last)
        if traded <= last + quiet * S:
            assert dead <= last + (quiet + 15) * S
        assert dead <= max(last + quiet * S, traded) + ASKED_AGAIN_NS + 5 * S
        mine = [span for t, span in spans if t.subscription.topic == topic]
        (ended,) = (s for s in mine if s.state == "live" and last <= s.end_ns < traded)
        assert ended.reason == "silent while there were trades"
        again = min(s.start_ns for s in mine if s.state == "live" and s.start_ns > last)
        (filled,) = (s for s in mine if s.state == "backfilled" and s.end_ns == again)
        assert filled.start_ns == last or filled.start_ns % HOUR_NS == 0
