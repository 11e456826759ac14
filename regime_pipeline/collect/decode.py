"""Records of segments as rows of raw tables: the one way, for storing, replaying and proving alike.

Belongs here: sorting records by topic, handing many messages of a topic to the provider's parser at
once, making rows as a fetch makes them. Does not belong here: reading files (``segments``), writing
tables (``store``).

Messages that their parser cannot read never take others with them: they are read one by one, and what
cannot be read is a refused row that quotes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pandas as pd

from regime_pipeline.collect.book import Message
from regime_pipeline.collect.plan import Kind, Line, Subscription
from regime_pipeline.collect.segments import Record
from regime_pipeline.providers.errors import ProviderError
from regime_pipeline.providers.fetch.merging import assemble
from regime_pipeline.providers.fetch.stream import Page, Stamping, Stream
from regime_pipeline.providers.http import Reply
from regime_pipeline.providers.landing import Landed
from regime_pipeline.providers.source import Feed
from regime_pipeline.providers.symbols import VenueSymbol
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, Window

QUOTED = 500
_AHEAD = timedelta(minutes=1)
"""A venue's clock may run ahead of ours: a bar that it calls closed is."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one segment of one connection.

    Attributes:
        line: the connection.
        segment: name of the file; rows carry it until the segment has a digest.
        records: in order of receipt.
        clock_offset_ns: the venue's clock minus ours; rows were known at the venue's time of receipt.
    """

    line: Line
    segment: str
    records: Sequence[Record]
    clock_offset_ns: int = 0


@dataclass(frozen=True, slots=True)
class Unread:
    """A message that cannot be read, and why."""

    line: Line
    topic: str
    reason: str
    quoted: str
    received_at: datetime


@dataclass
class Parsed:
    """Typed rows of some records by topic, before they are anybody's table.

    Attributes:
        pages: by subscription: the frame, the batch that it is of without its records, and when its last
            message came.
        unread: messages that cannot be read.
        messages: how many data messages there were.
    """

    pages: list[tuple[Subscription, Batch, pd.DataFrame, datetime]] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    messages: int = 0


def at(received_ns: int) -> datetime:
    """A time of receipt as an instant."""
    return datetime.fromtimestamp(received_ns // 1_000 / 1e6, UTC)


def parsed(batches: Iterable[Batch], datasets: Sequence[str]) -> Parsed:
    """The rows of all messages of the channels behind some datasets.

    Args:
        batches: records by segment; each is let go once its rows are made.
        datasets: raw tables without their schema.
    """
    out = Parsed()
    wanted = set(datasets)
    for batch in batches:
        by_topic: dict[str, list[tuple[Record, Message]]] = {
            topic: []
            for topic, s in batch.line.subscriptions.items()
            if not wanted.isdisjoint(s.channel.datasets)
        }
        for record, topic, message in _messages(batch, out):
            if topic in by_topic:
                by_topic[topic].append((record, message))
        for topic, found in by_topic.items():
            out.messages += len(found)
            subscription = batch.line.subscriptions[topic]
            if (tells := subscription.channel.wanted) is not None:
                found = [pair for pair in found if _tells(tells, pair[1])]
            if found:
                _read(batch, subscription, found, out)
    return out


def _tells(wanted: Any, message: Message) -> bool:
    try:
        return bool(wanted(message))
    except (KeyError, TypeError, IndexError, AttributeError):
        return True  # of a strange shape: its parser says what is wrong


def _messages(batch: Batch, out: Parsed) -> Iterator[tuple[Record, str, Message]]:
    heard = batch.line.connection.dialect.heard
    for record in batch.records:
        try:
            message = orjson.loads(record.body)
        except orjson.JSONDecodeError:
            if record.body not in (b"pong", b"ping"):
                out.unread.append(_unread(batch, "", "the message is no JSON", record))
            continue
        said = heard(message)
        if said.kind is Kind.DATA:
            yield record, said.topic, message


def _unread(batch: Batch, topic: str, reason: str, record: Record) -> Unread:
    quoted = record.body[:QUOTED].decode("utf-8", "replace").replace("\0", "")
    return Unread(batch.line, topic, reason, quoted, at(record.received_ns))


def _read(
    batch: Batch,
    subscription: Subscription,
    found: Sequence[tuple[Record, Message]],
    out: Parsed,
) -> None:
    feed = subscription.channel.feeds[0]
    dialect = batch.line.connection.dialect
    last = at(found[-1][0].received_ns + batch.clock_offset_ns)
    context = replace(feed.context, now=last)
    try:
        body = dialect.joined([message for _, message in found])
        frame = feed.endpoint.parse(body, context)
    except (ProviderError, KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        if len(found) > 1:
            middle = len(found) // 2
            _read(batch, subscription, found[:middle], out)
            _read(batch, subscription, found[middle:], out)
        else:
            why = (
                str(error) if isinstance(error, ProviderError) else "the message has another shape"
            )
            out.unread.append(_unread(batch, subscription.topic, why, found[0][0]))
        return
    if len(frame):
        out.pages.append((subscription, replace(batch, records=()), frame, last))


def rows(
    dataset: str, found: Parsed, settings: Settings, *, sizes: Sequence[Stream] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Single rows of a raw table, made as a fetch makes them, and those that break its contract.

    ``payload_id`` holds :func:`segment_id`. Equal events of one millisecond are told apart by their
    number on their connection, so that connections which hear the same give the same rows.

    Args:
        dataset: raw table without its schema.
        found: typed rows.
        settings: which series are the primary ones.
        sizes: streams with the coins behind contracts, for feeds in contracts.
    """
    times = [last for *_, last in found.pages]
    span = Window(min(times, default=_EPOCH) - DAY, max(times, default=_EPOCH) + DAY)
    streams: dict[tuple[str, str, str], Stream] = {}
    for subscription, batch, frame, last in found.pages:
        for feed in _feeds(subscription, dataset):
            for symbol, part in _by_symbol(subscription, frame):
                key = (batch.line.name, symbol.canonical, feed.market)
                if key not in streams:
                    streams[key] = replace(_stream(batch.line, feed, symbol, span), is_live=True)
                streams[key].pages.append(Page(part, _reply(batch, last)))
    stamping = _stamping(dataset, settings, span, span.end - DAY + _AHEAD)
    return assemble(dataset, [*streams.values(), *sizes], stamping)


def sums(
    dataset: str,
    found: Parsed,
    settings: Settings,
    window: Window,
    heard: Mapping[tuple[str, str], Line],
    heard_at: datetime,
    *,
    sizes: Sequence[Stream] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of a table of hourly sums, of hours and series that were heard from end to end.

    A series that was silent has sums of zero where single events are summed.

    Args:
        dataset: raw table without its schema.
        found: typed rows of all connections that heard the window.
        settings: which series are the primary ones.
        window: whole hours.
        heard: (market, symbol) to a connection that heard it.
        heard_at: until when messages of the window were waited for.
        sizes: streams with the coins behind contracts, for feeds in contracts.
    """
    streams: dict[tuple[str, str], Stream] = {}
    for (market, canonical), line in heard.items():
        for subscription in line.subscriptions.values():
            for feed in _feeds(subscription, dataset):
                for symbol in subscription.symbols:
                    if (feed.market, symbol.canonical) != (market, canonical):
                        continue
                    stream = _stream(line, feed, symbol, window)
                    if feed.summed:
                        nothing = feed.endpoint.parse(subscription.channel.nothing, feed.context)
                        stream.pages.append(
                            Page(nothing, _reply(Batch(line, line.name, ()), heard_at))
                        )
                    streams[market, canonical] = stream
    for subscription, batch, frame, _ in found.pages:
        for feed in _feeds(subscription, dataset):
            for symbol, part in _by_symbol(subscription, frame):
                known = streams.get((feed.market, symbol.canonical))
                if known is not None:
                    known.pages.append(
                        Page(part, _reply(replace(batch, segment=batch.line.name), heard_at))
                    )
    return assemble(
        dataset, [*streams.values(), *sizes], _stamping(dataset, settings, window, window.end)
    )


def _feeds(subscription: Subscription, dataset: str) -> list[Feed]:
    return [f for f in subscription.channel.stored if f.dataset == dataset]


def _by_symbol(
    subscription: Subscription, frame: pd.DataFrame
) -> Iterator[tuple[VenueSymbol, pd.DataFrame]]:
    for symbol in subscription.symbols:
        part = frame
        if subscription.channel.for_all:
            part = frame[frame["venue_symbol"] == symbol.name].reset_index(drop=True)
        if len(part):
            yield symbol, part


def _stream(line: Line, feed: Feed, symbol: VenueSymbol, window: Window) -> Stream:
    return Stream(line.source, feed, symbol, window, feed.venue)


_EPOCH = datetime(1970, 1, 2, tzinfo=UTC)


def _stamping(dataset: str, settings: Settings, window: Window, now: datetime) -> Stamping:
    return Stamping(dataset, settings, window, now, live_clock=True, symbols=settings.universe)


def segment_id(line: Line, segment: str) -> str:
    """What rows name a segment by until it has a digest; connections begin segments at the same instant."""
    return f"{line.name}/{segment}"


def _reply(batch: Batch, received_at: datetime) -> Reply[None]:
    return Reply(
        parsed=None,
        landed=Landed(segment_id(batch.line, batch.segment), "", 0),
        url=batch.line.url,
        status=101,
        fetched_at=received_at,
        http_date=None,
        attempts=1,
    )


def as_quarantine(unread: Sequence[Unread]) -> Mapping[str, list[object]]:
    """Unreadable messages as columns of refused rows."""
    return {
        "source": [u.line.source.name for u in unread],
        "topic": [u.topic for u in unread],
        "received_at": [u.received_at.isoformat() for u in unread],
        "message": [u.quoted for u in unread],
        "reason": [u.reason for u in unread],
    }
