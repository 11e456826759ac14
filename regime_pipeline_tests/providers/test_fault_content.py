"""Rows of section B that need more than one parser: clocks, zones, names, gaps, the database."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import orjson
import pandas as pd
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_pipeline.numerics import order_statistics, rolling
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.registry import PARSERS
from regime_pipeline.providers.symbols import RENAMED, names_over, to_venue
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import (
    HOUR,
    FixedClock,
    SystemClock,
    Window,
    floor_day,
    floor_hour,
    utc,
)
from regime_pipeline_tests.providers.loopback import Asked, Loopback, http

HOUR_MS = 3_600_000


def bars(asked: Asked, now: datetime | None = None) -> list[list[object]]:
    """Hourly klines of what was asked, the running one too; prices tell their hour."""
    low, high = int(asked.query["startTime"]), int(asked.query["endTime"])
    first = -(-low // HOUR_MS) * HOUR_MS
    rows = []
    for ts in range(first, high + 1, HOUR_MS):
        if now is not None and ts > now.timestamp() * 1000:
            break
        p = 100.0 + ts // HOUR_MS % 97
        rows.append([ts, f"{p}", f"{p + 2}", f"{p - 2}", f"{p + 1}", "5", ts + HOUR_MS - 1,
                     "700", 9, "2.5", "300", "0"])  # fmt: skip
    return rows[: int(asked.query["limit"])]


Ask = Callable[..., FetchResult]


@pytest.fixture
def ask(make_settings, make_client) -> Iterator[Ask]:
    def run(
        window: Window,
        clock: object,
        answer: Callable[[Asked], object],
        headers: dict[str, str] | None = None,
        symbols: tuple[str, ...] = ("BTC/USDT",),
    ) -> FetchResult:
        def reply(asked: Asked, sock: socket.socket) -> bytes:
            run.asked.append(asked)  # type: ignore[attr-defined]
            return http(orjson.dumps(answer(asked)), headers=headers or {})

        with Loopback(reply) as server:
            configured = make_settings(sources=("binance",), binance_api_url=server.url)
            return fetch(
                "candles", window, settings=configured, client=make_client(configured, clock),
                clock=clock, symbols=symbols,
            )  # type: ignore[arg-type]  # fmt: skip

    run.asked = []  # type: ignore[attr-defined]
    yield run


# --- 23: the database refuses too ----------------------------------------------------------------


@pytest.mark.parametrize("value", ["NaN", "Infinity", "0", "-1"])
def test_fault_23_the_database_refuses_what_is_no_price(
    value: str, ask: Ask, database: Database
) -> None:
    day = Window(utc("2024-06-01"), utc("2024-06-02"))
    got = ask(day, FixedClock(utc("2024-06-03")), bars)
    Warehouse(database, FixedClock(utc("2024-06-03"))).merge("raw.candles", got.frame)
    with database.connect() as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"update raw.candles set close = '{value}'")


# --- 28: the later telling wins, the earlier one is kept -----------------------------------------


def test_fault_28_a_changed_bar_is_one_row_and_its_first_telling_a_revision(
    ask: Ask, database: Database
) -> None:
    day, clock = Window(utc("2024-06-01"), utc("2024-06-02")), FixedClock(utc("2024-06-03"))
    warehouse = Warehouse(database, clock)

    def changed(asked: Asked) -> list[list[object]]:
        rows = bars(asked)
        rows[3][5] = "6"
        return rows

    first = warehouse.merge("raw.candles", ask(day, clock, bars).frame)
    again = warehouse.merge("raw.candles", ask(day, clock, bars).frame)
    later = warehouse.merge("raw.candles", ask(day, clock, changed).frame)
    assert (first.inserted, again.changed, later.updated) == (24, 0, 1)
    assert len(warehouse.read("raw.candles")) == 24
    with database.connect() as connection:
        kept = connection.execute("select volume_base from raw.candles_revisions").fetchall()
    assert kept == [(5.0,)]


# --- 35: the host's clock ------------------------------------------------------------------------


class Shifted(SystemClock):
    """A host clock that is wrong by so much, and jumps between two looks at it."""

    def __init__(self, *offsets: timedelta) -> None:
        self.offsets = list(offsets)

    def now(self) -> datetime:
        return super().now() + (self.offsets.pop(0) if len(self.offsets) > 1 else self.offsets[0])


def test_fault_35_a_bar_that_still_runs_at_the_provider_is_not_stored_by_a_fast_clock(
    ask: Ask,
) -> None:
    """Our clock says that the hour is over, the provider's ``Date`` says that it is not."""
    hour = floor_hour(SystemClock().now())
    theirs = hour - timedelta(minutes=2)
    window = Window(hour - 6 * HOUR, hour)
    date = {"Date": format_datetime(theirs, usegmt=True)}
    got = ask(window, Shifted(timedelta(0)), bars, date)
    assert got.frame["ts"].max() == pd.Timestamp(hour - 2 * HOUR)
    assert len(got.quarantined) == 0
    in_step = {"Date": format_datetime(hour + timedelta(seconds=1), usegmt=True)}
    assert len(ask(window, Shifted(timedelta(0)), bars, in_step).frame) == 6


def test_fault_35_jumps_of_the_clock_change_no_row(ask: Ask) -> None:
    end = floor_hour(SystemClock().now()) - 12 * HOUR
    window = Window(end - 24 * HOUR, end)
    steady = ask(window, Shifted(timedelta(0)), bars)
    began = time.monotonic()
    jumpy = ask(window, Shifted(timedelta(minutes=5), -HOUR, timedelta(minutes=-5)), bars)
    assert time.monotonic() - began < 30
    columns = ["ts", "open", "close", "volume_base", "symbol"]
    pd.testing.assert_frame_equal(jumpy.frame[columns], steady.frame[columns])
    assert (jumpy.log["duration_s"] >= 0).all()


def dated(at: datetime, **more: str) -> dict[str, str]:
    return {"Date": format_datetime(at, usegmt=True), **more}


@pytest.mark.parametrize("offset", [timedelta(minutes=-5), timedelta(minutes=5), -HOUR, HOUR])
def test_fault_35_when_a_bar_was_seen_is_told_by_the_providers_clock(
    offset: timedelta, ask: Ask
) -> None:
    """The bar has closed twenty minutes ago; our clock was right at first and is set meanwhile."""
    hour = floor_hour(SystemClock().now()) - HOUR
    true = hour + timedelta(minutes=20)
    start = true - SystemClock().now()
    got = ask(Window(hour - HOUR, hour), Shifted(start, start + offset), bars, dated(true))
    (row,) = got.frame.to_dict("records")
    assert row["pit_grade"] == "observed"
    assert abs(row["available_at"] - true) <= timedelta(minutes=1)


def test_fault_35_a_bar_was_never_known_before_its_end(ask: Ask) -> None:
    """Nothing but our clock tells the time, and it is set back by an hour on the way."""
    hour = floor_hour(SystemClock().now()) - HOUR
    start = hour + timedelta(minutes=20) - SystemClock().now()
    got = ask(Window(hour - HOUR, hour), Shifted(start, start - HOUR), bars)
    assert list(got.frame["available_at"]) == [pd.Timestamp(hour)]


def test_fault_35_a_reply_out_of_a_cache_is_as_old_as_it_says(ask: Ask) -> None:
    hour = floor_hour(SystemClock().now()) - HOUR
    true = hour + timedelta(minutes=20)
    clock = Shifted(true - SystemClock().now())
    cached = dated(true - timedelta(minutes=10), Age="600")
    got = ask(Window(hour - HOUR, hour), clock, bars, cached)
    assert abs(got.frame["available_at"].iloc[0] - true) <= timedelta(minutes=1)


@pytest.mark.parametrize("offset", [timedelta(minutes=-5), timedelta(minutes=5)])
def test_fault_35_a_snapshot_is_of_the_hour_that_the_provider_has(
    offset: timedelta, make_settings, make_client
) -> None:
    """Three minutes past the hour there and two to it here, or the other way round.

    An hour that has not begun here is not asked for yet: its snapshot comes with the next run.
    """
    hour = floor_hour(SystemClock().now())
    true = hour + (timedelta(minutes=3) if offset < timedelta(0) else -timedelta(minutes=3))
    expected = [] if floor_hour(true + offset) < floor_hour(true) else [floor_hour(true)]
    clock = Shifted(true + offset - SystemClock().now())
    listed = {"code": "0", "msg": "", "data": [{"symbol": "BTC", "current_price": 60000.5}]}
    pages = iter(range(100))

    def reply(_: Asked, __: socket.socket) -> bytes:
        body = listed if next(pages) == 0 else {**listed, "data": []}
        return http(orjson.dumps(body), headers=dated(true))

    with Loopback(reply) as server:
        configured = make_settings(
            sources=("coinglass",), coinglass_api_url=server.url, coinglass_api_key="k"
        )
        got = fetch(
            "coin_markets", Window(hour - 2 * HOUR, hour + 2 * HOUR), settings=configured,
            client=make_client(configured, clock), clock=clock, symbols=("BTC/USDT",),
        )  # fmt: skip
    assert list(got.frame["ts"]) == [pd.Timestamp(hour) for hour in expected]
    assert ((got.frame["available_at"] - true).abs() <= timedelta(minutes=1)).all()


def test_fault_35_versions_follow_one_another_when_the_clock_is_set_back(
    ask: Ask, database: Database
) -> None:
    day, at = Window(utc("2024-06-01"), utc("2024-06-02")), utc("2024-06-03T12:00")

    def changed(asked: Asked) -> list[list[object]]:
        return [[*row[:5], "6", *row[6:]] for row in bars(asked)]

    def stored(clock: FixedClock, answer: Callable[[Asked], object]) -> None:
        frame = ask(day, clock, answer).frame
        Warehouse(database, clock).merge("raw.candles", frame, mode="replace", window=day)

    stored(FixedClock(at), bars)
    stored(FixedClock(at - HOUR), changed)
    with database.connect() as connection:
        spans = connection.execute(
            "select distinct r.ingested_at, r.superseded_at, t.ingested_at "
            "from raw.candles_revisions r join raw.candles t using (ts)"
        ).fetchall()
        Warehouse(database, FixedClock(at - 2 * HOUR)).merge(
            "raw.candles", ask(day, FixedClock(at), bars).frame.head(0), mode="replace", window=day
        )
        gone = connection.execute(
            "select min(superseded_at - ingested_at) from raw.candles_revisions"
        ).fetchone()
    assert spans == [(at, at, at)]
    assert gone == (timedelta(0),)


# --- 36, 37: zones and odd days ------------------------------------------------------------------


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def set_to(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


@pytest.mark.slow
@pytest.mark.parametrize("day", ["2024-03-10", "2024-11-03"])
def test_fault_36_a_host_in_new_york_stores_the_same_rows_and_days(
    day: str, ask: Ask, zone: Callable[[str], None], database: Database
) -> None:
    start = utc(day) - timedelta(days=1)
    window, clock = Window(start, start + timedelta(days=3)), FixedClock(utc("2024-12-01"))
    seen = {}
    for name in ("UTC", "America/New_York"):
        zone(name)
        got = ask(window, clock, bars)
        warehouse = Warehouse(database, clock)
        warehouse.merge("raw.candles", got.frame, mode="upsert")
        stored = warehouse.read("raw.candles", window)
        seen[name] = (
            got.frame.drop(columns=["payload_id"]),
            warehouse.content_hash("raw.candles", window),
            [*window.days()],
            sorted({floor_day(t.to_pydatetime()) for t in stored["ts"]}),
        )
    here, there = seen.values()
    pd.testing.assert_frame_equal(here[0], there[0])
    assert here[1:] == there[1:]
    assert len(here[0]) == 72
    assert len(here[2]) == len(here[3]) == 3


ODD = {
    "2016-12-31T23:59:60Z": None,
    "2023-02-29T00:00:00Z": None,
    "1970-01-01T00:00:00Z": None,
    "2008-12-31T23:59:59Z": None,
    "2024-02-29T12:00:00Z": "2024-02-29T12:00:00Z",
    "2023-12-31T23:59:59.999999Z": "2023-12-31T23:59:59.999999Z",
    "2038-01-19T03:14:08Z": "2038-01-19T03:14:08Z",
    "2024-08-05T00:00:00.1234567Z": "2024-08-05T00:00:00.123456Z",
    "2024-08-05T00:00:00-04:00": "2024-08-05T04:00:00Z",
    "2024-08-05T00:00:00": None,
}


@pytest.mark.parametrize("text", ODD)
def test_fault_37_odd_instants_are_read_exactly_or_refused(text: str) -> None:
    row = {"asset_id_base": "BTC", "asset_id_quote": "USDT", "rate": 1.5, "time": text}
    frame = PARSERS["coinapi/v1_exchangerate_base_quote"](orjson.dumps(row))
    if ODD[text] is None:
        assert frame["ts"].isna().all()
        assert frame["reason"].str.contains("time").all()
    else:
        assert frame["ts"].tolist() == [pd.Timestamp(ODD[text])]
        assert frame["reason"].isna().all()


@settings(max_examples=60, deadline=None)
@given(at=st.datetimes(datetime(2009, 1, 2), datetime(2099, 12, 30)))  # noqa: DTZ001
def test_fault_37_every_instant_keeps_its_microsecond_and_its_day(at: datetime) -> None:
    """29 February, the ends of years and what lies beyond 2038 among them."""
    moment = at.replace(tzinfo=UTC)
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    row = [
        micros,
        "1",
        "2",
        "0.5",
        "1.5",
        "10",
        micros + HOUR_MS * 1000 - 1,
        "15",
        7,
        "4",
        "6",
        "0",
    ]
    frame = PARSERS["binance/api_v3_klines"](orjson.dumps([row]))
    assert frame["ts"][0] == pd.Timestamp(moment)
    assert floor_day(frame["ts"][0].to_pydatetime()) == floor_day(moment)
    in_ms = [micros // 1000, *row[1:6], micros // 1000 + HOUR_MS - 1, *row[7:]]
    frame = PARSERS["binance/api_v3_klines"](orjson.dumps([in_ms]))
    assert frame["ts"][0] == pd.Timestamp(moment).floor("ms")


# --- 40: names -----------------------------------------------------------------------------------


def test_fault_40_a_renamed_coin_is_one_series_under_its_present_name(ask: Ask) -> None:
    """MATIC became POL: each part of the window is asked for under the name of its time."""
    _, switch = RENAMED["binance", "POL"]
    window = Window(switch - timedelta(days=3), switch + timedelta(days=3))
    closed, opened = switch - timedelta(days=2), switch + timedelta(days=1)

    def answer(asked: Asked) -> list[list[object]]:
        rows = bars(asked)
        old = asked.query["symbol"] == "MATICUSDT"
        edge = (closed if old else opened).timestamp() * 1000
        return [r for r in rows if (r[0] < edge) == old]  # type: ignore[operator]

    got = ask(window, FixedClock(switch + timedelta(days=9)), answer, symbols=("POL/USDT",))
    assert {a.query["symbol"] for a in ask.asked} == {"MATICUSDT", "POLUSDT"}  # type: ignore[attr-defined]
    assert set(got.frame["symbol"]) == {"POL/USDT"}
    ts = got.frame["ts"]
    assert (len(ts), ts.min(), ts.max()) == (72, window.start, window.end - HOUR)
    assert not ((ts >= closed) & (ts < opened)).any(), "missing is missing, not zero"
    assert sorted(zip(got.log["window_start"], got.log["window_end"], strict=True)) == [
        (window.start, switch),
        (switch, window.end),
    ]


def test_fault_40_names_in_time_cover_a_window_once() -> None:
    _, switch = RENAMED["binance", "POL"]
    for window in (
        Window(switch - HOUR, switch + HOUR), Window(switch, switch + HOUR),
        Window(switch - HOUR, switch), Window(switch, switch),
    ):  # fmt: skip
        parts = names_over("POL/USDT", "binance", "perp", window)
        assert parts[0][1].start == window.start
        assert parts[-1][1].end == window.end
        assert {p.canonical for p, _ in parts} == {"POL/USDT"}
    assert [
        n.name for n, _ in names_over("POL/USDT", "binance", "spot", Window(switch, switch))
    ] == ["POLUSDT"]
    assert to_venue("POL/USDT", "okx", "spot").name == "POL-USDT"


def test_fault_40_a_delisted_pair_ends_and_is_neither_zero_nor_an_error_of_the_others(
    ask: Ask,
) -> None:
    day = Window(utc("2024-06-01"), utc("2024-06-03"))
    end = utc("2024-06-01T10:00").timestamp() * 1000

    def answer(asked: Asked) -> list[list[object]]:
        rows = bars(asked)
        return [r for r in rows if r[0] < end] if asked.query["symbol"] == "GONEUSDT" else rows  # type: ignore[operator]

    clock = FixedClock(utc("2024-06-05"))
    got = ask(day, clock, answer, symbols=("BTC/USDT", "GONE/USDT"))
    counts = got.frame.groupby("symbol").size().to_dict()
    assert counts == {"BTC/USDT": 48, "GONE/USDT": 10}
    assert (got.frame["volume_base"] == 5).all()
    assert got.log["fetch_status"].tolist() == ["ok", "ok"]


# --- 42: gaps in the middle ----------------------------------------------------------------------

WINDOWED = (
    rolling.rolling_mean,
    order_statistics.rolling_median,
    rolling.rolling_min,
    rolling.rolling_max,
)


@pytest.mark.parametrize("statistic", WINDOWED)
@settings(max_examples=25, deadline=None)
@given(gaps=st.lists(st.integers(0, 59), max_size=30), level=st.floats(0.5, 1e6))
def test_fault_42_a_gap_in_the_middle_never_becomes_a_zero(
    statistic: Callable[..., np.ndarray], gaps: list[int], level: float
) -> None:
    """No indicator library is used that would; ours give the level or nothing at all."""
    x = np.full(60, level)
    x[gaps] = np.nan
    out = statistic(x, 12, 4)
    seen = rolling.rolling_count(x, 12)
    assert (np.isnan(out) == (seen < 4)).all()
    np.testing.assert_allclose(out[~np.isnan(out)], level, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(gap=st.integers(13, 40))
def test_fault_42_after_a_gap_the_indicators_come_back(gap: int) -> None:
    """One missing value is not carried on for ever, and its own hour has no judgement."""
    x = np.sin(np.arange(80.0)) + 3.0
    holed = x.copy()
    holed[gap] = np.nan
    std, whole = rolling.rolling_std(holed, 12, 12), rolling.rolling_std(x, 12, 12)
    assert np.isnan(std[gap : gap + 12]).all()
    np.testing.assert_allclose(std[gap + 12 :], whole[gap + 12 :], rtol=1e-9)
    total = rolling.rolling_sum(holed, 12, 12)
    assert np.isnan(total[gap : gap + 12]).all()
