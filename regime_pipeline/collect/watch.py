"""What was heard when, by connection and topic: spans to the second, silence, counts. Pure.

Belongs here: arithmetic over times of receipt. Does not belong here: sockets (``session``), tables
(``store``). Times are ns since the epoch, as the messages are stamped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import NamedTuple

from regime_pipeline.collect.plan import Line, Subscription

S = 1_000_000_000
US = 1_000
HOUR_NS = 3_600 * S
LEFT_OUT = "left out: the disk could not follow"
DROPPED_AT_LEAST_NS = 2 * S
"""An hour counts as whole with a second missing; one with a message that was left out must not."""
GAPS_KEPT = 256
TWIN_WITNESSES = 3
TWIN_WITHIN_S = 60.0
DEAD_AFTER_S = 600.0
DEAD_MEDIANS = 25.0
LONGEST_GAPS = 3.0
QUIET_MEDIANS = 5.0
ASKED_AGAIN_NS = 30 * S
"""A quiet topic is not asked about more often."""
NEWER_NS = 2 * S
"""A trade that is newer by less may be told by the message that came last; one may be on its way so long."""


@dataclass(slots=True)
class Span:
    """A stretch in which a connection heard a topic.

    Attributes:
        start_ns: first.
        end_ns: last instant at which the connection is known to have heard.
        received: messages.
        dropped: messages that were left out.
        reason: why it ended; empty while it goes on.
        state: ``live``; ``dropped``: messages came and were not kept; ``backfilled``: nobody heard, and
            what happened was asked for.
    """

    start_ns: int
    end_ns: int
    received: int = 0
    dropped: int = 0
    reason: str = ""
    state: str = "live"


@dataclass(slots=True)
class Topic:
    """What is known of one subscription."""

    subscription: Subscription
    is_accepted: bool = False
    span: Span | None = None
    dropping: Span | None = None
    last_ns: int | None = None
    vouched_ns: int = 0  # until then there was nothing to tell of, as the venue says
    gaps: deque[int] = field(default_factory=lambda: deque(maxlen=GAPS_KEPT))

    def heard(self, now_ns: int) -> None:
        """A message came."""
        last, span = self.last_ns, self.span
        if last is not None:
            self.gaps.append(now_ns - last)
        self.last_ns = now_ns
        if span is None:
            self.span = span = Span(now_ns, now_ns)
        if now_ns > span.end_ns:  # one that follows on dropped messages may begin a little later
            span.end_ns = now_ns
        span.received += 1

    @property
    def median_s(self) -> float | None:
        """Usual time between two messages; None before there are enough to say."""
        return median(self.gaps) / S if len(self.gaps) >= 8 else None

    def silent_s(self, now_ns: int) -> float:
        """Seconds since its last message."""
        return 0.0 if self.last_ns is None else (now_ns - self.last_ns) / S

    def unknown_s(self, now_ns: int) -> float:
        """Seconds since it was last known to be heard: by a message, or because the venue had no other."""
        return min(self.silent_s(now_ns), (now_ns - self.vouched_ns) / S)

    @property
    def quiet_after_s(self) -> float:
        """Silence that is looked into."""
        usual = self.median_s
        floor = self.subscription.channel.quiet_after_s
        return floor if usual is None else max(floor, QUIET_MEDIANS * usual)

    @property
    def dead_after_s(self) -> float:
        """Silence that ends a subscription where nothing can be asked about it."""
        usual = self.median_s
        if usual is None:
            return DEAD_AFTER_S
        longest = max(self.gaps) / S  # trades come in bursts: their median is short
        return max(DEAD_AFTER_S, DEAD_MEDIANS * usual, LONGEST_GAPS * longest)


class Watch:
    """What one connection heard, since it was opened and before.

    Args:
        line: the connection.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.topics = {t: Topic(s) for t, s in line.subscriptions.items()}
        self._sparse = [t for t in self.topics.values() if t.subscription.channel.is_sparse]
        self.is_open = False
        self.last_ns: int | None = None
        self.received = self.dropped = 0
        self.deaths = 0
        self._ended: list[tuple[Topic, Span]] = []

    def opened(self, now_ns: int) -> None:
        """The connection stands."""
        self.is_open, self.last_ns = True, now_ns

    def alive(self, now_ns: int) -> None:
        """Anything came, be it a pong: of sparse topics that is all that shows that they are heard."""
        self.last_ns = now_ns
        for topic in self._sparse:
            if topic.dropping is not None:
                self._resume(topic, now_ns)
            if topic.span is not None:
                topic.span.end_ns = max(now_ns, topic.span.end_ns)

    def accepted(self, topics: Iterable[str], now_ns: int) -> None:
        """The venue took subscriptions. Only sparse topics count as heard before their first data."""
        for name in topics:
            topic = self.topics[name]
            topic.is_accepted = True
            if topic.subscription.channel.is_sparse and topic.span is None:
                topic.span = Span(now_ns, now_ns)

    def data(self, name: str, now_ns: int) -> bool:
        """A message of a topic came; whether it is the first of a stretch.

        One that nobody subscribed is only counted.
        """
        self.received += 1
        if self._sparse:
            self.alive(now_ns)
        topic = self.topics.get(name)
        if topic is None:
            return False
        if topic.dropping is not None:
            self._resume(topic, now_ns)
        begins = topic.span is None
        topic.heard(now_ns)
        return begins

    def backfilled(self, name: str, start_ns: int, end_ns: int, received: int) -> None:
        """What nobody heard of a topic was asked for, and is kept."""
        span = Span(start_ns, end_ns, received, reason="asked for", state="backfilled")
        self._ended.append((self.topics[name], span))

    def lost(self, name: str, reason: str) -> None:
        """A topic is heard no more; its span ends with its last message."""
        topic = self.topics[name]
        if topic.span is not None:
            topic.span.reason = reason
            self._ended.append((topic, topic.span))
        if topic.dropping is not None:
            self._ended.append((topic, topic.dropping))
        topic.span, topic.dropping = None, None
        topic.is_accepted, topic.last_ns = False, None

    def closed(self, reason: str) -> None:
        """The connection is gone."""
        self.is_open = False
        for name in self.topics:
            self.lost(name, reason)

    def left_out(self, name: str, now_ns: int) -> None:
        """A message of a topic was received and not kept: until one is kept nothing counts as heard."""
        self.dropped += 1
        topic = self.topics.get(name)
        if topic is None:
            return
        if topic.dropping is None:
            begin = now_ns
            if topic.span is not None:
                begin = topic.span.end_ns + US
                topic.span.reason = LEFT_OUT
                self._ended.append((topic, topic.span))
                topic.span = None
            topic.dropping = Span(begin, begin, reason=LEFT_OUT, state="dropped")
        topic.dropping.end_ns = max(now_ns, topic.dropping.end_ns)
        topic.dropping.dropped += 1

    def _resume(self, topic: Topic, now_ns: int) -> None:
        """Messages are kept again. So short a stretch would not be missed among the seconds of an hour."""
        span = topic.dropping
        assert span is not None
        span.end_ns = max(now_ns, span.start_ns + DROPPED_AT_LEAST_NS)
        self._ended.append((topic, span))
        topic.dropping, topic.span = None, Span(span.end_ns + US, span.end_ns + US)

    def spans(self) -> list[tuple[Topic, Span]]:
        """Copies of all spans that ended since the last call, and of those that go on."""
        ended, self._ended = self._ended, []
        going = [
            (topic, replace(span))
            for topic in self.topics.values()
            for span in (topic.span, topic.dropping)
            if span is not None
        ]
        return ended + going


def silent(watch: Watch, now_ns: int) -> list[str]:
    """Topics of an open connection whose silence has to be looked into; sparse ones never."""
    return [
        name
        for name, topic in watch.topics.items()
        if topic.is_accepted
        and not topic.subscription.channel.is_sparse
        and topic.last_ns is not None
        and topic.silent_s(now_ns) > topic.quiet_after_s
    ]


class Newest(NamedTuple):
    """The newest trade of an instrument as the venue tells it, and whether we heard it.

    Attributes:
        at_ns: when, on our clock once corrected; None: it is not known how far the venue's is from it.
        is_heard: whether it is the one that was heard last.
    """

    at_ns: int | None
    is_heard: bool

    def corrected(self, clock_offset_s: float | None) -> Newest:
        """One of a venue's time on our clock; the offset is the venue's clock minus ours, None: unknown."""
        if clock_offset_s is None or self.at_ns is None:
            return Newest(None, self.is_heard)
        return Newest(self.at_ns - round(clock_offset_s * S), self.is_heard)


@dataclass(slots=True)
class Doubts:
    """Quiet topics of one connection of whose instruments the venue was asked for the newest trade.

    A trade that is newer than a topic's last message contradicts its silence; the topic is dead when it
    stays silent for its grace after that trade.
    """

    _asked_ns: dict[str, int] = field(default_factory=dict)
    _doomed: dict[str, tuple[int, int]] = field(default_factory=dict)

    def to_ask(self, quiet: Iterable[str], now_ns: int) -> list[str]:
        """The topics about which the venue is to be asked now; they count as asked."""
        found = [
            name
            for name in quiet
            if name not in self._doomed and now_ns - self._asked_ns.get(name, 0) >= ASKED_AGAIN_NS
        ]
        self._asked_ns.update(dict.fromkeys(found, now_ns))
        return found

    def told(self, name: str, topic: Topic, newest: Newest, asked_ns: int, now_ns: int) -> None:
        """The venue's newest trade; where it is the one that was heard last nothing was missed till then.

        Another one whose time is not known on our clock says nothing of the silence.
        """
        last, trade_ns = topic.last_ns, newest.at_ns
        if last is None or last >= asked_ns:
            return
        if newest.is_heard and topic.span is not None:
            topic.span.end_ns = max(asked_ns, topic.span.end_ns)
        if newest.is_heard or (trade_ns is not None and trade_ns <= last):
            topic.vouched_ns = asked_ns
        elif trade_ns is None:
            return
        elif trade_ns > last + NEWER_NS:
            grace = int(topic.subscription.channel.grace_s * S)
            self._doomed[name] = (last, max(trade_ns + grace, now_ns + NEWER_NS))

    def dead(self, watch: Watch, now_ns: int) -> list[str]:
        """Topics that were contradicted and stayed silent; those that were heard since are forgotten."""
        found = []
        for name, (last, doomed) in list(self._doomed.items()):
            if watch.topics[name].last_ns != last:
                del self._doomed[name]
            elif now_ns >= doomed:
                del self._doomed[name]
                found.append(name)
        return found


def over_the_hour(watch: Watch, now_ns: int) -> list[str]:
    """Topics of trades of which nothing tells yet that they were heard to the end of the last hour."""
    hour_ns = now_ns - now_ns % HOUR_NS
    if now_ns - hour_ns < NEWER_NS:
        return []
    return [
        name
        for name, topic in watch.topics.items()
        if topic.subscription.channel.has_trades
        and topic.span is not None
        and topic.span.end_ns < hour_ns
    ]


def dead(watch: Watch, now_ns: int) -> list[str]:
    """Topics whose silence can have no other reason than that the venue forgot them."""
    return [
        name
        for name in silent(watch, now_ns)
        if watch.topics[name].unknown_s(now_ns) > watch.topics[name].dead_after_s
    ]


def contradicted(watch: Watch, twin: Watch, now_ns: int) -> list[str]:
    """Topics of which the twin got several messages within a minute and this connection none."""
    found = []
    for name, topic in watch.topics.items():
        other = twin.topics.get(name)
        if other is None or not topic.is_accepted or topic.span is None:
            continue
        since = now_ns - int(TWIN_WITHIN_S * S)
        if topic.span.start_ns > since or (topic.last_ns or 0) >= since:
            continue
        if _messages_since(other, since) >= TWIN_WITNESSES:
            found.append(name)
    return found


def _messages_since(topic: Topic, since_ns: int) -> int:
    """At least so many messages came after an instant, as far as the kept gaps tell."""
    if topic.last_ns is None or topic.last_ns < since_ns:
        return 0
    count, at = 1, topic.last_ns
    for gap in reversed(topic.gaps):
        at -= gap
        if at < since_ns:
            break
        count += 1
    return count


# --- intervals -----------------------------------------------------------------------------------

Interval = tuple[int, int]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Intervals that touch or overlap made one, in order."""
    out: list[Interval] = []
    for start, end in sorted(intervals):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def clipped(intervals: Iterable[Interval], inside: Interval) -> list[Interval]:
    """The parts of intervals inside another one."""
    cut = ((max(a, inside[0]), min(b, inside[1])) for a, b in intervals)
    return [(a, b) for a, b in cut if a < b]


def holes(heard: Sequence[Interval], inside: Interval) -> list[Interval]:
    """The parts of an interval that a union of intervals leaves out."""
    out, at = [], inside[0]
    for start, end in clipped(union(heard), inside):
        if start > at:
            out.append((at, start))
        at = max(at, end)
    if at < inside[1]:
        out.append((at, inside[1]))
    return out


def seconds(intervals: Iterable[Interval]) -> float:
    """Their length together."""
    return sum(b - a for a, b in intervals) / S


def lengths(watches: Mapping[str, Watch]) -> tuple[int, int]:
    """How many connections are open, of how many."""
    return sum(w.is_open for w in watches.values()), len(watches)
