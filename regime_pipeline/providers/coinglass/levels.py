"""Coinglass v4: prices at which its model expects liquidations, as rows of ``raw.liquidation_levels``.

Belongs here: what a level of the map is in the table. Does not belong here: the parser (``lists``), closures
that happened (``series``).
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.providers.paging import Newest
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.windows import HOUR

DATASET = "liquidation_levels"
RANGE = "1d"
"""How far back the positions were opened that the map counts."""


def by_level(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each level; one that is told twice counts by its order."""
    price, leverage = frame["price_level"].map("{:.15g}".format), frame["leverage"]
    told = price + "|" + leverage.map("{:g}".format).where(leverage.notna(), "")
    again = told.groupby([frame["stream"], frame["payload_id"], told]).cumcount()
    return frame.assign(
        level_model="map",
        level_id=told.where(again == 0, told + "|" + again.astype("str")).astype("str"),
        level_usd=frame["value_usd"],
    )


def feed(endpoint: Endpoint, venue: str) -> Feed:
    """The map of a coin over all exchanges, asked for once an hour."""
    return Feed(
        dataset=DATASET,
        endpoint=endpoint,
        market="perp",
        venue=venue,
        paging=Newest(),
        params=lambda symbol: {"symbol": symbol.name, "range": RANGE},
        names="coin",
        reach=HOUR,
        snapshot=True,
        shape=by_level,
    )
