"""Coinglass v4 by the day: the same endpoints as by the hour, as rows of ``raw.derivatives_1d``.

Belongs here: which endpoint tells which daily metric. Does not belong here: parsers (``series``,
``lists``), what becomes of the days (``market.days``). Every plan includes days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pandas as pd

from regime_pipeline.providers.paging import Forward
from regime_pipeline.providers.source import Endpoint, Feed, Params
from regime_pipeline.providers.symbols import VenueSymbol

DATASET = "derivatives_1d"
DEPTH_PCT = "1"
"""Distance from the price within which resting orders are summed, percent."""

_PAGING = Forward(limit=1000, start="start_time", end="end_time", step=timedelta(days=1))
_METRICS = (
    "open_interest_usd",
    "long_liquidations_usd",
    "short_liquidations_usd",
    "resting_bids_usd",
    "resting_asks_usd",
)


def by_metric(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each metric of each row, the rest of it repeated."""
    told = [name for name in _METRICS if name in frame]
    rest = frame.drop(columns=told)
    parts = [rest.assign(metric=name, value=frame[name].astype("float64")) for name in told]
    return pd.concat(parts, ignore_index=True).astype({"metric": "str"})


def feeds(
    *,
    ratios: Sequence[Endpoint],
    sums: Mapping[Endpoint, Mapping[str, str]],
    exchanges: Mapping[str, str],
    aggregate: str,
) -> tuple[Feed, ...]:
    """The daily feeds.

    Args:
        ratios: endpoints about one exchange and pair whose rows name a metric already.
        sums: endpoints about a coin, with the parameters beside the coin.
        exchanges: venue -> the provider's name of it.
        aggregate: venue of what is summed over exchanges.
    """
    found = [
        Feed(
            dataset=DATASET,
            endpoint=endpoint,
            market="perp",
            venue=venue,
            paging=_PAGING,
            params=_pair(name),
            only_primary=True,
        )
        for venue, name in exchanges.items()
        for endpoint in ratios
    ]
    found += [
        Feed(
            dataset=DATASET,
            endpoint=endpoint,
            market="perp",
            venue=aggregate,
            paging=_PAGING,
            params=_coin(more),
            names="coin",
            shape=by_metric,
        )
        for endpoint, more in sums.items()
    ]
    return tuple(found)


def _pair(exchange: str) -> Params:
    def params(symbol: VenueSymbol) -> dict[str, str]:
        return {"exchange": exchange, "symbol": symbol.name, "interval": "1d"}

    return params


def _coin(more: Mapping[str, str]) -> Params:
    def params(symbol: VenueSymbol) -> dict[str, str]:
        return {"symbol": symbol.name, "interval": "1d", **more}

    return params
