"""What a parser is given and what it gives: context, frames, and readings that become one frame.

Belongs here: the types that providers, their parsers and the fetch share. Does not belong here: how a
value is read out of a reply (``decode``), what a document is (``documents``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd

LATEST_S = 4_102_444_800  # 2100-01-01, the limit where nobody says what time it is

CURSOR: Final = "cursor"
"""``frame.attrs``: what the reply says about the page after it; absent on the last one."""
ROWS: Final = "rows"
"""``frame.attrs``: rows that the provider counted in the page, where the frame has other ones."""

NAMES: Final = "names"
"""``frame.attrs``: instruments of which the reply tells everything, those without a row among them."""


@dataclass(frozen=True, slots=True)
class Book:
    """The levels of one book, the best first.

    Attributes:
        bid_prices: quote currency, falling.
        bid_sizes: as the venue states them, coins or contracts.
        ask_prices: quote currency, rising.
        ask_sizes: as ``bid_sizes``.
    """

    bid_prices: np.ndarray
    bid_sizes: np.ndarray
    ask_prices: np.ndarray
    ask_sizes: np.ndarray


@dataclass(frozen=True, slots=True)
class Context:
    """What a parser may know beside the bytes.

    Attributes:
        now: present instant; times later than a day from it are refused.
        market: ``spot`` or ``perp``, for wire formats whose units depend on it.
        unit: unit that was asked for, where a reply does not say it.
        books: parsers of books also put the levels that they read here; None: they are summed only.
    """

    now: datetime | None = None
    market: str | None = None
    unit: str | None = None
    books: list[Book] | None = None

    @property
    def latest_s(self) -> int:
        """Epoch second after which a time is refused."""
        if self.now is None:
            return LATEST_S
        return int((self.now + timedelta(days=1)).timestamp())


Parser = Callable[[bytes, Context], pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Reading:
    """Typed columns of one reply; those of many replies become one frame.

    Attributes:
        columns: float64, ``M8[us]`` (UTC) and bool arrays by name, of one length.
        count: rows.
        reasons: what is wrong with a row, by its number.
    """

    columns: Mapping[str, np.ndarray]
    count: int
    reasons: Mapping[int, str]

    def __len__(self) -> int:
        return self.count

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    @property
    def attrs(self) -> dict[str, Any]:
        """Nothing but rows, unlike a frame's."""
        return {}


def joined(readings: Sequence[Reading]) -> pd.DataFrame:
    """The rows of one parser's readings, in their order, with ``reason`` (null for a good row)."""
    count = sum(map(len, readings))
    columns: dict[str, object] = {
        name: _in_pandas(np.concatenate([r.columns[name] for r in readings]))
        for name in readings[0].columns
    }
    reasons: dict[int, str] = {}
    before = 0
    for reading in readings:
        reasons |= {before + i: why for i, why in reading.reasons.items()}
        before += len(reading)
    columns["reason"] = texts_at(reasons, count)
    return pd.DataFrame(columns, index=pd.RangeIndex(count))


def _in_pandas(values: np.ndarray) -> object:
    if values.dtype.kind == "M":
        return pd.DatetimeIndex(values).tz_localize("UTC")
    if values.dtype == bool:
        return pd.arrays.BooleanArray(values, np.zeros(len(values), dtype=bool))
    return values


@dataclass(frozen=True, slots=True)
class ByColumns:
    """A parser of small pages that are read by the thousand: a frame for each is most of the work."""

    read: Callable[[bytes, Context], Reading]

    def __call__(self, body: bytes, ctx: Context) -> pd.DataFrame:
        """The frame of one reply."""
        return joined([self.read(body, ctx)])


def texts_at(texts: Mapping[int, str], count: int) -> pd.api.extensions.ExtensionArray:
    """A column of texts at some rows, null at the others."""
    if not texts:
        return _no_texts(count)
    out = np.full(count, None, dtype=object)
    out[list(texts)] = list(texts.values())
    return pd.array(out, dtype="str")


@lru_cache(maxsize=64)
def _no_texts(count: int) -> pd.api.extensions.ExtensionArray:
    """So many null texts; frames copy it. Pages are small and many, and this is most of a frame."""
    return pd.array(np.full(count, None, dtype=object), dtype="str")
