"""The reporting tables against hand-computed numbers, by real dbt on a real database."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg import sql

from regime_pipeline.catalogue.marts import BUILT
from regime_pipeline.orchestration import dbt_profile
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.storage.roles import ROLES, ensure_roles
from regime_pipeline.windows import FixedClock, Window, hours_between, utc
from regime_pipeline_tests.reporting.conftest import Builder, DbtFailed, write
from regime_pipeline_tests.synthetic import frame_of

BTC = "BTC/USDT"
START = utc("2024-03-01")
HOURS = 200
NEWEST = START + timedelta(hours=HOURS - 1)
LETTERS = {"S": "STABLE", "H": "HIGH_VOL", "X": "EXTREME", ".": None}

pytestmark = pytest.mark.xdist_group("market")


@pytest.fixture
def build(build: Builder) -> Builder:
    """Build the two tables that this file is about, and no more."""
    return partial(build, select=("market_overview", "regime_timeline"))


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def regimes(text: str, first: int = 0, now: str = "2024-03-09") -> tuple[dict, FixedClock]:
    """Volatility rows, one letter an hour; a space is an hour without a row."""
    kept = [(at(first + i), LETTERS[c]) for i, c in enumerate(text) if c != " "]
    labels = pd.Series([c for _, c in kept], dtype="object")
    frame = frame_of(
        "features.volatility_regimes",
        symbol=BTC,
        ts=[t for t, _ in kept],
        vol_regime_confirmed=labels,
        status=np.where(labels.isna(), "missing", "ok"),
    )
    return {"features.volatility_regimes": frame}, FixedClock(utc(now))


def closes(market: str, values: np.ndarray, symbol: str = BTC) -> pd.DataFrame:
    known = np.isfinite(values)
    return frame_of(
        "market.candles_1h",
        market=market,
        symbol=symbol,
        ts=hours_between(START, at(len(values))),
        venue="binance",
        **dict.fromkeys(("open", "high", "low", "close"), values),
        status=np.where(known, "ok", "missing"),
        reason=np.where(known, None, "not_observed"),
    )


def spells(database: Database, columns: str = "from_ts, to_ts, hours, regime, previous_regime"):
    found = rows(
        database,
        f"select {columns} from reporting.regime_timeline where kind = 'volatility' order by from_ts",
    )
    return [tuple(r.values()) for r in found]


def fingerprint(database: Database, table: str) -> dict[tuple, str]:
    """Every row by its text, with the transaction that wrote it."""
    found = rows(database, f"select t::text as row, xmin::text as by from {table} as t")
    return {r["row"]: r["by"] for r in found}


@pytest.fixture
def planted(database: Database) -> Database:
    """200 hours of BTC, and ETH without a newest price."""
    price = 100.0 + np.arange(HOURS)
    eth = price.copy()
    eth[-3:] = np.nan
    hours = hours_between(START, at(HOURS))
    oi = np.full(HOURS, 1000.0)
    oi[-1] = 1100.0
    longs = np.full(HOURS, 10.0)
    longs[-5:-2] = np.nan
    unknown = np.isnan(longs)
    liquidations = frame_of(
        "market.liquidations_1h",
        symbol=BTC,
        ts=hours,
        venue="binance",
        source="coinglass",
        long_liquidations_usd=longs,
        short_liquidations_usd=np.where(unknown, np.nan, 3.0),
        total_liquidation_usd=longs + 3,
        status=np.where(unknown, "missing", "ok"),
    )
    score = frame_of(
        "signals.futures_scores",
        symbol=BTC,
        ts=hours,
        futures_score=[*[60.0] * (HOURS - 1), np.nan],
        futures_signal=[*["NEUTRAL"] * (HOURS - 1), None],
        coverage_pct=[*[90] * (HOURS - 1), 55],
        status=[*["ok"] * (HOURS - 1), "insufficient_history"],
        reason=[*[None] * (HOURS - 1), "insufficient_coverage"],
    )
    breaks = frame_of(
        "correlation.correlation_breaks",
        symbol_a=[BTC, BTC, "ADA/USDT"],
        symbol_b=["ETH/USDT", "SOL/USDT", BTC],
        ts=[NEWEST] * 3,
        rel_drop=[0.6, 0.9, 0.7],
        break_kind=["DROP"] * 3,
        duration_hours=[4, 9, 2],
        event_kind=[None, "end", None],
    )
    event = frame_of(
        "alerts.market_events",
        event_id=["a", "b", "c"],
        ts=[at(10), at(90), NEWEST],
        event_type=["LIQUIDATION_CASCADE", "CORRELATION_BREAK", "FUNDING_ANOMALY"],
        instrument=[BTC, "BTC/USDT|ETH/USDT", "ETH/USDT"],
        kind=["start"] * 3,
        ordinal=[0] * 3,
        alert_severity=["WARNING"] * 3,
        level=["3"] * 3,
        episode_start=[at(10)] * 3,
        # the last one is only known after the newest hour has closed
        known_at=[at(11), at(91), NEWEST + timedelta(hours=2)],
        title=["old", "pair", "too late"],
        details=["{}"] * 3,
    )
    write(
        database,
        {
            "market.candles_1h": pd.concat(
                [
                    closes("spot", price),
                    closes("perp", price * 1.001),
                    closes("spot", eth, "ETH/USDT"),
                ]
            ),
            "market.open_interest": frame_of(
                "market.open_interest",
                symbol=BTC,
                ts=hours,
                venue="binance",
                source="coinglass",
                open_interest_usd=oi,
            ),
            "market.liquidations_1h": liquidations,
            "market.fear_greed": frame_of(
                "market.fear_greed",
                ts=[at(144), at(168)],
                fear_greed=[20.0, 30.0],
                available_at=[at(145), NEWEST + timedelta(hours=1)],
            ),
            "signals.futures_scores": score,
            "correlation.correlation_breaks": breaks,
            "alerts.market_events": event,
            **regimes("S" * 60 + "H" * 100 + "X" * 40)[0],
        },
        FixedClock(NEWEST + timedelta(hours=1)),
    )
    return database


@pytest.mark.slow
def test_overview_equals_numbers_computed_by_hand(planted: Database, build: Builder):
    build(planted)
    found = {r["symbol"]: r for r in rows(planted, "select * from reporting.market_overview")}
    assert set(found) == {BTC, "ETH/USDT"}
    btc, eth = found[BTC], found["ETH/USDT"]

    # closes are 100, 101, ... 299
    assert (btc["ts"], btc["price"], btc["price_status"], btc["price_age_h"]) == (
        NEWEST,
        299,
        "ok",
        0,
    )
    assert btc["price_change_1h_pct"] == pytest.approx(100 * (299 / 298 - 1), rel=1e-12)
    assert btc["price_change_24h_pct"] == pytest.approx(100 * (299 / 275 - 1), rel=1e-12)
    assert btc["price_change_7d_pct"] == pytest.approx(100 * (299 / 131 - 1), rel=1e-12)
    assert btc["basis_bps"] == pytest.approx(10)
    assert btc["data_origin"] == "live"
    assert btc["vol_regime_confirmed"] == "EXTREME"
    # 21 of the last 24 hours were observed, and sums are not scaled up
    assert btc["liquidations_24h_hours"] == 21
    assert (btc["long_liquidations_24h_usd"], btc["short_liquidations_24h_usd"]) == (210, 63)
    assert btc["long_liquidations_1h_usd"] == 10
    assert btc["open_interest_usd_change_24h_pct"] == pytest.approx(10)
    assert btc["open_interest_base_change_24h_pct"] is None
    # the second value is out only at the instant at which the row decides
    assert (btc["fear_greed"], btc["fear_greed_status"], btc["fear_greed_age_h"]) == (
        None,
        "stale",
        55,
    )
    # the largest drop belongs to an episode that ended in this hour
    assert (btc["correlation_break_with"], btc["correlation_rel_drop"]) == ("ADA/USDT", 0.7)
    assert (eth["correlation_break_with"], eth["correlation_break_hours"]) == (BTC, 4)
    assert (btc["last_event_title"], btc["last_event_at"]) == ("pair", at(91))
    assert eth["last_event_title"] == "pair"


@pytest.mark.slow
def test_unknown_stays_null_and_says_why_and_since_when(planted: Database, build: Builder):
    build(planted)
    found = {r["symbol"]: r for r in rows(planted, "select * from reporting.market_overview")}
    eth, btc = found["ETH/USDT"], found[BTC]
    assert (eth["price"], eth["price_status"], eth["price_reason"]) == (
        None,
        "missing",
        "not_observed",
    )
    assert eth["price_age_h"] == 3
    assert eth["price_change_24h_pct"] is None
    assert eth["basis_bps"] is None
    for block in ("volatility", "regime", "funding", "futures"):
        assert (eth[f"{block}_status"], eth[f"{block}_reason"]) == (
            "missing",
            "no_row_for_this_hour",
        )
    assert eth["long_liquidations_24h_usd"] is None
    assert eth["liquidations_24h_hours"] == 0
    assert (btc["futures_score"], btc["futures_signal"]) == (None, None)
    assert (btc["futures_status"], btc["futures_coverage_pct"]) == ("insufficient_history", 55)
    assert btc["futures_age_h"] == 1
    assert (btc["funding_rate_8h"], btc["funding_status"]) == (None, "missing")


@pytest.mark.slow
def test_timeline_spells_their_prices_and_their_gaps(database: Database, build: Builder):
    frames, now = regimes("SSSHH..HHH HHX")
    price = 100.0 + 10 * np.arange(14)
    price[5] = np.nan
    write(database, {"market.candles_1h": closes("spot", price), **frames}, now)
    build(database)
    assert spells(database) == [
        (at(0), at(3), 3, "STABLE", None),
        (at(3), at(5), 2, "HIGH_VOL", "STABLE"),
        (at(5), at(7), 2, None, "HIGH_VOL"),
        (at(7), at(10), 3, "HIGH_VOL", None),  # not joined with the spell before the gap
        (at(10), at(11), 1, None, "HIGH_VOL"),  # an hour without a row is unknown too
        (at(11), at(13), 2, "HIGH_VOL", None),
        (at(13), None, 1, "EXTREME", "HIGH_VOL"),
    ]
    prices = spells(database, "price_start, price_end, return_pct, status")
    assert prices[0] == (100, 130, pytest.approx(30), "ok")
    assert prices[1] == (130, None, None, "ok")  # nobody saw the price at which it ended
    assert prices[2] == (None, 170, None, "missing")
    assert prices[6] == (230, 230, 0, "ok")  # open: up to the newest close


@pytest.mark.slow
def test_building_twice_writes_nothing(planted: Database, build: Builder):
    tables = ("reporting.market_overview", "reporting.regime_timeline")
    build(planted)
    before = [fingerprint(planted, t) for t in tables]
    assert all(before)
    build(planted)
    assert [fingerprint(planted, t) for t in tables] == before
    build(planted, Window(at(100), at(124)))
    assert [fingerprint(planted, t) for t in tables] == before


@pytest.mark.slow
def test_least_roles_suffice_to_build_and_to_read(
    database: Database, build: Builder, tmp_path: Path
):
    frames, now = regimes("SSHH")
    write(database, {"market.candles_1h": closes("spot", np.full(4, 50.0)), **frames}, now)
    prefix = f"t{secrets.token_hex(4)}"
    with database.connect() as connection:
        roles = ensure_roles(connection, database.url, tmp_path, prefix=prefix)
    try:
        build(Database(roles.urls["pipeline"]))
        reader = Database(roles.urls["bi"])
        assert len(rows(reader, "select * from reporting.regime_timeline")) == 2
        assert rows(reader, "select price from reporting.market_overview") == [{"price": 50}]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(reader, "select * from market.candles_1h")
    finally:
        with database.connect() as connection:
            for role in ROLES:
                name = sql.Identifier(f"{prefix}_{role}")
                connection.execute(sql.SQL("reassign owned by {} to current_user").format(name))
                connection.execute(sql.SQL("drop owned by {}").format(name))
                connection.execute(sql.SQL("drop role {}").format(name))


@pytest.mark.slow
def test_a_rebuilt_window_leaves_the_spells_outside_alone(database: Database, build: Builder):
    first, now = regimes("SSSSSHHHHHSSSSSHHHHHXXXXXSSSSS")
    write(database, {"market.candles_1h": closes("spot", np.full(30, 100.0)), **first}, now)
    build(database)
    before = fingerprint(database, "reporting.regime_timeline")

    # the stored hours 11 and 12 become EXTREME; hour 2 changes too, but lies outside the window
    write(database, regimes("XX", 11)[0], now)
    write(database, regimes("X", 2)[0], now)
    build(database, Window(at(11), at(13)))

    assert [(a, b, r) for a, b, _, r, _ in spells(database)] == [
        (at(0), at(5), "STABLE"),
        (at(5), at(10), "HIGH_VOL"),
        (at(10), at(11), "STABLE"),
        (at(11), at(13), "EXTREME"),
        (at(13), at(15), "STABLE"),
        (at(15), at(20), "HIGH_VOL"),
        (at(20), at(25), "EXTREME"),
        (at(25), None, "STABLE"),
    ]
    after = fingerprint(database, "reporting.regime_timeline")
    kept = {row for row, by in before.items() if after.get(row) == by}
    assert len(kept) == len(before) - 1  # only the spell that held the window was touched


@pytest.mark.slow
def test_windows_in_any_order_equal_one_build(database: Database, build: Builder):
    text = "SSHHHHHHHH..SSSS  SXXXHHS"
    price = closes("spot", 100.0 + np.arange(len(text)))
    for start, end in ((18, len(text)), (0, 7), (7, 18)):
        frames, now = regimes(text[start:end], start)
        write(database, {"market.candles_1h": price.iloc[start:end], **frames}, now)
        build(database, Window(at(start), at(end)))
    pieces = spells(database, "*")
    build(database, full_refresh=True)
    assert pieces == spells(database, "*")


@pytest.mark.slow
def test_without_a_window_what_is_new_is_added(database: Database, build: Builder):
    price = closes("spot", np.full(14, 50.0))
    frames, now = regimes("SSSSHH")
    write(database, {"market.candles_1h": price, **frames}, now)
    build(database)
    write(database, regimes("HHHX", 6)[0], now)
    build(database)
    assert [(a, b, r) for a, b, _, r, _ in spells(database)] == [
        (at(0), at(4), "STABLE"),
        (at(4), at(9), "HIGH_VOL"),
        (at(9), None, "EXTREME"),
    ]


@pytest.mark.slow
def test_synthetic_rows_outside_a_simulated_database_fail_the_build(
    database: Database, build: Builder
):
    made = closes("spot", np.full(4, 50.0)).assign(source_tier=9)
    write(database, {"market.candles_1h": made}, FixedClock(at(4)))
    with pytest.raises(DbtFailed, match="Got 1 result"):
        build(database, select=("market_overview",))


@pytest.mark.slow
def test_a_window_that_is_no_instant_is_refused(database: Database, build: Builder):
    with pytest.raises(DbtFailed, match="REGIME_WINDOW_START is no ISO date"):
        build(database, extra={dbt_profile.WINDOW_START: "now(); drop"})


def test_columns_are_described_in_the_database(market: Database):
    found = rows(
        market,
        "select count(*) as n, count(col_description(attrelid, attnum)) as described "
        "from pg_attribute where attrelid = 'reporting.market_overview'::regclass and attnum > 0",
    )[0]
    assert found["n"] == found["described"] > 60


@pytest.mark.slow
def test_every_model_does_what_its_unit_tests_say(market: Database, market_build: Builder):
    held = market_build.unit_tests(market)
    for mart in BUILT:
        assert any(name.startswith(mart.name) for name in held), mart.name
