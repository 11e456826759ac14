"""Aggregators and services: every recorded reply through its parser, and everything else refused."""

# ruff: noqa: E501 - wire literals stay on one line

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regime_pipeline.providers.errors import (
    AuthError,
    ContractViolation,
    EmptyNotAllowed,
    GeoBlocked,
    Malformed,
    PlanLimit,
    ProviderError,
    RateLimited,
    RetentionLimit,
    Transient,
    UnknownSymbol,
)
from regime_pipeline.providers.liquidation_service import hourly
from regime_pipeline.providers.readings import CURSOR, ROWS, Context
from regime_pipeline.providers.registry import ENDPOINTS, PARSERS, parser_of

FOLDERS = ("coinglass", "coinapi", "lunarcrush", "whale_alert", "alternative_me", "errors")
MINE = (
    "coinglass", "coinapi", "lunarcrush", "whale_alert", "sentiment", "liquidation_service",
    "news", "dashboard",
)  # fmt: skip
KEYS = sorted(k for k in ENDPOINTS if k.split("/")[0] in MINE)

ROW_COUNTS = {
    "coinglass/article_list": 2,
    "coinglass/chain_v2_whale-transfer": 2,
    "coinglass/futures_aggregated-taker-buy-sell-volume_history": 3,
    "coinglass/futures_coins-markets": 2,
    "coinglass/futures_funding-rate_exchange-list": 3,
    "coinglass/futures_funding-rate_history": 2,
    "coinglass/futures_funding-rate_oi-weight-history": 2,
    "coinglass/futures_global-long-short-account-ratio_history": 2,
    "coinglass/futures_liquidation_aggregated-heatmap_model1": 3,
    "coinglass/futures_liquidation_aggregated-history": 2,
    "coinglass/futures_liquidation_coin-list": 1,
    "coinglass/futures_liquidation_exchange-list": 1,
    "coinglass/futures_liquidation_heatmap_model1": 3,
    "coinglass/futures_liquidation_history": 2,
    "coinglass/futures_liquidation_map": 1,
    "coinglass/futures_liquidation_order": 2,
    "coinglass/futures_open-interest_aggregated-history": 2,
    "coinglass/futures_open-interest_exchange-list": 1,
    "coinglass/futures_open-interest_history": 2,
    "coinglass/futures_price_history": 2,
    "coinglass/futures_supported-coins": 4,
    "coinglass/futures_supported-exchange-pairs": 4,
    "coinglass/futures_top-long-short-account-ratio_history": 2,
    "coinglass/futures_top-long-short-position-ratio_history": 2,
    "coinglass/index_fear-greed-history": 1,
    "coinglass/ws_liquidationOrders": 1,
    "coinapi/v1_assets": 1,
    "coinapi/v1_exchangerate_base": 1,
    "coinapi/v1_exchangerate_base_quote": 1,
    "coinapi/v1_ohlcv_history": 1,
    "coinapi/v1_ohlcv_latest": 1,
    "lunarcrush/coins_coin_v1": 1,
    "lunarcrush/coins_list_v1": 1,
    "lunarcrush/coins_list_v2": 1,
    "lunarcrush/coins_meta_v1": 1,
    "lunarcrush/coins_time-series_v2": 1,
    "lunarcrush/system_changes": 1,
    "lunarcrush/topic_news_v1": 1,
    "lunarcrush/topic_time-series_v1": 1,
    "lunarcrush/topic_time-series_v2": 1,
    "lunarcrush/topic_v1": 5,
    "whale_alert/v1_transaction_by_hash": 1,
    "whale_alert/v1_transactions": 2,
    "alternative_me/fng": 2,
}
ERRORS = {
    "binance_451_restricted_location": GeoBlocked,
    "binance_ticker_error_sample": UnknownSymbol,
    "bybit_10001_not_supported_symbols": UnknownSymbol,
    "bybit_10006_too_many_visits": RateLimited,
    "bybit_10016_request_timeout": Transient,
    "bybit_403_cloudfront_geo": GeoBlocked,
    "coinapi_missing_key": AuthError,
    "coinglass_30001_api_key_missing_v2": AuthError,
    "coinglass_400_api_key_missing": AuthError,
    "coinglass_401_upgrade_plan": PlanLimit,
    "okx_50014_missing_param": ProviderError,
    "okx_51001_unknown_instrument": UnknownSymbol,
    "whale_alert_invalid_key": AuthError,
}
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def parse(key: str, document: object, ctx: Context | None = None) -> pd.DataFrame:
    return PARSERS[key](json.dumps(document).encode(), ctx)


def coinglass(data: object, **more: object) -> dict[str, object]:
    return {"code": "0", "data": data, **more}


# --- recorded payloads ---------------------------------------------------------------------------


def test_every_recorded_file_has_a_parser_and_gives_its_rows_or_its_error(
    payloads_dir: Path,
) -> None:
    """Nothing in the folders is skipped, and no row of them is bad."""
    seen = set()
    for folder in FOLDERS:
        for file in sorted((payloads_dir / folder).glob("*.json")):
            name = file.stem.rpartition("__")[0]
            key = f"{folder}/{name}"
            seen.add(key)
            if folder == "errors":
                with pytest.raises(ERRORS.get(name, ProviderError)):
                    parser_of(key)(file.read_bytes())
                continue
            frame = PARSERS[key](file.read_bytes())
            assert frame["reason"].isna().all(), (key, frame["reason"].tolist())
            if file.stem.endswith("__1"):
                assert len(frame) == ROW_COUNTS[key], key
            if "ts" in frame:
                assert str(frame["ts"].dtype) == "datetime64[us, UTC]"
    assert set(ROW_COUNTS) <= seen


def test_values_land_in_the_right_columns_and_units(payloads_dir: Path) -> None:
    """Row 45: percent becomes a fraction, sums over exchanges count no pseudo exchange."""

    def first(key: str) -> pd.Series:
        return PARSERS[key]((payloads_dir / f"{key}__1.json").read_bytes()).iloc[0]

    rate = first("coinglass/futures_funding-rate_oi-weight-history")
    assert (rate["funding_rate"], rate["funding_rate_low"]) == (9.229e-05, -5.063e-05)
    assert first("coinglass/futures_funding-rate_exchange-list")["funding_rate"] == 7.343e-05
    share = first("coinglass/futures_global-long-short-account-ratio_history")
    assert (share["metric"], share["value"]) == ("global_account_long_frac", 0.7388)
    assert first("coinglass/futures_top-long-short-position-ratio_history")["value"] == 0.6499
    assert first("coinglass/futures_liquidation_exchange-list")["exchange"] == "Bybit"
    assert first("coinglass/futures_open-interest_exchange-list")["exchange"] == "CME"
    market = first("coinglass/futures_coins-markets")
    assert market["funding_rate_oi_weighted"] == pytest.approx(1.96e-5)
    assert (market["coin"], market["price_change_24h_frac"]) == ("BTC", 0.0106)
    assert (market["price_change_5m_frac"], market["price_change_15m_frac"]) == (-0.0002, 0.0006)
    assert (market["oi_to_market_cap_frac"], market["oi_to_volume_frac"]) == (0.0327, 0.7936)
    level = first("coinglass/futures_liquidation_map")
    assert list(level[["price_level", "value_usd", "leverage"]]) == [48935, 1579370.77, 25]
    order = first("coinglass/futures_liquidation_order")
    assert (order["value_usd"], order["side_code"]) == (205534.2932, 2)
    assert order["ts"] == pd.Timestamp("2025-04-21T06:18:39.263Z")
    pushed = first("coinglass/ws_liquidationOrders")
    assert (pushed["exchange"], pushed["value_usd"]) == ("Binance", 3858.184)
    bar = first("coinapi/v1_ohlcv_history")
    assert bar["ts"] == pd.Timestamp("2023-01-06T16:47Z")
    assert bar["close_time"] == pd.Timestamp("2023-01-06T16:48Z")
    assert list(bar[["open", "low", "volume_base", "trade_count"]]) == [16813, 16810, 1.42419374, 8]
    mood = first("lunarcrush/coins_time-series_v2")
    assert (mood["sentiment_score"], mood["mention_count"]) == (83, 12368)
    assert mood["ts"] == pd.Timestamp("2025-06-15T00:00Z")
    coin = first("lunarcrush/coins_coin_v1")
    assert np.isnan(coin["sentiment_score"])
    assert coin["galaxy_score"] == 65.8
    moved = first("whale_alert/v1_transactions")
    assert (moved["coin"], moved["transfer_id"], moved["to_owner_type"]) == (
        "USDT",
        "655552612",
        "unknown",
    )
    named = first("whale_alert/v1_transaction_by_hash")
    assert (named["from_owner"], named["from_owner_type"]) == ("gemini", "exchange")
    assert pd.isna(named["to_owner"])


# --- contracts beyond the samples ----------------------------------------------------------------


@pytest.mark.parametrize("time", [1636588800, 1636588800000, "1636588800"])
@pytest.mark.parametrize("shape", ["list", "dict", "rows"])
def test_fear_greed_comes_in_three_shapes_and_two_units_of_time(shape: str, time: object) -> None:
    block = {"data_list": [41, 77], "price_list": [1.0, 2.0], "time_list": [time, 1636675200]}
    data: object = block
    if shape == "list":
        data = [block]
    if shape == "rows":
        data = [{"time": time, "value": 41}, {"time": 1636675200, "value": 77}]
    frame = parse("coinglass/index_fear-greed-history", coinglass(data))
    assert frame["fear_greed"].tolist() == [41, 77]
    assert frame["ts"].tolist() == [
        pd.Timestamp("2021-11-11", tz="UTC"),
        pd.Timestamp("2021-11-12", tz="UTC"),
    ]
    assert frame["reason"].isna().all()


def test_parallel_arrays_of_unlike_length_are_no_rows() -> None:
    block = {"data_list": [1, 2], "price_list": [], "time_list": [1636588800]}
    with pytest.raises(ContractViolation, match="differ in length"):
        parse("coinglass/index_fear-greed-history", coinglass([block]))


def test_exchange_lists_know_both_spellings_and_drop_the_sum() -> None:
    rows = [
        {"exchange": "All", "longLiquidation_usd": 3, "shortLiquidation_usd": 4},
        {"exchange": "OKX", "longLiquidation_usd": 1, "shortLiquidation_usd": 2},
    ]
    frame = parse("coinglass/futures_liquidation_exchange-list", coinglass(rows))
    assert frame[["exchange", "long_liquidations_usd"]].to_numpy().tolist() == [["OKX", 1.0]]


@pytest.mark.parametrize("code", ["401", "400", 401])
def test_plan_gates_are_no_wrong_keys(code: object) -> None:
    """A blocked interval or endpoint answers 200; the key itself is good."""
    for key in (k for k in KEYS if k.startswith("coinglass/")):
        with pytest.raises(PlanLimit):
            parse(key, {"code": code, "msg": "Upgrade plan"})


def test_shares_that_make_no_hundred_percent_are_refused() -> None:
    row = {"time": 1741604400000, "global_account_long_percent": 73.88,
           "global_account_short_percent": 73.88}  # fmt: skip
    key = "coinglass/futures_global-long-short-account-ratio_history"
    assert "hundred" in parse(key, coinglass([row]))["reason"].iloc[0]


def test_heatmap_points_are_placed_on_the_axes() -> None:
    data = {
        "y_axis": [100.0, 101.5],
        "liquidation_leverage_data": [[0, 1, 5.0], [9, 0, 6.0]],
        "price_candlesticks": [[1722676500, "1", "1", "1", "1", "1"]],
    }
    frame = parse("coinglass/futures_liquidation_heatmap_model3", coinglass(data))
    assert frame["price_level"].tolist() == [101.5, 100.0]
    assert frame["bar_start"].tolist() == [pd.Timestamp("2024-08-03T09:15Z"), pd.NaT]


def whale(**changes: object) -> dict[str, object]:
    return {
        "blockchain": "bitcoin", "symbol": "btc", "id": "7", "hash": "ab", "timestamp": 1588578025,
        "amount": 10, "amount_usd": 2e6, "from": {"owner_type": "unknown"},
        "to": {"owner_type": "exchange", "owner": "kraken"}, **changes,
    }  # fmt: skip


def test_empty_page_of_transfers_has_no_list_and_a_counted_one_must() -> None:
    key = "whale_alert/v1_transactions"
    assert len(parse(key, {"result": "success", "cursor": "1-1", "count": 0})) == 0
    assert len(parse(key, {"result": "success", "count": 0, "transactions": []})) == 0
    with pytest.raises(ContractViolation):
        parse(key, {"result": "success", "count": 3})
    with pytest.raises(ContractViolation):
        parse(key, {"transactions": []})


def test_fault_44_one_hash_may_hold_several_transfers_and_each_counts_once() -> None:
    rows = [whale(), whale(id="8"), whale(), whale(id=9)]
    frame = parse("whale_alert/v1_transactions", {"result": "success", "transactions": rows})
    assert frame["transfer_id"].tolist() == ["7", "8", "9"]
    assert frame.attrs[ROWS] == 4  # what decides whether the page was full


def test_fault_44_relabelled_transfer_without_an_id_keeps_its_key() -> None:
    """Row 44: a corrected owner is a revision of the row, not another transfer."""
    before = whale(to={"address": "a1", "owner_type": "unknown"})
    after = whale(to={"address": "a1", "owner_type": "exchange", "owner": "okx"})
    for row in (before, after):
        del row["id"]
    ids = [
        parse("whale_alert/v1_transactions", {"result": "success", "transactions": [row]})
        for row in (before, after)
    ]
    assert ids[0]["transfer_id"].tolist() == ids[1]["transfer_id"].tolist()


@pytest.mark.parametrize("usd", [-1, 2e12, "NaN", None])
def test_fault_44_absurd_transfer_spoils_itself_only(usd: object) -> None:
    """Row 44."""
    rows = [whale(), whale(id="8", amount_usd=usd)]
    frame = parse("whale_alert/v1_transactions", {"result": "success", "transactions": rows})
    assert frame["reason"].isna().tolist() == [True, False]


def test_history_beyond_the_plan_is_a_wall_and_not_a_bad_key() -> None:
    body = {"result": "error", "message": "start is older than the history your plan allows"}
    with pytest.raises(RetentionLimit):
        parse("whale_alert/v1_transactions", body)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2023-01-06T16:00:00.0000000Z", True),
        ("2023-01-06T16:00:00Z", True),
        ("2023-01-06T16:00:00+00:00", True),
        ("2023-01-06T16:00:00", False),
        ("2023-13-06T16:00:00Z", False),
        ("2016-12-31T23:59:60Z", False),
        ("1999-01-06T16:00:00Z", False),
        ("2099-01-06T16:00:00Z", False),
        ("06.01.2023 16:00", False),
    ],
)
def test_iso_times_need_a_zone_and_a_place_in_time(text: str, good: bool) -> None:
    """Rows 34 and 37."""
    row = {"time": text, "asset_id_base": "BTC", "asset_id_quote": "EUR", "rate": 1.5}
    frame = parse(
        "coinapi/v1_exchangerate_base_quote", row, Context(now=datetime(2026, 1, 1, tzinfo=UTC))
    )
    assert frame["reason"].isna().tolist() == [good]
    assert frame["ts"].notna().tolist() == [good]


def test_sentiment_left_out_is_null_and_never_neutral() -> None:
    """Row 43."""
    frame = parse("sentiment/social", {"sentiment_score": None, "mention_count": 12})
    assert np.isnan(frame["sentiment_score"].iloc[0])
    assert np.isnan(frame["source_confidence"].iloc[0])
    assert frame["reason"].isna().all()
    for bad in ({"sentiment_score": 101}, {"sentiment_score": -0.1}, {"sentiment_score": "bullish"},
                {"sentiment_score": 50, "confidence": 7}, {"sentiment_score": None}):  # fmt: skip
        assert parse("sentiment/social", bad)["reason"].notna().all(), bad
    for broken in ({}, [], {"score": 50}):
        with pytest.raises(ContractViolation):
            parse("sentiment/social", broken)


def test_dashboard_scores_are_taken_as_they_are_or_not_at_all() -> None:
    body = {
        "symbol": "BTC/USDT",
        "timestamp": "2024-08-05T10:59:00Z",
        "signals": {
            "momentum": {"score": 61.5, "confidence": 0.8, "direction": "LONG"},
            "volume": 40,
            "beta_exp": {"score": 140},
            "astrology": {"score": 99},
        },
    }
    frame = parse("dashboard/signals", body).set_index("component")
    assert frame.loc["momentum", ["signal_score", "signal_confidence", "signal_direction"]].tolist() == [61.5, 0.8, "bullish"]  # fmt: skip
    assert frame.loc["volume", "signal_score"] == 40
    assert pd.isna(frame.loc["volume", "signal_direction"])
    assert frame["reason"].notna().to_dict() == {
        "momentum": False,
        "volume": False,
        "beta_exp": True,
    }
    with pytest.raises(ContractViolation):
        parse("dashboard/signals", {"timestamp": 1722816000, "signals": {"astrology": 1}})
    assert len(parse("dashboard/signals", {"timestamp": 1722816000, "signals": {}})) == 0


def test_news_knows_both_versions_and_needs_no_votes() -> None:
    post = {"id": 5, "title": "A\nB\x1b[31m", "published_at": "2024-08-05T10:00:00Z"}
    rows = [
        {**post, "currencies": [{"code": "eth"}, {"code": "BTC"}],
         "votes": {"positive": 3, "negative": 1}},
        {**post, "id": 6, "instruments": [{"code": "SOL"}]},
        {**post, "id": 7, "votes": {"positive": 0, "negative": 0}},
    ]  # fmt: skip
    frame = parse(
        "news/posts", {"results": rows, "next": "https://elsewhere.example/?auth_token=x"}
    )
    assert frame["sentiment_score"].fillna(-1).tolist() == [75.0, -1, -1]
    assert frame["coins"].fillna("").tolist() == ["BTC,ETH", "SOL", ""]
    assert frame["headline"].iloc[0] == "A B [31m"
    assert frame.attrs == {CURSOR: "next"}  # not the link itself


def test_liquidation_events_become_hours_once_each() -> None:
    at = 1722816000000

    def event(minute: int, side: str, value: object, name: str) -> dict[str, object]:
        return {"id": name, "timestamp": at + minute * 60_000, "side": side, "value": value}

    events = [event(1, "long", 10, "a"), event(2, "LONG", 5, "b"), event(2, "long", 5, "b"),
              event(70, "short", 7, "c"), event(130, "short", "x", "d"), event(131, "long", 1, "e")]  # fmt: skip
    frame = parse("liquidation_service/liquidations", {"data": events})
    frame = frame.assign(payload_id="p", fetched_at=pd.Timestamp.now("UTC"), seen_at=pd.Timestamp.now("UTC"),
                         listing_complete=pd.array([True] * len(frame), dtype="boolean"))  # fmt: skip
    hours = hourly(frame)
    assert hours["long_liquidations_usd"].tolist() == [15, 0, 1]
    assert hours["short_liquidations_usd"].tolist() == [0, 7, 0]
    assert hours["reason"].isna().tolist() == [True, True, False]
    broken = frame.assign(listing_complete=pd.array([False] * len(frame), dtype="boolean"))
    assert hourly(broken).empty


# --- any bytes -----------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["", "-", "NaN", "1e400", "2024-08-05T00:00:00Z", "All", "\x00", "1,5"]),
    st.sampled_from([1722816000000, 1722816000, "1722816000"]),
)
NAMES = sorted(
    {
        "code", "data", "msg", "result", "error", "transactions", "from", "to", "symbol", "time",
        "timestamp", "data_list", "time_list", "price_list", "exchange", "y_axis", "results",
        "liquidation_leverage_data", "price_candlesticks", "stablecoin_margin_list", "rates",
        "types_count", "types_sentiment", "sentiment_score", "signals", "momentum", "votes",
        "next", "side", "value", "liquidations", "id", "count", "cursor", "price", "title",
        "currencies", "published_at", "asset_id_base", "rate", "status", "errors", "success",
    }
)  # fmt: skip
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=8),
    ),
    max_leaves=30,
)


def judged(key: str, body: bytes) -> pd.DataFrame | None:
    """Rows or a typed error, by the parser itself and not by the guard around it."""
    try:
        frame = ENDPOINTS[key].parse(body, Context(now=datetime(2024, 9, 1, tzinfo=UTC)))
    except ProviderError:
        return None
    assert isinstance(frame, pd.DataFrame)
    assert not np.isinf(frame.select_dtypes("float64").to_numpy()).any()
    if "ts" in frame:
        assert (frame["ts"].notna() | frame["reason"].notna()).all()
    return frame


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(key=st.sampled_from(KEYS), body=st.binary(max_size=200))
def test_any_bytes_give_rows_or_a_typed_error(key: str, body: bytes) -> None:
    """Rows 14 and 16."""
    judged(key, body)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
@QUICK
@given(data=st.data())
def test_any_json_gives_rows_or_a_typed_error(key: str, data: st.DataObject) -> None:
    """Rows 14, 16, 23 and 39: bare, and inside the envelopes of the providers."""
    document = data.draw(JSONS)
    judged(key, json.dumps(document).encode())
    judged(key, json.dumps({"code": "0", "data": document, "results": document,
                            "timestamp": 1722816000, "signals": document, "result": "success",
                            "transactions": document}).encode())  # fmt: skip


def _places(node: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [path] if path else []
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for name, inner in items:
        found += _places(inner, (*path, name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(k for k in ROW_COUNTS if k in KEYS))
@QUICK
@given(data=st.data())
def test_recorded_reply_with_one_value_replaced(
    key: str, data: st.DataObject, payloads_dir: Path
) -> None:
    """Rows 23, 25, 38 and 39: whatever stands anywhere, it is read or refused."""
    document = json.loads((payloads_dir / f"{key}__1.json").read_bytes())
    path = data.draw(st.sampled_from(_places(document)))
    node = document
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = data.draw(st.one_of(SCALARS, JSONS))
    judged(key, json.dumps(document).encode())


@pytest.mark.parametrize("key", KEYS)
def test_wrong_documents_are_no_rows(key: str) -> None:
    """Rows 13 and 14."""
    for body in (b"", b"<html>login</html>", b"[NaN]", b"\xef\xbb\xbf[]"):
        with pytest.raises(Malformed):
            PARSERS[key](body)
    for body in (b"null", b"0", b'"x"', b"true"):
        with pytest.raises(ContractViolation):
            PARSERS[key](body)


def test_index_that_always_has_rows_is_never_empty() -> None:
    with pytest.raises(EmptyNotAllowed):
        parse("coinglass/index_fear-greed-history", coinglass([]))


def test_error_bodies_never_give_rows() -> None:
    for key in (k for k in PARSERS if k.startswith("errors/")):
        for body in (b"", b"[]", b"{}", b"null", b'{"code":"0","data":[]}', b"<html>"):
            with pytest.raises(ProviderError):
                PARSERS[key](body)
    with pytest.raises(ProviderError):
        parser_of("errors/lunarcrush_402_payment")(b'{"error":"subscription needed"}')
    with pytest.raises(KeyError):
        parser_of("errors/nobody_404")
