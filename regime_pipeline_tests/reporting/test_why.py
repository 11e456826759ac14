"""``reporting.why``: from a published number to the rows and replies that it is made of."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from regime_pipeline.catalogue.lineage import stored
from regime_pipeline.orchestration import lineage
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.reporting.why import payloads, tree_lines, why
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.storage.roles import ensure_roles
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import HOUR, FixedClock, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.reporting import world
from regime_pipeline_tests.reporting.test_questions import dropped

START, END = utc("2024-06-01"), utc("2024-06-03")
AT = END - HOUR
SYMBOLS = ("BTC/USDT", "ETH/USDT")
REPLY = b'{"symbol": "BTCUSDT", "fundingRate": "0.0001"}'


@pytest.fixture(scope="module")
def small(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Two days of two symbols; funding rates come from one reply, and one of them was restated."""
    landed = LandingStore(str(tmp_path_factory.getbasetemp() / "landing")).put(REPLY)
    with postgres.database() as fresh:
        clock = FixedClock(END)
        warehouse = Warehouse(fresh, clock)
        frames = world.make(START, END, SYMBOLS)
        for name in ("market.candles_1h", "market.funding", "features.funding_prints",
                     "features.funding_anomalies", "correlation.asset_correlations"):  # fmt: skip
            warehouse.merge(name, frames[name])
        rates = world.raw(START, END, SYMBOLS)["raw.funding_rates"]
        rates["payload_id"] = landed.payload_id
        warehouse.merge("raw.funding_rates", rates)
        later = Warehouse(fresh, FixedClock(END + HOUR))
        later.merge("raw.funding_rates", rates.assign(funding_rate=0.0003).iloc[[5]])
        yield fresh


@pytest.fixture(scope="module")
def landing(small: Database, tmp_path_factory: pytest.TempPathFactory) -> LandingStore:
    """Where the reply of the small database is kept."""
    return LandingStore(str(tmp_path_factory.getbasetemp() / "landing"))


def test_a_published_number_leads_to_the_reply_of_the_provider(
    small: Database, landing: LandingStore
) -> None:
    steps = why(small, "funding_1h", "BTC/USDT", AT, "rate_8h")
    assert [s["input_table"] for s in steps][:5] == [
        "reporting.funding_1h",
        "features.funding_anomalies",
        "features.funding_prints",
        "market.funding",
        "raw.funding_rates",
    ]
    assert [s["depth"] for s in steps[:5]] == [0, 1, 2, 3, 4]
    assert [s["made_for"] for s in steps[:5]] == [None, 1, 2, 3, 4]
    number, row, raw = steps[0], steps[1], steps[4]
    assert number["value"] == row["value"] == {"rate_8h": number["value"]["rate_8h"]}
    assert (row["columns"], row["row_key"]["symbol"]) == (["rate_8h"], "BTC/USDT")
    assert (raw["source"], raw["venue"], raw["source_tier"]) == ("binance_futures", "binance", 1)
    assert raw["revision"] == 1  # it was restated once
    assert raw["ingested_at"] == END + HOUR
    assert raw["row_key"]["ts"] == "2024-06-02T16:00:00+00:00"
    found = payloads(small, landing, steps, bytes_shown=12)
    assert [(p["begin"], p["byte_count"], p["error"]) for p in found] == [
        (REPLY[:12], len(REPLY), None)
    ]
    line = list(tree_lines(steps))[4]
    assert "payload" in line
    assert "funding_rate from [].fundingRate of binance_futures" in line


def test_what_is_not_there_is_said_with_a_reason(small: Database) -> None:
    steps = why(small, "funding_1h", "BTC/USDT", AT, "rate_8h")
    absent = [s for s in steps if s["row_key"] is None]
    assert {s["input_table"] for s in absent} >= {"market.funding_predicted_1h"}
    assert {s["note"] for s in absent} == {"no row of it in this history"}
    assert why(small, "funding_1h", "BTC/USDT", utc("2020-01-01"), "rate_8h") == []


@pytest.mark.slow
def test_a_pair_leads_to_both_of_its_symbols_and_no_other(small: Database) -> None:
    steps = why(small, "correlation_pairs_1h", "BTC/USDT|ETH/USDT", AT, "corr_7d")
    candles = [s for s in steps if s["input_table"] == "market.candles_1h"]
    assert [s["row_key"]["symbol"] for s in candles] == ["BTC/USDT", "ETH/USDT"]
    assert {s["history_rows"] for s in candles} == {48}
    assert {s["row_key"]["market"] for s in candles} == {"spot"}


def test_no_input_is_later_than_the_row_that_is_made_of_it(small: Database) -> None:
    steps = why(small, "funding_1h", "ETH/USDT", START + 30 * HOUR, None)
    times = {s["step"]: datetime.fromisoformat(s["row_key"]["ts"]) for s in steps if s["row_key"]}
    later = [
        s
        for s in steps
        if s["row_key"] and s["made_for"] and times[s["step"]] >= times[s["made_for"]] + HOUR
    ]
    assert len(times) > 3
    assert later == []


def test_readers_may_ask_and_still_read_no_table_below(small: Database, tmp_path: Path) -> None:
    prefix = f"t{secrets.token_hex(4)}"
    with small.connect() as connection:
        roles = ensure_roles(connection, small.url, tmp_path, prefix=prefix)
    for role in ("bi", "api"):
        reader = Database(roles.urls[role])
        assert len(why(reader, "funding_1h", "BTC/USDT", AT, "rate_8h")) > 4
        for refused in ("nonsense", "funding_1h as r; select"):
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                why(reader, refused, "BTC/USDT", AT, None)
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            why(reader, "funding_1h", "BTC/USDT", AT, "rate_8h from raw.candles")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(reader, "select * from raw.funding_rates")
        reader.close()
    dispatcher = Database(roles.urls["dispatcher"])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        why(dispatcher, "funding_1h", "BTC/USDT", AT, None)
    dispatcher.close()
    dropped(small, prefix)


def test_the_stored_lineage_is_that_of_the_code() -> None:
    found = stored()
    assert found.tables == lineage.table_edges(), "run make docs"
    assert found.made_of == lineage.made_of(), "run make docs"


def test_columns_are_traced_through_renames_lists_and_scalar_queries() -> None:
    traced = lineage.trace(
        {
            "made": "with c as (select symbol, ts, close from market.candles_1h) "
            "select c.symbol, 2 * c.close as twice, v.name, v.score, f.n from c "
            "cross join lateral (values ('a', c.close), ('b', c.ts)) as v (name, score) "
            "cross join lateral (select count(x.status) as n from market.open_interest as x "
            "where x.ts = c.ts) as f"
        }
    )["made"]
    assert traced["symbol"] == {"market.candles_1h": ("symbol",)}
    assert traced["twice"] == {"market.candles_1h": ("close",)}
    assert traced["name"] == {}
    assert traced["score"] == {"market.candles_1h": ("ts", "close")}
    assert traced["n"]["market.open_interest"] == ("status",)
