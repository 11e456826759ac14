"""At any instant there is one version of a row, or none before it came and after it was removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import FIELDS, TABLES, Kind, Table
from regime_pipeline.storage import migrate
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import Window, utc
from regime_pipeline_tests.storage.frames import DAY_1, raw_candles

DAY = Window(utc("2024-03-01"), utc("2024-03-02"))
ROWS = 4


class Ticking:
    """A clock that is a little later each time it is asked, and can be set back."""

    def __init__(self) -> None:
        self.at = datetime(2024, 6, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


def value_of(name: str, step: int) -> object:
    """A value that the contract of a column allows; another one for another step."""
    field = FIELDS[name]
    if field.allowed is not None:
        return field.allowed[min(step, len(field.allowed) - 1)]
    if field.kind is Kind.TIMESTAMP:
        return pd.Timestamp("2024-03-01T05:00", tz="UTC")
    if field.kind is Kind.BOOLEAN:
        return bool(step % 2)
    if field.kind is Kind.TEXT:
        return f"text{step}"
    if field.kind in (Kind.JSON, Kind.FLOATS):
        return f"[{step}]"
    low = 0.0 if field.minimum is None else field.minimum
    number = low + 1 + step if field.kind is Kind.INTEGER else low + 0.5 + step / 64
    return number if field.maximum is None else min(number, field.maximum)


def rows_of(table: Table, step: int) -> pd.DataFrame:
    """Four rows of any table that is split by time, each step with other values."""
    frame = pd.DataFrame(index=range(ROWS))
    for name in table.fields:
        value = value_of(name, 0 if name in table.key or name == "source_tier" else step)
        if FIELDS[name].kind is Kind.TIMESTAMP:
            frame[name] = pd.Series(pd.DatetimeIndex([value] * ROWS).as_unit("us"))
        else:
            frame[name] = [value] * ROWS
    frame[table.time_column] += pd.to_timedelta(np.arange(ROWS), unit="h")
    for at, name in enumerate(table.symbol_columns):
        frame[name] = f"S{at}/USDT"
    for rule in table.rules:  # a comparison that the made values break: make both sides alike
        if not frame.eval(rule).fillna(True).all():
            left, _, right = rule.split()
            frame[left] = frame[right]
    return frame


VERSIONED = [name for name, table in TABLES.items() if table.partitioned]


@pytest.mark.slow
def test_every_table_has_one_version_of_each_row_at_a_thousand_instants(database: Database) -> None:
    clock = Ticking()
    warehouse = Warehouse(database, clock)
    began = clock.at
    for name in VERSIONED:
        table = TABLES[name]
        clock.at = began
        warehouse.merge(name, rows_of(table, 0))
        warehouse.merge(name, rows_of(table, 1))
        clock.at -= timedelta(seconds=5)  # set back between two versions
        warehouse.merge(name, rows_of(table, 2))
        removed = warehouse.merge(name, rows_of(table, 0).head(1), mode="replace", window=DAY)
        assert removed.deleted == ROWS - 1, name
        clock.at -= timedelta(seconds=5)
        warehouse.merge(name, rows_of(table, 1))
    with database.connect() as connection:
        for name in VERSIONED:
            table = TABLES[name]
            keys = ", ".join(f'"{k}"' for k in table.key)
            ends = ", ".join(f'"{c}"' for c in (*table.key, "ingested_at"))
            (wrong, versions, seen) = connection.execute(
                f"with v as (select {ends}, superseded_at from {name}_revisions "
                f"union all select {ends}, 'infinity' from {name}), "
                "instants as (select timestamptz '2024-06-01' + n * interval '30 milliseconds' as at "
                "from generate_series(0, 999) n), "
                f"counted as (select at, count(*) n from instants join v on ingested_at <= at "
                f"and at < superseded_at group by at, {keys}) "
                "select (select count(*) from counted where n > 1), (select count(*) from v), "
                "(select count(distinct at) from counted)"
            ).fetchone()
            assert wrong == 0, f"{name}: {wrong} of 1,000 instants have two versions of a row"
            assert versions >= 3 * ROWS, f"{name}: the rows were not replaced"
            assert seen > 900, f"{name}: a row that stays has a version at every instant"


def test_a_replaced_version_ends_in_the_instant_in_which_the_next_begins(
    database: Database,
) -> None:
    warehouse = Warehouse(database, Ticking())
    for price in (1.0, 2.0, 3.0):
        warehouse.merge("raw.candles", raw_candles(price=price))
    told = warehouse.versions("raw.candles", DAY_1, ["ingested_at"])
    assert len(told) == 3 * 48
    with database.connect() as connection:
        (apart,) = connection.execute(
            "select count(*) from (select superseded_at, lead(ingested_at) over (partition by "
            "source, venue, market, symbol, timeframe, ts order by revision) next from (select "
            "source, venue, market, symbol, timeframe, ts, revision, ingested_at, superseded_at "
            "from raw.candles_revisions union all select source, venue, market, symbol, timeframe, "
            "ts, revision, ingested_at, null from raw.candles) v) w "
            "where superseded_at is distinct from next"
        ).fetchone()
    assert apart == 0


@pytest.mark.slow
def test_versions_of_earlier_builds_that_overlap_are_mended_and_removed_rows_keep_their_end(
    database: Database,
) -> None:
    warehouse = Warehouse(database, Ticking())
    window = Window(DAY_1.start, DAY_1.start + timedelta(hours=2))
    for price in (1.0, 2.0, 3.0):
        warehouse.merge("raw.candles", raw_candles(window, price=price))
    warehouse.merge("raw.candles", raw_candles(window).head(0), mode="replace", window=DAY_1)
    warehouse.merge("raw.candles", raw_candles(window, price=4.0))
    read = "select * from raw.candles_revisions order by symbol, ts, revision"
    with database.connect() as connection:
        right = connection.execute(read).fetchall()
        connection.execute(
            "update raw.candles_revisions set superseded_at = superseded_at + interval '1.8 s' "
            "where revision < 2"
        )
        assert connection.execute(read).fetchall() != right
        connection.execute("drop view alerts.webhook_logs cascade")  # that build had a smaller one
        connection.execute("update ops.schema_version set version_num = '0002'")
    migrate.upgrade(database.engine)
    with database.connect() as connection:
        assert connection.execute(read).fetchall() == right


def test_fault_59_writer_that_waits_for_too_long_is_told_who_holds_the_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regime_pipeline.storage import locks
    from regime_pipeline.storage.errors import TransientStorageError

    monkeypatch.setattr(locks, "WAIT_SECONDS", 1)
    warehouse = Warehouse(database)
    frame = raw_candles()
    (key, *_) = locks.day_keys(TABLES["raw.candles"], frame["ts"], None) or [0]
    with database.connect() as other:
        other.execute("select pg_advisory_xact_lock(%s)", (key,))
        pid = other.info.backend_pid
        with pytest.raises(
            TransientStorageError, match=rf"by process {pid} \(role postgres, regime"
        ):
            warehouse.merge("raw.candles", frame)
    assert warehouse.merge("raw.candles", frame).inserted == len(frame)
