"""Each role can do its work and nothing else."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from regime_pipeline.storage.database import Database
from regime_pipeline.storage.embedded import SERVER_SETTINGS
from regime_pipeline.storage.roles import ROLES, Roles, ensure_roles, rotate, url_of
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.storage.frames import DAY_1, raw_candles


def made(database: Database, home: Path, prefix: str) -> Roles:
    with database.connect() as connection:
        return ensure_roles(connection, database.url, home, prefix=prefix)


@pytest.fixture
def urls(postgres: TestServer, database: Database, tmp_path: Path) -> Iterator[dict[str, str]]:
    """URLs by role; the roles are the server's, so their names are this test's own."""
    Warehouse(database).merge("raw.candles", raw_candles())
    prefix = f"t{secrets.token_hex(4)}"
    roles = made(database, tmp_path, prefix)
    assert roles.skipped is None
    with database.connect() as connection:
        connection.execute("create table reporting.mart as select 1 as n")
    yield dict(roles.urls)
    with psycopg.connect(database.libpq, autocommit=True) as admin:
        for role in ROLES:
            admin.execute(f"reassign owned by {prefix}_{role} to current_user")
            admin.execute(f"drop owned by {prefix}_{role}")
            admin.execute(f"drop role {prefix}_{role}")


def _as(url: str) -> psycopg.Connection:
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))


REFUSED = [
    "insert into reporting.mart values (2)",
    "delete from reporting.mart",
    "create table reporting.mine (n int)",
    "create table public.mine (n int)",
    "create schema mine",
    "create temp table mine (n int)",
    "select * from alerts.outbox",
    "select * from raw.candles",
    "select * from raw.candles_y2024m03",
    "select * from ops.fetch_log",
    "select ops.ensure_partition('raw.candles', '2030-01-01')",
    "select pg_read_file('/etc/passwd')",
    "copy (select 1) to program 'true'",
    "copy reporting.mart from program 'true'",
    "set role postgres",
    "alter role current_user superuser",
    "select lo_create(0)",
    "select lo_from_bytea(0, 'x')",
    "select pg_advisory_lock(1)",
    "select pg_try_advisory_lock(1, 2)",
    "select pg_advisory_xact_lock_shared(1)",
    "create role mine",
    "alter role current_user connection limit 100",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
]


@pytest.mark.parametrize("read_only", [True, False], ids=["as given", "switched off by the reader"])
def test_fault_92_readers_read_reports_and_nothing_else(
    urls: dict[str, str], read_only: bool
) -> None:
    for statement in REFUSED:
        with _as(urls["bi"]) as connection:
            if not read_only:
                connection.execute("set session characteristics as transaction read write")
                connection.execute("set default_transaction_read_only = off")
                connection.commit()
            assert connection.execute("select n from reporting.mart").fetchone() == (1,)
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
            ):
                connection.execute(statement).fetchall()
            connection.rollback()


def test_readers_enter_no_other_database_and_few_at_once(urls: dict[str, str]) -> None:
    for other in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            _as(make_url(urls["bi"]).set(database=other).render_as_string(False))
    with contextlib.ExitStack() as open_at_once:
        for _ in range(ROLES["bi"].connections):
            open_at_once.enter_context(_as(urls["bi"]))
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            _as(urls["bi"])
        open_at_once.enter_context(_as(urls["pipeline"])).execute("select 1")


def test_connection_limits_leave_room_for_the_administrator() -> None:
    assert (
        sum(role.connections for role in ROLES.values())
        <= int(SERVER_SETTINGS["max_connections"]) - 5
    )


def test_api_reads_reports_and_health_reads_what_monitoring_needs(urls: dict[str, str]) -> None:
    with _as(urls["api"]) as connection:
        assert connection.execute("select n from reporting.mart").fetchone() == (1,)
        asked = "select reporting.token_scope('00000000', 'digest')"
        assert connection.execute(asked).fetchone() == (None,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from ops.fetch_log")
    with _as(urls["bi"]) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(asked)
    with _as(urls["health"]) as connection:
        connection.execute("select * from ops.fetch_log, alerts.outbox")
        shown = connection.execute(
            "select count(*) from pg_stat_activity where query = '<insufficient privilege>'"
        )
        assert shown.fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from raw.candles")


def test_fault_92_long_query_of_a_reader_is_ended(urls: dict[str, str]) -> None:
    with _as(urls["bi"]) as connection:
        assert connection.execute("show statement_timeout").fetchone() == ("30s",)
        connection.execute("set statement_timeout = '50ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(5)")


def test_reports_built_later_are_readable(urls: dict[str, str]) -> None:
    with _as(urls["pipeline"]) as connection:
        connection.execute("create table reporting.later as select 2 as n")
    with _as(urls["bi"]) as connection:
        assert connection.execute("select n from reporting.later").fetchone() == (2,)


def test_pipeline_writes_and_adds_months_and_cannot_rewrite_history(urls: dict[str, str]) -> None:
    warehouse = Warehouse(Database(urls["pipeline"]))
    april = Window(utc("2024-04-01"), utc("2024-04-02"))
    assert warehouse.merge("raw.candles", raw_candles(april)).inserted == 48
    assert warehouse.merge("raw.candles", raw_candles(DAY_1, price=5.0)).updated == 48
    assert warehouse.merge(
        "raw.candles", raw_candles().head(0), mode="replace", window=april
    ).deleted
    for statement in (
        "delete from raw.candles_revisions",
        "update raw.candles_revisions set close = 1",
        "delete from alerts.delivery_attempts",
        "drop table raw.candles",
        "alter table raw.candles drop column close",
        "create table raw.mine (n int)",
    ):
        with _as(urls["pipeline"]) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()
    warehouse.database.close()


def test_dispatcher_sees_alerts_only(urls: dict[str, str]) -> None:
    with _as(urls["dispatcher"]) as connection:
        connection.execute("select * from alerts.market_events")
        connection.execute("select * from alerts.outbox for update skip locked")
    for statement in (
        "delete from alerts.outbox",
        "update alerts.market_events set title = 'x'",
        "update alerts.delivery_attempts set outcome = 'delivered'",
        "select * from raw.candles",
        "create temp table mine (n int)",
    ):
        with _as(urls["dispatcher"]) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


def test_making_roles_again_keeps_passwords_and_an_ordinary_account_is_told_why_not(
    database: Database, tmp_path: Path, urls: dict[str, str]
) -> None:
    prefix = make_url(urls["bi"]).username.removesuffix("_bi")
    assert dict(made(database, tmp_path, prefix).urls) == urls
    assert (tmp_path / "database_roles.json").stat().st_mode & 0o777 == 0o600
    ordinary = Database(urls["pipeline"])
    told = made(ordinary, tmp_path, "other")
    assert told.skipped is not None
    assert "superuser" in told.skipped
    assert not told.urls
    ordinary.close()


def test_new_passwords_open_and_old_ones_do_not(
    urls: dict[str, str], database: Database, tmp_path: Path
) -> None:
    prefix = str(make_url(urls["bi"]).username).removesuffix("_bi")
    rotate(database.libpq, tmp_path, prefix=prefix)
    for role, old in urls.items():
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            _as(old)
        new = url_of(role, database.url, tmp_path, prefix=prefix)
        assert new is not None
        _as(new).close()
