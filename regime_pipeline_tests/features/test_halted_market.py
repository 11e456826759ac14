"""A market that is dead has no regime, no multiplier and no score, whatever its bars go on saying."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from regime_pipeline.catalogue.fields.signals import SINGLE_COMPONENTS
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.market.candles import candles_1h
from regime_pipeline.regimes.timeframe_regimes import timeframe_regimes
from regime_pipeline.settings import Params
from regime_pipeline.windows import Grid
from regime_pipeline_tests.market.candle_worlds import synthetic_raw
from regime_pipeline_tests.signals.worlds import components_of

START = datetime(2024, 1, 1, tzinfo=UTC)
ALIVE, DEAD, AFTER = 24 * 80, 24 * 20, 48
HOURS = ALIVE + DEAD + AFTER
WHOLE = Grid(START, START + timedelta(hours=HOURS), ("BTC/USDT",))
PARAMS = Params()


def candles_of(market: str) -> pd.DataFrame:
    """A market that trades, stands still for twenty days while it goes on answering, trades again."""
    raw = synthetic_raw(WHOLE, seed=1).assign(market=market)
    dead = raw["ts"].between(
        START + timedelta(hours=ALIVE), START + timedelta(hours=ALIVE + DEAD), inclusive="left"
    )
    last = float(raw.loc[~dead, "close"].iloc[ALIVE - 1])
    raw.loc[dead, ["open", "high", "low", "close"]] = last
    raw.loc[dead, "volume_base"] = 0.0
    return candles_1h(raw, grid=WHOLE, venues={market: {"BTC/USDT": "binance"}})


@pytest.mark.parametrize(
    ("name", "market", "value", "compute"),
    [
        (
            "features.volatility_regimes", "spot", "risk_multiplier",
            lambda c, g: volatility_regimes(c, grid=g, params=PARAMS.volatility),
        ),
        (
            "regimes.timeframe_regimes", "spot", "primary_regime",
            lambda c, g: timeframe_regimes(c, grid=g, params=PARAMS.timeframes),
        ),
        ("signals.components", "perp", "momentum_score", lambda c, g: components_of(c, grid=g)),
    ],
)  # fmt: skip
def test_a_halted_market_has_no_value(
    name: str,
    market: str,
    value: str,
    compute: Callable[[pd.DataFrame, Grid], pd.DataFrame],
) -> None:
    candles = candles_of(market)
    halted = candles["reason"].eq("halted")
    assert halted.sum() == DEAD - 23
    rows = compute(candles, WHOLE)
    validate(rows, table(name))
    here = rows["ts"].isin(candles.loc[halted, "ts"])
    dead = rows[here]
    assert dead["status"].eq("not_applicable").all() and dead["reason"].eq("halted").all()
    fixed = {*table(name).key, *table(name).required, "reason"}
    if "left_out" in dead:  # no value: the names of what nobody should expect here
        assert dead["left_out"].str.split(",").map(set).eq(set(SINGLE_COMPONENTS)).all()
        fixed.add("left_out")
    assert dead.drop(columns=list(fixed)).isna().all(axis=None)
    assert rows.loc[~here, "status"].ne("not_applicable").all()
    assert rows.loc[rows["ts"] < START + timedelta(hours=ALIVE), value].notna().any()
