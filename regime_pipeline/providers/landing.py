"""Landing store: the exact bytes of every accepted reply, compressed, addressed by their content.

Belongs here: keeping and giving back bytes. Does not belong here: what they mean, and the index of
requests (``ops.payloads``), which the caller writes.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec
import zstandard

from regime_pipeline.settings import Settings

MAX_BYTES = 2**30
_ID_LENGTH = 64


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

    Each payload is one file ``<2 hex>/<sha256>.zst`` of the raw body. A file appears whole or not at
    all: local files are written aside, flushed and renamed, object stores put objects atomically.
    """

    def __init__(self, url: str) -> None:
        self._fs, root = fsspec.core.url_to_fs(str(url))
        self._root = PurePosixPath(root)
        self._local = "file" in self._fs.protocol
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
            return landed
        packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(body)
        if not self._local:
            self._fs.pipe_file(full, packed)
            return landed
        folder = str(self._root / path[:2])
        if folder not in self._made:
            self._fs.makedirs(folder, exist_ok=True)
            self._made.add(folder)
        aside = f"{full}.{os.getpid()}.{threading.get_ident()}.tmp"
        try:
            with open(aside, "wb") as file:  # noqa: PTH123 - a path of the fsspec file system
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, full)  # noqa: PTH105
        except OSError:
            self._fs.rm(aside) if self._fs.exists(aside) else None
            raise
        return landed

    def check(self) -> None:
        """Writes a small file and removes it again.

        Raises:
            LandingError: the store cannot be written; one line says why.
        """
        probe = str(self._root / f".check-{os.getpid()}-{threading.get_ident()}")
        try:
            if self._local:
                self._fs.makedirs(str(self._root), exist_ok=True)
            self._fs.pipe_file(probe, b"x")
            self._fs.rm_file(probe)
        except Exception as error:  # noqa: BLE001 - every kind of store fails in its own way
            why = getattr(error, "strerror", None) or type(error).__name__
            raise LandingError(f"the landing store cannot be written: {why}") from None

    def get(self, payload_id: str) -> bytes:
        """The bytes that were kept under ``payload_id``.

        Raises:
            LandingError: there is no such payload, or what is stored does not hash to it.
        """
        full = str(self._root / self._path(payload_id))
        try:
            packed = self._fs.cat_file(full)
        except FileNotFoundError:
            raise LandingError(f"no payload {payload_id}") from None
        try:
            body = zstandard.ZstdDecompressor().decompress(packed, max_output_size=MAX_BYTES)
        except zstandard.ZstdError as error:
            raise LandingError(f"payload {payload_id} is damaged: {error}") from error
        if hashlib.sha256(body).hexdigest() != payload_id:
            raise LandingError(f"payload {payload_id} is damaged: its content hashes differently")
        return body

    @staticmethod
    def _path(payload_id: str) -> str:
        if len(payload_id) != _ID_LENGTH or not set(payload_id) <= set("0123456789abcdef"):
            raise LandingError(f"no payload id: {payload_id!r:.80}")
        return f"{payload_id[:2]}/{payload_id}.zst"
