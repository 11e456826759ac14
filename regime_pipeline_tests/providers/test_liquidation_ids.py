"""Liquidations that their venue does not number: each has an id of its own, the same on every replay."""

from __future__ import annotations

import pandas as pd
import pytest

from regime_pipeline.providers.fetch.rows import _identified

ORDERS = [
    ("2024-08-05T02:00:00.001Z", "long", 50_000.0, 0.5),
    ("2024-08-05T02:00:00.002Z", "long", 50_000.0, 0.1),
    ("2024-08-05T02:00:00.002Z", "long", 50_000.0, 0.1),
    ("2024-08-05T02:00:00.002Z", "long", 50_000.0, 0.1),
    ("2024-08-05T02:00:00.003Z", "short", 50_000.0, 0.1),
]


def ids(*pages: list[int]) -> set[str]:
    """Ids of what a walk over pages that hold these orders gives."""
    rows = [(*ORDERS[i], f"page {n}") for n, page in enumerate(pages) for i in page]
    names = ["ts", "position_side", "price", "quantity_base", "payload_id"]
    frame = pd.DataFrame(rows, columns=names).assign(stream=0)
    frame["ts"] = pd.to_datetime(frame["ts"]).astype("datetime64[us, UTC]")
    return set(_identified(frame)["closure_id"])


def test_equal_liquidations_of_one_millisecond_are_several() -> None:
    assert len(ids([0, 1, 2, 3, 4])) == 5


@pytest.mark.parametrize(
    "pages",
    [
        ([0, 1, 2], [1, 2, 3, 4]),  # the next page begins at the time at which this one ends
        ([4, 3, 2, 1, 0],),
        ([0, 1], [1, 2, 3], [1, 2, 3, 4]),
        ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
    ],
)
def test_their_ids_are_the_same_whatever_the_pages_were(pages: tuple[list[int], ...]) -> None:
    assert ids(*pages) == ids([0, 1, 2, 3, 4])


def test_the_first_of_equal_ones_keeps_the_id_that_it_had_alone() -> None:
    assert ids([1]) < ids([1, 2])
