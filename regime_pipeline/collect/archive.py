"""Records of any time again: from segments on the disk, or from the landing store that keeps them.

Belongs here: finding and reading what was received. Does not belong here: what it means (``decode``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from regime_pipeline.collect.decode import Batch
from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.segments import Record, read, segments_of, started_ns
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.storage.warehouse import Warehouse


def batches(
    line: Line,
    start_ns: int,
    end_ns: int,
    *,
    folder: Path,
    warehouse: Warehouse,
    landing: LandingStore,
) -> Iterator[Batch]:
    """What a connection received in ``[start_ns, end_ns)``, a batch a segment, in order.

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
        path = here.get(name)
        records = _unsealed(landing.get(sealed[name]), name) if path is None else read(path).records
        inside = [r for r in records if start_ns <= r.received_ns < end_ns]
        if inside:
            yield Batch(line, name, inside)


def _unsealed(body: bytes, name: str) -> tuple[Record, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(body)
        return read(path).records


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
