from __future__ import annotations

import yaml

from regime_pipeline.catalogue import FIELDS, TABLES, documents
from regime_pipeline.catalogue.sql import SQL_TYPES


def test_checked_in_sources_equal_what_the_catalogue_gives():
    assert documents.SOURCES_PATH.read_text("utf-8") == documents.sources_yaml(), "run `make docs`"


def test_checked_in_data_dictionary_equals_what_the_catalogue_gives():
    assert documents.DICTIONARY_PATH.read_text("utf-8") == documents.data_dictionary(), (
        "run `make docs`"
    )


def test_sources_name_every_table_and_column_with_its_asset_key():
    loaded = yaml.safe_load(documents.sources_yaml())
    found = {
        f"{source['schema']}.{t['name']}": t
        for source in loaded["sources"]
        for t in source["tables"]
    }
    assert set(found) == set(TABLES)
    for name, item in TABLES.items():
        listed = found[name]
        assert [c["name"] for c in listed["columns"]] == list(item.fields)
        assert listed["config"]["meta"]["dagster"]["asset_key"] == name.split(".")
        assert listed["description"] == item.description
        for column in listed["columns"]:
            unit = FIELDS[column["name"]].unit
            assert unit is None or f"Unit: {unit}." in column["description"]


def test_sql_names_are_those_of_the_database():
    from sqlalchemy.dialects import postgresql

    dialect = postgresql.dialect()
    for kind, name in documents.SQL_NAMES.items():
        compiled = SQL_TYPES[kind].compile(dialect).lower()
        assert {"float(53)": "double precision"}.get(compiled, compiled) == name


def test_dictionary_shows_bounds_units_and_enumerations():
    text = documents.data_dictionary()
    assert "| `vol_regime_confirmed` | text | yes |  | `STABLE`, `HIGH_VOL`" in text
    assert "| `fear_greed` | double precision | yes | index 0-100 | 0 … 100 |" in text
    assert "| `ts` | timestamptz |  |" in text
