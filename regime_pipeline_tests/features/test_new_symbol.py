"""A symbol that has just been listed: no statistic from a handful of rows."""

from __future__ import annotations

from datetime import timedelta

from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.settings import VolatilityParams
from regime_pipeline.windows import DAY, Grid, Window, utc
from regime_pipeline_tests.market.candle_worlds import synthetic_candles

START = utc("2024-01-01")
WINDOW = Window(START, START + 40 * DAY)


def test_fault_41_three_rows_of_history_give_nulls_that_say_what_is_wanting() -> None:
    candles = synthetic_candles(START, 24 * 40, seed=3)
    young = candles[candles["ts"] >= WINDOW.end - timedelta(hours=3)]
    assert set(young.groupby(["market", "symbol"]).size()) == {3}
    grid = Grid.of(WINDOW, ["BTC/USDT"])
    got = volatility_regimes(young, grid=grid, params=VolatilityParams())
    for column in ("volatility_24h", "vol_ratio", "vol_ratio_gk", "vol_regime_confirmed"):
        assert got[column].isna().all(), column
    assert not set(got["status"]) & {"ok", "partial"}
    assert got["reason"].notna().all()
