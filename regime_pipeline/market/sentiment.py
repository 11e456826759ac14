"""Market-wide sentiment, daily.

Belongs here: the one Fear & Greed series. Does not belong here: scores made from it (``signals``).
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Window

METHOD = "fear_greed/1"
LOOKBACK: dict[str, str] = {"raw.fear_greed": "0h"}
SOURCE = "alternative_me"


def fear_greed(
    raw_fear_greed: pd.DataFrame, *, window: Window, source: str = SOURCE
) -> pd.DataFrame:
    """``market.fear_greed``: one row per UTC day whose midnight lies in the window.

    Args:
        raw_fear_greed: ``raw.fear_greed``; several providers may have told the same day.
        window: days owed.
        source: the provider behind the series; its own number counts, never a splice of several.

    Returns:
        The index with ``available_at``; a day without a value is null, status ``missing``, reason
        ``not_observed``. A value off midnight belongs to the day it falls in, the newest of a day
        counts. Nothing is carried to the next day.
    """
    midnights = [day for day in window.days() if day >= window.start]
    days = pd.DatetimeIndex(midnights, tz="UTC").as_unit("us")
    own = raw_fear_greed[
        (raw_fear_greed["source"] == source) & raw_fear_greed["fear_greed"].notna()
    ]
    own = own.sort_values("ts", kind="stable").assign(day=lambda f: f["ts"].dt.floor("D"))
    own = own.drop_duplicates("day", keep="last").set_index("day").reindex(days)
    seen = own["fear_greed"].notna().to_numpy()
    frame = pd.DataFrame(
        {
            "ts": days,
            "fear_greed": own["fear_greed"].to_numpy(dtype="float64", na_value=float("nan")),
            "available_at": own["available_at"].array,
            "status": pd.Series(seen).map({True: "ok", False: "missing"}),
            "reason": pd.Series(seen).map({True: None, False: "not_observed"}),
            "source_tier": own["source_tier"].array,
            "method_version": method_version(METHOD),
        }
    )
    which = table("market.fear_greed")
    return conform(frame, which)[list(which.content)]
