"""Matching announcements with planted events, on cases made by hand."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from regime_pipeline.evaluation.detectors import changes, risings
from regime_pipeline.evaluation.scoring import Tally, alarm_table, interval, match
from regime_pipeline.evaluation.worlds import START, truth_table
from regime_pipeline.windows import Grid

GRID = Grid(START, START + timedelta(days=10), ("A/USDT", "B/USDT"))


def at(hours: float) -> pd.Timestamp:
    return pd.Timestamp(START + timedelta(hours=hours))


def planted(instrument: str, start: int, end: int, levels=None, settled: int | None = None):
    return {
        "instrument": instrument,
        "start": at(start),
        "first": at(start + 1),
        "last": at(end),
        "settled": at(settled if settled is not None else end + 10),
        "levels": levels,
    }


def told(*alarms: tuple[str, float, str | None, bool]) -> pd.DataFrame:
    names, hours, levels, begins = zip(*alarms, strict=True)
    stamps = pd.to_datetime([at(h) for h in hours], utc=True)
    return alarm_table(list(names), stamps, list(levels), list(begins))


def tally(alarms: pd.DataFrame, *events: dict) -> Tally:
    return match(alarms, truth_table(events), grid=GRID, instruments=2)


def test_news_in_time_finds_the_event_and_the_first_one_sets_the_delay() -> None:
    found = tally(
        told(("A/USDT", 53, None, True), ("A/USDT", 55, None, True)), planted("A/USDT", 50, 60)
    )
    assert (found.planted, found.found, found.right, found.wrong) == (1, 1, 2, 0)
    assert found.delays == (3.0,)
    assert found.precision == found.recall == 1.0


def test_news_of_another_symbol_or_before_it_can_be_known_is_false() -> None:
    found = tally(
        told(("B/USDT", 53, None, True), ("A/USDT", 50, None, True)), planted("A/USDT", 50, 60)
    )
    assert (found.found, found.right, found.wrong) == (0, 0, 2)
    assert found.precision == found.recall == 0.0
    assert found.delay_hours is None


def test_the_first_and_the_last_instant_count_and_the_next_is_aftermath() -> None:
    event = planted("A/USDT", 50, 60, settled=65)
    for hour, right, wrong in ((51, 1, 0), (60, 1, 0), (61, 0, 0), (65, 0, 0), (66, 0, 1)):
        found = tally(told(("A/USDT", hour, None, True)), event)
        assert (found.right, found.wrong) == (right, wrong), hour


def test_the_wrong_level_is_neither_right_nor_false() -> None:
    event = planted("A/USDT", 50, 60, levels=("EXTREME",))
    found = tally(told(("A/USDT", 52, "HIGH_VOL", True), ("A/USDT", 54, "EXTREME", True)), event)
    assert (found.found, found.right, found.wrong, found.delays) == (1, 1, 0, (4.0,))


def test_an_escalation_finds_an_event_but_is_not_counted_as_an_alarm() -> None:
    found = tally(
        told(("A/USDT", 20, None, True), ("A/USDT", 52, None, False), ("A/USDT", 99, None, False)),
        planted("A/USDT", 50, 60),
    )
    assert (found.found, found.right, found.wrong) == (1, 0, 1)


def test_events_that_follow_each_other_are_told_apart() -> None:
    events = [planted("A/USDT", 50, 60), planted("A/USDT", 80, 90), planted("B/USDT", 50, 60)]
    found = tally(told(("A/USDT", 82, None, True), ("B/USDT", 51, None, True)), *events)
    assert (found.planted, found.found, sorted(found.delays)) == (3, 2, [1.0, 2.0])


def test_overlapping_events_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        tally(told(("A/USDT", 1, None, True)), planted("A/USDT", 50, 60), planted("A/USDT", 65, 75))


def test_alarms_outside_the_judged_hours_are_left_out() -> None:
    found = tally(told(("A/USDT", -1, None, True), ("A/USDT", 241, None, True)))
    assert found.wrong == 0


def test_quiet_days_leave_out_the_time_of_planted_events() -> None:
    assert tally(told(("A/USDT", 1, None, True))).quiet_days == 20.0
    event = planted("A/USDT", 24, 36, settled=48)
    found = tally(told(("A/USDT", 1, None, True)), event)
    assert found.quiet_days == 19.0
    assert found.false_per_day == 1 / 19.0


def test_what_does_not_apply_is_null_and_not_zero() -> None:
    nothing = tally(told(("A/USDT", 1, None, True))).to_json()
    assert nothing["planted"] == 0
    assert [nothing[k] for k in ("found", "precision", "recall", "delay_hours")] == [None] * 4
    assert nothing["false_per_symbol_day"] == 0.05
    assert Tally().to_json()["false_per_symbol_day"] is None


def test_counts_of_several_worlds_add_up() -> None:
    a, b = Tally(2, 1, 3, 4, (5.0,), 6.0), Tally(1, 1, 1, 1, (7.0,), 4.0)
    assert a + b == Tally(3, 2, 4, 5, (5.0, 7.0), 10.0)
    assert (a + b).delay_hours == 6.0


def test_a_run_of_set_flags_counts_once_and_a_new_level_begins_anew() -> None:
    names = pd.Series(["A"] * 5 + ["B"] * 3)
    ts = pd.Series([at(h) for h in (0, 1, 2, 3, 4, 0, 1, 2)])
    flag = pd.Series([0, 1, 1, 0, 1, 1, 1, 1]).to_numpy(dtype=bool)
    level = pd.Series([None, "X", "X", None, "X", "X", "Y", "Y"]).to_numpy(dtype=object)
    plain = risings(names, ts, flag)
    assert list(zip(plain["instrument"], plain["known_at"], strict=True)) == [
        ("A", at(2)),
        ("A", at(5)),
        ("B", at(1)),
    ]
    assert list(risings(names, ts, flag, level)["level"]) == ["X", "X", "X", "Y"]


def test_a_change_needs_two_known_neighbouring_hours() -> None:
    rows = pd.DataFrame(
        {
            "symbol": ["A"] * 5 + ["B"],
            "ts": [at(h) for h in (0, 1, 2, 4, 5, 6)],
            "label": pd.Series(["X", "Y", None, "X", "Y", "X"], dtype="str"),
        }
    )
    found = changes(rows, "label")
    assert list(found["known_at"]) == [at(2), at(6)]


def test_the_interval_of_a_rate_holds_its_count() -> None:
    low, high = interval(100, 50.0)
    assert 1.6 < low < 2.0 < high < 2.5
    assert interval(0, 10.0)[0] == 0.0
    with pytest.raises(ValueError, match="days"):
        interval(1, 0.0)
