"""The simulated aggregators and services: keys, plans, pages, and a past that does not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from regime_pipeline.providers.errors import PlanLimit, ProviderError
from regime_pipeline.providers.registry import PARSERS
from regime_pipeline.simulator.app import build_app
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import FixedClock, utc
from regime_pipeline_tests.simulator.asking import KEYS, NOW, NOW_S, PARAMETERS, ask

SYMBOLS = ("BTC/USDT", "ETH/USDT")
BEARER = {"Authorization": "Bearer k"}
CG = {"CG-API-KEY": "simulated-key"}
PRO = {"CG-API-KEY": "simulated-key-professional"}
HOURLY = "symbol=BTCUSDT&exchange=Binance&interval=1h&limit=5"


@pytest.mark.parametrize("key", [k for k in PARAMETERS if k.split("/")[0] in KEYS])
def test_keys_are_required(key: str, web: TestClient) -> None:
    for headers in ({}, {"Authorization": "Bearer None"}):
        refused = ask(web, key, headers)
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
