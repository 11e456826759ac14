"""News posts in the manner of CryptoPanic: headlines with votes.

The token goes into the query, the only place it is taken; the reply's ``next`` link carries it again.
So that link is only a sign that there are more pages: they are asked for by number, here. Version 1
lists ``currencies``, version 2 ``instruments``; votes come with the larger plans only.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document, member, objects_in, rows_of
from regime_pipeline.providers.errors import PAID
from regime_pipeline.providers.paging import Numbered
from regime_pipeline.providers.readings import CURSOR, Context
from regime_pipeline.providers.source import Endpoint, Feed, KeyCarrier, Probe, Source
from regime_pipeline.providers.symbols import VenueSymbol

PROVIDER = "news"
REACH = timedelta(days=3)
"""No full history is kept by the provider; a listing beyond this is not complete."""


def parse_posts(body: bytes, ctx: Context) -> pd.DataFrame:
    """Posts: ts, item (the post's id), headline, coins, sentiment_score from votes, reason.

    The score is the positive share of positive and negative votes, in percent; null without either.

    Raises:
        ContractViolation: no list ``results``.
    """
    loaded = document(body)
    found = rows_of(member(loaded, "results"), what="results")
    flat: list[object] = []
    for row in found:
        if not isinstance(row, dict):
            flat.append(row)
            continue
        votes = objects_in([row.get("votes")])[0]
        flat.append({**row, "positive": votes.get("positive"), "negative": votes.get("negative")})
    columns = Columns.objects(flat, ("id", "title", "published_at"), ("positive", "negative"))
    titles = columns.prose("title")
    columns.fail_where(np.asarray(titles.isna()), "title: no text")
    positive, negative = (columns.number(n, optional=True) for n in ("positive", "negative"))
    columns.fail_where((positive < 0) | (negative < 0), "votes: below zero")
    votes_cast = positive + negative
    score = np.full(columns.count, np.nan)
    np.divide(100.0 * positive, votes_cast, out=score, where=votes_cast > 0)
    out = columns.frame(
        {
            "ts": columns.iso("published_at", ctx),
            "item": columns.label("id", longest=80),
            "headline": titles,
            "coins": pd.Series([_coins(row) for row in flat], dtype="str"),
            "sentiment_score": score,
            "mention_count": np.ones(columns.count),
            "interaction_count": votes_cast,
        }
    )
    if isinstance(loaded, dict) and isinstance(loaded.get("next"), str) and loaded["next"]:
        out.attrs[CURSOR] = "next"
    return out


def _coins(row: object) -> str | None:
    """Codes of the coins that a post names, sorted; null for a post about none."""
    if not isinstance(row, dict):
        return None
    listed = row.get("currencies") or row.get("instruments")
    codes = {
        item["code"].upper()
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict) and isinstance(item.get("code"), str)
        and item["code"].isalnum() and len(item["code"]) <= 20
    }  # fmt: skip
    return ",".join(sorted(codes)) or None


def _about_none(frame: pd.DataFrame) -> pd.DataFrame:
    """Posts that name no coin: the market as a whole."""
    return frame.loc[frame["coins"].isna()].reset_index(drop=True)


POSTS = Endpoint(PROVIDER, "posts", "/posts/", parse_posts)
ENDPOINTS = (POSTS,)
_PAGING = Numbered(step=timedelta(hours=1), limit_name="")


def _params(symbol: VenueSymbol) -> dict[str, str]:
    asked = {"kind": "news", "public": "true", "regions": "en"}
    return {**asked, "currencies": symbol.name} if symbol.name else asked


FEEDS = (
    Feed(
        dataset="sentiment",
        endpoint=POSTS,
        market="index",
        venue=PROVIDER,
        paging=_PAGING,
        params=_params,
        names="coin",
        kind="news",
        reach=REACH,
    ),
    Feed(
        dataset="sentiment",
        endpoint=POSTS,
        market="index",
        venue=PROVIDER,
        paging=_PAGING,
        params=_params,
        kind="news",
        reach=REACH,
        per_symbol=False,
        shape=_about_none,
    ),
)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        key=KeyCarrier(param="auth_token"),
        errors=PAID,
        probe=Probe("/posts/", {"kind": "news", "public": "true", "regions": "en"}),
        whole_url=True,
    ),
)
