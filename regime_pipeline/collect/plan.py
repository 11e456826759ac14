"""Connections as data: what is subscribed where, how a venue talks, when silence means something.

Belongs here: the words in which a venue's streams are described, and what follows from the settings:
which connections are opened for which symbols. Does not belong here: any one venue (``venues``), sockets
(``session``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, Protocol

from regime_pipeline.collect.book import BookRules, Message
from regime_pipeline.providers.source import Feed, Source
from regime_pipeline.providers.symbols import VenueSymbol, to_venue
from regime_pipeline.settings import Settings


class Kind(StrEnum):
    """What a message of a venue is."""

    DATA = "data"
    ACCEPTED = "accepted"  # a subscription was taken; that data comes is shown by data only
    REFUSED = "refused"
    PONG = "pong"
    OTHER = "other"


class Heard(NamedTuple):
    """What one message is, and of which topic."""

    kind: Kind
    topic: str = ""
    detail: str = ""


@lru_cache(maxsize=4096)
def data_of(topic: str) -> Heard:
    """What a data message of a topic is; the same for each, as they are many."""
    return Heard(Kind.DATA, topic)


class Dialect(Protocol):
    """How a venue's streams are spoken: pure functions between texts and meanings."""

    @property
    def ping_every_s(self) -> float:
        """A ping is sent after this long."""
        ...

    @property
    def topics_per_request(self) -> int:
        """Most topics in one subscription."""
        ...

    @property
    def renew_after_s(self) -> float | None:
        """The venue ends a connection at this age, so that it is renewed before; None: never."""
        ...

    def ping(self) -> str:
        """The text of a ping; empty: it is a frame of the protocol."""
        ...

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """The request for some topics."""
        ...

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """The request that ends some topics."""
        ...

    def heard(self, message: object) -> Heard:
        """What a decoded message is."""
        ...

    def joined(self, messages: Sequence[Message]) -> bytes:
        """Data messages of one topic as one body that the topic's parser reads."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One kind of data on a connection.

    Attributes:
        name: the venue's word, as the first part of a topic.
        feeds: what its rows become; the first one's endpoint has the parser, and tells the instruments.
        topic: the topic of an instrument.
        for_all: one topic brings all instruments.
        is_sparse: it may rightly be silent for hours, so that silence shows nothing.
        is_essential: its messages are kept while there is any room; others only while there is plenty.
        has_trades: its messages are single trades, those of a gap can be asked for.
        quiet_after_s: silence that is looked into.
        grace_s: so long after a trade it may still be silent, as the venue has it.
        wanted: which messages become rows; None: all.
        nothing: a message without any row.
        book: its messages are changes of order books, which are kept; samples of them are stored.
        marks: prices of an instrument that a message tells, by our names for them; they are shown, not
            stored, and no message of the channel is kept.
    """

    name: str
    feeds: tuple[Feed, ...]
    topic: Callable[[VenueSymbol], str]
    for_all: bool = False
    is_sparse: bool = False
    is_essential: bool = False
    has_trades: bool = False
    quiet_after_s: float = 60.0
    grace_s: float = 2.0
    wanted: Callable[[Message], bool] | None = None
    nothing: bytes = b""
    book: BookRules | None = None
    marks: Callable[[Message], Mapping[str, float]] | None = None

    @property
    def kind(self) -> str:
        """What it tells of, as the settings name it."""
        if self.book is not None:
            return "books"
        if self.marks is not None:
            return "marks"
        if self.is_sparse:
            return "closures"
        return "trades" if self.has_trades else "bars"

    @property
    def datasets(self) -> tuple[str, ...]:
        """The raw tables that its rows belong to."""
        return tuple(f.dataset for f in self.stored)

    @property
    def stored(self) -> tuple[Feed, ...]:
        """The feeds whose rows its messages become."""
        return () if self.marks is not None else self.feeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One WebSocket connection.

    Attributes:
        source: whose.
        name: unique for its source; segments lie in a folder of this name.
        path: behind the address of the source's streams.
        dialect: how it is spoken.
        channels: what is subscribed.
        group: connections with the same channels, of which each hears all; empty: it is alone.
    """

    source: Source
    name: str
    path: str
    dialect: Dialect
    channels: tuple[Channel, ...]
    group: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic of a connection, and the symbols that it tells of."""

    topic: str
    channel: Channel
    symbols: tuple[VenueSymbol, ...]


@dataclass(frozen=True)
class Line:
    """A connection with its address and topics, as it is opened.

    Attributes:
        connection: what it is made from.
        url: its whole address.
        subscriptions: by topic.
    """

    connection: Connection
    url: str
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """Whose it is."""
        return self.connection.source

    @property
    def name(self) -> str:
        """``source/connection``."""
        return f"{self.source.name}/{self.connection.name}"


def twins(connection: Connection) -> tuple[Connection, Connection]:
    """Two connections that hear the same, so that nothing is lost while one of them is down."""
    name = connection.name
    return (
        replace(connection, name=f"{name}-a", group=name),
        replace(connection, name=f"{name}-b", group=name),
    )


def lines_of(
    connections: Sequence[Connection],
    settings: Settings,
    symbols: Sequence[str],
    venues: Sequence[str],
    kinds: Collection[str] | None = None,
) -> list[Line]:
    """The connections of some venues, with their addresses and topics; those without a topic left out.

    Args:
        connections: all that are known.
        settings: addresses.
        symbols: canonical symbols.
        venues: names of sources.
        kinds: of channels; None: all.
    """
    found = []
    for one in connections:
        setting = one.source.connection.stream_setting
        if one.source.name not in venues or setting is None:
            continue
        base = str(getattr(settings, setting)).rstrip("/")
        channels = [c for c in one.channels if kinds is None or c.kind in kinds]
        topics = {s.topic: s for c in channels for s in _subscriptions(c, symbols)}
        if topics:
            found.append(Line(one, base + one.path, topics))
    return found


def _subscriptions(channel: Channel, symbols: Sequence[str]) -> Iterator[Subscription]:
    feed = channel.feeds[0]
    named = tuple(to_venue(s, feed.names or feed.venue, feed.market) for s in symbols)
    if channel.for_all and named:
        yield Subscription(channel.topic(named[0]), channel, named)
        return
    for name in named:
        yield Subscription(channel.topic(name), channel, (name,))
