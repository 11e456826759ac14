"""Segments to tables: rows and how far they are stored in one transaction, spans, sealing.

Belongs here: tailing segments, writing rows of single events and bars as they come, keeping bytes for
good. Does not belong here: decoding (``decode``), sums and proofs of hours (``hours``).

A crash replays what was not committed: rows and offsets are one transaction, an equal row touches
nothing. Of the last minute before an offset the events are read again with those behind it, because equal
ones of a millisecond are told apart by their number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path

import pandas as pd
import psycopg

from regime_pipeline.catalogue.datasets import DATASETS, Form
from regime_pipeline.collect import decode
from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.segments import (
    Record,
    SegmentError,
    clock_offset_ns,
    end_of,
    read,
    segments_of,
    started_ns,
)
from regime_pipeline.collect.watch import S, Span, Topic, Watch
from regime_pipeline.providers.fetch.stream import Stream
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.settings import Settings
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import SystemClock

AGAIN_NS = 60 * S
"""How far before an offset events are read once more."""
MOST_AT_ONCE = 8 * 2**20
KEPT_BESIDE_S = 3 * 3600.0
"""A segment that the landing store has is read from its file this long; hours are judged within it."""
RUN_ID = "collector"


@dataclass
class Cursor:
    """How far a connection's rows of a dataset are stored."""

    segment: str = ""
    offset: int = 0
    before: deque[tuple[str, Record]] = field(default_factory=deque)


class Storer:
    """Brings what segments hold into the tables.

    Args:
        warehouse: the tables.
        settings: which series are the primary ones, where bytes are kept.
        lines: the connections.
        folder: ``<home>/collect``.
    """

    def __init__(
        self, warehouse: Warehouse, settings: Settings, lines: Sequence[Line], folder: Path
    ) -> None:
        self.warehouse, self.settings, self.lines, self.folder = warehouse, settings, lines, folder
        self.landing = LandingStore.of(settings)
        self.sizes: list[Stream] = []
        self.lag_ns = 0
        self._noted: list[tuple[object, ...]] = []
        self._cursors: dict[tuple[str, str], Cursor] = {}
        self._offsets_ns: dict[tuple[str, str], int] = {}
        self._load()

    def datasets_of(self, line: Line) -> list[str]:
        """The tables of single rows that a connection feeds; sums are made of closed hours."""
        names = {d for s in line.subscriptions.values() for d in s.channel.datasets}
        summed = {
            f.dataset for s in line.subscriptions.values() for f in s.channel.stored if f.summed
        }
        return sorted(n for n in names - summed if DATASETS[n].form is not Form.SUMMED)

    def knows_sizes(self, line: Line) -> bool:
        """Whether a connection's amounts can be told in coins."""
        feeds = [f for s in line.subscriptions.values() for f in s.channel.stored]
        known = {stream.source.name for stream in self.sizes}
        return line.source.name in known or not any(f.in_contracts for f in feeds)

    def waits_for_sizes(self) -> bool:
        """Whether some connection's rows wait because nobody said what its contracts are worth."""
        return not all(self.knows_sizes(line) for line in self.lines)

    def _load(self) -> None:
        rows = self.warehouse.transact(
            lambda c: c.execute(
                "select connection, dataset, segment, byte_offset from ops.stream_offsets"
            ).fetchall()
        )
        known = {(c, d): Cursor(s, o) for c, d, s, o in rows}
        for line in self.lines:
            for dataset in self.datasets_of(line):
                cursor = known.get((line.name, dataset), Cursor())
                if DATASETS[dataset].form is Form.DIGESTED and cursor.segment:
                    self._remember(cursor, self._replayed(line, cursor))
                self._cursors[line.name, dataset] = cursor

    def _replayed(self, line: Line, cursor: Cursor) -> list[tuple[str, Record]]:
        """The records just before a cursor, as they were remembered before a restart."""
        out: list[tuple[str, Record]] = []
        for path in self._paths(line):
            if path.name > cursor.segment:
                break
            records = read(path).records
            if path.name == cursor.segment:
                records = records[: len(records) - len(read(path, cursor.offset).records)]
            out += [(path.name, record) for record in records]
        return out

    def _paths(self, line: Line) -> list[Path]:
        venue, connection = line.name.split("/")
        return segments_of(self.folder, venue, connection)

    @staticmethod
    def _remember(cursor: Cursor, records: Sequence[tuple[str, Record]]) -> None:
        cursor.before.extend(records)
        newest = cursor.before[-1][1].received_ns if cursor.before else 0
        while cursor.before and cursor.before[0][1].received_ns < newest - AGAIN_NS:
            cursor.before.popleft()

    # ------------------------------------------------------------------ single rows

    def store(self) -> int:
        """Stores everything that the segments hold by now; rows that are new or changed.

        Raises:
            DatabaseUnreachableError, TransientStorageError: the database was away; nothing is lost.
        """
        changed = 0
        for dataset in sorted({d for line in self.lines for d in self.datasets_of(line)}):
            while (done := self._step(dataset)) is not None:
                changed += done
        return changed

    def _step(self, dataset: str) -> int | None:
        """What is new on all connections, up to a limit; None when there is nothing more."""
        again = DATASETS[dataset].form is Form.DIGESTED
        batches: list[decode.Batch] = []
        news: list[tuple[Cursor, list[tuple[str, Record]], tuple[str, str, str, int]]] = []
        for line in self.lines:
            if dataset not in self.datasets_of(line) or not self.knows_sizes(line):
                continue
            cursor = self._cursors[line.name, dataset]
            found = self._next(line, cursor)
            if found is None:
                continue
            records, segment, end = found
            batches += self._by_second(line, [*cursor.before, *records] if again else records)
            news.append((cursor, records, (line.name, dataset, segment, end)))
        if not news:
            return None
        parsed = decode.parsed(batches, [dataset])
        offsets = [told for _, _, told in news]
        changed = 0
        if parsed.pages:
            frame, refused = decode.rows(dataset, parsed, self.settings, sizes=self.sizes)
            changed = self.warehouse.merge(
                f"raw.{dataset}", frame, run_id=RUN_ID, also=lambda c, _: _save(c, offsets)
            ).changed
            self._refuse(dataset, refused, parsed)
        else:
            self.warehouse.transact(lambda c: _save(c, offsets))
            self._refuse(dataset, pd.DataFrame(), parsed)
        for cursor, records, (_, _, segment, end) in news:
            cursor.segment, cursor.offset = segment, end
            if again:
                self._remember(cursor, records)
        return changed

    def _next(self, line: Line, cursor: Cursor) -> tuple[list[tuple[str, Record]], str, int] | None:
        """The records behind a cursor with the names of their segments, and where they end."""
        out: list[tuple[str, Record]] = []
        segment, end, left = cursor.segment, cursor.offset, MOST_AT_ONCE
        for path in self._paths(line):
            if path.name < cursor.segment or left <= 0:
                continue
            offset = cursor.offset if path.name == cursor.segment else 0
            try:
                part = read(path, offset, left)
            except SegmentError:
                break  # its first line is being written
            if part.records:
                out += [(path.name, record) for record in part.records]
                segment, end = path.name, part.end
                left -= part.end - offset
        return (out, segment, end) if out else None

    def _by_second(
        self, line: Line, records: Sequence[tuple[str, Record]]
    ) -> Iterator[decode.Batch]:
        """Records in batches of one segment and second of receipt."""
        for (segment, _), part in groupby(records, lambda r: (r[0], r[1].received_ns // S)):
            offset = self._offsets_ns.get((line.name, segment))
            if offset is None:
                offset = clock_offset_ns(self.folder / line.name / segment)
                self._offsets_ns[line.name, segment] = offset
            yield decode.Batch(line, segment, [record for _, record in part], offset)

    def _refuse(self, dataset: str, refused: pd.DataFrame, parsed: decode.Parsed) -> None:
        self.warehouse.quarantine(f"raw.{dataset}", refused, source=None, run_id=RUN_ID)
        if parsed.unread:
            frame = pd.DataFrame(decode.as_quarantine(parsed.unread))
            self.warehouse.quarantine(f"raw.{dataset}", frame, source=None, run_id=RUN_ID)

    # ------------------------------------------------------------------ spans

    def note_spans(self, watches: Sequence[Watch]) -> None:
        """Takes note of what was heard by now; it is written once its messages are safe and stored."""
        self._noted += [
            row
            for watch in watches
            for topic, span in watch.spans()
            for row in _span_rows(watch.line, topic, span)
        ]

    def save_spans(self) -> int:
        """Writes the stretches that were noted, those that go on as far as they reached then."""
        rows = self._noted
        if not rows:
            return 0

        def work(connection: psycopg.Connection) -> None:
            with connection.cursor() as cursor:
                cursor.executemany(
                    "insert into ops.stream_spans (dataset, source, venue, market, symbol, connection, "
                    "span_start, span_end, stream_state, reason, received_count, dropped_count) "
                    "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
                    "on conflict (dataset, source, venue, market, symbol, connection, span_start) "
                    "do update set span_end = greatest(stream_spans.span_end, excluded.span_end), "
                    "reason = excluded.reason, received_count = excluded.received_count, "
                    "dropped_count = excluded.dropped_count",
                    rows,
                )

        self.warehouse.transact(work)
        self._noted = []
        return len(rows)

    # ------------------------------------------------------------------ bytes

    def seal(self, writing: Sequence[Path]) -> int:
        """Keeps segments that are complete and stored in the landing store; their rows name the digest.

        Args:
            writing: segments that are still written to.
        """
        sealed = 0
        for line in self.lines:
            for path in self._paths(line):
                mark = path.with_suffix(".sealed")
                if mark.exists():  # it lies here for three hours: nothing of it is read
                    self._let_go(line, path, mark)
                elif path not in writing and self._is_stored(line, path):
                    self._seal(line, path, mark)
                    sealed += 1
        return sealed

    def _is_stored(self, line: Line, path: Path) -> bool:
        """Whether all rows of a segment are in the tables; read only where a cursor stands in it."""
        cursors = [self._cursors[line.name, d] for d in self.datasets_of(line)]
        here = [c for c in cursors if c.segment <= path.name]
        if any(c.segment < path.name for c in here):
            return False
        return not here or min(c.offset for c in here) >= end_of(path)

    def _let_go(self, line: Line, path: Path, mark: Path) -> None:
        if SystemClock().now().timestamp() - mark.stat().st_mtime > KEPT_BESIDE_S:
            path.unlink()
            mark.unlink()
            self._offsets_ns.pop((line.name, path.name), None)

    def _seal(self, line: Line, path: Path, mark: Path) -> None:
        landed = self.landing.put(path.read_bytes())
        start = decode.at(started_ns(path))
        datasets = self.datasets_of(line)
        # the name alone is what rows had before connections were told apart
        names = [decode.segment_id(line, path.name), path.name]

        def work(connection: psycopg.Connection) -> None:
            connection.execute(
                "insert into ops.payloads (payload_id, source, endpoint_path, url, http_status, "
                "byte_count, landing_path, fetched_at, run_id) values (%s, %s, %s, %s, 101, %s, %s, "
                "%s, %s) on conflict do nothing",
                (
                    landed.payload_id, line.source.name, line.connection.path,
                    f"{line.url}#{line.connection.name}/{path.name}", landed.byte_count,
                    landed.path, start, RUN_ID,
                ),
            )  # fmt: skip
            for dataset in datasets:
                connection.execute(
                    f"update raw.{dataset} set payload_id = %s where payload_id = any(%s) "  # noqa: S608
                    "and source = %s and ts >= %s::timestamptz - interval '2 days' "
                    "and ts < %s::timestamptz + interval '1 day'",
                    (landed.payload_id, names, line.source.name, start, start),
                )

        self.warehouse.transact(work)
        mark.write_text(landed.payload_id)


def _save(connection: psycopg.Connection, offsets: Sequence[tuple[str, str, str, int]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.stream_offsets (connection, dataset, segment, byte_offset, updated_at) "
            "values (%s, %s, %s, %s, now()) on conflict (connection, dataset) do update set "
            "segment = excluded.segment, byte_offset = excluded.byte_offset, "
            "updated_at = excluded.updated_at",
            offsets,
        )


def _span_rows(line: Line, topic: Topic, span: Span) -> Iterator[tuple[object, ...]]:
    for feed in topic.subscription.channel.stored:
        for symbol in topic.subscription.symbols:
            yield (
                feed.dataset, line.source.name, feed.venue, feed.market, symbol.canonical,
                line.name, decode.at(span.start_ns), decode.at(span.end_ns), span.state,
                span.reason or None, span.received, span.dropped,
            )  # fmt: skip


def instant_ns(at: datetime) -> int:
    """An instant in ns since the epoch."""
    return round(at.timestamp() * 1e6) * 1_000
