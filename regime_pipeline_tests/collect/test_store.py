"""Segments to tables: once, whatever happened between, and sums only of what was heard whole."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from regime_pipeline.collect.hours import Hours
from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.stored_books import StoredBooks
from regime_pipeline.market.book_levels import Sampled
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import HOUR, utc
from regime_pipeline_tests.collect.streams import (
    closure,
    heard,
    lines,
    settings_in,
    storer,
    whole_book,
    write,
)

HOUR_AT = utc("2024-06-01T10:00:00")
MS = timedelta(milliseconds=1)


def _closures(skip: int = -1) -> list[tuple]:
    """Closures over an hour; three equal ones of one millisecond, of which the last in another message."""
    told = []
    for i in range(40):
        at = HOUR_AT + i * timedelta(seconds=85)
        if i == skip:
            continue
        symbol = "BTCUSDT" if i % 2 else "ETHUSDT"
        side = "Buy" if i % 3 else "Sell"
        message = closure(at, symbol, side, 1.5 + i, 100.0)
        if i == 7:
            message["data"] *= 2  # type: ignore[operator]
            told.append((at + 900 * MS, closure(at, symbol, side, 1.5 + i, 100.0)))
        told.append((at + 120 * MS, message))
    return sorted(told, key=lambda t: t[0])


def _twins(home: Path) -> list[Line]:
    return lines(settings_in(home), "bybit", "liquidations")


def test_twins_give_each_closure_once_and_a_replay_changes_nothing(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    a, b = _twins(tmp_path)
    write(tmp_path, a, _closures(skip=4))
    write(tmp_path, b, _closures(skip=9))
    storer(warehouse, settings, [a, b]).store()
    rows = warehouse.read("raw.liquidation_events")
    assert len(rows) == 42
    assert set(rows["position_side"]) == {"long", "short"}
    first = warehouse.content_hash("raw.liquidation_events")
    assert storer(warehouse, settings, [a, b]).store() == 0
    warehouse.transact(lambda c: c.execute("delete from ops.stream_offsets"))
    storer(warehouse, settings, [a, b]).store()
    assert warehouse.content_hash("raw.liquidation_events") == first
    assert (warehouse.read("raw.liquidation_events")["revision"] == rows["revision"]).all()


@pytest.mark.slow
def test_equal_closures_are_told_apart_alike_when_a_restart_lies_between(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    a, _ = _twins(tmp_path)
    at = HOUR_AT + timedelta(minutes=5)
    one = closure(at, "BTCUSDT", "Buy", 2.0, 100.0)
    write(tmp_path, a, [(at + 100 * MS, one)])
    storer(warehouse, settings, [a]).store()
    write(tmp_path, a, [(at + 700 * MS, one)])
    storer(warehouse, settings, [a]).store()
    assert len(warehouse.read("raw.liquidation_events")) == 2


@pytest.mark.slow
def test_an_hour_that_twins_heard_together_has_sums_and_a_proof(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, collect="on")
    assert settings.liquidation_source == settings.liquidation_order_source == "bybit"
    a, b = _twins(tmp_path)
    write(tmp_path, a, _closures()[:25])
    write(tmp_path, b, _closures()[20:])
    keeper = storer(warehouse, settings, [a, b])
    keeper.store()
    middle = HOUR_AT + timedelta(minutes=34)
    keeper.note_spans(
        [
            heard(a, HOUR_AT - timedelta(minutes=20), middle),
            heard(b, middle - timedelta(minutes=6), HOUR_AT + timedelta(minutes=70)),
        ]
    )
    keeper.save_spans()
    judged = Hours(keeper).close(HOUR_AT + timedelta(minutes=61))
    hour = {j.key[:1] + j.key[4:]: j for j in judged if j.hour == HOUR_AT}
    assert {j.proof for j in hour.values()} == {"seconds"}
    assert {j.reason for j in judged if j.hour < HOUR_AT} == {"not heard from end to end"}
    sums = warehouse.read("raw.liquidations")
    events = warehouse.read("raw.liquidation_events")
    assert sums["ts"].unique().tolist() == [pd.Timestamp(HOUR_AT)]
    for side in ("long", "short"):
        mine = events[events["position_side"] == side]
        expected = mine.groupby("symbol")["liquidation_usd"].sum()
        got = sums.set_index("symbol")[f"{side}_liquidations_usd"]
        pd.testing.assert_series_equal(got, expected, check_names=False, rtol=1e-12)
    lost = warehouse.read("ops.stream_spans", where={"stream_state": "lost"})
    assert set(lost["span_end"]) == {pd.Timestamp(HOUR_AT - timedelta(minutes=20))}
    assert set(sums["source_tier"]) == {1}
    Hours(keeper).close(HOUR_AT + timedelta(minutes=95))
    found = warehouse.read("ops.coverage_spans", where={"source": "bybit"})
    stored = found[found["coverage_state"] == "stored"]
    assert set(stored["dataset"]) == {"liquidations", "liquidation_events"}
    assert set(stored["span_start"]) == {pd.Timestamp(HOUR_AT)}


def test_forty_seconds_that_nobody_heard_leave_the_hour_without_sums(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    a, b = _twins(tmp_path)
    keeper = storer(warehouse, settings, [a, b])
    gone = HOUR_AT + timedelta(minutes=30)
    back = gone + timedelta(seconds=40)
    keeper.note_spans(
        [heard(a, HOUR_AT - HOUR, gone), heard(b, back, HOUR_AT + timedelta(minutes=70))]
    )
    keeper.save_spans()
    Hours(keeper).close(HOUR_AT + timedelta(minutes=61))
    hours = warehouse.read("ops.stream_hours")
    now = hours[hours["ts"] == HOUR_AT]
    assert now["lost_s"].tolist() == pytest.approx([40.0] * len(now))
    assert not now["is_proven"].any()
    quiet = warehouse.read("raw.liquidations")
    assert (quiet["ts"] < HOUR_AT).all()
    assert (quiet["long_liquidations_usd"] == 0).all()
    lost = warehouse.read("ops.stream_spans", where={"stream_state": "lost"})
    inside = lost[lost["span_start"] >= HOUR_AT]
    assert set(zip(inside["span_start"], inside["span_end"], strict=True)) == {(gone, back)}
    assert set(inside["reason"]) == {"ended"}


@pytest.mark.slow
def test_sealed_bytes_give_the_hour_again(warehouse: Warehouse, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    a, _ = _twins(tmp_path)
    write(tmp_path, a, _closures())
    keeper = storer(warehouse, settings, [a])
    keeper.store()
    keeper.note_spans([heard(a, HOUR_AT - HOUR, HOUR_AT + timedelta(minutes=70))])
    keeper.save_spans()
    judged = Hours(keeper).close(HOUR_AT + timedelta(minutes=61))
    assert keeper.seal([]) > 0
    rows = warehouse.read("raw.liquidation_events")
    assert rows["payload_id"].str.len().eq(64).all()
    assert (rows["revision"] == 0).all()
    for path in (tmp_path / "collect").rglob("*.seg"):
        path.unlink()
    again = {j.key: j for j in Hours(keeper).judge(HOUR_AT, [j.key for j in judged])}
    hours = [j for j in judged if j.hour == HOUR_AT]
    assert hours
    assert all(again[j.key].content_hash == j.content_hash for j in hours)


def test_books_of_two_connections_that_began_at_the_same_instant_keep_their_own_bytes(
    database: Database, warehouse: Warehouse, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    both = lines(settings, "bybit", "books-")
    assert len(both) == 2
    at = HOUR_AT + timedelta(minutes=5)
    for k, line in enumerate(both):
        message = whole_book(at, "BTCUSDT", bid=99.0 + k, ask=101.0 + k)
        write(tmp_path, line, [(at, message)], 250_000_000)
    keeper = storer(warehouse, settings, both)
    keeper.store()
    books = StoredBooks(database, keeper.landing, keeper.folder)
    for _ in range(2):  # from the segments, then from the landing store
        rows = warehouse.read("raw.order_book")
        assert rows["payload_id"].nunique() == 2
        for row in rows.to_dict("records"):
            found = books.levels(Sampled.of(row, row["market"], row["ts"].value // 1000))
            assert found is not None
            assert found.bids[0].tolist() == [row["best_bid"], row["best_bid"] - 0.01]
            assert found.asks[1].tolist() == [1.0, 2.0]
        keeper.seal([])
        for path in (tmp_path / "collect").rglob("*.seg"):
            path.unlink()
    assert rows["payload_id"].str.len().eq(64).all()


def test_a_message_that_cannot_be_read_is_quoted_and_takes_no_other_with_it(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    a, _ = _twins(tmp_path)
    good = closure(HOUR_AT, "BTCUSDT", "Buy", 2.0, 100.0)
    ours = HOUR_AT + 40 * MS
    write(tmp_path, a, [(ours, closure(HOUR_AT, "ETHUSDT", "Buy", 2.0, 9.0))], 250_000_000)
    odd = {**good, "data": "none of your business"}
    worse = closure(HOUR_AT, "BTCUSDT", "Neither", 2.0, 100.0)
    write(tmp_path, a, [(ours + (n + 1) * MS, m) for n, m in enumerate((good, odd, worse))])
    storer(warehouse, settings, [a]).store()
    rows = warehouse.read("raw.liquidation_events").set_index("symbol")
    assert rows["available_at"].to_dict() == {
        "BTC/USDT": ours + MS,
        "ETH/USDT": ours
        + 250 * MS,  # at the venue's time: its clock was a quarter of a second ahead
    }
    reasons = warehouse.read("ops.quarantine")["reason"].tolist()
    assert len(reasons) == 2
    assert any("side" in r for r in reasons)


@pytest.mark.slow
def test_a_segment_that_is_kept_for_good_leaves_the_collectors_folder(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = _twins(tmp_path)
    write(tmp_path, a, _closures()[:3])
    keeper = storer(warehouse, settings_in(tmp_path), [a])
    keeper.store()
    keeper.seal([])
    (path,) = (tmp_path / "collect").rglob("*.seg")
    path.write_bytes(b"")
    assert keeper.seal([]) == 0  # every half minute, and nothing of it is read
    monkeypatch.setattr("regime_pipeline.collect.store.KEPT_BESIDE_S", -1.0)
    assert keeper.seal([]) == 0
    assert not [p for p in (tmp_path / "collect").rglob("*") if p.is_file()]
    assert keeper.store() == 0
