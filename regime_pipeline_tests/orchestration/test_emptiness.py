"""A launch that got nothing says so, dataset by dataset, and does not count as a success."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import typer

from regime_pipeline.catalogue.frames import DTYPES
from regime_pipeline.catalogue.registry import FIELDS
from regime_pipeline.cli.pipeline import _end
from regime_pipeline.orchestration import launch
from regime_pipeline.orchestration.emptiness import failed_datasets
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, FixedClock, Window, utc
from regime_pipeline_tests.orchestration.conftest import SYMBOLS, settings_for

END = utc("2024-03-10")
WINDOW = Window(END - DAY, END)


def log(*rows: tuple[str, str, str, str | None, int]) -> pd.DataFrame:
    """(dataset, source, status, class, rows), each asked once."""
    names = ["dataset", "source", "fetch_status", "error_class", "rows_stored"]
    frame = pd.DataFrame(list(rows), columns=names).assign(
        request_count=1, error_message="HTTP 503:\n  busy", fetched_at=END
    )
    return frame.astype({c: DTYPES[FIELDS[c].kind] for c in frame})


def test_a_dataset_whose_sources_all_failed_is_one_line_with_each_of_them() -> None:
    (nothing,) = failed_datasets(
        log(
            ("candles", "okx", "failed", "Transient", 0),
            ("candles", "binance", "failed", "GeoBlocked", 0),
            ("candles", "binance", "failed", "CircuitOpen", 0),
            ("funding_rates", "okx", "ok", None, 3),
        )
    )
    assert nothing.line == (
        "raw.candles got nothing: binance (GeoBlocked: HTTP 503: busy); "
        "okx (Transient: HTTP 503: busy)"
    )


@pytest.mark.parametrize(
    "other",
    [
        ("candles", "binance", "ok", None, 24),
        ("candles", "binance", "empty", None, 0),
        ("candles", "okx", "failed", "RetentionLimit", 5),
    ],
    ids=["rows", "an answer without rows", "rows before the failure"],
)
def test_what_somebody_answered_is_not_nothing(
    other: tuple[str, str, str, str | None, int],
) -> None:
    assert failed_datasets(log(("candles", "okx", "failed", "Transient", 0), other)) == []


def test_a_symbol_that_is_not_listed_and_a_source_that_is_off_are_no_failure() -> None:
    off = log(("sentiment", "news", "skipped", "NotConfigured", 0)).assign(request_count=0)
    unlisted = log(("candles", "okx", "failed", "UnknownSymbol", 0))
    assert failed_datasets(pd.concat([off, unlisted])) == []


@pytest.mark.slow
def test_a_launch_whose_sources_are_down_has_not_succeeded(
    database: Database, tmp_path: Path
) -> None:
    settings = settings_for(
        database,
        tmp_path,
        sources=("alternative_me",),
        alternative_me_api_url="http://127.0.0.1:9",
        http_attempts=1,
    )
    report = launch.run_selection(
        settings=settings,
        clock=FixedClock(END),
        window=WINDOW,
        symbols=SYMBOLS,
        select="raw/fear_greed",
    )
    assert report.ran
    assert not report.succeeded
    (nothing,) = report.got_nothing
    assert nothing.what == "raw.fear_greed"
    assert nothing.why.startswith("alternative_me (")
    assert report.to_json()["got_nothing"] == [{"what": nothing.what, "why": nothing.why}]
    with pytest.raises(typer.Exit) as left:
        _end(report, allow_empty=False)
    assert left.value.exit_code == 1
    _end(report, allow_empty=True)


@pytest.mark.slow
def test_nothing_is_derived_from_an_empty_database(database: Database, tmp_path: Path) -> None:
    report = launch.run_selection(
        settings=settings_for(database, tmp_path),
        clock=FixedClock(END),
        window=WINDOW,
        symbols=SYMBOLS,
        select="features/volatility_regimes",
    )
    assert not report.succeeded
    assert report.runs == []
    assert report.tables == {}
    (nothing,) = report.got_nothing
    assert "no raw row is stored between" in nothing.line
    with database.connect() as connection:
        row = connection.execute("select count(*) from features.volatility_regimes").fetchone()
    assert row == (0,)
