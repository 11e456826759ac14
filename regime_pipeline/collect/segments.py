"""Segment files: every message of one connection as it was received, in order, with its time.

Belongs here: the format on disk, appending, cutting a torn tail, reading from an offset. Does not
belong here: what messages mean (``decode``), where their rows go (``store``).

A segment begins with one header line (JSON); records follow: ``u32`` length, ``u64`` time of receipt in
ns, ``u32`` CRC-32 over time and bytes, then the bytes; little endian. A record that is cut short, or
whose sum is wrong, ends the segment: what follows was never acknowledged by the disk.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

_HEAD = struct.Struct("<IQI")
_TIME = struct.Struct("<Q")
_STAMP = slice(4, 12)
"""Where the time lies in the head of a record."""
SUFFIX = ".seg"
CUT_S = 300.0
CUT_BYTES = 64 * 2**20
QUIET_NS = 1_000_000_000
"""A segment is cut when its connection was silent this long: what a venue sends of one millisecond stays
in one file. A busy one is cut by its size."""
LONGEST = 16 * 2**20
AT_ONCE = 8 * 2**20
"""Bytes of records that are in memory at a time; as objects they take several times as much."""


class SegmentError(RuntimeError):
    """A file is no segment."""


class Record(NamedTuple):
    """One message: when it was received, and its bytes."""

    received_ns: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Records of one segment behind an offset, and the offset behind them."""

    records: tuple[Record, ...]
    end: int


def packed(received_ns: int, body: bytes) -> bytes:
    """A record as it is written."""
    stamp = _TIME.pack(received_ns)
    return _HEAD.pack(len(body), received_ns, zlib.crc32(body, zlib.crc32(stamp))) + body


def header(
    venue: str, connection: str, started_ns: int, clock_offset_ns: int | None = None
) -> bytes:
    """The first line of a segment; the offset is the venue's clock minus ours, null where not known."""
    told = {
        "format": 1, "venue": venue, "connection": connection, "started_ns": started_ns,
        "clock_offset_ns": clock_offset_ns,
    }  # fmt: skip
    return orjson.dumps(told) + b"\n"


def is_segment(data: bytes) -> bool:
    """Whether some bytes begin as a segment does."""
    return data.startswith(b'{"format":1,"venue":')


def clock_offset_ns(path: Path) -> int:
    """The venue's clock minus ours as it was known when a segment began.

    0 where it was not: its rows were known when we received them, by our clock.

    Raises:
        SegmentError: the file does not begin as a segment does.
    """
    with path.open("rb") as file:
        told = orjson.loads(_header_of(file, path)).get("clock_offset_ns")
    return told if isinstance(told, int) else 0


def read(path: Path, offset: int = 0, most: int | None = None) -> Part:
    """The whole records of a segment from an offset on.

    Args:
        path: the file; it may still be written to.
        offset: end of an earlier part; 0 for the first record.
        most: ends the part once it has this many bytes; None: never.

    Raises:
        SegmentError: the file does not begin as a segment does.
    """
    with path.open("rb") as file:
        if offset == 0:
            offset = len(_header_of(file, path))
        file.seek(offset)
        data = file.read() if most is None else file.read(most + LONGEST)
    records, at = _records(data, len(data) if most is None else most)
    return Part(tuple(records), offset + at)


def parts(path: Path) -> Iterator[Part]:
    """The whole records of a segment, so many bytes of them in memory at a time.

    Raises:
        SegmentError: the file does not begin as a segment does.
    """
    part = read(path, 0, AT_ONCE)
    while part.records:
        yield part
        part = read(path, part.end, AT_ONCE)


def end_of(path: Path) -> int:
    """Where the last whole record of a segment ends.

    Raises:
        SegmentError: the file does not begin as a segment does.
    """
    part = read(path, 0, AT_ONCE)
    while part.records:
        part = read(path, part.end, AT_ONCE)
    return part.end


def _header_of(file: BinaryIO, path: Path) -> bytes:
    line = file.readline(4096)
    if not line.endswith(b"\n"):
        raise SegmentError(f"{path.name} does not begin as a segment does")
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise SegmentError(f"{path.name} does not begin as a segment does") from error
    if not isinstance(told, dict) or told.get("format") != 1:
        raise SegmentError(f"{path.name} is of another format")
    return line


def _records(data: bytes, most: int) -> tuple[list[Record], int]:
    """The whole records at the beginning of some bytes, until so many are read; where they end."""
    unpack, crc, size, whole = _HEAD.unpack_from, zlib.crc32, len(data), _HEAD.size
    records: list[Record] = []
    at = 0
    while at + whole <= size and at < most:
        length, received, told = unpack(data, at)
        end = at + whole + length
        if length > LONGEST or end > size:
            break
        body = data[at + whole : end]
        if crc(body, crc(data[at + _STAMP.start : at + _STAMP.stop])) != told:
            break
        records.append(Record(received, body))
        at = end
    return records, at


def cut_torn_tail(path: Path) -> int:
    """Removes what is behind the last whole record of a file that nobody writes; bytes that went.

    A file whose header never became whole is removed.
    """
    try:
        whole = end_of(path)
    except SegmentError:
        size = path.stat().st_size
        path.unlink()
        return size
    size = path.stat().st_size
    if size > whole:
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fdatasync(file.fileno())
    return size - whole


class SegmentWriter:
    """Appends the records of one connection to its newest segment.

    Args:
        folder: ``<home>/collect``.
        venue: whose connection.
        connection: its name.

    Attributes:
        clock_offset_ns: the venue's clock minus ours, for the segments that begin from now on.
    """

    def __init__(self, folder: Path, venue: str, connection: str) -> None:
        self._venue, self._connection = venue, connection
        self._folder = folder / venue / connection
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO | None = None
        self._started_ns = self._last_ns = self._size = 0
        self._undo: list[tuple[Path, int]] = []
        self._is_dirty = False
        self.clock_offset_ns: int | None = None

    @property
    def path(self) -> Path | None:
        """The segment that is written; None before the first record."""
        return None if self._file is None else Path(self._file.name)

    def append(self, records: list[tuple[int, bytes]]) -> None:
        """Writes records, perhaps in a new segment; they are safe after :meth:`sync` only."""
        self._undo = [] if self._file is None else [(Path(self._file.name), self._size)]
        parts: list[bytes] = []
        for received_ns, body in records:
            if self._file is None or self._is_full(received_ns):
                self._write(parts)
                self._begin(received_ns)
            part = packed(received_ns, body)
            parts.append(part)
            self._size += len(part)
            self._last_ns = received_ns
        self._write(parts)

    def _write(self, parts: list[bytes]) -> None:
        """Hands records to the system, and forgets them."""
        if self._file is None or not parts:
            return
        self._file.write(b"".join(parts))
        self._file.flush()
        self._is_dirty = True
        parts.clear()

    def sync(self) -> None:
        """Returns once everything that was appended is on the disk."""
        if self._file is not None and self._is_dirty:
            self._file.flush()
            os.fdatasync(self._file.fileno())
            self._is_dirty = False

    def abandon(self) -> None:
        """After a failed write: the records of this call are cut off again, and will come once more."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
        for path, whole in self._undo:
            with contextlib.suppress(OSError):
                if whole:
                    os.truncate(path, whole)
                else:  # its name is that of the first record, which comes again
                    path.unlink()

    def close(self) -> None:
        """Syncs and closes the segment; the next record begins another one."""
        self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_full(self, now_ns: int) -> bool:
        old = now_ns - self._started_ns >= CUT_S * 1e9
        return self._size >= CUT_BYTES or (old and now_ns - self._last_ns >= QUIET_NS)

    def _begin(self, now_ns: int) -> None:
        self.close()
        name = f"{datetime.fromtimestamp(now_ns / 1e9, UTC):%Y%m%dT%H%M%S}-{now_ns}{SUFFIX}"
        file = (self._folder / name).open("xb")
        self._undo.append((self._folder / name, 0))
        self._size = file.write(header(self._venue, self._connection, now_ns, self.clock_offset_ns))
        self._file, self._started_ns, self._last_ns = file, now_ns, now_ns
        self._is_dirty = True


def segments_of(folder: Path, venue: str, connection: str) -> list[Path]:
    """The segments of a connection, oldest first."""
    return sorted((folder / venue / connection).glob(f"*{SUFFIX}"))


def started_ns(path: Path) -> int:
    """When the first record of a segment was received, from its name."""
    return int(path.stem.rpartition("-")[2])
