"""The levels of a sampled book: how a book is asked for by its row, and what is found.

Belongs here: the form of question and answer. Does not belong here: finding the bytes
(``collect.stored_books``), walking an order through levels (``research.fills``), books as sums
(``market.order_book``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

REACH_BPS = 25.0
"""How far from the mid a row's value is compared with that of its levels."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a row says of a sampled book; with it the levels are found that it was summed from.

    Attributes:
        source: who was asked.
        market: ``spot`` or ``perp``.
        at_us: when it was sampled, microseconds since 1970.
        payload_id: of the reply or segment that it came in; None: not known.
        mid: half way between the best prices.
        levels: how many bids and asks there were.
        depth_25_usd: within 25 bps of the mid, bids and asks.
    """

    source: str
    market: str
    at_us: int
    payload_id: str | None
    mid: float
    levels: tuple[int, int]
    depth_25_usd: tuple[float, float]

    @classmethod
    def of(cls, row: Mapping[Any, Any], market: str, at_us: int) -> Sampled:
        """A valid book by its row of ``raw.order_book``."""
        payload = row["payload_id"]
        return cls(
            str(row["source"]),
            market,
            at_us,
            payload if isinstance(payload, str) else None,
            float(row["mid"]),
            (int(row["bid_levels"]), int(row["ask_levels"])),
            (float(row["depth_25bps_bid_usd"]), float(row["depth_25bps_ask_usd"])),
        )


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a book, the best first; prices in quote currency, sizes in coins.

    Attributes:
        bids: prices and sizes.
        asks: the same.
    """

    bids: tuple[Floats, Floats]
    asks: tuple[Floats, Floats]


LevelsOf = Callable[[Sampled], Levels | None]
"""The levels of a sampled book; None where its bytes are gone, or do not say what its row says."""


def no_levels(_: Sampled) -> Levels | None:
    """Of no book."""
    return None
