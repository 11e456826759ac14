"""Raw assets against a simulated provider: what came is stored, what failed is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from regime_pipeline.orchestration.assets import raw
from regime_pipeline.orchestration.resources import Platform, Scope
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, FixedClock, Window, utc
from regime_pipeline_tests.orchestration.conftest import SYMBOLS, run_assets, settings_for

pytestmark = pytest.mark.xdist_group("raw_assets")  # one module fixture, not one a worker

START = utc("2024-03-01")
NOW = utc("2024-03-04 06:10")
WINDOW = Window(START, utc("2024-03-05"))
ASSETS = {a.key.path[1]: a for a in raw.ASSETS}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(start=START - 5 * DAY, end=START + 10 * DAY, symbols=SYMBOLS)
    with SimulatorServer(tape, FixedClock(NOW)) as server:
        yield server


@pytest.fixture
def platform(database: Database, tmp_path: Path, simulator: SimulatorServer) -> Iterator[Platform]:
    settings = settings_for(database, tmp_path / "home", **simulator.settings_overrides())
    yield Platform(settings, FixedClock(NOW), database)


def check_of(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = result.get_asset_check_evaluations()
    return found


def test_rows_of_all_sources_are_stored_with_log_and_payloads(platform: Platform) -> None:
    result = run_assets(platform, [ASSETS["candles"]], WINDOW)
    stored = platform.warehouse.read("raw.candles")
    assert {"binance", "binance_futures", "okx"} <= set(stored["source"])
    assert stored["ts"].max() < NOW
    assert set(stored["run_id"]) == {result.run_id}
    log = platform.warehouse.read("ops.fetch_log")
    assert set(log["run_id"]) == {result.run_id}
    assert log["rows_stored"].sum() == len(stored)
    assert set(stored["payload_id"]) <= set(platform.warehouse.read("ops.payloads")["payload_id"])
    assert check_of(result).passed
    (event,) = result.get_asset_materialization_events()[-1:]
    assert event.materialization.metadata["rows inserted"].value == len(stored)


def test_asking_again_changes_no_row(platform: Platform) -> None:
    for _ in range(2):
        result = run_assets(platform, [ASSETS["funding_rates"]], WINDOW)
    metadata = result.get_asset_materialization_events()[-1].materialization.metadata
    assert metadata["rows inserted"].value == metadata["rows updated"].value == 0
    assert metadata["rows unchanged"].value > 0


def test_a_dead_source_fails_the_check_and_not_the_asset(
    platform: Platform, tmp_path: Path, database: Database, simulator: SimulatorServer
) -> None:
    overrides = simulator.settings_overrides() | {"okx_api_url": "http://127.0.0.1:9/okx"}
    platform.settings = settings_for(database, tmp_path / "home", http_attempts=1, **overrides)
    result = run_assets(platform, [ASSETS["candles"]], WINDOW)
    assert result.success
    check = check_of(result)
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert "okx" in check.description
    assert set(platform.warehouse.read("raw.candles")["source"]) == {
        "binance",
        "binance_futures",
        "coinapi",
    }


def test_a_dataset_without_any_source_fails_clearly(
    platform: Platform, tmp_path: Path, database: Database
) -> None:
    platform.settings = settings_for(database, tmp_path / "home", sources=("alternative_me",))
    result = run_assets(platform, [ASSETS["candles"]], WINDOW, raise_on_error=False)
    assert not result.success
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "candles: none of" in failure.step_failure_data.user_failure_data.description


def test_only_what_is_missing_is_asked_for(platform: Platform) -> None:
    run_assets(platform, [ASSETS["open_interest"]], WINDOW)
    requests = int(platform.warehouse.read("ops.fetch_log")["request_count"].sum())
    assert requests > 0
    again = run_assets(platform, [ASSETS["open_interest"]], WINDOW, scope=Scope(only_missing=True))
    log = platform.warehouse.read("ops.fetch_log")
    fresh = log[log["run_id"] == again.run_id]
    assert set(fresh["window_start"]) == {utc("2024-03-04")}  # today only: it had not closed
    full = Window(START, utc("2024-03-04"))
    third = run_assets(platform, [ASSETS["open_interest"]], full, scope=Scope(only_missing=True))
    log = platform.warehouse.read("ops.fetch_log")
    assert not (log["run_id"] == third.run_id).any()


def test_a_run_narrowed_to_sources_and_symbols_asks_only_those(platform: Platform) -> None:
    scope = Scope(symbols=["ETH/USDT"], sources=["okx"])
    run_assets(platform, [ASSETS["candles"]], WINDOW, scope=scope)
    log = platform.warehouse.read("ops.fetch_log")
    assert set(log["source"]) == {"okx"}
    assert set(log["symbol"]) == {"ETH/USDT"}


def test_real_prices_are_refused_by_a_database_of_other_data(
    platform: Platform, tmp_path: Path, database: Database
) -> None:
    platform.settings = settings_for(database, tmp_path / "home", origin="tape")
    result = run_assets(platform, [ASSETS["candles"]], WINDOW, raise_on_error=False)
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "holds tape data" in failure.step_failure_data.user_failure_data.description
    assert platform.warehouse.read("ops.fetch_log").empty
