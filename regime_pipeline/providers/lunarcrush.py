"""LunarCrush v4: social activity and mood of coins.

Key header ``Authorization: Bearer``. Times are seconds. The price columns of a time series are one
price written four times and a rolling daily volume, so they are no bars and are not read. The last
bucket is running. Numbers are recomputed later: a changed one is a revision of ours, never a silent
overwrite.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.errors import PAID, ContractViolation
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.paging import Forward, Newest, seconds
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.source import BEARER, Endpoint, Feed, Probe, Source
from regime_pipeline.providers.symbols import VenueSymbol
from regime_pipeline.providers.symbols import split as split_symbol
from regime_pipeline.windows import HOUR

PROVIDER = "lunarcrush"
AGGREGATE_ITEM = "aggregate"
_PRICED = {
    "market_cap": "market_cap_usd",
    "volume_24h": "volume_24h_usd",
    "galaxy_score": "galaxy_score",
    "sentiment": "sentiment_score",
    "social_volume_24h": "social_volume_24h",
    "interactions_24h": "interaction_count",
}
_PERCENTS = {
    "percent_change_24h": "price_change_24h_frac",
    "social_dominance": "social_dominance_frac",
}
_RANKS = {"market_cap_rank": "market_cap_rank", "alt_rank": "alt_rank"}


def _data(body: bytes) -> object:
    return member(document(body), "data")


def _object(body: bytes) -> dict[str, object]:
    data = _data(body)
    if not isinstance(data, dict):
        raise ContractViolation("data is no object")
    return data


def _coins(found: list[object]) -> pd.DataFrame:
    columns = Columns.objects(
        found, ("id", "symbol", "price"), ("name", *_PRICED, *_PERCENTS, *_RANKS)
    )
    mood = columns.number("sentiment", optional=True)
    columns.fail_where(mood > 100, "sentiment: outside 0 to 100")
    return columns.frame(
        {
            "coin_id": columns.label("id", longest=30),
            "coin": columns.label("symbol", longest=30).str.upper(),
            "name": columns.prose("name", longest=120),
            "price_usd": columns.price("price"),
            **{ours: columns.amount(t, optional=True) for t, ours in _PRICED.items()},
            **{ours: columns.number(t, optional=True) / 100.0 for t, ours in _PERCENTS.items()},
            **{ours: columns.integer(t, optional=True) for t, ours in _RANKS.items()},
        }
    )


def parse_coins_list(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """One row per coin; a symbol may stand for several coins, the id does not."""
    return _coins(rows_of(_data(body), what="data"))


def parse_coin(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """One coin; this version tells no sentiment and nothing social."""
    return _coins([_object(body)])


def parse_coin_meta(body: bytes, ctx: Context) -> pd.DataFrame:
    """What a coin is: names and categories."""
    columns = Columns.objects(
        [_object(body)], ("id", "symbol"), ("name", "market_categories", "short_summary", "updated")
    )
    return columns.frame(
        {
            "coin_id": columns.label("id", longest=30),
            "coin": columns.label("symbol", longest=30).str.upper(),
            "name": columns.prose("name", longest=120),
            "categories": columns.prose("market_categories"),
            "summary": columns.prose("short_summary"),
            "updated_at": columns.time("updated", ctx, optional=True),
        }
    )


def parse_time_series(body: bytes, ctx: Context) -> pd.DataFrame:
    """Mood and activity by bucket.

    Returns:
        ts, sentiment_score 0-100, mention_count (active posts), interaction_count, item
        ``aggregate``, galaxy_score, alt_rank, social_dominance_frac, contributors, spam, reason.
        Each metric may be null: not every bucket has all of them.
    """
    columns = Columns.objects(
        rows_of(_data(body), what="data"),
        ("time",),
        ("sentiment", "posts_active", "interactions", "galaxy_score", "alt_rank",
         "social_dominance", "contributors_active", "spam"),
    )  # fmt: skip

    def optional(name: str) -> np.ndarray:
        return columns.amount(name, optional=True)

    mood = optional("sentiment")
    columns.fail_where((mood < 0) | (mood > 100), "sentiment: outside 0 to 100")
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "item": AGGREGATE_ITEM,
            "sentiment_score": mood,
            "mention_count": optional("posts_active"),
            "interaction_count": optional("interactions"),
            "galaxy_score": optional("galaxy_score"),
            "alt_rank": columns.integer("alt_rank", optional=True),
            "social_dominance_frac": optional("social_dominance") / 100.0,
            "contributor_count": optional("contributors_active"),
            "spam_count": optional("spam"),
        }
    )


def parse_topic(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """The present mood of a topic per network, as one row per network.

    Raises:
        ContractViolation: the counts per network are missing.
    """
    data = _object(body)
    counts = member(data, "types_count")
    if not isinstance(counts, dict):
        raise ContractViolation("'types_count' is no object of networks")

    def of(name: str, network: str) -> object:
        group = data.get(name)
        return group.get(network) if isinstance(group, dict) else None

    columns = Columns.objects(
        [
            {
                "network": network,
                "count": count,
                "interactions": of("types_interactions", network),
                "sentiment": of("types_sentiment", network),
            }
            for network, count in counts.items()
        ],
        ("network", "count"),
        ("interactions", "sentiment"),
    )
    mood = columns.number("sentiment", optional=True)
    columns.fail_where((mood < 0) | (mood > 100), "sentiment: outside 0 to 100")
    network = columns.label("network", longest=60)
    return columns.frame(
        {
            "item": network,
            "sentiment_kind": network.eq("news").map({True: "news", False: "social"}),
            "sentiment_score": mood,
            "mention_count": columns.amount("count"),
            "interaction_count": columns.amount("interactions", optional=True),
        }
    )


def parse_topic_posts(body: bytes, ctx: Context) -> pd.DataFrame:
    """Single posts of a topic; the provider rates each from 1 to 5, 3 is neutral."""
    columns = Columns.objects(
        rows_of(_data(body), what="data"),
        ("id", "post_created"),
        ("post_title", "post_sentiment", "interactions_total", "creator_name"),
    )
    rated = columns.number("post_sentiment", optional=True)
    columns.fail_where((rated < 1) | (rated > 5), "post_sentiment: outside 1 to 5")
    return columns.frame(
        {
            "ts": columns.time("post_created", ctx),
            "item": columns.label("id"),
            "headline": columns.prose("post_title"),
            "publisher": columns.prose("creator_name", longest=80),
            "sentiment_score": (rated - 1.0) * 25.0,
            "mention_count": np.ones(columns.count),
            "interaction_count": columns.amount("interactions_total", optional=True),
        }
    )


def parse_changes(body: bytes, ctx: Context) -> pd.DataFrame:
    """When the provider changed what it searches for, after which its numbers restate."""
    columns = Columns.objects(
        rows_of(_data(body), what="data"),
        ("asset_id", "change", "time"),
        ("asset_type", "asset_name", "description"),
    )
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "asset_type": columns.prose("asset_type", longest=60),
            "asset_id": columns.label("asset_id", longest=60),
            "asset_name": columns.prose("asset_name", longest=120),
            "change": columns.prose("change"),
            "description": columns.prose("description"),
        }
    )


def _endpoint(name: str, path: str, parse: object) -> Endpoint:
    return Endpoint(PROVIDER, name, path, parse)  # type: ignore[arg-type]


COINS = _endpoint("coins_list_v2", "/public/coins/list/v2", parse_coins_list)
SERIES = _endpoint("coins_time-series_v2", "/public/coins/{coin}/time-series/v2", parse_time_series)
ENDPOINTS = (
    COINS,
    SERIES,
    _endpoint("coins_list_v1", "/public/coins/list/v1", parse_coins_list),
    _endpoint("coins_coin_v1", "/public/coins/{coin}/v1", parse_coin),
    _endpoint("coins_meta_v1", "/public/coins/{coin}/meta/v1", parse_coin_meta),
    _endpoint("coins_time-series_v1", "/public/coins/{coin}/time-series/v1", parse_time_series),
    _endpoint("topic_v1", "/public/topic/{topic}/v1", parse_topic),
    _endpoint("topic_time-series_v1", "/public/topic/{topic}/time-series/v1", parse_time_series),
    _endpoint("topic_time-series_v2", "/public/topic/{topic}/time-series/v2", parse_time_series),
    _endpoint("topic_news_v1", "/public/topic/{topic}/news/v1", parse_topic_posts),
    _endpoint("topic_posts_v1", "/public/topic/{topic}/posts/v1", parse_topic_posts),
    _endpoint("system_changes", "/public/system/changes", parse_changes),
)


def _largest(frame: pd.DataFrame) -> pd.DataFrame:
    """Of the coins that share a symbol the largest one; the others are not what anybody means."""
    return frame.sort_values("market_cap_rank", kind="stable", na_position="last")


def _series_path(symbol: VenueSymbol) -> str:
    return f"/public/coins/{split_symbol(symbol.canonical)[0]}/time-series/v2"


FEEDS = (
    Feed(
        dataset="sentiment",
        endpoint=SERIES,
        market="index",
        venue=PROVIDER,
        paging=Forward(limit=720, start="start", end="end", stamp=seconds, limit_name=""),
        params=lambda _: {"bucket": "hour"},
        path=_series_path,
        names="coin",
        kind="social",
        bucketed=True,
    ),
    Feed(
        dataset="coin_markets",
        endpoint=COINS,
        market="index",
        venue=PROVIDER,
        paging=Newest(step=timedelta(hours=1)),
        params=lambda _: {"sort": "market_cap_rank", "limit": "1000", "page": "0"},
        per_symbol=False,
        reach=HOUR,
        snapshot=True,
        by_coin=True,
        shape=_largest,
    ),
)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        key=BEARER,
        rates=Rates((Budget("requests", 10, 60.0, keyed=True),)),
        errors=PAID,
        probe=Probe("/public/coins/BTC/v1"),
        whole_url=True,
    ),
)
