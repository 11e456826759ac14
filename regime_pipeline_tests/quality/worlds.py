"""A world in which every check is silent: three venues, funding, open interest, books, liquidations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from regime_pipeline.quality.evaluate import COLUMNS, Evidence, findings
from regime_pipeline.quality.model import WHOLE_TABLE
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import DAY, HOUR, Window, hours_between, utc
from regime_pipeline_tests.synthetic import long

END = utc("2024-03-10")
START = END - 45 * DAY
WINDOW = Window(END - 3 * DAY, END)
SYMBOLS = ("BTC/USDT", "ETH/USDT")
PARAMS = QualityParams()
_SERIES = (
    ("binance", "binance", "spot", 1),
    ("binance_futures", "binance", "perp", 1),
    ("okx", "okx", "spot", 2),
    ("bybit", "bybit", "spot", 2),
)


def _stamped(frame: pd.DataFrame, length=HOUR) -> pd.DataFrame:
    return frame.assign(
        ingested_at=(frame["ts"] + length + pd.Timedelta(minutes=2)).dt.as_unit("us"),
        payload_id=pd.Series(np.arange(len(frame)), dtype="str"),
    )


def _shaped(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    return frame[list(COLUMNS[name])].reset_index(drop=True)


def candles() -> pd.DataFrame:
    stamps = hours_between(START, END)
    rng = np.random.default_rng(7)
    parts = []
    for symbol in SYMBOLS:
        price = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, len(stamps))))
        for source, venue, market, tier in _SERIES:
            close = price * (1 + rng.normal(0, 1e-4, len(stamps)))
            part = pd.DataFrame({"ts": stamps, "close": close})
            part["volume_base"] = rng.uniform(1, 2, len(stamps))
            parts.append(
                part.assign(
                    source=source, venue=venue, market=market, symbol=symbol, timeframe="1h",
                    source_tier=tier, open=close, high=close, low=close, volume_quote=1.0,
                )
            )  # fmt: skip
    return _stamped(pd.concat(parts, ignore_index=True))


def _derivatives(step: int, **values: Any) -> pd.DataFrame:
    stamps = hours_between(START, END)[::step]
    frame = long(
        SYMBOLS, stamps, source="binance_futures", venue="binance", market="perp", source_tier=1,
        **values,
    )  # fmt: skip
    return _stamped(frame, HOUR if step == 1 else 0 * HOUR)


def tables() -> dict[str, pd.DataFrame]:
    """Every table that the checks look at and that this world has."""
    liquidations = _derivatives(
        1, long_liquidations_usd=900.0, short_liquidations_usd=100.0, timeframe="1h"
    )
    market = liquidations.assign(total_liquidation_usd=1000.0, is_lower_bound=True)
    events = _derivatives(1, position_side="long", price=90.0, quantity_base=10.0)
    events = events.assign(liquidation_usd=900.0, ts=events["ts"])
    books = _derivatives(1, book_age_s=1.0, mid=100.0, bid_levels=20, ask_levels=20)
    made = {
        "raw.candles": candles(),
        "raw.funding_rates": _derivatives(8, funding_rate=1e-4, interval_hours=8),
        "raw.open_interest": _derivatives(1, open_interest_usd=1e9),
        "raw.positioning": _derivatives(1, metric="taker_buy_base"),
        "raw.liquidations": liquidations,
        "raw.liquidation_events": events,
        "raw.order_book": books,
        "raw.trade_flow": _derivatives(1),
        "raw.reference_prices": _derivatives(1),
        "market.liquidations_1h": market,
    }
    return {n: _shaped(n, f) for n, f in made.items()}


def judged(
    of: dict[str, pd.DataFrame], *, window: Window = WINDOW, now=None, **more: Any
) -> pd.DataFrame:
    """``ops.quality_checks`` of a world."""
    return findings(Evidence(of, **more), window, now or window.end, PARAMS)[0]


def failed(checks: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Failed sums by (check, table)."""
    bad = checks[(checks["check_outcome"] == "failed") & (checks["series"] == WHOLE_TABLE)]
    return dict(list(bad.groupby(["check_id", "table_name"])))
