"""Segments give back what was written, whole records only, whatever became of the file's end."""

from __future__ import annotations

from pathlib import Path

import pytest

from regime_pipeline.collect.segments import (
    CUT_S,
    SegmentError,
    SegmentWriter,
    clock_offset_ns,
    cut_torn_tail,
    read,
    segments_of,
)
from regime_pipeline.collect.spool import MOST_BYTES, Spool

S = 1_000_000_000
BODIES = [b"one", b"", b"x" * 5_000, b'{"topic":"a"}']


def _written(folder: Path, times: list[int]) -> Path:
    writer = SegmentWriter(folder, "venue", "line")
    writer.append([(at, body) for at, body in zip(times, BODIES, strict=True)])
    writer.close()
    return segments_of(folder, "venue", "line")[-1]


def test_what_was_written_is_read_from_any_offset(tmp_path: Path) -> None:
    path = _written(tmp_path, [1, 2, 3, 4])
    whole = read(path)
    assert [(r.received_ns, r.body) for r in whole.records] == list(
        zip([1, 2, 3, 4], BODIES, strict=True)
    )
    first = read(path, most=1)
    assert [r.body for r in first.records] == BODIES[:1]
    assert [r.body for r in read(path, first.end).records] == BODIES[1:]
    assert read(path, whole.end).records == ()


def test_a_file_cut_anywhere_gives_the_records_that_are_whole(tmp_path: Path) -> None:
    path = _written(tmp_path, [1, 2, 3, 4])
    data = path.read_bytes()
    ends = [read(path, most=n).end for n in (1, 20, 5_050)]
    for length in {*range(len(data) - 60, len(data)), *ends, *(e + 7 for e in ends)}:
        path.write_bytes(data[:length])
        known = read(path)
        assert [r.body for r in known.records] == BODIES[: len(known.records)]
        cut_torn_tail(path)
        assert path.stat().st_size == known.end
        assert read(path) == known


def test_a_segment_says_how_far_clocks_were_apart_when_it_began(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "bybit", "perp")
    writer.append([(1, b"{}")])
    writer.clock_offset_ns = -250_000_000
    writer.append([(2, b"{}")])
    writer.close()
    writer.append([(3, b"{}")])
    writer.close()
    first, second = segments_of(tmp_path, "bybit", "perp")
    assert (clock_offset_ns(first), clock_offset_ns(second)) == (0, -250_000_000)


def test_a_flipped_bit_ends_a_segment(tmp_path: Path) -> None:
    path = _written(tmp_path, [1, 2, 3, 4])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert [r.body for r in read(path).records] == BODIES[:3]


def test_a_file_without_a_whole_first_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "20240101T000000-5.seg"
    path.write_bytes(b'{"format":1,"ven')
    with pytest.raises(SegmentError):
        read(path)
    assert cut_torn_tail(path) == 16
    assert not path.exists()


def test_a_segment_is_cut_when_it_is_old_and_its_connection_was_silent(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "venue", "line")
    late = int(CUT_S * S) + 5
    writer.append([(5, b"a"), (late - S // 2, b"b"), (late, b"c"), (late + 2 * S, b"d")])
    writer.close()
    found = [[r.body for r in read(p).records] for p in segments_of(tmp_path, "venue", "line")]
    assert found == [[b"a"], [b"b", b"c"], [b"d"]] or found == [[b"a", b"b", b"c"], [b"d"]]


def test_a_full_buffer_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ["venue/line"])
    body = b"x" * 2**20
    taken = sum(spool.put("venue/line", n, body) for n in range(40))
    assert taken == MOST_BYTES // 2**20
    with spool:
        spool.flush()
    records = [r for p in segments_of(tmp_path, "venue", "line") for r in read(p).records]
    assert [r.received_ns for r in records] == list(range(taken))


def test_a_spool_whose_share_of_the_disk_is_used_is_short_until_files_go(tmp_path: Path) -> None:
    with Spool(tmp_path, ["venue/line"]) as spool:
        assert spool.put("venue/line", S, b"x" * 1_000)
        spool.flush()
        taken = spool.measure(1e9)
        assert taken > 1_000
        assert not spool.is_short
        spool.measure(taken)
        assert spool.is_short
        spool.measure(2 * taken)
        assert not spool.is_short
