from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from regime_pipeline.signals import beta, candle_scores, technical
from regime_pipeline.signals.verdicts import (
    MISSING,
    NOT_APPLICABLE,
    OK,
    PARTIAL,
    SHORT,
    Verdicts,
    together,
)

FIRST = 470_000
"""Some hour since 1970; not at midnight."""


def walk(count: int, seed: int = 1, width: int = 1) -> np.ndarray:
    steps = np.random.default_rng(seed).standard_t(4, (count, width)) * 0.006
    return 100 * np.exp(np.cumsum(steps, axis=0))


def bars(count: int, seed: int = 1, width: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed + 100)
    close = walk(count, seed, width)
    open_ = np.vstack([close[:1], close[:-1]])
    top = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.002, close.shape)))
    floor = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.002, close.shape)))
    base = rng.lognormal(5, 0.5, close.shape)
    return {
        "open": open_,
        "high": top,
        "low": floor,
        "close": close,
        "volume_base": base,
        "volume_quote": base * (top + floor + close) / 3,
    }


def reason_of(verdicts: Verdicts, row: int = -1, column: int = 0) -> str | None:
    code = verdicts.reason[row, column]
    return None if code < 0 else verdicts.reasons[code]


# ------------------------------------------------------------------ technical


def slow_rsi(x: list[float]) -> float:
    changes = [b - a for a, b in pairwise(x)]
    up = sum(max(c, 0.0) for c in changes[:14]) / 14
    down = sum(max(-c, 0.0) for c in changes[:14]) / 14
    for c in changes[14:]:
        up = (up * 13 + max(c, 0.0)) / 14
        down = (down * 13 + max(-c, 0.0)) / 14
    return 100 * up / (up + down)


def slow_ema(x: list[float], n: int, first: int) -> list[float]:
    """From index ``first`` on, where it is the plain mean of the n values up to it."""
    out = [sum(x[first - n + 1 : first + 1]) / n]
    for value in x[first + 1 :]:
        out.append(out[-1] + 2 / (n + 1) * (value - out[-1]))
    return out


def slow_histogram(x: list[float]) -> float:
    macd = [a - b for a, b in zip(slow_ema(x, 12, 25), slow_ema(x, 26, 25), strict=True)]
    return macd[-1] - slow_ema(macd, 9, 8)[-1]


@pytest.mark.parametrize("count", [60, 400, 700])
def test_oscillators_equal_the_slow_reference(count: int) -> None:
    close = walk(count, count)
    found = technical.oscillators(close, 50, first_hour=FIRST)
    last = close[-400:, 0].tolist()
    assert found.rsi[-1, 0] == pytest.approx(slow_rsi(last), rel=1e-10)
    assert found.histogram[-1, 0] == pytest.approx(slow_histogram(last), rel=1e-9)
    band = close[-20:, 0]
    low = band.mean() - 2 * band.std()
    assert found.percent_b[-1, 0] == pytest.approx((band[-1] - low) / (4 * band.std()), rel=1e-9)


def test_oscillators_of_a_coin_with_holes_equal_the_slow_reference_in_every_row() -> None:
    close = walk(1_300, 5)
    close[np.random.default_rng(6).random(len(close)) < 0.1] = np.nan
    close[500:900] = np.nan
    found = technical.oscillators(close, 50, first_hour=FIRST)
    for row in range(0, len(close), 7):
        window = close[max(0, row - 399) : row + 1, 0]
        present = window[np.isfinite(window)].tolist()
        if len(present) < 50 or np.isnan(close[row, 0]):
            assert np.isnan(found.rsi[row, 0])
            assert np.isnan(found.histogram[row, 0])
        else:
            assert found.rsi[row, 0] == pytest.approx(slow_rsi(present), rel=1e-10)
            assert found.histogram[row, 0] == pytest.approx(slow_histogram(present), abs=1e-10)


@pytest.mark.parametrize("begin", [1, 250, 399, 400])
def test_where_a_panel_begins_cannot_be_seen_in_its_oscillators(begin: int) -> None:
    close = walk(1_300, 5)
    whole = technical.oscillators(close, 50, first_hour=FIRST)
    part = technical.oscillators(close[begin:], 50, first_hour=FIRST + begin)
    for name in ("rsi", "histogram", "percent_b"):
        cut = getattr(part, name)[400:]
        assert cut.tobytes() == getattr(whole, name)[begin + 400 :].tobytes()


def test_oscillators_agree_with_talib_after_the_warm_up() -> None:
    talib = pytest.importorskip("talib")
    close = walk(3000, 8)
    found = technical.oscillators(close, 50, first_hour=FIRST)
    after = slice(500, None)
    given = close[:, 0].copy()
    rsi = talib.RSI(given, 14)
    _, _, histogram = talib.MACD(given, 12, 26, 9)
    upper, _, lower = talib.BBANDS(given, 20, 2, 2)
    percent_b = (given - lower) / (upper - lower)
    np.testing.assert_allclose(found.rsi[after, 0], rsi[after], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.histogram[after, 0], histogram[after], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.percent_b[after, 0], percent_b[after], rtol=0, atol=1e-9)


def test_one_missing_close_is_null_then_partial_then_leaves_no_trace() -> None:
    close = walk(1600, 3)
    holed = close.copy()
    holed[700] = np.nan
    whole = candle_scores.technical(close, first_hour=FIRST)
    found = candle_scores.technical(holed, first_hour=FIRST)
    assert np.isnan(found.score[700:703, 0]).all()
    assert reason_of(found.verdicts, 702) == "close_missing_in_last_3h"
    assert (found.verdicts.status[703:1200, 0] == PARTIAL).all()
    assert np.isfinite(found.score[703:, 0]).all()
    assert (found.verdicts.status[1200:, 0] == OK).all()
    # the sample behind the histogram's scale has left the hole behind after 400 + 100 bars
    assert (found.score[1201:] == whole.score[1201:]).all()


@pytest.mark.parametrize(
    ("count", "status", "reason"),
    [
        (149, SHORT, "fewer_than_150_closes"),
        (150, PARTIAL, "fewer_than_500_closes"),
        (499, PARTIAL, "fewer_than_500_closes"),
        (500, OK, None),
    ],
)
def test_history_that_technical_needs(count: int, status: int, reason: str | None) -> None:
    found = candle_scores.technical(walk(count), first_hour=FIRST)
    assert found.verdicts.status[-1, 0] == status
    assert reason_of(found.verdicts) == reason
    assert np.isfinite(found.score[-1, 0]) == (status <= PARTIAL)


def test_a_price_that_never_moves_has_no_technical_score() -> None:
    found = candle_scores.technical(np.full((600, 1), 7.0), first_hour=FIRST)
    assert np.isnan(found.score).all()
    assert reason_of(found.verdicts) == "zero_dispersion"


def test_technical_reads_the_trend_and_flags_its_ends_beside() -> None:
    close = walk(600, 4)
    rising, falling = close.copy(), close.copy()
    rising[-20:, 0] *= np.exp(np.linspace(0, 0.2, 20))
    falling[-20:, 0] *= np.exp(np.linspace(0, -0.2, 20))
    up, down = (candle_scores.technical(x, first_hour=FIRST) for x in (rising, falling))
    assert up.score[-1, 0] > 80
    assert up.raw["technical_is_overbought"][-1, 0] == 1.0
    assert down.score[-1, 0] < 20
    assert down.raw["technical_is_oversold"][-1, 0] == 1.0


# ------------------------------------------------------------------ volume


def test_volume_equals_the_slow_reference() -> None:
    from scipy.stats import norm

    given = bars(800, 5)
    found = candle_scores.volume(given, first_hour=FIRST)
    close, base, quote = (given[n][:, 0] for n in ("close", "volume_base", "volume_quote"))
    vwap = quote[-24:].sum() / base[-24:].sum()
    realised = math.sqrt((np.diff(np.log(close[-25:])) ** 2).sum())
    before = np.log(base[-1 - 24 * 20 : -1 : 24])
    assert len(before) == 20
    middle = np.median(before)
    spike = (math.log(base[-1]) - middle) / (1.4826 * np.median(np.abs(before - middle)))
    v = (close[-1] / vwap - 1) / realised
    expected = 100 * norm.cdf(np.clip(v * np.clip(0.5 + 0.25 * spike, 0.25, 1.5), -4, 4))
    assert found.score[-1, 0] == pytest.approx(expected, rel=1e-9)
    assert found.raw["volume_vwap_24h"][-1, 0] == pytest.approx(vwap)
    low, high = given["low"][-24:].min(), given["high"][-24:].max()
    assert low < found.raw["volume_poc_24h"][-1, 0] < high
    assert found.verdicts.status[-1, 0] == OK


def test_the_busiest_price_is_the_middle_of_its_bin_and_ties_go_down() -> None:
    given = {n: np.full((24, 1), 100.0) for n in ("high", "low", "close", "open")}
    given["high"][:], given["low"][:] = 150.0, 100.0
    given["close"][:12], given["close"][12:] = 110.0, 140.0  # typical prices 120 and 130
    volume = np.ones((24, 1))
    typical = (given["high"] + given["low"] + given["close"]) / 3
    found = technical.point_of_control(given["high"], given["low"], typical, volume)
    assert found[-1, 0] == 120.5


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"volume_base": 0.0, "volume_quote": 0.0}, MISSING, "zero_volume"),
        ({"close": np.nan, "volume_base": np.nan}, MISSING, "no_observation"),
        ({"volume_quote": np.nan}, PARTIAL, "quote_volume_estimated"),
    ],
)
def test_an_hour_without_its_volume_says_why(
    change: dict[str, float], status: int, reason: str
) -> None:
    given = bars(800, 6)
    for name, value in change.items():
        given[name][-1] = value
    found = candle_scores.volume(given, first_hour=FIRST)
    assert found.verdicts.status[-1, 0] == status
    assert reason_of(found.verdicts) == reason
    assert np.isnan(found.score[-1, 0]) == (status == MISSING)


def test_a_busy_hour_above_its_vwap_is_bullish_and_below_it_bearish() -> None:
    given = bars(800, 7)
    given["volume_base"][-1] *= 20
    given["volume_quote"][-1] *= 20
    scores = []
    for factor in (1.05, 0.95):
        moved = given | {"close": given["close"].copy()}
        moved["close"][-1] = given["close"][-2] * factor
        scores.append(candle_scores.volume(moved, first_hour=FIRST).score[-1, 0])
    assert scores[0] > 60 and scores[1] < 40


# ------------------------------------------------------------------ price action


def test_price_action_of_a_worked_bar() -> None:
    given = {n: np.full((60, 1), 100.0) for n in ("open", "high", "low", "close")}
    given["high"][:], given["low"][:] = 110.0, 90.0
    given["low"][20] = 60.0  # inside the 55 bars before, not the 20
    given["open"][-1], given["close"][-1] = 98.0, 105.0
    found = candle_scores.price_action(given)
    assert found.raw["channel_position_20"][-1, 0] == 75.0
    assert found.raw["channel_position_55"][-1, 0] == 90.0
    assert found.raw["candle_position"][-1, 0] == 75.0
    assert found.raw["candle_body_frac"][-1, 0] == 0.35
    assert found.score[-1, 0] == pytest.approx(0.5 * 75 + 0.3 * 90 + 0.2 * 75)
    assert found.verdicts.status[-1, 0] == OK


def test_a_close_at_the_high_stands_at_100_and_no_further() -> None:
    given = bars(2_000, 12)
    given["close"] = given["high"].copy()
    found = candle_scores.price_action(given).raw["candle_position"]
    assert np.nanmax(found) == 100.0
    span = given["high"] - given["low"]
    assert (100.0 * span / span > 100.0).any()  # the product rounds up in some of these bars


def test_price_action_of_the_mirrored_bars_is_the_mirrored_score() -> None:
    given = bars(300, 9)
    mirrored = {n: 1000.0 - given[n] for n in ("open", "close")}
    mirrored |= {"high": 1000.0 - given["low"], "low": 1000.0 - given["high"]}
    one, other = (candle_scores.price_action(x) for x in (given, mirrored))
    np.testing.assert_allclose(one.score[60:] + other.score[60:], 100.0, atol=1e-9)


def test_a_bar_without_a_range_has_no_candle_and_a_young_coin_no_channel() -> None:
    given = bars(70, 10)
    for name in ("open", "high", "low"):
        given[name][-1] = given["close"][-1]
    found = candle_scores.price_action(given)
    assert reason_of(found.verdicts) == "bar_without_range"
    twenty, fifty = (found.raw[f"channel_position_{n}"][-1, 0] for n in (20, 55))
    assert found.score[-1, 0] == pytest.approx((0.5 * twenty + 0.3 * fifty) / 0.8)
    assert reason_of(found.verdicts, 52) == "fewer_than_53_bars"
    assert found.verdicts.status[53, 0] <= PARTIAL


def test_a_close_above_the_channel_is_a_break_of_the_bars_before_only() -> None:
    given = bars(80, 11)
    given["close"][-1] = given["high"][-1] = given["high"][:-1].max() + 1
    found = candle_scores.price_action(given)
    assert found.raw["is_channel_break_up"][-1, 0] == 1.0
    assert found.raw["is_channel_break_down"][-1, 0] == 0.0


# ------------------------------------------------------------------ exposure


def slow_exposure(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Shrunk slope and its own error at the last row, by matrices."""
    h = len(y) - 1
    at = np.arange(max(1, h - 1 - 720), h - 1)
    design = np.column_stack([np.ones(len(at)), x[at - 1], x[at], x[at + 1]])
    there = np.isfinite(design).all(axis=1) & np.isfinite(y[at])
    at, design = at[there], design[there]
    w = 0.5 ** ((h - 2 - at) / 240)
    inverse = np.linalg.inv(design.T @ (w[:, None] * design))
    slopes = inverse @ design.T @ (w * y[at])
    error = y[at] - design @ slopes
    meat = (design * ((w * error) ** 2)[:, None]).T @ design
    ones = np.array([0.0, 1.0, 1.0, 1.0])
    kish = w.sum() ** 2 / (w**2).sum()
    square = ones @ inverse @ meat @ inverse @ ones * kish / (kish - 4)
    raw = ones @ slopes
    return (raw / square + 4.0) / (1.0 / square + 4.0), math.sqrt(square)


@pytest.mark.parametrize("holes", [0, 40])
def test_exposure_equals_the_slow_reference(holes: int) -> None:
    rng = np.random.default_rng(12)
    x = rng.standard_t(5, 800) * 0.005
    y = np.column_stack([1.4 * x, 0.5 * x]) + rng.standard_t(5, (800, 2)) * 0.004
    y[rng.choice(760, holes, replace=False), 0] = np.nan
    x[rng.choice(760, holes // 4, replace=False)] = np.nan
    found = beta.exposure(y, x[:, None], 3)
    for column in range(2):
        expected, error = slow_exposure(y[:, column], x)
        assert found.beta[-1, column] == pytest.approx(expected, rel=1e-9)
        assert found.standard_error[-1, column] == pytest.approx(error, rel=1e-9)
    assert found.beta[-1] == pytest.approx([1.4, 0.5], abs=0.25)


def test_the_bar_itself_and_the_one_before_it_judge_no_exposure() -> None:
    rng = np.random.default_rng(13)
    x, y = rng.normal(0, 0.005, (2, 800))
    found = beta.exposure(y[:, None], x[:, None], 1).beta
    x[-1], y[-1] = 9.0, -9.0
    assert beta.exposure(y[:, None], x[:, None], 1).beta == found
    y[-2] = 9.0  # as a middle of a triple it would need the bar itself
    assert beta.exposure(y[:, None], x[:, None], 1).beta == found


def test_a_follower_takes_the_leaders_momentum_and_the_leader_has_none() -> None:
    rng = np.random.default_rng(14)
    lead = rng.standard_t(5, (760, 1)) * 0.005
    lead[-30:] += 0.01
    close = 100 * np.exp(
        np.cumsum(np.hstack([lead, 1.5 * lead, rng.normal(0, 0.005, lead.shape)]), 0)
    )
    same = np.array([1.0, 0.0, 0.0])
    found = candle_scores.beta_exp(close, close[:, :1], same, 5, first_hour=FIRST)
    assert found.score[-1, 1] > 95
    assert 45 < found.score[-1, 2] < 75  # no exposure, but for the prior's share
    assert np.isnan(found.score[-1, 0])
    assert (found.verdicts.status[:, 0] == NOT_APPLICABLE).all()
    assert np.isnan(found.raw["beta"][:, 0]).all()


def test_a_young_coin_has_no_exposure_yet() -> None:
    close = walk(760, 15, 2)
    close[:300, 1] = np.nan
    found = candle_scores.beta_exp(close, close[:, :1], np.array([1.0, 0.0]), 1, first_hour=FIRST)
    assert found.verdicts.status[-1, 1] == SHORT
    assert reason_of(found.verdicts, column=1) == "fewer_than_480_triples"


# ------------------------------------------------------------------ several together


def test_rows_of_several_scores_say_the_worst_of_each() -> None:
    shape = (4, 1)
    first, second = Verdicts(shape), Verdicts(shape)
    rows = np.arange(4)[:, None]
    first.set(rows == 1, PARTIAL, "thin")
    first.set(rows >= 2, MISSING, "gone")
    second.set(rows == 0, NOT_APPLICABLE, "itself")
    second.set(rows == 3, SHORT, "young")
    status, reason = together({"a": first, "b": second})
    assert status.tolist() == ["ok", "partial", "partial", "insufficient_history"]
    assert reason.fillna("").tolist() == ["", "a: thin", "a: gone", "a: gone; b: young"]


@pytest.mark.parametrize("name", ["technical", "volume"])
def test_scores_do_not_depend_on_where_the_panel_began(name: str) -> None:
    given = bars(1400, 16, 2)
    given["close"][[300, 900]] = np.nan
    cut = 500

    def made(panels: dict[str, np.ndarray], first: int) -> np.ndarray:
        if name == "technical":
            return candle_scores.technical(panels["close"], first_hour=first).score
        return candle_scores.volume(panels, first_hour=first).score

    whole = made(given, FIRST)
    late = made({n: p[cut:] for n, p in given.items()}, FIRST + cut)
    reach = 520
    np.testing.assert_array_equal(late[reach:], whole[cut + reach :])


# ------------------------------------------------------------------ null worlds


@pytest.mark.slow
def test_on_walks_without_direction_scores_average_50() -> None:
    """40 walks of a year; neighbouring hours share most of their windows, hence only +-1."""
    given = bars(8_760, 20250101, 40)
    close = given["close"]
    found = {
        "momentum": candle_scores.momentum(close, first_hour=FIRST),
        "technical": candle_scores.technical(close, first_hour=FIRST),
        "volume": candle_scores.volume(given, first_hour=FIRST),
        "price_action": candle_scores.price_action(given),
        "beta_exp": candle_scores.beta_exp(
            close, close[:, :1], np.eye(1, 40)[0], 2_000, first_hour=FIRST
        ),
    }
    for name, one in found.items():
        assert abs(np.nanmean(one.score) - 50) < 1, f"{name}: {np.nanmean(one.score)}"
