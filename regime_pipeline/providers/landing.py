"""Landing store: the exact bytes of every accepted reply, compressed, addressed by their content.

Belongs here: keeping and giving back bytes. Does not belong here: what they mean, and the index of
requests (``ops.payloads``), which the caller writes; which replies are sealed (``sealing``).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

import fsspec
import zstandard

from regime_pipeline.settings import Settings
from regime_pipeline.storage.folders import DISK_FULL, SEALED, free_share

MAX_BYTES = 2**30
_ID_LENGTH = 64
_PLACE = re.compile(r"(?P<file>[^#]+)#(?P<first>\d+)\+(?P<length>\d+)")


class LandingError(RuntimeError):
    """A stored payload is absent or no longer what its name says."""


@dataclass(frozen=True, slots=True)
class Landed:
    """Where a reply lies."""

    payload_id: str
    path: str
    byte_count: int


class LandingStore:
    """Content-addressed store under an fsspec URL (a plain path is a local folder).

    Each payload is one file ``<2 hex>/<sha256>.zst`` of the raw body, until many of a source and day lie in
    one sealed file. A file appears whole or not at all: local files are written aside, flushed and renamed,
    object stores put objects atomically.
    """

    def __init__(self, url: str) -> None:
        self._fs, root = fsspec.core.url_to_fs(str(url))
        self._root = PurePosixPath(root)
        self.is_local = "file" in self._fs.protocol
        self._made: set[str] = set()

    @classmethod
    def of(cls, settings: Settings) -> LandingStore:
        """The store that the settings name; by default ``home``/landing."""
        return cls(settings.landing)

    def put(self, body: bytes) -> Landed:
        """Keeps ``body``; the same bytes again cost nothing."""
        payload_id = hashlib.sha256(body).hexdigest()
        path = self._path(payload_id)
        landed = Landed(payload_id, path, len(body))
        full = str(self._root / path)
        if self._fs.exists(full):
            if self.is_local:  # it is asked for anew, so that nobody takes it for an old one
                with contextlib.suppress(FileNotFoundError):
                    os.utime(full)
                    return landed
            else:
                return landed
        packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(body)
        if not self.is_local:
            self._fs.pipe_file(full, packed)
            return landed
        self._write(full, packed)
        return landed

    def _write(self, full: str, data: bytes) -> None:
        """A local file that is there whole or not at all."""
        folder = str(PurePosixPath(full).parent)
        if folder not in self._made:
            self._fs.makedirs(folder, exist_ok=True)
            self._made.add(folder)
        aside = f"{full}.{os.getpid()}.{threading.get_ident()}.tmp"
        try:
            with open(aside, "wb") as file:  # noqa: PTH123 - a path of the fsspec file system
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, full)  # noqa: PTH105
        except OSError:
            self._fs.rm(aside) if self._fs.exists(aside) else None
            raise

    def require_room(self, least: float = DISK_FULL) -> None:
        """Refuse what would need space before it is asked for.

        Args:
            least: share of a local store's disk that must be free.

        Raises:
            OSError: less is free (ENOSPC).
        """
        if self.is_local and (share := free_share(Path(self._root))) < least:
            text = f"{100 * share:.1f} % of the disk is free; below {100 * least:.0f} % nothing is fetched"
            raise OSError(errno.ENOSPC, text, str(self._root))

    def check(self) -> None:
        """Writes a small file and removes it again.

        Raises:
            LandingError: the store cannot be written; one line says why.
        """
        probe = str(self._root / f".check-{os.getpid()}-{threading.get_ident()}")
        try:
            if self.is_local:
                self._fs.makedirs(str(self._root), exist_ok=True)
            self._fs.pipe_file(probe, b"x")
            self._fs.rm_file(probe)
        except Exception as error:  # noqa: BLE001 - every kind of store fails in its own way
            why = getattr(error, "strerror", None) or type(error).__name__
            raise LandingError(f"the landing store cannot be written: {why}") from None

    def get(self, payload_id: str, landing_path: str | None = None) -> bytes:
        """The bytes that were kept under ``payload_id``.

        Args:
            payload_id: the name.
            landing_path: where the index says that they lie; None: in a file of their own.

        Raises:
            LandingError: there is no such payload, or what is stored does not hash to it.
        """
        own = self._path(payload_id)
        place = _PLACE.fullmatch(landing_path or own)
        try:
            if place is None:
                packed = self._fs.cat_file(str(self._root / own))
            else:
                first = int(place["first"])
                packed = self._fs.cat_file(
                    str(self._root / place["file"]), first, first + int(place["length"])
                )
        except FileNotFoundError:
            raise LandingError(f"no payload {payload_id}") from None
        return _unpacked(payload_id, packed)

    def seal(self, source: str, day: str, ids: Sequence[str]) -> list[str]:
        """Write payloads that are files of their own into one file; they stay.

        The file is theirs one after the other, so that any program for zstandard reads it, and has a part of
        its content's hash in its name: what differs is another file.

        Args:
            source: the folder's name.
            day: the file's.
            ids: of local files.

        Returns:
            Where each lies now, as the index keeps it.

        Raises:
            LandingError: one is absent or damaged; no file was written.
        """
        places, packed, first = [], [], 0
        for payload_id in ids:
            try:
                data = self._fs.cat_file(str(self._root / self._path(payload_id)))
            except FileNotFoundError:
                raise LandingError(f"no payload {payload_id}") from None
            _unpacked(payload_id, data)
            places.append((first, len(data)))
            packed.append(data)
            first += len(data)
        whole = b"".join(packed)
        name = f"{SEALED}/{source}/{day}-{hashlib.sha256(whole).hexdigest()[:8]}.zst"
        self._write(str(self._root / name), whole)
        paths = [f"{name}#{first}+{length}" for first, length in places]
        for payload_id, path in zip(ids, paths, strict=True):
            self.get(payload_id, path)
        return paths

    def singles(self, *, before: datetime) -> Iterator[str]:
        """Payloads of a local store in files of their own that were neither made nor put again since then."""
        for path in Path(self._root).glob("[0-9a-f][0-9a-f]/*.zst"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    yield path.name.removesuffix(".zst")

    def remove(self, payload_id: str) -> None:
        """Remove the file that a payload has of its own."""
        Path(self._root / self._path(payload_id)).unlink(missing_ok=True)

    @staticmethod
    def _path(payload_id: str) -> str:
        if len(payload_id) != _ID_LENGTH or not set(payload_id) <= set("0123456789abcdef"):
            raise LandingError(f"no payload id: {payload_id!r:.80}")
        return f"{payload_id[:2]}/{payload_id}.zst"


def _unpacked(payload_id: str, packed: bytes) -> bytes:
    try:
        body = zstandard.ZstdDecompressor().decompress(packed, max_output_size=MAX_BYTES)
    except zstandard.ZstdError as error:
        raise LandingError(f"payload {payload_id} is damaged: {error}") from error
    if hashlib.sha256(body).hexdigest() != payload_id:
        raise LandingError(f"payload {payload_id} is damaged: its content hashes differently")
    return body
