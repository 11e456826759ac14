"""Every dataset end to end over real HTTP: the simulator speaks the providers' wire formats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock, Window

NOW = datetime(2025, 3, 1, 0, 20, tzinfo=UTC)
WEEK = Window(datetime(2025, 2, 22, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC))
SYMBOLS = ("BTC/USDT", "ETH/USDT")
HOURS = 168
SOURCES = ("binance", "binance_us", "binance_futures", "okx", "coinglass", "alternative_me")


@pytest.fixture(scope="module")
def tape() -> SyntheticTape:
    return SyntheticTape(start=NOW - timedelta(days=120), end=NOW + timedelta(days=2))


class Desk:
    """A simulator with settings that point to it."""

    def __init__(self, tape: SyntheticTape, home: Path, *, walls: bool) -> None:
        self.clock = FixedClock(NOW)
        self.server = SimulatorServer(tape, self.clock, walls=walls)
        self.home = home

    def __enter__(self) -> Desk:
        self.server.__enter__()
        self.settings = Settings(
            _env_file=None, home=self.home, sources=SOURCES, **self.server.settings_overrides()
        )
        self.client = HttpClient(self.settings, LandingStore.of(self.settings), self.clock)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.__exit__(None, None, None)

    def fetch(self, dataset: str, window: Window = WEEK) -> FetchResult:
        return fetch(
            dataset,
            window,
            settings=self.settings,
            client=self.client,
            clock=self.clock,
            symbols=SYMBOLS,
        )


@pytest.fixture(scope="module")
def desk(tape: SyntheticTape, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tape, tmp_path_factory.mktemp("open"), walls=False) as found:
        yield found


@pytest.fixture(scope="module")
def walled(tape: SyntheticTape, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tape, tmp_path_factory.mktemp("walled"), walls=True) as found:
        yield found


def sound(result: FetchResult, dataset: str) -> pd.DataFrame:
    """The rows, once it is sure that all is well with them."""
    assert result.log["fetch_status"].isin(["ok", "empty"]).all(), result.log[
        "error_message"
    ].tolist()
    assert len(result.quarantined) == 0
    frame = validate(result.frame, table(f"raw.{dataset}"))
    assert not frame.duplicated(list(table(f"raw.{dataset}").key)).any()
    return frame


def test_candles_of_every_venue_are_whole_and_true(desk: Desk, tape: SyntheticTape) -> None:
    frame = sound(desk.fetch("candles"), "candles")
    series = frame.groupby(["source", "venue", "market", "symbol"]).size()
    assert len(series) == 10
    assert (series == HOURS).all()
    for venue, market in (("binance", "spot"), ("okx", "perp")):
        truth = tape.candles(venue, market, "BTC/USDT")
        first = int(np.searchsorted(truth.ts, int(WEEK.start.timestamp() * 1000)))
        rows = frame.query("source == @venue and market == @market and symbol == 'BTC/USDT'")
        np.testing.assert_allclose(rows["close"], truth.close[first : first + HOURS], rtol=1e-6)
        np.testing.assert_allclose(
            rows["volume_base"], truth.volume_base[first : first + HOURS], rtol=1e-3
        )


def test_old_candles_come_from_the_history_endpoint(desk: Desk) -> None:
    """Half before, half after the 1440 bars that the plain endpoint reaches."""
    middle = NOW.replace(minute=0) - timedelta(hours=1400)
    window = Window(middle - timedelta(hours=150), middle + timedelta(hours=150))
    result = desk.fetch("candles", window)
    okx = sound(result, "candles").query("source == 'okx'")
    assert (okx.groupby(["market", "symbol"]).size() == 300).all()
    paths = set(result.log.query("source == 'okx'")["endpoint_path"])
    assert paths == {"/api/v5/market/candles", "/api/v5/market/history-candles"}


def test_funding_of_both_venues(desk: Desk, tape: SyntheticTape) -> None:
    frame = sound(desk.fetch("funding_rates"), "funding_rates")
    assert set(frame["source"]) == {"binance_futures", "okx"}
    truth = tape.funding("binance", "BTC/USDT")
    low, high = (int(t.timestamp() * 1000) for t in (WEEK.start, WEEK.end))
    inside = (truth.ts >= low) & (truth.ts < high)
    rows = frame.query("source == 'binance_futures' and symbol == 'BTC/USDT'")
    np.testing.assert_allclose(rows["funding_rate"], truth.rate[inside], atol=1e-8)


def test_open_interest_of_every_source(desk: Desk) -> None:
    frame = sound(desk.fetch("open_interest"), "open_interest")
    series = frame.groupby(["source", "venue", "symbol"]).size()
    assert set(series.index.droplevel("symbol")) == {
        ("binance_futures", "binance"),
        ("coinglass", "binance"),
        ("coinglass", "aggregate"),
        ("okx", "okx"),
    }
    assert (series == HOURS).all()
    assert frame[["open_interest_base", "open_interest_usd"]].notna().all(axis=None)
    wide = frame.query("venue == 'binance'").pivot_table(
        index=["symbol", "ts"], columns="source", values="open_interest_base"
    )
    np.testing.assert_allclose(wide["coinglass"], wide["binance_futures"], rtol=0.02)


def test_positioning_has_every_metric_of_both_venues(desk: Desk) -> None:
    frame = sound(desk.fetch("positioning"), "positioning")
    series = frame.groupby(["source", "symbol", "metric"]).size()
    relayed = series["coinglass"]
    series = series.drop("coinglass", level="source")
    assert len(series) == 2 * 2 * 5
    assert len(relayed) == 2 * 3  # shares of the primary venue; no taker volumes in coins
    assert (series == HOURS).all()
    shares = frame[frame["metric"].str.endswith("_frac")]["value"]
    assert shares.between(0.02, 0.98).all()


def test_liquidations_leave_quiet_hours_out(desk: Desk) -> None:
    result = desk.fetch("liquidations")
    left_alone = result.log["source"] == "okx"  # its single closures are summed for nobody here
    assert result.log[left_alone]["error_message"].str.startswith("off: single closures").all()
    assert (result.log[left_alone]["request_count"] == 0).all()
    frame = sound(replace(result, log=result.log[~left_alone]), "liquidations")
    assert set(frame["venue"]) == {"binance", "aggregate"}
    both = frame.pivot_table(
        index=["symbol", "ts"], columns="venue", values="long_liquidations_usd"
    ).dropna()
    assert len(both) > HOURS
    assert (both["aggregate"] >= both["binance"] * 0.999).all()


def test_fear_greed_is_known_an_hour_into_its_day(desk: Desk) -> None:
    frame = sound(desk.fetch("fear_greed"), "fear_greed")
    assert frame["source"].value_counts().to_dict() == {"alternative_me": 7, "coinglass": 7}
    assert (frame["available_at"] - frame["ts"] == timedelta(hours=1)).all()


@pytest.mark.slow
def test_walls_make_the_answer_partial_and_say_so(walled: Desk) -> None:
    window = Window(NOW.replace(minute=0) - timedelta(days=100), NOW)
    result = walled.fetch("open_interest", window)
    states = result.log.groupby("source")["fetch_status"].unique().str[0].to_dict()
    assert states == {"binance_futures": "partial", "okx": "partial", "coinglass": "ok"}
    rows = result.frame.groupby(["source", "venue", "symbol"]).size()
    assert (rows["binance_futures"] >= 30 * 24 - 2).all()
    assert (rows["okx"] >= 1438).all()
    requests = result.log.set_index("source")["request_count"]
    assert requests["binance_futures"].max() <= 4
    assert requests["okx"].max() <= 18


@pytest.mark.slow
def test_fetching_in_pieces_gives_the_same_rows(desk: Desk) -> None:
    content = list(table("raw.positioning").content)
    cuts = [WEEK.start, WEEK.start + timedelta(hours=5), WEEK.start + timedelta(hours=90), WEEK.end]
    pieces = [desk.fetch("positioning", Window(a, b)).frame for a, b in pairwise(cuts)]
    whole = desk.fetch("positioning").frame
    joined = pd.concat(pieces).sort_values(list(table("raw.positioning").key), ignore_index=True)
    pd.testing.assert_frame_equal(joined[content], whole[content])


def test_scripted_outage_of_one_provider_leaves_the_others(desk: Desk) -> None:
    """Row 84, and row 7: what failed is in the log, what came is there."""
    window = Window(WEEK.end - timedelta(hours=3), WEEK.end)
    changed = desk.settings.model_copy(update={"okx_api_url": "http://127.0.0.1:9"})
    with HttpClient(
        changed.model_copy(update={"http_attempts": 2}),
        LandingStore.of(changed),
        desk.clock,
        first_wait_s=0.01,
    ) as client:
        result = fetch(
            "candles", window, settings=changed, client=client, clock=desk.clock, symbols=SYMBOLS
        )
    assert set(result.frame["source"]) == {"binance", "binance_us", "binance_futures"}
    failed = result.log[result.log["source"] == "okx"]
    assert set(failed["error_class"]) == {"Transient"}


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        ("coin_markets", "only the latest value"),
        ("funding_predictions", "gone once its rate is settled"),
    ],
)
def test_a_replay_asks_nobody_about_its_end(desk: Desk, dataset: str, why: str) -> None:
    """What a provider tells of the present alone would depend on where a chunk ends."""
    replay = desk.settings.model_copy(update={"origin": "tape"})
    got = {}
    for settings in (desk.settings, replay):
        got[settings.origin] = fetch(
            dataset,
            Window(NOW - timedelta(days=1), NOW),
            settings=settings,
            client=desk.client,
            clock=desk.clock,
            symbols=SYMBOLS,
        )
    assert set(got["live"].frame["symbol"]) == set(SYMBOLS)
    assert len(got["tape"].frame) == 0
    assert set(got["tape"].log["request_count"]) == {0}
    assert got["tape"].log["error_message"].str.contains(why).all()
