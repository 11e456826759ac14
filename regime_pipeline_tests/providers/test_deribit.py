"""Deribit: recorded replies, names of options, and its three datasets over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest

from regime_pipeline.features.implied_volatility import black_delta
from regime_pipeline.providers.deribit.options import option_of, options_of
from regime_pipeline.providers.errors import BadRequest, RateLimited, UnknownSymbol, classify
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.registry import PARSERS, SOURCES
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import HOUR, FixedClock, Window, floor_hour, utc

NOW = utc("2024-03-05T10:30:00Z")
SYMBOLS = ("BTC/USDT", "DOT/USDT", "ETH/USDT")
CTX = Context(now=utc("2026-12-01"))


def recorded(payloads_dir: Path, name: str) -> pd.DataFrame:
    body = (payloads_dir / "deribit" / f"{name}__1.json").read_bytes()
    return PARSERS[f"deribit/{name}"](body, CTX)


def test_the_index_is_percent_a_year(payloads_dir: Path) -> None:
    frame = recorded(payloads_dir, "public_get_volatility_index_data")
    assert frame["reason"].isna().all()
    first = frame.iloc[0]
    assert first["ts"] == pd.Timestamp("2026-09-13 12:00", tz="UTC")
    assert (first["volatility_open_pct"], first["volatility_close_pct"]) == (38.62, 38.89)


def test_an_index_told_as_a_fraction_is_refused() -> None:
    rows = [[1789300800000, 0.21, 0.22, 0.2, 0.21], [1789304400000, 38.6, 38.9, 37.7, 38.8]]
    body = orjson.dumps({"jsonrpc": "2.0", "result": {"data": rows, "continuation": None}})
    reasons = PARSERS["deribit/public_get_volatility_index_data"](body, CTX)["reason"]
    assert "no percent a year" in reasons[0] and pd.isna(reasons[1])


def test_funding_is_what_one_hour_cost(payloads_dir: Path) -> None:
    frame = recorded(payloads_dir, "public_get_funding_rate_history")
    assert frame["funding_rate"].iloc[0] == 2.517506579644087e-05
    assert (frame["interval_hours"] == 1).all() and (frame["ts"].diff().dropna() == HOUR).all()


def test_summaries_of_futures_are_no_options(payloads_dir: Path) -> None:
    frame = recorded(payloads_dir, "public_get_book_summary_by_currency")
    assert len(frame) == 2 and frame["reason"].isna().all()
    assert options_of(frame).empty


@pytest.mark.parametrize(
    ("name", "expiry", "strike", "kind", "settled_in"),
    [
        ("BTC-27NOV26-80000-C", "2026-11-27T08:00", 80000.0, "call", None),
        ("BTC-7JUN24-20200-P", "2024-06-07T08:00", 20200.0, "put", None),
        ("XRP_USDC-21SEP26-1d3-P", "2026-09-21T08:00", 1.3, "put", "USDC"),
    ],
)
def test_a_name_tells_the_option(
    name: str, expiry: str, strike: float, kind: str, settled_in: str | None
) -> None:
    found = option_of(name)
    assert found is not None
    assert (found.expiry_at, found.strike) == (utc(expiry), strike)
    assert (found.option_type, found.settled_in) == (kind, settled_in)


@pytest.mark.parametrize("name", ["BTC-PERPETUAL", "BTC-27NOV26", "BTC-31FEB26-1-C", "", None, 7])
def test_other_names_tell_no_option(name: object) -> None:
    assert option_of(name) is None


def delta_of(row: pd.Series) -> float:
    days = (row["expiry_at"] - row["ts"]).total_seconds() / 86_400
    numbers = (row["strike"], row["underlying_price"], row["mark_iv_pct"], days)
    is_call = np.array([row["option_type"] == "call"])
    return float(black_delta(*(np.array([n]) for n in numbers), is_call)[0])


def test_our_delta_is_the_venues(payloads_dir: Path) -> None:
    frame = recorded(payloads_dir, "public_ticker_option")
    row = frame.iloc[0]
    assert abs(delta_of(row) - row["delta"]) <= 0.02
    assert pd.isna(row["bid_iv_pct"])  # 0 says that there is no bid


@pytest.mark.parametrize(
    ("code", "kind"), [(10028, RateLimited), (13020, UnknownSymbol), (-32602, BadRequest)]
)
def test_errors_by_their_code(code: int, kind: type[Exception]) -> None:
    body = orjson.dumps({"jsonrpc": "2.0", "error": {"code": code, "message": "said"}})
    found = classify(400, {}, body, SOURCES["deribit"].errors)
    assert type(found) is kind and "said" in str(found)


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
    settings = make_settings(
        **server.settings_overrides(), sources=("deribit",), http_deadline_s=10.0
    )
    client = make_client(settings, FixedClock(NOW))

    def one(dataset: str, window: Window) -> FetchResult:
        return fetch(
            dataset, window, settings=settings, client=client, clock=FixedClock(NOW),
            symbols=SYMBOLS,
        )  # fmt: skip

    yield one
    server.app.state.faults.clear()


def test_bars_of_the_index_page_back_and_leave_out_the_running_one(
    get: Callable[..., FetchResult],
) -> None:
    window = Window(NOW - timedelta(days=50), NOW)
    found = get("volatility_index", window)
    assert found.quarantined.empty and set(found.log["fetch_status"]) == {"ok"}
    assert set(found.log["symbol"]) == {"BTC/USDT", "ETH/USDT"}  # nobody asks for another
    hours = found.frame.groupby("symbol")["ts"].agg(["min", "max", "size"])
    assert (hours["max"] == pd.Timestamp(floor_hour(NOW) - HOUR)).all()
    assert (hours["size"] == 50 * 24 - 1).all()
    assert found.frame["volatility_close_pct"].between(5, 400).all()


def test_a_chain_is_every_option_of_the_moment(get: Callable[..., FetchResult]) -> None:
    found = get("option_chain", Window(floor_hour(NOW), NOW))
    assert found.quarantined.empty
    assert found.log["request_count"].tolist() == [1, 1]
    frame = found.frame
    assert set(frame["ts"]) == {pd.Timestamp(floor_hour(NOW))}
    assert set(frame["quoted_at"]) == {pd.Timestamp(NOW)}
    assert frame.groupby("symbol")["expiry_at"].nunique().min() >= 9
    assert set(frame["option_type"]) == {"call", "put"}


def test_a_chain_of_the_past_is_not_asked_for(get: Callable[..., FetchResult]) -> None:
    found = get("option_chain", Window(NOW - 48 * HOUR, NOW - 24 * HOUR))
    assert found.frame.empty and found.log["request_count"].sum() == 0
    assert found.log["error_message"].str.startswith("forward only").all()


def test_funding_of_each_hour(get: Callable[..., FetchResult]) -> None:
    found = get("funding_rates", Window(NOW - timedelta(days=40), NOW))
    assert found.quarantined.empty
    assert set(found.frame["interval_hours"]) == {1}
    assert found.frame.groupby("symbol").size().tolist() == [960, 960]


@pytest.mark.slow
def test_our_delta_is_that_of_the_simulated_ticker(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    import httpx

    names = get("option_chain", Window(floor_hour(NOW), NOW)).frame["option_name"]
    for name in names.sample(20, random_state=1):
        url = f"{server.base_url}/deribit/api/v2/public/ticker"
        body = httpx.get(url, params={"instrument_name": name}).content
        row = PARSERS["deribit/public_ticker"](body, Context(now=NOW)).iloc[0]
        assert abs(delta_of(row) - row["delta"]) <= 0.02


def test_a_limit_that_was_met_is_told(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    body = orjson.dumps({"error": {"code": 10028, "message": "too_many_requests"}})
    server.app.state.faults["/deribit/"] = Fault(status=429, body=body)
    found = get("volatility_index", Window(NOW - 5 * HOUR, NOW))
    assert set(found.log["error_class"]) == {"RateLimited"} and found.frame.empty
