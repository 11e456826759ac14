"""dbt inside the process: parsed once, built again and again, and its failures are the run's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regime_pipeline.orchestration import dbt_build, launch
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, FixedClock, Window
from regime_pipeline_tests.orchestration.conftest import NOW, SYMBOLS

LAST = Window(NOW - DAY, NOW)


def build(settings: Settings, window: Window = LAST) -> launch.RunReport:
    return launch.run_selection(
        settings=settings,
        clock=FixedClock(NOW),
        window=window,
        symbols=SYMBOLS,
        select="reporting",
    )


def marts(database: Database) -> list[str]:
    with database.connect() as connection:
        return [
            name
            for (name,) in connection.execute(
                "select table_name from information_schema.tables "
                "where table_schema = 'reporting' order by 1"
            )
        ]


@pytest.mark.slow
def test_the_parsed_project_is_kept_and_builds_what_is_gone(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ), Path.cwd()
    assert build(settings).succeeded
    (kept,) = dbt_build._parsed.values()
    made = marts(database)
    assert {"market_overview", "regime_timeline"} <= set(made)
    with database.connect() as connection:
        connection.execute("drop table reporting.market_overview cascade")
    assert build(settings, Window(NOW - 2 * DAY, NOW - DAY)).succeeded
    assert marts(database) == made
    assert list(dbt_build._parsed.values()) == [kept]
    assert not [n for n in kept.nodes.values() if getattr(n, "compiled", False)]
    assert (dict(os.environ), Path.cwd()) == before
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_model_that_fails_fails_the_run_with_what_the_database_said(
    settings: Settings, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute("alter table features.volatility_regimes rename to hidden")
    report = build(settings)
    assert not report.succeeded
    assert "volatility_regimes" in (report.runs[-1].error or "")
    assert "does not exist" in (report.runs[-1].error or "")
