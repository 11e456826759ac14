"""Limits, order and cursors of pages; bars that are still open; time zones of days."""

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
KLINES = "/binance/api/v3/klines"


def get(client: httpx.Client, path: str, **params: Any) -> Any:
    reply = client.get(path, params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_binance_answers_the_first_rows_from_start_time_and_else_the_newest(
    client: httpx.Client,
) -> None:
    start = OPEN_HOUR - 3000 * HOUR_MS
    rows = get(client, KLINES, **BTC, interval="1h", startTime=start, limit=1000)
    assert [r[0] for r in rows] == [start + i * HOUR_MS for i in range(1000)]
    rows = get(client, KLINES, **BTC, interval="1h", endTime=start, limit=7)
    assert [r[0] for r in rows] == [start + i * HOUR_MS for i in range(-6, 1)]
    assert len(get(client, KLINES, **BTC, interval="1h")) == 500
    assert len(get(client, KLINES, **BTC, interval="1h", limit=5000)) == 1000  # spot caps
    refused = client.get(
        "/binance_futures/fapi/v1/klines", params=BTC | {"interval": "1h", "limit": 5000}
    )
    assert refused.json()["code"] == -1130  # futures refuse


def test_paging_forward_meets_every_bar_of_the_tape_once(
    client: httpx.Client, tape: SyntheticTape
) -> None:
    bars = tape.candles("binance", "spot", "ETH/USDT")
    assert bars is not None
    start, seen = int(bars.ts[0]), []
    while rows := get(client, KLINES, symbol="ETHUSDT", interval="1h", startTime=start, limit=1000):
        seen += rows
        start = rows[-1][0] + HOUR_MS
    closed = bars.rows(bars.ts < OPEN_HOUR)
    assert [r[0] for r in seen[:-1]] == closed.ts.tolist()
    for place, name in ((1, "open"), (2, "high"), (3, "low"), (4, "close"), (5, "volume_base")):
        np.testing.assert_array_equal([float(r[place]) for r in seen[:-1]], getattr(closed, name))
    np.testing.assert_array_equal([r[8] for r in seen[:-1]], closed.trade_count)


def test_the_open_bar_comes_last_and_is_told_apart(
    client: httpx.Client, tape: SyntheticTape
) -> None:
    *_, before, last = get(client, KLINES, **BTC, interval="1h", limit=3)
    assert last[0] == OPEN_HOUR and last[6] == OPEN_HOUR + HOUR_MS - 1 > NOW_MS
    assert last[1] == before[4]
    bars = tape.candles("binance", "spot", "BTC/USDT")
    assert bars is not None
    final = bars.rows(bars.ts == OPEN_HOUR)
    assert 0 < float(last[5]) < final.volume_base[0]
    assert final.low[0] <= float(last[3]) <= float(last[4]) <= float(last[2]) <= final.high[0]
    newest, closed = get(client, "/okx/api/v5/market/candles", **SWAP, bar="1H", limit=2)["data"]
    assert (newest[0], newest[8], closed[8]) == (str(OPEN_HOUR), "0", "1")
    history = get(client, "/okx/api/v5/market/history-candles", **SWAP, bar="1H", limit=1)["data"]
    assert (history[0][0], history[0][8]) == (str(OPEN_HOUR - HOUR_MS), "1")
    rows = get(
        client,
        "/coinglass/api/futures/open-interest/history",
        exchange="Binance",
        symbol="BTCUSDT",
        interval="1h",
        limit=2,
    )["data"]
    assert rows[-1]["time"] == OPEN_HOUR  # the running bucket


def test_nothing_of_the_future_is_served(tape: SyntheticTape) -> None:
    sharp = utc("2024-06-12T10:00:00Z")
    with (
        SimulatorServer(tape, FixedClock(sharp)) as server,
        httpx.Client(base_url=server.base_url) as client,
    ):
        rows = get(client, KLINES, **BTC, interval="1h", limit=2)
        assert rows[-1][6] == int(sharp.timestamp() * 1000) - 1  # no bar has begun at its very open
        prints = get(client, "/binance_futures/fapi/v1/fundingRate", **BTC, limit=1)
        assert prints[-1]["fundingTime"] < int(sharp.timestamp() * 1000)
        moods = get(client, "/alternative_me/fng/", limit=0)["data"]
        assert int(moods[0]["timestamp"]) * 1000 <= int(sharp.timestamp() * 1000)
        assert int(moods[0]["timestamp"]) > int(moods[1]["timestamp"])


def test_okx_pages_backwards_newest_first_until_empty(
    client: httpx.Client, tape: SyntheticTape
) -> None:
    bars = tape.candles("okx", "perp", "BTC/USDT")
    assert bars is not None
    oldest = int(bars.ts[0])
    seen, cursor = [], oldest + 350 * HOUR_MS
    while rows := get(
        client, "/okx/api/v5/market/history-candles", **SWAP, bar="1H", after=cursor, limit=300
    )["data"]:
        assert len(rows) <= 100  # what the venue grants, whatever is asked
        seen += [int(r[0]) for r in rows]
        cursor = seen[-1]
    assert seen == [oldest + i * HOUR_MS for i in range(349, -1, -1)]
    both = get(
        client,
        "/okx/api/v5/market/history-candles",
        **SWAP,
        bar="1H",
        after=oldest + 5 * HOUR_MS,
        before=oldest + HOUR_MS,
    )["data"]
    assert [int(r[0]) for r in both] == [oldest + i * HOUR_MS for i in (4, 3, 2)]  # both exclusive
    newest = get(client, "/okx/api/v5/market/candles", **SWAP, bar="1H", before=oldest, limit=2)[
        "data"
    ]
    assert int(newest[0][0]) == OPEN_HOUR  # before alone gives the newest rows
    old = get(client, "/okx/api/v5/market/candles", **SWAP, bar="1H", after=oldest + 9 * HOUR_MS)
    assert old["data"] == []  # the plain endpoint reaches 1440 bars back


def test_days_and_weeks_open_where_the_venue_opens_them(client: httpx.Client) -> None:
    path = "/okx/api/v5/market/candles"
    shifted = get(client, path, **SWAP, bar="1D", limit=3)["data"]
    utc_days = get(client, path, **SWAP, bar="1Dutc", limit=3)["data"]
    assert {int(r[0]) % DAY_MS for r in shifted} == {16 * HOUR_MS}
    assert {int(r[0]) % DAY_MS for r in utc_days} == {0}
    weeks = get(client, KLINES, **BTC, interval="1w", limit=3)
    assert {(r[0] // DAY_MS + 3) % 7 for r in weeks} == {0}  # Mondays


def test_long_bars_are_made_of_the_hourly_ones(client: httpx.Client) -> None:
    days = get(client, KLINES, **BTC, interval="1d", limit=3)
    hours = get(client, KLINES, **BTC, interval="1h", startTime=days[0][0], endTime=days[0][6])
    assert len(hours) == 24
    assert days[0][1] == hours[0][1] and days[0][4] == hours[-1][4]
    assert float(days[0][2]) == max(float(r[2]) for r in hours)
    assert float(days[0][5]) == pytest.approx(sum(float(r[5]) for r in hours))
    assert days[0][8] == sum(r[8] for r in hours)
    today = get(client, KLINES, **BTC, interval="1h", startTime=days[-1][0])
    assert float(days[-1][5]) == pytest.approx(sum(float(r[5]) for r in today))  # the open day


def test_funding_times_jitter_at_binance_only(client: httpx.Client) -> None:
    prints = get(client, "/binance_futures/fapi/v1/fundingRate", **BTC, startTime=0, limit=1000)
    offsets = [p["fundingTime"] % HOUR_MS for p in prints]
    assert max(offsets) <= 45 and len(set(offsets)) > 10
    assert {round(p["fundingTime"] / HOUR_MS) % 8 for p in prints} == {0}
    okx = get(client, "/okx/api/v5/public/funding-rate-history", **SWAP)["data"]
    assert len(okx) == 100
    assert {int(p["fundingTime"]) % (8 * HOUR_MS) for p in okx} == {0}
    everyone = get(
        client, "/binance_futures/fapi/v1/fundingRate", startTime=prints[-3]["fundingTime"] - 99
    )
    assert len({p["symbol"] for p in everyone}) == 8


def test_statistics_end_at_the_wall_only_where_walls_stand(tape: SyntheticTape) -> None:
    path = "/binance_futures/futures/data/openInterestHist"
    old = BTC | {"period": "1h", "startTime": NOW_MS - 35 * DAY_MS}
    ratio = "/okx/api/v5/rubik/stat/contracts/long-short-account-ratio-contract"
    with (
        SimulatorServer(tape, FixedClock(NOW), walls=True) as server,
        httpx.Client(base_url=server.base_url) as walled,
    ):
        reply = walled.get(path, params=old)
        assert (reply.status_code, reply.json()["code"]) == (400, -1130)
        assert walled.get(path, params=old | {"startTime": NOW_MS - 29 * DAY_MS}).status_code == 200
        before = NOW_MS - 1441 * HOUR_MS
        assert walled.get(ratio, params=SWAP | {"period": "1H", "end": before}).json()["data"] == []
    with (
        SimulatorServer(tape, FixedClock(NOW)) as server,
        httpx.Client(base_url=server.base_url) as free,
    ):
        rows = free.get(path, params=old).json()
        assert rows[0]["timestamp"] >= old["startTime"] and len(rows) == 30
        assert (
            len(free.get(ratio, params=SWAP | {"period": "1H", "end": before}).json()["data"])
            == 100
        )


def test_quiet_hours_have_no_liquidation_row(client: httpx.Client, tape: SyntheticTape) -> None:
    path = "/coinglass/api/futures/liquidation/history"
    start = OPEN_HOUR - 900 * HOUR_MS
    for symbol in ("ADA/USDT", "DOT/USDT"):
        rows = get(
            client,
            path,
            exchange="Binance",
            symbol=symbol.replace("/", ""),
            interval="1h",
            start_time=start,
            end_time=OPEN_HOUR - HOUR_MS,
        )["data"]
        told = tape.liquidations("binance", symbol)
        assert told is not None
        inside = told.rows((told.ts >= start) & (told.ts < OPEN_HOUR))
        assert 800 < len(inside) < 900
        assert [r["time"] for r in rows] == inside.ts.tolist()
        assert [float(r["long_liquidation_usd"]) for r in rows] == inside.long_usd.tolist()
