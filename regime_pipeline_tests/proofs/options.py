"""The options of the synthetic market, as raw rows of the world that proofs start from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from regime_pipeline.simulator.options import chain
from regime_pipeline.simulator.series import HOUR_MS
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import DAY, Window

COMMON = {"source": "deribit", "venue": "deribit"}
SYMBOLS = ("BTC/USDT", "ETH/USDT")
CHAIN_DAYS = 7
SHOWN = (0, 2, 4, 6, 9, 13)
"""Expiries of the chain that are kept: too near, near, and out to half a year."""


def index_rows(tape: SyntheticTape) -> pd.DataFrame:
    """Bars of the volatility index."""
    parts = []
    for symbol in SYMBOLS:
        bars = tape.volatility_index(symbol)
        assert bars is not None
        sides = {f"volatility_{s}_pct": getattr(bars, s) for s in ("open", "high", "low", "close")}
        stamps = pd.DatetimeIndex(bars.ts.astype("datetime64[ms]"), tz="UTC").as_unit("us")
        parts.append(pd.DataFrame({**COMMON, "symbol": symbol, "ts": stamps, **sides}))
    return pd.concat(parts, ignore_index=True)


def chain_rows(tape: SyntheticTape, window: Window) -> pd.DataFrame:
    """Options out of the money in the last days, asked some minutes past every hour or exactly on it."""
    window = Window(max(window.start, window.end - CHAIN_DAYS * DAY), window.end)
    parts = []
    for symbol in SYMBOLS:
        bars, index = tape.candles("deribit", "perp", symbol), tape.volatility_index(symbol)
        assert bars is not None and index is not None
        first = int(np.searchsorted(bars.ts, window.start.timestamp() * 1000))
        for hour in range(first, len(bars.ts)):
            start = int(bars.ts[hour])
            seen = start + (hour % 5) * HOUR_MS // 20
            listed = chain(seen, float(bars.open[hour]), float(index.open[hour]))
            for expiry in (e for number, e in enumerate(listed) if number in SHOWN):
                is_call = expiry.strike >= expiry.forward
                mark = np.where(is_call, expiry.call, expiry.put)
                each = (start, seen, int(expiry.at.timestamp() * 1000), expiry.forward)
                parts.append((symbol, each, expiry.strike, expiry.iv, mark, is_call))
    lengths = [len(p[2]) for p in parts]
    times = np.repeat(np.array([p[1] for p in parts]), lengths, axis=0)
    strike, iv, mark, is_call = (np.concatenate([p[n] for p in parts]) for n in range(2, 6))
    out = pd.DataFrame(
        {
            **COMMON,
            "symbol": np.repeat([p[0] for p in parts], lengths),
            "ts": times[:, 0],
            "quoted_at": times[:, 1],
            "available_at": times[:, 1],
            "expiry_at": times[:, 2],
            "strike": strike,
            "option_type": np.where(is_call, "call", "put"),
            "underlying_price": times[:, 3],
            "mark_iv_pct": iv,
            "option_mark_base": mark,
        }
    )
    for column in ("ts", "quoted_at", "available_at", "expiry_at"):
        out[column] = pd.to_datetime(out[column].astype("int64"), unit="ms", utc=True).dt.as_unit(
            "us"
        )
    out["option_name"] = (
        out["expiry_at"].dt.strftime("%d%b%y")
        + "-"
        + out["strike"].astype(str)
        + out["option_type"]
    ).astype("str")
    return out
