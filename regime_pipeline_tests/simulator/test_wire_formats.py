"""What the simulated providers send, against what the real ones sent when they were recorded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

BTC = {"symbol": "BTCUSDT"}
SWAP = {"instId": "BTC-USDT-SWAP"}
PAIR = {"exchange": "Binance", "symbol": "BTCUSDT", "interval": "1h", "limit": 3}
COIN = {"exchange_list": "Binance,OKX", "symbol": "BTC", "interval": "1h", "limit": 3}
STATISTICS = {"period": "1h", "limit": 3}
RUBIK = "/okx/api/v5/rubik/stat"

# recorded payload, simulated path, parameters, keys the recording may lack or have beside
LINEAR = {"category": "linear", "symbol": "BTCUSDT"}
BYBIT = "/bybit/v5/market"

CASES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("binance/api_v3_depth__1", "/binance/api/v3/depth", BTC, set()),
    ("binance/api_v3_aggTrades__1", "/binance/api/v3/aggTrades", BTC, set()),
    ("binance/api_v3_trades__1", "/binance/api/v3/trades", BTC, set()),
    ("binance/api_v3_historicalTrades__1", "/binance/api/v3/historicalTrades", BTC, set()),
    ("binance_us/api_v3_depth__1", "/binance_us/api/v3/depth", BTC, set()),
    ("binance_us/api_v3_aggTrades__1", "/binance_us/api/v3/aggTrades", BTC, set()),
    ("binance_futures/fapi_v1_depth__1", "/binance_futures/fapi/v1/depth", BTC, {"lastUpdateId"}),
    ("binance_futures/fapi_v1_aggTrades__1", "/binance_futures/fapi/v1/aggTrades", BTC, set()),
    ("binance_futures/fapi_v1_trades__1", "/binance_futures/fapi/v1/trades", BTC, set()),
    ("okx/market_books__1", "/okx/api/v5/market/books", SWAP | {"sz": 5}, {"seqId"}),
    ("okx/market_trades__1", "/okx/api/v5/market/trades", SWAP, {"source"}),
    ("okx/market_history-trades__1", "/okx/api/v5/market/history-trades", SWAP, {"source"}),
    (
        "okx/public_mark-price__1",
        "/okx/api/v5/public/mark-price",
        SWAP | {"instType": "SWAP"},
        set(),
    ),
    (
        "okx/public_funding-rate__1",
        "/okx/api/v5/public/funding-rate",
        SWAP,
        {"maxFundingRate", "minFundingRate", "premium"},
    ),
    ("bybit/v5_market_time__1", f"{BYBIT}/time", {}, set()),
    ("bybit/v5_market_kline__1", f"{BYBIT}/kline", LINEAR | {"interval": "60"}, set()),
    ("bybit/v5_market_orderbook__1", f"{BYBIT}/orderbook", LINEAR, {"retExtInfo"}),
    ("bybit/v5_market_funding_history__1", f"{BYBIT}/funding/history", LINEAR, {"retExtInfo"}),
    (
        "bybit/v5_market_open-interest__1",
        f"{BYBIT}/open-interest",
        LINEAR | {"intervalTime": "1h"},
        {"nextPageCursor"},
    ),
    (
        "bybit/v5_market_account-ratio__1",
        f"{BYBIT}/account-ratio",
        LINEAR | {"period": "1h"},
        set(),
    ),
    (
        "bybit/v5_market_recent-trade__1",
        f"{BYBIT}/recent-trade",
        LINEAR,
        {"retExtInfo", "isRPITrade", "seq"},
    ),
    ("binance/api_v3_klines__1", "/binance/api/v3/klines", BTC | {"interval": "1h"}, set()),
    ("binance_us/api_v3_klines__1", "/binance_us/api/v3/klines", BTC | {"interval": "1h"}, set()),
    (
        "binance_futures/fapi_v1_klines__1",
        "/binance_futures/fapi/v1/klines",
        BTC | {"interval": "1h"},
        set(),
    ),
    (
        "binance_futures/fapi_v1_fundingRate__1",
        "/binance_futures/fapi/v1/fundingRate",
        BTC,
        {"markPrice"},
    ),
    (
        "binance_futures/fapi_v1_premiumIndex__1",
        "/binance_futures/fapi/v1/premiumIndex",
        BTC,
        set(),
    ),
    (
        "binance_futures/fapi_v1_openInterest__1",
        "/binance_futures/fapi/v1/openInterest",
        BTC,
        set(),
    ),
    ("binance_futures/fapi_v1_time__1", "/binance_futures/fapi/v1/time", {}, set()),
    *[
        (
            f"binance_futures/futures_data_{name}__1",
            f"/binance_futures/futures/data/{name}",
            BTC | STATISTICS,
            set(),
        )
        for name in (
            "openInterestHist",
            "globalLongShortAccountRatio",
            "topLongShortAccountRatio",
            "topLongShortPositionRatio",
            "takerlongshortRatio",
        )
    ],
    ("okx/market_candles__1", "/okx/api/v5/market/candles", SWAP | {"bar": "1H"}, set()),
    (
        "okx/market_history-candles__1",
        "/okx/api/v5/market/history-candles",
        SWAP | {"bar": "1H"},
        set(),
    ),
    (
        "okx/public_funding-rate-history__1",
        "/okx/api/v5/public/funding-rate-history",
        SWAP,
        {"method", "formulaType"},
    ),
    (
        "okx/public_open-interest__1",
        "/okx/api/v5/public/open-interest",
        SWAP | {"instType": "SWAP"},
        {"oiUsd"},
    ),
    *[
        (
            f"okx/rubik_stat_{name.replace('/', '_')}__1",
            f"{RUBIK}/{name}",
            SWAP | {"period": "1H"},
            set(),
        )
        for name in (
            "contracts/open-interest-history",
            "contracts/long-short-account-ratio-contract",
            "contracts/long-short-account-ratio-contract-top-trader",
            "contracts/long-short-position-ratio-contract-top-trader",
            "taker-volume-contract",
        )
    ],
    (
        "coinglass/futures_liquidation_history__1",
        "/coinglass/api/futures/liquidation/history",
        PAIR,
        set(),
    ),
    (
        "coinglass/futures_liquidation_aggregated-history__1",
        "/coinglass/api/futures/liquidation/aggregated-history",
        COIN,
        set(),
    ),
    (
        "coinglass/futures_open-interest_history__1",
        "/coinglass/api/futures/open-interest/history",
        PAIR,
        set(),
    ),
    (
        "coinglass/futures_open-interest_aggregated-history__1",
        "/coinglass/api/futures/open-interest/aggregated-history",
        COIN,
        set(),
    ),
    ("coinglass/futures_supported-coins__1", "/coinglass/api/futures/supported-coins", {}, set()),
    ("alternative_me/fng__1", "/alternative_me/fng/", {"limit": 2}, {"time_until_update"}),
    ("binance/api_v3_ticker_24hr__1", "/binance/api/v3/ticker/24hr", BTC, set()),
    ("binance/api_v3_avgPrice__1", "/binance/api/v3/avgPrice", BTC, {"closeTime"}),
    ("binance_us/api_v3_ticker_24hr__1", "/binance_us/api/v3/ticker/24hr", BTC, set()),
    *[
        (
            f"binance_futures/fapi_v1_{name}PriceKlines__1",
            f"/binance_futures/fapi/v1/{name}PriceKlines",
            {where: "BTCUSDT", "interval": "1h"},
            set(),
        )
        for name, where in (("mark", "symbol"), ("index", "pair"))
    ],
    (
        "binance_futures/futures_data_basis__1",
        "/binance_futures/futures/data/basis",
        {"pair": "BTCUSDT", "contractType": "PERPETUAL", "period": "1h"},
        {"annualizedBasisRate"},
    ),
    (
        "binance_futures/futures_data_takerBuySellVol__1",
        "/binance_futures/futures/data/takerBuySellVol",
        {"pair": "BTCUSD", "contractType": "ALL", "period": "1h"},
        set(),
    ),
    (
        "okx/market_index-tickers__1",
        "/okx/api/v5/market/index-tickers",
        {"instId": "BTC-USDT"},
        set(),
    ),
    *[
        (f"okx/rubik_{recorded}__1", f"{RUBIK}/{path}", {"ccy": "BTC"} | params, set())
        for recorded, path, params in (
            ("stat_contracts_long-short-account-ratio", "contracts/long-short-account-ratio", {}),
            ("stat_contracts_open-interest-volume", "contracts/open-interest-volume", {}),
            ("stat_taker-volume", "taker-volume", {"instType": "CONTRACTS"}),
            ("stat_trading-data_support-coin", "trading-data/support-coin", {}),
            ("GetRubikMarginLendingRatio", "margin/loan-ratio", {}),
            ("GetRubikOptionsSummary", "option/open-interest-volume", {}),
            ("GetRubikPutCallRatio", "option/open-interest-volume-ratio", {}),
            ("GetRubikInterestVolumeExpiry", "option/open-interest-volume-expiry", {}),
            (
                "GetRubikInterestVolumeStrike",
                "option/open-interest-volume-strike",
                {"expTime": "20240614"},
            ),
            ("GetRubikTakerFlow", "option/taker-block-volume", {}),
        )
    ],
    *[
        (
            f"bybit/v5_market_{name}-kline__1",
            f"{BYBIT}/{name}-kline",
            LINEAR | {"interval": "60"},
            set(),
        )
        for name in ("mark-price", "premium-index-price")
    ],
    (
        "lunarcrush/system_changes__1",
        "/lunarcrush/public/system/changes",
        {},
        set(),
    ),
]

ERRORS: list[tuple[str, str, dict[str, Any], int]] = [
    (
        "errors/binance_ticker_error_sample__1",
        "/binance/api/v3/klines",
        {"symbol": "NOPEUSDT", "interval": "1h"},
        400,
    ),
    (
        "errors/okx_51001_unknown_instrument__1",
        "/okx/api/v5/market/candles",
        {"instId": "NOPE-USDT"},
        200,
    ),
    ("errors/coinglass_400_api_key_missing__1", "/coinglass/api/futures/supported-coins", {}, 200),
]


def shape(value: object, spare: set[str]) -> object:
    """Keys and JSON types; of a list its first element's."""
    if isinstance(value, dict):
        return {k: shape(v, spare) for k, v in value.items() if k not in spare}
    if isinstance(value, list):
        if len(value) > 3 and not isinstance(value[0], (dict, list)):
            places = [shape(v, spare) for v in value]  # a row: every place has its type
            return places if set(places) != {"text"} else ["text"]
        return [shape(value[0], spare)] if value else []
    if isinstance(value, str):
        return "decimal" if re.fullmatch(r"-?\d+(\.\d+)?", value) else "text"
    return (
        "number"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else type(value).__name__
    )


@pytest.mark.parametrize(("recorded", "path", "params", "spare"), CASES, ids=[c[0] for c in CASES])
def test_replies_have_the_recorded_keys_and_types(
    client: httpx.Client,
    payloads_dir: Path,
    recorded: str,
    path: str,
    params: dict[str, Any],
    spare: set[str],
) -> None:
    expected = json.loads((payloads_dir / f"{recorded}.json").read_text())
    reply = client.get(path, params=params)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert shape(reply.json(), spare) == shape(expected, spare)


@pytest.mark.parametrize(
    ("recorded", "path", "params", "status"), ERRORS, ids=[c[0] for c in ERRORS]
)
def test_errors_are_the_recorded_envelopes(
    client: httpx.Client,
    payloads_dir: Path,
    recorded: str,
    path: str,
    params: dict[str, Any],
    status: int,
) -> None:
    expected = json.loads((payloads_dir / f"{recorded}.json").read_text())
    reply = client.get(path, params=params, headers={"CG-API-KEY": ""})
    assert reply.status_code == status
    assert reply.json() == expected


def test_parameter_errors_are_the_venues_own(client: httpx.Client) -> None:
    klines = "/binance/api/v3/klines"
    assert client.get(klines, params={"interval": "1h"}).json()["code"] == -1102
    assert client.get(klines, params=BTC | {"interval": "7h"}).json()["code"] == -1120
    assert client.get(klines, params=BTC | {"interval": "1h", "limit": "x"}).json()["code"] == -1100
    missing = client.get("/okx/api/v5/market/candles", params={"bar": "1H"})
    assert (missing.status_code, missing.json()["code"]) == (400, "50014")
    wrong = client.get("/okx/api/v5/market/candles", params=SWAP | {"bar": "7H"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "51000")
    unknown = client.get(
        "/coinglass/api/futures/liquidation/history", params=PAIR | {"symbol": "NOPEUSDT"}
    )
    assert (unknown.status_code, unknown.json()["code"]) == (200, "400")
    assert client.get("/binance_futures/fapi/v1/allForceOrders").status_code == 404


def test_rate_headers_count_up(client: httpx.Client) -> None:
    path, params = "/binance_futures/fapi/v1/klines", BTC | {"interval": "1h", "limit": 1000}
    first = int(client.get(path, params=params).headers["X-MBX-USED-WEIGHT-1M"])
    second = int(client.get(path, params=params).headers["X-MBX-USED-WEIGHT-1M"])
    assert second > first or second < 20  # a new minute starts anew
    reply = client.get("/coinglass/api/futures/supported-coins")
    assert int(reply.headers["API-KEY-USE-LIMIT"]) <= int(reply.headers["API-KEY-MAX-LIMIT"])


def test_spot_volumes_and_swap_volumes_have_their_units(client: httpx.Client) -> None:
    path = "/okx/api/v5/market/history-candles"
    swap = client.get(path, params=SWAP | {"bar": "1H", "limit": 1}).json()["data"][0]
    spot = client.get(path, params={"instId": "BTC-USDT", "bar": "1H", "limit": 1}).json()["data"][
        0
    ]
    contracts, coins, quote = map(float, swap[5:8])
    assert coins == pytest.approx(contracts * 0.01)
    assert quote / coins == pytest.approx(float(swap[4]), rel=0.1)
    coins, currency, quote = map(float, spot[5:8])
    assert currency == quote == pytest.approx(coins * float(spot[4]), rel=0.1)
