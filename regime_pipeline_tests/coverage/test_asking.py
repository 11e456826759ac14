"""What a run over days asks for, from a log and hours that are in the database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd

from regime_pipeline.catalogue import FIELDS, table
from regime_pipeline.catalogue.frames import DTYPES
from regime_pipeline.coverage import store
from regime_pipeline.coverage.answers import APART, ONCE
from regime_pipeline.coverage.asking import Ask, to_ask
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, HOUR, Window, utc

START = utc("2024-05-01")
DAYS = Window(START, START + 3 * DAY)
AT = START + 5 * DAY


def answer(number: int) -> pd.DataFrame:
    """A log row: one source has answered for all days, with rows of the first and the last."""
    row = {
        "fetch_id": f"f{number}",
        "dataset": "candles",
        "source": "okx",
        "venue": "okx",
        "market": "spot",
        "symbol": "BTC/USDT",
        "window_start": DAYS.start,
        "window_end": DAYS.end,
        "fetch_status": "ok",
        "rows_stored": 48,
        "rows_quarantined": 0,
        "request_count": 1,
        "first_row_at": DAYS.start,
        "last_row_at": DAYS.end - HOUR,
        "fetched_at": AT + number * APART,
    }
    frame = pd.DataFrame([row]).astype({c: DTYPES[FIELDS[c].kind] for c in row})
    return frame.reindex(columns=[f for f in table("ops.fetch_log").fields if f != "run_id"])


def test_days_with_missed_hours_are_asked_again_after_a_while_until_they_are_the_venues(
    database: Database, tmp_path: Path
) -> None:
    settings = Settings(
        _env_file=None, database_url=database.url, home=tmp_path,  # type: ignore[call-arg]
        sources=("okx",), symbols=("BTC/USDT",), perp_symbols=(),
    )  # fmt: skip
    warehouse = Warehouse(database)

    def asked_at(now: timedelta) -> list[Window]:
        found = to_ask(
            "candles", DAYS, warehouse=warehouse, settings=settings, now=AT + now,
            symbols=("BTC/USDT",), ask=Ask.OPEN_DAYS,
        )  # fmt: skip
        return [call.window for call in found]

    def refresh(now: timedelta) -> set[tuple[str, str]]:
        store.refresh(warehouse, settings, AT + now, "candles", DAYS)
        spans = store.spans_of(warehouse, DAYS)
        mine = spans[spans["market"] == "spot"]
        return set(zip(mine["coverage_state"], mine["coverage_reason"], strict=True))

    assert asked_at(timedelta(0)) == [DAYS]
    warehouse.record("ops.fetch_log", answer(0), run_id="a")
    assert refresh(timedelta(0)) == {("missed", ONCE)}
    assert asked_at(APART - timedelta(minutes=1)) == []
    assert asked_at(APART) == [DAYS]
    warehouse.record("ops.fetch_log", answer(1), run_id="b")
    assert refresh(APART) == {("venue_had_none", "answered without a row")}
    assert asked_at(3 * APART) == []
