"""Rows of the fetch log go when nothing is lost by it; what takes disk is counted by table and folder."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from regime_pipeline.catalogue.registry import table
from regime_pipeline.coverage.asked import answered
from regime_pipeline.settings import Settings
from regime_pipeline.storage import retention, usage
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, HOUR, Window, utc
from regime_pipeline_tests.storage.frames import raw_candles

DAY_0 = utc("2024-01-10")
SETTINGS = Settings(fetch_log_days=30)


def fetched(
    start: datetime, end: datetime, *, at: datetime, run: str, status: str = "ok"
) -> dict[str, object]:
    return {
        "fetch_id": f"{run}|{start.isoformat()}|{status}",
        "dataset": "candles",
        "source": "okx",
        "venue": "okx",
        "market": "spot",
        "symbol": "BTC/USDT",
        "endpoint_path": "/candles",
        "window_start": start,
        "window_end": end,
        "fetch_status": status,
        "rows_stored": 1,
        "rows_quarantined": 0,
        "request_count": 2,
        "duration_s": 0.5,
        "fetched_at": at,
        "run_id": run,
    }


def a_day(day: datetime) -> list[dict[str, object]]:
    """An hourly tick's row an hour, and the day as a whole just after its end."""
    hours = [day + n * HOUR for n in range(24)]
    ticks = [
        fetched(h, h + HOUR, at=h + HOUR + timedelta(minutes=2), run=f"tick {h:%d %H}")
        for h in hours
    ]
    return [*ticks, fetched(day, day + DAY, at=day + DAY + HOUR, run=f"day {day:%d}")]


def stored(warehouse: Warehouse, rows: list[dict[str, object]]) -> None:
    fill(warehouse, "ops.fetch_log", rows)


def fill(warehouse: Warehouse, name: str, rows: list[dict[str, object]]) -> None:
    warehouse.record(name, pd.DataFrame(rows).reindex(columns=list(table(name).fields)))


def windows(warehouse: Warehouse) -> dict[tuple[str, str], list[Window]]:
    return answered(warehouse.read("ops.fetch_log"))


def removed(warehouse: Warehouse, now: datetime) -> int:
    due = retention.due(warehouse.database, now, SETTINGS)["fetches"]
    gone = retention.remove_old(warehouse.database, now, SETTINGS)["fetches"]
    assert gone == due
    return gone


def test_repeated_answers_go_and_no_day_is_open_again(warehouse: Warehouse) -> None:
    stored(warehouse, a_day(DAY_0) + a_day(DAY_0 + DAY))
    before = windows(warehouse)
    assert removed(warehouse, DAY_0 + 31 * DAY) == 23  # its last hour was asked for later
    assert removed(warehouse, DAY_0 + 40 * DAY) == 25
    assert windows(warehouse) == before
    assert set(warehouse.read("ops.fetch_log")["run_id"]) == {"day 10", "day 11"}
    days = warehouse.read("ops.fetch_days")
    assert days["fetch_count"].sum() == 48
    assert days["request_count"].sum() == 96
    assert removed(warehouse, DAY_0 + 40 * DAY) == 0
    (kept,) = (
        warehouse.read("ops.retention").query("retention_rule == 'fetches'").to_dict("records")
    )
    assert (kept["kept_days"], kept["removed_count"], kept["removed_total"]) == (30, 0, 48)


def test_what_a_failed_run_would_have_repeated_stays(warehouse: Warehouse) -> None:
    rows = a_day(DAY_0)
    late = fetched(
        DAY_0, DAY_0 + DAY, at=DAY_0 + DAY + HOUR, run=str(rows[-1]["run_id"]), status="failed"
    )
    stored(warehouse, [*rows, late])
    assert removed(warehouse, DAY_0 + 40 * DAY) == 0


def test_hours_in_question_keep_every_answer_about_them(warehouse: Warehouse) -> None:
    stored(warehouse, a_day(DAY_0))
    span = {
        "dataset": "candles",
        "source": "okx",
        "venue": "okx",
        "market": "spot",
        "symbol": "BTC/USDT",
        "span_start": DAY_0 + 5 * HOUR,
        "span_end": DAY_0 + 7 * HOUR,
        "coverage_state": "venue_had_none",
        "is_forward_only": False,
    }
    fill(warehouse, "ops.coverage_spans", [span])
    assert removed(warehouse, DAY_0 + 40 * DAY) == 22
    kept = warehouse.read("ops.fetch_log")["window_start"]
    assert sorted(kept) == [DAY_0, DAY_0 + 5 * HOUR, DAY_0 + 6 * HOUR]


def test_growth_is_told_of_a_symbol_and_year(warehouse: Warehouse, tmp_path: Path) -> None:
    now = DAY_0 + 7 * DAY
    warehouse.merge("raw.candles", raw_candles(Window(DAY_0, now)))
    with warehouse.database.connect(autocommit=True) as connection:
        connection.execute("analyze raw.candles")
        sizes = {f"{r.schema}.{r.name}": r.size_bytes for r in usage.relations_of(connection)}
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "reply").write_bytes(b"x" * 10)
    found = usage.usage(warehouse.database, Settings(home=tmp_path), now)
    (grown,) = found.growth
    assert (grown.table, grown.unit_count, grown.unit) == ("raw.candles", 2, "symbol")
    assert grown.rows_per_day == 48
    of_a_year = 365 * 24 * sizes["raw.candles"] / (7 * 48)
    assert grown.bytes_per_unit_year == pytest.approx(of_a_year)
    (folder,) = found.folders
    assert (folder.path, folder.file_count, folder.size_bytes) == (tmp_path / "landing", 1, 10)
    assert found.schemas["raw"] >= sizes["raw.candles"] > 0
