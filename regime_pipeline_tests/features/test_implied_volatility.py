"""Implied volatility: deltas, smiles, the term structure, the expected variance, and what is null."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.features.implied_volatility import (
    HISTORY_D,
    daily_variance,
    forecast_of,
    implied_volatility,
    smile,
)
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import DAY, HOUR, Grid, Window, utc
from regime_pipeline_tests.proofs import options
from regime_pipeline_tests.synthetic import rows_of

AT = utc("2024-05-15T12:00")
BTC = ("BTC/USDT",)
GRID = Grid.of(Window(AT, AT + HOUR), BTC)
AHEAD = 30
KEY = {"source": "deribit", "venue": "deribit"}


def chain(
    *expiries: tuple[float, float], seen: timedelta = 10 * timedelta(minutes=1), slope: float = 0.0
) -> pd.DataFrame:
    """Options out of the money around 100 by (days to the expiry, volatility in percent)."""
    rows = []
    for days, level in expiries:
        width = level / 100 * math.sqrt(days / 365)
        for z in (-2.0, -1.0, -0.5, -0.1, 0.1, 0.5, 1.0, 2.0):
            strike = 100 * math.exp(z * width)
            rows.append(
                {
                    **KEY, "ts": AT, "option_name": f"{days}-{z}", "quoted_at": AT + seen,
                    "available_at": AT + seen, "expiry_at": AT + seen + days * DAY,
                    "strike": strike, "option_type": "call" if z > 0 else "put",
                    "underlying_price": 100.0, "mark_iv_pct": level - slope * z, "source_tier": 1,
                }
            )  # fmt: skip
    return rows_of("raw.option_chain", rows, symbol=BTC[0])


def index(value: float = 60.0) -> pd.DataFrame:
    row = {**KEY, "ts": AT, "volatility_close_pct": value, "source_tier": 1}
    return rows_of("raw.volatility_index", [row], symbol=BTC[0])


def closes(days: int = 304, seed: int = 3) -> pd.DataFrame:
    hours = pd.date_range(AT - days * DAY, AT, freq="h", tz="UTC").as_unit("us")
    walk = np.cumsum(np.random.default_rng(seed).normal(0, 0.005, len(hours)))
    rows = {"market": "spot", "symbol": BTC[0], "ts": hours, "close": 100 * np.exp(walk)}
    return pd.DataFrame(rows).assign(source_tier=1)


def row(raw_index: pd.DataFrame, raw_chain: pd.DataFrame, bars: pd.DataFrame) -> pd.Series:
    return implied_volatility(raw_index, raw_chain, bars, grid=GRID).iloc[0]


FULL = ((5, 50.0), (9, 52.0), (25, 60.0), (40, 60.0), (100, 64.0), (200, 66.0))


def test_the_term_structure_is_linear_in_total_variance() -> None:
    out = row(index(), chain(*FULL), closes())
    assert (out["status"], out["n_expiries"]) == ("ok", 6)
    assert out["atm_iv_30d"] == pytest.approx(60.0)
    near, far = 50.0**2 * 5, 52.0**2 * 9
    assert out["atm_iv_7d"] == pytest.approx(math.sqrt((near + far) / 2 / 7))
    assert out["skew_25d_30d"] == pytest.approx(0.0, abs=0.2)


def test_the_skew_is_the_put_above_the_call() -> None:
    out = row(index(), chain(*FULL, slope=3.0), closes())
    # a quarter of delta lies about 0.67 deviations out, three points each
    assert out["skew_25d_30d"] == pytest.approx(2 * 3.0 * 0.67, abs=0.4)


def test_tenors_without_an_expiry_on_both_sides_are_null() -> None:
    out = row(index(), chain((9, 52.0), (40, 60.0)), closes())
    assert out[["atm_iv_7d", "atm_iv_90d", "atm_iv_180d"]].isna().all()
    assert out["atm_iv_30d"] > 0
    lacking = "no_expiry_around_7d,no_expiry_around_90d,no_expiry_around_180d"
    assert (out["status"], out["reason"]) == ("partial", lacking)


def test_an_expiry_of_less_than_two_days_is_not_read() -> None:
    out = row(index(), chain((1.9, 52.0), (9, 52.0), (40, 60.0), (100, 60), (200, 60)), closes())
    assert pd.isna(out["atm_iv_7d"]) and out["n_expiries"] == 4


def test_three_strikes_on_a_side_are_too_few() -> None:
    few = chain(*FULL)
    few = few[few["strike"] <= few.groupby("expiry_at")["strike"].transform("max") * 0.999]
    out = row(index(), few, closes())
    assert (out["n_expiries"], out["reason"]) == (0, "few_strikes")
    assert out["dvol"] == 60.0


def test_wings_that_do_not_reach_a_quarter_of_delta_have_no_skew() -> None:
    near = chain(*FULL)
    away = np.log(near["strike"] / 100) / (near["mark_iv_pct"] / 100)
    years = (near["expiry_at"] - near["quoted_at"]).dt.total_seconds() / (365 * 86400)
    width = (away / np.sqrt(years)).abs()
    near["strike"] = near["strike"].where(width < 0.55, 100 + (near["strike"] - 100) * 0.2)
    out = row(index(), near, closes())
    assert pd.isna(out["skew_25d_30d"]) and out["atm_iv_30d"] > 0
    assert out["reason"] == "no_skew_30d"


@pytest.mark.parametrize(
    ("seen", "is_there"),
    [(timedelta(0), True), (HOUR - timedelta(seconds=1), True), (HOUR, False)],
)
def test_a_chain_counts_in_the_hour_in_which_it_was_seen(seen: timedelta, is_there: bool) -> None:
    out = row(index(), chain(*FULL, seen=seen), closes())
    assert bool(pd.notna(out["atm_iv_30d"])) is is_there
    assert (out["reason"] == "no_chain") is not is_there


def test_nothing_is_missing_and_says_what() -> None:
    out = row(index().head(0), chain(*FULL).head(0), closes().head(0))
    assert (out["status"], out["reason"]) == ("missing", "no_index,short_history,no_chain")
    assert out[["dvol", "variance_premium", "atm_iv_30d", "n_expiries"]].isna().all()


def test_a_coin_without_options_has_no_row() -> None:
    grid = Grid.of(Window(AT, AT + HOUR), ("SOL/USDT",))
    assert implied_volatility(index(), chain(*FULL), closes(days=2), grid=grid).empty
    both = Grid.of(Window(AT, AT + HOUR), ("BTC/USDT", "SOL/USDT"))
    out = implied_volatility(index(), chain(*FULL), closes(days=2), grid=both)
    assert out["symbol"].tolist() == ["BTC/USDT"]


def test_the_premium_is_the_index_squared_less_the_forecast() -> None:
    bars = closes()
    out = row(index(60.0), chain(*FULL), bars)
    usual = 0.005**2 * 24 * 365
    assert out["variance_30d_realized"] == pytest.approx(usual, rel=0.15)
    assert out["variance_30d_har"] == pytest.approx(usual, rel=0.15)
    assert out["variance_premium"] == pytest.approx(0.36 - out["variance_30d_har"])
    assert out["variance_premium_realized"] == pytest.approx(0.36 - out["variance_30d_realized"])


def test_a_short_history_leaves_the_forecast_null_and_the_index_as_it_is() -> None:
    out = row(index(), chain(*FULL), closes(days=100))
    assert pd.isna(out["variance_30d_har"]) and out["variance_30d_realized"] > 0
    assert (out["status"], out["reason"], out["dvol"]) == ("partial", "short_history", 60.0)


def test_the_forecast_finds_a_variance_that_follows_its_past() -> None:
    rng = np.random.default_rng(5)
    # a variance that swings over months: its mean to come is predictable from its last month
    level = np.exp(np.sin(np.arange(HISTORY_D + AHEAD) / 45.0))
    days = level * rng.uniform(0.9, 1.1, len(level))
    told, came = forecast_of(days[:HISTORY_D]), days[HISTORY_D:].mean()
    plain = days[HISTORY_D - AHEAD : HISTORY_D].mean()
    assert abs(told - came) < abs(plain - came)
    assert days.min() <= told <= days.max()


def test_later_days_do_not_change_a_forecast() -> None:
    days = np.random.default_rng(6).lognormal(size=HISTORY_D + 50)
    assert forecast_of(days[: HISTORY_D + 5]) == forecast_of(days[5 : HISTORY_D + 5])


def test_a_day_with_too_few_returns_has_no_variance() -> None:
    close = np.exp(np.cumsum(np.full(24 * 4 + 1, 0.01)))
    close[30:40] = np.nan
    variance, first = daily_variance(close, 24 * 10 - 1)
    assert first == 10
    assert np.isfinite(variance).tolist() == [True, False, True, True]
    assert variance[0] == pytest.approx(24 * 0.01**2)


def test_a_smile_needs_both_sides() -> None:
    strike = np.array([90.0, 92, 94, 96])
    ones = np.ones(4)
    assert smile(30 * ones, strike, 100 * ones, 50 * ones, np.zeros(4, bool)) is None


@pytest.mark.slow
def test_at_the_money_is_within_three_points_of_the_index_in_95_of_100_hours() -> None:
    tape = SyntheticTape(seed=4, start=AT - 20 * DAY, end=AT, symbols=options.SYMBOLS)
    window = Window(AT - 6 * DAY, AT)
    out = implied_volatility(
        options.index_rows(tape).assign(source_tier=1),
        options.chain_rows(tape, window).assign(source_tier=1),
        closes().head(0),
        grid=Grid.of(window, options.SYMBOLS),
    )
    apart = (out["atm_iv_30d"] - out["dvol"]).abs()
    assert apart.notna().all() and (apart <= 3.0).mean() >= 0.95
