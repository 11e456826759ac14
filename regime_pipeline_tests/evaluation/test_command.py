"""`regime scorecard`: JSON lines on standard output, tables, and a page that stands alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from regime_pipeline.cli.app import app
from regime_pipeline.evaluation import scenes
from regime_pipeline.evaluation.page import print_scorecard, write_scorecard
from regime_pipeline.evaluation.scenes import SCENES, Result, Scene, run
from regime_pipeline.settings import Params
from regime_pipeline_tests.browser import laid_out

pytestmark = pytest.mark.xdist_group("scorecard-command")

KEYS = [
    "detector",
    "world",
    "planted",
    "found",
    "precision",
    "recall",
    "delay_hours",
    "false_per_symbol_day",
    "advertised_false_per_symbol_day",
    "naive",
]
NAIVE_KEYS = ["planted", "found", "precision", "recall", "delay_hours", "false_per_symbol_day"]
CHARTS = 2 + 6
"""Rates, what was found, and an example of each event type."""
SMALL = {"width": 4, "days": 60, "weeks": 10}


def small(scene: Scene) -> Scene:
    given = {k: SMALL.get(k, v) for k, v in scene.build.keywords.items()}
    return replace(scene, build=partial(scene.build.func, **given), parts=1, quick=1)


@pytest.fixture(scope="module")
def few() -> list[Scene]:
    """Every planted scene and one null scene a family, tiny."""
    dull = {
        "null_clustered_hours",
        "null_constant_t4",
        "null_one_factor_060",
        "null_one_factor_010",
    }
    return [small(s) for s in SCENES if s.world not in dull]


@pytest.fixture(scope="module")
def results(few: list[Scene]) -> list[Result]:
    return run(seed=1, params=Params(), scenes=few)


@pytest.fixture(scope="module")
def page(results: list[Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scorecard") / "deep" / "scorecard.html"
    return write_scorecard(path, results, seed=1, quick=True)


def test_the_command_prints_one_object_a_detector_and_world(
    few: list[Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    two = [s for s in few if s.world in ("null_ar1_rates", "planted_excursions")]
    monkeypatch.setattr(scenes, "SCENES", two)
    done = CliRunner().invoke(
        app, ["scorecard", "--json", "--quick", "--seed", "3", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(x["detector"], x["world"]) for x in lines] == [
        ("FUNDING_ANOMALY", "null_ar1_rates"),
        ("FUNDING_REVERSAL", "null_ar1_rates"),
        ("FUNDING_ANOMALY", "planted_excursions"),
    ]
    for x in lines:
        assert list(x)[: len(KEYS)] == KEYS
        assert list(x["naive"]) == NAIVE_KEYS
    null, _, planted = lines
    assert null["planted"] == 0
    assert [null[k] for k in ("found", "precision", "recall", "delay_hours")] == [None] * 4
    assert null["advertised_false_per_symbol_day"] == 0.0929
    assert planted["advertised_false_per_symbol_day"] is None
    assert 0 < planted["found"] <= planted["planted"] == planted["naive"]["planted"]
    assert (tmp_path / "out" / "scorecard.html").is_file()
    assert str(tmp_path / "out" / "scorecard.html") in done.stderr.replace("\n", "")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]  # no database, nothing beside the page


def test_a_folder_that_is_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = CliRunner().invoke(app, ["scorecard", "--out", str(file)])
    assert done.exit_code != 0
    assert "is a file" in str(done.exception)


@pytest.mark.slow
def test_units_are_said_per_detector(results: list[Result]) -> None:
    said = {r.detector: r.to_json()["unit"] for r in results}
    assert said["CORRELATION_BREAK"] == said["is_rise"] == "pair-day"
    assert {u for d, u in said.items() if d not in ("CORRELATION_BREAK", "is_rise")} == {
        "symbol-day"
    }


@pytest.mark.slow
def test_a_flag_without_a_naive_rule_has_null_in_its_place(results: list[Result]) -> None:
    rise = next(r for r in results if r.detector == "is_rise")
    assert rise.to_json()["naive"] is None


def test_the_printed_tables_fit_eighty_columns_and_name_everyone(results: list[Result]) -> None:
    text = StringIO()
    print_scorecard(results, Console(file=text, width=80))
    printed = text.getvalue()
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 80
    assert "…" not in printed
    for r in results:
        assert r.detector.split("/")[0] in printed
    assert "pair-day" in printed


def test_the_page_stands_alone_and_shows_every_detector_and_world(
    page: Path, results: list[Result]
) -> None:
    html = page.read_text("utf-8")
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', html)
    for r in results:
        assert r.detector in html and r.scene.world in html
    assert html.count("<svg") == CHARTS
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S).lower().split()


@pytest.mark.slow
def test_the_same_results_give_the_same_page(
    page: Path, results: list[Result], tmp_path: Path
) -> None:
    again = write_scorecard(tmp_path / "again.html", results, seed=1, quick=True)
    assert again.read_bytes() == page.read_bytes()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [480, 1240])
def test_a_browser_lays_the_page_out_without_overflow(
    page: Path, tmp_path: Path, width: int
) -> None:
    found = laid_out(page, tmp_path, width)
    assert found == {"over": 0, "charts": CHARTS, "flat": 0, "outside": 0}
