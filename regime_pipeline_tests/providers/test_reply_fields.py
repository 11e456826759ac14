"""What raw columns are read from is found out by changing replies, and is what the lineage says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.testclient import TestClient

from regime_pipeline.catalogue.lineage import Replies, stored
from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.fetch.stream import NO_SERIES
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.providers.reply_fields import columns_of_all, read_from, rows_of, zip_of
from regime_pipeline.simulator.app import build_app
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.recordings import PAYLOADS, absent
from regime_pipeline_tests.simulator.asking import NOW
from regime_pipeline_tests.simulator.replies import small_market, write

QUICK = ("alternative_me", "coinapi")
UNTOLD = {
    (
        "liquidations",
        "okx/public_liquidation-orders",
    ): "single closures become hours of what was asked",
    ("liquidations", "hyperliquid/node_fills_by_block"): "the same",
    ("liquidation_events", "hyperliquid/node_fills_by_block"): "a file of many documents, not one",
    (
        "derivatives_1d",
        "coinglass/futures_orderbook_aggregated-ask-bids-history",
    ): "no day is simulated",
}
"""Feeds of whose columns no place is known, and why."""


def parse(document: Any) -> pd.DataFrame:
    """Bars as lists and a number beside them; a bar whose high is too low is bad."""
    if document["code"] != "0":
        raise ContractViolation("an error")
    frame = pd.DataFrame(document["rows"], columns=["at", "open", "high", "note"])
    prices = frame[["open", "high"]].astype(float)
    return pd.DataFrame(
        {
            "ts": pd.to_datetime(frame["at"], unit="ms", utc=True),
            "open": prices["open"],
            "high": prices["high"],
            "spread": prices["high"] - prices["open"],
            "size": document["size"],
            "reason": pd.Series([None] * len(frame), dtype="str").mask(
                prices["high"] < prices["open"], "high: below open"
            ),
        }
    )


def test_columns_are_told_by_what_changes_them() -> None:
    document = {
        "code": "0",
        "size": 7,
        "rows": [
            [1_720_000_000_000, "10.0", "10.0", "x"],
            [1_720_003_600_000, "11.0", "12.5", "y"],
        ],
    }
    assert read_from(parse, document) == {
        "ts": ("rows[][0]",),
        "open": ("rows[][1]",),
        "high": ("rows[][2]",),
        "spread": ("rows[][1]", "rows[][2]"),
        "size": ("size",),
    }


def test_a_table_in_a_zip_is_told_by_its_header_and_numbered_members_are_alike() -> None:
    packed = zip_of([{"calc_time": "1720000000000", "last_funding_rate": "0.0001"}])
    assert rows_of(packed) == [{"calc_time": "1720000000000", "last_funding_rate": "0.0001"}]
    assert rows_of(zip_of([["1720000000000", "1.5"]])) == [["1720000000000", "1.5"]]

    def prices(document: Any) -> pd.DataFrame:
        return pd.DataFrame({"price": [row[0] for row in document["data"].values()]})

    assert read_from(prices, {"data": {"31866.4": [1.5], "32201": [2.5]}}) == {
        "price": ("data.*[]",)
    }


def compare(found: Replies) -> int:
    """Every place is the stored one; how many columns were looked at."""
    compared = 0
    for table, columns in found.items():
        for column, endpoints in columns.items():
            for endpoint, places in endpoints.items():
                known = stored().replies[table][column].get(endpoint)
                assert known == places, (
                    f"{table}.{column} of {endpoint}: the head of orchestration/lineage.py says what to run"
                )
                compared += 1
    return compared


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason=absent(PAYLOADS))
@pytest.mark.parametrize(
    "name",
    [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SOURCES if n not in QUICK)],
)
def test_the_stored_places_are_those_that_the_parsers_read(name: str) -> None:
    compare(columns_of_all([SOURCES[name]], [PAYLOADS]))


@pytest.mark.slow
@pytest.mark.skipif(not PAYLOADS.is_dir(), reason=absent(PAYLOADS))
def test_where_no_reply_is_recorded_the_simulated_one_tells(tmp_path: Path) -> None:
    told = {e for of in stored().replies.values() for c in of.values() for e in c}
    by_recording = columns_of_all(SOURCES.values(), [PAYLOADS])
    recorded = {e for of in by_recording.values() for c in of.values() for e in c}
    market = small_market()
    with TestClient(build_app(market, FixedClock(NOW))) as web:
        write(tmp_path, web, market, without=recorded)
    found = columns_of_all(SOURCES.values(), [tmp_path])
    assert compare(found) > 60
    assert {e for of in found.values() for c in of.values() for e in c} == told - recorded


def test_feeds_of_which_no_place_is_known_are_few_and_have_a_reason() -> None:
    told = {(table, e) for table, of in stored().replies.items() for c in of.values() for e in c}
    unknown = {
        (feed.dataset, f"{source.name}/{feed.endpoint.name}")
        for source in SOURCES.values()
        for feed in source.feeds
        if feed.part not in NO_SERIES
        and (f"raw.{feed.dataset}", f"{source.name}/{feed.endpoint.name}") not in told
    }
    assert unknown == set(UNTOLD)


def test_places_are_known_of_columns_that_there_are_and_of_most_datasets() -> None:
    replies = stored().replies
    for table, columns in replies.items():
        assert set(columns) <= set(TABLES[table].fields)
        assert {e.split("/")[0] for of in columns.values() for e in of} <= set(SOURCES)
    assert {"raw.candles", "raw.funding_rates", "raw.open_interest", "raw.positioning"} <= set(
        replies
    )
    assert stored().told_by("raw.candles", "close", "bybit") == ("result.list[][4]",)
    assert stored().told_by("raw.candles", "close", "nobody") == ()
