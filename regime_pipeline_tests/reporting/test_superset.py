"""The dashboards in a real Superset: loaded twice, asked for every chart, drawn.

Superset lives in an environment of its own: `make superset` makes it, or ``REGIME_SUPERSET`` names the
folder of its programs. ``REGIME_PICTURES`` names a folder that keeps what was drawn.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dashboards import bundle
from dashboards.server import ADMIN, Served, Superset
from regime_pipeline.orchestration.instance import ROOT
from regime_pipeline.storage.database import Database

PROGRAMS = Path(os.environ.get("REGIME_SUPERSET", ROOT / ".superset" / "venv" / "bin"))
PICTURES = os.environ.get(
    "REGIME_PICTURES"
)  # tests are shielded from such names, so it is read here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("market"),
    pytest.mark.skipif(
        not (PROGRAMS / "superset").exists(), reason=f"no Superset in {PROGRAMS}: `make superset`"
    ),
]


@pytest.fixture(scope="module")
def superset(market: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Superset of its own over the made-up market, with nothing in it yet."""
    made = Superset(PROGRAMS, tmp_path_factory.mktemp("superset"), market.libpq)
    made.prepare()
    with made.running() as served:
        yield served


def test_a_load_leaves_what_is_declared_and_every_chart_answers(superset: Served) -> None:
    declared = bundle.declared()
    superset.load(declared)
    once = superset.exported()
    for answer in superset.answers():
        assert answer.error is None, answer
    shown = {(d.title, c.name) for d in declared for c in d.charts}
    assert {(a.dashboard, a.chart) for a in superset.answers()} == shown
    superset.load(declared)
    assert superset.exported() == once
    fewer = [replace(declared[0], charts=declared[0].charts[1:]), *declared[2:]]
    superset.load(fewer)
    gone = {path for path in once if path not in superset.exported()}
    assert sum(path.startswith("charts/") for path in gone) == 1 + len(declared[1].charts)
    assert sum(path.startswith("dashboards/") for path in gone) == 1
    superset.load(declared)
    assert {a.error for a in superset.answers()} == {None}


def test_a_column_that_is_gone_is_told_with_its_chart(superset: Served, market: Database) -> None:
    superset.load(bundle.declared())
    rename = "alter table reporting.coverage_daily rename column {} to {}"
    with market.connect() as connection:
        connection.execute(rename.format("missed", "absent"))
    try:
        failed = [a for a in superset.answers() if a.error is not None]
        assert [(a.dashboard, a.chart) for a in failed] == [("Data health", "Missed hours")]
        assert "missed" in (failed[0].error or "")
    finally:
        with market.connect() as connection:
            connection.execute(rename.format("absent", "missed"))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
def test_every_dashboard_is_drawn_without_an_error(superset: Served, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    superset.load(bundle.declared())
    folder = Path(PICTURES or tmp_path)
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 1500})
        page.set_default_timeout(300_000)
        page.goto(f"{superset.base}/login/")
        page.fill("input#username", ADMIN)
        page.fill("input#password", superset.of.password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/superset/welcome/**")
        for dashboard in bundle.declared():
            page.goto(f"{superset.base}/superset/dashboard/{dashboard.slug}/?standalone=3")
            page.wait_for_selector(".dashboard-component-chart-holder")
            page.wait_for_load_state("networkidle")
            page.wait_for_function("() => !document.querySelector('.loading')")
            drawn = page.locator(".dashboard-component-chart-holder").count()
            assert drawn == len(dashboard.charts)
            assert page.locator("[role=alert]").count() == 0, dashboard.slug
            page.wait_for_timeout(2_500)  # lines are drawn by and by
            page.screenshot(path=folder / f"superset-{dashboard.slug}.png", full_page=True)
        browser.close()
