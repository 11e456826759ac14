"""The hourly mood of each coin."""

from __future__ import annotations

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.frames import conform, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.sentiment import sentiment_1h
from regime_pipeline.windows import Grid, Window, utc

SOURCES = {"social": "lunarcrush", "news": "news", "trader": "sentiment"}
SYMBOLS = ("BTC/USDT", "ETH/USDT")


def grid(start: str = "2024-01-01 00:00", end: str = "2024-01-01 03:00") -> Grid:
    return Grid.of(Window(utc(start), utc(end)), SYMBOLS)


def row(ts: str, score: float | None, **more: object) -> dict[str, object]:
    at = pd.Timestamp(ts, tz="UTC")
    return {
        "source": "lunarcrush", "sentiment_scope": "symbol", "sentiment_kind": "social",
        "symbol": "BTC/USDT", "item": "aggregate", "ts": at, "sentiment_score": score,
        "mention_count": 10.0, "interaction_count": None, "source_confidence": None,
        "headline": None, "source_tier": 1, "available_at": at + pd.Timedelta(minutes=5),
        "pit_grade": "assumed", **more,
    }  # fmt: skip


def raw(*rows: dict[str, object]) -> pd.DataFrame:
    return conform(pd.DataFrame(list(rows)), table("raw.sentiment"))


def made(*rows: dict[str, object], of: Grid | None = None) -> pd.DataFrame:
    frame = sentiment_1h(raw(*rows), grid=of or grid(), sources=SOURCES)
    which = table("market.sentiment_1h")
    validate(frame, which)
    assert list(frame.columns) == list(which.content)
    return frame.set_index(["symbol", "ts"])


def at(hour: int, symbol: str = "BTC/USDT") -> tuple[str, pd.Timestamp]:
    return symbol, pd.Timestamp(f"2024-01-01 {hour:02d}:00", tz="UTC")


def test_kinds_stay_apart_and_missing_is_null() -> None:
    frame = made(
        row("2024-01-01 00:00", 70),
        row("2024-01-01 00:00", 40, source="sentiment", sentiment_kind="trader"),
        row("2024-01-01 01:00", 60),
    )
    both, one, none = (frame.loc[at(h)] for h in (0, 1, 2))
    assert (both["social_score"], both["trader_score"], both["status"]) == (70, 40, "ok")
    assert (one["status"], one["reason"], one["kinds_present"]) == ("partial", "one_kind_only", 1)
    assert np.isnan(one["trader_score"])
    assert (none["status"], none["reason"], none["kinds_present"]) == ("missing", "not_observed", 0)
    assert frame.loc[at(0, "ETH/USDT"), "status"] == "missing"


def test_another_provider_and_the_whole_market_never_fill_in() -> None:
    frame = made(
        row("2024-01-01 00:00", 70, source="sentiment"),
        row("2024-01-01 00:00", 70, sentiment_scope="market", symbol="*"),
    )
    assert frame["status"].eq("missing").all()


def test_single_posts_of_an_hour_are_put_together() -> None:
    posts = [
        row(f"2024-01-01 00:{m:02d}", s, source="news", sentiment_kind="news", item=str(m),
            mention_count=1.0)
        for m, s in ((5, 80.0), (20, 20.0), (30, None))
    ]  # fmt: skip
    found = made(*posts).loc[at(0)]
    assert (found["news_score"], found["news_mentions"]) == (50, 3)
    reordered = made(*posts[::-1]).loc[at(0)]
    pd.testing.assert_series_equal(found, reordered)


def test_post_counts_when_it_could_first_be_read() -> None:
    """A post of the last minutes of an hour is known after the hour's row had to be made."""
    post = row("2024-01-01 00:58", 80, source="news", sentiment_kind="news", item="1")
    frame = made(post)
    assert np.isnan(frame.loc[at(0), "news_score"])
    assert frame.loc[at(1), "news_score"] == 80


def test_rows_do_not_depend_on_where_the_computation_began() -> None:
    rng = np.random.default_rng(3)
    rows = [
        row(f"2024-01-01 {h:02d}:{m:02d}", float(rng.integers(1, 99)), source="news",
            sentiment_kind="news", item=f"{h}-{m}", mention_count=1.0)
        for h in range(6) for m in (3, 31, 57)
    ]  # fmt: skip
    whole = sentiment_1h(raw(*rows), grid=grid(end="2024-01-01 06:00"), sources=SOURCES)
    parts = [
        sentiment_1h(
            raw(*rows), grid=grid(f"2024-01-01 {a:02d}:00", f"2024-01-01 {b:02d}:00"), sources=SOURCES
        )
        for a, b in ((0, 1), (1, 4), (4, 6))
    ]  # fmt: skip
    joined = pd.concat(parts).sort_values(["symbol", "ts"], ignore_index=True)
    pd.testing.assert_frame_equal(whole, joined)
