"""Questions to the marts are answered by indexes and by the months that they are about, not by reading all.

Small tables are read whole because that is cheapest; here it is forbidden, so that a plan that still does
so has no index to use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.marts import MARTS, READ_IN_ORDER
from regime_pipeline.catalogue.model import Mart
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, Window
from regime_pipeline_tests.reporting.conftest import WINDOW

pytestmark = pytest.mark.xdist_group("market")

OF_EVERYTHING = {"restatements", "restated_announcements"}
"""Marts about replaced versions of all tables; who asks one of them asks all of it."""
READ_WHOLE = {
    "correlation_breaks": "an episode's begin is known when its rows have been read",
    "funding_prints_1h": "the hour of a print is worked out of its instant",
    "regime_timeline": "a row a spell: thousands in years",
    "webhook_logs": "a row an attempt to deliver",
    "quality_scores": "a row a table and day",
}
"""Marts that are read whole for their newest rows, and why that is no harm or no choice."""
FEW_BEFORE = {
    "market.candles_1h": "two markets",
    "signals.model_predictions": "a dozen models",
}
"""Tables shown as they are whose key has something before the symbol, and why it may stand there."""
ASKED = [m for m in MARTS.values() if m.time_column and m.name not in OF_EVERYTHING]
MONTH = re.compile(r"_y(\d{4})m(\d{2})$")


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """Every node of a plan."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def planned(database: Database, question: str, *forbidden: str) -> list[dict[str, Any]]:
    """The nodes of a question's plan where some ways of answering are dearer than all others."""
    with database.connect() as connection, connection.transaction():
        for way in forbidden:
            connection.execute(f"set local enable_{way} = off")
        row = connection.execute(f"explain (format json) {question}").fetchone()
    assert row is not None
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return list(nodes(found[0]["Plan"]))


def of_symbol(mart: Mart) -> str:
    pair = dict(zip(mart.symbol_columns, ("BTC/USDT", "ETH/USDT"), strict=False))
    return " and ".join(f"{column} = '{value}'" for column, value in pair.items())


def months(found: list[dict[str, Any]]) -> set[tuple[int, int]]:
    names = (MONTH.search(n.get("Relation Name", "")) for n in found)
    return {(int(m[1]), int(m[2])) for m in names if m}


@pytest.mark.parametrize("mart", [m for m in ASKED if m.symbol_columns], ids=lambda m: m.name)
def test_a_symbol_s_days_are_found_by_index_in_their_months(mart: Mart, market: Database) -> None:
    days = Window(WINDOW.end - 3 * DAY, WINDOW.end - DAY)
    found = planned(
        market,
        f"select * from {mart.full_name} where {of_symbol(mart)} "
        f"and {mart.time_column} >= '{days.start}' and {mart.time_column} < '{days.end}'",
        "seqscan",
    )
    assert [n["Relation Name"] for n in found if n["Node Type"] == "Seq Scan"] == []
    if mart.time_column == "ts" and mart.name not in READ_WHOLE:
        assert months(found) <= {(2024, 7)}


@pytest.mark.parametrize(
    "mart", [m for m in ASKED if m.name not in READ_WHOLE], ids=lambda m: m.name
)
def test_the_newest_rows_of_all_symbols_are_found_without_sorting_all(
    mart: Mart, market: Database
) -> None:
    found = planned(
        market,
        f"select * from {mart.full_name} order by {mart.time_column} desc limit 100",
        "seqscan",
        "sort",
    )
    sorts = [n for n in found if n["Node Type"] == "Sort"]
    # a table without a month is a row of nothing, which may be sorted
    assert [n for n in sorts if n["Plans"][0]["Node Type"] != "Result"] == []


def test_a_symbol_among_many_has_an_index_that_begins_with_it() -> None:
    shown = {name for name, _ in READ_IN_ORDER if TABLES[name].symbol_columns}
    lacking = set()
    for name in shown:
        item = TABLES[name]
        ways = [item.key, *item.indexes]
        first = item.symbol_columns
        if not any(way[: len(first)] == first or way[0] in first for way in ways):
            lacking.add(name)
    assert lacking == set(FEW_BEFORE)
