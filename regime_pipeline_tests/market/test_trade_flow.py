"""Hourly trade flow: its source, sides, large trades, nulls, chunking."""

from __future__ import annotations

import numpy as np
import orjson
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.trade_flow import trade_flow_1h
from regime_pipeline.providers.trades import SIZE_BINS, size_bin
from regime_pipeline.windows import HOUR, Grid, Window, utc
from regime_pipeline_tests.synthetic import rows_of

START = utc("2024-03-01")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
VENUES = {"perp": dict.fromkeys(SYMBOLS, "binance")}
COMMON = {
    "source": "binance_futures",
    "venue": "binance",
    "market": "perp",
    "symbol": "BTC/USDT",
    "source_tier": 1,
    "available_at": START,
    "pit_grade": "assumed",
}


def filled(name: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    return rows_of(name, rows, **COMMON)


def candle(hour: int, **more: object) -> dict[str, object]:
    return {
        "ts": START + hour * HOUR,
        "timeframe": "1h",
        "open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0,
        "volume_base": 10.0, "volume_quote": 100.0,
        "taker_buy_base": 6.0, "taker_buy_quote": 60.0,
        "trade_count": 7, "source_tier": 2,
    } | more  # fmt: skip


def flow(hour: int, sizes: list[float], **more: object) -> dict[str, object]:
    """Trades of the given values, all bought at 10, and one sold for the sum of them."""
    place = size_bin(np.array(sizes))
    counts = np.bincount(place, minlength=SIZE_BINS).tolist()
    values = np.bincount(place, weights=sizes, minlength=SIZE_BINS).tolist()
    total = float(sum(sizes))
    return {
        "ts": START + hour * HOUR,
        "taker_buy_base": total / 10, "taker_sell_base": total / 30,
        "taker_buy_quote": total, "taker_sell_quote": total / 3,
        "taker_buy_count": len(sizes), "taker_sell_count": 1,
        "size_counts": orjson.dumps(counts).decode(),
        "size_values": orjson.dumps(values).decode(),
    } | more  # fmt: skip


def computed(
    flows: list[dict[str, object]],
    candles: list[dict[str, object]],
    hours: int = 3,
    first: int = 0,
) -> pd.DataFrame:
    grid = Grid.of(Window(START + first * HOUR, START + (first + hours) * HOUR), SYMBOLS)
    out = trade_flow_1h(
        filled("raw.trade_flow", flows), filled("raw.candles", candles), grid=grid, venues=VENUES
    )
    validate(out, table("market.trade_flow_1h"))
    return out.set_index(["symbol", "ts"])


def btc(out: pd.DataFrame, hour: int = 0) -> pd.Series:
    return out.loc[("BTC/USDT", START + hour * HOUR)]


def test_trades_come_before_the_candle_and_the_row_says_which() -> None:
    out = computed([flow(0, [30.0])], [candle(0), candle(1)])
    assert (btc(out)["flow_source"], btc(out, 1)["flow_source"]) == ("trades", "candles")
    assert (btc(out)["taker_buy_quote"], btc(out)["source_tier"]) == (30.0, 1)
    assert btc(out)["flow_imbalance"] == pytest.approx(0.5)
    assert btc(out, 1)["taker_sell_base"] == 4.0
    assert btc(out, 1)["taker_sell_quote"] == 40.0
    assert btc(out, 1)["flow_imbalance"] == pytest.approx(0.2)
    assert btc(out, 1)["source_tier"] == 2
    assert btc(out, 2)["status"] == "missing"
    assert btc(out, 2)[["taker_buy_base", "flow_imbalance", "source_tier"]].isna().all()


def test_without_quote_amounts_coins_decide_and_the_row_is_partial() -> None:
    out = computed([], [candle(0, taker_buy_quote=np.nan)])
    assert (btc(out)["status"], btc(out)["reason"]) == ("partial", "no_quote")
    assert btc(out)["flow_imbalance"] == pytest.approx(0.2)
    assert np.isnan(btc(out)["taker_sell_quote"])


def test_candle_without_taker_volumes_is_no_observation() -> None:
    for change in ({"taker_buy_base": np.nan}, {"taker_buy_base": 11.0}):
        out = computed([], [candle(0, **change)])
        assert (btc(out)["status"], btc(out)["reason"]) == ("missing", "no_observation")


def test_hour_without_a_trade_has_volumes_of_zero_and_no_imbalance() -> None:
    zero = dict.fromkeys(("volume_base", "volume_quote", "taker_buy_base", "taker_buy_quote"), 0.0)
    out = computed([], [candle(0, **zero)])
    assert btc(out)["status"] == "ok"
    assert btc(out)["taker_buy_base"] == 0.0
    assert np.isnan(btc(out)["flow_imbalance"])


def test_large_trades_are_those_above_the_day_before() -> None:
    before = [flow(h, [100.0] * 99 + [1000.0]) for h in range(24)]
    out = computed([*before, flow(24, [100.0, 900.0, 5000.0, 9000.0])], [], hours=1, first=24)
    row = btc(out, 24)
    # 99 of 100 trades lie in the bin of 100, so everything above that bin is large
    assert row["large_trade_quote"] == pytest.approx(14_900.0)
    assert row["large_share"] == pytest.approx(14_900.0 / (15_000.0 * 4 / 3))


@pytest.mark.parametrize(("hours", "known"), [(20, True), (19, False)])
def test_large_trades_need_twenty_hours_of_the_day_before(hours: int, known: bool) -> None:
    before = [flow(23 - h, [100.0] * 100) for h in range(hours)]
    out = computed([*before, flow(24, [100.0, 900.0])], [], hours=1, first=24)
    assert bool(np.isfinite(btc(out, 24)["large_trade_quote"])) is known


def test_own_hour_does_not_move_its_own_border() -> None:
    before = [flow(h, [100.0] * 100) for h in range(24)]
    calm = computed([*before, flow(24, [100.0, 900.0])], [], hours=1, first=24)
    wild = computed([*before, flow(24, [100.0, 900.0, *[1e6] * 500])], [], hours=1, first=24)
    assert btc(calm, 24)["large_trade_quote"] == pytest.approx(900.0)
    assert btc(wild, 24)["large_trade_quote"] == pytest.approx(900.0 + 5e8)


def test_rows_do_not_depend_on_where_the_window_begins() -> None:
    rng = np.random.default_rng(5)
    flows = [
        flow(h, np.exp(rng.normal(6, 2, 50)).tolist(), symbol=s)
        for h in range(60)
        for s in SYMBOLS
        if rng.random() < 0.9
    ]
    candles = [candle(h, symbol=s) for h in range(60) for s in SYMBOLS]
    whole = computed(flows, candles, 30, first=30)
    late = START + (45 - 24) * HOUR
    halves = pd.concat(
        [
            computed(flows, candles, 15, first=30),
            computed([f for f in flows if f["ts"] >= late], candles, 15, first=45),
        ]
    )
    pd.testing.assert_frame_equal(whole.sort_index(), halves.sort_index(), check_exact=True)
    mixed = [flows[i] for i in rng.permutation(len(flows))]
    pd.testing.assert_frame_equal(whole, computed(mixed, candles, 30, first=30), check_exact=True)


def test_later_hours_change_no_earlier_row() -> None:
    flows = [flow(h, [100.0 * (h + 1)] * 10) for h in range(30)]
    out = computed(flows, [], 30)
    changed = computed([*flows[:28], flow(28, [1.0]), flow(29, [1e6])], [], 30)
    pd.testing.assert_frame_equal(
        out.loc["BTC/USDT"].iloc[:28], changed.loc["BTC/USDT"].iloc[:28], check_exact=True
    )
