"""Hyperliquid: recorded replies, and its five datasets asked over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pandas as pd
import pytest

from regime_pipeline.providers.errors import ContractViolation, UnknownSymbol
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.registry import PARSERS
from regime_pipeline.providers.symbols import to_venue
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import HOUR, FixedClock, Window, floor_hour, utc

NOW = utc("2024-03-05T10:03:00Z")
SYMBOLS = ("BTC/USDT", "DOT/USDT", "PEPE/USDT")
CTX = Context(now=utc("2026-12-01"))


def recorded(payloads_dir: Path, name: str) -> pd.DataFrame:
    body = (payloads_dir / "hyperliquid" / f"{name}__1.json").read_bytes()
    frame = PARSERS[f"hyperliquid/{name}"](body, CTX)
    assert frame["reason"].isna().all()
    return frame


def test_a_bar_ends_where_the_next_begins(payloads_dir: Path) -> None:
    frame = recorded(payloads_dir, "info_candleSnapshot")
    assert (frame["close_time"] - frame["ts"] == HOUR).all()
    assert frame["volume_base"].iloc[0] == 520665683.0
    assert frame[["volume_quote", "taker_buy_base"]].isna().all(axis=None)


def test_prints_are_late_by_some_milliseconds_and_tell_no_interval(payloads_dir: Path) -> None:
    frame = recorded(payloads_dir, "info_fundingHistory")
    late = frame["ts"] - frame["ts"].dt.floor("h")
    assert late.max() < timedelta(seconds=1) and late.min() > timedelta(0)
    assert set(frame["ts"].dt.round("min").diff().dropna()) == {8 * HOUR}  # of 2023
    assert "interval_hours" not in frame


def test_predictions_of_other_venues_are_not_read(payloads_dir: Path) -> None:
    frame = recorded(payloads_dir, "info_predictedFundings")
    assert frame["predicted_funding_rate"].tolist() == [1.25e-05]
    assert frame["interval_hours"].isna().all()  # absent, and nobody's eight hours


def test_states_are_joined_to_names_by_their_place(payloads_dir: Path) -> None:
    frame = recorded(payloads_dir, "info_metaAndAssetCtxs")
    assert frame["venue_symbol"].tolist() == ["BTC", "ETH", "HPOS"]
    assert frame["open_interest_base"].tolist() == [688.11, 1882.55, 2912.05]


def test_a_state_more_than_names_is_no_state_of_anybody() -> None:
    body = orjson.dumps([{"universe": [{"name": "BTC"}]}, [{"openInterest": "1"}] * 2])
    with pytest.raises(ContractViolation, match="1 names and 2 states"):
        PARSERS["hyperliquid/info_metaAndAssetCtxs"](body, CTX)


def test_null_is_a_coin_that_is_not_listed() -> None:
    with pytest.raises(UnknownSymbol):
        PARSERS["hyperliquid/info_l2Book"](b"null", CTX)


def test_names_of_a_thousand_coins_begin_with_a_small_k() -> None:
    assert to_venue("PEPE/USDT", "hyperliquid", "perp").name == "kPEPE"
    assert to_venue("PEPE/USDT", "hyperliquid", "perp").multiplier == 1000
    assert to_venue("BTC/USDT", "hyperliquid", "perp").name == "BTC"


# ------------------------------------------------------------------ over sockets


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(start=utc("2024-01-01"), end=utc("2024-04-01"), symbols=SYMBOLS)
    with SimulatorServer(tape, FixedClock(NOW)) as running:
        yield running


@pytest.fixture
def get(
    server: SimulatorServer,
    make_settings: Callable[..., Settings],
    make_client: Callable[..., HttpClient],
) -> Iterator[Callable[..., FetchResult]]:
    def one(dataset: str, window: Window, *, now: datetime = NOW) -> FetchResult:
        settings = make_settings(
            **server.settings_overrides(), sources=("hyperliquid",), http_deadline_s=30.0
        )
        client = make_client(settings, FixedClock(now))
        return fetch(
            dataset, window, settings=settings, client=client, clock=FixedClock(now),
            symbols=SYMBOLS,
        )  # fmt: skip

    yield one
    server.app.state.faults.clear()


def clean(found: FetchResult) -> pd.DataFrame:
    assert found.quarantined.empty, found.quarantined["reason"].tolist()
    assert set(found.log["fetch_status"]) == {"ok"}, found.log["error_message"].tolist()
    return found.frame


LAST_HOUR = Window(floor_hour(NOW) - HOUR, floor_hour(NOW))


def test_bars_are_per_coin_over_several_pages(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    window = Window(floor_hour(NOW) - timedelta(days=40), NOW)
    found = get("candles", window)
    frame = clean(found)
    assert len(found.payloads) == 6
    assert frame.groupby("symbol").size().tolist() == [960, 960, 960]
    bars = server.app.state.world.tape.candles("hyperliquid", "perp", "PEPE/USDT")
    ours = frame[frame["symbol"] == "PEPE/USDT"].iloc[-1]
    there = bars.close[bars.ts == ours["ts"].timestamp() * 1000][0]
    assert ours["close"] == pytest.approx(there, rel=1e-3)
    # the question is told with the reply, though it was posted
    asked = "/hyperliquid/info?type=candleSnapshot&coin="
    assert found.payloads["url"].str.contains(asked, regex=False).all()
    assert set(found.log["endpoint_path"]) == {"/info/candleSnapshot"}


def test_a_print_an_hour_rounded_to_it(get: Callable[..., FetchResult]) -> None:
    frame = clean(get("funding_rates", Window(NOW - timedelta(days=30), NOW)))
    assert frame.groupby("symbol").size().tolist() == [720, 720, 720]
    assert (frame["ts"] == frame["ts"].dt.floor("h")).all()


def test_predictions_of_all_coins_are_one_request(get: Callable[..., FetchResult]) -> None:
    found = get("funding_predictions", Window(floor_hour(NOW), NOW))
    frame = clean(found)
    assert found.log["request_count"].tolist() == [1]
    assert frame["symbol"].tolist() == list(SYMBOLS)
    assert set(frame["predicted_for"]) == {pd.Timestamp(floor_hour(NOW) + HOUR)}
    assert set(frame["interval_hours"]) == {1}


def test_open_interest_right_after_the_hour_is_its_close(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    found = get("open_interest", LAST_HOUR)
    frame = clean(found).set_index("symbol")
    assert found.log["request_count"].tolist() == [1]
    assert set(frame["ts"]) == {pd.Timestamp(LAST_HOUR.start)}
    tape = server.app.state.world.tape
    for symbol in SYMBOLS:  # coins, not thousands of them
        series = tape.open_interest("hyperliquid", symbol)
        close = series.close[series.ts == LAST_HOUR.start.timestamp() * 1000][0]
        assert frame.loc[symbol, "open_interest_base"] == pytest.approx(close, rel=0.05)
    price = frame["open_interest_usd"] / frame["open_interest_base"]
    assert price["BTC/USDT"] > 1000 > price["DOT/USDT"]


def test_open_interest_later_in_the_hour_is_nobodys_close(
    get: Callable[..., FetchResult],
) -> None:
    found = get("open_interest", LAST_HOUR, now=floor_hour(NOW) + timedelta(minutes=20))
    assert found.frame.empty
    assert found.log["error_message"].tolist() == ["read too long after the hour to be its close"]


def test_open_interest_of_the_past_is_not_asked_for(get: Callable[..., FetchResult]) -> None:
    found = get("open_interest", Window(NOW - 48 * HOUR, NOW - 24 * HOUR))
    assert found.frame.empty and found.log["request_count"].sum() == 0


def test_books_of_twenty_levels(get: Callable[..., FetchResult]) -> None:
    frame = clean(get("order_book", Window(floor_hour(NOW), NOW)))
    assert frame["symbol"].tolist() == list(SYMBOLS)
    assert (frame[["bid_levels", "ask_levels"]] == 20).all(axis=None)
    assert (frame["best_bid"] < frame["best_ask"]).all()


def test_a_coin_that_is_not_listed_is_told(
    make_settings: Callable[..., Settings],
    make_client: Callable[..., HttpClient],
    server: SimulatorServer,
) -> None:
    settings = make_settings(**server.settings_overrides(), sources=("hyperliquid",))
    found = fetch(
        "order_book", Window(floor_hour(NOW), NOW), settings=settings,
        client=make_client(settings, FixedClock(NOW)), clock=FixedClock(NOW), symbols=("NOPE/USDT",),
    )  # fmt: skip
    assert found.log["error_class"].tolist() == ["UnknownSymbol"]


def test_a_question_that_is_not_understood_is_not_asked_again(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    text = b"Failed to deserialize the JSON body into the target type"
    server.app.state.faults["/hyperliquid/info"] = Fault(status=422, body=text)
    found = get("funding_predictions", Window(floor_hour(NOW), NOW))
    assert found.log["error_class"].tolist() == ["BadRequest"]
    assert found.log["request_count"].tolist() == [1]
