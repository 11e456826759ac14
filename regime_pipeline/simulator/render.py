"""JSON rows at speed: columns become the text of rows once, pages are slices of it.

Belongs here: number formatting, preformatted rows, what of a series is visible at an instant.
Does not belong here: paths, parameters and envelopes of a provider (one module each).

A page of a thousand bars is a slice of bytes: rows are rendered in blocks with Arrow's string
kernels, each row ending with a comma, and the least recently used blocks are dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regime_pipeline.simulator.series import DAY_MS, HOUR_MS, Series

Render = Callable[[Any], Any]  # rows of a series -> Arrow texts
Piece: TypeAlias = Any  # a text, or Arrow texts

_BLOCK = 2048
_BLOCKS_KEPT = 128
_EXACT = 1e-12


def decimals_of(values: np.ndarray, *, at_least: int = 0, at_most: int = 8) -> int:
    """Digits after the point that every value of a series needs."""
    known = values[np.isfinite(values)]
    for digits in range(at_least, at_most):
        if np.all(np.abs(np.round(known, digits) - known) <= _EXACT * np.abs(known)):
            return digits
    return at_most


def fixed(values: np.ndarray, digits: int, *, unknown: str = "") -> pa.Array:
    """Values as decimal text with a fixed number of digits; NaN becomes ``unknown``."""
    known = np.isfinite(values)
    # + 0.0 turns a negative zero into a plain one
    safe = np.round(np.where(known, values, 0.0), digits) + 0.0
    text = pc.cast(pc.cast(pa.array(safe), pa.decimal128(38, digits), safe=False), pa.string())
    # Arrow writes decimals below 1e-6 with an exponent, which no exchange does
    odd = (np.abs(safe) < 1e-5) & (digits > 5) | ~known
    if not odd.any():
        return text
    plain = [
        f"{v:.{digits}f}" if k else unknown for v, k in zip(safe[odd], known[odd], strict=True)
    ]
    return pc.replace_with_mask(text, pa.array(odd), pa.array(plain, pa.string()))


def quoted(values: np.ndarray, digits: int, *, unknown: str = "null") -> pa.Array:
    """Values as JSON texts of fixed decimals; NaN becomes the bare JSON ``unknown``."""
    text = rows_of('"', fixed(values, digits), '"')
    known = np.isfinite(values)
    if known.all():
        return text
    return pc.if_else(pa.array(known), text, unknown)


def whole(values: np.ndarray, *, unknown: str = "null") -> pa.Array:
    """Values as whole numbers; NaN becomes ``unknown``."""
    if values.dtype.kind == "i":
        return pc.cast(pa.array(values), pa.string())
    known = np.isfinite(values)
    text = pc.cast(pa.array(np.where(known, values, 0.0).astype(np.int64)), pa.string())
    return text if known.all() else pc.if_else(pa.array(known), text, unknown)


def shortest(values: np.ndarray) -> pa.Array:
    """Values as the shortest JSON numbers that read back the same."""
    return pc.cast(pa.array(values), pa.string())


def rows_of(*pieces: Piece) -> pa.Array:
    """Texts put together row by row; plain texts are the same in every row."""
    merged: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return pc.binary_join_element_wise(*merged, "")


@dataclass(frozen=True)
class Feed:
    """One series at one bucket length, and what of it can be seen at an instant.

    Attributes:
        hourly: the tape's series.
        closed: the same in buckets of ``step_ms`` that open at ``offset_ms`` past the epoch's grid.
        step_ms: length of a bucket; 0 for point events, visible at their time.
    """

    hourly: Any
    closed: Any
    step_ms: int
    offset_ms: int = 0

    @classmethod
    def of(cls, hourly: Any, step_ms: int, offset_ms: int = 0) -> Feed:
        """The feed of an hourly series; longer buckets are made from it."""
        if step_ms in (0, HOUR_MS) or not len(hourly):
            return cls(hourly, hourly, step_ms, offset_ms)
        return cls(hourly, hourly.bucketed(step_ms, offset_ms), step_ms, offset_ms)

    def running(self, now_ms: int) -> Any | None:
        """The bucket that is still open at ``now_ms``, or None when nothing of it is known yet."""
        if self.step_ms == 0:
            return None
        start = (now_ms - self.offset_ms) // self.step_ms * self.step_ms + self.offset_ms
        hour = now_ms // HOUR_MS * HOUR_MS
        first, here, after = np.searchsorted(self.hourly.ts, [start, hour, hour + 1])
        known = self.hourly.rows(slice(first, here))
        if after > here and now_ms > hour:
            begun = self.hourly.rows(slice(here, after)).begun((now_ms - hour) / HOUR_MS)
            known = known.joined_to(begun)
        if not len(known):
            return None
        return known if self.step_ms == HOUR_MS else known.bucketed(self.step_ms, self.offset_ms)

    def page(
        self, now_ms: int, low: int, high: int, limit: int, *, newest: bool, running: bool = True
    ) -> tuple[int, int, Any | None]:
        """Which rows answer a request.

        Args:
            now_ms: the instant of the request.
            low: earliest bucket start, inclusive.
            high: latest bucket start, inclusive.
            limit: most rows.
            newest: the newest ``limit`` rows of the range instead of the first.
            running: whether the venue shows its open bucket.

        Returns:
            Index range of ``closed`` and the open bucket (one row) or None.
        """
        ts = self.closed.ts
        visible = int(np.searchsorted(ts, now_ms - self.step_ms, side="right"))
        first = min(int(np.searchsorted(ts, low)), visible)
        stop = max(first, min(int(np.searchsorted(ts, high, side="right")), visible))
        opened = self.running(now_ms) if running and high >= now_ms - self.step_ms else None
        if opened is not None and not low <= int(opened.ts[0]) <= high:
            opened = None
        room = limit - (opened is not None)
        if stop - first > room:
            if newest:
                first = stop - room
            elif stop - first >= limit:
                stop, opened = first + limit, None
        return first, stop, opened


class Shelf:
    """Preformatted rows of many series, bounded in memory."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[Hashable, tuple[memoryview, np.ndarray]] = OrderedDict()

    def rows(
        self, name: Hashable, series: Series, render: Render, first: int, stop: int, *, newest: bool
    ) -> bytes:
        """Rows ``first .. stop`` of a series as JSON, separated by commas.

        Args:
            name: names series and rendering; blocks are kept under it.
            series: the whole series.
            render: turns some rows of it into texts that end with a comma.
            first: index of the oldest row.
            stop: index behind the newest row.
            newest: newest row first.
        """
        if stop <= first:
            return b""
        parts = []
        for number in range(first // _BLOCK, (stop - 1) // _BLOCK + 1):
            text, offsets = self._block(name, series, render, number, newest=newest)
            base = number * _BLOCK
            count = len(offsets) - 1
            low, high = max(first - base, 0), min(stop - base, count)
            if newest:
                low, high = count - high, count - low
            parts.append(text[offsets[low] : offsets[high]])
        if newest:
            parts.reverse()
        return b"".join(parts)[:-1]

    def _block(
        self, name: Hashable, series: Series, render: Render, number: int, *, newest: bool
    ) -> tuple[memoryview, np.ndarray]:
        key = (name, number, newest)
        found = self._blocks.get(key)
        if found is None:
            part = series.rows(slice(number * _BLOCK, (number + 1) * _BLOCK))
            found = _text_and_offsets(render(part.rows(slice(None, None, -1)) if newest else part))
            self._blocks[key] = found
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(key)
        return found


def _text_and_offsets(rows: pa.Array) -> tuple[memoryview, np.ndarray]:
    if isinstance(rows, pa.ChunkedArray):
        rows = rows.combine_chunks()
    _, offsets, data = rows.buffers()
    places = np.frombuffer(offsets, dtype=np.int32)[rows.offset : rows.offset + len(rows) + 1]
    return memoryview(data), places


def one_row(series: Series, render: Render) -> bytes:
    """The rows of a short series as JSON, separated by commas."""
    text, offsets = _text_and_offsets(render(series))
    return bytes(text[offsets[0] : offsets[-1]])[:-1]


INTERVALS_MS = {"1h": HOUR_MS, "4h": 4 * HOUR_MS, "1d": DAY_MS, "1w": 7 * DAY_MS}
MONDAY_MS = 4 * DAY_MS  # 1970-01-05, the first Monday after the Unix epoch
