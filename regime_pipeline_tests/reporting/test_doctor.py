"""What ``regime doctor`` finds, with the simulator as the world and faults scripted into it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import SecretStr
from rich.console import Console

from regime_pipeline.catalogue.frames import DTYPES
from regime_pipeline.catalogue.registry import FIELDS, table
from regime_pipeline.providers.limits.gate import gate_for
from regime_pipeline.providers.limits.store import PostgresStore
from regime_pipeline.reporting.doctor import (
    Diagnosis,
    SourceState,
    examine,
    needed_sources,
    print_diagnosis,
    to_json,
)
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import HOUR, FixedClock, SystemClock, utc

NOW = utc("2024-06-01")
CLOCK = FixedClock(NOW)


@pytest.fixture(scope="module")
def world() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(symbols=("BTC/USDT",), start=NOW - timedelta(days=3), end=NOW)
    with SimulatorServer(tape, CLOCK) as server:
        yield server


@pytest.fixture
def simulator(world: SimulatorServer) -> Iterator[SimulatorServer]:
    yield world
    world.app.state.faults.clear()


def settings_for(simulator: SimulatorServer, home: Path, **more: object) -> Settings:
    given: dict[str, Any] = {
        **simulator.settings_overrides(),
        "home": home,
        "symbols": ("BTC/USDT",),
        **more,
    }
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


def look(settings: Settings, database: Database | None = None, **more: Any) -> Diagnosis:
    store = PostgresStore(database.connect) if database else None
    gate = gate_for(settings, store)
    return examine(settings, CLOCK, gate=gate, database=database, **more)


def source(found: Diagnosis, name: str) -> SourceState:
    return next(s for s in found.sources if s.answer.source == name)


def test_healthy_world_without_a_database_is_fine(
    simulator: SimulatorServer, tmp_path: Path
) -> None:
    found = look(settings_for(simulator, tmp_path))
    assert found.is_ok
    assert [s.answer.source for s in found.sources] == list(Settings().sources)
    for state in found.sources:
        assert state.answer.is_reachable
        assert state.answer.latency_ms is not None
        assert state.problem is None
    keyed = source(found, "coinglass").answer
    assert (keyed.key, keyed.plan) == ("present", "Standard (300 requests/min)")
    assert source(found, "binance").answer.key == "not needed"
    assert source(found, "binance").answer.budgets[0][0] == "weight"


def test_geo_block_says_what_to_set_and_is_remembered(
    simulator: SimulatorServer, tmp_path: Path, database: Database
) -> None:
    body = '{"code":0,"msg":"Service unavailable from a restricted location"}'
    simulator.app.state.faults["/binance/"] = Fault(status=451, body=body)
    settings = settings_for(simulator, tmp_path)
    first, second = (source(look(settings, database), "binance") for _ in range(2))
    assert not first.is_ok
    assert first.answer.is_reachable is False
    assert "REGIME_SPOT_VENUE" in (first.advice or "")
    assert second.answer.error_class == "CircuitOpen"
    assert second.answer.is_reachable is None
    assert "restricted location" in (second.problem or "")
    asked = simulator.app.state.requests["/binance/api/v3/ping"]
    look(settings, database)
    assert simulator.app.state.requests["/binance/api/v3/ping"] == asked


@pytest.mark.parametrize(
    ("fault", "error", "advice"),
    [
        (Fault(status=503), "Transient", "BINANCE_API_URL"),
        (Fault(status=418, headers={"Retry-After": "600"}), "Banned", "left alone"),
        (Fault(status=200, html=True), "ContractViolation", "not binance"),
        (Fault(status=301), "ContractViolation", "not binance"),
    ],
)
def test_each_kind_of_failure_has_one_line_of_advice(
    fault: Fault, error: str, advice: str, simulator: SimulatorServer, tmp_path: Path
) -> None:
    simulator.app.state.faults["/binance/"] = fault
    found = look(settings_for(simulator, tmp_path))
    state = source(found, "binance")
    assert state.answer.error_class == error
    assert advice in (state.advice or "")
    assert "\n" not in (state.advice or "")
    assert not found.is_ok
    assert source(found, "okx").is_ok, "one failure does not hide the others"


def test_failure_of_a_source_nothing_depends_on_is_shown_and_forgiven(
    simulator: SimulatorServer, tmp_path: Path
) -> None:
    simulator.app.state.faults["/okx/"] = Fault(status=503)
    found = look(settings_for(simulator, tmp_path))
    assert found.is_ok
    assert not source(found, "okx").is_ok
    leaning = look(settings_for(simulator, tmp_path, spot_venue="okx"))
    assert not leaning.is_ok


def test_missing_key_and_unnamed_primary_source_are_faults(
    simulator: SimulatorServer, tmp_path: Path
) -> None:
    bare = settings_for(simulator, tmp_path, coinglass_api_key=None)
    assert look(bare).is_ok  # the venues' own series stand behind what it would tell
    named = settings_for(
        simulator, tmp_path, coinglass_api_key=None, liquidation_source="coinglass"
    )
    found = look(named)
    assert source(found, "coinglass").answer.key == "missing"
    assert "COINGLASS_API_KEY" in (source(found, "coinglass").advice or "")
    assert not found.is_ok
    without = look(settings_for(simulator, tmp_path, sources=("binance", "nobody")))
    assert {c.name for c in without.checks if c.is_ok is False} >= {"source binance_futures"}
    assert source(without, "nobody").answer.problem == "there is no such source"


def test_a_source_that_is_off_and_that_nothing_needs_is_nothing_to_do(
    simulator: SimulatorServer, tmp_path: Path
) -> None:
    found = look(settings_for(simulator, tmp_path, coinapi_key=None, binance_archive_url=None))
    assert found.is_ok
    for name in ("coinapi", "binance_archive"):
        assert source(found, name).answer.is_off
    console = Console(width=200, record=True, file=io.StringIO())
    print_diagnosis(found, console)
    seen, _, todo = console.export_text().partition("What to do")
    assert "not needed: coinapi, binance_archive" in seen
    assert "coinapi" not in todo
    assert "REGIME_BINANCE_ARCHIVE_URL" not in todo


def test_needed_sources_follow_the_settings(simulator: SimulatorServer, tmp_path: Path) -> None:
    settings = settings_for(
        simulator, tmp_path, spot_venue="binance_us", perp_venue="okx",
        liquidation_source="coinglass", open_interest_source="okx",
    )  # fmt: skip
    assert needed_sources(settings) == {"binance_us", "okx", "coinglass", "alternative_me"}


def _log_row(**changes: object) -> pd.DataFrame:
    given = {
        "fetch_id": "f", "dataset": "candles", "source": "binance", "fetch_status": "ok",
        "window_start": NOW - 24 * HOUR, "window_end": NOW, "fetched_at": NOW - HOUR / 2,
        "request_count": 1, **changes,
    }  # fmt: skip
    fields = table("ops.fetch_log").fields
    return pd.DataFrame(
        {f: pd.Series([given.get(f)], dtype=DTYPES[FIELDS[f].kind]) for f in fields}
    )


@pytest.mark.slow
def test_fault_19_freshness_is_judged_by_the_rows_and_not_by_the_fetch(
    simulator: SimulatorServer, tmp_path: Path, database: Database, warehouse: Warehouse
) -> None:
    settings = settings_for(simulator, tmp_path)
    warehouse.record("ops.fetch_log", _log_row())
    found = look(settings, database)
    candles = source(found, "binance").datasets[0]
    assert candles.last_success == NOW - HOUR / 2
    assert candles.is_stale
    assert not found.is_ok
    assert "old rows for candles" in (source(found, "binance").problem or "")
    warehouse.record("ops.fetch_log", _log_row(fetch_id="old", window_end=NOW - 30 * 24 * HOUR))
    with database.connect() as connection:
        connection.execute("delete from ops.fetch_log where fetch_id = 'f'")
    assert look(settings, database).is_ok, "a backfill of old days says nothing about now"


@dataclass(frozen=True)
class Apart(SystemClock):
    """A machine whose clock is wrong."""

    by: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


@pytest.mark.parametrize(("minutes", "text"), [(0, "say"), (-10, "behind what"), (7, "ahead of")])
def test_a_clock_that_no_source_agrees_with_is_a_finding(
    minutes: int, text: str, simulator: SimulatorServer, tmp_path: Path
) -> None:
    settings = settings_for(simulator, tmp_path)
    clock = Apart(timedelta(minutes=minutes))
    found = examine(settings, clock, gate=gate_for(settings, None), database=None)
    (check,) = [c for c in found.checks if c.name == "clock"]
    assert check.is_ok is (minutes == 0)
    assert text in check.detail
    if minutes:
        assert "NTP" in (check.advice or "")
        told = [s["clock_ahead_s"] for s in to_json(found)["sources"]]
        known = [t for t in told if t is not None]
        assert known and all(abs(t - 60 * minutes) <= 3 for t in known)


def test_unwritable_landing_store_is_a_finding(simulator: SimulatorServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = look(settings_for(simulator, tmp_path, landing_url=str(tmp_path / "file" / "x")))
    assert [c.is_ok for c in found.checks if c.name == "landing store"] == [False]
    assert not found.is_ok


@pytest.mark.parametrize("width", [80, 160])
def test_people_and_programs_read_the_same_and_no_key(
    width: int, simulator: SimulatorServer, tmp_path: Path
) -> None:
    key = "canary-0d1f5e7b"
    simulator.app.state.faults["/coinglass/"] = Fault(status=401, body=f'{{"msg":"bad {key}"}}')
    found = look(settings_for(simulator, tmp_path, coinglass_api_key=SecretStr(key)))
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    print_diagnosis(found, console)
    shown = console.export_text()
    told = json.dumps(to_json(found))
    for text in (shown, told):
        assert key not in text
        assert "binance_futures" in text
        assert (source(found, "coinglass").answer.key_fingerprint or "-") in text
    assert max(len(line.rstrip()) for line in shown.splitlines()[:9]) <= width
    assert json.loads(told)["ok"] is False


@pytest.mark.slow
def test_command_works_on_simulated_data_before_anything_was_run(tmp_path: Path) -> None:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.endswith("_API_URL")},
        "REGIME_HOME": str(tmp_path / "home"),
        "REGIME_ORIGIN": "simulated",
        "REGIME_SYMBOLS": "BTC/USDT",
    }
    command = [sys.executable, "-m", "regime_pipeline.cli", "doctor", "--json"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["origin"]) == (True, "simulated")
    assert told["checks"][0]["ok"] is None
    assert not (tmp_path / "home" / "postgres").exists()


@pytest.mark.slow
def test_command_tells_of_a_database_that_does_not_answer(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "REGIME_HOME": str(tmp_path / "home"),
        "REGIME_DATABASE_URL": "postgresql://me:canary-5c1d@127.0.0.1:9/x",
        "REGIME_ORIGIN": "tape",
    }
    command = [sys.executable, "-m", "regime_pipeline.cli", "doctor", "--json"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["checks"][0]["ok"] is False
    assert "REGIME_DATABASE_URL" in told["checks"][0]["detail"]
    assert "canary-5c1d" not in done.stdout + done.stderr
    assert all(s["reachable"] is None for s in told["sources"]), "a tape has no sources to ask"
