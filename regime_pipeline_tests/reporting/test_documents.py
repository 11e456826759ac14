from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from regime_pipeline.catalogue import FIELDS, TABLES, Kind, documents, faults
from regime_pipeline.catalogue.dbt_contracts import rules
from regime_pipeline.catalogue.marts import BUILT, MARTS
from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.catalogue.sql import SQL_NAMES


def test_checked_in_sources_equal_what_the_catalogue_gives():
    assert documents.SOURCES_PATH.read_text("utf-8") == documents.sources_yaml(), "run `make docs`"


def test_checked_in_data_dictionary_equals_what_the_catalogue_gives():
    assert documents.DICTIONARY_PATH.read_text("utf-8") == documents.data_dictionary(), (
        "run `make docs`"
    )


def test_checked_in_marts_equal_what_the_catalogue_gives():
    generated = documents.MARTS_PATH.read_text("utf-8").splitlines()[0].removeprefix("# ")
    assert documents.MARTS_PATH.read_text("utf-8") == documents.marts_yaml(generated), (
        "run `make docs`"
    )
    assert documents.MARTS_PAGE_PATH.read_text("utf-8") == documents.marts_page(), "run `make docs`"
    assert documents.STAGING_PATH.read_text("utf-8") == documents.staging_yaml(generated), (
        "run `make docs`"
    )


def test_a_staging_model_is_described_by_its_comment_and_the_catalogue(tmp_path: Path):
    model = tmp_path / "stg_market__x.sql"
    model.write_text(
        "-- each twice,\n-- as seen\nselect a.ts, a.close from {{ source('market', 'x') }} as a"
    )
    (staged,) = yaml.safe_load(documents.staging_yaml("made", tmp_path))["models"]
    assert staged["description"] == "`market.x`. Each twice, as seen."
    assert [c["name"] for c in staged["columns"]] == ["ts", "close"]
    assert staged["columns"][1]["description"].startswith(FIELDS["close"].description)
    model.write_text("select a.clsoe from {{ source('market', 'x') }} as a")
    with pytest.raises(KeyError, match="clsoe"):
        documents.staging_yaml("made", tmp_path)


def test_a_contract_names_every_column_its_type_and_what_holds_of_it():
    loaded = {
        m["name"]: m for m in yaml.safe_load(documents.MARTS_PATH.read_text("utf-8"))["models"]
    }
    models = {p.stem for p in documents.MARTS_PATH.parent.glob("*.sql")}
    assert set(loaded) == models == {m.name for m in BUILT}
    for mart in BUILT:
        columns = {c["name"]: c["data_type"] for c in loaded[mart.name]["columns"]}
        assert columns == {c.name: SQL_NAMES[c.kind] for c in mart.columns}
    held = rules(MARTS["liquidation_windows"])
    assert held["hours_observed_in_bounds"] == "hours_observed >= 0 and hours_observed <= 24"
    assert held["long_usd_in_bounds"] == "long_usd >= 0 and long_usd < 'Infinity'"
    assert "status = 'ok' then long_usd is not null" in held["long_usd_iff_status"]


def test_sources_name_the_tables_that_models_read_with_every_column_and_asset_key():
    loaded = yaml.safe_load(documents.sources_yaml())
    found = {
        f"{source['schema']}.{t['name']}": t
        for source in loaded["sources"]
        for t in source["tables"]
    }
    assert {"market.candles_1h", "alerts.market_events", "ops.database_identity"} <= set(found)
    assert "raw.candles" not in found, "no model reads it"
    for name, listed in found.items():
        item = TABLES[name]
        assert [c["name"] for c in listed["columns"]] == list(item.fields)
        assert listed["config"]["meta"]["dagster"]["asset_key"] == name.split(".")
        assert listed["description"] == item.description
        for column in listed["columns"]:
            unit = FIELDS[column["name"]].unit
            assert unit is None or f"Unit: {unit}." in column["description"]


def test_sources_follow_what_the_models_read(tmp_path):
    models = tmp_path / "models" / "marts"
    models.mkdir(parents=True)
    (models / "a.sql").write_text("select 1 from {{ source( \"raw\", 'candles' ) }}")
    assert set(documents.tables_read(tmp_path)) == {"raw.candles", *documents.FRESHNESS}
    (models / "b.sql").write_text("select 1 from {{ source('raw', 'candels') }}")
    with pytest.raises(KeyError, match="no table"):
        documents.tables_read(tmp_path)


def test_every_table_is_in_a_known_schema_and_types_are_named_as_postgresql_names_them():
    assert {t.schema for t in TABLES.values()} <= set(SCHEMAS)
    assert SQL_NAMES == {
        Kind.TIMESTAMP: "timestamp with time zone",
        Kind.FLOAT: "double precision",
        Kind.INTEGER: "bigint",
        Kind.BOOLEAN: "boolean",
        Kind.TEXT: "text",
        Kind.JSON: "jsonb",
        Kind.FLOATS: "jsonb",
    }


def test_dictionary_shows_bounds_units_and_enumerations():
    text = documents.data_dictionary()
    assert "| `vol_regime_confirmed` | text | yes |  | `STABLE`, `HIGH_VOL`" in text
    assert "| `fear_greed` | double precision | yes | index 0-100 | 0 … 100 |" in text
    assert "| `ts` | timestamptz |  |" in text


def test_the_page_of_faults_names_the_tests_that_there_are() -> None:
    assert faults.FAULTS_PATH.read_text("utf-8") == faults.faults_page(), "run `make docs`"


def test_a_test_of_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_new.py").write_text("def test_fault_0_of_no_row() -> None: ...\n")
    with pytest.raises(KeyError):
        faults.tests_by_number(tmp_path)
