"""Books, trades, closures and Bybit's series, fetched from simulated venues over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import numpy as np
import orjson
import pandas as pd
import pytest

from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.series import contract_size
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import DAY as DAYS
from regime_pipeline.windows import HOUR, FixedClock, Window, utc

NOW = utc("2024-03-05T10:30:00Z")
DAY = Window(utc("2024-03-05"), NOW)
SYMBOLS = ("BTC/USDT", "DOT/USDT")
VENUES = ("binance", "binance_futures", "okx", "bybit")


@pytest.fixture(scope="module")
def tape() -> SyntheticTape:
    return SyntheticTape(start=utc("2024-02-01"), end=utc("2024-04-01"), symbols=SYMBOLS)


@pytest.fixture(scope="module")
def server(tape: SyntheticTape) -> Iterator[SimulatorServer]:
    with SimulatorServer(tape, FixedClock(NOW)) as running:
        yield running


@pytest.fixture
def get(
    server: SimulatorServer,
    make_settings: Callable[..., Settings],
    make_client: Callable[..., HttpClient],
) -> Iterator[Callable[..., FetchResult]]:
    settings = make_settings(
        **server.settings_overrides(), http_deadline_s=10.0, single_trades=True
    )
    client = make_client(settings, FixedClock(NOW))

    def one(
        dataset: str, window: Window = DAY, sources: tuple[str, ...] = VENUES,
        symbols: tuple[str, ...] = SYMBOLS, **more: object,
    ):  # fmt: skip
        found = settings.model_copy(update={"sources": sources, **more})
        return fetch(
            dataset,
            window,
            settings=found,
            client=client,
            clock=FixedClock(NOW),
            symbols=symbols,
        )

    yield one
    server.app.state.faults.clear()


def failures(found: FetchResult) -> list[str]:
    bad = found.log[found.log["fetch_status"] == "failed"]
    return bad["error_message"].tolist()


def test_every_venue_gives_a_sound_book(get: Callable[..., FetchResult]) -> None:
    found = get("order_book")
    assert failures(found) == []
    assert found.quarantined.empty, found.quarantined["reason"].tolist()
    frame = found.frame
    per = frame.groupby(["source", "market"]).size()
    assert per.to_dict() == {
        ("binance", "spot"): 2,
        ("binance_futures", "perp"): 2,
        ("bybit", "perp"): 2,
        ("bybit", "spot"): 2,
        ("okx", "perp"): 2,
        ("okx", "spot"): 2,
    }
    assert (frame["ts"] == pd.Timestamp(NOW)).all()
    assert frame.loc[frame["source"] == "binance", "book_ts"].isna().all()
    assert (frame["book_age_s"] < 60).all()
    assert (frame["best_bid"] < frame["best_ask"]).all()
    assert frame["depth_25bps_bid_usd"].between(1e3, 1e9).all()
    # one market, one price: contracts, coins and quote amounts all come out as USD of like size
    perps = frame[(frame["market"] == "perp") & (frame["symbol"] == "BTC/USDT")]
    assert perps["depth_50bps_bid_usd"].max() < 10 * perps["depth_50bps_bid_usd"].min()


def test_swap_book_is_in_coins_once_the_contract_size_is_known(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    whole = get("order_book", sources=("okx",)).frame
    server.app.state.faults["/okx/api/v5/public/instruments"] = Fault(status=404)
    without = get("order_book", sources=("okx",))
    assert set(without.frame["market"]) == {"spot"}
    assert without.quarantined["reason"].str.contains("contract is not known").all()
    assert len(without.quarantined) == 2
    assert len(whole) == 4


def test_a_window_of_the_past_asks_for_no_book_and_says_so(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    before = sum(server.app.state.requests.values())
    found = get("order_book", Window(DAY.start - 48 * HOUR, DAY.start))
    assert sum(server.app.state.requests.values()) == before
    assert found.frame.empty
    assert set(found.log["fetch_status"]) == {"partial"}
    assert found.log["error_message"].str.startswith("forward only").all()


@pytest.mark.slow
def test_trades_sum_to_the_hours_of_the_bars(
    get: Callable[..., FetchResult], tape: SyntheticTape
) -> None:
    found = get("trade_flow")
    assert failures(found) == []
    assert found.quarantined.empty
    frame = found.frame.set_index(["market", "symbol", "ts"]).sort_index()
    # of the newest three hours only 08 and 09 lie wholly inside
    assert sorted({t.hour for _, _, t in frame.index}) == [8, 9]
    for market in ("spot", "perp"):
        for symbol in SYMBOLS:
            bars = tape.candles("binance", market, symbol)
            assert bars is not None
            at = pd.DatetimeIndex(bars.ts.astype("M8[ms]")).tz_localize("UTC")
            for hour in (8, 9):
                stamp = pd.Timestamp(DAY.start + hour * HOUR)
                row, bar = frame.loc[(market, symbol, stamp)], bars.rows(np.asarray(at == stamp))
                assert row["taker_buy_base"] == pytest.approx(bar.taker_buy_base[0])
                sold = bar.volume_base[0] - bar.taker_buy_base[0]
                assert row["taker_sell_base"] == pytest.approx(sold)
                counts = orjson.loads(row["size_counts"])
                assert sum(counts) == row["taker_buy_count"] + row["taker_sell_count"]
                value = row["taker_buy_quote"] + row["taker_sell_quote"]
                assert sum(orjson.loads(row["size_values"])) == pytest.approx(value)


def test_a_failed_page_of_trades_leaves_no_hour_at_all(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    server.app.state.faults["/binance/api/v3/aggTrades"] = Fault(status=400)
    found = get("trade_flow")
    assert set(found.frame["market"]) == {"perp"}
    assert len(failures(found)) == 2


@pytest.mark.parametrize("venue", ["okx", "bybit"])
def test_trades_of_other_primary_venues(get: Callable[..., FetchResult], venue: str) -> None:
    found = get("trade_flow", sources=(venue,), perp_venue=venue, spot_venue=venue)
    assert failures(found) == []
    perps = found.frame[found.frame["market"] == "perp"]
    assert set(perps["ts"].dt.hour) == {8, 9}
    assert len(perps) == 4
    assert (perps["source_tier"] == 1).all()
    spot = found.frame[found.frame["market"] == "spot"]
    # sixty trades of a spot pair reach back less than an hour at Bybit
    assert len(spot) == (4 if venue == "okx" else 0)


def test_closures_come_in_coins_and_usd_by_position(
    get: Callable[..., FetchResult], tape: SyntheticTape
) -> None:
    found = get("liquidation_events")
    assert failures(found) == []
    frame = found.frame
    assert found.quarantined.empty
    assert set(frame["source"]) == {"okx"}
    assert len(frame) > 10
    value = frame["quantity_base"] * frame["price"]
    assert np.allclose(value, frame["liquidation_usd"])
    sums = tape.liquidations("okx", "BTC/USDT")
    assert sums is not None
    hour = pd.Timestamp(DAY.start + 9 * HOUR)
    ours = frame[(frame["symbol"] == "BTC/USDT") & (frame["ts"].dt.floor("1h") == hour)]
    bar = sums.rows(np.asarray(sums.ts == hour.value // 10**6))
    for side, total in (("long", bar.long_usd), ("short", bar.short_usd)):
        told = ours.loc[ours["position_side"] == side, "liquidation_usd"].sum()
        step = 1e-8 * contract_size("BTC/USDT") * 1e5 * 10
        assert told == pytest.approx(float(total[0]) if len(total) else 0.0, abs=step)


def test_closures_become_sums_of_whole_hours_the_quiet_ones_too(
    get: Callable[..., FetchResult],
) -> None:
    window = Window(NOW - 2 * DAYS, NOW)
    found = get("liquidations", window, liquidation_source="okx", liquidation_venue="okx")
    assert failures(found) == []
    assert found.quarantined.empty
    single = get("liquidation_events", window).frame
    hours = pd.date_range(NOW - timedelta(hours=23, minutes=30), periods=23, freq="h").as_unit("us")
    known = single.assign(hour=single["ts"].dt.floor("h"))
    sums = known.pivot_table("liquidation_usd", ["symbol", "hour"], "position_side", "sum")
    quiet = 0
    for symbol in SYMBOLS:
        mine = found.frame[found.frame["symbol"] == symbol].set_index("ts")
        assert mine.index.equals(pd.DatetimeIndex(hours, name="ts"))  # of the last day, whole hours
        told = sums.loc[symbol].reindex(hours).fillna(0.0)
        for side in ("long", "short"):
            assert np.allclose(mine[f"{side}_liquidations_usd"], told[side], rtol=1e-9)
        quiet += int((mine["long_liquidations_usd"] + mine["short_liquidations_usd"] == 0).sum())
    assert quiet, "no hour of this world is quiet, so the test shows nothing"
    assert (found.frame["source_tier"] == 1).all()


def test_closures_are_not_summed_beside_another_source_of_liquidations(
    get: Callable[..., FetchResult],
) -> None:
    found = get("liquidations", liquidation_source="coinglass")
    assert found.frame.empty
    sums = found.log[found.log["symbol"].notna()]
    assert (sums["request_count"] == 0).all()
    assert sums["error_message"].str.contains("REGIME_LIQUIDATION_SOURCE").all()


@pytest.mark.parametrize("path", ["liquidation-orders", "instruments"])
def test_closures_that_cannot_be_read_to_the_end_are_no_quiet_hours(
    get: Callable[..., FetchResult], server: SimulatorServer, path: str
) -> None:
    server.app.state.faults[f"/okx/api/v5/public/{path}"] = Fault(status=404)
    found = get("liquidations", liquidation_source="okx", liquidation_venue="okx")
    # without the sizes of contracts an hour with closures cannot be summed, a quiet one can
    assert not (found.frame["long_liquidations_usd"] > 0).any()
    assert path == "instruments" or found.frame.empty


def test_an_undocumented_list_that_is_gone_is_a_note_not_a_failure(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    server.app.state.faults["/okx/api/v5/public/liquidation-orders"] = Fault(status=404)
    found = get("liquidation_events")
    asked = found.log[found.log["symbol"].notna()]
    assert set(asked["fetch_status"]) <= {"empty", "partial"}
    assert found.frame.empty


# --- Bybit's series ------------------------------------------------------------------------------


def test_bybit_candles_equal_the_tape(get: Callable[..., FetchResult], tape: SyntheticTape) -> None:
    window = Window(NOW - timedelta(days=30), NOW)
    found = get("candles", window, ("bybit",))
    assert failures(found) == []
    assert set(found.frame["source_tier"]) == {2}
    for market in ("spot", "perp"):
        mine = found.frame[
            (found.frame["market"] == market) & (found.frame["symbol"] == "BTC/USDT")
        ]
        bars = tape.candles("bybit", market, "BTC/USDT")
        assert bars is not None
        at = pd.DatetimeIndex(bars.ts.astype("M8[ms]")).tz_localize("UTC").as_unit("us")
        inside = np.asarray((at >= window.start) & (at + HOUR <= NOW))
        assert mine["ts"].tolist() == at[inside].tolist()
        assert np.array_equal(mine["close"], bars.close[inside])
        assert np.array_equal(mine["volume_base"], bars.volume_base[inside])
    assert found.frame["ts"].max() == pd.Timestamp(DAY.start + 9 * HOUR)  # the open bar is left out


def test_bybit_funding_open_interest_and_shares_equal_the_tape(
    get: Callable[..., FetchResult], tape: SyntheticTape
) -> None:
    window = Window(NOW - timedelta(days=30), NOW)
    funding = get("funding_rates", window, ("bybit",)).frame
    prints = tape.funding("bybit", "BTC/USDT")
    assert prints is not None
    mine = funding[funding["symbol"] == "BTC/USDT"]
    known = (prints.ts >= window.start.timestamp() * 1000) & (prints.ts <= NOW.timestamp() * 1000)
    assert np.allclose(mine["funding_rate"], prints.rate[known])
    interest = get("open_interest", window, ("bybit",)).frame
    series = tape.open_interest("bybit", "BTC/USDT")
    assert series is not None
    mine = interest[interest["symbol"] == "BTC/USDT"]
    start = -(-int(window.start.timestamp() * 1000) // 3_600_000) * 3_600_000
    known = (series.ts >= start) & (series.ts + 3_600_000 <= NOW.timestamp() * 1000)
    assert np.allclose(mine["open_interest_base"], series.close[known])  # one side, not both
    shares = get("positioning", window, ("bybit",)).frame
    assert set(shares["metric"]) == {"global_account_long_frac"}
    assert len(shares) == 2 * known.sum()


def test_bybit_symbols_are_looked_up_by_name(get: Callable[..., FetchResult]) -> None:
    from regime_pipeline.providers.symbols import to_venue

    for symbol, name, times in (
        ("BTC/USDT", "BTCUSDT", 1),
        ("PEPE/USDT", "1000PEPEUSDT", 1000),
        ("SHIB/USDT", "SHIB1000USDT", 1000),
    ):
        found = to_venue(symbol, "bybit", "perp")
        assert (found.name, found.multiplier) == (name, times)
    assert to_venue("PEPE/USDT", "bybit", "spot").name == "PEPEUSDT"


def test_old_version_suffix_of_the_address_is_cut(make_settings: Callable[..., Settings]) -> None:
    from regime_pipeline.providers.fetch.sources import base_url
    from regime_pipeline.providers.registry import SOURCES

    settings = make_settings(bybit_api_url="https://api.bybit.com/v2/")
    assert base_url(settings, SOURCES["bybit"]) == "https://api.bybit.com"


def test_trouble_inside_http_200_is_classified(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    body = b'{"retCode":10001,"retMsg":"params error: symbol invalid","result":{},"time":1}'
    server.app.state.faults["/bybit/v5/market/kline"] = Fault(status=200, body=body)
    found = get("candles", sources=("bybit",))
    assert found.frame.empty
    assert set(found.log["error_class"]) == {"UnknownSymbol"}


# --- listed contracts ------------------------------------------------------------------------------


def test_every_venue_tells_in_one_request_since_when_it_lists_its_contracts(
    get: Callable[..., FetchResult], tape: SyntheticTape
) -> None:
    found = get("instruments", symbols=(*SYMBOLS, "NOPE/USDT"))
    assert found.quarantined.empty
    assert found.log.set_index("source")["request_count"].to_dict() == {
        "binance_futures": 1, "okx": 1, "bybit": 1,
    }  # fmt: skip
    assert found.log["error_message"].str.fullmatch("not among the listed .*: NOPE/USDT").all()
    frame = found.frame.set_index(["venue", "symbol"]).sort_index()
    assert set(frame.index) == {(v, s) for v in ("binance", "okx", "bybit") for s in SYMBOLS}
    for (venue, symbol), row in frame.iterrows():
        bars = tape.candles(venue, "perp", symbol)
        assert bars is not None
        assert row["listed_from"] == pd.Timestamp(int(bars.ts[0]), unit="ms", tz="UTC")
        assert pd.isna(row["listed_to"])
    assert frame.loc[("okx", "BTC/USDT"), "venue_symbol"] == "BTC-USDT-SWAP"
    assert set(frame["listing_status"]) == {"TRADING", "live", "Trading"}


# --- running funding estimates ---------------------------------------------------------------------


def test_every_venue_tells_its_running_estimate_of_the_coming_settlement(
    get: Callable[..., FetchResult], tape: SyntheticTape
) -> None:
    found = get("funding_predictions")
    assert failures(found) == []
    assert found.quarantined.empty
    frame = found.frame.set_index(["venue", "symbol"]).sort_index()
    assert set(frame.index) == {(v, s) for v in ("binance", "okx", "bybit") for s in SYMBOLS}
    assert set(frame["ts"]) == {pd.Timestamp("2024-03-05T10:00Z")}
    assert set(frame["predicted_for"]) == {pd.Timestamp("2024-03-05T16:00Z")}
    assert (frame["available_at"] == pd.Timestamp(NOW)).all()
    assert frame.loc["okx", "interval_hours"].eq(8).all()
    assert frame.loc["binance", "interval_hours"].isna().all()
    assert frame.loc["binance", "source_tier"].eq(1).all()
    assert frame.loc["okx", "source_tier"].eq(2).all()
    for venue in ("binance", "okx", "bybit"):
        series = tape.funding(venue, "BTC/USDT")
        assert series is not None
        coming = int(np.searchsorted(series.ts, NOW.timestamp() * 1000, side="right"))
        shown = frame.loc[(venue, "BTC/USDT"), "predicted_rate"]
        assert shown == pytest.approx(series.predicted[coming], abs=1e-9)


def test_one_request_tells_the_estimates_of_all_symbols_of_a_venue(
    get: Callable[..., FetchResult],
) -> None:
    found = get("funding_predictions", perp_venue_by_symbol={"DOT/USDT": "okx"})
    assert found.log.set_index("source")["request_count"].to_dict() == {
        "binance_futures": 1, "okx": 1, "bybit": 1,
    }  # fmt: skip
    tiers = found.frame.set_index(["venue", "symbol"])["source_tier"]
    assert tiers[("okx", "DOT/USDT")] == 1
    assert tiers[("binance", "DOT/USDT")] == 2
    assert tiers[("binance", "BTC/USDT")] == 1


def test_a_symbol_that_a_list_of_instruments_lacks_is_named(
    get: Callable[..., FetchResult],
) -> None:
    found = get("funding_predictions", symbols=(*SYMBOLS, "NOPE/USDT"))
    assert set(found.frame["symbol"]) == set(SYMBOLS)
    assert found.log["error_message"].str.fullmatch("not among the listed .*: NOPE/USDT").all()
    assert set(found.log["fetch_status"]) == {"partial"}


def test_an_estimate_of_the_past_is_never_asked_for(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    before = sum(server.app.state.requests.values())
    found = get("funding_predictions", Window(DAY.start - 48 * HOUR, DAY.start))
    assert sum(server.app.state.requests.values()) == before
    assert found.frame.empty
    assert found.log["error_message"].str.startswith("forward only").all()


PAST = Window(DAY.start - 20 * DAYS, DAY.start - 19 * DAYS)


def one_candle(at: datetime) -> Fault:
    stamp = int(at.timestamp() * 1000)
    row = [stamp, "1", "2", "0.5", "1.5", "10", stamp + 3_599_999, "15", 7, "4", "6", "0"]
    return Fault(body=json.dumps([row]))


@pytest.mark.parametrize("days", [-10, 10], ids=["older", "newer"])
def test_rows_of_another_time_are_no_answer(
    get: Callable[..., FetchResult], server: SimulatorServer, days: int
) -> None:
    """A cache that stands still, or a provider that ignores the bounds: failed, so asked again."""
    server.app.state.faults["/binance/api/v3/klines"] = one_candle(PAST.start + days * DAYS)
    found = get("candles", PAST, sources=("binance",))
    assert found.frame.empty
    assert set(found.log["fetch_status"]) == {"failed"}
    assert set(found.log["error_class"]) == {"ContractViolation"}
    assert found.log["error_message"].str.contains("the reply is about").all()


def test_a_listing_that_begins_inside_the_window_is_an_answer(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    server.app.state.faults["/binance/api/v3/klines"] = one_candle(PAST.end - HOUR)
    found = get("candles", PAST, sources=("binance",))
    assert failures(found) == []
    assert set(found.frame["ts"]) == {PAST.end - HOUR}
