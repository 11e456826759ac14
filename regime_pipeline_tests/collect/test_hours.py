"""Hours of bars and trades: what proves them, and what the hourly tick still asks for."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.collect import segments
from regime_pipeline.collect.hours import Hours
from regime_pipeline.collect.proofs import prove_day, replay_day
from regime_pipeline.coverage.asking import Ask, to_ask
from regime_pipeline.orchestration.live import collector, live_assets
from regime_pipeline.settings import Settings
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, utc
from regime_pipeline_tests.collect.streams import (
    SYMBOLS,
    bar,
    heard,
    lines,
    settings_in,
    storer,
    trade,
    write,
)

HOUR_AT = utc("2024-06-01T10:00:00")
NAMES = ("BTCUSDT", "ETHUSDT")


def _messages(lost: int = -1) -> list[tuple]:
    """Two hours of trades of both symbols and the bars that they sum to; one trade may be left out."""
    told: list[tuple] = []
    number = 0
    for hour in (HOUR_AT, HOUR_AT + HOUR):
        for name in NAMES:
            volume = 0.0
            for i in range(12):
                number += 1
                size = 0.25 * (i + 1)
                volume += size
                at = hour + i * timedelta(minutes=4, seconds=50)
                if number != lost:
                    told.append(
                        (at + timedelta(milliseconds=80), trade(at, name, size, 100.0, number))
                    )
            told.append((hour + HOUR / 2, bar(hour, name, volume / 2, confirm=False)))
            told.append((hour + HOUR + timedelta(seconds=1), bar(hour, name, volume)))
    return sorted(told, key=lambda t: t[0])


def _collected(warehouse: Warehouse, home: Path, lost: int = -1) -> tuple[Settings, list]:
    settings = settings_in(home, sources="bybit", collect_venues="bybit")
    (line,) = lines(settings, "bybit", "perp")
    write(home, line, _messages(lost))
    keeper = storer(warehouse, settings, [line])
    keeper.store()
    keeper.note_spans([heard(line, HOUR_AT, HOUR_AT + timedelta(hours=2, minutes=5))])
    keeper.save_spans()
    return settings, Hours(keeper).close(HOUR_AT + timedelta(hours=2, minutes=1))


@pytest.mark.slow
def test_trades_are_proven_by_the_bar_and_one_that_is_missing_unproves_its_hour_alone(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    _, judged = _collected(warehouse, tmp_path, lost=30)
    trades = {(j.key[4], j.hour): j for j in judged if j.key[0] == "trade_flow"}
    unproven = {k for k, j in trades.items() if j.proof is None}
    assert unproven == {("BTC/USDT", HOUR_AT + HOUR)}
    assert "trades sum to" in str(trades[unproven.pop()].reason)
    bars = warehouse.read("raw.candles")
    assert len(bars) == 4
    assert bars["volume_base"].tolist() == [19.5] * 4
    flow = warehouse.read("raw.trade_flow", Window(HOUR_AT, HOUR_AT + HOUR))
    sums = (flow["taker_buy_base"] + flow["taker_sell_base"]).tolist()
    assert sums == pytest.approx([19.5, 19.5])


@pytest.mark.slow
def test_an_hour_that_is_read_in_small_parts_is_the_hour(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, judged = _collected(warehouse, tmp_path)
    (line,) = lines(settings, "bybit", "perp")
    paths = segments.segments_of(settings.home / "collect", *line.name.split("/"))
    whole = [segments.read(path) for path in paths]
    monkeypatch.setattr(segments, "AT_ONCE", 300)
    read = [[part.records for part in segments.parts(path)] for path in paths]
    assert max(len(found) for found in read) > 1
    assert [[r for part in found for r in part] for found in read] == [
        list(w.records) for w in whole
    ]
    assert [segments.end_of(path) for path in paths] == [w.end for w in whole]
    again = Hours(storer(warehouse, settings, [line]))
    keys = {j.key for j in judged if j.hour == HOUR_AT}
    found = {j.key: j.content_hash for j in again.judge(HOUR_AT, sorted(keys))}
    assert found == {j.key: j.content_hash for j in judged if j.hour == HOUR_AT}


@pytest.mark.slow
def test_what_is_proven_is_what_was_received_and_a_changed_row_is_found(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings, judged = _collected(warehouse, tmp_path)
    proven = [j for j in judged if j.proof is not None]
    found = prove_day(warehouse, settings, utc("2024-06-01"))
    assert (found.equal, found.differing) == (len(proven), [])
    row = warehouse.read("raw.candles", Window(HOUR_AT, HOUR_AT + HOUR), symbols=["BTC/USDT"])
    warehouse.merge("raw.candles", row.assign(close=100.5))
    found = prove_day(warehouse, settings, utc("2024-06-01"))
    assert found.differing == ["candles bybit bybit perp BTC/USDT 2024-06-01 10:00"]
    assert replay_day(warehouse, settings, utc("2024-06-01"))["candles"] == 1
    assert prove_day(warehouse, settings, utc("2024-06-01")).differing == []


def _asked_today(warehouse: Warehouse, now: datetime) -> None:
    """Log rows as of the day's first tick, which asks for a whole day again."""
    rows = [
        {
            "fetch_id": symbol, "dataset": "candles", "source": "bybit", "venue": "bybit",
            "market": market, "symbol": symbol, "endpoint_path": "/", "window_start": now - 2 * DAY,
            "window_end": HOUR_AT, "fetch_status": "ok", "rows_stored": 1, "rows_quarantined": 0,
            "request_count": 1, "fetched_at": now - 2 * HOUR,
        }
        for market in ("perp",)
        for symbol in SYMBOLS
    ]  # fmt: skip
    columns = list(table("ops.fetch_log").fields)
    warehouse.record("ops.fetch_log", pd.DataFrame(rows).reindex(columns=columns))


def test_a_tick_asks_for_no_hour_that_is_proven_and_for_each_that_is_not(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings, _ = _collected(warehouse, tmp_path)
    now = HOUR_AT + timedelta(hours=2, minutes=2)
    _asked_today(warehouse, now)
    window = Window(HOUR_AT, now)

    def asked() -> set[str]:
        calls = to_ask(
            "candles",
            window,
            warehouse=warehouse,
            settings=settings,
            now=now,
            symbols=SYMBOLS,
            ask=Ask.NEW_HOURS,
        )
        return {s[3] for c in calls for s in c.series if s[2] == "perp"}

    assert asked() == set()
    warehouse.transact(
        lambda c: c.execute(
            "update ops.coverage_spans set span_end = %s where dataset = 'candles' "
            "and symbol = 'ETH/USDT' and coverage_state = 'stored'",
            (HOUR_AT + HOUR,),
        )
    )
    assert asked() == {"ETH/USDT"}


@pytest.mark.slow
def test_an_hour_that_is_stored_and_not_proven_is_asked_for_at_the_next_tick_and_then_no_more(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings, _ = _collected(warehouse, tmp_path)
    now = HOUR_AT + timedelta(hours=2, minutes=2)
    _asked_today(warehouse, now)
    warehouse.transact(
        lambda c: c.execute(
            "update ops.stream_hours set is_proven = false, proof = null where dataset = 'candles' "
            "and symbol = 'ETH/USDT' and ts = %s",
            (HOUR_AT,),
        )
    )

    def asked() -> list[tuple[str, datetime]]:
        calls = to_ask(
            "candles", Window(HOUR_AT, now), warehouse=warehouse, settings=settings, now=now,
            symbols=SYMBOLS, ask=Ask.NEW_HOURS,
        )  # fmt: skip
        return [(s[3], c.window.start) for c in calls for s in c.series if s[2] == "perp"]

    assert asked() == [("ETH/USDT", HOUR_AT)]
    warehouse.transact(
        lambda c: c.execute(
            "update ops.fetch_log set window_end = %s, fetched_at = %s where symbol = 'ETH/USDT'",
            (HOUR_AT + 2 * HOUR, now),
        )
    )
    assert asked() == []


@pytest.mark.slow
def test_dagster_is_told_of_closed_hours_once(warehouse: Warehouse, tmp_path: Path) -> None:
    settings, judged = _collected(warehouse, tmp_path)
    now = HOUR_AT + timedelta(hours=2, minutes=1)
    beat = {
        "identity": 1, "beat_at": now, "began_at": now, "process_id": 1, "open_connections": 1,
        "wanted_connections": 2, "received_count": 1, "dropped_count": 0, "memory_mb": 90.0,
        "lag_s": 0.0, "ended_at": None, "clock_offset_s": None, "death_count": 3,
    }  # fmt: skip
    warehouse.merge("ops.collector_heartbeat", pd.DataFrame([beat]))

    class Stand:
        def __init__(self) -> None:
            self.settings, self.warehouse, self.clock = settings, warehouse, FixedClock(now)

    def tick(cursor: str | None) -> SensorExecutionData:
        found = dg.Definitions(assets=live_assets(), sensors=[collector])
        with dg.build_sensor_context(
            cursor=cursor, resources={"platform": Stand()}, definitions=found
        ) as context:
            return collector.evaluate_tick(context)

    first = tick(None)
    hours = {(j.key[0], j.hour) for j in judged}
    made = [e for e in first.asset_events if isinstance(e, dg.AssetMaterialization)]
    assert {e.asset_key.path[2] for e in made} == {"candles", "trade_flow"}
    assert len(made) == len(hours)
    assert {e.partition for e in made} == {"2024-06-01"}
    observed = [e for e in first.asset_events if isinstance(e, dg.AssetObservation)]
    assert {e.asset_key for e in observed} == {spec.key for spec in live_assets()}
    assert {(e.metadata["deaths"].value, e.metadata["lag, s"].value) for e in observed} == {
        (3, 0.0)
    }
    assert all(spec.freshness_policy is not None for spec in live_assets())
    checks = [e for e in first.asset_events if isinstance(e, dg.AssetCheckEvaluation)]
    assert {c.check_name for c in checks} == {"alive", "complete", "equals_rest"}
    assert not any(c.passed for c in checks if c.check_name == "alive")
    assert not tick(first.cursor).asset_events
    assert {spec.key.path[2] for spec in live_assets()} <= set(DATASETS)
