"""What a merge does to stored rows, and what a read gives back."""

from __future__ import annotations

import random
from datetime import timedelta

import numpy as np
import pandas as pd
import psycopg
import pytest
import stamina
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regime_pipeline.catalogue.frames import ContractError, conform, empty
from regime_pipeline.catalogue.registry import FIELDS, TABLES, table
from regime_pipeline.storage.arrow import canonical_json, copy_blocks, settle
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.errors import StorageError, TransientStorageError
from regime_pipeline.storage.merge import WriteResult
from regime_pipeline.storage.retrying import ATTEMPTS
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, Window, utc
from regime_pipeline_tests.storage.frames import (
    BOTH,
    DAY_1,
    DAY_2,
    event,
    fear_greed,
    fetch_log,
    raw_candles,
)

CANDLES = "raw.candles"
LATER = FixedClock(utc("2024-06-02"))
OWN_LOCKS = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"


def _content(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[[c for c in table(CANDLES).content if c in frame]]


def _revisions(database: Database) -> list[tuple]:
    with database.connect() as connection:
        return connection.execute(
            "select symbol, ts, close, revision, ingested_at, superseded_at "
            "from raw.candles_revisions order by symbol, ts, revision"
        ).fetchall()


def test_rows_come_back_as_they_went_in(warehouse: Warehouse) -> None:
    frame = raw_candles()
    assert warehouse.merge(CANDLES, frame, run_id="r1") == WriteResult(inserted=48)
    back = warehouse.read(CANDLES, DAY_1)
    assert {c: str(t) for c, t in back.dtypes.items()} == {
        c: str(t) for c, t in empty(table(CANDLES)).dtypes.items()
    }
    wanted = conform(frame, table(CANDLES)).sort_values(["symbol", "ts"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(_content(back), _content(wanted), check_exact=True)
    assert (back["ingested_at"] == pd.Timestamp("2024-06-01", tz="UTC")).all()
    assert (back["revision"] == 0).all()
    assert (back["run_id"] == "r1").all()
    assert back["payload_id"].isna().all()
    assert isinstance(back.index, pd.RangeIndex)


@pytest.mark.slow
def test_every_table_reads_back_empty_with_its_own_types(warehouse: Warehouse) -> None:
    for name, item in TABLES.items():
        if name == "ops.database_identity":
            continue
        pd.testing.assert_frame_equal(warehouse.read(name, DAY_1), empty(item))


def test_read_narrows_by_time_symbol_column_and_value(warehouse: Warehouse) -> None:
    warehouse.merge(CANDLES, raw_candles(BOTH))
    hours = Window(DAY_1.start + timedelta(hours=2), DAY_1.start + timedelta(hours=5))
    part = warehouse.read(CANDLES, hours, symbols=["ETH/USDT"], columns=["close", "ts"])
    assert list(part.columns) == ["close", "ts"]
    assert part["ts"].tolist() == [hours.start + timedelta(hours=i) for i in range(3)]
    assert len(warehouse.read(CANDLES, None)) == 96
    assert len(warehouse.read(CANDLES, BOTH, where={"market": "perp"})) == 0
    assert len(warehouse.read(CANDLES, BOTH, where={"market": ["perp", "spot"]})) == 96
    assert len(warehouse.read(CANDLES, BOTH, where={"market": []})) == 0
    assert len(warehouse.read(CANDLES, BOTH, symbols=[])) == 0
    with pytest.raises(KeyError, match="nonsense"):
        warehouse.read(CANDLES, BOTH, columns=["nonsense"])
    with pytest.raises(KeyError, match="no table"):
        warehouse.read("raw.candle")


@pytest.mark.parametrize("text", ["BTC'; DROP TABLE raw.candles;--", "x\\' or 1=1 --", "%s", "{}"])
def test_values_of_a_read_are_never_sql(warehouse: Warehouse, text: str) -> None:
    warehouse.merge(CANDLES, raw_candles())
    assert len(warehouse.read(CANDLES, DAY_1, symbols=[text])) == 0
    assert len(warehouse.read(CANDLES, DAY_1, where={"venue": text})) == 0
    assert len(warehouse.read(CANDLES, DAY_1)) == 48


def test_repeating_a_write_touches_no_row(warehouse: Warehouse, database: Database) -> None:
    warehouse.merge(CANDLES, raw_candles(), run_id="first")
    again = Warehouse(database, LATER).merge(
        CANDLES, raw_candles().sample(frac=1.0, random_state=3), run_id="second"
    )
    assert again == WriteResult(unchanged=48)
    back = warehouse.read(CANDLES, DAY_1)
    assert set(back["run_id"]) == {"first"}
    assert _revisions(database) == []


def test_restated_row_keeps_its_old_version_with_the_time_it_held(
    warehouse: Warehouse, database: Database
) -> None:
    frame = raw_candles()
    warehouse.merge(CANDLES, frame)
    changed = frame.copy()
    changed.loc[5, "close"] = changed.loc[5, "close"] * 1.001
    result = Warehouse(database, LATER).merge(CANDLES, changed, run_id="fix")
    assert result == WriteResult(updated=1, unchanged=47)
    (old,) = _revisions(database)
    assert old == (
        "BTC/USDT",
        changed.loc[5, "ts"],
        frame.loc[5, "close"],
        0,
        utc("2024-06-01"),
        utc("2024-06-02"),
    )
    now = warehouse.read(CANDLES, DAY_1)
    new = now[now["revision"] == 1]
    assert new["close"].tolist() == [changed.loc[5, "close"]]
    assert new["ingested_at"].tolist() == [pd.Timestamp("2024-06-02", tz="UTC")]
    assert new["run_id"].tolist() == ["fix"]


def test_a_value_that_becomes_null_and_back_is_a_change_each_time(warehouse: Warehouse) -> None:
    frame = raw_candles()
    without = frame.assign(volume_base=np.nan)
    assert warehouse.merge(CANDLES, frame).inserted == 48
    assert warehouse.merge(CANDLES, without).updated == 48
    assert warehouse.merge(CANDLES, without).unchanged == 48
    assert warehouse.merge(CANDLES, frame).updated == 48
    assert (warehouse.read(CANDLES, DAY_1)["revision"] == 2).all()


def test_lower_tier_never_overwrites_a_higher_one(warehouse: Warehouse, database: Database) -> None:
    warehouse.merge(CANDLES, raw_candles(tier=2, price=100.0))
    worse = warehouse.merge(CANDLES, raw_candles(tier=3, price=90.0))
    assert worse == WriteResult(refused_lower_tier=48)
    assert _revisions(database) == []
    assert warehouse.merge(CANDLES, raw_candles(tier=2, price=101.0)).updated == 48
    assert warehouse.merge(CANDLES, raw_candles(tier=1, price=102.0)).updated == 48
    back = warehouse.read(CANDLES, DAY_1)
    assert set(back["source_tier"]) == {1}
    assert len(_revisions(database)) == 96


def test_fault_56_same_key_in_one_batch_is_settled_by_tier_then_by_arrival(
    warehouse: Warehouse,
) -> None:
    cheap = raw_candles(tier=3, price=1.0)
    early = raw_candles(tier=1, price=2.0)
    late = raw_candles(tier=1, price=3.0)
    batch = pd.concat([early, late, cheap, late.iloc[:3]], ignore_index=True)
    assert warehouse.merge(CANDLES, batch) == WriteResult(inserted=48)
    pd.testing.assert_series_equal(
        warehouse.read(CANDLES, DAY_1)["close"], late["close"], check_exact=True
    )


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 3, 9]), st.floats(1, 9)),
        min_size=1,
        max_size=12,
    )
)
def test_settling_agrees_with_a_loop_over_the_rows(rows: list[tuple[int, int, float]]) -> None:
    base = raw_candles(symbols=("BTC/USDT",)).iloc[[h for h, _, _ in rows]].reset_index(drop=True)
    frame = base.assign(source_tier=[t for _, t, _ in rows], volume_base=[v for _, _, v in rows])
    frame = conform(frame, table(CANDLES))
    best: dict[int, tuple[int, float]] = {}
    for hour, tier, value in rows:
        if hour not in best or tier <= best[hour][0]:
            best[hour] = (tier, value)
    settled = settle(frame, table(CANDLES))
    found = list(zip(settled["source_tier"], settled["volume_base"], strict=True))
    assert found == [best[h] for h in sorted(best)]


def test_replace_removes_what_the_frame_lacks_inside_the_window_only(
    warehouse: Warehouse, database: Database
) -> None:
    warehouse.merge(CANDLES, raw_candles(BOTH))
    frame = raw_candles(DAY_1).iloc[:-4]
    result = Warehouse(database, LATER).merge(CANDLES, frame, mode="replace", window=DAY_1)
    # the first day's prices are drawn in another order than those of both days together
    assert result.deleted == 4
    assert result.inserted == 0
    assert len(warehouse.read(CANDLES, DAY_1)) == 44
    assert len(warehouse.read(CANDLES, DAY_2)) == 48
    kept = [r for r in _revisions(database) if r[0] == "ETH/USDT" and r[1] >= frame["ts"].max()]
    assert {r[5] for r in kept} == {utc("2024-06-02")}


def test_row_that_was_removed_and_comes_back_goes_on_counting(
    warehouse: Warehouse, database: Database
) -> None:
    frame = raw_candles()
    for _ in range(2):
        warehouse.merge(CANDLES, frame)
        assert warehouse.merge(
            CANDLES, empty(table(CANDLES)), mode="replace", window=DAY_1
        ) == WriteResult(deleted=48)
    assert warehouse.merge(CANDLES, frame).inserted == 48
    assert (warehouse.read(CANDLES, DAY_1)["revision"] == 2).all()
    assert len(_revisions(database)) == 96


def test_narrowed_replace_leaves_other_symbols_alone(warehouse: Warehouse) -> None:
    warehouse.merge(CANDLES, raw_candles())
    only = raw_candles(symbols=("BTC/USDT",), price=50.0).iloc[:10]
    result = warehouse.merge(CANDLES, only, mode="replace", window=DAY_1, symbols=["BTC/USDT"])
    assert (result.updated, result.deleted) == (10, 14)
    assert len(warehouse.read(CANDLES, DAY_1, symbols=["ETH/USDT"])) == 24


def test_narrowed_replace_of_pairs_needs_both_symbols_in_the_set(warehouse: Warehouse) -> None:
    name = "correlation.asset_correlations"
    item = table(name)

    def pairs(*names: tuple[str, str]) -> pd.DataFrame:
        rows = {c: [None] * len(names) for c in item.content}
        rows |= {
            "symbol_a": [a for a, _ in names],
            "symbol_b": [b for _, b in names],
            "ts": [pd.Timestamp(DAY_1.start)] * len(names),
            "status": ["missing"] * len(names),
            "method_version": ["m/1"] * len(names),
        }
        return pd.DataFrame(rows)

    stored = pairs(("ADA/USDT", "BTC/USDT"), ("ADA/USDT", "ETH/USDT"), ("BTC/USDT", "ETH/USDT"))
    warehouse.merge(name, stored)
    none = empty(item)
    result = warehouse.merge(
        name, none, mode="replace", window=DAY_1, symbols=["ADA/USDT", "BTC/USDT"]
    )
    assert result.deleted == 1
    left = warehouse.read(name, DAY_1)
    assert left["symbol_b"].tolist() == ["ETH/USDT", "ETH/USDT"]
    assert len(warehouse.read(name, DAY_1, symbols=["BTC/USDT", "ETH/USDT"])) == 1


@pytest.mark.parametrize("mode", ["upsert", "replace", "insert"])
def test_rows_outside_the_window_or_the_symbols_are_refused(
    warehouse: Warehouse, mode: str
) -> None:
    frame = raw_candles(BOTH)
    with pytest.raises(ContractError, match="outside the window"):
        warehouse.merge(CANDLES, frame, mode=mode, window=DAY_1)
    with pytest.raises(ContractError, match="ETH/USDT"):
        warehouse.merge(CANDLES, frame, mode=mode, window=BOTH, symbols=["BTC/USDT"])
    assert warehouse.counts()[CANDLES] == 0


def test_frame_that_breaks_its_contract_stores_nothing(warehouse: Warehouse) -> None:
    bad = raw_candles()
    bad.loc[3, "close"] = np.inf
    bad.loc[7, "high"] = 0.001
    with pytest.raises(ContractError, match="contract failures"):
        warehouse.merge(CANDLES, bad)
    with pytest.raises(ContractError, match="unknown columns"):
        warehouse.merge(CANDLES, raw_candles().assign(extra=1))
    with pytest.raises(ContractError):
        warehouse.merge(CANDLES, raw_candles().assign(symbol=None))
    assert warehouse.counts()[CANDLES] == 0


@pytest.mark.parametrize("at", ["1970-01-20", "2262-01-01"])
def test_absurd_time_makes_no_partition(warehouse: Warehouse, database: Database, at: str) -> None:
    frame = raw_candles().assign(ts=pd.Timestamp(at, tz="UTC"), timeframe="1h").iloc[:1]
    with pytest.raises(ContractError, match="wrong unit of time"):
        warehouse.merge(CANDLES, frame)
    with database.connect() as connection:
        count = connection.execute(
            "select count(*) from pg_inherits where inhparent = 'raw.candles'::regclass"
        ).fetchone()
    assert count == (0,)


def test_months_are_partitions_made_when_needed(warehouse: Warehouse, database: Database) -> None:
    window = Window(utc("2023-11-30T22:00"), utc("2024-01-01T02:00"))
    warehouse.merge(CANDLES, raw_candles(window))
    with database.connect() as connection:
        parts = connection.execute(
            "select inhrelid::regclass::text from pg_inherits "
            "where inhparent = 'raw.candles'::regclass order by 1"
        ).fetchall()
        first = connection.execute("select count(*) from raw.candles_y2023m11").fetchone()
        checks = connection.execute(
            "select count(*) from pg_constraint where contype = 'c' "
            "and conrelid = 'raw.candles_y2023m12'::regclass"
        ).fetchone()
    assert [p for (p,) in parts] == [
        f"raw.candles_{m}" for m in ("y2023m11", "y2023m12", "y2024m01")
    ]
    assert first == (4,)
    assert checks[0] > 5
    assert len(warehouse.read(CANDLES, window)) == len(raw_candles(window))


def test_long_windows_lock_the_table_instead_of_thousands_of_days(
    warehouse: Warehouse, database: Database
) -> None:
    window = Window(utc("2019-01-01"), utc("2024-01-01"))
    days = len(window.days())
    frame = fear_greed(window, [i % 100 for i in range(days)])
    held: list[int] = []

    def look(connection: psycopg.Connection, new: pd.DataFrame) -> None:
        row = connection.execute(OWN_LOCKS)
        held.append(row.fetchone()[0])

    result = warehouse.merge("raw.fear_greed", frame, mode="replace", window=window, also=look)
    assert result.inserted == days
    assert held == [1]


def test_insert_keeps_stored_rows_and_hands_over_only_new_ones(warehouse: Warehouse) -> None:
    name = "alerts.market_events"
    one, two = event("e1", "2024-03-01T05:00"), event("e2", "2024-03-01T06:00")
    seen: list[list[str]] = []

    def note(connection: psycopg.Connection, new: pd.DataFrame) -> None:
        assert list(new.columns) == list(table(name).fields)
        seen.append(new["event_id"].tolist())

    assert warehouse.merge(name, one, mode="insert", also=note).inserted == 1
    both = pd.concat([one.assign(title="edited"), two], ignore_index=True)
    result = warehouse.merge(name, both, mode="insert", also=note)
    assert result == WriteResult(inserted=1, unchanged=1)
    warehouse.merge(name, both, mode="insert", also=note)
    assert seen == [["e1"], ["e2"], []]
    assert warehouse.read(name, DAY_1)["title"].tolist() == ["t", "t"]


def test_events_and_what_goes_with_them_are_one_transaction(warehouse: Warehouse) -> None:
    def fail(connection: psycopg.Connection, new: pd.DataFrame) -> None:
        connection.execute("delete from ops.database_identity")
        raise RuntimeError("outbox is broken")

    with pytest.raises(RuntimeError, match="outbox is broken"):
        warehouse.merge(
            "alerts.market_events", event("e1", "2024-03-01T05:00"), mode="insert", also=fail
        )
    counts = warehouse.counts()
    assert (counts["alerts.market_events"], counts["ops.database_identity"]) == (0, 1)


def test_json_is_canonical_text_on_the_way_out(warehouse: Warehouse) -> None:
    name = "alerts.market_events"
    warehouse.merge(name, event("e1", "2024-03-01T05:00", '{"zz": 1.50, "a": ["ü", null]}'))
    assert warehouse.read(name, DAY_1)["details"].tolist() == ['{"a":["ü",null],"zz":1.5}']
    same = event("e1", "2024-03-01T05:00", '{"a":["ü",null],"zz":1.5}')
    assert warehouse.merge(name, same) == WriteResult(unchanged=1)


# ---------------------------------------------------------------- text of every kind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("a\x00b", "a\ufffdb"),
        ("emoji 🚀 é 中", "emoji 🚀 é 中"),
        ("'; DROP TABLE raw.candles;--", "'; DROP TABLE raw.candles;--"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ('"quoted", comma\nline\r\nend\ttab\\N \\.', '"quoted", comma\nline\r\nend\ttab\\N \\.'),
        ("", ""),
        ("\\.", "\\."),
        ("x" * 1_000_000, "x" * 1_000_000),
    ],
    ids=["nul", "emoji", "sql", "formula", "csv", "empty", "copy-end", "megabyte"],
)
def test_fault_57_any_text_is_stored_as_it_is_or_made_storable(
    warehouse: Warehouse, given_text: str, kept: str
) -> None:
    assert warehouse.record("ops.fetch_log", fetch_log(given_text), run_id="r") == 1
    assert warehouse.read("ops.fetch_log")["error_message"].tolist() == [kept]
    assert warehouse.counts()["raw.candles"] == 0


def test_lone_surrogates_do_not_sink_the_batch(warehouse: Warehouse) -> None:
    frame = fetch_log()
    frame["error_message"] = pd.Series(["bad \ud800 half"], dtype=object)
    assert warehouse.record("ops.fetch_log", frame) == 1
    assert warehouse.read("ops.fetch_log")["error_message"].tolist() == ["bad \ufffd half"]
    bad_json = event("e1", "2024-03-01T05:00", '{"a":"\\u0000","b":"\\ud800","c":"\\\\u0000"}')
    assert warehouse.merge("alerts.market_events", bad_json).inserted == 1
    assert warehouse.read("alerts.market_events", DAY_1)["details"].tolist() == [
        canonical_json({"a": "\ufffd", "b": "\ufffd", "c": "\\u0000"})
    ]


def test_log_rows_are_appended_once_and_never_edited(warehouse: Warehouse) -> None:
    assert warehouse.record("ops.fetch_log", fetch_log("one"), run_id="r1") == 1
    assert warehouse.record("ops.fetch_log", fetch_log("two"), run_id="r2") == 0
    stored = warehouse.read("ops.fetch_log")
    assert stored[["error_message", "run_id"]].values.tolist() == [["one", "r1"]]


def test_quarantine_keeps_the_row_and_the_reason_once(warehouse: Warehouse) -> None:
    bad = raw_candles().iloc[:2].assign(close=[np.inf, np.nan], reason="close: finite")
    bad["symbol"] = ["BTC\x00USDT", "ETH/USDT"]
    assert warehouse.quarantine(CANDLES, bad, source="binance", run_id="r") == 2
    assert warehouse.quarantine(CANDLES, bad, source="binance", run_id="r") == 0
    assert warehouse.quarantine(CANDLES, bad.assign(reason="other"), source="x", run_id=None) == 2
    assert warehouse.quarantine(CANDLES, bad.head(0), source="x", run_id=None) == 0
    kept = warehouse.read("ops.quarantine")
    assert set(kept["table_name"]) == {CANDLES}
    assert set(kept["source"]) == {"binance"}, "the row's own source goes first"
    assert any('"close":"inf"' in row for row in kept["row_data"])
    assert any('"close":null' in row for row in kept["row_data"])


# ---------------------------------------------------------------- the content hash


@pytest.mark.slow
def test_content_hash_does_not_depend_on_the_way_the_rows_came(
    postgres, warehouse: Warehouse
) -> None:
    frame = raw_candles(BOTH).assign(volume_base=0.0)
    warehouse.merge(CANDLES, frame)
    wanted = warehouse.content_hash(CANDLES, BOTH)
    assert warehouse.content_hash(CANDLES) == wanted
    with postgres.database() as other:
        second = Warehouse(other, LATER)
        order = list(range(len(frame)))
        random.Random(5).shuffle(order)
        for start in range(0, len(order), 17):
            part = frame.iloc[order[start : start + 17]].assign(volume_base=-0.0)
            second.merge(CANDLES, part.assign(close=1.0, high=part["high"] + 99, low=0.5))
            second.merge(CANDLES, part, run_id="x")
        assert second.content_hash(CANDLES, BOTH) == wanted
        changed = frame.copy()
        changed.loc[0, "close"] = np.nextafter(changed.loc[0, "close"], 1e9)
        second.merge(CANDLES, changed)
        assert second.content_hash(CANDLES, BOTH) != wanted


def test_content_hash_tells_null_from_zero_and_empty_text(warehouse: Warehouse) -> None:
    frame = raw_candles().iloc[:1]
    seen = set()
    for volume in (0.0, np.nan):
        warehouse.merge(CANDLES, frame.assign(volume_base=volume))
        seen.add(warehouse.content_hash(CANDLES))
    name = "raw.fear_greed"
    row = fear_greed(DAY_1, [50])
    for words in ("", None):
        warehouse.merge(name, row.assign(classification=pd.Series([words], dtype="str")))
        seen.add(warehouse.content_hash(name))
    assert len(seen) == 4


def test_content_hash_is_pinned(warehouse: Warehouse) -> None:
    warehouse.merge("raw.fear_greed", fear_greed(BOTH, [20, 30]))
    assert warehouse.content_hash("raw.fear_greed") == (
        "dddd6030628cf695c446a0bca93e39e4ac3f0d19d02e635a94c9eb2404c5b9ae"
    )


# ---------------------------------------------------------------- the binary COPY format


_KINDS = {
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "integer": st.integers(-(2**62), 2**62),
    "boolean": st.booleans(),
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    "timestamp": st.integers(-(10**14), 4 * 10**15),
    "json": st.just("{}"),
}


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_binary_copy_carries_every_kind_of_value(database: Database, data: st.DataObject) -> None:
    name = "features.volatility_regimes"
    item = table(name)
    count = data.draw(st.integers(1, 3))
    values = {
        c: data.draw(st.lists(st.none() | _KINDS[FIELDS[c].kind], min_size=count, max_size=count))
        for c in item.fields
    }
    for c in item.fields:
        if FIELDS[c].kind == "timestamp":
            values[c] = pd.to_datetime(pd.array(values[c], dtype="Int64"), unit="us", utc=True)
    frame = conform(pd.DataFrame(values), item)
    with database.connect() as connection:
        columns = ", ".join(item.fields)  # columns that came later stand last in the database
        connection.execute(
            f"create temp table t on commit drop as select {columns} from {name} limit 0"
        )
        with connection.cursor().copy("copy t from stdin (format binary)") as stream:
            for block in copy_blocks(frame, item):
                stream.write(block)
        rows = connection.execute("select * from t").fetchall()
    assert len(rows) == count
    for column, stored in zip(item.fields, zip(*rows, strict=True), strict=True):
        for cell, kept in zip(frame[column], stored, strict=True):
            assert (pd.isna(cell) and kept is None) or cell == kept, column


@pytest.mark.slow
def test_one_huge_text_does_not_pad_the_whole_batch() -> None:
    frame = pd.concat([fetch_log("short")] * 5000, ignore_index=True)
    frame["fetch_id"] = [f"f{i}" for i in range(5000)]
    frame.loc[2500, "error_message"] = "x" * 3_000_000
    item = table("ops.fetch_log")
    blocks = list(copy_blocks(conform(frame.assign(run_id=None), item), item))
    assert sum(map(len, blocks)) < 3_000_000 + 5000 * 400


# ---------------------------------------------------------------- failures


def test_refusal_by_the_server_is_a_storage_error_in_one_line(
    warehouse: Warehouse, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute("alter table raw.candles add constraint never check (close < 0)")
    with pytest.raises(StorageError, match="never") as told:
        warehouse.merge(CANDLES, raw_candles())
    assert "\n" not in str(told.value)
    assert not isinstance(told.value, TransientStorageError)


@pytest.mark.slow
def test_passing_failures_are_retried_as_a_whole_and_then_typed(
    warehouse: Warehouse,
) -> None:
    attempts: list[int] = []

    def twice(connection: psycopg.Connection, new: pd.DataFrame) -> None:
        attempts.append(len(new))
        if len(attempts) < 3:
            raise psycopg.errors.SerializationFailure("could not serialize access")

    assert warehouse.merge(CANDLES, raw_candles(), also=twice).inserted == 48
    assert attempts == [48, 48, 48]

    def always(connection: psycopg.Connection, new: pd.DataFrame) -> None:
        attempts.append(0)
        raise psycopg.errors.DeadlockDetected("deadlock detected")

    attempts.clear()
    with (
        stamina.set_testing(True, attempts=ATTEMPTS),  # no pauses
        pytest.raises(TransientStorageError, match="deadlock detected"),
    ):
        warehouse.merge(CANDLES, raw_candles(DAY_2), also=always)
    assert len(attempts) == ATTEMPTS
    assert len(warehouse.read(CANDLES, DAY_2)) == 0
