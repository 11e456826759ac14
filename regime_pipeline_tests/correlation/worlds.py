"""Price worlds for the correlation tests."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.windows import hours_between, utc
from regime_pipeline_tests.synthetic import long as rows

START = utc("2023-01-01")


def prices(returns: np.ndarray, symbols: list[str] | None = None) -> pd.DataFrame:
    """Hours x symbols of closes from hourly log returns, from START."""
    hours, width = returns.shape
    symbols = symbols or [f"C{i:02d}/USDT" for i in range(width)]
    index = hours_between(START, START + timedelta(hours=hours))
    return pd.DataFrame(100 * np.exp(returns.cumsum(axis=0)), index=index, columns=symbols)


def long(closes: pd.DataFrame) -> pd.DataFrame:
    """Long spot candles; the perpetuals beside them are noise."""
    frame = rows(
        list(closes),
        closes.index,
        close=closes.to_numpy(),
        market="spot",
        venue="binance",
        source_tier=1,
    )
    return pd.concat([frame, frame.assign(market="perp", close=1.0)], ignore_index=True)


def factor(hours: int, width: int, *, seed: int = 0, noise: float = 0.8) -> np.ndarray:
    """Fat-tailed returns with one common factor."""
    rng = np.random.default_rng(seed)
    own = rng.standard_t(5, size=(hours, width)) * np.linspace(0.6, 1.6, width)
    return 0.004 * (rng.standard_t(5, size=(hours, 1)) + noise * own)
