"""The nightly run: the ledger is written, then every score is judged, on whatever is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from regime_pipeline.research.trials import HORIZONS_H, SIGNALS
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Window, utc
from regime_pipeline_tests.orchestration.conftest import a_night

NIGHT = Window(utc("2024-06-01"), utc("2024-06-02"))


@pytest.mark.slow
def test_a_night_writes_its_trials_first_and_then_a_passport_of_every_signal(
    database: Database, tmp_path: Path
) -> None:
    report, platform = a_night(database, tmp_path, NIGHT, "signals/passports")
    assert [(run.job, run.error) for run in report.runs] == [("research", None)]
    trials = platform.warehouse.read("signals.trials")
    pooled = trials[trials["trial_kind"].eq("pooled")]
    assert set(pooled["trial_family"]) == {s.name for s in SIGNALS}
    assert set(trials["trial_kind"]) == {
        "pooled",
        "paper",
    }  # the night walks its rules on paper too
    found = platform.warehouse.read("signals.passports")
    pooled = found[(found["passport_kind"] == "pooled") & (found["passport_regime"] == "*")]
    assert len(pooled) == len(SIGNALS) * len(HORIZONS_H)
    assert set(pooled["status"]) == {"missing"}  # nothing is stored, and nothing stands in for it
    assert pooled["ic"].isna().all()
    assert pooled["reason"].notna().all()
