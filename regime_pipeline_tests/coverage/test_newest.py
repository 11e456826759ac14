"""What an hourly tick asks for: pure arithmetic over series, spans and log rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pytest

from regime_pipeline.catalogue.datasets import Expected
from regime_pipeline.coverage.asked import Demand
from regime_pipeline.coverage.hours import KEY
from regime_pipeline.coverage.newest import new_hours, stand_ins
from regime_pipeline.coverage.rules import Series
from regime_pipeline.windows import DAY, HOUR, Window, utc

TODAY = utc("2024-05-02")
NOW = TODAY + 10 * HOUR + timedelta(minutes=2)
TICK = Window(TODAY, NOW)
BTC, ETH = (Series("okx", "okx", "perp", s, "okx") for s in ("BTC/USDT", "ETH/USDT"))


def spans(*rows: tuple[Series, int, int, str]) -> pd.DataFrame:
    """(series, first hour, end hour, state) of today."""
    made = [(*s.key, TODAY + a * HOUR, TODAY + b * HOUR, state) for s, a, b, state in rows]
    frame = pd.DataFrame(made, columns=[*KEY, "start", "end", "coverage_state"])
    return frame.astype({"start": "datetime64[us, UTC]", "end": "datetime64[us, UTC]"})


def log(
    *rows: tuple[Series | str, datetime, timedelta, str], error: str | None = None
) -> pd.DataFrame:
    """(series or source, asked at, how far back, status)."""
    made = [
        (
            s if isinstance(s, str) else s.source,
            None if isinstance(s, str) else s.symbol,
            at - back,
            at,
            status,
            error,
            at,
        )
        for s, at, back, status in rows
    ]
    columns = ["source", "symbol", "window_start", "window_end", "fetch_status", "error_class"]
    return pd.DataFrame(made, columns=[*columns, "fetched_at"])


RESTATED = log(*((s, TODAY + timedelta(minutes=2), DAY + HOUR, "ok") for s in (BTC, ETH)))


def asked(
    *, series: tuple[Series, ...] = (BTC, ETH), found: pd.DataFrame, told: pd.DataFrame = RESTATED,
    dataset: str = "open_interest", window: Window = TICK,
) -> Demand | None:  # fmt: skip
    calls = new_hours(dataset, window, series=series, spans=found, log=told, now=NOW)
    assert len(calls) <= 1
    return calls[0] if calls else None


def test_the_hour_that_has_just_closed_is_asked_for_and_no_other() -> None:
    found = spans((BTC, 0, 9, "stored"), (ETH, 0, 9, "stored"))
    both = frozenset({BTC.key, ETH.key})
    wanted = Demand(("okx",), ("BTC/USDT", "ETH/USDT"), Window(TODAY + 9 * HOUR, NOW), both)
    assert asked(found=found) == wanted


def test_nothing_is_asked_when_every_closed_hour_is_settled() -> None:
    states = ("venue_had_none", "not_listed", "plan_limit", "beyond_retention", "stored")
    rows = [(BTC, 2 * i, 2 * i + 2, state) for i, state in enumerate(states)]
    assert asked(found=spans(*rows), series=(BTC,)) is None


@pytest.mark.parametrize("state", ["missed", "not_yet", "source_off"])
def test_what_is_still_open_is_asked_again_with_all_that_is_newer(state: str) -> None:
    found = spans((BTC, 0, 6, "stored"), (BTC, 6, 7, state), (BTC, 7, 10, "stored"))
    call = asked(found=found, series=(BTC,))
    assert call is not None
    assert call.window.start == TODAY + 6 * HOUR


def test_only_series_with_open_hours_are_asked() -> None:
    found = spans((BTC, 0, 10, "stored"), (ETH, 0, 9, "stored"))
    call = asked(found=found)
    assert call is not None
    assert call.symbols == ("ETH/USDT",)


def test_the_first_tick_of_a_day_asks_for_the_last_day_again_whatever_is_stored() -> None:
    found = spans((BTC, 0, 10, "stored"))
    yesterday = log((BTC, TODAY - timedelta(minutes=30), 2 * DAY, "ok"))
    call = asked(found=found, series=(BTC,), told=yesterday)
    assert call is not None
    assert call.window == Window(TODAY - 14 * HOUR, NOW)
    narrow = log((BTC, TODAY + HOUR, HOUR, "ok"))
    assert asked(found=found, series=(BTC,), told=narrow) == call


def test_a_failed_look_back_is_made_again_and_a_refused_one_is_not() -> None:
    found = spans((BTC, 0, 10, "stored"))
    once = (BTC, TODAY + HOUR, DAY + HOUR, "failed")
    assert asked(found=found, series=(BTC,), told=log(once, error="Transient")) is not None
    assert asked(found=found, series=(BTC,), told=log(once, error="UnknownSymbol")) is None


def test_a_reply_about_all_symbols_counts_for_each() -> None:
    found = spans((BTC, 0, 10, "stored"), (ETH, 0, 10, "stored"))
    assert asked(found=found, told=log(("okx", TODAY + HOUR, DAY + HOUR, "ok"))) is None


def test_what_can_only_be_collected_as_time_goes_is_asked_for_the_present() -> None:
    estimate = Series("okx", "okx", "perp", "BTC/USDT", "okx", is_forward_only=True)
    call = asked(found=spans((estimate, 0, 10, "stored")), series=(estimate,), told=log())
    assert call is not None
    assert call.window == Window(TODAY + 10 * HOUR, NOW)


def test_a_fresh_snapshot_needs_no_second_one() -> None:
    book = Series("okx", "okx", "perp", "BTC/USDT", "okx", is_forward_only=True)
    five = log((book, NOW - timedelta(minutes=5), HOUR, "ok"))
    old = log((book, NOW - timedelta(minutes=25), HOUR, "ok"))
    assert asked(found=spans(), series=(book,), told=five, dataset="order_book") is None
    assert asked(found=spans(), series=(book,), told=old, dataset="order_book") is not None


def test_a_daily_value_that_is_there_is_not_asked_for_in_each_hour_of_its_day() -> None:
    index = Series("a", "a", "index", "*", "a", rule=Expected.DAILY)
    told = log(("a", TODAY + HOUR, DAY + HOUR, "ok"))
    assert asked(found=spans((index, 0, 1, "stored")), series=(index,), told=told) is None
    missing = asked(found=spans((index, 0, 9, "not_yet")), series=(index,), told=told)
    assert missing is not None
    assert missing.symbols == ("*",)


EVERY = 8 * HOUR
RELAY, OTHER = (
    Series(name, venue, "perp", "BTC/USDT", name, every=EVERY)
    for name, venue in (("relay", "okx"), ("other", "elsewhere"))
)


def test_a_series_that_nothing_reads_is_asked_in_its_turn_for_every_hour_since_the_last_one() -> (
    None
):
    """Each of the day's hours is asked for once, whatever the turn."""
    asked_at = []
    seen: list[int] = []
    for hour in range(1, 24):
        now = TODAY + hour * HOUR + timedelta(minutes=2)
        until = max(seen, default=-1) + 1
        found = spans((RELAY, 0, until, "stored")) if until else spans()
        calls = new_hours(
            "open_interest", Window(TODAY, now), series=(RELAY,), spans=found,
            log=log((RELAY, TODAY, DAY + HOUR, "ok")), now=now,
        )  # fmt: skip
        for call in calls:
            asked_at.append(hour)
            seen += range(int((call.window.start - TODAY) / HOUR), hour)
    assert asked_at == [8, 16]
    assert seen == list(range(max(seen) + 1))


def test_turns_are_spread_over_the_ticks() -> None:
    many = tuple(replace(RELAY, symbol=f"S{i}/USDT") for i in range(16))
    found = spans(*((s, 0, 9, "stored") for s in many))
    told = log(*((s, TODAY + HOUR, DAY + HOUR, "ok") for s in many))
    call = asked(found=found, series=many, told=told)
    assert call is not None
    assert len(call.series) == 2


def test_a_turn_that_was_missed_is_made_up_for_at_the_next_tick() -> None:
    late = replace(RELAY, symbol="ETH/USDT")  # second in the row: its turn was at 9
    found = spans((RELAY, 0, 10, "stored"), (late, 0, 1, "stored"))
    told = log(*((s, TODAY + HOUR, DAY + HOUR, "ok") for s in (RELAY, late)))
    call = asked(found=found, series=(RELAY, late), told=told)
    assert call is not None
    assert call.series == {late.key}
    assert call.window == Window(TODAY + HOUR, NOW)


def test_the_others_stand_in_at_once_where_the_series_that_is_read_lacks_an_hour() -> None:
    found = spans((BTC, 0, 9, "stored"), (RELAY, 0, 6, "stored"), (OTHER, 0, 10, "stored"))
    (call,) = stand_ins("open_interest", TICK, series=(BTC, RELAY, OTHER), spans=found)
    assert call.series == {RELAY.key}
    assert call.window == Window(TODAY + 6 * HOUR, NOW)


@pytest.mark.parametrize("state", ["stored", "venue_had_none", "not_listed"])
def test_nobody_stands_in_for_an_hour_that_is_settled(state: str) -> None:
    found = spans((BTC, 0, 10, state), (RELAY, 0, 6, "stored"))
    assert stand_ins("open_interest", TICK, series=(BTC, RELAY), spans=found) == []


def test_another_provider_s_events_stand_in_for_nothing() -> None:
    found = spans((BTC, 0, 9, "stored"), (RELAY, 0, 6, "stored"))
    assert stand_ins("funding_rates", TICK, series=(BTC, RELAY), spans=found) == []
