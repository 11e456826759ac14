"""The dashboards as code: every chart shows what is there, and the bundle is always the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from dashboards import bundle, check, grafana
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.catalogue.model import Field
from regime_pipeline.reporting import metrics
from regime_pipeline.settings import Settings
from regime_pipeline.windows import utc

URI = "postgresql+psycopg2://regime_bi@127.0.0.1:5432/regime"


def test_every_chart_shows_columns_that_are_there_and_every_dashboard_is_exposed() -> None:
    dashboards = bundle.declared()
    assert [d.slug for d in dashboards] == ["market", "regimes", "signals", "alerts", "data-health"]
    assert [*check.problems(dashboards), *check.unexposed(dashboards)] == []


def test_a_renamed_column_is_told_with_the_chart_that_it_breaks() -> None:
    mart = MARTS["regime_timeline"]
    columns = tuple(
        Field("length_h", c.kind, c.description) if c.name == "hours" else c for c in mart.columns
    )
    found = check.problems(bundle.declared(), {**MARTS, mart.name: replace(mart, columns=columns)})
    assert list(found) == [
        "Regimes / Spells of a regime: reporting.regime_timeline has no column 'hours'"
    ]


def test_a_bundle_is_the_same_bytes_each_time_and_holds_no_password(tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        bundle.write(tmp_path / name, URI)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    found = bundle.files(bundle.declared(), URI)
    assert "password" not in str(found["databases/regime.yaml"])


def test_what_files_refer_to_is_in_the_bundle() -> None:
    found = bundle.files(bundle.declared(), URI)
    known = {content["uuid"] for content in found.values() if "uuid" in content}
    for path, content in found.items():
        for key in ("database_uuid", "dataset_uuid"):
            assert content.get(key) is None or content[key] in known, path
        for cell in content.get("position", {}).values():
            if isinstance(cell, dict) and cell["type"] == "CHART":
                assert cell["meta"]["uuid"] in known, path


def test_the_dashboard_of_operation_asks_for_figures_that_there_are(tmp_path: Path) -> None:
    away = Settings(home=tmp_path, database_url=SecretStr("postgresql://me:pw@127.0.0.1:1/none"))
    of_the_machine = {family.name for family in metrics.read(away, utc("2024-08-05"))}
    assert grafana.names() <= of_the_machine | {f"regime_{asked.name}" for asked in metrics.ASKED}
    kept = Path(__file__).parents[1] / "deploy" / "grafana" / "regime.json"
    assert kept.read_text() == grafana.text()
