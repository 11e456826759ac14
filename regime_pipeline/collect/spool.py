"""Messages on their way from the sockets to the disk: a bounded buffer, and the thread that writes it.

Belongs here: handing over between the loop and the writer, the limit of the buffer. Does not belong here:
the format on disk (``segments``).
"""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from regime_pipeline.collect.segments import SUFFIX, SegmentWriter, cut_torn_tail, segments_of

MOST_BYTES = 32 * 2**20
PLENTY = 0.5
"""Of the buffer: what is not essential is taken up to here."""
FULL = 0.8
"""Of the share of the disk: what is not essential is kept up to here."""
WRITE_EVERY_S = 0.1
SYNC_EVERY = 10


class Spool:
    """Segments of some connections, written by a thread of its own; a context manager.

    Args:
        folder: ``<home>/collect``.
        lines: names of the connections, ``source/connection``.
    """

    def __init__(self, folder: Path, lines: list[str]) -> None:
        self.folder = folder
        self._waiting: dict[str, deque[tuple[int, bytes]]] = {name: deque() for name in lines}
        # each is raised by one thread only, so that no message costs a lock
        self._taken = self._written = 0
        self._is_over = False
        self._files = threading.Lock()
        self._end = threading.Event()
        for name in lines:
            venue, connection = name.split("/")
            for path in segments_of(folder, venue, connection):
                cut_torn_tail(path)
        self._writers = {n: SegmentWriter(folder, *n.split("/")) for n in lines}
        self.failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="segments", daemon=True)

    def __enter__(self) -> Spool:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        with self._files:
            self._write()
            for writer in self._writers.values():
                writer.close()

    @property
    def is_short(self) -> bool:
        """Whether there is room for what is essential only: the disk is behind, or its share is used."""
        return self._is_over or self._taken - self._written > PLENTY * MOST_BYTES

    def measure(self, most_bytes: float) -> int:
        """Looks how much of its share of the disk the segments take; bytes."""
        taken = sum(p.stat().st_size for p in self.folder.rglob(f"*{SUFFIX}") if p.exists())
        self._is_over = taken > FULL * most_bytes
        return taken

    def put(self, line: str, received_ns: int, body: bytes) -> bool:
        """Takes a message, from one thread only; False when the buffer is full and it is left out."""
        size = len(body)
        if self._taken - self._written + size > MOST_BYTES:
            return False
        self._taken += size
        self._waiting[line].append((received_ns, body))
        return True

    def flush(self) -> None:
        """Returns once everything that was taken before is on the disk.

        Raises:
            OSError: the disk refuses.
        """
        with self._files:
            self._write()
            for writer in self._writers.values():
                writer.sync()

    def written(self, line: str) -> Path | None:
        """The segment that is written just now; None: none is."""
        return self._writers[line].path

    def compare_clock(self, source: str, offset_ns: int) -> None:
        """Notes a venue's clock minus ours in the segments that begin from now on."""
        for name, writer in self._writers.items():
            if name.startswith(f"{source}/"):
                writer.clock_offset_ns = offset_ns

    def cut(self, line: str) -> None:
        """Ends the newest segment of a connection."""
        with self._files:
            self._writers[line].close()

    def _run(self) -> None:
        turn = 0
        while not self._end.wait(WRITE_EVERY_S):
            turn += 1
            try:
                with self._files:
                    self._write()
                    if turn % SYNC_EVERY == 0:
                        for writer in self._writers.values():
                            writer.sync()
                self.failure = None
            except (
                OSError
            ) as error:  # a full disk: what waits stays in the buffer, and is bounded there
                self.failure = error

    def _write(self) -> None:
        for name, writer in self._writers.items():
            waiting = self._waiting[name]
            taken = [waiting.popleft() for _ in range(len(waiting))]
            if not taken:
                continue
            try:
                writer.append(taken)
            except OSError:
                writer.abandon()
                waiting.extendleft(reversed(taken))
                raise
            self._written += sum(len(body) for _, body in taken)
