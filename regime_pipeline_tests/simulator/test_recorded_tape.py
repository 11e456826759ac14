"""Recorded history: what the files say is what is served, and nothing else."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import NotATapeError, ParquetTape, tape_from_text
from regime_pipeline.windows import FixedClock, utc

HOUR = pd.Timedelta(hours=1)


def bars(start: str, hours: int, **columns: object) -> pd.DataFrame:
    ts = pd.date_range(start, periods=hours, freq="1h", tz="UTC")
    frame = pd.DataFrame(
        {"ts": ts, "open": 10.0, "high": 11.5, "low": 9.25, "close": 10.5, "volume": 3.0}
    )
    return frame.assign(**{"venue": "binance", "market": "spot", "symbol": "BTCUSDT"} | columns)


def ms(frame: pd.DataFrame) -> list[int]:
    return (frame.ts.astype("datetime64[ms, UTC]").astype("int64")).tolist()


@pytest.mark.history
def test_served_bars_are_the_files_bars(market_history: Path) -> None:
    recorded = pd.read_parquet(market_history / "candles_1h.parquet")
    span = recorded[(recorded.ts >= "2024-08-03") & (recorded.ts < "2024-08-13")].sort_values("ts")
    paths = {
        ("binance", "spot"): "/binance/api/v3/klines",
        ("binance", "perp"): "/binance_futures/fapi/v1/klines",
    }
    clock = FixedClock(utc("2024-08-13T00:00:00Z"))
    with (
        SimulatorServer(ParquetTape(market_history), clock) as server,
        httpx.Client(base_url=server.base_url) as client,
    ):
        for (venue, market), path in paths.items():
            for symbol in ("BTCUSDT", "XRPUSDT"):
                want = span[
                    (span.venue == venue) & (span.market == market) & (span.symbol == symbol)
                ]
                params = {
                    "symbol": symbol,
                    "interval": "1h",
                    "startTime": ms(want)[0],
                    "limit": 1000,
                }
                rows = client.get(path, params=params).json()
                assert [r[0] for r in rows] == ms(want)
                for place, name in enumerate(("open", "high", "low", "close", "volume"), start=1):
                    assert [float(r[place]) for r in rows] == want[name].tolist()
        want = span[(span.venue == "okx") & (span.symbol == "ADAUSDT")]
        rows = client.get(
            "/okx/api/v5/market/history-candles",
            params={"instId": "ADA-USDT-SWAP", "bar": "1H", "limit": 100},
        ).json()["data"]
        assert [float(r[5]) for r in rows] == want.volume.tolist()[::-1][:100]  # contracts
        assert float(rows[0][6]) == pytest.approx(float(rows[0][5]) * 100)
        unlisted = client.get(
            "/okx/api/v5/market/candles", params={"instId": "DOT-USDT-SWAP", "bar": "1H"}
        )
        assert unlisted.json()["code"] == "51001"
        unrecorded = client.get(
            "/binance_futures/futures/data/topLongShortAccountRatio",
            params={"symbol": "BTCUSDT", "period": "1h"},
        )
        assert unrecorded.json() == []


@pytest.mark.history
def test_derivatives_are_the_files_and_unreported_hours_are_absent(market_history: Path) -> None:
    recorded = pd.read_parquet(market_history / "derivatives_1h.parquet")
    tape = ParquetTape(market_history)
    for text, want in recorded.groupby("symbol"):
        want = want.sort_values("ts")
        symbol = f"{str(text)[:3]}/USDT"
        told = tape.liquidations("binance", symbol)
        assert told is not None
        known = want.dropna(subset=["liq_long_usd", "liq_short_usd"])
        assert len(known) < len(want)
        assert told.ts.tolist() == ms(known)
        assert told.long_usd.tolist() == known.liq_long_usd.tolist()
        held = tape.open_interest("binance", symbol)
        assert held is not None
        assert held.close.tolist() == want.oi_close.tolist()
        assert held.close_usd.tolist() == want.oi_close_usd.tolist()
        shares = tape.positioning("binance", symbol, "global_account")
        assert shares is not None
        np.testing.assert_allclose(shares.long * 100, want.long_pct.dropna())
    assert tape.liquidations("binance", "ADA/USDT") is None  # the daily files never stand in
    assert tape.liquidations("okx", "BTC/USDT") is None


@pytest.mark.history
def test_days_are_served_by_the_day_only_and_not_before_they_end(market_history: Path) -> None:
    paths = {
        "liquidation/aggregated-history": (
            "liquidations_1d",
            {"aggregated_long_liquidation_usd": "liq_long_usd"},
        ),
        "open-interest/aggregated-history": ("open_interest_1d", {"close": "oi_total_close"}),
        "orderbook/aggregated-ask-bids-history": (
            "orderbook_depth_1d",
            {"aggregated_bids_usd": "bids_usd"},
        ),
    }
    now = FixedClock(utc("2024-08-05T12:00:00Z"))
    with (
        SimulatorServer(ParquetTape(market_history), now) as server,
        httpx.Client(
            base_url=f"{server.base_url}/coinglass/api/futures/",
            headers={"CG-API-KEY": "simulated-key"},
        ) as client,
    ):

        def rows(path: str, **more: str) -> list[dict[str, object]]:
            asked = {"exchange_list": "Binance,OKX,Bybit", "symbol": "ETH", "interval": "1d"}
            return client.get(path, params=asked | more).json()["data"]

        for path, (file, columns) in paths.items():
            recorded = pd.read_parquet(market_history / f"{file}.parquet")
            recorded = recorded[recorded["symbol"] == "ETH"].sort_values("ts")
            want = recorded[recorded["ts"] < pd.Timestamp("2024-08-05T00:00Z")].tail(5)
            told = rows(path)[-5:]
            assert [r["time"] for r in told] == ms(want), path
            for theirs, ours in columns.items():
                assert [float(str(r[theirs])) for r in told] == pytest.approx(want[ours].tolist())
        ratio = "top-long-short-position-ratio/history"
        told = rows(ratio, symbol="ETHUSDT", exchange="Binance")[-1]
        recorded = pd.read_parquet(market_history / "long_short_ratio_1d.parquet")
        day = recorded[(recorded["symbol"] == "ETH") & (recorded["ts"] == "2024-08-04T00:00Z")]
        long = day["lsr_top_positions"].iloc[0]
        assert told["time"] == ms(day)[0]
        assert told["top_position_long_percent"] == pytest.approx(100 * long / (1 + long), abs=0.01)
        hours = rows("liquidation/aggregated-history", interval="1h")
        assert {int(str(r["time"])) % 86_400_000 for r in hours} > {
            0
        }  # hours, and no day among them


@pytest.mark.history
def test_holes_stay_holes_and_prints_stay_prints(market_history: Path) -> None:
    tape = ParquetTape(market_history)
    spot, perp = (
        tape.candles("binance", "spot", "BTC/USDT"),
        tape.candles("binance", "perp", "BTC/USDT"),
    )
    assert spot is not None and perp is not None
    assert len(spot) == len(perp) - 1
    funding = pd.read_parquet(market_history / "funding.parquet")
    want = funding[funding.symbol == "SOLUSDT"].sort_values("ts")
    told = tape.funding("binance", "SOL/USDT")
    assert told is not None
    assert told.rate.tolist() == want.funding_rate.tolist()
    assert tape.funding("binance", "DOT/USDT") is None
    mood = tape.fear_greed()
    assert mood is not None
    assert (
        mood.value.tolist()
        == pd.read_parquet(market_history / "fear_greed_1d.parquet").sort_values("ts").fng.tolist()
    )


def test_a_small_folder_of_ones_own_is_a_tape(tmp_path: Path) -> None:
    frame = pd.concat([bars("2024-01-01", 5), bars("2024-01-01T07:00", 3)])
    frame.sample(frac=1, random_state=1).to_parquet(tmp_path / "candles_1h.parquet")
    tape = tape_from_text(str(tmp_path))
    assert tape.symbols == ("BTC/USDT",)
    assert tape.span.end == utc("2024-01-01T10:00:00Z")
    assert tape.fear_greed() is None and tape.funding("binance", "BTC/USDT") is None
    clock = FixedClock(utc("2024-01-02"))
    with SimulatorServer(tape, clock) as server, httpx.Client(base_url=server.base_url) as client:
        rows = client.get(
            "/binance/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1h"}
        ).json()
        assert len(rows) == 8  # the hole is not filled
        assert rows[0][1:6] == [
            "10.00000000",
            "11.50000000",
            "9.25000000",
            "10.50000000",
            "3.00000000",
        ]
        assert rows[0][7] is None  # not recorded is not zero
        four = client.get(
            "/binance/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "4h"}
        ).json()
        assert [float(r[5]) for r in four] == [12.0, 6.0, 6.0]
        mood = client.get("/alternative_me/fng/").json()
        assert mood["data"] == []
        futures = client.get("/binance_futures/fapi/v1/fundingRate", params={"symbol": "BTCUSDT"})
        assert futures.json()["code"] == -1121


def test_a_later_row_of_the_same_hour_wins(tmp_path: Path) -> None:
    pd.concat([bars("2024-01-01", 3), bars("2024-01-01", 1, close=11.0)]).to_parquet(
        tmp_path / "candles_1h.parquet"
    )
    told = ParquetTape(tmp_path).candles("binance", "spot", "BTC/USDT")
    assert told is not None
    assert told.close.tolist() == [11.0, 10.5, 10.5]


@pytest.mark.parametrize("kind", ["nowhere", "empty", "text", "columns"])
def test_a_folder_that_is_no_tape_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "there"
    if kind != "nowhere":
        folder.mkdir()
    if kind == "text":
        (folder / "candles_1h.parquet").write_text("no parquet")
    if kind == "columns":
        bars("2024-01-01", 2).drop(columns="close").to_parquet(folder / "candles_1h.parquet")
    with pytest.raises(NotATapeError) as caught:
        ParquetTape(folder)
    message = str(caught.value)
    assert str(folder) in message and "\n" not in message
    if kind == "columns":
        assert "close" in message


def test_names_that_name_nothing_are_refused() -> None:
    for text in ("synthetic:x", "synthetic:7,colour=red", "synthetic:7,start=never"):
        with pytest.raises(NotATapeError):
            tape_from_text(text)


def test_what_was_not_recorded_is_answered_empty_as_a_venue_would(tmp_path: Path) -> None:
    """No books, no single trades, no Bybit: empty replies in the venue's own form, no errors."""
    folder = tmp_path / "tape"
    folder.mkdir()
    parts = [bars("2024-01-01", 5), bars("2024-01-01", 5, market="perp")]
    parts.append(bars("2024-01-01", 5, venue="okx", market="perp"))
    pd.concat(parts).to_parquet(folder / "candles_1h.parquet")
    pair, swap = {"symbol": "BTCUSDT"}, {"instId": "BTC-USDT-SWAP"}
    linear = {"category": "linear", "symbol": "BTCUSDT"}
    clock = FixedClock(utc("2024-01-01T04:30:00Z"))
    with (
        SimulatorServer(ParquetTape(folder), clock) as server,
        httpx.Client(base_url=server.base_url) as client,
    ):
        for prefix in ("/binance/api/v3", "/binance_futures/fapi/v1"):
            book = client.get(f"{prefix}/depth", params=pair).json()
            assert (book["bids"], book["asks"]) == ([], [])
            assert client.get(f"{prefix}/aggTrades", params=pair).json() == []
            assert client.get(f"{prefix}/trades", params=pair | {"limit": 5}).json() == []
        for path in ("market/books", "market/trades", "market/history-trades"):
            assert client.get(f"/okx/api/v5/{path}", params=swap).json()["data"] == []
        closures = {"instType": "SWAP", "uly": "BTC-USDT", "state": "filled"}
        reply = client.get("/okx/api/v5/public/liquidation-orders", params=closures).json()
        assert (reply["code"], reply["data"]) == ("0", [])
        for path, more in (
            ("kline", {"interval": "60"}),
            ("funding/history", {}),
            ("open-interest", {"intervalTime": "1h"}),
            ("account-ratio", {"period": "1h"}),
            ("recent-trade", {}),
        ):
            reply = client.get(f"/bybit/v5/market/{path}", params=linear | more).json()
            assert (reply["retCode"], reply["result"]["list"]) == (0, [])
        unknown = client.get("/bybit/v5/market/kline", params={"symbol": "NO", "interval": "60"})
        assert (unknown.status_code, unknown.json()["retCode"]) == (200, 10001)
