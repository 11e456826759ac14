"""A synthetic market written as a folder of recorded history."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from regime_pipeline.simulator.series import Series, contract_size, joined
from regime_pipeline.simulator.synthetic import SyntheticTape

VENUES = ("binance", "okx", "bybit")
MARKETS = ("spot", "perp")


def _rows(found: Series | None, names: dict[str, str], **fixed: object) -> pd.DataFrame:
    assert found is not None
    values = {ours: getattr(found, theirs) for ours, theirs in names.items()}
    stamps = pd.DatetimeIndex(found.ts.astype("datetime64[ms]"), tz="UTC")
    return pd.DataFrame({"ts": stamps, **values, **fixed})


def _candles(tape: SyntheticTape, venue: str, market: str, symbol: str) -> pd.DataFrame:
    names = ["open", "high", "low", "close", "volume_quote", "taker_buy_base", "taker_buy_quote"]
    rows = _rows(
        tape.candles(venue, market, symbol),
        {**{n: n for n in (*names, "trade_count")}, "volume": "volume_base"},
        venue=venue, market=market, symbol=joined(symbol),
    )  # fmt: skip
    if (venue, market) == ("okx", "perp"):
        rows["volume"] /= contract_size(symbol)
    return rows


def write(tape: SyntheticTape, folder: Path) -> None:
    """The files of a tape folder: candles and prints of every venue, Binance's derivatives, the index."""
    listed = [(v, m, s) for v in VENUES for m in MARKETS for s in tape.listed(v, m)]
    pd.concat([_candles(tape, *series) for series in listed]).to_parquet(
        folder / "candles_1h.parquet"
    )
    pd.concat(
        [
            _rows(tape.funding(v, s), {"funding_rate": "rate"}, venue=v, symbol=joined(s))
            for v, m, s in listed
            if m == "perp"
        ]
    ).to_parquet(folder / "funding.parquet")
    parts = []
    for symbol in tape.listed("binance", "perp"):
        oi = {f"oi_{n}": n for n in ("open", "high", "low", "close")}
        rows = _rows(
            tape.open_interest("binance", symbol), {**oi, "oi_close_usd": "close_usd"},
            symbol=joined(symbol),
        )  # fmt: skip
        sides = {"liq_long_usd": "long_usd", "liq_short_usd": "short_usd"}
        for found, names in (
            (tape.liquidations("binance", symbol), sides),
            (tape.positioning("binance", symbol, "global_account"), {"long_pct": "long"}),
        ):
            rows = rows.merge(_rows(found, names), on="ts", how="left")
        parts.append(rows.assign(long_pct=rows["long_pct"] * 100.0))
    pd.concat(parts).to_parquet(folder / "derivatives_1h.parquet")
    _rows(tape.fear_greed(), {"fng": "value"}).to_parquet(folder / "fear_greed_1d.parquet")
