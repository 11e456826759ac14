"""What a fit may learn from: only labels that were known, and nothing that overlaps what it is judged on."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from regime_pipeline.research.splits import combinatorial, walk_forward
from regime_pipeline.windows import utc


def hour(at: str) -> int:
    return int(utc(at).timestamp()) // 3600


# Of CombinatorialPurgedCV(10, 2, purged_size=h, embargo_size=168) of skfolio 1.12.2, every index of every
# split: sha256 over the rows to learn from, then each judged fold, as little-endian int64.
@pytest.mark.parametrize(
    ("rows", "horizon_h", "digest", "learnt_last"),
    [
        (17_544, 4, "cd6e2004a00f0717", 14_028),
        (17_544, 24, "5cb2506327ffe135", 14_008),
        (8_785, 72, "336f46b81f1f5007", 6_952),
        (2_003, 1, "65066e6acce97842", 1_599),
    ],
)
def test_the_combinations_are_those_of_skfolio_index_by_index(
    rows: int, horizon_h: int, digest: str, learnt_last: int
) -> None:
    splits = list(combinatorial(rows, horizon_h))
    found = hashlib.sha256()
    for split in splits:
        for indices in (split.fit, *split.judged):
            found.update(indices.astype("<i8").tobytes())
    assert (len(splits), len(splits[-1].fit)) == (45, learnt_last)
    assert found.hexdigest()[:16] == digest


def test_folds_shorter_than_what_is_left_out_of_them_are_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        next(combinatorial(1_000, 4))


def test_a_month_learns_only_from_labels_that_were_known_when_it_began() -> None:
    months = list(walk_forward(hour("2024-01-15"), hour("2024-03-01"), 24))
    assert [m.begins for m in months] == [hour(f"2024-0{k}-01") for k in (1, 2, 3)]
    assert [a.ends for a in months[:-1]] == [b.begins for b in months[1:]]
    month = months[1]
    last = month.fit_until - 1
    assert last + 1 + 24 == month.begins  # known exactly when the month begins
    assert month.begins - month.fit_from == 365 * 24


def test_gaps_shorten_no_window() -> None:
    (month,) = walk_forward(hour("2024-01-15"), hour("2024-01-20"), 4)
    hours = np.arange(hour("2022-01-01"), hour("2024-02-10"))
    rare = hours[::7]
    assert rare[month.fit(rare)].min() - month.fit_from < 7
    assert rare[month.fit(rare)].max() < month.fit_until
    assert (rare[month.judged(rare)] >= month.begins).all()
    assert len(rare[month.judged(rare)]) in (106, 107)
