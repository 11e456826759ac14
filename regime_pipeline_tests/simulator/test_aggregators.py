"""The simulated aggregators and services: keys, plans, pages, and a past that does not change."""

# ruff: noqa: E501 - wire literals stay on one line

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from regime_pipeline.providers.errors import PlanLimit, ProviderError
from regime_pipeline.providers.registry import PARSERS
from regime_pipeline.simulator.app import build_app
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import FixedClock, utc

NOW = utc("2024-08-06T00:30")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
BEARER = {"Authorization": "Bearer k"}
NOW_S = int(NOW.timestamp())
CG = {"CG-API-KEY": "simulated-key"}
PRO = {"CG-API-KEY": "simulated-key-professional"}
HOURLY = "symbol=BTCUSDT&exchange=Binance&interval=1h&limit=5"
COIN = "symbol=BTC&interval=1h&limit=5"

ASKED = {
    "coinglass/futures_funding-rate_history": f"/api/futures/funding-rate/history?{HOURLY}",
    "coinglass/futures_funding-rate_oi-weight-history": f"/api/futures/funding-rate/oi-weight-history?{COIN}",
    "coinglass/futures_funding-rate_exchange-list": "/api/futures/funding-rate/exchange-list?symbol=BTC",
    "coinglass/futures_global-long-short-account-ratio_history": f"/api/futures/global-long-short-account-ratio/history?{HOURLY}",
    "coinglass/futures_top-long-short-account-ratio_history": f"/api/futures/top-long-short-account-ratio/history?{HOURLY}",
    "coinglass/futures_top-long-short-position-ratio_history": f"/api/futures/top-long-short-position-ratio/history?{HOURLY}",
    "coinglass/futures_aggregated-taker-buy-sell-volume_history": f"/api/futures/aggregated-taker-buy-sell-volume/history?{COIN}",
    "coinglass/futures_price_history": f"/api/futures/price/history?{HOURLY}",
    "coinglass/futures_coins-markets": "/api/futures/coins-markets",
    "coinglass/futures_supported-coins": "/api/futures/supported-coins",
    "coinglass/futures_supported-exchange-pairs": "/api/futures/supported-exchange-pairs",
    "coinglass/futures_open-interest_exchange-list": "/api/futures/open-interest/exchange-list?symbol=BTC",
    "coinglass/futures_liquidation_coin-list": "/api/futures/liquidation/coin-list",
    "coinglass/futures_liquidation_exchange-list": "/api/futures/liquidation/exchange-list?symbol=BTC&range=24h",
    "coinglass/futures_liquidation_order": "/api/futures/liquidation/order?symbol=BTC&exchange=Binance",
    "coinglass/futures_liquidation_heatmap_model1": "/api/futures/liquidation/heatmap/model1?symbol=BTCUSDT&exchange=Binance",
    "coinglass/futures_liquidation_aggregated-heatmap_model2": "/api/futures/liquidation/aggregated-heatmap/model2?symbol=BTC",
    "coinglass/futures_liquidation_map": "/api/futures/liquidation/map?symbol=BTC",
    "coinglass/index_fear-greed-history": "/api/index/fear-greed-history",
    "coinglass/chain_v2_whale-transfer": "/api/chain/v2/whale-transfer",
    "coinglass/article_list": "/api/article/list",
    "coinapi/v1_assets": "/v1/assets",
    "coinapi/v1_exchangerate_base": "/v1/exchangerate/BTC",
    "coinapi/v1_exchangerate_base_quote": "/v1/exchangerate/BTC/USDT",
    "coinapi/v1_exchangerate_base_quote_history": "/v1/exchangerate/BTC/USDT/history?period_id=1HRS",
    "coinapi/v1_ohlcv_history": "/v1/ohlcv/BINANCE_SPOT_BTC_USDT/history?period_id=1HRS",
    "coinapi/v1_ohlcv_latest": "/v1/ohlcv/BINANCE_SPOT_BTC_USDT/latest?period_id=1DAY",
    "lunarcrush/coins_list_v1": "/public/coins/list/v1",
    "lunarcrush/coins_list_v2": "/public/coins/list/v2?limit=1",
    "lunarcrush/coins_coin_v1": "/public/coins/BTC/v1",
    "lunarcrush/coins_meta_v1": "/public/coins/BTC/meta/v1",
    "lunarcrush/coins_time-series_v2": "/public/coins/BTC/time-series/v2?bucket=hour",
    "lunarcrush/topic_v1": "/public/topic/btc/v1",
    "lunarcrush/topic_news_v1": "/public/topic/btc/news/v1",
    "lunarcrush/topic_time-series_v1": "/public/topic/btc/time-series/v1",
    "lunarcrush/topic_time-series_v2": "/public/topic/btc/time-series/v2?bucket=day",
    "lunarcrush/system_changes": "/public/system/changes",
    "whale_alert/v1_transactions": f"/v1/transactions?start={NOW_S - 86400}&min_value=1000000",
    "sentiment/social": "/social?symbol=BTCUSDT&timeframe=24h",
    "sentiment/news": "/news?symbol=BTCUSDT&timeframe=24h",
    "sentiment/trader": "/trader?symbol=BTCUSDT&timeframe=24h",
    "liquidation_service/liquidations": f"/liquidations?symbol=BTCUSDT&start_time={(NOW_S - 86400) * 1000}",
    "news/posts": "/posts/?auth_token=k&currencies=BTC",
    "dashboard/signals": "/api/signals/BTCUSDT",
}  # fmt: skip
HEADERS = {
    "coinglass": PRO,
    "coinapi": {"X-CoinAPI-Key": "k"},
    "whale_alert": {"X-WA-API-KEY": "k"},
}
FEW = {"lunarcrush/system_changes"}


@pytest.fixture(scope="module")
def web() -> Iterator[TestClient]:
    tape = SyntheticTape(start=utc("2024-07-01"), end=utc("2024-09-01"), symbols=SYMBOLS)
    with TestClient(build_app(tape, FixedClock(NOW))) as client:
        yield client


@pytest.mark.parametrize("key", list(ASKED))
def test_reply_reads_as_the_provider_s_own(key: str, web: TestClient) -> None:
    provider = key.split("/")[0]
    reply = web.get(f"/{provider}{ASKED[key]}", headers=HEADERS.get(provider, BEARER))
    assert reply.status_code == 200, reply.text
    frame = PARSERS[key](reply.content)
    assert frame["reason"].isna().all(), frame["reason"].dropna().tolist()
    assert len(frame) > 0 or key in FEW


@pytest.mark.parametrize("key", list(ASKED))
def test_recorded_members_are_all_there(key: str, web: TestClient, payloads_dir: Path) -> None:
    """The envelope of a recorded reply and of a simulated one have the same members."""
    file = payloads_dir / f"{key}__1.json"
    if not file.is_file():
        pytest.skip("no recording of this endpoint")
    provider = key.split("/")[0]
    ours = web.get(f"/{provider}{ASKED[key]}", headers=HEADERS.get(provider, BEARER)).json()
    theirs = json.loads(file.read_bytes())
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert set(theirs) - {"msg"} <= set(ours)


@pytest.mark.parametrize("key", list(ASKED))
def test_keys_are_required(key: str, web: TestClient) -> None:
    provider = key.split("/")[0]
    path = ASKED[key].replace("auth_token=k&", "")
    with pytest.raises(ProviderError):
        PARSERS[key](web.get(f"/{provider}{path}").content)
    refused = web.get(f"/{provider}{path}", headers={"Authorization": "Bearer None"})
    assert refused.status_code in (200, 401)
    with pytest.raises(ProviderError):
        PARSERS[key](refused.content)


@pytest.mark.parametrize(
    ("plan", "path", "open_"),
    [
        ("hobbyist", f"/api/futures/price/history?{HOURLY}", False),
        ("hobbyist", f"/api/futures/price/history?{HOURLY.replace('1h', '4h')}", True),
        ("startup", f"/api/futures/price/history?{HOURLY}", True),
        ("startup", "/api/futures/coins-markets", False),
        ("standard", "/api/futures/coins-markets", True),
        ("standard", "/api/futures/liquidation/map?symbol=BTC", False),
        ("professional", "/api/futures/liquidation/map?symbol=BTC", True),
        ("hobbyist", "/api/article/list", False),
    ],
)
def test_plans_gate_endpoints_and_intervals(
    plan: str, path: str, open_: bool, web: TestClient
) -> None:
    """A gate answers 200; an unknown path 404."""
    reply = web.get(f"/coinglass{path}", headers={"CG-API-KEY": f"simulated-key-{plan}"})
    assert reply.status_code == 200
    assert (reply.json()["code"] == "0") is open_
    if not open_:
        with pytest.raises(PlanLimit):
            PARSERS["coinglass/futures_price_history"](reply.content)
    assert web.get("/coinglass/api/futures/nothing", headers=PRO).status_code == 404


def test_cursor_pages_give_every_transfer_once(web: TestClient) -> None:
    base = f"/whale_alert/v1/transactions?start={NOW_S - 5 * 86400}&end={NOW_S}&min_value=1000000"
    seen: list[str] = []
    cursor = ""
    for _ in range(60):
        body = web.get(base + "&limit=40" + cursor, headers={"X-WA-API-KEY": "k"}).json()
        page = body.get("transactions", [])
        seen += [row["id"] for row in page]
        if body["count"] < 40:
            break
        cursor = f"&cursor={body['cursor']}"
    assert len(seen) == len(set(seen)) > 100
    assert "transactions" not in web.get(
        base.replace(str(NOW_S - 5 * 86400), str(NOW_S)) + "&currency=zzz", headers={"X-WA-API-KEY": "k"}
    ).json()  # fmt: skip


def test_walls_end_the_history_of_transfers() -> None:
    tape = SyntheticTape(start=utc("2024-07-01"), end=utc("2024-09-01"), symbols=SYMBOLS)
    with TestClient(build_app(tape, FixedClock(NOW), walls=True)) as web:
        old = web.get(
            f"/whale_alert/v1/transactions?start={NOW_S - 40 * 86400}",
            headers={"X-WA-API-KEY": "k"},
        )
        assert old.status_code == 400
        assert old.json()["result"] == "error"


def test_history_does_not_depend_on_where_the_tape_ends_or_on_its_other_coins() -> None:
    """A tape built an hour later, or for fewer coins, tells the same past."""
    short = SyntheticTape(
        start=utc("2024-07-01"), end=utc("2024-07-20T05:00"), symbols=("BTC/USDT",)
    )
    long = SyntheticTape(start=utc("2024-07-01"), end=utc("2024-08-15"), symbols=SYMBOLS)
    for kind in ("social", "news", "trader"):
        one, other = short.mood("BTC/USDT", kind), long.mood("BTC/USDT", kind)
        assert one is not None
        assert other is not None
        for name in ("ts", "score", "posts", "interactions"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[: len(one)])
    one, other = short.transfers(), long.transfers()
    assert one is not None
    assert other is not None
    assert len(one) > 1000
    for name in ("ts", "number", "coin", "usd", "amount", "sender", "receiver"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[: len(one)])


def test_future_is_not_told(web: TestClient) -> None:
    body = web.get(
        f"/whale_alert/v1/transactions?start={NOW_S - 7200}&end={NOW_S + 99999}&min_value=1",
        headers={"X-WA-API-KEY": "k"},
    ).json()
    assert all(row["timestamp"] <= NOW_S for row in body["transactions"])
    series = web.get("/lunarcrush/public/coins/BTC/time-series/v2", headers=BEARER).json()["data"]
    assert max(row["time"] for row in series) <= NOW_S


def test_recorded_tape_without_moods_and_transfers_answers_with_nothing(
    market_history: Path,
) -> None:
    from regime_pipeline.simulator.tape import ParquetTape

    tape = ParquetTape(market_history)
    with TestClient(build_app(tape, FixedClock(tape.span.end))) as web:
        coin = next(s for s in tape.listed("binance", "spot")).split("/")[0]
        mood = web.get(f"/lunarcrush/public/coins/{coin}/time-series/v2", headers=BEARER)
        assert mood.json()["data"] == []
        moved = web.get("/whale_alert/v1/transactions", headers={"X-WA-API-KEY": "k"}).json()
        assert (moved["result"], moved["count"]) == ("success", 0)
        said = web.get(f"/sentiment/social?symbol={coin}USDT", headers=BEARER).json()
        assert said["sentiment_score"] is None
        assert web.get("/coinglass/api/chain/v2/whale-transfer", headers=CG).json()["data"] == []
        assert web.get("/news/posts/?auth_token=k").json()["results"] == []
        rate = web.get(f"/coinapi/v1/exchangerate/{coin}/USDT", headers={"X-CoinAPI-Key": "k"})
        assert rate.json()["rate"] > 0
