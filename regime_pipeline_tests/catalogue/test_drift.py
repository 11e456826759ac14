"""A migrated database is exactly what the catalogue describes."""

from __future__ import annotations

import re
from pathlib import Path

from regime_pipeline.catalogue.fields.common import STATUS_CODES, STATUSES, USABLE
from regime_pipeline.catalogue.model import Kind
from regime_pipeline.catalogue.registry import FIELDS, TABLES
from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.catalogue.sql import METADATA
from regime_pipeline.storage import migrate
from regime_pipeline.storage.database import Database

ROOT = Path(__file__).resolve().parents[2]
FROZEN = "be7d1dc43301af75314aea6b47764be55122ac79444ae992252b2cf0be4435db"
FORGOTTEN = "a migration is missing or does not do what it should: docs/extend.md, A column"


def _shape(database: Database) -> dict[str, dict[str, object]]:
    """Columns, keys, CHECKs and partitioning of every project table, from the system tables, by name."""
    shape: dict[str, dict[str, object]] = {}
    with database.connect() as connection:
        tables = connection.execute(
            "select c.oid, n.nspname, c.relname, c.relkind::text, pg_get_partkeydef(c.oid), "
            "obj_description(c.oid) "
            "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = any(%s) and c.relkind in ('r', 'p') and not c.relispartition "
            "and (n.nspname, c.relname) <> ('ops', 'schema_version')",
            (list(SCHEMAS),),
        ).fetchall()
        for oid, schema, name, kind, partkey, comment in tables:
            columns = connection.execute(
                "select attname, format_type(atttypid, atttypmod), attnotnull, "
                "col_description(attrelid, attnum) from pg_attribute "
                "where attrelid = %s and attnum > 0 and not attisdropped order by attname",
                (oid,),
            ).fetchall()
            constraints = connection.execute(
                "select conname, pg_get_constraintdef(oid) from pg_constraint "
                "where conrelid = %s and contype in ('c', 'p', 'u', 'f') order by conname",
                (oid,),
            ).fetchall()
            indexes = connection.execute(
                "select pg_get_indexdef(indexrelid) from pg_index where indrelid = %s order by 1",
                (oid,),
            ).fetchall()
            shape[f"{schema}.{name}"] = {
                "kind": kind,
                "partition key": partkey,
                "comment": comment,
                "columns": columns,
                "constraints": constraints,
                "indexes": indexes,
            }
    return shape


def test_first_version_is_frozen() -> None:
    """Databases were made by this very text: what changes comes as a later version."""
    assert migrate.frozen_digest() == FROZEN, "put 0001_initial.sql back, write a later version"


def test_migrated_database_equals_the_catalogue(postgres, database: Database) -> None:
    with postgres.empty_database() as url:
        wanted_database = Database(url)
        with wanted_database.connect() as connection:
            for schema in SCHEMAS:
                connection.execute(f"create schema if not exists {schema}")
        METADATA.create_all(wanted_database.engine)
        wanted = _shape(wanted_database)
        wanted_database.close()
    found = _shape(database)
    assert sorted(found) == sorted(wanted), FORGOTTEN
    for name, shape in wanted.items():
        assert found[name] == shape, f"{name}: {FORGOTTEN}"


def test_every_table_is_partitioned_and_keyed_as_the_catalogue_says(database: Database) -> None:
    found = _shape(database)
    for name, table in TABLES.items():
        shape = found[name]
        assert shape["kind"] == ("p" if table.partitioned else "r")
        if table.partitioned:
            assert shape["partition key"] == f"RANGE ({table.time_column})"
            assert f"{name}_revisions" in found
        names = [c[0] for c in shape["columns"]]
        assert names == sorted(table.fields)
        not_null = {c[0] for c in shape["columns"] if c[2]}
        assert not_null == set(table.key) | table.required
        key = next(text for _, text in shape["constraints"] if text.startswith("PRIMARY KEY"))
        assert re.findall(r"\w+", key.removeprefix("PRIMARY KEY")) == list(table.key)


def test_every_float_column_refuses_nan_and_infinity(database: Database) -> None:
    found = _shape(database)
    for name, table in TABLES.items():
        checks = " ".join(text for _, text in found[name]["constraints"])
        for column in table.fields:
            if FIELDS[column].kind != "float":
                continue
            # in PostgreSQL NaN is greater than everything, so only an upper end keeps it out
            assert re.search(rf"\(?\"?{column}\"? <=? ", checks), (
                f"{name}.{column} has no upper end"
            )


def test_dbt_and_the_functions_know_the_catalogues_statuses() -> None:
    macro = (ROOT / "dbt_project" / "macros" / "block.sql").read_text("utf-8")
    told = re.search(r"\{\{ status \}\} in \(([^)]*)\)", macro)
    assert told is not None
    assert tuple(re.findall(r"'(\w+)'", told[1])) == USABLE
    assert {*USABLE, *STATUS_CODES} <= {*STATUSES}


def test_what_stands_for_a_table_in_a_plot_is_a_number() -> None:
    drawn = {n: FIELDS[t.main].kind for n, t in TABLES.items() if t.main is not None}
    assert {
        n for n, kind in drawn.items() if kind not in (Kind.FLOAT, Kind.INTEGER, Kind.BOOLEAN)
    } == set()
