"""Large on-chain transfers as flows onto and off exchanges.

Belongs here: which transfers count, the 24 h sums, whether the provider was watching. Does not belong
here: what a flow means for the price (``signals``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.sentiment import usable_hour
from regime_pipeline.numerics.groups import sums
from regime_pipeline.numerics.panel import FloatPanel, from_panel, take_codes, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import HOUR, Grid

METHOD = "whale_flow/2"
"""24 h of flow, and the longest time between a transfer and its arrival when it was seen live."""

WINDOW_H = 24
MIN_HOURS = 20
"""Observed hours of the 24 that a sum needs; it is scaled for the missing ones."""
STABLECOINS = frozenset(
    {
        "USDT",
        "USDC",
        "DAI",
        "BUSD",
        "TUSD",
        "FDUSD",
        "USDP",
        "PYUSD",
        "USDE",
        "USDS",
        "GUSD",
        "USD1",
    }
)
WRAPPED = {"WBTC": "BTC", "CBBTC": "BTC", "WETH": "ETH", "STETH": "ETH", "WSTETH": "ETH",
           "WBNB": "BNB", "WSOL": "SOL"}  # fmt: skip
_STABLE = "*stable"
_ANY = "*any"


@derives(
    "market.whale_flow_1h",
    raw_whale_transfers=reads("raw.whale_transfers", "27h"),
    source="whale_source",
)
def whale_flow_1h(raw_whale_transfers: pd.DataFrame, *, grid: Grid, source: str) -> pd.DataFrame:
    """``market.whale_flow_1h``: flows of the 24 h that end with each hour.

    A transfer counts from the first hour in which it could be known. Towards an exchange from
    anybody else it is inflow, the other way outflow; between exchanges (which includes inside one),
    between others, and mints or burns count nowhere. Wrapped coins count as the coin. The stablecoin
    flow is market wide, the same in every symbol's row, with the sign reversed.

    Zero means that the provider was watching: an hour is observed when it listed any transfer of any
    coin in it. ``coverage`` is the observed share n / 24 of the hours. Flows need n >= 20 and are
    scaled by 24 / n; counts are of what was seen.

    Args:
        raw_whale_transfers: ``raw.whale_transfers`` with the lookback before the grid.
        grid: rows owed.
        source: the provider behind the series.

    Returns:
        Content columns. missing, all null, under 20 observed hours (``few_hours_observed``; without
        any ``not_observed``); partial when a listing was cut short (``truncated_listing``) or an hour
        was not observed (``hours_not_observed``); else ok.
    """
    from regime_pipeline.numerics.rolling import rolling_max  # imports numba

    wide = grid.widened((WINDOW_H - 1) * HOUR)
    rows = raw_whale_transfers[raw_whale_transfers["source"] == source]
    hour = usable_hour(rows["available_at"])
    coin = rows["coin"].replace(WRAPPED)
    inward = (rows["to_owner_type"] == "exchange") & (rows["from_owner_type"] != "exchange")
    outward = (rows["from_owner_type"] == "exchange") & (rows["to_owner_type"] != "exchange")
    plain = rows["transaction_type"].fillna("transfer").str.lower() == "transfer"
    usd = rows["transfer_usd"].to_numpy("float64")
    base = pd.DataFrame(
        {
            "ts": hour,
            "coin": coin,
            "inflow": np.where(inward & plain, usd, 0.0),
            "outflow": np.where(outward & plain, usd, 0.0),
            "moves": ((inward | outward) & plain).astype(float),
            "seen": 1.0,
            "cut": (~rows["listing_complete"].fillna(False).astype(bool)).astype(float),
            "source_tier": rows["source_tier"].astype("float64"),
            "transaction_hash": rows["transaction_hash"],
            "transfer_id": rows["transfer_id"],
        }
    )
    # sums of floats depend on their order: always the same one
    base = base.sort_values(["ts", "coin", "transaction_hash", "transfer_id"], ignore_index=True)
    stable = base["coin"].isin(STABLECOINS)
    bases = {s.split("/")[0]: s for s in wide.symbols}
    own = _sums(base.assign(symbol=base["coin"].map(bases)), wide)
    stables = _sums(base[stable].assign(symbol=_STABLE), _only(wide, _STABLE))
    every = _sums(base.assign(symbol=_ANY), _only(wide, _ANY))

    observed = _daily(np.minimum(every["seen"], 1.0))
    cut = rolling_max(every["cut"], WINDOW_H, 1)[WINDOW_H - 1 :] > 0
    coverage = np.broadcast_to(observed / WINDOW_H, (len(grid.hours), len(grid.symbols)))
    hours = np.broadcast_to(observed, coverage.shape)
    known = hours >= MIN_HOURS
    reason = np.select([hours == 0, ~known, cut, hours < WINDOW_H], [0, 2, 1, 3], -1)
    scale = WINDOW_H / np.maximum(hours, 1.0)
    inflow, outflow, moves = (_daily(own[n]) for n in ("inflow", "outflow", "moves"))
    stable_flow = _daily(stables["outflow"]) - _daily(stables["inflow"])
    tier = rolling_max(every["tier"], WINDOW_H, 1)[WINDOW_H - 1 :]

    def shown(panel: FloatPanel) -> FloatPanel:
        return np.where(known, panel, np.nan)

    frame = from_panel(
        grid,
        {
            "inflow_usd": shown(inflow * scale),
            "outflow_usd": shown(outflow * scale),
            "net_flow_usd": shown((inflow - outflow) * scale),
            "transfer_count": shown(moves),
            "stablecoin_net_flow_usd": shown(stable_flow * scale),
            "stablecoin_transfer_count": shown(_daily(stables["moves"])),
            "coverage": np.array(coverage),
            "status": take_codes(np.where(~known, 2, np.where(reason >= 0, 1, 0)),
                                 STATUS_CODES),
            "reason": take_codes(
                reason,
                ("not_observed", "truncated_listing", "few_hours_observed", "hours_not_observed"),
            ),
            "source_tier": shown(tier),
        },
    )  # fmt: skip
    which = table("market.whale_flow_1h")
    frame = frame.assign(source=source, method_version=method_version(METHOD))
    return conform(frame, which)[list(which.content)]


def _only(grid: Grid, name: str) -> Grid:
    return Grid(grid.start, grid.end, (name,))


def _sums(rows: pd.DataFrame, grid: Grid) -> dict[str, FloatPanel]:
    """Hourly sums per symbol of the grid, 0 where nothing moved; ``tier`` NaN there."""
    kept = rows[rows["symbol"].isin(grid.symbols)]
    group = kept.groupby(["symbol", "ts"], sort=True)
    cell = group.ngroup().to_numpy()
    hourly = group.agg(
        seen=("seen", "max"), cut=("cut", "max"), tier=("source_tier", "max")
    ).reset_index()
    for name in ("inflow", "outflow", "moves"):
        hourly[name] = sums(kept[name].to_numpy("float64"), cell, len(hourly))[0]
    panels = to_panel(hourly, grid, ["inflow", "outflow", "moves", "seen", "cut", "tier"])
    return {n: p if n == "tier" else np.nan_to_num(p, nan=0.0) for n, p in panels.items()}


def _daily(panel: FloatPanel) -> FloatPanel:
    """24 h sums, each reduced afresh, for the rows after the lookback."""
    from regime_pipeline.numerics.rolling import rolling_sum  # imports numba

    return rolling_sum(panel, WINDOW_H, 1)[WINDOW_H - 1 :]
