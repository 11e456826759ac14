"""What the simulator tells in one place agrees with what it tells in another."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from regime_pipeline.simulator.series import DAY_MS, HOUR_MS
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock, utc
from regime_pipeline_tests.simulator.conftest import NOW

NOW_MS = int(NOW.timestamp() * 1000)
OPEN_HOUR = NOW_MS // HOUR_MS * HOUR_MS
BTC = {"symbol": "BTCUSDT"}
SWAP = {"instId": "BTC-USDT-SWAP"}
LINEAR = BTC | {"category": "linear"}
FAPI = "/binance_futures/fapi/v1"
RUBIK = "/okx/api/v5/rubik/stat"
HOUSES = {"/binance/api/v3": "spot", "/binance_us/api/v3": "spot", FAPI: "perp"}


def get(client: httpx.Client, path: str, **params: Any) -> Any:
    reply = client.get(path, params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


def data(client: httpx.Client, path: str, **params: Any) -> Any:
    told = get(client, path, **params)
    assert told["code"] == "0", told
    return told["data"]


def floats(rows: list[Any], place: Any) -> list[float]:
    return [float(row[place]) for row in rows]


@pytest.mark.parametrize("prefix", list(HOUSES))
def test_a_day_s_ticker_is_the_sum_of_its_bars(prefix: str, client: httpx.Client) -> None:
    ticker = get(client, f"{prefix}/ticker/24hr", **BTC)
    bars = get(client, f"{prefix}/klines", **BTC, interval="1h", limit=25)
    assert int(ticker["closeTime"]) - int(ticker["openTime"]) == DAY_MS
    assert bars[0][0] == OPEN_HOUR - DAY_MS
    first, inside = bars[0], bars[1:]  # half of the first bar lies in the last 24 h
    assert float(ticker["lastPrice"]) == float(bars[-1][4])
    assert float(ticker["openPrice"]) == pytest.approx(
        (float(first[1]) + float(first[4])) / 2, abs=0.01
    )
    assert float(ticker["highPrice"]) == max(floats(bars, 2))
    assert float(ticker["lowPrice"]) == min(floats(bars, 3))
    for name, place in (("volume", 5), ("quoteVolume", 7)):
        expected = sum(floats(inside, place)) + float(first[place]) / 2
        assert float(ticker[name]) == pytest.approx(expected, rel=1e-6)
    average = float(ticker["quoteVolume"]) / float(ticker["volume"])
    assert float(ticker["weightedAvgPrice"]) == pytest.approx(average, rel=1e-5)
    assert int(ticker["lastId"]) - int(ticker["firstId"]) + 1 == int(ticker["count"])
    if HOUSES[prefix] == "spot":
        book = get(client, f"{prefix}/depth", **BTC, limit=1)
        assert [ticker["bidPrice"], ticker["bidQty"]] == book["bids"][0]
        price = get(client, f"{prefix}/avgPrice", **BTC)["price"]
        assert float(price) == float(ticker["lastPrice"])
    every = get(client, f"{prefix}/ticker/24hr")
    assert ticker in every and len(every) > 1


def test_a_ticker_at_the_full_hour_is_its_closed_day(tape: SyntheticTape) -> None:
    sharp = utc("2024-06-12T00:00:00Z")
    with (
        SimulatorServer(tape, FixedClock(sharp)) as server,
        httpx.Client(base_url=server.base_url) as web,
    ):
        ticker = get(web, "/binance/api/v3/ticker/24hr", **BTC)
        (day,) = get(web, "/binance/api/v3/klines", **BTC, interval="1d", limit=1)
        names = ("openPrice", "highPrice", "lowPrice", "lastPrice", "volume")
        assert [float(ticker[n]) for n in names] == [float(v) for v in day[1:6]]
        assert ticker["count"] == day[8]


def test_other_venues_tickers_have_their_units(client: httpx.Client) -> None:
    (swap,) = data(client, "/okx/api/v5/market/ticker", **SWAP)
    rows = data(client, "/okx/api/v5/market/candles", **SWAP, bar="1H", limit=25)
    assert float(swap["last"]) == float(rows[0][4])
    assert float(swap["high24h"]) == max(floats(rows, 2))
    coins = sum(floats(rows[:-1], 6)) + float(rows[-1][6]) / 2
    assert float(swap["volCcy24h"]) == pytest.approx(coins, rel=1e-6)
    assert float(swap["vol24h"]) == pytest.approx(coins / 0.01, rel=1e-6)  # contracts
    assert swap in data(client, "/okx/api/v5/market/tickers", instType="SWAP")
    today = data(client, "/okx/api/v5/market/candles", **SWAP, bar="1Dutc", limit=1)[0]
    assert float(swap["sodUtc0"]) == float(today[1])
    here = data(client, "/okx/api/v5/market/candles", **SWAP, bar="1D", limit=1)[0]
    assert float(swap["sodUtc8"]) == float(here[1])
    (bybit,) = get(client, "/bybit/v5/market/tickers", **LINEAR)["result"]["list"]
    bars = get(client, "/bybit/v5/market/kline", **LINEAR, interval="60", limit=25)["result"][
        "list"
    ]
    assert float(bybit["highPrice24h"]) == max(floats(bars, 2))
    turnover = sum(floats(bars[:-1], 6)) + float(bars[-1][6]) / 2
    assert float(bybit["turnover24h"]) == pytest.approx(turnover, rel=1e-6)


def test_reference_bars_agree_with_the_premium_index(client: httpx.Client) -> None:
    asked = {"interval": "1h", "limit": 30}
    mark = get(client, f"{FAPI}/markPriceKlines", **BTC, **asked)
    index = get(client, f"{FAPI}/indexPriceKlines", pair="BTCUSDT", **asked)
    now = get(client, f"{FAPI}/premiumIndex", **BTC)
    assert float(mark[-1][4]) == float(now["markPrice"])
    assert float(index[-1][4]) == float(now["indexPrice"])
    basis = get(
        client, "/binance_futures/futures/data/basis",
        pair="BTCUSDT", contractType="PERPETUAL", period="1h", limit=30,
    )  # fmt: skip
    assert [r["timestamp"] for r in basis] == [r[0] for r in mark]
    np.testing.assert_allclose(floats(basis, "futuresPrice"), floats(mark, 4))
    np.testing.assert_allclose(floats(basis, "indexPrice"), floats(index, 4))
    apart = np.subtract(floats(mark, 4), floats(index, 4))
    np.testing.assert_allclose(floats(basis, "basis"), apart, atol=1e-6)
    assert np.any(apart != 0)


def test_bybit_s_premium_is_its_mark_over_its_index(client: httpx.Client) -> None:
    def bars(kind: str, interval: str) -> np.ndarray:
        path = f"/bybit/v5/market/{kind}-kline"
        told = get(client, path, **LINEAR, interval=interval, limit=30)["result"]["list"]
        return np.array(told, dtype=float)

    mark, index = bars("mark-price", "60"), bars("index-price", "60")
    premium = bars("premium-index-price", "60")
    assert (mark[:, 0] == premium[:, 0]).all()
    np.testing.assert_allclose(premium[:, 4], mark[:, 4] / index[:, 4] - 1, atol=1e-7)
    assert (premium[:, 2] >= premium[:, [1, 4]].max(axis=1)).all()
    assert (premium[:, 3] <= premium[:, [1, 4]].min(axis=1)).all()
    days = bars("premium-index-price", "D")
    inside = (premium[:, 0] >= days[1, 0]) & (premium[:, 0] < days[0, 0])
    assert inside.any()
    assert premium[inside, 2].max() <= days[1, 2]
    (now,) = get(client, "/bybit/v5/market/tickers", **LINEAR)["result"]["list"]
    assert float(now["markPrice"]) == mark[0, 4]
    assert float(now["indexPrice"]) == index[0, 4]


def test_contracts_without_a_series_have_no_basis(client: httpx.Client) -> None:
    path = "/binance_futures/futures/data/basis"
    asked = {"pair": "BTCUSDT", "period": "1h"}
    assert get(client, path, **asked, contractType="CURRENT_QUARTER") == []
    refused = client.get(path, params=asked | {"contractType": "MONTHLY"})
    assert (refused.status_code, refused.json()["code"]) == (400, -1130)
    unknown = client.get(path, params=asked | {"pair": "NOPE", "contractType": "PERPETUAL"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, -1121)


def test_taker_volumes_by_pair_are_the_perpetual_s(client: httpx.Client) -> None:
    told = get(
        client, "/binance_futures/futures/data/takerBuySellVol",
        pair="BTCUSD", contractType="ALL", period="1h", limit=5,
    )  # fmt: skip
    plain = get(client, "/binance_futures/futures/data/takerlongshortRatio",
                **BTC, period="1h", limit=5)  # fmt: skip
    assert floats(told, "takerBuyVolValue") == floats(plain, "buyVol")
    assert floats(told, "takerSellVolValue") == floats(plain, "sellVol")
    price = get(client, f"{FAPI}/klines", **BTC, interval="1h", limit=1)[0][4]
    contracts = float(told[-1]["takerBuyVolValue"]) * float(price) / 100
    assert float(told[-1]["takerBuyVol"]) == pytest.approx(contracts, rel=1e-5)


def test_statistics_by_currency_are_those_of_the_contract(client: httpx.Client) -> None:
    ratios = data(client, f"{RUBIK}/contracts/long-short-account-ratio", ccy="BTC", period="1H")
    same = data(client, f"{RUBIK}/contracts/long-short-account-ratio-contract", **SWAP, period="1H")
    assert len(ratios) == 720 and ratios[:100] == same  # thirty days of hours, newest first
    days = data(client, f"{RUBIK}/contracts/long-short-account-ratio", ccy="BTC", period="1D")
    assert len(days) <= 180 and {int(r[0]) % DAY_MS for r in days} == {16 * HOUR_MS}
    end = int(ratios[4][0])
    part = data(client, f"{RUBIK}/contracts/long-short-account-ratio", ccy="BTC", period="1H",
                end=end, begin=end - 4 * HOUR_MS)  # fmt: skip
    assert part == ratios[5:8]  # both exclusive
    interest = data(client, f"{RUBIK}/contracts/open-interest-volume", ccy="BTC", period="1H")
    usd = data(client, f"{RUBIK}/contracts/open-interest-history", **SWAP, period="1H")
    np.testing.assert_allclose(floats(interest[1:100], 1), floats(usd[1:], 3), rtol=1e-9)
    takers = data(client, f"{RUBIK}/taker-volume", ccy="BTC", instType="CONTRACTS", period="1H")
    assert takers[:100] == data(
        client, f"{RUBIK}/taker-volume-contract", **SWAP, period="1H", unit=0
    )
    spot = data(client, f"{RUBIK}/taker-volume", ccy="BTC", instType="SPOT", period="1H")
    assert spot != takers
    coins = data(client, f"{RUBIK}/trading-data/support-coin")
    assert "BTC" in coins["contract"] and coins["option"] == ["BTC", "ETH"]
    for refused in ({"ccy": "NOPE"}, {"ccy": "BTC", "period": "7H"}):
        reply = client.get(f"{RUBIK}/contracts/open-interest-volume", params=refused)
        assert (reply.status_code, reply.json()["code"]) == (400, "51000")
    missing = client.get(f"{RUBIK}/contracts/open-interest-volume")
    assert (missing.status_code, missing.json()["code"]) == (400, "50014")


def test_options_sum_up_over_expiries_and_strikes(client: httpx.Client) -> None:
    asked = {"ccy": "BTC", "period": "8H"}
    (newest, *_) = data(client, f"{RUBIK}/option/open-interest-volume", **asked)
    expiries = data(client, f"{RUBIK}/option/open-interest-volume-expiry", **asked)
    every = np.array([row[2:] for row in expiries], dtype=float).sum(axis=0)
    assert every[0] + every[1] == pytest.approx(float(newest[1]), rel=1e-6)
    assert every[2] + every[3] == pytest.approx(float(newest[2]), rel=1e-6)
    (ratio, *_) = data(client, f"{RUBIK}/option/open-interest-volume-ratio", **asked)
    assert every[1] / every[0] == pytest.approx(float(ratio[1]), abs=1e-4)
    assert every[3] / every[2] == pytest.approx(float(ratio[2]), abs=1e-4)
    strikes = data(
        client, f"{RUBIK}/option/open-interest-volume-strike", **asked, expTime=expiries[0][1]
    )
    by_strike = np.array([row[2:] for row in strikes], dtype=float).sum(axis=0)
    np.testing.assert_allclose(by_strike, np.array(expiries[0][2:], dtype=float), atol=1e-3)
    prices = floats(strikes, 1)
    price = float(data(client, "/okx/api/v5/market/ticker", **SWAP)[0]["last"])
    assert prices == sorted(prices) and prices[0] < price < prices[-1]
    flow = data(client, f"{RUBIK}/option/taker-block-volume", **asked)
    assert sum(floats([flow], i)[0] for i in range(1, 5)) == pytest.approx(
        float(newest[2]), rel=1e-4
    )
    reply = client.get(f"{RUBIK}/option/open-interest-volume", params=asked | {"ccy": "SOL"})
    assert (reply.status_code, reply.json()["code"]) == (400, "51000")


def test_posts_carry_the_hour_s_mood(client: httpx.Client) -> None:
    bearer = {"Authorization": "Bearer k"}
    prefix = "/lunarcrush/public/topic/btc"
    posts = client.get(f"{prefix}/posts/v1", headers=bearer).json()["data"]
    series = client.get(f"{prefix}/time-series/v2", headers=bearer).json()["data"]
    moods = {row["time"]: row["sentiment"] for row in series}
    assert len(posts) == 24
    for post in posts:
        hour = post["post_created"] // 3600 * 3600
        assert (post["post_sentiment"] - 1) * 25 == pytest.approx(moods[hour], abs=0.2)
