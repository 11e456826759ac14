"""Records of any time again: from segments on the disk, or from the landing store that keeps them.

Belongs here: finding and reading what was received. Does not belong here: what it means (``decode``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import orjson

from regime_pipeline.collect.decode import Batch
from regime_pipeline.collect.plan import Kind, Line
from regime_pipeline.collect.segments import (
    clock_offset_ns,
    parts,
    read,
    segments_of,
    started_ns,
)
from regime_pipeline.collect.watch import S
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.storage.warehouse import Warehouse

ALWAYS_TOLD_NS = 15 * S
"""What was heard so long before a collector died is told in spans: they are saved every five seconds."""
NEWEST_FILES = 2


def last_trades(folder: Path, line: Line) -> dict[str, tuple[int, bytes]]:
    """When a connection's last trades were received, and their messages, by topic, after a restart.

    Those of the last seconds are passed over, of which a collector that died may not have told that it
    heard them.
    """
    wanted = {t for t, s in line.subscriptions.items() if s.channel.has_trades}
    out: dict[str, tuple[int, bytes]] = {}
    last = 0
    paths = segments_of(folder, *line.name.split("/"))[-NEWEST_FILES:] if wanted else []
    for path in reversed(paths):
        records = read(path).records
        last = max(last, records[-1].received_ns if records else 0)
        for record in reversed(records):
            if not wanted - out.keys():
                return out
            if record.received_ns > last - ALWAYS_TOLD_NS:
                continue
            try:
                said = line.connection.dialect.heard(orjson.loads(record.body))
            except orjson.JSONDecodeError:
                continue  # it was kept as it came
            if said.kind is Kind.DATA and said.topic in wanted:
                out.setdefault(said.topic, (record.received_ns, record.body))
    return out


def batches(
    line: Line,
    start_ns: int,
    end_ns: int,
    *,
    folder: Path,
    warehouse: Warehouse,
    landing: LandingStore,
) -> Iterator[Batch]:
    """What a connection received in ``[start_ns, end_ns)``, in order; a long segment is several batches.

    One batch at a time is in memory, so nobody should collect them.

    Raises:
        LandingError: a sealed segment is no longer what its digest says.
    """
    venue, connection = line.name.split("/")
    here = {p.name: p for p in segments_of(folder, venue, connection)}
    sealed = _sealed(line, warehouse)
    names = sorted({*here, *sealed})
    for name, following in zip(names, [*names[1:], ""], strict=False):
        began = started_ns(Path(name))
        ends = started_ns(Path(following)) if following else end_ns
        if began >= end_ns or ends < start_ns:
            continue
        with nullcontext(here[name]) if name in here else _unsealed(landing, sealed[name]) as path:
            offset = clock_offset_ns(path)
            for part in parts(path):
                inside = [r for r in part.records if start_ns <= r.received_ns < end_ns]
                if inside:
                    yield Batch(line, name, inside, offset)


@contextmanager
def _unsealed(landing: LandingStore, digest: str) -> Iterator[Path]:
    """A sealed segment as a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "segment"
        path.write_bytes(landing.get(digest))
        yield path


def _sealed(line: Line, warehouse: Warehouse) -> dict[str, str]:
    """Names and digests of the connection's segments in the landing store."""
    begin = f"{line.url}#{line.connection.name}/"
    rows = warehouse.transact(
        lambda c: c.execute(
            "select url, payload_id from ops.payloads where source = %s and starts_with(url, %s)",
            (line.source.name, begin),
        ).fetchall()
    )
    return {url.removeprefix(begin): digest for url, digest in rows}
