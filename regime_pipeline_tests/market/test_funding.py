from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.funding_anomalies import funding_prints
from regime_pipeline.market.funding import funding
from regime_pipeline.settings import FundingParams
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
        ([0, 8, 16, 32, 40], [None, 8, 8, None, 8]),  # a lost print: who knows, then the old gap
        ([0, 4, 8, 16, 20], [None, 4, 4, None, 4]),  # the same where the doubled gap is legal
        ([0, 8, 16, 20, 24], [None, 8, 8, 4, 4]),  # a print cannot come early: a new interval
        ([0, 4, 8, 16, 24, 32], [None, 4, 4, None, 8, 8]),  # a longer one at its second gap
        ([0, 1, 2, 10, 18, 26], [None, 1, 1, None, 8, 8]),
        ([0, 5, 10], [None, None, None]),  # five hours are no interval
        ([0, 4, 8, 100, 104, 112], [None, 4, 4, None, 4, None]),  # after days without prints too
    ],
)
def test_the_interval_follows_from_the_gaps_before(
    hours: list[int], expected: list[object]
) -> None:
    assert intervals(hours) == expected


def test_the_provider_knows_its_interval_best() -> None:
    assert intervals([0, 8, 16], interval=4) == [4, 4, 4]


def test_what_was_told_of_earlier_prints_stays_in_force_where_the_newest_is_silent() -> None:
    raw = raw_prints(at([0, 4, 8, 12, 20]), [1e-4] * 5)
    raw["interval_hours"] = pd.array([4, 4, pd.NA, pd.NA, pd.NA], dtype="Int64")
    out = funding(raw, window=WINDOW, venues=VENUES)["interval_hours"]
    assert out.fillna(0).tolist() == [4, 4, 4, 4, 0]


@pytest.mark.parametrize(("seen_h", "expected"), [(9, 8), (10, None)])
def test_the_venue_predicts_the_interval_of_a_print_that_it_does_not_tell(
    seen_h: int, expected: int | None
) -> None:
    """1 h prints, then 8 h: known at once if the estimate was seen before the settlement."""
    raw = raw_prints(at([0, 1, 2, 10]), [1e-4] * 4)
    (when,) = at([seen_h])
    told = pd.DataFrame(
        {
            "source": "binance_futures", "venue": "binance", "market": "perp",
            "symbol": "BTC/USDT", "ts": [when], "available_at": [when], "source_tier": 1,
            "predicted_rate": 1e-4, "predicted_for": at([10]), "interval_hours": 8,
        }
    )  # fmt: skip
    out = funding(raw, told, window=WINDOW, venues=VENUES).iloc[-1]
    assert (None if pd.isna(out["interval_hours"]) else out["interval_hours"]) == expected
    assert out["status"] == ("ok" if expected else "insufficient_history")


def test_an_interval_that_lengthens_untold_is_no_anomaly() -> None:
    """1 h prints, then 8 h ones: at 0.0001 per 8 h nothing has happened."""
    hours = [*range(0, 24 * 40), *range(24 * 40 + 7, 24 * 45, 8)]
    rates = [1.25e-5] * (24 * 40) + [1e-4] * (len(hours) - 24 * 40)
    raw = raw_prints(at(hours), rates)
    long = Window(utc("2024-01-01"), utc("2024-06-01"))
    prints = funding(raw, window=long, venues=VENUES)
    first = prints.iloc[24 * 40]
    assert pd.isna(first["interval_hours"]) and first["reason"] == "interval_unknown"
    assert prints["rate_8h"].drop(index=[0, 24 * 40]).to_numpy() == pytest.approx(1e-4)
    judged = funding_prints(prints, window=long, symbols=["BTC/USDT"], params=FundingParams())
    assert judged["z_score"].notna().any() and judged["event_kind"].isna().all()


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


gaps = st.lists(st.sampled_from([1, 2, 3, 4, 8, 8, 8, 16, 24, 71, 72, 73, 100, 700]), max_size=25)


@pytest.mark.slow
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
