"""Sentiment: the daily Fear & Greed of the market, and the hourly mood of each coin.

Belongs here: choosing the one provider of a series, putting single posts together. Does not belong
here: scores made from it (``signals``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.groups import means, sums
from regime_pipeline.numerics.panel import from_panel, take_codes, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid, Window

METHOD = "fear_greed/1"
SOURCE = "alternative_me"


@derives("market.fear_greed", raw_fear_greed=reads("raw.fear_greed"))
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


SENTIMENT_METHOD = "sentiment_1h/2"
"""A post counts in the hour in which it could first be read, which is not always its own."""

KINDS = ("social", "news", "trader")
AGGREGATE_ITEM = "aggregate"
ENOUGH_KINDS = 2


@derives(
    "market.sentiment_1h",
    raw_sentiment=reads("raw.sentiment", "3h", where={"sentiment_scope": "symbol"}),
    sources="sentiment_source_by_kind",
)
def sentiment_1h(
    raw_sentiment: pd.DataFrame, *, grid: Grid, sources: Mapping[str, str]
) -> pd.DataFrame:
    """``market.sentiment_1h``: each coin's mood by kind, never a mix of kinds or of providers.

    A reading over many posts belongs to the bucket or hour it is stamped with. Single posts of an
    hour are put together: score = mean over those that have a verdict, mentions = their number; a
    provider's reading goes before its posts. Nothing is carried to the next hour, and nothing about
    the whole market stands in for a coin.

    Args:
        raw_sentiment: ``raw.sentiment`` with the lookback before the grid.
        grid: rows owed.
        sources: the one provider of each kind.

    Returns:
        Content columns. ok with two kinds of scores or more, partial with one
        (``one_kind_only``), missing with none (``not_observed``).
    """
    panels: dict[str, npt.NDArray[Any]] = {}
    present = np.zeros((len(grid.hours), len(grid.symbols)), dtype=np.int64)
    tier = np.full(present.shape, np.nan)
    scoped = raw_sentiment[raw_sentiment["sentiment_scope"] == "symbol"]
    for kind in KINDS:
        chosen = scoped["source"] == sources.get(kind, "")
        own = scoped[chosen & (scoped["sentiment_kind"] == kind)]
        one = to_panel(
            _hourly_readings(own), grid, ["score", "mentions", "confidence", "source_tier"]
        )
        panels[f"{kind}_score"] = one["score"]
        panels[f"{kind}_mentions"] = one["mentions"]
        panels[f"{kind}_confidence"] = one["confidence"]
        present += np.isfinite(one["score"])
        tier = np.fmax(tier, one["source_tier"])
    panels |= {
        "kinds_present": present.astype(float),
        "status": take_codes(np.minimum(present, ENOUGH_KINDS), ("missing", "partial", "ok")),
        "reason": take_codes(
            np.where(present == 0, 0, np.where(present < ENOUGH_KINDS, 1, -1)),
            ("not_observed", "one_kind_only"),
        ),
        "source_tier": tier,
    }
    which = table("market.sentiment_1h")
    frame = from_panel(grid, panels).assign(method_version=method_version(SENTIMENT_METHOD))
    return conform(frame, which)[list(which.content)]


def _hourly_readings(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per symbol and hour: the provider's reading where there is one, else its posts."""
    whole = rows["item"] == AGGREGATE_ITEM
    reading = rows[whole].assign(hour=lambda f: f["ts"].dt.floor("h"))
    posts = rows[~whole].assign(hour=lambda f: usable_hour(f["available_at"]))
    parts = [_last_reading(reading), _mean_of_posts(posts)]
    both = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    return both.drop_duplicates(["symbol", "hour"]).rename(columns={"hour": "ts"})


def _last_reading(rows: pd.DataFrame) -> pd.DataFrame:
    ordered = rows.sort_values(["symbol", "hour", "ts", "item"], kind="stable")
    group = ordered.groupby(["symbol", "hour"], sort=True)
    return group.agg(
        score=("sentiment_score", "last"),
        mentions=("mention_count", "last"),
        confidence=("source_confidence", "last"),
        source_tier=("source_tier", "max"),
    ).reset_index()


def _mean_of_posts(rows: pd.DataFrame) -> pd.DataFrame:
    ordered = rows.sort_values(["symbol", "hour", "ts", "item"], kind="stable")
    group = ordered.groupby(["symbol", "hour"], sort=True)
    cell = group.ngroup().to_numpy()
    out = group.agg(source_tier=("source_tier", "max")).reset_index()

    def numbers(name: str) -> npt.NDArray[np.float64]:
        return ordered[name].to_numpy("float64", na_value=np.nan)

    return out.assign(
        score=means(numbers("sentiment_score"), cell, len(out)),
        mentions=sums(numbers("mention_count"), cell, len(out))[0],
        confidence=means(numbers("source_confidence"), cell, len(out)),
    )


def usable_hour(available_at: pd.Series) -> pd.Series:
    """The first hour whose row may use a value that can be known at ``available_at``."""
    return (available_at - pd.Timedelta(microseconds=1)).dt.floor("h")
