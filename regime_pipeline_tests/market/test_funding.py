from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.funding import funding
from regime_pipeline.windows import Window, utc
from regime_pipeline_tests.signals.worlds import raw_prints
from regime_pipeline_tests.synthetic import same_bytes

VENUES = {"BTC/USDT": "binance"}
WINDOW = Window(utc("2024-01-01"), utc("2024-01-20"))


def at(hours: list[int]) -> list[pd.Timestamp]:
    return [pd.Timestamp("2024-01-02", tz="UTC") + pd.Timedelta(hours=h) for h in hours]


def intervals(hours: list[int], **kwargs: object) -> list[object]:
    raw = raw_prints(at(hours), [1e-4] * len(hours), **kwargs)
    out = funding(raw, window=WINDOW, venues=VENUES)["interval_hours"]
    return [None if pd.isna(v) else int(v) for v in out]


def test_a_four_hour_rate_counts_double_per_eight_hours() -> None:
    raw = raw_prints(at([0, 4, 8]), [5e-4] * 3)
    out = funding(raw, window=WINDOW, venues=VENUES)
    assert out["rate_8h"].iloc[2] == 0.001
    assert out["rate_annual"].iloc[2] == pytest.approx(1.095)


def test_the_first_print_has_no_interval_and_says_so() -> None:
    out = funding(raw_prints(at([0, 8]), [1e-4] * 2), window=WINDOW, venues=VENUES)
    assert out["status"].tolist() == ["insufficient_history", "ok"]
    assert out["reason"].iloc[0] == "interval_unknown"
    assert out["rate_8h"].isna().tolist() == [True, False]
    assert out["funding_rate"].notna().all()


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([0, 8, 16, 32, 40], [None, 8, 8, 8, 8]),  # a lost print does not double the rate
        ([0, 8, 16, 20, 24], [None, 8, 8, 4, 4]),  # a shorter interval is seen at once
        ([0, 4, 8, 16, 24], [None, 4, 4, 4, 8]),  # a longer one costs one wrong print
        ([0, 5, 10], [None, None, None]),  # five hours are no interval
        ([0, 8, 80, 88], [None, 8, None, 8]),  # beyond 72 h nothing is concluded
    ],
)
def test_the_interval_follows_from_the_gaps_before(
    hours: list[int], expected: list[object]
) -> None:
    assert intervals(hours) == expected


def test_the_provider_knows_its_interval_best() -> None:
    assert intervals([0, 8, 16], interval=4) == [4, 4, 4]


def test_stamps_are_rounded_to_the_hour() -> None:
    stamps = ["2024-01-02 07:59:58", "2024-01-02 16:00:12"]
    out = funding(raw_prints(stamps, [1e-4] * 2), window=WINDOW, venues=VENUES)
    assert out["ts"].tolist() == [
        pd.Timestamp("2024-01-02 08:00", tz="UTC"),
        pd.Timestamp("2024-01-02 16:00", tz="UTC"),
    ]


def test_only_the_configured_venue_counts_and_the_better_source_wins() -> None:
    right = raw_prints(at([0, 8]), [1e-4, 2e-4])
    second = raw_prints(
        at([0, 8]),
        [9e-4, 9e-4],
        source="coinglass",
        source_tier=pd.array([2, 2], dtype="Int64"),
    )
    other = raw_prints(at([0, 8]), [7e-4, 7e-4], venue="okx")
    spot = raw_prints(at([0, 8]), [6e-4, 6e-4], market="spot")
    stranger = raw_prints(at([0, 8]), [5e-4, 5e-4], symbol="DOGE/USDT")
    raw = pd.concat([second, other, stranger, spot, right], ignore_index=True)
    out = funding(raw, window=WINDOW, venues=VENUES)
    assert out["funding_rate"].tolist() == [1e-4, 2e-4]
    assert set(out["venue"]) == {"binance"}


def test_nothing_in_is_an_empty_table() -> None:
    out = funding(raw_prints([], []), window=WINDOW, venues=VENUES)
    assert list(out.columns) == list(table("market.funding").content)
    assert out.empty


gaps = st.lists(st.sampled_from([1, 2, 3, 4, 8, 8, 8, 16, 24, 71, 72, 73, 100]), max_size=25)


@settings(max_examples=40, deadline=None)
@given(gaps, st.integers(0, 400))
def test_a_print_never_depends_on_later_ones_nor_on_where_the_computation_began(
    steps: list[int], cut: int
) -> None:
    hours = np.cumsum([0, *steps]).tolist()
    raw = raw_prints(at(hours), np.linspace(-1e-3, 1e-3, len(hours)).tolist())
    long = Window(utc("2024-01-01"), utc("2025-01-01"))
    whole = funding(raw, window=long, venues=VENUES)
    validate(whole, table("market.funding"))
    border = utc("2024-01-02") + pd.Timedelta(hours=cut).to_pytimedelta()
    early = funding(raw[raw["ts"] < border], window=long, venues=VENUES)
    same_bytes(early, whole[whole["ts"] < border])
    since = border - reach_of(funding, "raw.funding_rates")
    late = funding(raw[raw["ts"] >= since], window=Window(border, long.end), venues=VENUES)
    same_bytes(late, whole[whole["ts"] >= border])
