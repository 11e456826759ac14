"""Substitutes under their own names."""

# ruff: noqa: E501 - wire literals stay on one line

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import FIELDS, TABLES, table
from regime_pipeline.market.proxies import proxies_1h
from regime_pipeline.numerics.probability import phi
from regime_pipeline.windows import Grid, Window, utc
from regime_pipeline_tests.synthetic import frame_of

SYMBOL = "BTC/USDT"
FIRST = pd.Timestamp("2024-01-01", tz="UTC")
HOURS = 24 * 45


def grid(start: int = 24 * 40, end: int = HOURS) -> Grid:
    a, b = (FIRST + pd.Timedelta(hours=h) for h in (start, end))
    return Grid.of(Window(utc(str(a)), utc(str(b))), (SYMBOL,))


@pytest.fixture
def world() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(5)
    ts = FIRST + pd.to_timedelta(np.arange(HOURS), unit="h")
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, HOURS)))
    volume = 1000 * np.exp(rng.normal(0, 0.2, HOURS))
    prints = np.arange(0, HOURS, 8)
    days = np.arange(0, HOURS, 24)
    return {
        "candles_1h": frame_of(
            "market.candles_1h",
            market="perp", symbol=SYMBOL, ts=ts, close=close, volume_base=volume, source_tier=1,
        ),
        "funding": frame_of(
            "market.funding",
            symbol=SYMBOL, ts=ts[prints], funding_rate=1e-4, rate_8h=1e-4 + rng.normal(0, 5e-5, len(prints)), source_tier=1,
        ),
        "open_interest": frame_of(
            "market.open_interest",
            symbol=SYMBOL, ts=ts, open_interest_usd=1e9, source_tier=1,
        ),
        "fear_greed": frame_of(
            "market.fear_greed",
            ts=ts[days], fear_greed=30.0 + np.arange(len(days)) % 40, available_at=ts[days] + pd.Timedelta(hours=1), source_tier=1,
        ),
    }  # fmt: skip


def made(world: dict[str, pd.DataFrame], of: Grid | None = None) -> pd.DataFrame:
    frame = proxies_1h(*world.values(), grid=of or grid())
    which = table("market.proxies_1h")
    validate(frame, which)
    assert list(frame.columns) == list(which.content)
    return frame


def test_everything_is_of_tier_three_and_complete(world) -> None:
    frame = made(world)
    assert frame["status"].eq("ok").all()
    assert frame["source_tier"].eq(3).all()


def test_spike_is_the_volume_over_the_same_hour_of_other_days(world) -> None:
    volume = world["candles_1h"]["volume_base"].to_numpy()
    at = 24 * 41 + 5
    expected = volume[at] / np.median([volume[at - 24 * k] for k in range(1, 29)])
    frame = made(world)
    assert frame["volume_spike_ratio"].iloc[at - 24 * 40] == pytest.approx(expected, rel=1e-12)


def test_estimate_is_the_loss_of_the_crowded_side(world) -> None:
    close = world["candles_1h"]["close"].to_numpy()
    frame = made(world)
    at = 24 * 42
    row, move = frame.iloc[at - 24 * 40], close[at] / close[at - 1] - 1
    z = row["funding_crowding_z"]
    assert row["estimated_long_liquidations_usd"] == pytest.approx(1e9 * max(0, -move) * phi(z))
    assert row["estimated_short_liquidations_usd"] == pytest.approx(1e9 * max(0, move) * phi(-z))
    assert (
        frame["estimated_long_liquidations_usd"] * frame["estimated_short_liquidations_usd"] == 0
    ).all()


def test_crowding_is_held_for_a_day_and_judged_by_the_prints_before(world) -> None:
    late = world["funding"].copy()
    late = late[late["ts"] < FIRST + pd.Timedelta(hours=24 * 41)]
    frame = made({**world, "funding": late})
    z = frame["funding_crowding_z"].to_numpy()
    last = 24 + 16 - 24  # the last print lies 8 h before hour 24 of the grid
    assert np.isfinite(z[last : last + 24]).all()
    assert np.isnan(z[last + 24 :]).all()
    assert frame["reason"].iloc[-1] == "without_funding_crowding_z,without_estimated_liquidations"
    assert frame["status"].iloc[-1] == "partial"


def test_index_is_the_newest_known_and_not_older_than_36_hours(world) -> None:
    frame = made(world).set_index("ts")["market_fear_greed"]
    days = world["fear_greed"].set_index("ts")["fear_greed"]
    day = FIRST + pd.Timedelta(days=41)
    assert frame[day] == days[day]  # known at 01:00, the end of the hour
    stale = made({**world, "fear_greed": world["fear_greed"].iloc[:42]}).set_index("ts")
    held = stale["market_fear_greed"].loc[day + pd.Timedelta(hours=36)]
    gone = stale["market_fear_greed"].loc[day + pd.Timedelta(hours=37)]
    assert held == days[day]
    assert np.isnan(gone)


def test_rows_do_not_depend_on_where_the_computation_began(world) -> None:
    whole = made(world)
    cut = 24 * 42 + 7
    parts = [made(world, grid(end=cut)), made(world, grid(start=cut))]
    pd.testing.assert_frame_equal(whole, pd.concat(parts, ignore_index=True))


def test_later_rows_change_nothing_before(world) -> None:
    """Row 46."""
    before = made(world, grid(end=24 * 43))
    altered = {n: f.copy() for n, f in world.items()}
    for frame, column in (
        ("candles_1h", "close"),
        ("funding", "rate_8h"),
        ("open_interest", "open_interest_usd"),
    ):
        late = altered[frame]["ts"] >= FIRST + pd.Timedelta(hours=24 * 43)
        altered[frame].loc[late, column] *= 3
    pd.testing.assert_frame_equal(before, made(altered, grid(end=24 * 43)))


def test_no_observed_table_has_a_column_of_a_proxy() -> None:
    own = {"volume_spike_ratio", "funding_crowding_z", "estimated_long_liquidations_usd",
           "estimated_short_liquidations_usd", "market_fear_greed"}  # fmt: skip
    assert own <= set(FIELDS)
    for name, which in TABLES.items():
        if which.schema in ("raw", "market") and name != "market.proxies_1h":
            assert not own & set(which.fields), name
