"""The models on recorded history: the skill and the coverage that the page of models tells."""

from __future__ import annotations

import pytest

from benchmarks import models as bench
from benchmarks.research import folder_of
from benchmarks.worlds import recorded

TOLD = {"volatility_har": 0.247, "volatility_har_gk": 0.263}
"""Skill over the mean variance of 30 days, from an independent computation."""


@pytest.mark.slow
def test_recorded_hours_give_the_skill_and_the_coverage_that_were_found_elsewhere() -> None:
    folder = folder_of("test")
    if folder is None:
        pytest.skip("no recorded history")
    found = bench.walk(recorded(folder))
    worth = {name: one for name, one, _ in bench.skills(found)}
    for name, told in TOLD.items():
        assert worth[name].skill == pytest.approx(told, abs=0.02), name
        assert worth[name].passes
    assert worth["direction_1h"].skill == pytest.approx(0.0046, abs=0.001)
    assert bench.direction(found)["ic"] == pytest.approx(0.074, abs=0.01)
    assert worth["exponentially weighted"].low < 0
    for case, level, held in bench.coverages(found):
        if case == "all" and level == 0.90:
            assert held.skill == pytest.approx(0.897, abs=0.01)
        elif level == 0.90 and held.rows_eff >= 30:
            assert 0.86 <= held.skill <= 0.94, case
    assert found.month_s < 60
    assert max(found.row_us.values()) < 1000
