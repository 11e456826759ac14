"""Books, trades, running state and stream messages of the exchanges, from recorded bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regime_pipeline.providers.errors import ContractViolation, ProviderError
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.registry import PARSERS, parser_of

EXCHANGES = ("binance", "binance_us", "binance_futures", "bybit", "okx")
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
NOW = datetime(2024, 9, 1, tzinfo=UTC)

ROWS = {
    "binance/api_v3_aggTrades": 2,
    "binance/api_v3_avgPrice": 1,
    "binance/api_v3_depth": 1,
    "binance/api_v3_historicalTrades": 5,
    "binance/api_v3_ticker_24hr": 1,
    "binance/api_v3_trades": 1000,
    "binance_us/api_v3_aggTrades": 1,
    "binance_us/api_v3_depth": 1,
    "binance_us/api_v3_exchangeInfo": 121,
    "binance_us/api_v3_ticker_24hr": 1,
    "binance_us/ws_aggTrade": 1,
    "binance_us/ws_bookTicker": 1,
    "binance_us/ws_depthUpdate": 1,
    "binance_us/ws_kline": 1,
    "binance_futures/fapi_v1_aggTrades": 500,
    "binance_futures/fapi_v1_depth": 1,
    "binance_futures/fapi_v1_indexPriceKlines": 1,
    "binance_futures/fapi_v1_markPriceKlines": 1,
    "binance_futures/fapi_v1_openInterest": 1,
    "binance_futures/fapi_v1_premiumIndex": 1,
    "binance_futures/fapi_v1_time": 1,
    "binance_futures/fapi_v1_trades": 5,
    "binance_futures/futures_data_basis": 6,
    "binance_futures/futures_data_takerBuySellVol": 6,
    "binance_futures/ws_bookTicker": 1,
    "binance_futures/ws_forceOrder": 1,
    "binance_futures/ws_kline": 1,
    "binance_futures/ws_kline_closed": 1,
    "binance_futures/ws_kline_open": 1,
    "binance_futures/ws_markPriceUpdate": 1,
    "bybit/v5_market_account-ratio": 2,
    "bybit/v5_market_funding_history": 2,
    "bybit/v5_market_kline": 1,
    "bybit/v5_market_mark-price-kline": 1,
    "bybit/v5_market_open-interest": 5,
    "bybit/v5_market_orderbook": 1,
    "bybit/v5_market_premium-index-price-kline": 2,
    "bybit/v5_market_recent-trade": 1,
    "bybit/v5_market_tickers": 1,
    "bybit/v5_market_time": 1,
    "bybit/ws_allLiquidation": 1,
    "bybit/ws_kline": 1,
    "bybit/ws_orderbook_delta": 2,
    "bybit/ws_orderbook_snapshot": 4,
    "bybit/ws_publicTrade": 1,
    "bybit/ws_subscription_ack": 1,
    "bybit/ws_tickers_linear": 1,
    "okx/market_books": 1,
    "okx/market_history-trades": 2,
    "okx/market_index-tickers": 1,
    "okx/market_trades": 2,
    "okx/public_funding-rate": 1,
    "okx/public_mark-price": 1,
    "okx/public_open-interest": 1,
    "okx/rubik_GetRubikInterestVolumeExpiry": 2,
    "okx/rubik_GetRubikInterestVolumeStrike": 2,
    "okx/rubik_GetRubikMarginLendingRatio": 2,
    "okx/rubik_GetRubikOptionsSummary": 1,
    "okx/rubik_GetRubikPutCallRatio": 2,
    "okx/rubik_GetRubikTakerFlow": 1,
    "okx/rubik_stat_contracts_long-short-account-ratio": 1,
    "okx/rubik_stat_contracts_open-interest-volume": 1,
    "okx/rubik_stat_taker-volume": 2,
    "okx/rubik_stat_trading-data_support-coin": 5,
    "okx/ws_books": 136,
    "okx/ws_books_snapshot": 16,
    "okx/ws_books_update": 16,
    "okx/ws_candle": 1,
    "okx/ws_event_subscribe": 1,
    "okx/ws_funding-rate": 1,
    "okx/ws_liquidation-orders": 1,
    "okx/ws_tickers": 1,
    "okx/ws_trades": 1,
}
"""Recorded bodies whose every row is good, with the rows their content says."""

REFUSED_ROWS = {"binance_futures/ws_aggTrade": 1, "binance_futures/ws_depthUpdate": 2}
"""Documentation samples with times of 1973: rows, each with its reason."""

ERRORS = {
    "binance_futures/fapi_v1_ticker_24hr": "UnknownSymbol",
    "bybit/RETIRED_v2_public_symbols": "ContractViolation",
    "bybit/ws_subscription_failure": "BadRequest",
    "errors/binance_451_restricted_location": "GeoBlocked",
    "errors/binance_ticker_error_sample": "UnknownSymbol",
    "errors/bybit_10001_not_supported_symbols": "UnknownSymbol",
    "errors/bybit_10006_too_many_visits": "RateLimited",
    "errors/bybit_10016_request_timeout": "Transient",
    "errors/bybit_403_cloudfront_geo": "GeoBlocked",
    "errors/okx_50014_missing_param": "BadRequest",
    "errors/okx_51001_unknown_instrument": "UnknownSymbol",
}
KEYS = sorted({*ROWS, *REFUSED_ROWS, *(k for k in ERRORS if not k.startswith("errors/"))})


def recorded(folder: Path, key: str) -> bytes:
    return (folder / f"{key}__1.json").read_bytes()


def first(folder: Path, key: str, ctx: Context | None = None) -> pd.Series:
    return PARSERS[key](recorded(folder, key), ctx).iloc[0]


OF_A_CONNECTION = {
    "binance_futures/run_depthUpdate",  # frames in a row: what they say of each other
    "bybit/ws_pong",  # no data
    "okx/ws_bbo-tbt",  # best prices tick by tick: no dataset is made of them
}
"""Recordings of streams that only somebody who keeps a connection has a use for."""


def test_every_recorded_body_of_the_exchanges_has_its_parser(payloads_dir: Path) -> None:
    for provider in EXCHANGES:
        for file in sorted((payloads_dir / provider).glob("*.json")):
            key = f"{provider}/{file.name.rsplit('__', 1)[0]}"
            assert (key in PARSERS) != (key in OF_A_CONNECTION), key


@pytest.mark.parametrize("key", sorted(ROWS))
def test_recorded_body_gives_the_rows_of_its_content(key: str, payloads_dir: Path) -> None:
    frame = PARSERS[key](recorded(payloads_dir, key))
    assert len(frame) == ROWS[key]
    assert frame["reason"].isna().all(), frame["reason"].dropna().tolist()
    assert not np.isinf(frame.select_dtypes("float64").to_numpy()).any()


@pytest.mark.parametrize("key", sorted(REFUSED_ROWS))
def test_impossible_times_spoil_their_rows(key: str, payloads_dir: Path) -> None:
    frame = PARSERS[key](recorded(payloads_dir, key))
    assert len(frame) == REFUSED_ROWS[key]
    assert frame["reason"].str.contains("no time since 2009").all()


@pytest.mark.parametrize("key", sorted(ERRORS))
def test_recorded_error_is_a_typed_error(key: str, payloads_dir: Path) -> None:
    with pytest.raises(ProviderError) as caught:
        parser_of(key)(recorded(payloads_dir, key))
    assert caught.value.error_class == ERRORS[key]


# --- meaning -------------------------------------------------------------------------------------


def test_book_is_summed_around_its_mid() -> None:
    """Values worked by hand: mid 100, bands at 99.9, 99.75, 99.5 and 100.1, 100.25, 100.5."""
    body = {
        "lastUpdateId": 1,
        "bids": [["99.99", "1"], ["99.80", "2"], ["99.60", "3"], ["99.0", "9"]],
        "asks": [["100.01", "4"], ["100.20", "5"], ["100.40", "6"], ["101", "9"]],
    }
    row = PARSERS["binance/api_v3_depth"](orjson.dumps(body)).iloc[0]
    assert row["mid"] == pytest.approx(100.0)
    assert row["spread_bps"] == pytest.approx(2.0)
    assert row["depth_10bps_bid_usd"] == pytest.approx(99.99)
    assert row["depth_25bps_bid_usd"] == pytest.approx(99.99 + 199.6)
    assert row["depth_50bps_bid_usd"] == pytest.approx(99.99 + 199.6 + 298.8)
    assert row["depth_10bps_ask_usd"] == pytest.approx(400.04)
    assert row["depth_25bps_ask_usd"] == pytest.approx(400.04 + 501.0)
    bid, ask = 99.99 + 199.6, 400.04 + 501.0
    assert row["imbalance"] == pytest.approx((bid - ask) / (bid + ask))
    assert row["microprice"] == pytest.approx((99.99 * 4 + 100.01 * 1) / 5)
    assert row["book_reach_bps"] == pytest.approx(100.0)
    assert (row["bid_levels"], row["ask_levels"]) == (4, 4)
    assert row["book_ts"] is pd.NaT or pd.isna(row["book_ts"])
    assert pd.isna(row["reason"])


def test_order_of_levels_does_not_matter(payloads_dir: Path) -> None:
    body = json.loads(recorded(payloads_dir, "binance/api_v3_depth"))
    turned = {**body, "bids": body["bids"][::-1], "asks": body["asks"][::-1]}
    parse = PARSERS["binance/api_v3_depth"]
    pd.testing.assert_frame_equal(parse(orjson.dumps(body)), parse(orjson.dumps(turned)))


@pytest.mark.parametrize("bid", ["100.01", "100.5"])
def test_crossed_or_locked_book_is_refused(bid: str) -> None:
    body = orjson.dumps({"bids": [[bid, "1"]], "asks": [["100.01", "1"]]})
    row = PARSERS["binance/api_v3_depth"](body).iloc[0]
    assert row["reason"].startswith("crossed book")
    assert np.isnan(row["mid"])


def test_empty_book_is_no_row_and_one_sided_book_has_no_mid() -> None:
    parse = PARSERS["binance/api_v3_depth"]
    assert len(parse(b'{"bids":[],"asks":[]}')) == 0
    row = parse(b'{"bids":[["1","2"]],"asks":[]}').iloc[0]
    assert np.isnan(row["mid"])
    assert np.isnan(row["imbalance"])
    assert row["best_bid"] == 1.0
    assert pd.isna(row["reason"])


@pytest.mark.parametrize("level", [["x", "1"], ["-5", "1"], ["99", "-1"], ["99", None]])
def test_unreadable_level_refuses_the_book(level: list[object]) -> None:
    body = {"bids": [["99.5", "1"], level], "asks": [["100.01", "1"]]}
    assert PARSERS["binance/api_v3_depth"](orjson.dumps(body))["reason"].notna().all()


def test_book_times_come_from_the_venue_or_are_null(payloads_dir: Path) -> None:
    assert pd.isna(first(payloads_dir, "binance_us/api_v3_depth")["book_ts"])
    assert first(payloads_dir, "binance_futures/fapi_v1_depth")["book_ts"] == pd.Timestamp(
        1602818750767, unit="ms", tz="UTC"
    )
    assert first(payloads_dir, "bybit/v5_market_orderbook")["book_ts"] == pd.Timestamp(
        1709891679000, unit="ms", tz="UTC"
    )
    assert first(payloads_dir, "okx/market_books")["best_bid"] == 41006.7


def test_maker_flag_and_side_words_say_who_took(payloads_dir: Path) -> None:
    sides = PARSERS["binance/api_v3_aggTrades"](recorded(payloads_dir, "binance/api_v3_aggTrades"))
    assert sides["taker_side"].tolist() == ["sell", "buy"]
    assert sides["fills"].tolist() == [1.0, 1.0]
    assert first(payloads_dir, "bybit/v5_market_recent-trade")["taker_side"] == "buy"
    assert first(payloads_dir, "okx/market_trades")["taker_side"] == "sell"
    us = first(payloads_dir, "binance_us/api_v3_aggTrades")  # ids and times as texts
    assert (us["trade_id"], us["taker_side"]) == ("26872407", "buy")
    old = first(payloads_dir, "binance/api_v3_historicalTrades")
    assert old["value_quote"] == 5725.8165


def test_sides_of_forced_closures_are_those_of_the_position(payloads_dir: Path) -> None:
    """Binance tells the order's side, Bybit the position's, OKX both."""
    force = first(payloads_dir, "binance_futures/ws_forceOrder")
    assert (force["position_side"], force["price"]) == ("long", 9910.12345678)
    assert force["liquidation_usd"] == pytest.approx(0.014 * 9910.12345678)
    bybit = first(payloads_dir, "bybit/ws_allLiquidation")
    assert (bybit["position_side"], bybit["quantity_base"]) == ("short", 20000.0)
    okx = first(payloads_dir, "okx/ws_liquidation-orders")
    assert (okx["position_side"], okx["quantity_contracts"]) == ("short", 13.0)
    assert np.isnan(okx["quantity_base"])
    assert np.isnan(okx["liquidation_usd"])


@pytest.mark.parametrize(
    ("side", "position", "told"),
    [
        ("sell", "long", "long"),
        ("buy", "short", "short"),
        ("sell", "net", "long"),
        ("buy", "", "short"),
        ("sell", "short", None),
        ("x", "net", None),
    ],
)
def test_okx_closures_in_both_position_modes(side: str, position: str, told: str | None) -> None:
    detail = {"bkPx": "10", "sz": "2", "side": side, "posSide": position, "ts": "1722816000000"}
    body = {"code": "0", "data": [{"instId": "BTC-USDT-SWAP", "details": [detail]}]}
    row = PARSERS["okx/public_liquidation-orders"](orjson.dumps(body)).iloc[0]
    if told is None:
        assert isinstance(row["reason"], str)
    else:
        assert row["position_side"] == told
        assert pd.isna(row["reason"])


def test_bybit_open_interest_is_one_sided(payloads_dir: Path) -> None:
    inverse = first(payloads_dir, "bybit/v5_market_open-interest")
    assert inverse["open_interest_usd"] == 31955346
    assert np.isnan(inverse["open_interest_base"])
    rows = [
        {"openInterest": "100", "timestamp": "1722816000000"},
        {"openInterest": "100", "singleOpenInterest": "49", "timestamp": "1722819600000"},
        {"timestamp": "1722823200000"},
    ]
    body = {
        "retCode": 0,
        "result": {
            "category": "linear",
            "symbol": "BTCUSDT",
            "list": rows,
            "nextPageCursor": "lastid%3D0%26lasttime%3D1",
        },
    }
    frame = PARSERS["bybit/v5_market_open-interest"](orjson.dumps(body))
    assert frame["open_interest_base"].tolist()[:2] == [50.0, 49.0]
    assert frame["reason"].isna().tolist() == [True, True, False]
    assert frame.attrs["cursor"] == "lastid=0&lasttime=1"


def test_inverse_amounts_are_usd(payloads_dir: Path) -> None:
    row = ["1722816000000", "100", "100", "100", "100", "5000", "50"]
    for category, base, quote in (("linear", 5000.0, 50.0), ("inverse", 50.0, 5000.0)):
        body = {"retCode": 0, "result": {"category": category, "symbol": "B", "list": [row]}}
        bar = PARSERS["bybit/v5_market_kline"](orjson.dumps(body)).iloc[0]
        assert (bar["volume_base"], bar["volume_quote"]) == (base, quote)


def test_only_a_closed_bar_of_a_stream_says_so(payloads_dir: Path) -> None:
    assert first(payloads_dir, "binance_futures/ws_kline_closed")["is_closed"]
    assert not first(payloads_dir, "binance_futures/ws_kline_open")["is_closed"]
    assert not first(payloads_dir, "bybit/ws_kline")["is_closed"]
    assert first(payloads_dir, "okx/ws_candle")["is_closed"]


def test_estimates_are_called_predicted(payloads_dir: Path) -> None:
    index = first(payloads_dir, "binance_futures/fapi_v1_premiumIndex")
    assert (index["mark_price"], index["index_price"]) == (26780.82240476, 26798.25197802)
    assert index["predicted_funding_rate"] == 0.00001226
    rate = first(payloads_dir, "okx/public_funding-rate")
    assert rate["predicted_funding_rate"] == 0.000079238688534
    assert rate["settled_funding_rate"] == 0.0001418433662153


BEGUN = "1569398400000"
LISTS = {
    "binance_futures/fapi_v1_exchangeInfo": (
        {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
        | {"onboardDate": int(BEGUN), "deliveryDate": 4133404800000},
        {"status": "SETTLING", "deliveryDate": 4070908800000},
        "symbols",
    ),
    "okx/public_instruments": (
        {"instId": "BTC-USDT-SWAP", "state": "live", "listTime": BEGUN, "expTime": ""},
        {"state": "expired", "expTime": "4070908800000"},
        "data",
    ),
    "bybit/v5_market_instruments-info": (
        {"symbol": "BTCUSDT", "status": "Trading", "launchTime": BEGUN, "deliveryTime": "0"},
        {"status": "Closed", "deliveryTime": "4070908800000"},
        "list",
    ),
}
"""By endpoint: a perpetual without an end, what one that ends has instead, where the rows stand."""


def listed(key: str, rows: list[dict[str, object]], **more: object) -> bytes:
    place = LISTS[key][2]
    if place == "list":
        result = {"category": "linear", "list": rows, **more}
        return orjson.dumps({"retCode": 0, "retMsg": "OK", "result": result, "time": 1})
    return orjson.dumps(
        {"code": "0", "msg": "", "data": rows} if place == "data" else {place: rows}
    )


@pytest.mark.parametrize("key", LISTS)
def test_a_list_of_contracts_says_since_when_and_until_when_each_trades(key: str) -> None:
    open_ended, ends, _ = LISTS[key]
    frame = PARSERS[key](listed(key, [open_ended, open_ended | ends]))
    assert list(frame["reason"].dropna()) == []
    assert list(frame["listed_from"]) == [pd.Timestamp("2019-09-25T08:00Z")] * 2
    assert pd.isna(frame["listed_to"][0])
    assert frame["listed_to"][1] == pd.Timestamp("2099-01-01T00:00Z")
    state = "state" if "state" in ends else "status"
    assert list(frame["listing_status"]) == [open_ended[state], ends[state]]


@pytest.mark.parametrize("key", LISTS)
def test_a_contract_whose_begin_is_not_told_has_none(key: str) -> None:
    open_ended, _, _ = LISTS[key]
    untold = {k: v for k, v in open_ended.items() if v not in (BEGUN, int(BEGUN))}
    frame = PARSERS[key](listed(key, [untold]))
    assert frame["listed_from"].isna().all()
    assert frame["reason"].isna().all()


def test_a_list_with_a_further_page_is_refused() -> None:
    key = "bybit/v5_market_instruments-info"
    with pytest.raises(ContractViolation, match="goes on on a further page"):
        PARSERS[key](listed(key, [LISTS[key][0]], nextPageCursor="first%3DBTC"))


def test_contract_sizes_are_read_for_linear_swaps_only() -> None:
    def instrument(**more: str) -> dict[str, str]:
        return {"instId": "BTC-USDT-SWAP", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC"} | more

    body = {"code": "0", "data": [instrument(ctType="linear"), instrument(ctType="inverse")]}
    sizes = PARSERS["okx/public_instruments"](orjson.dumps(body))["contract_base"]
    assert sizes[0] == 0.01
    assert np.isnan(sizes[1])


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("binance_futures/ws_kline", "binance_futures/ws_forceOrder"),
        ("bybit/ws_kline", "bybit/ws_publicTrade"),
        ("okx/ws_trades", "okx/ws_books"),
        ("bybit/v5_market_kline", "bybit/RETIRED_v2_public_symbols"),
    ],
)
def test_message_of_another_kind_is_refused(key: str, other: str, payloads_dir: Path) -> None:
    with pytest.raises(ContractViolation):
        PARSERS[key](recorded(payloads_dir, other))


# --- any bytes -----------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "-", "1,5", "NaN", "1e400", "0", "-1", "1e308", "1e-320", "1", "2"]),
    st.sampled_from([1722816000000, 1722816000, "1722816000000"]),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def rows_or_typed_error(key: str, body: bytes) -> None:
    try:
        frame = PARSERS[key](body, Context(now=NOW, market="perp"))
    except ProviderError:
        return
    assert isinstance(frame, pd.DataFrame)
    assert "reason" in frame
    assert not np.isinf(frame.select_dtypes("float64").to_numpy()).any()


def places(document: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place inside a document."""
    inner: list[tuple[object, object]] = []
    if isinstance(document, dict):
        inner = list(document.items())
    elif isinstance(document, list):
        inner = list(enumerate(document[:5]))
    return [path, *(p for k, v in inner for p in places(v, (*path, k)))]


def replaced(document: object, path: tuple[object, ...], value: object) -> object:
    if not path:
        return value
    out = dict(document) if isinstance(document, dict) else list(document)  # type: ignore[call-overload]
    out[path[0]] = replaced(out[path[0]], path[1:], value)  # type: ignore[index]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_anything_anywhere_in_a_recorded_body_gives_rows_or_a_typed_error(
    key: str, data: st.DataObject, payloads_dir: Path
) -> None:
    document = json.loads(recorded(payloads_dir, key))
    if isinstance(document, list):
        del document[20:]
    for name in ("symbols", "result"):
        if isinstance(document, dict) and isinstance(document.get(name), list):
            del document[name][5:]
    where = data.draw(st.sampled_from(places(document)))
    changed = replaced(document, where, data.draw(NESTED))
    rows_or_typed_error(key, json.dumps(changed).encode())


@QUICK
@given(key=st.sampled_from(sorted(PARSERS)), body=st.binary(max_size=200))
def test_any_bytes_give_rows_or_a_typed_error(key: str, body: bytes) -> None:
    rows_or_typed_error(key, body)


@QUICK
@given(key=st.sampled_from(KEYS), data=st.data())
def test_a_body_cut_anywhere_is_a_typed_error(
    key: str, data: st.DataObject, payloads_dir: Path
) -> None:
    body = recorded(payloads_dir, key).rstrip()
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(ProviderError):
        PARSERS[key](body[:cut])


@pytest.mark.parametrize("body", [b"null", b"0", b'"x"', b"true", b"{}"])
def test_other_documents_break_the_contract(body: bytes) -> None:
    for key in KEYS:
        with pytest.raises(ProviderError):
            PARSERS[key](body)
