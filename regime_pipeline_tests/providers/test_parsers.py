from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import ContractViolation, Malformed, ProviderError
from regime_pipeline.providers.okx import market as okx_market
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.registry import ENDPOINTS, MESSAGES, PARSERS
from regime_pipeline_tests.providers.test_exchange_parsers import ERRORS, ROWS

UNRECORDED = {
    *ERRORS,
    "binance/api_v3_exchangeInfo",
    "binance/api_v3_time",
    "binance_us/api_v3_avgPrice",
    "binance_us/api_v3_historicalTrades",
    "binance_us/api_v3_time",
    "binance_us/api_v3_trades",
    "binance_futures/fapi_v1_exchangeInfo",
    "binance_futures/fapi_v1_historicalTrades",
    "bybit/v5_market_index-price-kline",
    "bybit/v5_market_instruments-info",
    "okx/market_ticker",
    "okx/market_tickers",
    "okx/public_instruments",
    "okx/public_liquidation-orders",
    *(f"okx/{name}" for name in okx_market.RUBIK),
}
"""Endpoints without a recorded body of rows; other tests pin them."""
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
KLINE = [1722816000000, "1.0", "2.0", "0.5", "1.5", "10", 1722819599999, "15", 7, "4", "6", "0"]
BAR = ["1722816000000", "1", "2", "0.5", "1.5", "700", "7", "10.5", "1"]
EXCHANGES = ("binance", "binance_us", "binance_futures", "bybit", "okx", "alternative_me")
KEYS = sorted(
    k
    for k in ENDPOINTS
    if (k.split("/")[0] in EXCHANGES and k not in ROWS and k not in UNRECORDED)
    or re.fullmatch(r"coinglass/futures_(liquidation|open-interest)_(aggregated-)?history", k)
)
NO_ROWS = {"okx/market_history-candles": 0}
FUTURE_ONLY = {
    "coinglass/futures_open-interest_history",
    "coinglass/futures_open-interest_aggregated-history",
}


def klines(*rows: object) -> bytes:
    return json.dumps(rows).encode()


def kline(**changes: object) -> list[object]:
    names = ["ts", "open", "high", "low", "close", "volume", "end", "quote", "n", "tb", "tq", "x"]
    return [changes.get(n, v) for n, v in zip(names, KLINE, strict=True)]


def okx(*rows: object, **more: object) -> bytes:
    return orjson.dumps({"code": "0", "msg": "", "data": list(rows), **more})


# --- recorded payloads ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_recorded_payload_gives_typed_rows(key: str, payloads_dir: Path) -> None:
    """Every recorded reply of an endpoint we read has its parser, and gives sound rows."""
    file = payloads_dir / f"{key}__1.json"
    body = file.read_bytes()
    frame = PARSERS[key](body)
    document = json.loads(body)
    wire_rows = document if isinstance(document, list) else document["data"]
    per_row = 2 if "taker" in key.lower() else 1
    assert len(frame) == per_row * len(wire_rows) > 0
    assert frame["reason"].isna().all(), frame["reason"].dropna().tolist()
    if "ts" in frame:
        assert str(frame["ts"].dtype) == "datetime64[us, UTC]"
        assert frame["ts"].notna().all()
    numbers = frame.select_dtypes("float64")
    assert numbers.notna().any(axis=None)
    assert not np.isinf(numbers.to_numpy()).any()


def test_fault_34_impossible_times_of_documentation_samples_are_refused_once_the_time_is_known(
    payloads_dir: Path,
) -> None:
    """Row 34: samples that lie in 2052 have no place before that."""
    now = Context(now=datetime(2026, 1, 1, tzinfo=UTC))
    for key in FUTURE_ONLY:
        frame = PARSERS[key]((payloads_dir / f"{key}__1.json").read_bytes(), now)
        assert frame["reason"].str.contains("in the future").all()
        assert frame["ts"].isna().all()


def test_fault_08_recorded_errors_raise_from_the_parser_too(payloads_dir: Path) -> None:
    """Row 8: an envelope with status 200 is never read as no rows."""
    for name, key in (
        ("okx_51001_unknown_instrument", "okx/market_candles"),
        ("okx_50014_missing_param", "okx/public_funding-rate-history"),
        ("coinglass_401_upgrade_plan", "coinglass/futures_liquidation_history"),
        ("coinglass_400_api_key_missing", "coinglass/futures_open-interest_history"),
        ("binance_451_restricted_location", "binance_futures/fapi_v1_klines"),
        ("binance_ticker_error_sample", "binance/api_v3_klines"),
    ):
        with pytest.raises(ProviderError) as caught:
            PARSERS[key]((payloads_dir / "errors" / f"{name}__1.json").read_bytes())
        assert caught.value.error_class in (
            "UnknownSymbol",
            "BadRequest",
            "PlanLimit",
            "AuthError",
            "GeoBlocked",
        )


def test_values_land_in_the_right_columns(payloads_dir: Path) -> None:
    """Pinned against the recorded bytes, so that a swapped column cannot pass."""

    def first(key: str, ctx: Context | None = None) -> pd.Series:
        return PARSERS[key]((payloads_dir / f"{key}__1.json").read_bytes(), ctx).iloc[0]

    bar = first("binance_us/api_v3_klines")
    assert bar["ts"] == pd.Timestamp("2024-03-13T11:00Z")
    assert bar["close_time"] == pd.Timestamp("2024-03-13T12:00Z")
    assert list(bar[["open", "high", "low", "close"]]) == [73249.24, 73394.3, 73234.62, 73347.62]
    assert (bar["volume_base"], bar["volume_quote"], bar["trade_count"]) == (
        0.23592,
        17296.8930754,
        55,
    )
    assert (bar["taker_buy_base"], bar["taker_buy_quote"]) == (0.22048, 16164.8945431)
    taker = PARSERS["okx/rubik_stat_taker-volume-contract"](
        (payloads_dir / "okx/rubik_stat_taker-volume-contract__1.json").read_bytes()
    )
    assert taker.set_index("metric").loc["taker_sell_base", "value"].iloc[0] == 200
    assert taker.set_index("metric").loc["taker_buy_base", "value"].iloc[0] == 380
    assert first("okx/public_funding-rate-history")["funding_rate"] == 0.00015
    ratio = first("okx/rubik_stat_contracts_long-short-account-ratio-contract")
    assert ratio["value"] == pytest.approx(1.1739 / 2.1739)
    interest = first("okx/rubik_stat_contracts_open-interest-history")
    assert (interest["open_interest_base"], interest["open_interest_usd"]) == (111, 8888888)
    swap = first("okx/market_history-candles", Context(market="perp"))
    spot = first("okx/market_history-candles", Context(market="spot"))
    unknown = first("okx/market_history-candles")
    assert (swap["volume_base"], spot["volume_base"]) == (22698348.04828491, 8422410)
    assert np.isnan(unknown["volume_base"])
    assert swap["volume_quote"] == spot["volume_quote"] == 12698348.04828491
    fng = first("alternative_me/fng")
    assert (fng["ts"], fng["fear_greed"]) == (pd.Timestamp("2026-04-27T00:00Z"), 47)
    positions = first("binance_futures/futures_data_topLongShortPositionRatio")
    assert (positions["metric"], positions["value"]) == ("top_trader_position_long_frac", 0.5293)


# --- any bytes -----------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["", "-", "None", "1,5", "NaN", "inf", "1e400", "1_0", "٣", "0x1", " 1", "1e5"]
    ),
    st.sampled_from([1722816000000, 1722816000, 1722816000000000, "1722816000000"]),
)
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=12),
        st.dictionaries(
            st.sampled_from(
                [
                    "code",
                    "data",
                    "time",
                    "timestamp",
                    "symbol",
                    "close",
                    "value",
                    "retCode",
                    "msg",
                    "fundingTime",
                    "fundingRate",
                    "metadata",
                    "error",
                    "instId",
                    "realizedRate",
                ]
            ),
            inner,
            max_size=8,
        ),
    ),
    max_leaves=30,
)


def rows_or_typed_error(key: str, body: bytes) -> None:
    try:
        frame = PARSERS[key](body, Context(now=datetime(2024, 9, 1, tzinfo=UTC), market="perp"))
    except ProviderError:
        return
    assert isinstance(frame, pd.DataFrame)
    numbers = frame.select_dtypes("float64").to_numpy()
    assert not np.isinf(numbers).any()
    if "ts" in frame:
        assert (frame["ts"].notna() | frame["reason"].notna()).all()


@QUICK
@given(key=st.sampled_from(KEYS), body=st.binary(max_size=300))
def test_fault_16_any_bytes_give_rows_or_a_typed_error(key: str, body: bytes) -> None:
    """Rows 14 and 16."""
    rows_or_typed_error(key, body)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_json_gives_rows_or_a_typed_error(key: str, data: st.DataObject) -> None:
    """Rows 14, 16, 23 and 39: bare, and inside the envelope of the provider."""
    document = data.draw(JSONS)
    rows_or_typed_error(key, json.dumps(document).encode())
    rows_or_typed_error(key, json.dumps({"code": "0", "data": document}).encode())


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_recorded_reply_with_one_mutated_value(
    key: str, data: st.DataObject, payloads_dir: Path
) -> None:
    """Rows 23, 25 and 39: one value replaced spoils at most its own rows."""
    document = json.loads((payloads_dir / f"{key}__1.json").read_bytes())
    rows = document if isinstance(document, list) else document["data"]
    del rows[20:]
    i = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(
        st.sampled_from(sorted(rows[i]) if isinstance(rows[i], dict) else range(len(rows[i])))
    )
    rows[i][field] = data.draw(SCALARS)
    body = json.dumps(document).encode()
    try:
        frame = PARSERS[key](body, Context(market="perp"))
    except Malformed:
        return  # a lone surrogate or a number beyond double is no strict JSON
    spoiled = set(np.flatnonzero(frame["reason"].notna()) % len(rows))
    assert spoiled <= {i}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"<html><body>login</body></html>",
        b"[NaN]",
        b"[Infinity]",
        b"[1e999]",
        b"[[1,2]",
        b"[1]x",
        b"[1][2]",
        b"\xef\xbb\xbf[]",
        "[]".encode("utf-16"),
        b'["\\ud800"]',
        b"[" * 5000 + b"]" * 5000,
        b"[" + b"9" * 5000 + b"]",
        b'[{"a":1,"a":2}]',
        b'{"data":[],"data":[1]}',
        b"\x00",
        b"[1]\x00\x00",
        b"nul",
        b"[1,]",
        b"{'a':1}",
    ],
)
def test_fault_16_only_strict_json_is_read(body: bytes) -> None:
    """Rows 12, 13, 14 and 16."""
    with pytest.raises(Malformed):
        load(body)


@pytest.mark.parametrize("body", [b"null", b"{}", b"0", b'"x"', b"true"])
def test_fault_14_wrong_kind_of_document_breaks_the_contract(body: bytes) -> None:
    """Row 14: only a list can say that there is no data."""
    for key in KEYS:
        with pytest.raises(ContractViolation):
            PARSERS[key](body)


def test_fault_14_empty_list_is_no_data_only_where_the_provider_allows_it() -> None:
    """Row 14."""
    assert len(PARSERS["binance/api_v3_klines"](b"[]")) == 0
    assert len(PARSERS["okx/market_candles"](okx())) == 0
    with pytest.raises(ContractViolation) as caught:
        PARSERS["alternative_me/fng"](b'{"data":[],"metadata":{"error":null}}')
    assert caught.value.error_class == "EmptyNotAllowed"


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "-",
        "None",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1,5",
        "1.234,5",
        "1_000",
        " 1",
        "1 ",
        "٣",
        "0x10",
        "1e",
        "1e999",
        "--1",
        "$1",
        True,
        [],
        {},
        "1" * 401,
        "1e-5e",
    ],
)
def test_fault_23_unreadable_number_spoils_its_row_and_no_other(value: object) -> None:
    """Rows 23 and 25."""
    frame = PARSERS["binance/api_v3_klines"](klines(KLINE, kline(close=value), KLINE))
    assert frame["reason"].isna().tolist() == [True, False, True]
    assert frame["reason"][1].startswith("close: ")
    assert np.isnan(frame["close"][1])
    assert frame["close"][0] == frame["close"][2] == 1.5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-7", 1e-7),
        ("1E3", 1000.0),
        ("0.1", 0.1),
        (".5", 0.5),
        ("5.", 5.0),
        ("+2", 2.0),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
        ("0.000000000000000000000000000001", 1e-30),
        ("1.5", 1.5),
        (1.5, 1.5),
        (2, 2.0),
    ],
)
def test_fault_25_decimal_texts_and_numbers_are_read_exactly(text: object, value: float) -> None:
    """Row 25: thirty digits and exponents included."""
    for rows in ([kline(close=text)], [kline(close=text), kline(close="x")]):
        assert PARSERS["binance/api_v3_klines"](klines(*rows))["close"][0] == value


def test_minus_zero_is_zero() -> None:
    frame = PARSERS["binance/api_v3_klines"](klines(kline(volume="-0.0")))
    assert not np.signbit(frame["volume_base"][0])


@pytest.mark.parametrize("shape", [int, str])
def test_fault_34_seconds_milliseconds_and_microseconds_are_told_apart(shape: type) -> None:
    """Row 34."""
    for stamp in (1722816000, 1722816000000, 1722816000000000):
        frame = PARSERS["binance/api_v3_klines"](klines(kline(ts=shape(stamp))))
        assert frame["ts"][0] == pd.Timestamp("2024-08-05T00:00Z")
    mixed = klines(kline(ts=1722816000), kline(ts=1722819600000), kline(ts="1722823200000000"))
    assert PARSERS["binance/api_v3_klines"](mixed)["ts"].dt.hour.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "stamp",
    [
        0,
        -1,
        12345,
        1722816000000000000,
        "2024-08-05T00:00:00Z",
        "2024-08-05 00:00",
        "",
        None,
        1722816000000.5,
        "1722816000000.0",
        True,
        2**70,
        [],
        "-1722816000000",
        915148800,
    ],
)
def test_fault_34_time_that_is_no_epoch_in_range_spoils_its_row(stamp: object) -> None:
    """Rows 34 and 37: local times, dates, 1970, nanoseconds."""
    frame = PARSERS["binance/api_v3_klines"](klines(KLINE, kline(ts=stamp)))
    assert frame["reason"].isna().tolist() == [True, False]
    assert frame["ts"].isna().tolist() == [False, True]


def test_fault_34_future_is_refused_when_the_time_is_known() -> None:
    """Row 34: a day of grace, no more."""
    now = Context(now=datetime(2024, 8, 4, tzinfo=UTC))
    rows = klines(kline(), kline(ts=1722819600000, end=1722823199999))
    late = PARSERS["binance/api_v3_klines"](rows, now)
    assert late["reason"].str.contains("in the future").all()
    ok = PARSERS["binance/api_v3_klines"](rows, Context(now=datetime(2024, 8, 5, tzinfo=UTC)))
    assert ok["reason"].isna().all()


def test_fault_39_renamed_field_names_the_field_and_gives_no_rows() -> None:
    """Row 39: no null column is ever made of it."""
    rows = [{"symbol": "BTCUSDT", "funding_rate": "0.0001", "fundingTime": 1722816000000}]
    with pytest.raises(ContractViolation, match="'fundingRate'"):
        PARSERS["binance_futures/fapi_v1_fundingRate"](orjson.dumps(rows))


def test_fault_39_missing_field_in_one_row_spoils_that_row() -> None:
    """Row 39."""
    good = {"symbol": "B", "fundingRate": "0.0001", "fundingTime": 1722816000000}
    bad = {"symbol": "B", "fundingTime": 1722844800000}
    frame = PARSERS["binance_futures/fapi_v1_fundingRate"](orjson.dumps([good, bad, 7]))
    assert frame["reason"].isna().tolist() == [True, False, False]
    assert "fundingRate" in frame["reason"][1]


def test_fault_39_short_rows_break_the_contract_and_one_short_row_spoils_itself() -> None:
    """Row 39."""
    with pytest.raises(ContractViolation, match="12 were expected"):
        PARSERS["binance/api_v3_klines"](klines(KLINE[:11], KLINE[:6]))
    frame = PARSERS["binance/api_v3_klines"](klines(KLINE[:11], KLINE))
    assert frame["reason"].isna().tolist() == [False, True]


def test_additional_fields_are_harmless() -> None:
    """Row 38."""
    assert PARSERS["binance/api_v3_klines"](klines([*KLINE, "new"]))["reason"].isna().all()
    extended = {
        "symbol": "B",
        "sumOpenInterest": "1",
        "sumOpenInterestValue": "2",
        "timestamp": "1722816000000",
        "CMCCirculatingSupply": "3",
    }
    frame = PARSERS["binance_futures/futures_data_openInterestHist"](orjson.dumps([extended]))
    assert frame["open_interest_base"].tolist() == [1.0]
    assert frame["reason"].isna().all()


def test_fault_39_swapped_columns_do_not_pass() -> None:
    """Row 39: open time and close time changed places."""
    swapped = kline(ts=KLINE[6], end=KLINE[0])
    frame = PARSERS["binance/api_v3_klines"](klines(swapped))
    assert frame["reason"].notna().all()


@pytest.mark.parametrize("mark", ["", None, "absent", "0.00000000"])
def test_unrecorded_mark_price_is_null_without_a_reason(mark: object) -> None:
    row = {"symbol": "B", "fundingRate": "0.0001", "fundingTime": 1722816000002, "markPrice": mark}
    if mark == "absent":
        del row["markPrice"]
    frame = PARSERS["binance_futures/fapi_v1_fundingRate"](orjson.dumps([row]))
    assert frame["mark_price"].isna().all()
    assert frame["reason"].isna().all()


def test_shares_must_be_shares() -> None:
    """Row 45: percent instead of fractions is noticed."""
    row = {
        "symbol": "B",
        "longAccount": "57.95",
        "shortAccount": "42.05",
        "timestamp": 1722816000000,
    }
    key = "binance_futures/futures_data_globalLongShortAccountRatio"
    assert PARSERS[key](orjson.dumps([row]))["reason"].notna().all()


def test_confirm_flag_tells_running_candles() -> None:
    frame = PARSERS["okx/market_candles"](okx(BAR, [*BAR[:8], "0"], [*BAR[:8], "2"]))
    assert frame["is_closed"].tolist()[:2] == [True, False]
    assert frame["reason"].isna().tolist() == [True, True, False]


def test_unit_decides_the_open_interest_column() -> None:
    body = okx({"time": 1722816000000, "open": "1", "high": "2", "low": "1", "close": "1.5"})
    key = "coinglass/futures_open-interest_history"
    assert PARSERS[key](body)["open_interest_usd"].tolist() == [1.5]
    coin = PARSERS[key](body, Context(unit="coin"))
    assert coin["open_interest_base"].tolist() == [1.5]
    assert coin["open_interest_usd"].isna().all()


def test_every_endpoint_has_one_parser_named_as_its_payload() -> None:
    plain = {k for k in PARSERS if not k.startswith("errors/")}
    assert plain == set(ENDPOINTS) | set(MESSAGES)
    for key, endpoint in ENDPOINTS.items():
        assert key == f"{endpoint.provider}/{endpoint.name}"
        bare = re.sub(r"\{(\w+)\}", r"\1", endpoint.path).strip("/").replace("/", "_")
        parts = [p for p in endpoint.name.split("_") if p not in ("by", "coin")]
        if endpoint.question is not None:
            parts = parts[:-1]  # the last word is what is asked for at a path of several questions
        assert [p for p in bare.split("_") if p in parts][-len(parts) :] == parts
