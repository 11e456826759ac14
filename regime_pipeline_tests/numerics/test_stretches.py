"""Where time is cut, and that nothing is lost at the cuts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_pipeline.numerics import stretches


@given(
    length=st.integers(0, 5_000),
    pieces=st.integers(1, 12),
    unit=st.integers(1, 800),
    origin=st.integers(-500_000, 800),
    least=st.integers(1, 900),
)
def test_stretches_make_up_the_whole_and_begin_where_they_may(
    length: int, pieces: int, unit: int, origin: int, least: int
) -> None:
    found = stretches.cuts(length, pieces, unit=unit, origin=origin, least=least)
    assert len(found) <= pieces
    assert [row for stretch in found for row in range(*stretch)] == list(range(length))
    for first, _ in found[1:]:
        assert first >= least
        assert (first - origin) % unit == 0


def test_an_error_on_another_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "LEAST_CELLS", 1)
    monkeypatch.setattr(stretches, "threads", lambda: 4)

    def work(first: int, stop: int) -> None:
        if first:
            raise ArithmeticError(f"rows {first} to {stop}")

    with pytest.raises(ArithmeticError, match="rows 25 to 50"):
        stretches.in_stretches(work, 100, 1)


def test_a_small_panel_stays_on_the_calling_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(stretches, "threads", lambda: 8)
    stretches.in_stretches(lambda *rows: seen.append(rows), 100, 3)
    assert seen == [(0, 100)]
