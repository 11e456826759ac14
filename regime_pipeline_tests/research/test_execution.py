"""What trading would have cost: slippage through bands, spreads of bars, impact, and rows without a book."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.research.execution import (
    abdi_ranaldo,
    execution_quality,
    impact,
    percentile,
    through_bands,
)
from regime_pipeline.windows import DAY, Grid, hours_between, utc
from regime_pipeline_tests.synthetic import filled, long

END = utc("2024-06-01")
COINS = ("BTC/USDT", "ETH/USDT")
DAYS = 95


@cache
def inputs() -> dict[str, pd.DataFrame]:
    """Rows of two coins, the second without books."""
    rng = np.random.default_rng(1)
    hours = hours_between(END - DAYS * DAY, END)
    n = len(hours)
    flow = rng.normal(0, 1e6, (n, 2))
    close = 100.0 * np.exp(np.cumsum(flow * 1e-9 + rng.normal(0, 1e-3, (n, 2)), axis=0))
    bars = {"market": "perp", "venue": "okx", "source_tier": 1, "volume_quote": 5e6}
    bars |= {"high": close * 1.002, "low": close * 0.998, "close": close}
    book = {f"depth_{b}bps_{s}_usd": rng.uniform(0.9, 1.1, (n, 2)) * 2e4 * b
            for b in (10, 25, 50) for s in ("bid", "ask")}  # fmt: skip
    spread = rng.uniform(1.0, 3.0, (n, 2))
    market = {"market": "perp", "source_tier": 2}
    taken = {"taker_buy_quote": 3e6 + flow / 2, "taker_sell_quote": 3e6 - flow / 2}
    books = long(COINS, hours, **market, n_snapshots=12, spread_bps=spread, **book)
    return {
        "candles_1h": filled("market.candles_1h", long(COINS, hours, **bars)),
        "order_book_1h": filled("market.order_book_1h", books[books["symbol"] == COINS[0]]),
        "trade_flow_1h": filled("market.trade_flow_1h", long(COINS, hours, **market, **taken)),
    }


def made(hours: int = 24, end: pd.Timestamp = END, **frames: pd.DataFrame) -> pd.DataFrame:
    grid = Grid(end - hours * DAY / 24, end, COINS)
    return execution_quality(**(inputs() | frames), grid=grid)


def test_an_order_eats_the_bands_from_half_the_spread_outwards() -> None:
    spread, depth = np.array([2.0, 2.0, 2.0]), np.array([[1e4] * 3, [4e4] * 3, [9e4] * 3])
    (whole, *_), (share, *_) = through_bands(spread, depth, 1e4)
    assert (whole, share) == (pytest.approx((1 + 10) / 2), 1.0)  # all that rests within 10 bps
    half, _ = through_bands(spread, depth, 5e3)
    assert half[0] == pytest.approx(1 + 0.5 * 9 / 2)
    two, _ = through_bands(spread, depth, 4e4)
    assert two[0] == pytest.approx((1e4 * 5.5 + 3e4 * 17.5) / 4e4)
    deep, part = through_bands(spread, depth, 1e5)
    assert np.isnan(deep[0]) and part[0] == pytest.approx(0.9)
    unknown, share = through_bands(np.array([np.nan]), np.full((3, 1), np.nan), 1e4)
    assert np.isnan(unknown[0]) and np.isnan(share[0])


def test_rows_say_what_trading_costs_and_fit_their_table() -> None:
    found = made()
    item = table("signals.execution_quality")
    validate(found.assign(ingested_at=None, revision=None, run_id=None),
             replace(item, required=item.required - item.bookkeeping))  # fmt: skip
    row = found[found["symbol"] == COINS[0]].iloc[-1]
    assert (row["status"], row["venue"], row["source_tier"]) == ("ok", "okx", 2)
    assert 1.0 / 2 < row["slippage_10k_bps"] < row["slippage_100k_bps"] < 25
    assert np.isnan(row["slippage_1m_bps"]) == (row["filled_share_1m"] < 1)
    fee, half = row["taker_fee_bps"], row["quoted_spread_bps"] / 2
    eaten = 1e4 / row["thinner_depth_10bps_usd"] * 10 / 2
    assert row["cost_10k_bps"] == pytest.approx(fee + half + eaten)
    assert row["kyle_bps_per_musd"] == pytest.approx(1e-9 * 1e4 * 1e6, rel=0.2)
    assert 0 <= row["liquidity_score"] <= 100


def test_every_venue_of_a_perpetual_has_a_fee() -> None:
    for venue, fee in {"binance": 5.0, "bybit": 5.5, "okx": 5.0, "hyperliquid": 4.5}.items():
        bars = inputs()["candles_1h"].assign(venue=venue)
        assert set(made(1, candles_1h=bars)["taker_fee_bps"]) == {fee}


def test_without_a_book_what_needs_one_is_null_and_the_row_says_so() -> None:
    row = made().query("symbol == 'ETH/USDT'").iloc[-1]
    assert (row["status"], row["reason"]) == ("partial", "no_book")
    needs = ["quoted_spread_bps", "slippage_10k_bps", "filled_share_10k", "liquidity_score"]
    assert row[needs].isna().all()
    assert row[["cost_10k_bps", "cost_10k_kind"]].isna().all() and row["taker_fee_bps"] == 5.0
    assert row["amihud_bps_per_musd"] > 0 and row["effective_spread_bps"] >= 0
    nothing = made(
        candles_1h=inputs()["candles_1h"].head(0), order_book_1h=inputs()["order_book_1h"].head(0)
    )
    assert set(nothing["status"]) == {"missing"} and set(nothing["reason"]) == {"no_observation"}
    assert nothing[["amihud_bps_per_musd", "taker_fee_bps"]].isna().all().all()
    short = inputs()["candles_1h"]
    late = made(candles_1h=short[short["ts"] >= END - 5 * DAY]).iloc[-25]
    assert (late["status"], late["reason"]) == ("partial", "short_history")


def test_no_later_row_changes_a_row_and_chunks_give_the_same_bytes() -> None:
    whole = made(48)
    cut = END - DAY
    spoilt = {}
    for name, frame in inputs().items():
        frame = frame.copy()
        for column in frame.select_dtypes("float64"):
            frame.loc[frame["ts"] >= cut, column] *= 1.5
        spoilt[name] = frame
    early = whole[whole["ts"] < cut].reset_index(drop=True)
    after = made(48, **spoilt)
    assert early.equals(after[after["ts"] < cut].reset_index(drop=True))
    assert not whole.equals(after)
    assert early.equals(made(24, cut))


def test_a_spread_that_prices_bounce_in_is_found_from_bars() -> None:
    rng = np.random.default_rng(3)
    n, trades, half = 3000, 60, 5e-4
    middle = np.cumsum(rng.normal(0, 2e-4, n * trades)).reshape(n, trades)
    seen = middle + half * rng.choice([-1.0, 1.0], (n, trades))
    bars = (np.exp(f)[:, None] for f in (seen.max(axis=1), seen.min(axis=1), seen[:, -1]))
    found = abdi_ranaldo(*bars, 0)[720:, 0]
    assert np.median(found) == pytest.approx(1e4 * 2 * half, rel=0.15)


def test_impact_is_null_where_no_flow_moves_and_percentiles_count_half_of_equals() -> None:
    flat = np.full((2200, 1), 1e6)
    assert np.isnan(impact(np.zeros((2200, 1)), flat, 0)).all()
    assert percentile(flat)[-1, 0] == 0.5
