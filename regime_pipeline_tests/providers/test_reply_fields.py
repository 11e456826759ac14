"""What raw columns are read from is found out by changing replies, and is what the lineage says."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from regime_pipeline.catalogue.lineage import stored
from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.providers.reply_fields import columns_of_all, read_from
from regime_pipeline_tests.recordings import PAYLOADS, absent

QUICK = ("alternative_me", "coinapi")


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


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason=absent(PAYLOADS))
@pytest.mark.parametrize(
    "name",
    [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SOURCES if n not in QUICK)],
)
def test_the_stored_places_are_those_that_the_parsers_read(name: str) -> None:
    found = columns_of_all([SOURCES[name]], PAYLOADS)
    for table, columns in found.items():
        for column, endpoints in columns.items():
            for endpoint, places in endpoints.items():
                known = stored().replies[table][column].get(endpoint)
                assert known == places, (
                    f"{table}.{column} of {endpoint}: run `python -m "
                    f"regime_pipeline.orchestration.lineage FOLDER`"
                )


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
