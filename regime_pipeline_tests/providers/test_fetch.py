from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.providers.errors import NoSourceError
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.fetch.sources import base_url, effective_source
from regime_pipeline.providers.registry import PARSERS, SOURCES
from regime_pipeline.windows import FixedClock, SystemClock, Window, floor_hour
from regime_pipeline_tests.providers.conftest import NOW
from regime_pipeline_tests.providers.loopback import Asked, Loopback, http

HOUR = timedelta(hours=1)
START = datetime(2024, 8, 5, tzinfo=UTC)
WINDOW = Window(START, START + 24 * HOUR)
HOUR_MS = 3_600_000
Rows = Callable[[Asked], object]


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def bar(hour: int, **changes: object) -> list[object]:
    """A kline that opens ``hour`` hours into the window."""
    ts = ms(START) + hour * HOUR_MS
    price = 100.0 + hour % 7
    names = ["ts", "open", "high", "low", "close", "volume", "end", "quote", "n", "tb", "tq", "x"]
    values = [
        ts, f"{price}", f"{price + 2}", f"{price - 2}", f"{price + 1}", f"{5 + abs(hour)}",
        ts + HOUR_MS - 1, "700.5", 9, "2.5", "300.25", "0",
    ]  # fmt: skip
    return [changes.get(n, v) for n, v in zip(names, values, strict=True)]


def between(rows: list[list[object]], asked: Asked, cap: int = 1000) -> list[list[object]]:
    """What Binance would give of some rows."""
    low, high = int(asked.query["startTime"]), int(asked.query["endTime"])
    inside = [r for r in rows if not isinstance(r[0], int) or low <= r[0] <= high]
    return inside[: min(cap, int(asked.query["limit"]))]


@pytest.fixture
def ask(make_settings, make_client) -> Iterator[Callable[..., FetchResult]]:
    """Fetches against a server that answers JSON, or bytes as they are."""

    def run(
        dataset: str,
        answer: Rows,
        *,
        sources: tuple[str, ...],
        window: Window = WINDOW,
        clock: object = None,
        symbols: tuple[str, ...] = ("BTC/USDT",),
        progress: object = None,
        **changes: object,
    ) -> FetchResult:
        def reply(asked: Asked, sock: socket.socket) -> bytes:
            said = answer(asked)
            return said if isinstance(said, bytes) else http(orjson.dumps(said))

        with Loopback(reply) as server:
            names = (
                "binance",
                "binance_us",
                "binance_futures",
                "okx",
                "coinglass",
                "alternative_me",
            )
            urls = {f"{n}_api_url": f"{server.url}/{n}" for n in names}
            configured = make_settings(**{"sources": sources, **urls, **changes})
            used = clock or FixedClock(NOW)
            run.asked = server.asked  # type: ignore[attr-defined]
            return fetch(
                dataset,
                window,
                settings=configured,
                client=make_client(configured, used),
                clock=used,
                symbols=symbols,
                progress=progress,  # type: ignore[arg-type]
            )

    yield run


CONTENT = [c for c in table("raw.candles").content]


def content(result: FetchResult) -> pd.DataFrame:
    return result.frame[CONTENT]


# --- order, duplicates, running bars -------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), cap=st.sampled_from([3, 7, 1000]))
def test_fault_18_shuffled_repeated_and_overlapping_pages_give_the_same_rows(
    ask, seed: int, cap: int
) -> None:
    """Rows 18, 28 and 29: the result is that of one clean, sorted page."""
    rng = random.Random(seed)
    rows = [bar(h) for h in range(24) if h != 11]
    clean = ask("candles", lambda a: between(rows, a), sources=("binance",))

    def messy(asked: Asked) -> list[list[object]]:
        page = between(rows, asked, cap)
        page = page + rng.sample(rows, k=4 if page else 0) + page[:1]  # overlap and repeats
        # a page that reaches past what was asked for would hide the rest of it from the walk
        page = [r for r in page if r[0] <= (between(rows, asked, cap) or [bar(99)])[-1][0]]
        rng.shuffle(page)
        return page

    result = ask("candles", messy, sources=("binance",))
    pd.testing.assert_frame_equal(content(result), content(clean))
    assert len(clean.frame) == 23
    assert len(result.quarantined) == 0


def test_fault_30_running_and_future_bars_are_not_stored(ask) -> None:
    """Row 30: the clock stands at 00:30 of the next day."""
    rows = [bar(h) for h in range(27)]
    window = Window(START + 22 * HOUR, START + 27 * HOUR)
    result = ask(
        "candles",
        lambda a: [r for r in rows if r[0] >= int(a.query["startTime"])],
        sources=("binance",),
        window=window,
    )
    assert result.frame["ts"].dt.hour.tolist() == [22, 23]
    assert len(result.quarantined) == 0


def test_fault_30_bar_that_its_own_close_time_calls_running_is_not_stored(ask) -> None:
    """Row 30."""
    late = bar(23, end=ms(NOW) + 60_000)
    result = ask("candles", lambda a: [bar(22), late], sources=("binance",))
    assert result.frame["ts"].dt.hour.tolist() == [22]


def test_fault_30_okx_bar_without_confirmation_is_not_stored(ask) -> None:
    """Row 30."""

    def answer(asked: Asked) -> object:
        if "SWAP" in asked.query["instId"] or "history" in asked.path:
            return {"code": "0", "data": []}
        rows = [
            [str(ms(START) + h * HOUR_MS), "1", "2", "0.5", "1", "3", "4", "4", "01"[h != 5]]
            for h in reversed(range(24))
        ]
        return {"code": "0", "data": [r for r in rows if int(r[0]) < int(asked.query["after"])]}

    result = ask("candles", answer, sources=("okx",))
    assert sorted(set(range(24)) - set(result.frame["ts"].dt.hour)) == [5]
    assert (result.frame["volume_base"] == 3).all()


def test_rows_outside_the_window_are_clipped(ask) -> None:
    result = ask(
        "candles",
        lambda a: [bar(h) for h in range(-3, 24)],
        sources=("binance",),
        window=Window(START + 5 * HOUR, START + 7 * HOUR),
    )
    assert result.frame["ts"].dt.hour.tolist() == [5, 6]


def test_fault_28_same_key_with_other_values_is_one_row_and_the_other_is_kept_aside(ask) -> None:
    """Row 28: whichever came first in the page."""
    fuller, thinner = bar(3, volume="9"), bar(3, volume="8")
    for page in ([fuller, thinner], [thinner, fuller]):
        result = ask("candles", lambda a, p=page: p, sources=("binance",))
        assert result.frame["volume_base"].tolist() == [9.0]
        assert result.quarantined["volume_base"].tolist() == [8.0]
        assert "same key" in result.quarantined["reason"][0]


# --- bad rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"close": ""}, {"close": None}, {"close": "NaN"}, {"volume": "-"}, {"open": "1,5"},
        {"open": "0"}, {"low": "-1"}, {"volume": "-3"}, {"high": "1"}, {"close": "999"},
        {"low": "106"}, {"n": "1.5"}, {"n": -1}, {"end": ms(START) + 9 * HOUR_MS},
    ],
)  # fmt: skip
def test_fault_24_bad_row_is_quarantined_and_its_neighbours_stay(
    ask, changes: dict[str, object]
) -> None:
    """Rows 23 and 24."""
    rows = [bar(4), bar(5, **changes), bar(6)]
    result = ask("candles", lambda a: between(rows, a), sources=("binance",))
    assert result.frame["ts"].dt.hour.tolist() == [4, 6]
    assert len(result.quarantined) == 1
    bad = result.quarantined.iloc[0]
    assert bad["reason"]
    assert (bad["source"], bad["symbol"], bad["ts"].hour) == ("binance", "BTC/USDT", 5)
    assert bad["payload_id"] in set(result.payloads["payload_id"])
    log = result.log.iloc[0]
    assert (log["rows_stored"], log["rows_quarantined"], log["fetch_status"]) == (2, 1, "ok")


def test_fault_33_off_grid_rows_are_quarantined_never_floored(ask) -> None:
    """Row 33: after a maintenance the hours begin at :28."""
    shift = 28 * 60_000
    rows = [bar(4), *(bar(h, ts=ms(START) + h * HOUR_MS + shift) for h in (5, 6)), bar(8)]
    result = ask("candles", lambda a: between(rows, a), sources=("binance",))
    assert result.frame["ts"].dt.hour.tolist() == [4, 8]
    assert result.quarantined["ts"].dt.minute.tolist() == [28, 28]
    assert result.quarantined["reason"].str.contains("grid").all()


def test_fault_34_unreadable_time_is_quarantined(ask) -> None:
    """Row 34."""
    rows = [bar(4), bar(5, ts="2024-08-05T05:00:00Z"), bar(6)]
    first = str(ms(START))
    result = ask(
        "candles", lambda a: rows if a.query["startTime"] == first else [], sources=("binance",)
    )
    assert result.frame["ts"].dt.hour.tolist() == [4, 6]
    assert result.quarantined["ts"].isna().tolist() == [True]


def test_fault_34_microseconds_are_read_as_what_they_are(ask) -> None:
    """Row 34."""
    rows = [bar(h) for h in range(24)]
    micro = [[r[0] * 1000, *r[1:6], r[6] * 1000 + 999, *r[7:]] for r in rows]  # type: ignore[operator]
    plain = ask("candles", lambda a: between(rows, a), sources=("binance",))
    result = ask(
        "candles",
        lambda a: micro if a.query["startTime"] == str(ms(START)) else [],
        sources=("binance",),
    )
    pd.testing.assert_frame_equal(content(result), content(plain))


def test_another_timeframe_than_asked_for_is_refused_whole(ask) -> None:
    """Five-minute bars that lie on the hour are no hourly bars."""
    rows = [bar(h, end=ms(START) + h * HOUR_MS + 299_999) for h in range(24)]
    result = ask("candles", lambda a: between(rows, a), sources=("binance",))
    assert result.frame.empty
    assert result.quarantined["reason"].str.contains("shorter bar").all()


def test_fault_40_rows_of_another_symbol_are_quarantined(ask) -> None:
    """Row 40."""

    def answer(asked: Asked) -> object:
        if "fundingRate" not in asked.path:
            return []
        return [
            {"symbol": s, "fundingRate": "0.0001", "fundingTime": ms(START) + h * HOUR_MS}
            for s, h in (("BTCUSDT", 0), ("ETHUSDT", 8), ("BTCUSDT", 16))
        ]

    result = ask("funding_rates", answer, sources=("binance_futures",))
    assert result.frame["ts"].dt.hour.tolist() == [0, 16]
    assert result.quarantined["reason"].str.contains("another one than BTCUSDT").all()


def test_fault_40_multiplied_contract_is_told_per_coin(ask) -> None:
    """Row 40: 1000PEPE is PEPE."""
    rows = [bar(h) for h in range(24)]
    result = ask(
        "candles", lambda a: between(rows, a), sources=("binance_futures",), symbols=("PEPE/USDT",)
    )
    assert ask.asked[0].query["symbol"] == "1000PEPEUSDT"
    first = result.frame.iloc[0]
    assert first["symbol"] == "PEPE/USDT"
    assert (first["open"], first["volume_base"]) == (0.1, 5000)
    assert (first["volume_quote"], first["taker_buy_base"]) == (700.5, 2500)


# --- funding -------------------------------------------------------------------------------------


def test_fault_33_funding_jitter_is_rounded_and_odd_prints_are_quarantined(ask) -> None:
    """Row 33: 45 ms late is on time, 2 minutes is not."""

    def answer(asked: Asked) -> object:
        if "fundingRate" not in asked.path:
            return []
        return [
            {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingTime": ms(START) + offset}
            for offset in (45, 8 * HOUR_MS - 45, 16 * HOUR_MS + 120_000)
        ]

    result = ask("funding_rates", answer, sources=("binance_futures",))
    assert result.frame["ts"].tolist() == [pd.Timestamp(START), pd.Timestamp(START + 8 * HOUR)]
    assert result.frame["interval_hours"].isna().all()
    assert (result.frame["available_at"] == result.frame["ts"]).all()
    assert len(result.quarantined) == 1


def test_listed_funding_interval_labels_only_prints_it_was_in_force_for(ask) -> None:
    """The list says what holds now, since the entry's last change; older prints stay unlabelled."""

    def answer(asked: Asked) -> object:
        if "fundingInfo" in asked.path:
            entry = {"symbol": "BTCUSDT", "fundingIntervalHours": 4}
            return [{**entry, "updateTime": ms(START + 9 * HOUR)}]
        return [
            {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingTime": ms(START + h * HOUR)}
            for h in (0, 8, 12, 16, 20)
        ]

    result = ask("funding_rates", answer, sources=("binance_futures",))
    labels = dict(zip(result.frame["ts"].dt.hour, result.frame["interval_hours"], strict=True))
    assert [h for h, v in labels.items() if v is not pd.NA] == [16, 20]
    assert labels[16] == 4


def test_failing_interval_list_costs_no_prints(ask) -> None:
    def answer(asked: Asked) -> object:
        if "fundingInfo" in asked.path:
            return http(b"<html>", status="404 Not Found")
        row = {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingTime": ms(START)}
        return [row] if int(asked.query["startTime"]) <= ms(START) else []

    result = ask("funding_rates", answer, sources=("binance_futures",))
    assert len(result.frame) == 1
    states = dict(zip(result.log["endpoint_path"], result.log["fetch_status"], strict=True))
    assert states == {"/fapi/v1/fundingInfo": "failed", "/fapi/v1/fundingRate": "ok"}


# --- failures ------------------------------------------------------------------------------------


def test_fault_05_geo_blocked_source_is_logged_once_asked_and_the_others_go_on(ask) -> None:
    """Row 5."""
    rows = [bar(h) for h in range(24)]

    def answer(asked: Asked) -> object:
        if asked.path.startswith("/binance_futures"):
            body = b'{"code":0,"msg":"Service unavailable from a restricted location"}'
            return http(body, status="451 Unavailable")
        return between(rows, asked)

    result = ask(
        "candles",
        answer,
        sources=("binance", "binance_futures"),
        symbols=("BTC/USDT", "ETH/USDT", "SOL/USDT"),
        http_concurrency_per_host=1,
    )
    assert set(result.frame["source"]) == {"binance"}
    assert len(result.frame) == 72
    failed = result.log[result.log["source"] == "binance_futures"]
    assert failed["error_class"].tolist() == ["GeoBlocked"] * 3
    assert failed["fetch_status"].tolist() == ["failed"] * 3
    assert failed["request_count"].sum() == 1


def test_fault_90_missing_key_is_a_skipped_row_without_a_request(ask) -> None:
    """Row 90."""
    result = ask("liquidations", lambda a: [], sources=("coinglass",))
    assert set(result.log["fetch_status"]) == {"skipped"}
    assert set(result.log["error_class"]) == {"NotConfigured"}
    assert result.log["error_message"].str.contains("COINGLASS_API_KEY").all()
    assert ask.asked == []


def test_plan_limit_fails_its_feed_only(ask) -> None:
    """Row 8."""

    def answer(asked: Asked) -> object:
        if "aggregated" in asked.path:
            return {"code": "401", "msg": "Upgrade plan"}
        row = {"time": ms(START), "long_liquidation_usd": "1.5", "short_liquidation_usd": "0"}
        return {"code": "0", "data": [row] if asked.query["start_time"] == str(ms(START)) else []}

    result = ask(
        "liquidations", answer, sources=("coinglass",), coinglass_api_key=SecretStr("k-12345678")
    )
    assert result.frame["long_liquidations_usd"].tolist() == [1.5]
    assert sorted(result.log["error_class"].fillna("")) == ["", "PlanLimit"]
    assert ask.asked[0].headers["cg-api-key"] == "k-12345678"
    assert not any("12345678" in a.target for a in ask.asked)


def test_fault_02_long_throttle_defers_the_rest_of_the_source(ask) -> None:
    """Rows 2 and 4: nothing more is asked of a provider that says to come back in two hours."""
    busy = http(b"{}", status="429 Too Many", headers={"Retry-After": "7200"})
    result = ask(
        "candles",
        lambda a: busy,
        sources=("binance",),
        http_concurrency_per_host=1,
        symbols=("BTC/USDT", "ETH/USDT", "SOL/USDT"),
    )
    assert len(ask.asked) == 1
    assert result.log["error_class"].tolist() == ["RateLimited"] * 3


def test_fault_40_unknown_symbol_fails_alone_and_is_not_zero(ask) -> None:
    """Row 40."""
    rows = [bar(h) for h in range(24)]

    def answer(asked: Asked) -> object:
        if asked.query["symbol"] == "LUNAUSDT":
            return http(b'{"code":-1121,"msg":"Invalid symbol."}', status="400 Bad")
        return between(rows, asked)

    result = ask("candles", answer, sources=("binance",), symbols=("BTC/USDT", "LUNA/USDT"))
    assert set(result.frame["symbol"]) == {"BTC/USDT"}
    states = dict(zip(result.log["symbol"], result.log["error_class"].fillna(""), strict=True))
    assert states == {"BTC/USDT": "", "LUNA/USDT": "UnknownSymbol"}


def test_fault_18_provider_that_repeats_a_page_is_an_error_not_a_loop(ask) -> None:
    """Row 18."""
    result = ask("candles", lambda a: [bar(h) for h in range(3)], sources=("binance",))
    assert result.log["error_class"].tolist() == ["ContractViolation"]
    assert len(ask.asked) < 5
    assert len(result.frame) == 3  # what came before the fault is sound


def test_fault_39_renamed_field_fails_the_feed_and_stores_nothing(ask) -> None:
    """Row 39."""
    row = {"symbol": "BTCUSDT", "openInterest": "5", "timestamp": ms(START)}
    result = ask("open_interest", lambda a: [row], sources=("binance_futures",))
    assert result.frame.empty
    assert result.log["error_class"].tolist() == ["ContractViolation"]
    assert "sumOpenInterest" in result.log["error_message"][0]


def test_fault_14_nothing_there_is_empty_not_failed(ask) -> None:
    """Row 14."""
    result = ask("candles", lambda a: [], sources=("binance",))
    assert result.log["fetch_status"].tolist() == ["empty"]
    assert result.frame.empty
    validate(result.frame, table("raw.candles"))


def test_no_source_and_unknown_names_are_said_clearly(ask) -> None:
    with pytest.raises(NoSourceError, match="liquidations"):
        ask("liquidations", lambda a: [], sources=("binance",))
    with pytest.raises(ValueError, match="unknown sources"):
        ask("candles", lambda a: [], sources=("binanse",))
    with pytest.raises(ValueError, match="unknown dataset"):
        ask("candels", lambda a: [], sources=("binance",))


# --- retention -----------------------------------------------------------------------------------


def test_start_beyond_the_wall_is_tried_once_and_logged_as_partial(ask) -> None:
    """An older start is an error at Binance; what lies inside the 30 days still comes."""
    wall = ms(NOW) - 30 * 24 * HOUR_MS

    def answer(asked: Asked) -> object:
        low, high = int(asked.query["startTime"]), int(asked.query["endTime"])
        if low < wall:
            body = b'{"msg":"parameter \'startTime\' is invalid.","code":-1130}'
            return http(body, status="400 Bad Request")
        first = -(-low // HOUR_MS) * HOUR_MS
        return [
            {
                "symbol": "BTCUSDT",
                "sumOpenInterest": "5",
                "sumOpenInterestValue": "9",
                "timestamp": t,
            }
            for t in range(first, high + 1, HOUR_MS)
        ][:500]

    window = Window(NOW - timedelta(days=200), NOW)
    result = ask("open_interest", answer, sources=("binance_futures",), window=window)
    log = result.log.iloc[0]
    assert log["fetch_status"] == "partial"
    assert pd.isna(log["error_class"])
    assert "30 days" in log["error_message"]
    assert len(result.frame) == 30 * 24 - 1
    assert len([a for a in ask.asked if int(a.query["startTime"]) < wall]) == 1


def test_replay_is_asked_for_all_of_its_history(ask) -> None:
    """A recorded series may begin and end anywhere; its gaps are no wall."""
    recorded = range(ms(START - 90 * 24 * HOUR), ms(START - 60 * 24 * HOUR), HOUR_MS)

    def answer(asked: Asked) -> object:
        low, high = int(asked.query["startTime"]), int(asked.query["endTime"])
        return [
            {
                "symbol": "BTCUSDT",
                "sumOpenInterest": "5",
                "sumOpenInterestValue": "9",
                "timestamp": t,
            }
            for t in recorded
            if low <= t <= high
        ][:500]

    window = Window(START - 100 * 24 * HOUR, START)
    found = ask("open_interest", answer, sources=("binance_futures",), window=window, origin="tape")
    assert len(found.frame) == 720
    assert found.log["fetch_status"].tolist() == ["ok"]
    live = ask("open_interest", answer, sources=("binance_futures",), window=window)
    assert live.log["fetch_status"].tolist() == ["empty"]


def test_history_beyond_the_declared_wall_is_taken_when_it_is_there(ask) -> None:
    def answer(asked: Asked) -> object:
        low, high = int(asked.query["startTime"]), int(asked.query["endTime"])
        first = -(-low // HOUR_MS) * HOUR_MS
        return [
            {
                "symbol": "BTCUSDT",
                "sumOpenInterest": "5",
                "sumOpenInterestValue": "9",
                "timestamp": t,
            }
            for t in range(first, high + 1, HOUR_MS)
        ][:500]

    start = floor_hour(NOW) - timedelta(days=100)
    result = ask("open_interest", answer, sources=("binance_futures",), window=Window(start, NOW))
    assert len(result.frame) == 2400
    assert result.log["fetch_status"].tolist() == ["ok"]


# --- parts, tiers, time, records -----------------------------------------------------------------


def test_coins_and_dollars_of_one_series_become_one_row(ask) -> None:
    def answer(asked: Asked) -> object:
        if "aggregated" in asked.path:
            return {"code": "0", "data": []}
        coin = asked.query["unit"] == "coin"
        hours = (0, 1) if coin else (1, 2)
        return {
            "code": "0",
            "data": [
                {
                    "time": ms(START) + h * HOUR_MS,
                    "open": "1",
                    "high": "1",
                    "low": "1",
                    "close": "5" if coin else "500",
                }
                for h in hours
            ],
        }

    result = ask(
        "open_interest", answer, sources=("coinglass",), coinglass_api_key=SecretStr("k-12345678")
    )
    rows = result.frame.set_index(result.frame["ts"].dt.hour)
    assert rows["open_interest_base"].fillna(-1).to_dict() == {0: 5, 1: 5, 2: -1}
    assert rows["open_interest_usd"].fillna(-1).to_dict() == {0: -1, 1: 500, 2: 500}
    assert rows["payload_id"].notna().all()
    assert result.log["rows_stored"].sum() == 4
    validate(result.frame, table("raw.open_interest"))


def test_primary_venue_is_tier_one_and_the_others_two(ask) -> None:
    rows = [bar(h) for h in range(24)]
    both = {"sources": ("binance", "binance_us"), "spot_venue": "binance_us"}
    result = ask("candles", lambda a: between(rows, a), **both)
    tiers = result.frame.groupby("venue")["source_tier"].unique().str[0].to_dict()
    assert tiers == {"binance": 2, "binance_us": 1}


def test_a_closed_bar_is_known_at_its_close_and_a_replay_only_assumes_it(ask) -> None:
    rows = [bar(h) for h in range(24)]
    result = ask("candles", lambda a: between(rows, a), sources=("binance",))
    assert (result.frame["available_at"] == result.frame["ts"] + HOUR).all()
    assert set(result.frame["pit_grade"]) == {"assumed"}


def test_rows_seen_live_carry_their_arrival(ask) -> None:
    now = datetime.now(UTC)
    first = floor_hour(now) - 10 * HOUR
    offset = (first - START) // HOUR

    def answer(asked: Asked) -> object:
        return between([bar(offset + h) for h in range(11)], asked)

    result = ask(
        "candles", answer, sources=("binance",), window=Window(first, now), clock=SystemClock()
    )
    seen = result.frame["pit_grade"] == "observed"
    assert seen.tolist() == [False] * (10 - seen.sum()) + [True] * seen.sum()
    assert 2 <= seen.sum() <= 3
    known = result.frame.loc[seen, "available_at"]
    assert ((known >= now) & (known <= datetime.now(UTC))).all()


def test_every_row_leads_back_to_its_bytes(ask, landing) -> None:
    """Row 60: parsing the landed bytes again gives the row."""
    rows = [bar(h) for h in range(24)]
    result = ask("candles", lambda a: between(rows, a, cap=10), sources=("binance",))
    index = result.payloads.set_index("payload_id")
    assert set(result.frame["payload_id"]) <= set(index.index)
    row = result.frame.iloc[13]
    again = PARSERS[f"{row['source']}/api_v3_klines"](landing.get(row["payload_id"]))
    match = again[again["ts"] == row["ts"]].iloc[0]
    assert (match["close"], match["volume_base"]) == (row["close"], row["volume_base"])
    assert index["endpoint_path"].unique().tolist() == ["/api/v3/klines"]
    assert index["url"].str.startswith("http://127.0.0.1").all()
    validate(result.payloads, table("ops.payloads"))
    validate(result.log, table("ops.fetch_log"))


def test_long_window_is_asked_for_in_full_pages_side_by_side(ask) -> None:
    rows = [bar(h) for h in range(-4000, 24)]
    seen: list[tuple[str, int, int]] = []
    window = Window(START - 4000 * HOUR, START + 24 * HOUR)
    result = ask(
        "candles",
        lambda a: between(rows, a),
        sources=("binance",),
        window=window,
        progress=lambda *x: seen.append(x),
        http_deadline_s=30.0,  # a page of a thousand rows that is late is asked for again
    )
    assert len(result.frame) == 4024
    assert len(ask.asked) == 5
    assert seen[-1] == ("binance", 5, 5)
    assert [x[1] for x in seen] == sorted(x[1] for x in seen)


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("https://api.binance.com", "https://api.binance.com"),
        ("https://api.binance.com/api/v3", "https://api.binance.com"),
        ("https://api.binance.com/api/v3/", "https://api.binance.com"),
        ("http://127.0.0.1:80/binance", "http://127.0.0.1:80/binance"),
    ],
)
def test_base_urls_of_older_configurations_work(
    make_settings, given_url: str, expected: str
) -> None:
    assert base_url(make_settings(binance_api_url=given_url), SOURCES["binance"]) == expected


def test_other_suffixes_are_stripped_too(make_settings) -> None:
    old = make_settings(
        okx_api_url="https://www.okx.com/api/v5",
        alternative_me_api_url="https://api.alternative.me/fng/",
        coinglass_api_url="https://open-api-v4.coinglass.com/api",
    )
    hosts = [
        base_url(old, SOURCES[n]).split("/")[-1] for n in ("okx", "alternative_me", "coinglass")
    ]
    assert hosts == ["www.okx.com", "api.alternative.me", "open-api-v4.coinglass.com"]


def test_binance_address_of_the_us_exchange_is_labelled_as_such(make_settings) -> None:
    us = make_settings(binance_api_url="https://api.binance.us/api/v3")
    assert effective_source(us, SOURCES["binance"]).name == "binance_us"
