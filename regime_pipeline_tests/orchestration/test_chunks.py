"""The commands a person types, on a real database: whatever the portions, ``regime db hash`` is the same."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from regime_pipeline.catalogue import TABLES
from regime_pipeline.orchestration.instance import ROOT, venv_program
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import DAY, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.simulator import folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Days = tuple[str, str]
VERDICTS = "ops.quality_checks,ops.quality_scores"


@dataclass(frozen=True)
class Desk:
    """An empty database of its own, and the settings with which commands work on it."""

    variables: dict[str, str]

    def regime(self, *words: str) -> str:
        """What a command prints on standard output; it must succeed."""
        done = subprocess.run(
            [venv_program("regime"), *words],
            env={**os.environ, **self.variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"
        return done.stdout

    def run(self, tape: Path, days: Days, *more: str) -> None:
        first, last = days
        self.regime(
            "run", "--source", f"tape:{tape}", "--from", first, "--to", last, "--no-report", *more
        )

    def hashes(self, tables: str = "") -> dict[str, str]:
        """Content hash by table; all data tables, or those named."""
        told = self.regime(
            "db", "hash", "--data", "tape", *(("--tables", tables) if tables else ())
        )
        return {name: value for value, name in (line.split() for line in told.splitlines())}


@contextmanager
def desk(postgres: TestServer, home: Path, symbols: str, start: str) -> Iterator[Desk]:
    with postgres.empty_database() as url:
        yield Desk(
            {
                "REGIME_DATABASE_URL": url,
                "REGIME_HOME": str(home),
                "REGIME_SYMBOLS": symbols,
                "REGIME_START_DATE": start,
            }
        )


def made(at: Desk, tape: Path, *portions: Days) -> dict[str, str]:
    """Hashes after one run for each portion."""
    for days in portions:
        at.run(tape, days)
    return at.hashes()


def assert_same(found: dict[str, str], expected: dict[str, str]) -> None:
    assert set(found) == set(expected) == {n for n, t in TABLES.items() if t.partitioned}
    assert sorted(n for n in expected if found[n] != expected[n]) == []


def test_a_made_market_has_one_hash_per_table_in_one_go_in_chunks_and_again(
    postgres: TestServer, tmp_path: Path
) -> None:
    symbols, start, end = ("BTC/USDT", "ETH/USDT", "SOL/USDT"), "2024-01-25", utc("2024-03-10")
    tape, whole = tmp_path / "tape", ("2024-03-03", "2024-03-09")
    tape.mkdir()
    folder.write(SyntheticTape(start=end - 50 * DAY, end=end, symbols=symbols), tape)
    with desk(postgres, tmp_path / "one", ",".join(symbols), start) as at:
        expected, verdicts = made(at, tape, whole), at.hashes(VERDICTS)
        at.run(tape, whole, "--recompute")
        assert_same(at.hashes(), expected)
        assert at.hashes(VERDICTS) == verdicts
    with desk(postgres, tmp_path / "chunks", ",".join(symbols), start) as at:
        chunks = made(at, tape, ("2024-03-03", "2024-03-04"), ("2024-03-04", "2024-03-09"))
    assert_same(chunks, expected)
    nothing = expected["raw.whale_transfers"]  # a tape has no transfers
    filled = {n for n, value in expected.items() if value != nothing}
    assert {
        "raw.candles", "raw.funding_rates", "raw.open_interest", "raw.liquidations",
        "features.volatility_regimes", "features.liquidation_cascades", "features.funding_anomalies",
        "regimes.timeframe_regimes", "correlation.asset_correlations", "signals.futures_scores",
    } <= filled  # fmt: skip


@pytest.mark.history
def test_the_recorded_crash_has_one_hash_per_table_in_one_go_and_in_chunks(
    postgres: TestServer, tmp_path: Path, market_history: Path
) -> None:
    found = []
    for name, portions in (
        ("one", [("2024-08-03", "2024-08-07")]),
        ("chunks", [("2024-08-03", "2024-08-05"), ("2024-08-05", "2024-08-07")]),
    ):
        with desk(postgres, tmp_path / name, "BTC/USDT,SOL/USDT", "2024-06-20") as at:
            found.append(made(at, market_history, *portions))
    assert_same(*found)
