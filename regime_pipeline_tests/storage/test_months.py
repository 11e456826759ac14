"""A closed month leaves the database and comes back, and reads and hashes do not notice."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from regime_pipeline.storage.crash import MOVING
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.months import MovedOutError
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, FixedClock, Window, utc
from regime_pipeline_tests.storage.frames import raw_candles

NAME = "raw.candles"
MARCH, APRIL = utc("2024-03-01"), utc("2024-04-01")
WINDOW = Window(MARCH - 2 * DAY, APRIL + 2 * DAY)
WHERE = {"timeframe": "1h"}


@pytest.fixture
def stored(database: Database, tmp_path: Path) -> Warehouse:
    warehouse = Warehouse(database, FixedClock(utc("2024-08-01")), landing=str(tmp_path))
    rows = raw_candles(WINDOW)
    rows.loc[::7, "taker_buy_base"] = 1.5
    warehouse.merge(NAME, rows)
    return warehouse


def reads(warehouse: Warehouse) -> list[pd.DataFrame]:
    border = Window(APRIL - DAY, APRIL + DAY)
    return [
        warehouse.read(NAME),
        warehouse.read(NAME, border, symbols=["BTC/USDT"], columns=["close", "ts"], where=WHERE),
        warehouse.read(NAME, Window(MARCH, MARCH + DAY), symbols=["ETH/USDT"]),
        warehouse.read(NAME, border, symbols=[]),
        warehouse.read(NAME, Window(APRIL, APRIL + DAY), where={"source": "nobody"}),
    ]


def rows_in_database(database: Database) -> int:
    with database.connect() as connection:
        row = connection.execute("select count(*) from raw.candles").fetchone()
    assert row is not None
    return int(row[0])


def test_a_month_that_is_out_is_read_as_if_it_were_in_and_comes_back_the_same(
    stored: Warehouse, tmp_path: Path
) -> None:
    database = stored.database
    # another process, which read before and does not know that the month leaves
    other = Warehouse(database, FixedClock(utc("2024-08-01")), landing=str(tmp_path))
    before, whole, count = reads(other), other.content_hash(NAME), rows_in_database(database)
    assert stored.movable_months(NAME, APRIL) == [utc("2024-02-01"), MARCH]
    moved = stored.move_out(NAME, MARCH)
    assert moved is not None
    assert moved.row_count == 2 * 24 * 31
    assert rows_in_database(database) == count - moved.row_count
    for warehouse in (other, stored):
        for now, then in zip(reads(warehouse), before, strict=True):
            pd.testing.assert_frame_equal(now, then)
        assert warehouse.content_hash(NAME) == whole
    assert stored.move_out(NAME, MARCH) is None
    assert stored.move_in(NAME, MARCH) == moved
    for now, then in zip(reads(other), before, strict=True):
        pd.testing.assert_frame_equal(now, then)
    assert rows_in_database(database) == count
    assert stored.moved_months(NAME) == []
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_month_that_is_out_is_not_written_and_its_neighbours_are(stored: Warehouse) -> None:
    stored.move_out(NAME, MARCH)
    whole = stored.content_hash(NAME)
    last = Window(APRIL - DAY, APRIL)
    fresh = Warehouse(stored.database, stored.clock)
    for warehouse in (stored, fresh):
        with pytest.raises(MovedOutError, match="regime storage move-in 2024-03"):
            warehouse.merge(NAME, raw_candles(last, price=50.0))
        with pytest.raises(MovedOutError, match="move-in"):
            warehouse.merge(NAME, raw_candles(last).iloc[:0], mode="replace", window=last)
    assert stored.content_hash(NAME) == whole
    april = Window(APRIL, APRIL + DAY)
    assert stored.merge(NAME, raw_candles(april, price=50.0)).updated > 0
    with pytest.raises(MovedOutError, match="not known here"):
        fresh.read(NAME, last)
    assert len(fresh.read(NAME, april)) == 48


def test_a_file_that_is_gone_or_damaged_is_an_error_and_no_empty_month(
    stored: Warehouse, tmp_path: Path
) -> None:
    stored.move_out(NAME, MARCH)
    (path,) = tmp_path.rglob("*.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for call in (lambda: stored.read(NAME), lambda: stored.move_in(NAME, MARCH)):
        with pytest.raises(MovedOutError, match="damaged"):
            call()
    path.unlink()
    with pytest.raises(MovedOutError, match="not there"):
        stored.read(NAME, Window(MARCH, MARCH + timedelta(hours=1)))
    path.write_bytes(whole)
    assert stored.move_in(NAME, MARCH) is not None


def test_tables_that_others_read_stay(stored: Warehouse) -> None:
    with pytest.raises(ValueError, match="stay in the database"):
        stored.move_out("alerts.market_events", MARCH)


VICTIM = """
import sys
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, utc
warehouse = Warehouse(Database(sys.argv[1]), FixedClock(utc("2024-08-01")), landing=sys.argv[2])
warehouse.move_out("raw.candles", utc("2024-03-01"))
warehouse.move_in("raw.candles", utc("2024-03-01"))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("label", "is_out"), zip(MOVING, (False, True, False), strict=True))
def test_whoever_is_killed_leaves_the_month_out_or_in_and_never_both(
    stored: Warehouse, tmp_path: Path, label: str, is_out: bool
) -> None:
    whole, count = stored.content_hash(NAME), rows_in_database(stored.database)
    done = subprocess.run(
        [sys.executable, "-c", VICTIM, stored.database.libpq, str(tmp_path)],
        env={**os.environ, "REGIME_CRASH_AT": label},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    assert bool(stored.moved_months(NAME)) == is_out
    assert (rows_in_database(stored.database) < count) == is_out
    assert stored.content_hash(NAME) == whole
    assert (stored.move_in(NAME, MARCH) is not None) == is_out
    assert stored.move_out(NAME, MARCH) is not None
    assert stored.content_hash(NAME) == whole
