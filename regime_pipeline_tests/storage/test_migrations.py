"""A database that exists changes forward, whole or not at all; one that cannot is refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

import regime_pipeline
from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.storage import migrate
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.errors import SchemaVersionError
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.storage.frames import raw_candles

PACKAGE = Path(regime_pipeline.__file__).parent
EXTEND = PACKAGE.parent / "docs" / "extend.md"
COLUMN = "largest_trade_usd"
OPEN = (
    "import sys\n"
    "from pydantic import SecretStr\n"
    "from regime_pipeline.settings import Settings\n"
    "from regime_pipeline.storage.database import open_database\n"
    "settings = Settings(_env_file=None, database_url=SecretStr(sys.argv[1]))\n"
    "open_database(settings, origin='live').close()\n"
)


def opened_by(
    tree: Path, database: Database, *, killed_at: str = ""
) -> subprocess.CompletedProcess:
    """Open the database as a process with another source tree does."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "REGIME_CRASH_AT": killed_at}
    return subprocess.run(
        [sys.executable, "-c", OPEN, database.libpq],
        env=environment,
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=120,
    )


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} has changed: {old!r}"
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """A source tree one release later: the column of docs/extend.md, a table, a narrower bound."""
    tree = tmp_path / "next"
    shutil.copytree(PACKAGE, tree / "regime_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    catalogue = tree / "regime_pipeline" / "catalogue"
    replaced(
        catalogue / "fields" / "common.py",
        "FIELDS = (",
        f'FIELDS = (\n    Field("{COLUMN}", Kind.FLOAT, "Largest trade.", unit="USD", minimum=0),',
    )
    replaced(catalogue / "tables" / "raw.py", '"trade_count",', f'"{COLUMN}",\n"trade_count",')
    replaced(
        catalogue / "tables" / "raw.py",
        "TABLES = (",
        'TABLES = (\n    _raw("largest_trades", "One a bar.", ("symbol", "ts"), '
        f'("{COLUMN}",), ("{COLUMN}",)),',
    )
    replaced(
        catalogue / "tables" / "raw.py", '"high >= close"', '"high >= close", "trade_count < 1e6"'
    )
    (example,) = re.findall(r"```python\n# (\S+0099\S+)\n(.*?)```", EXTEND.read_text(), re.DOTALL)
    number = f"{int(migrate.head()) + 1:04d}"
    path = tree / example[0].replace("0099", number)
    path.write_text(example[1] + '    create_table("raw.largest_trades")\n')
    replaced(path, "import add_column,", "import add_column, create_table,")
    return tree


def shape(database: Database) -> list[tuple]:
    with database.connect() as connection:
        return connection.execute(
            "select c.oid::regclass::text, a.attname, a.attnotnull, "
            "col_description(c.oid, a.attnum), (select count(*) from pg_constraint "
            "where conrelid = c.oid) from pg_class c join pg_attribute a on a.attrelid = c.oid "
            "where c.relnamespace in ('raw'::regnamespace, 'ops'::regnamespace) "
            "and c.relkind in ('r', 'p') and a.attnum > 0 order by 1, 2"
        ).fetchall()


@pytest.mark.slow
def test_fault_58_database_of_the_version_before_moves_forward_with_its_rows_or_not_at_all(
    database: Database, next_release: Path
) -> None:
    warehouse = Warehouse(database)
    warehouse.merge("raw.candles", raw_candles())
    warehouse.merge("raw.candles", raw_candles(price=5.0))
    rows, content = warehouse.read("raw.candles"), warehouse.content_hash("raw.candles")
    before = shape(database)

    assert opened_by(next_release, database, killed_at="migrating").returncode == 9
    assert shape(database) == before, "killed before the commit: the old schema"

    assert opened_by(next_release, database, killed_at="migrated").returncode == 9
    after = shape(database)
    names = {(table, column) for table, column, *_ in after}
    for table in ("raw.candles", "raw.candles_revisions", "raw.candles_y2024m03"):
        assert (table, COLUMN) in names
    assert {("raw.largest_trades", COLUMN), ("raw.largest_trades_revisions", COLUMN)} <= names
    comments = {(table, column): text for table, column, _, text, _ in after}
    assert comments["raw.candles", COLUMN] == "Largest trade."

    done = opened_by(next_release, database)
    assert done.returncode == 0, done.stderr
    assert shape(database) == after, "the second opening has nothing to do"
    pd.testing.assert_frame_equal(warehouse.read("raw.candles"), rows)
    assert warehouse.content_hash("raw.candles") == content
    with database.connect() as connection:
        for broken in (f"{COLUMN} = -1", f"{COLUMN} = 'NaN'", "trade_count = 2000000"):
            with pytest.raises(Exception, match="violates check"), connection.transaction():
                connection.execute(f"update raw.candles set {broken}")
        connection.execute("select ops.ensure_partition('raw.candles', '2024-04-01')")
        assert connection.execute(f"select {COLUMN} from raw.candles_y2024m04").fetchall() == []

    with pytest.raises(SchemaVersionError, match="update the code"):
        migrate.upgrade(database.engine)


@pytest.mark.slow
def test_stored_row_that_breaks_a_new_rule_stops_the_migration_and_nothing_changes(
    database: Database, next_release: Path
) -> None:
    frame = raw_candles().assign(trade_count=pd.array([2_000_000] * 48, dtype="Int64"))
    Warehouse(database).merge("raw.candles", frame)
    before = shape(database)
    refused = opened_by(next_release, database)
    assert refused.returncode == 1
    assert "nothing was changed: stored rows break its rules" in refused.stderr.splitlines()[-1]
    assert shape(database) == before


def of_the_first_builds(url: str) -> Database:
    """A database as the first builds left it: they did not note by which text it was made."""
    database = Database(url)
    with database.connect() as connection:
        connection.execute(migrate.initial_sql())
        connection.execute("create table ops.schema_version (version_num varchar(32) primary key)")
        connection.execute("insert into ops.schema_version values ('0001')")
    return database


@pytest.mark.slow
def test_database_of_the_first_builds_is_adopted(postgres: TestServer) -> None:
    with postgres.empty_database() as url:
        database = of_the_first_builds(url)
        migrate.upgrade(database.engine)
        with database.connect() as connection:
            assert migrate.check(migrate.stored(connection))
        database.close()


def test_database_of_an_edited_first_version_is_refused_with_what_to_do(
    postgres: TestServer,
) -> None:
    with postgres.empty_database() as url:
        database = of_the_first_builds(url)
        with database.connect() as connection:
            connection.execute("alter table raw.candles drop column trade_count cascade")
        before = shape(database)
        with pytest.raises(SchemaVersionError, match=r"raw\.candles\.trade_count.*REGIME_HOME"):
            migrate.upgrade(database.engine)
        assert shape(database) == before
        database.close()


def test_code_with_an_edited_first_version_refuses_a_database_of_the_frozen_one(
    database: Database,
) -> None:
    with database.connect() as connection:
        connection.execute("update ops.schema_version set frozen = 'another'")
        with pytest.raises(SchemaVersionError, match="REGIME_HOME, REGIME_DATABASE_URL"):
            migrate.check(migrate.stored(connection))


def test_descriptions_and_checks_follow_the_catalogue_without_a_version(database: Database) -> None:
    whole = shape(database)
    with database.connect() as connection:
        connection.execute("comment on column raw.candles.close is 'of an older build'")
        connection.execute("alter table raw.candles alter column volume_base set not null")
        connection.execute("alter table raw.candles drop constraint candles_rule0")
        connection.execute(
            "alter table raw.candles add constraint candles_close_ck7 check (close < 5)"
        )
        connection.execute(
            "alter table raw.candles add constraint somebodys_own check (close < 1e9)"
        )
        connection.execute("update ops.schema_version set described = 'older'")
    migrate.upgrade(database.engine)
    with database.connect() as connection:
        connection.execute("alter table raw.candles drop constraint somebodys_own")
    assert shape(database) == whole


def test_column_that_no_version_adds_is_named(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("alter table raw.candles drop column trade_count")
        connection.execute("update ops.schema_version set described = 'older'")
    with pytest.raises(SchemaVersionError, match=r"raw\.candles\.trade_count.*docs/extend.md"):
        migrate.upgrade(database.engine)


def test_no_two_version_files_have_one_number() -> None:
    names = sorted(
        f.name
        for f in (files("regime_pipeline.storage.migrations") / "versions").iterdir()
        if re.match(r"\d{4}_\w+\.py$", f.name)
    )
    numbers = [int(n[:4]) for n in names]
    assert len(set(numbers)) == len(numbers), "two files of one number: rename the later"
    assert numbers[0] == 1
    assert list(migrate.known_versions()) == [f"{n:04d}" for n in numbers]


def test_every_table_that_keeps_revisions_has_a_twin_with_all_its_columns(
    database: Database,
) -> None:
    columns: dict[str, set[str]] = {}
    with database.connect() as connection:
        for table, column in connection.execute(
            "select table_schema || '.' || table_name, column_name from information_schema.columns"
        ):
            columns.setdefault(table, set()).add(column)
    for name, table in TABLES.items():
        if table.partitioned:
            assert columns[f"{name}_revisions"] == {*table.fields, "superseded_at"}
