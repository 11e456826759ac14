from __future__ import annotations

import os
import subprocess
import sys

import pytest

from regime_pipeline.orchestration.instance import FIRST_DAY_VARIABLE
from regime_pipeline.orchestration.partitions import (
    DAILY,
    owed,
    range_tags,
    run_window,
    tick_window,
)
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Window, utc


def window(start: str, end: str) -> Window:
    return Window(utc(start), utc(end))


def test_a_tick_covers_the_day_of_the_last_closed_hour_up_to_today() -> None:
    assert tick_window(utc("2024-05-02 10:02")) == window("2024-05-02", "2024-05-03")
    assert tick_window(utc("2024-05-02 00:02")) == window("2024-05-01", "2024-05-03")
    assert tick_window(utc("2024-05-02 01:02")) == window("2024-05-02", "2024-05-03")


def test_hourly_tables_owe_closed_hours_and_event_tables_owe_up_to_now() -> None:
    day, now = window("2024-05-02", "2024-05-03"), utc("2024-05-02 10:40")
    assert owed(day, now).end == utc("2024-05-02 10:00")
    assert owed(day, now, full_table_name="market.candles_1h").end == utc("2024-05-02 10:00")
    assert owed(day, now, full_table_name="market.funding").end == now
    assert owed(day, utc("2024-06-01")) == day
    assert owed(day, utc("2024-05-01 12:00")).is_empty


def test_range_tags_name_whole_days_and_read_back() -> None:
    tags = range_tags(window("2024-05-02 07:00", "2024-05-04 00:00"))
    assert run_window(tags) == window("2024-05-02", "2024-05-04")
    assert run_window({"dagster/partition": "2024-05-02"}) == window("2024-05-02", "2024-05-03")
    with pytest.raises(ValueError, match="no day"):
        range_tags(window("2024-05-02", "2024-05-02"))


def test_todays_partition_exists() -> None:
    keys = DAILY.get_partition_keys(current_time=utc("2024-05-02 10:40"))
    assert keys[0] == "2019-09-01"
    assert keys[-1] == "2024-05-02"


@pytest.mark.slow
def test_the_days_begin_where_the_ui_says_that_the_data_do() -> None:
    program = (
        "from regime_pipeline.orchestration.partitions import DAILY\n"
        "print(DAILY.get_first_partition_key())\n"
    )
    given = {**os.environ, FIRST_DAY_VARIABLE: "2024-03-05"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=given, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "2024-03-05\n"
    assert DAILY.get_first_partition_key() == f"{Settings().start_date}"
