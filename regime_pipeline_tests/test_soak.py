"""What a soak plans, and that hours of faults leave nothing lost, doubled, altered or silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from regime_pipeline_tests.soak import plan, soaked


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_decides_about_every_hour_and_no_kind_of_fault_is_left_out(seed: int) -> None:
    hours = plan(8, seed)
    assert hours == plan(8, seed)
    assert len({h.at for h in hours}) == 8
    assert hours[0] == hours[0].__class__(hours[0].at)  # something is there before the first fault
    assert sum(not h.is_on for h in hours) == 2
    on = [h for h in hours if h.is_on]
    assert any(h.killed_at for h in on)
    assert any(h.server_killed_at for h in on)
    assert any(h.down for h in on)
    assert any(h.set_back for h in on)


def test_other_seeds_are_other_plans() -> None:
    assert len({tuple(plan(24, seed)) for seed in range(10)}) == 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fault_95_hours_of_random_faults_leave_every_invariant_standing(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert soaked(2, 1, tmp_path / "home") == []
