"""Futures factors that are made of days."""

from __future__ import annotations

import math
from datetime import timedelta
from statistics import NormalDist, mean, median, stdev

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.signals import daily
from regime_pipeline.signals import factors as f
from regime_pipeline.windows import DAY, HOUR, Grid, utc
from regime_pipeline_tests.signals.test_futures_score import scores
from regime_pipeline_tests.signals.worlds import SYMBOLS, world

START = utc("2024-03-10")
GRID = Grid(START, START + 3 * DAY, SYMBOLS)
FIRST = START - 66 * DAY
LATE = timedelta(minutes=5)
PHI = NormalDist().cdf


def days(count: int = 69) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    stamps = pd.date_range(FIRST, periods=count, freq="D").as_unit("us")
    size = (count, len(SYMBOLS))
    values = {
        "close": 100 * np.exp(np.cumsum(rng.normal(0, 0.03, size), axis=0)),
        "open_interest_base": 5e4 * np.exp(np.cumsum(rng.normal(0, 0.02, size), axis=0)),
        "long_liquidations_usd": rng.lognormal(15, 1, size),
        "short_liquidations_usd": rng.lognormal(14.5, 1, size),
        "global_account_long_frac": rng.beta(30, 15, size),
        "top_trader_position_long_frac": rng.beta(20, 20, size),
    }
    parts = [
        pd.DataFrame({n: v[:, i] for n, v in values.items()}).assign(
            symbol=symbol, ts=stamps, available_at=stamps + LATE, source_tier=1
        )
        for i, symbol in enumerate(SYMBOLS)
    ]
    return pd.concat(parts, ignore_index=True)


def of_symbol(frame: pd.DataFrame, column: str, symbol: str = SYMBOLS[0]) -> dict:
    mine = frame[frame["symbol"] == symbol]
    return dict(zip(mine["ts"], mine[column], strict=True))


def slow_z(values: dict, at: pd.Timestamp) -> float:
    past = [values[at - i * DAY] for i in range(1, 31)]
    return (values[at] - mean(past)) / stdev(past)


def hour_of(grid: Grid, at: object) -> int:
    return grid.hours.get_loc(pd.Timestamp(at))


def test_each_factor_equals_the_slow_reference_over_days() -> None:
    frame = days()
    found, _ = daily.factors(frame, GRID)
    at = pd.Timestamp(START + DAY)
    row = hour_of(GRID, at + 7 * HOUR)
    for name, column, sign in (
        ("long_short", "global_account_long_frac", -1),
        ("smart_money", "top_trader_position_long_frac", 1),
    ):
        odds = {t: math.log(v / (1 - v)) for t, v in of_symbol(frame, column).items()}
        expected = 100 * PHI(max(-4.0, min(4.0, sign * slow_z(odds, at))))
        assert found[name].score[row, 0] == pytest.approx(expected, rel=1e-9), name
    longs, shorts = (of_symbol(frame, f"{s}_liquidations_usd") for s in ("long", "short"))

    def imbalance(t: pd.Timestamp) -> float:
        usual = median(longs[t - i * DAY] + shorts[t - i * DAY] for i in range(1, 31))
        return (shorts[t] - longs[t]) / (shorts[t] + longs[t] + usual)

    shift = imbalance(at) - median(imbalance(at - i * DAY) for i in range(1, 31))
    assert found["liquidations"].score[row, 0] == pytest.approx(50 + 50 * shift, rel=1e-9)
    coins, close = of_symbol(frame, "open_interest_base"), of_symbol(frame, "close")
    change = {t: math.log(coins[t] / coins[t - DAY]) for t in list(coins)[1:]}
    size = math.tanh(min(4.0, abs(slow_z(change, at))) / 2) * (1.0 if change[at] > 0 else 0.5)
    expected = 50 + 50 * size * math.copysign(1, close[at] - close[at - DAY])
    assert found["oi_trend"].score[row, 0] == pytest.approx(expected, rel=1e-9)
    for factor in found.values():
        assert factor.status[row, 0] == f.STATUSES.index("ok")


def test_a_reading_holds_from_when_its_day_is_known_for_36_hours() -> None:
    frame = days()
    last = pd.Timestamp(START + DAY)
    frame = frame[frame["ts"] <= last]  # nobody tells of the days after
    found, _ = daily.factors(frame, GRID)
    factor = found["long_short"]
    score = factor.score[:, 0]
    known = hour_of(GRID, last)  # 00:05 is before the decision of the row 00:00
    assert score[known] != score[known - 1]
    assert len(set(score[known : known + 36])) == 1
    assert np.isnan(score[known + 36 :]).all()
    assert set(factor.reason[known + 36 :, 0]) == {f.REASONS.index("older_than_36h")}
    assert factor.freshness[known, 0] == 1.0
    assert 0 < factor.freshness[known + 30, 0] < factor.freshness[known + 24, 0] < 1


def test_a_day_that_is_late_is_read_when_it_is_there() -> None:
    frame = days()
    late = frame["ts"] == pd.Timestamp(START + DAY)
    frame["available_at"] = frame["available_at"].mask(late, frame["ts"] + 9 * HOUR + LATE)
    score = daily.factors(frame, GRID)[0]["smart_money"].score[:, 0]
    whole = daily.factors(days(), GRID)[0]["smart_money"].score[:, 0]
    at = hour_of(GRID, START + DAY)
    assert (score[at : at + 9] == whole[at - 1]).all()
    assert (score[at + 9 :] == whole[at + 9 :]).all()


def test_days_are_not_filled_into_the_sample_and_few_are_too_few() -> None:
    frame = days()
    young = frame[frame["ts"] >= pd.Timestamp(START - 12 * DAY)]
    found, _ = daily.factors(young, GRID)
    for name in ("long_short", "smart_money", "oi_trend"):
        reasons = {f.REASONS[r] for r in found[name].reason[:24, 0]}
        assert reasons <= {"fewer_than_14_days"}, name
        assert np.isnan(found[name].score[:24, 0]).all()
    # twelve days before the first midnight, fourteen before the third
    assert np.isfinite(found["long_short"].score[-1, 0])
    nobody = daily.factors(frame[frame["symbol"] == SYMBOLS[1]], GRID)[0]["long_short"]
    assert {f.REASONS[r] for r in nobody.reason[:, 0]} == {"no_day_in_36h"}


def test_readings_depend_neither_on_the_chunk_nor_on_later_days() -> None:
    frame = days()
    whole, tier = daily.factors(frame, GRID)
    cut = START + DAY + 5 * HOUR
    seen = frame[frame["ts"] < pd.Timestamp(cut)]
    early, _ = daily.factors(seen, Grid(START, cut, SYMBOLS))
    late, _ = daily.factors(frame, Grid(cut, GRID.end, SYMBOLS))
    rows = hour_of(GRID, cut)
    for name, factor in whole.items():
        np.testing.assert_array_equal(early[name].score, factor.score[:rows])
        np.testing.assert_array_equal(late[name].score, factor.score[rows:])
        np.testing.assert_array_equal(late[name].freshness, factor.freshness[rows:])
    assert (tier == 1).all()


def test_a_score_made_of_days_reads_no_hour_of_positions() -> None:
    data = world(utc("2024-01-01"), START + 3 * DAY)
    by_day = {"derivatives_1d": days(), "interval": "1d"}
    whole = scores(data, GRID, **by_day)
    without = data.without("positioning_1h", FIRST, GRID.end)
    without = without.without("open_interest", FIRST, GRID.end)
    without = without.without("liquidations_1h", FIRST, GRID.end)
    pd.testing.assert_frame_equal(scores(without, GRID, **by_day), whole)
    assert (whole["coverage_pct"] == 100).all()
    assert whole["futures_score"].notna().all()
