"""Missed and lacking hours as people read them."""

from __future__ import annotations

import io
import json

import pandas as pd
from rich.console import Console

from regime_pipeline.coverage.words import hours_lines, state_hours, troubled_hours
from regime_pipeline.providers.limits.gate import HostGate
from regime_pipeline.reporting import doctor, terminal
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, utc
from regime_pipeline_tests.reporting.conftest import SYMBOLS

NOW = utc("2024-07-16 00:05")
DAY1 = utc("2024-07-15")
WEEK = Window(NOW - 7 * DAY, NOW)


def spans(*rows: tuple[str, str, str, int, int, str, str | None]) -> pd.DataFrame:
    """Stretches of the day from (dataset, source, symbol, first hour, end, state, reason)."""
    return pd.DataFrame(
        [
            {
                "dataset": dataset,
                "source": source,
                "venue": source,
                "market": "spot",
                "symbol": symbol,
                "span_start": DAY1 + start * HOUR,
                "span_end": DAY1 + end * HOUR,
                "coverage_state": state,
                "coverage_reason": reason,
                "is_forward_only": False,
            }
            for dataset, source, symbol, start, end, state, reason in rows
        ]
    )


TROUBLE = spans(
    ("candles", "binance", "BTC/USDT", 0, 24, "stored", None),
    ("candles", "okx", "BTC/USDT", 3, 7, "missed", "failed: Transient"),
    ("candles", "okx", "ETH/USDT", 3, 7, "missed", "failed: Transient"),
    ("candles", "okx", "SOL/USDT", 9, 10, "missed", "failed: Transient"),
    ("candles", "bybit", "BTC/USDT", 5, 6, "venue_had_none", "answered without a row"),
    ("order_book", "okx", "BTC/USDT", 0, 24, "forward_only", "not recorded while it happened"),
)


def test_stretches_of_one_source_and_reason_are_one_line() -> None:
    frame = TROUBLE.rename(columns={"span_start": "start", "span_end": "end"})
    missed, lacking = hours_lines(frame[frame["coverage_state"].isin(["missed", "venue_had_none"])])
    assert missed.text == (
        "okx spot: 9 h of BTC/USDT, ETH/USDT, SOL/USDT, 2024-07-15 03:00..07:00, "
        "2024-07-15 09:00..10:00 (failed: Transient)"
    )
    assert (lacking.hours, lacking.source) == (1, "bybit")
    assert hours_lines(frame.head(0)) == []


def test_many_stretches_and_symbols_are_counted() -> None:
    rows = [
        ("candles", "okx", f"S{i}/USDT", 2 * i, 2 * i + 1, "missed", "nobody asked")
        for i in range(9)
    ]
    (line,) = hours_lines(spans(*rows).rename(columns={"span_start": "start", "span_end": "end"}))
    assert "9 h of 9 symbols" in line.text
    assert "and 6 more (nobody asked)" in line.text


def test_status_names_source_and_hours_and_every_state(database: Database) -> None:
    Warehouse(database, FixedClock(NOW)).record("ops.coverage_spans", TROUBLE)
    found = troubled_hours(database, WEEK)
    assert [(x.source, x.state, x.hours) for x in found] == [
        ("okx", "missed", 9),
        ("bybit", "venue_had_none", 1),
    ]
    assert state_hours(database, WEEK) == {
        "candles": {"missed": 9, "stored": 24, "venue_had_none": 1},
        "order_book": {"forward_only": 24},
    }
    said = io.StringIO()
    console = Console(file=said, width=200, color_system=None)
    for line in terminal.hour_lines(found):
        console.print(line, soft_wrap=True)
    assert "missed  candles, okx spot: 9 h" in said.getvalue()
    assert "the venue had none  candles, bybit spot: 1 h of BTC/USDT" in said.getvalue()
    assert "none missed" in terminal.hour_lines([])[0]


def test_the_view_has_a_row_an_hour(database: Database) -> None:
    Warehouse(database, FixedClock(NOW)).record("ops.coverage_spans", TROUBLE)
    with database.connect() as connection:
        rows = connection.execute(
            "select symbol, ts, expected, stored, coverage_reason from ops.coverage "
            "where dataset = 'candles' and coverage_state = 'missed' order by 1, 2"
        ).fetchall()
        counts = connection.execute(
            "select coverage_state, count(*), bool_and(expected), bool_or(stored) "
            "from ops.coverage group by 1 order by 1"
        ).fetchall()
    assert len(rows) == 9
    assert rows[0] == ("BTC/USDT", DAY1 + 3 * HOUR, True, False, "failed: Transient")
    assert counts == [
        ("forward_only", 24, False, False),
        ("missed", 9, True, False),
        ("stored", 24, True, True),
        ("venue_had_none", 1, True, False),
    ]


def test_doctor_tells_missed_hours_and_judges_by_the_primary_sources(
    database: Database, tmp_path
) -> None:
    settings = Settings(home=tmp_path, symbols=SYMBOLS, sources=("binance", "okx"), origin="tape")

    def hours() -> doctor.Check:
        found = doctor.examine(
            settings, FixedClock(NOW), gate=HostGate(), database=database, asking=False
        )
        (check,) = (c for c in found.checks if c.name == "raw hours")
        json.dumps(doctor.to_json(found))
        return check

    assert hours().is_ok is True
    warehouse = Warehouse(database, FixedClock(NOW))
    warehouse.record("ops.coverage_spans", TROUBLE)
    told = hours()
    assert told.is_ok is None
    assert "9 h missed in the last 3 days: candles, okx spot: 9 h" in told.detail
    assert "okx" in doctor.needed_sources(settings)  # for liquidations, not for candles
    primary = spans(("candles", "binance", "ETH/USDT", 1, 2, "missed", "nobody asked"))
    warehouse.record("ops.coverage_spans", primary)
    assert hours().is_ok is False
