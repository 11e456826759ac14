"""What became of each hour: pure arithmetic over log rows and stored hours."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.datasets import DATASETS, Expected
from regime_pipeline.coverage.hours import (
    KEY,
    hour_of,
    hour_spans,
    no_spans,
    replaced,
)
from regime_pipeline.coverage.rules import (
    Series,
    is_forward_only,
    series_of,
)
from regime_pipeline.providers.registry import SOURCES, datasets
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, utc

DAY1 = utc("2024-05-01")
FIRST = int(hour_of(DAY1))
NOW = DAY1 + 2 * DAY
BTC = ("okx", "okx", "spot", "BTC/USDT")


def stored(*hours: tuple[int, int], key: tuple[str, ...] = BTC) -> pd.DataFrame:
    rows = [(*key, FIRST + a, FIRST + b) for a, b in hours]
    return pd.DataFrame(rows, columns=[*KEY, "start", "end"])


def log(*told: dict[str, object], key: tuple[str, ...] = BTC) -> pd.DataFrame:
    """Rows of the fetch log: hours asked for, status, class, hour of asking, run, hours of its rows."""
    made = []
    for i, row in enumerate(told):
        start, end = row.get("hours", (0, 24))  # type: ignore[misc]
        rows: tuple[int, int] | None = row.get("rows", (start, end))  # type: ignore[assignment]
        made.append(
            dict(zip(KEY, row.get("key", key), strict=True))  # type: ignore[call-overload]
            | {
                "run_id": row.get("run", f"run{i}"),
                "window_start": DAY1 + start * HOUR,
                "window_end": DAY1 + end * HOUR,
                "fetch_status": row.get("status", "ok"),
                "error_class": row.get("error"),
                "request_count": row.get("requests", 1),
                "fetched_at": DAY1 + row.get("at", 30) * HOUR,  # type: ignore[operator]
                "endpoint_path": row.get("path", "/path"),
                "rows_stored": row.get("stored", 1),
                "rows_quarantined": row.get("refused", 0),
                "first_row_at": None if rows is None else DAY1 + rows[0] * HOUR,
                "last_row_at": None if rows is None else DAY1 + (rows[1] - 1) * HOUR,
            }
        )
    columns = [*KEY, "run_id", "window_start", "window_end", "fetch_status", "error_class",
               "request_count", "fetched_at", "endpoint_path", "rows_stored", "rows_quarantined",
               "first_row_at", "last_row_at"]  # fmt: skip
    frame = pd.DataFrame(made, columns=columns)
    for column in ("window_start", "window_end", "fetched_at", "first_row_at", "last_row_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    return frame.astype({"error_class": object})


def told(
    series: Series,
    *,
    rows: pd.DataFrame | None = None,
    asked: pd.DataFrame | None = None,
    hours: int = 24,
    now: datetime = NOW,
) -> list[tuple[int, int, str, str | None]]:
    """(first hour, end, state, reason) of the day's stretches."""
    found = hour_spans(
        [series],
        FIRST,
        FIRST + hours,
        stored=stored() if rows is None else rows,
        log=log() if asked is None else asked,
        begins=np.ones((1, hours), bool),
        now=now,
    )
    reasons = [None if pd.isna(r) else r for r in found["coverage_reason"]]
    return list(
        zip(
            found["start"] - FIRST,
            found["end"] - FIRST,
            found["coverage_state"],
            reasons,
            strict=True,
        )
    )


HOURLY = Series(*BTC)


def test_rows_are_stored_and_an_answered_hour_without_one_is_the_venues() -> None:
    assert told(HOURLY, rows=stored((0, 5), (8, 24)), asked=log({}, {"at": 31})) == [
        (0, 5, "stored", None),
        (5, 8, "venue_had_none", "answered without a row"),
        (8, 24, "stored", None),
    ]


GAP = stored((0, 5), (8, 24))
SECOND = {"at": 31}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([{}], "answered without a row, asked again"),
        ([{}, {"at": 30.1}], "answered without a row, asked again"),
        ([{"run": "a"}, {"run": "a", **SECOND}], "answered without a row, asked again"),
        ([{"run": "a"}, {"run": "a/archive", **SECOND}], "answered without a row, asked again"),
        ([{}, {"refused": 1, **SECOND}], "answered without a row, asked again"),
        ([{"refused": 1}, {"refused": 1, **SECOND}], "answered with rows that were refused"),
        ([{"rows": (-99, -9)}, {"rows": (-99, -9), **SECOND}], "answered about another time"),
        ([{"rows": (26, 99)}, {"rows": (26, 99), **SECOND}], "answered about another time"),
        ([{"rows": (0, 5)}, {"rows": (0, 5), **SECOND}], "answered without a row, asked again"),
        ([{"rows": (8, 24)}, {"rows": (8, 24), **SECOND}], "answered without a row, asked again"),
        ([{"rows": None}, {"rows": None, **SECOND}], "answered without a row, asked again"),
    ],
    ids=[
        "once", "too soon", "one run", "one run and its archive", "one in order", "refused rows",
        "rows before", "rows after", "cut short", "begins late", "no rows",
    ],
)  # fmt: skip
def test_an_hour_is_not_the_venues_before_it_was_answered_often_and_in_order(
    asked: list[dict[str, object]], reason: str
) -> None:
    assert told(HOURLY, rows=GAP, asked=log(*asked))[1] == (5, 8, "missed", reason)


def test_answers_that_do_not_enclose_the_hour_settle_it_in_the_end_where_the_series_lives() -> None:
    empty = [{"rows": None, "at": 30 + n / 4} for n in range(3)]
    assert told(HOURLY, rows=GAP, asked=log(*empty[:2]))[1][2] == "missed"
    assert told(HOURLY, rows=GAP, asked=log(*empty))[1][2] == "venue_had_none"


def test_two_answers_are_enough_before_a_series_begins_and_after_it_has_ended() -> None:
    empty = log({"rows": None}, {"rows": None, **SECOND})
    assert told(HOURLY, rows=stored((8, 24)), asked=empty)[0][2] == "venue_had_none"
    assert told(HOURLY, rows=stored((0, 5)), asked=empty)[1][2] == "venue_had_none"


def test_rows_of_other_days_tell_that_the_series_lives() -> None:
    found = hour_spans(
        [HOURLY], FIRST, FIRST + 24, stored=stored(), lived=stored((-48, -24), (48, 72)),
        log=log({"rows": None}, {"rows": None, **SECOND}), begins=np.ones((1, 24), bool), now=NOW,
    )  # fmt: skip
    assert found["coverage_state"].tolist() == ["missed"]


def test_one_answer_of_a_recording_is_enough() -> None:
    replay = Series(*BTC, answers_once=True)
    assert told(replay, rows=GAP, asked=log({}))[1][2] == "venue_had_none"


def test_events_are_not_answered_by_rows_that_were_all_refused() -> None:
    events = Series(*BTC, rule=Expected.ANSWERS)
    refused = log({"refused": 2, "stored": 0})
    assert told(events, asked=refused) == [
        (0, 24, "missed", "answered with rows that were refused")
    ]
    assert told(events, asked=log({"refused": 2, "stored": 5}))[0][2] == "stored"


@pytest.mark.parametrize(
    ("rows", "regular", "state"),
    [
        ((-8, 0), True, "stored"),
        ((-60, -30), True, "missed"),
        ((60, 90), True, "missed"),
        ((-60, -30), False, "stored"),
        (None, True, "stored"),
    ],
)
def test_prints_of_weeks_ago_are_no_answer_about_a_day(
    rows: tuple[int, int] | None, regular: bool, state: str
) -> None:
    prints = Series(*BTC, rule=Expected.ANSWERS, is_regular=regular)
    ((_, _, found, reason),) = told(prints, asked=log({"rows": rows}))
    assert (found, reason) == (state, None if state == "stored" else "answered about another time")


def test_fault_32_maintenance_of_the_venue_is_told_from_our_outage() -> None:
    failed = {"hours": (12, 24), "status": "failed", "error": "Transient"}
    asked = log({"hours": (0, 12)}, {"hours": (0, 12), "at": 31}, failed)
    assert told(HOURLY, rows=stored((0, 4), (6, 12)), asked=asked) == [
        (0, 4, "stored", None),
        (4, 6, "venue_had_none", "answered without a row"),
        (6, 12, "stored", None),
        (12, 24, "missed", "failed: Transient"),
    ]


def test_hours_that_nobody_asked_for_are_missed() -> None:
    assert told(HOURLY, rows=stored((0, 4)), asked=log({"hours": (0, 4)})) == [
        (0, 4, "stored", None),
        (4, 24, "missed", "nobody asked"),
    ]


def test_a_row_counts_whatever_a_later_request_came_to() -> None:
    asked = log({"status": "failed", "error": "GeoBlocked"})
    assert told(HOURLY, rows=stored((0, 24)), asked=asked) == [(0, 24, "stored", None)]


def test_a_failure_that_was_asked_tells_more_than_an_open_breaker() -> None:
    asked = log(
        {"status": "failed", "error": "Transient", "at": 25},
        {"status": "failed", "error": "CircuitOpen", "at": 26, "requests": 0},
    )
    assert told(HOURLY, asked=asked) == [(0, 24, "missed", "failed: Transient")]


def test_one_failed_request_of_a_call_voids_its_other_answers() -> None:
    asked = log({"run": "a"}, {"run": "a", "status": "failed", "error": "Malformed"})
    assert told(HOURLY, asked=asked) == [(0, 24, "missed", "failed: Malformed")]
    healed = pd.concat([asked, log({"run": "b"}, {"run": "c", "at": 31})])
    assert told(HOURLY, asked=healed)[0][2] == "venue_had_none"


def test_a_series_of_several_endpoints_is_stored_only_when_all_have_answered() -> None:
    series = Series(*BTC, needs_answer=True)
    broken = log({"run": "a"}, {"run": "a", "status": "failed", "error": "Malformed"})
    assert told(series, rows=stored((0, 24)), asked=broken) == [
        (0, 24, "missed", "failed: Malformed")
    ]
    assert told(series, rows=stored((0, 24)), asked=log({})) == [(0, 24, "stored", None)]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        ("UnknownSymbol", "not_listed"),
        ("PlanLimit", "plan_limit"),
        ("RetentionLimit", "beyond_retention"),
    ],
)
def test_a_refusal_for_good_is_not_missed(error: str, state: str) -> None:
    asked = log({"status": "failed", "error": error})
    assert told(HOURLY, asked=asked) == [(0, 24, state, error)]


def test_endpoints_that_the_plan_lacks_are_named_beside_what_the_others_gave() -> None:
    several = Series(*BTC, needs_answer=True)
    limit = {"status": "failed", "error": "PlanLimit", "run": "one"}
    asked = log(
        {"run": "one", "path": "/accounts"},
        {**limit, "path": "/positions"},
        {**limit, "path": "/takers", "hours": (12, 24)},
        {"run": "two", "path": "/takers", "hours": (18, 24), "at": 31},
    )
    assert told(several, rows=stored((0, 20)), asked=asked) == [
        (0, 12, "stored", "plan limit: /positions"),
        (12, 18, "stored", "plan limit: /positions, /takers"),
        (18, 20, "stored", "plan limit: /positions"),
        (20, 24, "venue_had_none", "answered without a row; plan limit: /positions"),
    ]
    assert told(HOURLY, rows=stored((0, 24)), asked=asked) == [(0, 24, "stored", None)]


def test_the_newest_hours_are_not_yet_missed() -> None:
    now = DAY1 + timedelta(hours=10, minutes=20)
    assert told(HOURLY, rows=stored((0, 6)), hours=10, now=now) == [
        (0, 6, "stored", None),
        (6, 8, "missed", "nobody asked"),
        (8, 10, "not_yet", "within the grace after the hour"),
    ]


def test_an_answer_settles_only_hours_that_had_closed_well_before() -> None:
    now = DAY1 + 20 * HOUR
    found = told(HOURLY, asked=log({"at": 6.1}, {"at": 6.3}), hours=20, now=now)
    assert found[0] == (0, 5, "venue_had_none", "answered without a row")
    assert found[1:] == [
        (5, 18, "missed", "nobody asked"),
        (18, 20, "not_yet", "within the grace after the hour"),
    ]


def test_a_source_that_is_off_says_why() -> None:
    series = Series(*BTC, off="no COINGLASS_API_KEY is set")
    asked = log({"status": "skipped", "error": "NotConfigured", "requests": 0})
    assert told(series, asked=asked) == [(0, 24, "source_off", "no COINGLASS_API_KEY is set")]


def test_what_lies_before_a_sources_memory_is_told_apart_and_not_answered_for() -> None:
    series = Series(*BTC, horizon=36 * HOUR, limit="the provider keeps 36 h")
    found = told(series, rows=stored((14, 24)), asked=log({"at": 48}, {"at": 47}), hours=24)
    assert found == [
        (0, 12, "beyond_retention", "the provider keeps 36 h"),
        (12, 13, "missed", "answered without a row, asked again"),  # the wall had moved by an hour
        (13, 14, "venue_had_none", "answered without a row"),
        (14, 24, "stored", None),
    ]


def test_events_owe_answers_and_not_rows() -> None:
    series = Series(*BTC, rule=Expected.ANSWERS)
    asked = log({"hours": (0, 10)}, {"hours": (10, 24), "status": "failed", "error": "Transient"})
    assert told(series, asked=asked) == [
        (0, 10, "stored", None),
        (10, 24, "missed", "failed: Transient"),
    ]


def test_what_can_only_be_recorded_is_never_missed_and_keeps_its_reason() -> None:
    series = Series(*BTC, is_forward_only=True)
    idle = {"hours": (0, 12), "status": "partial", "requests": 0}
    failed = {"hours": (12, 18), "status": "failed", "error": "Transient"}
    assert told(series, rows=stored((18, 24)), asked=log(idle, failed, {"hours": (18, 24)})) == [
        (0, 12, "forward_only", "not recorded while it happened"),
        (12, 18, "forward_only", "not recorded while it happened: Transient"),
        (18, 24, "stored", None),
    ]


def test_a_request_that_was_not_made_answers_nothing() -> None:
    series = Series(*BTC, rule=Expected.ANSWERS)
    idle = log({"status": "partial", "requests": 0})
    assert told(series, asked=idle) == [(0, 24, "missed", "nobody asked")]


def test_many_series_are_judged_at_once_and_each_by_its_own_rows() -> None:
    symbols = [f"S{i:03}/USDT" for i in range(100)]
    series = [Series("okx", "okx", "spot", s) for s in symbols]
    rows = pd.concat(
        [
            stored((0, i % 24), key=("okx", "okx", "spot", s))
            for i, s in enumerate(symbols)
            if i % 24
        ]
    )
    found = hour_spans(
        series, FIRST, FIRST + 24, stored=rows, log=log(), begins=np.ones((100, 24), bool), now=NOW
    )
    kept = found[found["coverage_state"] == "stored"]
    lengths = dict(zip(kept["symbol"], kept["end"] - kept["start"], strict=True))
    assert lengths == {s: i % 24 for i, s in enumerate(symbols) if i % 24}
    assert (found["end"] - found["start"]).sum() == 2400


# --- stretches ------------------------------------------------------------------------------------


def spans(*rows: tuple[int, int, str], key: tuple[str, ...] = BTC) -> pd.DataFrame:
    made = [(*key, FIRST + a, FIRST + b, state, None, False) for a, b, state in rows]
    return no_spans() if not made else pd.DataFrame(made, columns=no_spans().columns)


def shown(frame: pd.DataFrame) -> list[tuple[int, int, str]]:
    return list(
        zip(frame["start"] - FIRST, frame["end"] - FIRST, frame["coverage_state"], strict=True)
    )


def test_a_days_new_hours_are_put_into_the_stretch_around_them() -> None:
    old = spans((0, 72, "stored"))
    new = spans((24, 30, "stored"), (30, 32, "missed"), (32, 48, "stored"))
    after = replaced(old, new, [HOURLY], (FIRST + 24, FIRST + 48))
    assert shown(after) == [(0, 30, "stored"), (30, 32, "missed"), (32, 72, "stored")]
    healed = replaced(after, spans((24, 48, "stored")), [HOURLY], (FIRST + 24, FIRST + 48))
    assert shown(healed) == [(0, 72, "stored")]


def test_series_that_were_not_judged_stay_as_they_are() -> None:
    other = ("bybit", "bybit", "spot", "BTC/USDT")
    old = pd.concat([spans((0, 24, "missed")), spans((0, 24, "missed"), key=other)])
    after = replaced(old, spans((0, 24, "stored")), [HOURLY], (FIRST, FIRST + 24))
    states = dict(zip(after["source"], after["coverage_state"], strict=True))
    assert states == {"okx": "stored", "bybit": "missed"}


# --- refused rows ---------------------------------------------------------------------------------


def refused(*hours: int, reason: str = "open: not a number") -> pd.DataFrame:
    rows = [(*BTC, FIRST + hour, reason) for hour in hours]
    return pd.DataFrame(rows, columns=[*KEY, "hour", "reason"])


def judged_with(
    bad: pd.DataFrame, have: pd.DataFrame, series: Series = HOURLY
) -> list[tuple[object, ...]]:
    found = hour_spans(
        [series], FIRST, FIRST + 4, stored=have, log=log({}, {"at": 31}), refused=bad,
        begins=np.ones((1, 4), bool), now=NOW,
    )  # fmt: skip
    columns = ["start", "end", "coverage_state", "coverage_reason"]
    return [
        (a - FIRST, b - FIRST, state, None if pd.isna(why) else why)
        for a, b, state, why in found[columns].itertuples(index=False)
    ]


def test_an_hour_whose_row_was_refused_is_missed_and_says_why() -> None:
    assert judged_with(refused(1), stored((0, 1), (2, 4))) == [
        (0, 1, "stored", None),
        (1, 2, "missed", "refused: open: not a number"),
        (2, 4, "stored", None),
    ]


def test_a_refused_row_beside_a_stored_one_changes_nothing() -> None:
    assert judged_with(refused(1), stored((0, 4))) == [(0, 4, "stored", None)]


def test_a_refused_row_of_another_hour_leaves_an_empty_answer_to_the_venue() -> None:
    found = judged_with(refused(3), stored((0, 1), (2, 3)))
    assert found[1] == (1, 2, "venue_had_none", "answered without a row")
    assert found[-1][2] == "missed"


def test_a_refused_daily_value_is_missed_for_its_whole_day() -> None:
    daily = Series(*BTC, rule=Expected.DAILY)
    assert judged_with(refused(0), stored(), daily) == [
        (0, 4, "missed", "refused: open: not a number")
    ]


# --- rules ----------------------------------------------------------------------------------------


def test_every_dataset_that_a_source_serves_has_a_rule() -> None:
    assert set(datasets()) == set(DATASETS)


def test_forward_only_is_what_the_plans_say() -> None:
    found: dict[str, set[str]] = {}
    for source in SOURCES.values():
        for dataset in {f.dataset for f in source.feeds}:
            feeds = [f for f in source.feeds if f.dataset == dataset]
            if is_forward_only(dataset, feeds):
                found.setdefault(dataset, set()).add(source.name)
    assert found.pop("open_interest") == {"hyperliquid"}  # the other venues keep theirs
    gone = {name for name, of in DATASETS.items() if of.forward_only}
    told_now = {"coin_markets", "dashboard_signals", "liquidation_levels", "sentiment"}
    assert set(found) == gone | told_now
    assert "hyperliquid" not in found["liquidation_events"]  # files of any hour


def test_series_follow_sources_keys_and_home_venues() -> None:
    settings = Settings(perp_venue_by_symbol={"ETH/USDT": "okx"})
    found = series_of(settings, "liquidations", ("BTC/USDT", "ETH/USDT"))
    assert {s.off for s in found if s.source == "coinglass"} == {"no COINGLASS_API_KEY is set"}
    by_venue = {(s.venue, s.symbol) for s in found if s.source == "coinglass"}
    assert by_venue == {
        ("binance", "BTC/USDT"),
        ("okx", "ETH/USDT"),
        ("aggregate", "BTC/USDT"),
        ("aggregate", "ETH/USDT"),
    }
    only = Settings(sources=("okx",))
    assert {s.source for s in series_of(only, "candles", ("BTC/USDT",))} == {"okx"}


def test_a_memory_of_the_provider_counts_for_live_data_only() -> None:
    def horizons(origin: str) -> set[timedelta | None]:
        settings = Settings(origin=origin, sources=("binance_futures",))
        return {s.horizon for s in series_of(settings, "open_interest", ("BTC/USDT",))}

    assert horizons("live") == {timedelta(days=30)}
    assert horizons("tape") == {None}


def test_a_replay_owes_nothing_of_a_source_that_tells_only_its_present() -> None:
    def coinapi(origin: str) -> Series:
        settings = Settings(_env_file=None, origin=origin, coinapi_key="k")  # type: ignore[call-arg]
        return next(
            s for s in series_of(settings, "candles", ("BTC/USDT",)) if s.source == "coinapi"
        )

    assert (coinapi("live").horizon or timedelta(0)) > timedelta(0)
    assert coinapi("tape").horizon == timedelta(0)
    assert "replay" in coinapi("tape").limit
