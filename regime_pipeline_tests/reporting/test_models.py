"""Verdicts on models as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from regime_pipeline.reporting import models

DAY = datetime(2024, 8, 18, 23, tzinfo=UTC)


def row(**changed: Any) -> dict[str, Any]:
    found = {
        "model": "direction_1h",
        "model_target": "direction_1h",
        "model_role": "champion",
        "model_version": "0123456789abcdef",
        "symbol": "*",
        "regime": "*",
        "ts": DAY,
        "skill": 0.0013,
        "skill_low": -0.0007,
        "skill_high": 0.0033,
        "model_loss": 0.6923,
        "baseline_loss": 0.6931,
        "scored_rows": 70_000,
        "scored_rows_eff": 20_000.0,
        "is_published": False,
        "publication_reason": "no_skill_over_baseline",
        "has_drifted": False,
        "psi": None,
        "psi_limit": None,
        "psi_feature": None,
        "loss_cusum": 0.5,
        "trained_to": DAY,
        "model_rows": 70_000,
        "coverage_90": None,
        "coverage_90_low": None,
        "coverage_90_high": None,
        "status": "ok",
        "reason": None,
    }
    return found | changed


def test_a_target_without_a_published_model_says_so_with_the_best_ones_skill() -> None:
    lines = list(models.summary_lines([row(), row(model="direction_1h_boosting", skill=None)]))
    assert lines[-1] == "direction_1h: +0.13 % [-0.07, +0.33]: no model is published"
    assert "not published: no skill over baseline" in lines[1]
    good = row(is_published=True, publication_reason=None)
    assert "no model is published" not in "\n".join(models.summary_lines([good]))


def test_a_model_in_full_tells_what_its_interval_held_by_symbol_and_regime() -> None:
    whole = row(model="volatility_har", model_target="variance_24h", skill=0.254, coverage_90=0.897)
    part = whole | {"symbol": "BTC/USDT", "coverage_90_low": 0.87, "coverage_90_high": 0.92}
    calm = whole | {"regime": "STABLE", "coverage_90": None, "skill": None}
    lines = list(models.model_lines([whole, part, calm]))
    assert "fit in force" in "\n".join(lines)
    told = " ".join(lines[-2].split())
    assert told == "BTC/USDT +25.4 % [-0.1, +0.3] interval of 90 % held 89.7 % [87, 92]"
    assert "STABLE" in lines[-1]
    assert "89.7" not in lines[-1]


def test_before_the_first_night_it_says_how_days_are_judged() -> None:
    (line,) = models.summary_lines([])
    assert "regime backfill --select signals/models" in line
