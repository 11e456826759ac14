"""Raw rows that keep their contract and are wrong all the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.market.plausibility import disagreements, flat_lines, unit_steps
from regime_pipeline.windows import HOUR, hours_between, utc

START = utc("2024-05-01")


def candles(source: str, hours: int, close: object = 100.0, *, tier: int = 1, volume: float = 1.0):
    stamps = hours_between(START, START + hours * HOUR)
    values = np.broadcast_to(np.asarray(close, dtype=float), len(stamps))
    return pd.DataFrame(
        {
            "source": source,
            "venue": source,
            "market": "spot",
            "symbol": "BTC/USDT",
            "timeframe": "1h",
            "ts": stamps,
            "open": values,
            "high": values,
            "low": values,
            "close": values,
            "volume_base": volume,
            "source_tier": tier,
        }
    )


def test_fault_20_the_source_far_from_the_preferred_one_is_named() -> None:
    far = np.full(6, 100.0)
    far[2:4] = 105.5
    both = pd.concat([candles("okx", 6, far, tier=2), candles("binance", 6)])
    (found,) = disagreements(both).to_dict("records")
    assert (found["source"], found["hours"], found["first"]) == ("okx", 2, START + 2 * HOUR)
    assert found["detail"] == "spot close up to 5.5 % from binance"


@pytest.mark.parametrize(("gap", "told"), [(1.049, 0), (1.05, 1), (0.95, 1), (0.951, 0)])
def test_fault_20_small_differences_between_venues_are_no_finding(gap: float, told: int) -> None:
    both = pd.concat([candles("okx", 3, 100 * gap, tier=2), candles("binance", 3)])
    assert len(disagreements(both)) == told
    assert disagreements(both.head(0)).empty


def test_fault_27_a_day_without_trade_or_move_is_a_feed_that_stands_still() -> None:
    (found,) = flat_lines(candles("binance", 24, volume=0.0)).to_dict("records")
    assert (found["kind"], found["hours"], found["first"]) == ("stands still", 24, START)
    assert flat_lines(candles("binance", 23, volume=0.0)).empty


def test_fault_27_trades_moves_and_holes_break_a_flat_line() -> None:
    assert flat_lines(candles("binance", 48, volume=1.0)).empty
    moving = candles("binance", 30, np.where(np.arange(30) < 15, 100.0, 101.0), volume=0.0)
    assert flat_lines(moving).empty
    holed = candles("binance", 30, volume=0.0).drop(index=12)
    assert flat_lines(holed).empty
    mixed = pd.concat([candles("binance", 20, volume=0.0), candles("okx", 20, volume=0.0)])
    assert flat_lines(mixed).empty


def bands(low: float, high: float, column: str, count: int = 700) -> pd.DataFrame:
    key = {"source": "okx", "venue": "okx", "market": "perp", "symbol": "BTC/USDT"}
    return pd.DataFrame([{**key, "column": column, "low": low, "high": high, "count": count}])


def amounts(column: str, *values: float | None) -> pd.DataFrame:
    stamps = hours_between(START, START + len(values) * HOUR)
    key = {"source": "okx", "venue": "okx", "market": "perp", "symbol": "BTC/USDT"}
    return pd.DataFrame({**key, "ts": stamps, column: pd.array(values, dtype="Float64")})


def test_fault_45_amounts_in_another_unit_are_named() -> None:
    column = "open_interest_base"
    usual = bands(20_000, 30_000, column)
    dollars = amounts(column, 25_000, 1.6e9, 1.6e9)
    (found,) = unit_steps(dollars, usual, (column,)).to_dict("records")
    assert (found["kind"], found["hours"], found["source"]) == ("other unit", 2, "okx")
    assert "usually up to 3e+04" in found["detail"]
    contracts = amounts(column, 25_000, 250.0)
    assert unit_steps(contracts, usual, (column,))["hours"].tolist() == [1]
    assert unit_steps(amounts(column, 25_000, 90_000, None), usual, (column,)).empty


def test_fault_45_a_rate_in_percent_is_named_and_one_near_zero_is_not() -> None:
    usual = bands(1e-6, 5e-4, "funding_rate")
    assert len(unit_steps(amounts("funding_rate", 0.01), usual, ("funding_rate",))) == 1
    assert unit_steps(amounts("funding_rate", -1e-9, 0.0, 4e-3), usual, ("funding_rate",)).empty


def test_fault_41_a_series_without_history_has_no_usual_band() -> None:
    young = bands(1.0, 2.0, "open_interest_base", count=3)
    assert unit_steps(amounts("open_interest_base", 1e9), young, ("open_interest_base",)).empty
