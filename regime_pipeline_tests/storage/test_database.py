"""A database is found or made, holds one kind of data for ever, and says plainly what is wrong."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text

from regime_pipeline.settings import Settings
from regime_pipeline.storage import migrate
from regime_pipeline.storage.database import (
    Database,
    ensure_exists,
    last_origin,
    normalise_url,
    open_database,
    remember_origin,
)
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import (
    DatabaseUnreachableError,
    SchemaVersionError,
    StorageError,
    WrongDatabaseError,
)
from regime_pipeline.storage.roles import ROLES
from regime_pipeline_tests._server import TestServer

OWN_LOCKS = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"


def _settings(url: str, **others: object) -> Settings:
    return Settings(_env_file=None, database_url=SecretStr(url), **others)


@pytest.fixture
def fresh_url(postgres: TestServer) -> Iterator[str]:
    """URL of a database that does not exist yet."""
    with postgres.empty_database() as url:
        name = make_url(url).database
        with postgres.admin() as admin:
            admin.execute(f"drop database {name}")
        yield url
        with postgres.admin() as admin:
            admin.execute(f"drop database if exists {name}_simulated with (force)")


@pytest.mark.slow
def test_missing_database_is_created_migrated_and_claimed(fresh_url: str) -> None:
    database = open_database(_settings(fresh_url), origin="live", detail="why")
    assert database.identity() == "live"
    with database.connect() as connection:
        assert migrate.current(connection) == migrate.head()
        assert connection.execute("select detail from ops.database_identity").fetchone() == ("why",)
        encoding = connection.execute("show server_encoding").fetchone()
    assert encoding == ("UTF8",)
    with database.engine.connect() as connection:
        assert connection.execute(text("select 1")).scalar() == 1
    database.close()
    again = open_database(_settings(fresh_url))
    assert again.identity() == "live"
    again.close()


@pytest.mark.slow
def test_simulated_data_goes_to_a_database_of_its_own(fresh_url: str) -> None:
    live = open_database(_settings(fresh_url), origin="live")
    simulated = open_database(_settings(fresh_url), origin="simulated")
    assert simulated.name == f"{live.name}_simulated"
    assert (live.identity(), simulated.identity()) == ("live", "simulated")
    live.close()
    simulated.close()


@pytest.mark.parametrize("origin", ["tape", "simulated"])
def test_database_of_another_origin_is_refused(database: Database, origin: str) -> None:
    with pytest.raises(
        WrongDatabaseError, match=rf"live data, {origin} data was asked for"
    ) as told:
        database.claim(origin)
    assert "REGIME_DATABASE_URL" in str(told.value)
    assert database.identity() == "live"


def test_opening_a_live_database_for_a_tape_is_refused(database: Database) -> None:
    with pytest.raises(WrongDatabaseError):
        open_database(_settings(database.libpq), origin="tape")


@pytest.mark.slow
def test_processes_that_make_the_same_database_at_once_all_succeed(fresh_url: str) -> None:
    script = (
        "import sys\n"
        "from pydantic import SecretStr\n"
        "from regime_pipeline.settings import Settings\n"
        "from regime_pipeline.storage.database import open_database\n"
        "settings = Settings(_env_file=None, database_url=SecretStr(sys.argv[1]))\n"
        "print(open_database(settings, origin='tape').identity())\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, fresh_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for racer in racers:
        out, err = racer.communicate(timeout=120)
        assert out.strip() == "tape", err
    database = Database(fresh_url)
    with database.connect() as connection:
        assert migrate.current(connection) == migrate.head()
    database.close()


def test_schema_newer_than_the_code_is_refused_and_left_alone(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("update ops.schema_version set version_num = '9999'")
    with pytest.raises(SchemaVersionError, match=r"version 9999.*update the code"):
        open_database(_settings(database.libpq))
    with database.connect() as connection:
        assert migrate.current(connection) == "9999"


@pytest.mark.slow
def test_fault_58_migration_that_is_killed_midway_leaves_nothing(
    postgres: TestServer, monkeypatch
) -> None:
    with postgres.empty_database() as url:
        database = Database(url)
        with database.connect() as connection:  # an obstacle in the middle of the statements
            connection.execute("create schema ops")
            connection.execute("create table ops.payloads (x int)")
        with pytest.raises(Exception, match="already exists"):
            migrate.upgrade(database.engine)
        with database.connect() as connection:
            assert migrate.current(connection) is None
            assert connection.execute("select to_regclass('raw.candles')").fetchone() == (None,)
            connection.execute("drop table ops.payloads")
        migrate.upgrade(database.engine)
        with database.connect() as connection:
            assert migrate.current(connection) == migrate.head()
        database.close()


def test_alembic_and_the_quick_check_agree_on_the_newest_version() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.head()


SECRET = "s3cr3t-canary"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@127.0.0.1:1/x",
        f"postgres://user:{SECRET}@no-such-host.invalid/x",
        f"mysql://user:{SECRET}@127.0.0.1/x",
        f"user:{SECRET}@127.0.0.1",
        f"postgresql://user:{SECRET}@127.0.0.1:port/x",
    ],
)
def test_unusable_url_is_one_line_without_the_secret(url: str) -> None:
    with pytest.raises(DatabaseUnreachableError) as told:
        open_database(_settings(url))
    message = str(told.value)
    assert SECRET not in message
    assert "\n" not in message
    assert "REGIME_DATABASE_URL" in message
    assert told.value.__cause__ is None, "a chained error would print the secret"


@pytest.mark.slow
def test_server_that_accepts_and_never_answers_fails_within_ten_seconds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        before = time.monotonic()
        with pytest.raises(DatabaseUnreachableError, match="no connection"):
            open_database(_settings(f"postgresql://u:p@127.0.0.1:{port}/x"))
        assert time.monotonic() - before < 10


def test_account_that_may_not_create_the_database_is_told_what_to_ask_for(
    postgres: TestServer,
) -> None:
    with postgres.admin() as admin:
        admin.execute("drop role if exists nobody_much")
        admin.execute(f"create role nobody_much login password '{SECRET}'")
        # tests of roles take it from everybody
        admin.execute("grant connect on database postgres to nobody_much")
    try:
        url = make_url(postgres.server.url("not_there_yet")).set(
            username="nobody_much", password=SECRET
        )
        with pytest.raises(DatabaseUnreachableError, match="may not create one") as told:
            open_database(_settings(url.render_as_string(hide_password=False)))
        assert SECRET not in str(told.value)
    finally:
        with postgres.admin() as admin:
            admin.execute("drop owned by nobody_much")
            admin.execute("drop role nobody_much")


@pytest.mark.parametrize(
    "given",
    ["postgres://u:p@h:5/d", "postgresql://u:p@h:5/d", "postgresql+psycopg://u:p@h:5/d"],
)
def test_every_usual_way_to_write_a_url_is_understood(given: str) -> None:
    database = Database(given)
    assert database.url == "postgresql+psycopg://u:p@h:5/d"
    assert database.libpq == "postgresql://u:p@h:5/d"
    assert "p@" not in repr(database)
    assert normalise_url("postgresql://h").database == "regime"


@pytest.mark.slow
def test_embedded_server_is_the_default_and_comes_back_when_it_was_killed(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    server = EmbeddedServer(settings.home)
    try:
        database = open_database(settings)
        assert database.name == "regime"
        assert open_database(settings, origin="simulated").name == "regime_simulated"
        assert open_database(settings, origin="tape").name == "regime_tape"
        server.stop()
        assert database.identity() == "live"  # started again by whoever needs it
        assert (settings.home / "database_roles.json").stat().st_mode & 0o777 == 0o600
    finally:
        server.destroy()


@pytest.mark.slow
def test_three_kinds_of_data_opened_at_once_in_a_fresh_home_all_work_and_no_password_is_logged(
    tmp_path: Path,
) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from regime_pipeline.settings import Settings\n"
        "from regime_pipeline.storage.database import open_database\n"
        "settings = Settings(_env_file=None, home=Path(sys.argv[1]), origin=sys.argv[2])\n"
        "print(open_database(settings).identity())\n"
    )
    home = tmp_path / "home"
    server = EmbeddedServer(home)
    try:
        racers = {
            origin: subprocess.Popen(
                [sys.executable, "-c", script, str(home), origin],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for origin in ("live", "simulated", "tape")
        }
        for origin, racer in racers.items():
            out, err = racer.communicate(timeout=170)
            assert out.strip() == origin, err
        log = server.log_file.read_text(errors="replace")
        passwords = json.loads((home / "database_roles.json").read_text())
        assert set(passwords) == set(ROLES)
        assert not [role for role, password in passwords.items() if password in log]
        with psycopg.connect(server.url("regime")) as connection:
            for role in ROLES:
                stored = connection.execute(
                    "select rolpassword from pg_authid where rolname = %s", (f"regime_{role}",)
                ).fetchone()
                assert stored is not None and stored[0].startswith("SCRAM-SHA-256$")
    finally:
        server.destroy()


@pytest.mark.slow
def test_product_connects_as_the_pipeline_and_an_older_home_is_handed_over(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    server = EmbeddedServer(settings.home)
    try:
        server.start()
        # as older builds left it: all made and owned by the superuser, with a report and runs
        ensure_exists(make_url(server.url("regime")).set(drivername="postgresql+psycopg"))
        older = Database(server.url("regime"))
        migrate.upgrade(older.engine)
        with older.connect() as connection:
            connection.execute("create table reporting.mart as select 1 as n")
            connection.execute("create schema dagster")
            connection.execute("create table dagster.runs (n serial)")
        older.close()

        database = open_database(settings)
        with database.connect() as connection:
            who = "select current_user, usesuper from pg_user where usename = current_user"
            assert connection.execute(who).fetchone() == ("regime_pipeline", False)
            connection.execute("drop table reporting.mart")
            connection.execute("insert into dagster.runs default values")
            connection.execute("create table dagster.events (n int)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("alter table raw.candles add column mine int")
        with psycopg.connect(server.url("regime")) as connection:
            owners = connection.execute(
                "select distinct pg_get_userbyid(relowner) from pg_class "
                "where relnamespace in ('raw'::regnamespace, 'ops'::regnamespace)"
            ).fetchall()
            assert owners == [("regime_owner",)]
            connection.execute("update ops.schema_version set described = 'older'")
        database.close()
        again = open_database(settings)  # the owner brings it up to date
        with again.connect() as connection:
            assert migrate.check(migrate.stored(connection))
        again.close()
    finally:
        server.destroy()


def test_last_origin_is_remembered_and_damage_means_none(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert last_origin(home) is None
    remember_origin(home, "simulated")
    assert last_origin(home) == "simulated"
    for damage in ("", "{", "[1]", '{"origin": "other"}'):
        (home / "last_database.json").write_text(damage)
        assert last_origin(home) is None


def test_connections_are_reused_without_leaking_session_state(database: Database) -> None:
    with database.connect() as connection:
        first = connection.info.backend_pid
        connection.execute("set statement_timeout = '7s'")
        connection.execute("create temp table leftover (n int)")
        connection.execute("select pg_advisory_lock(42)")
    with database.connect() as connection:
        assert connection.info.backend_pid == first
        assert connection.execute("show statement_timeout").fetchone() == ("0",)
        assert connection.execute("select to_regclass('leftover')").fetchone() == (None,)
        held = connection.execute(OWN_LOCKS)
        assert held.fetchone() == (0,)


def test_fault_50_idle_connection_that_the_server_ended_is_replaced(database: Database) -> None:
    with database.connect() as connection:
        victim = connection.info.backend_pid
    with psycopg.connect(database.libpq, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", (victim,))
        while other.execute("select 1 from pg_stat_activity where pid = %s", (victim,)).fetchone():
            time.sleep(0.01)
    with database.connect() as connection:
        assert connection.info.backend_pid != victim


def test_threads_do_not_share_a_connection(database: Database) -> None:
    seen: list[int] = []
    barrier = threading.Barrier(3)

    def work() -> None:
        with database.connect() as connection:
            barrier.wait(timeout=20)
            seen.append(connection.info.backend_pid)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 3


def test_error_inside_a_block_stores_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.connect() as connection:
        connection.execute("update ops.database_identity set detail = 'half'")
        raise ZeroDivisionError
    with database.connect() as connection:
        assert connection.execute("select detail from ops.database_identity").fetchone() == (
            "test",
        )


def test_storage_errors_have_one_ancestor() -> None:
    assert issubclass(WrongDatabaseError, StorageError)
    assert issubclass(DatabaseUnreachableError, StorageError)


@pytest.mark.slow
def test_address_of_a_database_costs_nobody_the_import_of_pandas() -> None:
    code = (
        "import sys\n"
        "import regime_pipeline.storage.database, regime_pipeline.windows\n"
        "assert not {'pandas', 'pyarrow', 'pandera'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
