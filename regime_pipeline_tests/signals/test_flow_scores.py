"""Signs and rules of the components that are not made of candles; each sign with why it is that one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from regime_pipeline.signals import flow_scores
from regime_pipeline.signals.component import Component
from regime_pipeline.signals.verdicts import MISSING, OK, PARTIAL, SHORT

FIRST = 480_000
ROWS = 760


def reason_of(found: Component, row: int = -1) -> str | None:
    code = found.verdicts.reason[row, 0]
    return None if code < 0 else found.verdicts.reasons[code]


def column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype="float64").reshape(-1, 1)


# ------------------------------------------------------------------ order book


def book(bids: np.ndarray, asks: np.ndarray, spread: np.ndarray | float = 1.0) -> dict:
    bids, asks = column(bids), column(asks)
    return {
        "imbalance": (bids - asks) / (bids + asks),
        "spread_bps": np.broadcast_to(np.asarray(spread, dtype="float64"), (len(bids),))
        .reshape(-1, 1)
        .copy(),
        "n_snapshots": np.full(bids.shape, 13.0),
        "depth_25bps_bid_usd": bids,
        "depth_25bps_ask_usd": asks,
    }


def quiet(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(seed).lognormal(13, 0.2, (2, ROWS))


def test_mirrored_books_score_symmetrically_around_50() -> None:
    bids, asks = quiet()
    one = flow_scores.orderbook(book(bids, asks), first_hour=FIRST)
    other = flow_scores.orderbook(book(asks, bids), first_hour=FIRST)
    there = np.isfinite(one.score)
    assert there[-1, 0]
    np.testing.assert_allclose((one.score + other.score)[there], 100.0, atol=1e-9)


def test_asks_of_ten_times_the_bids_are_clearly_bearish() -> None:
    bids, asks = quiet()
    asks[-1] = 10 * bids[-1]
    assert flow_scores.orderbook(book(bids, asks), first_hour=FIRST).score[-1, 0] < 5


def test_five_bids_against_fifty_asks_stay_bearish_whatever_came_before() -> None:
    _, asks = quiet()
    always = flow_scores.orderbook(book(0.1 * asks, asks), first_hour=FIRST)
    assert always.score[-1, 0] < 5


def test_an_ordinary_lopsided_book_does_not_read_its_side_for_ever() -> None:
    bids, asks = quiet()
    found = flow_scores.orderbook(book(1.5 * bids, asks), first_hour=FIRST)
    assert abs(found.score[-100:, 0].mean() - 50) < 8


def test_a_wide_spread_lowers_the_confidence_and_not_the_score() -> None:
    bids, asks = quiet()
    spread = np.random.default_rng(2).uniform(1, 2, ROWS)
    tight, wide = spread.copy(), spread.copy()
    tight[-1], wide[-1] = 0.5, 9.0
    found = [flow_scores.orderbook(book(bids, asks, s), first_hour=FIRST) for s in (tight, wide)]
    assert found[0].score[-1, 0] == found[1].score[-1, 0]
    assert found[0].confidence[-1, 0] == 1.0
    assert found[1].confidence[-1, 0] == 0.0


def test_the_legacy_book_is_computed_and_never_bearish_with_a_tight_spread() -> None:
    bids, asks = np.full(ROWS, 5.0), np.full(ROWS, 50.0)
    found = flow_scores.orderbook(book(bids, asks, 1.0), first_hour=FIRST)
    assert found.raw["orderbook_score_legacy"][-1, 0] == pytest.approx(50 + 10 - 9)
    both = flow_scores.orderbook(book(asks, bids, 20.0), first_hour=FIRST)
    assert both.raw["orderbook_score_legacy"][-1, 0] == 100.0


@pytest.mark.parametrize(
    ("rows", "status", "reason"),
    [(336, SHORT, "fewer_than_14_days"), (337, OK, None), (720, OK, None)],
)
def test_history_that_a_book_needs(rows: int, status: int, reason: str | None) -> None:
    bids, asks = quiet()
    found = flow_scores.orderbook(book(bids[:rows], asks[:rows]), first_hour=FIRST)
    assert found.verdicts.status[-1, 0] == status
    assert reason_of(found) == reason


# ------------------------------------------------------------------ order flow


def test_takers_buying_more_than_in_their_week_is_bullish() -> None:
    rng = np.random.default_rng(3)
    imbalance = column(rng.normal(0, 0.1, 400))
    known = np.zeros_like(imbalance)
    found = flow_scores.orderflow(imbalance, known * np.nan, known, first_hour=FIRST)
    week = imbalance[-169:-1, 0]
    expected = 100 * norm.cdf((imbalance[-1, 0] - week.mean()) / week.std(ddof=1))
    assert found.score[-1, 0] == pytest.approx(expected, rel=1e-9)
    imbalance[-1] = 0.3
    assert flow_scores.orderflow(imbalance, known, known, first_hour=FIRST).score[-1, 0] > 95


@pytest.mark.parametrize(
    ("value", "coins", "status", "reason"),
    [
        (np.nan, np.nan, MISSING, "no_observation"),
        (np.nan, 0.0, MISSING, "nothing_traded"),
        (0.1, 1.0, PARTIAL, "no_quote"),
    ],
)
def test_an_hour_without_flow_says_why(
    value: float, coins: float, status: int, reason: str
) -> None:
    imbalance = column(np.random.default_rng(4).normal(0, 0.1, 400))
    known = np.zeros_like(imbalance)
    imbalance[-1], known[-1] = value, coins
    found = flow_scores.orderflow(imbalance, known, known, first_hour=FIRST)
    assert (found.verdicts.status[-1, 0], reason_of(found)) == (status, reason)
    assert np.isnan(found.score[-1, 0]) == (status == MISSING)


# ------------------------------------------------------------------ sentiment

ALL = frozenset(flow_scores.KINDS)


def moods(seed: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {kind: column(rng.normal(50, 10, ROWS)) for kind in flow_scores.KINDS}


def test_moods_are_weighed_over_the_kinds_present() -> None:
    given = moods()
    found = flow_scores.sentiment(given, ALL, first_hour=FIRST)
    z = {k: (p[-1, 0] - p[-721:-1, 0].mean()) / p[-721:-1, 0].std(ddof=1) for k, p in given.items()}
    top = 0.5 * z["social"] + 0.3 * z["news"] + 0.2 * z["trader"]
    expected = 100 * norm.cdf(top / np.sqrt(0.25 + 0.09 + 0.04))
    assert found.score[-1, 0] == pytest.approx(expected, rel=1e-9)
    given["social"][-1] = np.nan
    found = flow_scores.sentiment(given, ALL, first_hour=FIRST)
    top = 0.3 * z["news"] + 0.2 * z["trader"]
    assert found.score[-1, 0] == pytest.approx(100 * norm.cdf(top / np.sqrt(0.13)), rel=1e-9)
    assert found.confidence[-1, 0] == pytest.approx(0.5)
    assert found.verdicts.status[-1, 0] == OK


def test_one_kind_alone_is_published_as_partial_and_none_is_null() -> None:
    given = moods()
    given["news"][-1] = given["trader"][-1] = np.nan
    one = flow_scores.sentiment(given, ALL, first_hour=FIRST)
    assert (one.verdicts.status[-1, 0], reason_of(one)) == (PARTIAL, "one_kind_only")
    given["social"][-1] = np.nan
    none = flow_scores.sentiment(given, ALL, first_hour=FIRST)
    assert np.isnan(none.score[-1, 0])
    assert (none.verdicts.status[-1, 0], reason_of(none)) == (MISSING, "no_observation")


def test_a_kind_that_nobody_configured_is_not_looked_at() -> None:
    given = moods()
    found = flow_scores.sentiment(given, frozenset({"news"}), first_hour=FIRST)
    assert reason_of(found) == "one_kind_only"
    assert np.isnan(found.raw["social_z"]).all()
    nobody = flow_scores.sentiment(given, frozenset(), first_hour=FIRST)
    assert nobody.is_unwired
    assert np.isnan(nobody.score).all()
    assert reason_of(nobody) == "source_not_wired"


# ------------------------------------------------------------------ whales


def whales(flow: np.ndarray, *, wired: bool = True) -> Component:
    flows = {
        "net_flow_usd": column(flow),
        "stablecoin_net_flow_usd": column(np.zeros(len(flow))),
        "coverage": column(np.ones(len(flow))),
        "partial": column(np.zeros(len(flow))),
    }
    return flow_scores.whale_act(
        flows, column(np.full(len(flow), 1e6)), wired=wired, first_hour=FIRST
    )


def test_coins_that_come_onto_exchanges_are_bearish_because_they_are_offered_for_sale() -> None:
    flow = np.random.default_rng(6).normal(0, 1e7, ROWS)
    onto, off = flow.copy(), flow.copy()
    onto[-1], off[-1] = 3e7, -3e7
    assert whales(onto).score[-1, 0] < 5
    assert whales(off).score[-1, 0] > 95
    assert whales(onto).score[-1, 0] + whales(off).score[-1, 0] == pytest.approx(100.0)


def test_a_flow_is_measured_by_the_sums_at_the_same_hour_and_an_even_day_reads_50() -> None:
    flow = np.random.default_rng(7).normal(2e6, 1e7, ROWS)
    found = whales(flow)
    sums = flow[-1 - 24 * 30 : -1 : 24]
    assert len(sums) == 30
    expected = 100 * norm.cdf(-flow[-1] / sums.std(ddof=1))
    assert found.score[-1, 0] == pytest.approx(expected, rel=1e-9)
    assert found.raw["whale_flow_to_volume"][-1, 0] == pytest.approx(flow[-1] / 24e6)
    flow[-1] = 0.0
    assert whales(flow).score[-1, 0] == 50.0


def test_the_legacy_whales_jump_at_ten_millions_and_end_at_thirty() -> None:
    legacy = {
        millions: whales(np.full(ROWS, millions * 1e6)).raw["whale_act_score_legacy"][-1, 0]
        for millions in (9.9, 10.01, 50.0, -10.01, -50.0)
    }
    assert legacy == pytest.approx({9.9: 50, 10.01: 39.99, 50.0: 20, -10.01: 60.01, -50.0: 80})


def test_whales_without_a_source_or_a_fortnight_of_days_have_no_score() -> None:
    assert whales(np.ones(ROWS), wired=False).is_unwired
    young = whales(np.random.default_rng(8).normal(0, 1e7, 24 * 13))
    assert reason_of(young) == "fewer_than_14_days"
    still = whales(np.zeros(ROWS))
    assert reason_of(still) == "zero_dispersion"


# ------------------------------------------------------------------ liquidations


def forced(longs: np.ndarray, shorts: np.ndarray, level: float = 0.0) -> Component:
    longs = column(longs)
    return flow_scores.liquidation(
        longs, column(shorts), np.full(longs.shape, level), np.ones(longs.shape)
    )


def test_shorts_forced_out_are_bullish_because_they_have_to_buy() -> None:
    usual = np.full(ROWS, 5e5)
    longs, shorts = usual.copy(), usual.copy()
    longs[-1], shorts[-1] = 0.0, 9e6
    found = forced(longs, shorts)
    assert found.score[-1, 0] == pytest.approx(50 + 50 * 9e6 / (9e6 + 1e6))
    assert found.raw["liquidation_score_legacy"][-1, 0] == 100.0
    assert forced(shorts, longs).score[-1, 0] == pytest.approx(100 - found.score[-1, 0])


def test_a_single_small_liquidation_does_not_swing_the_score_as_the_legacy_one() -> None:
    usual = np.full(ROWS, 5e5)
    longs, shorts = usual.copy(), usual.copy()
    longs[-1], shorts[-1] = 0.0, 1e3
    found = forced(longs, shorts)
    assert 50 < found.score[-1, 0] < 50.1
    assert found.raw["liquidation_score_legacy"][-1, 0] == 100.0


def test_a_silent_observed_hour_reads_50_and_an_unobserved_one_is_null() -> None:
    usual = np.full(ROWS, 5e5)
    longs, shorts = usual.copy(), usual.copy()
    longs[-1] = shorts[-1] = 0.0
    assert forced(longs, shorts).score[-1, 0] == 50.0
    assert np.isnan(forced(longs, shorts).raw["liquidation_score_legacy"][-1, 0])
    longs[-1] = np.nan
    assert np.isnan(forced(longs, shorts).score[-1, 0])
    assert reason_of(forced(longs, shorts)) == "no_observation"


def test_exhaustion_is_the_opposite_reading_of_extreme_hours_only() -> None:
    usual = np.full(ROWS, 5e5)
    longs, shorts = usual.copy(), usual.copy()
    longs[-1] = 9e7
    calm, climax = (forced(longs, shorts, level) for level in (3.0, 4.0))
    assert np.isnan(calm.raw["liquidation_exhaustion_score"][-1, 0])
    found = climax.raw["liquidation_exhaustion_score"][-1, 0]
    assert found == 100.0 - climax.score[-1, 0] > 90


# ------------------------------------------------------------------ null worlds


@pytest.mark.slow
def test_in_worlds_where_nothing_happens_scores_average_50() -> None:
    rng = np.random.default_rng(20241001)
    rows, width = 6_000, 40
    normal = rng.normal(size=(rows, width))
    depths = rng.lognormal(13, 0.3, (2, rows, width))
    flows = {
        "net_flow_usd": rng.normal(0, 1e7, (rows, width)),
        "stablecoin_net_flow_usd": np.zeros((rows, width)),
        "coverage": np.ones((rows, width)),
        "partial": np.zeros((rows, width)),
    }
    forced_usd = rng.lognormal(12, 1, (2, rows, width))
    found = {
        "orderflow": flow_scores.orderflow(0.1 * normal, normal, 0 * normal, first_hour=FIRST),
        "orderbook": flow_scores.orderbook(
            {
                "imbalance": (depths[0] - depths[1]) / (depths[0] + depths[1]),
                "spread_bps": np.ones((rows, width)),
                "n_snapshots": np.full((rows, width), 13.0),
                "depth_25bps_bid_usd": depths[0],
                "depth_25bps_ask_usd": depths[1],
            },
            first_hour=FIRST,
        ),
        "sentiment": flow_scores.sentiment(
            {k: rng.normal(50, 10, (rows, width)) for k in flow_scores.KINDS}, ALL, first_hour=FIRST
        ),
        "whale_act": flow_scores.whale_act(
            flows, np.full((rows, width), 1e6), wired=True, first_hour=FIRST
        ),
        "liquidation": flow_scores.liquidation(
            forced_usd[0], forced_usd[1], 0 * normal, np.ones((rows, width))
        ),
    }
    for name, one in found.items():
        mean = np.nanmean(one.score)
        assert abs(mean - 50) < 1, f"{name}: {mean}"
