"""What a person is told beside the event, out of stored rows, as it could be known."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.alerts import outcomes
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.alerts.message import facts, message_in
from regime_pipeline.catalogue import FIELDS, Kind, table
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.alerts.receivers import NOW, event, put, settings_for
from regime_pipeline_tests.alerts.test_ledger import stored

HOUR = pd.Timedelta("1h")
LAST = pd.Timestamp("2024-08-05T00:00Z")
"""The hour that the event of ``receivers.event`` is about; it is known an hour later."""
FILL = {Kind.TEXT: "x", Kind.FLOAT: 1.0, Kind.INTEGER: 1, Kind.JSON: "{}", Kind.BOOLEAN: True}


def insert(database, name: str, rows: pd.DataFrame) -> None:
    """Rows of a table; columns that are never null and not given are filled."""
    item = table(name)
    frame = rows.copy()
    for column in (item.required | {"revision", "ingested_at"}) & set(item.fields) - set(frame):
        field = FIELDS[column]
        frame[column] = field.allowed[0] if field.allowed else FILL.get(field.kind, LAST)
    for column in frame:
        if FIELDS[column].kind is Kind.INTEGER:
            frame[column] = frame[column].astype("Int64")
    with database.connect() as conn:
        for month in sorted({f"{ts:%Y-%m-01}" for ts in frame["ts"]}):
            conn.execute("SELECT ops.ensure_partition(%s::regclass, %s)", (name, month))
        columns = ", ".join(frame)
        with conn.cursor() as cursor, cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
            for row in frame.astype(object).itertuples(index=False):
                copy.write_row([None if pd.isna(v) else v for v in row])


def candles(symbol: str, closes: np.ndarray, market: str = "perp") -> pd.DataFrame:
    ts = pd.date_range(end=LAST + HOUR, periods=len(closes), freq="h")
    return pd.DataFrame(
        {
            "market": market,
            "symbol": symbol,
            "ts": ts,
            "venue": "binance",
            "open": closes,
            "high": closes * 1.01,
            "low": closes * 0.99,
            "close": closes,
            "status": "ok",
        }
    )


@pytest.fixture
def world(database):
    closes = np.full(40, 100.0)
    closes[-2], closes[-1] = 90.0, 50.0  # the bar of the event, and one that has not closed yet
    insert(database, "market.candles_1h", candles("BTC/USDT", closes))
    ts = pd.date_range(end=LAST, periods=31 * 24, freq="h")
    rows = pd.DataFrame(
        {"symbol": "BTC/USDT", "ts": ts, "total_liquidation_usd": 2e6, "severity_pct": 1}
    )
    rows.loc[len(rows) - 1, ["total_liquidation_usd", "severity_pct"]] = [50e6, 5]
    rows["severity_pct"] = rows["severity_pct"].astype("Int64")
    insert(database, "features.liquidation_cascades", rows)
    return database


def test_the_message_of_the_night_says_what_a_person_needs(world, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path, ui_url="http://ui.example:3000/")
    earlier = pd.Timestamp("2024-08-04T23:00Z")
    stored(
        world,
        settings,
        event(
            event_id="b" * 64,
            event_type="VOLATILITY_REGIME_CHANGE",
            level="EXTREME",
            ts=earlier,
            known_at=earlier + HOUR,
        ),
    )
    put(world, settings, event(details='{"is_lower_bound":true,"severity_pct":5}'))
    dispatch_due(world, settings, FixedClock(NOW))
    message = message_in(json.loads(receiver.requests[-1][1]))
    told = dict(facts(message))
    assert told["since"] == "2024-08-05 00:00 UTC"
    assert told["state"] == "1 to 5"
    assert told["size"].startswith("25.0 x the median of the 30 days before")
    assert told["price"] == "BTC/USDT 90, -10.0 % in the hour"
    assert told["last 24 h"] == "BTC/USDT -10.0 %, 89.1 to 101"
    assert told["also"] == "VOLATILITY_REGIME_CHANGE EXTREME at 00:00 UTC"
    assert told["bound"].startswith("lower bound")
    assert told["data"] == "live, worst tier 1"
    assert told["false alarms"].startswith("where nothing happens 0.262 a symbol-day")
    assert told["afterwards"].startswith("history is silent: 2 days of history")
    assert message.context["link"] == (
        "http://ui.example:3000/assets/alerts/market_events?partition=2024-08-05"
    )
    with world.connect() as conn:
        kept = conn.execute(
            "SELECT context FROM alerts.event_contexts WHERE event_id = %s", ("a" * 64,)
        ).fetchone()
    assert kept == (message.context,)


def test_an_event_of_which_nothing_is_stored_is_told_all_the_same(database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    told = dict(facts(message_in(json.loads(receiver.requests[0][1]))))
    assert "price" not in told
    assert "size" not in told


def test_a_backfilled_event_reads_no_years(world, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    put(world, settings, event(), suppress="backfill")
    with world.connect() as conn:
        ((context,),) = conn.execute("SELECT context FROM alerts.event_contexts").fetchall()
    assert "followed" not in context
    assert context["prices"][0]["price"] == 90.0


def afterwards(database, receiver, tmp_path, **changes: object) -> str:
    """What the delivered message of an event says of the past."""
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event(**changes))
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    return dict(facts(message_in(json.loads(receiver.requests[-1][1]))))["afterwards"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event_type", "level", "why"),
    [
        (
            "VOLATILITY_REGIME_CHANGE",
            "None",
            "cannot be asked: .*vol_regime_confirmed is a text of",
        ),
        ("FUNDING_ANOMALY", "5", "cannot be asked: .*extreme_level is a text of"),
        ("LIQUIDATION_CASCADE", "none", "cannot be asked: .*severity_pct is an integer"),
        ("CORRELATION_BREAK", "high", "no mart shows CORRELATION_BREAK by symbol"),
    ],
)
def test_an_event_whose_past_cannot_be_asked_is_told_with_the_reason(
    event_type, level, why, database, receiver, tmp_path
):
    told = afterwards(database, receiver, tmp_path, event_type=event_type, level=level)
    assert told.startswith("history is silent: ")
    assert re.search(why, told)


def test_no_error_of_the_question_after_the_past_stops_a_delivery(database, receiver, tmp_path):
    with database.connect() as conn:
        conn.execute("ALTER FUNCTION reporting.outcomes RENAME TO outcomes_away")
    told = afterwards(database, receiver, tmp_path)
    assert told == "history is silent: the question failed: UndefinedFunction"


def test_a_question_that_takes_too_long_is_given_up_and_the_event_is_told(
    database, receiver, tmp_path, monkeypatch
):
    monkeypatch.setattr(outcomes, "LONGEST_S", 0.001)
    told = afterwards(database, receiver, tmp_path)
    assert told == "history is silent: no answer within 0.001 s"
