"""What was heard is told in spans that overstate nothing; silence is judged by what is usual."""

from __future__ import annotations

import numpy as np
import pytest

from regime_pipeline.collect.plan import lines_of
from regime_pipeline.collect.venues import CONNECTIONS
from regime_pipeline.collect.watch import (
    HOUR_NS,
    Doubts,
    Newest,
    S,
    Watch,
    contradicted,
    dead,
    holes,
    over_the_hour,
    silent,
    union,
)
from regime_pipeline.settings import Settings

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def _watch(source: str, channel: str) -> tuple[Watch, str]:
    for line in lines_of(CONNECTIONS, Settings(_env_file=None), SYMBOLS, [source]):
        for topic, subscription in line.subscriptions.items():
            if subscription.channel.name == channel:
                return Watch(line), topic
    raise AssertionError(channel)


def test_an_acknowledgement_alone_makes_only_sparse_topics_heard() -> None:
    watch, topic = _watch("bybit", "allLiquidation")
    watch.opened(0)
    watch.accepted([topic], 5 * S)
    watch.alive(9 * S)
    watch.closed("gone")
    ((_, span),) = watch.spans()
    assert (span.start_ns, span.end_ns, span.reason) == (5 * S, 9 * S, "gone")
    assert watch.spans() == []


def test_a_sparse_topic_is_never_called_silent() -> None:
    watch, topic = _watch("bybit", "allLiquidation")
    watch.opened(0)
    watch.accepted([topic], 0)
    watch.data(topic, 1)
    assert silent(watch, 10**15) == dead(watch, 10**15) == []


def test_a_twin_that_hears_shows_that_a_topic_died_alone() -> None:
    watch, topic = _watch("bybit", "allLiquidation")
    twin, _ = _watch("bybit", "allLiquidation")
    for one in (watch, twin):
        one.opened(0)
        one.accepted([topic], 0)
    for second in (70, 90, 100):
        assert contradicted(watch, twin, second * S) == []
        twin.data(topic, second * S)
    assert contradicted(watch, twin, 101 * S) == [topic]
    watch.data(topic, 101 * S)
    assert contradicted(watch, twin, 102 * S) == []


def test_holes_are_what_no_connection_heard() -> None:
    heard = [(0, 10), (8, 20), (25, 30), (30, 31)]
    assert union(heard) == [(0, 20), (25, 31)]
    assert holes(heard, (5, 40)) == [(20, 25), (31, 40)]
    assert holes([], (5, 40)) == [(5, 40)]


@pytest.mark.parametrize("seed", range(3))
def test_holes_and_union_part_an_interval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 1000, 30)
    heard = [(int(a), int(a + n)) for a, n in zip(starts, rng.integers(1, 40, 30), strict=True)]
    inside = (100, 900)
    seconds = set(range(*inside))
    for a, b in heard:
        seconds -= set(range(a, b))
    assert {n for a, b in holes(heard, inside) for n in range(a, b)} == seconds


def test_bursts_are_no_deaths_and_a_mute_topic_is_one() -> None:
    watch, topic = _watch("bybit", "publicTrade")
    rng = np.random.default_rng(7)
    watch.opened(0)
    watch.accepted([topic], 0)
    now = 0
    for _ in range(2_000):  # bursts of trades milliseconds apart, half a minute between them
        now += int(rng.exponential(30.0) * S)
        for _ in range(int(rng.integers(1, 30))):
            if watch.topics[topic].last_ns is not None:
                assert dead(watch, now) == []
            watch.data(topic, now)
            now += 2_000_000
    assert dead(watch, now + 3_000 * S) == [topic]
    watch.lost(topic, "silent for too long")
    ((_, span),) = watch.spans()
    assert span.end_ns == now - 2_000_000


def test_what_is_left_out_is_a_stretch_of_its_own_and_no_hour_with_one_is_whole() -> None:
    watch, topic = _watch("bybit", "publicTrade")
    watch.opened(0)
    watch.accepted([topic], 0)
    watch.data(topic, 10 * S)
    watch.data(topic, 20 * S)
    watch.left_out(topic, 21 * S)
    watch.left_out(topic, 21 * S + 5)
    watch.data(topic, 21 * S + 9)
    watch.data(topic, 60 * S)
    watch.closed("gone")
    live, dropped, after = (span for _, span in watch.spans())
    assert (live.start_ns, live.end_ns, live.state) == (10 * S, 20 * S, "live")
    assert (dropped.state, dropped.dropped) == ("dropped", 2)
    assert dropped.start_ns > live.end_ns
    assert after.start_ns - live.end_ns >= 2 * S
    assert (after.end_ns, after.received) == (60 * S, 2)


def test_a_sparse_topic_counts_as_heard_again_with_the_next_sign_of_life() -> None:
    watch, topic = _watch("bybit", "allLiquidation")
    watch.opened(0)
    watch.accepted([topic], 0)
    watch.left_out(topic, 5 * S)
    watch.alive(9 * S)
    watch.alive(30 * S)
    watch.closed("gone")
    live, dropped, after = (span for _, span in watch.spans())
    assert (live.end_ns, dropped.state, after.state) == (0, "dropped", "live")
    assert (after.start_ns, after.end_ns) == (dropped.end_ns + 1_000, 30 * S)


def test_a_quiet_coin_is_heard_to_the_end_of_the_hour_where_its_newest_trade_is_known() -> None:
    watch, topic = _watch("bybit", "publicTrade")
    doubts, end = Doubts(), HOUR_NS
    watch.opened(0)
    watch.accepted([topic], 0)
    watch.data(topic, end - 90 * S)
    assert over_the_hour(watch, end + S) == []
    assert doubts.to_ask(over_the_hour(watch, end + 3 * S), end + 3 * S) == [topic]
    known = watch.topics[topic]
    doubts.told(topic, known, Newest(end - 89 * S, is_heard=False), end + 3 * S, end + 4 * S)
    assert over_the_hour(watch, end + 4 * S) == [topic]
    doubts.told(topic, known, Newest(end - 91 * S, is_heard=True), end + 3 * S, end + 4 * S)
    assert over_the_hour(watch, end + 4 * S) == []
    assert doubts.dead(watch, end + 900 * S) == []
    assert dead(watch, end + 602 * S) == []
    assert dead(watch, end + 604 * S) == [topic]
    ((_, span),) = watch.spans()
    assert span.end_ns == end + 3 * S


def test_a_trade_that_a_topic_did_not_tell_of_dooms_it_unless_it_is_heard_within_its_grace() -> (
    None
):
    watch, topic = _watch("bybit", "kline")
    watch.opened(0)
    watch.accepted([topic], 0)
    watch.data(topic, 10 * S)
    doubts, known = Doubts(), watch.topics[topic]
    doubts.told(topic, known, Newest(50 * S, is_heard=False), 100 * S, 101 * S)
    assert doubts.dead(watch, 109 * S) == []
    assert doubts.dead(watch, 110 * S) == [topic]
    doubts.told(topic, known, Newest(50 * S, is_heard=False), 100 * S, 101 * S)
    watch.data(topic, 109 * S)
    assert doubts.dead(watch, 110 * S) == []


def test_a_trade_of_a_venue_whose_clock_is_not_known_dooms_and_vouches_for_nothing() -> None:
    watch, topic = _watch("bybit", "kline")
    watch.opened(0)
    watch.accepted([topic], 0)
    watch.data(topic, 10 * S)
    doubts, known = Doubts(), watch.topics[topic]
    at_the_venue = Newest(50 * S, is_heard=False)
    assert at_the_venue.corrected(30.0).at_ns == 20 * S
    for told in (at_the_venue, Newest(5 * S, is_heard=False)):
        doubts.told(topic, known, told.corrected(None), 100 * S, 101 * S)
        assert doubts.dead(watch, 200 * S) == []
        assert known.unknown_s(101 * S) == 91.0
    doubts.told(
        topic, known, at_the_venue._replace(is_heard=True).corrected(None), 100 * S, 101 * S
    )
    assert known.unknown_s(101 * S) == 1.0
