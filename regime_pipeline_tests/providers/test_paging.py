from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.paging import (
    Backward,
    Cursor,
    Forward,
    Newest,
    Numbered,
    PageSpan,
    Paging,
)
from regime_pipeline.windows import HOUR, Window

START = datetime(2024, 1, 1, tzinfo=UTC)
FORWARD = Forward(limit=10, start="s", end="e")
BACKWARD = Backward(limit=10, end="after")
RANGED = Backward(limit=10, start="begin", end="end")


def at(hours: float) -> datetime:
    return START + hours * HOUR


def serve(paging: Paging, window: Window, have: list[int], cap: int) -> tuple[set[int], int]:
    """Walks against a provider that has the hours ``have`` and gives at most ``cap`` per page."""
    got: set[int] = set()
    requests = 0
    steps = paging.pages(window, at(1000))
    try:
        asked = next(steps)
        while True:
            requests += 1
            span_of = {k: (int(v) / 1000 - START.timestamp()) / 3600 for k, v in asked.items()}
            if isinstance(paging, Forward):
                rows = [h for h in have if span_of["s"] <= h <= span_of["e"]][:cap]
            else:
                low = span_of.get("begin", -1e9)
                rows = [h for h in have if low < h < span_of[paging.end]][-cap:]
            got |= set(rows)
            span = PageSpan(len(rows), at(rows[0]), at(rows[-1])) if rows else PageSpan(0)
            asked = steps.send(span)
    except StopIteration:
        return got, requests


@pytest.mark.parametrize("paging", [FORWARD, BACKWARD, RANGED])
@pytest.mark.parametrize("cap", [1, 3, 10])
@pytest.mark.parametrize(
    "have", [list(range(-5, 40)), [0, 1, 8, 9], [3], [9], [0], [], [-3, 25], list(range(4, 7))]
)
def test_fault_18_every_row_comes_whatever_the_page_cap_and_the_gaps(
    paging: Paging, cap: int, have: list[int]
) -> None:
    """Row 18: a page shorter than asked for never ends a walk early."""
    got, requests = serve(paging, Window(at(0), at(10)), have, cap)
    assert {h for h in got if 0 <= h < 10} == {h for h in have if 0 <= h < 10}
    assert requests <= 12


def test_full_page_needs_one_request() -> None:
    for paging in (FORWARD, BACKWARD, RANGED):
        assert serve(paging, Window(at(0), at(10)), list(range(100)), 10)[1] == 1


@pytest.mark.parametrize("paging", [FORWARD, BACKWARD])
def test_fault_18_repeated_page_is_an_error_not_a_loop(paging: Paging) -> None:
    """Row 18."""
    steps = paging.pages(Window(at(0), at(10)), at(99))
    next(steps)
    same = PageSpan(2, at(4), at(5))
    steps.send(same)
    with pytest.raises(ContractViolation, match="does not move"):
        steps.send(same)


@pytest.mark.parametrize(
    ("step", "pages"),
    [
        (12, [PageSpan(1, at(-2), at(-2))]),
        (1, [PageSpan(2, at(0), at(4)), PageSpan(1, at(4), at(4))]),
        (1, [PageSpan(1, at(4), at(4)), PageSpan(1, at(4), at(4))]),
        (1, [PageSpan(2, at(0), at(4)), PageSpan(3, at(-8), at(4))]),
    ],
)
def test_old_rows_behind_the_last_ones_of_a_sparse_series_end_the_walk(
    step: int, pages: list[PageSpan]
) -> None:
    """A provider that has nothing newer may answer with the last rows that it has."""
    paging = Forward(limit=10, start="s", end="e", step=step * HOUR, least_step=HOUR)
    steps = paging.pages(Window(at(0), at(10)), at(99))
    next(steps)
    for page in pages[:-1]:
        steps.send(page)
    with pytest.raises(StopIteration) as end:
        steps.send(pages[-1])
    assert end.value.value is True


@pytest.mark.parametrize(
    "pages",
    [
        [PageSpan(10, at(-20), at(-11))],
        [PageSpan(1, at(-8), at(-8))],
        [PageSpan(2, at(0), at(3)), PageSpan(2, at(4), at(6)), PageSpan(2, at(0), at(3))],
    ],
)
def test_fault_18_full_or_stale_pages_of_old_rows_and_older_pages_again_are_errors(
    pages: list[PageSpan],
) -> None:
    """Row 18: a provider that does not heed the start has more, and goes round; row 19: a stale one."""
    steps = FORWARD.pages(Window(at(0), at(10)), at(99))
    next(steps)
    for page in pages[:-1]:
        steps.send(page)
    with pytest.raises(ContractViolation, match="does not move"):
        steps.send(pages[-1])


def test_fault_18_endless_pages_are_capped() -> None:
    """Row 18: a cursor that creeps on for ever."""
    paging = Forward(limit=10, start="s", step=8 * HOUR, least_step=HOUR)
    steps = paging.pages(Window(at(0), at(10)), at(99))
    next(steps)
    with pytest.raises(ContractViolation, match="does not end"):
        for i in range(1, 200):
            moment = START + i * timedelta(seconds=1)
            steps.send(PageSpan(10, moment, moment))


def test_inclusive_cursor_ends_at_the_oldest_row() -> None:
    steps = RANGED.pages(Window(at(0), at(10)), at(99))
    next(steps)
    steps.send(PageSpan(5, at(5), at(9)))
    with pytest.raises(StopIteration) as end:
        steps.send(PageSpan(1, at(5), at(5)))
    assert end.value.value is True


def test_segments_cover_the_window_without_overlap_and_split_at_the_wall() -> None:
    inside, beyond = FORWARD.segments(Window(at(0), at(35)), at(12))
    assert [s.end for s in inside] == [at(35), at(25), at(15)]
    assert inside[-1].start == at(12)
    assert [(s.start, s.end) for s in beyond] == [(at(2), at(12)), (at(0), at(2))]
    assert FORWARD.segments(Window(at(0), at(0)), None) == ([], [])
    assert FORWARD.segments(Window(at(0), at(5)), at(-9))[1] == []


def test_varying_steps_are_followed_to_the_end() -> None:
    """Funding every 8 h that turns to every 4 h: no print is missed."""
    paging = Forward(limit=1000, start="s", end="e", step=8 * HOUR, least_step=HOUR)
    got, _ = serve(paging, Window(at(0), at(48)), [0, 8, 16, 20, 24, 28, 32, 36, 40, 44], 3)
    assert got == {0, 8, 16, 20, 24, 28, 32, 36, 40, 44}


def test_newest_rows_are_asked_for_and_all_when_they_do_not_reach_back() -> None:
    paging = Newest(limited=True, step=timedelta(days=1))
    steps = paging.pages(Window(at(0), at(24)), at(48))
    assert next(steps) == {"limit": "4"}
    assert steps.send(PageSpan(4, at(30), at(102))) == {"limit": "0"}
    with pytest.raises(StopIteration):
        steps.send(PageSpan(400, at(-900), at(102)))


TRADES_ON = Forward(limit=5, start="s", end="e", step=HOUR, overlap=True)
TRADES_BACK = Backward(limit=5, end="after", step=HOUR, overlap=True)


def trades(paging: Paging, have: list[int], cap: int) -> list[int]:
    """Indices of the trades (given by their minute) that a walk over five hours collects."""
    got: list[int] = []
    steps = paging.pages(Window(at(0), at(5)), at(99))
    try:
        asked = next(steps)
        while True:
            bound = {
                k: round((int(v) / 1000 - START.timestamp()) / 60, 6) for k, v in asked.items()
            }
            if isinstance(paging, Forward):
                rows = [i for i, m in enumerate(have) if bound["s"] <= m <= bound["e"]][:cap]
            else:
                rows = [i for i, m in enumerate(have) if m < bound["after"]][-cap:]
            got += rows
            stamps = [START + timedelta(minutes=have[i]) for i in rows]
            span = PageSpan(len(rows), stamps[0], stamps[-1]) if rows else PageSpan(0)
            asked = steps.send(span)
    except StopIteration:
        return sorted({i for i in got if 0 <= have[i] < 300})


@pytest.mark.parametrize("paging", [TRADES_ON, TRADES_BACK])
@pytest.mark.parametrize(
    "have",
    [
        [],
        [7],
        [1, 2, 2, 2, 3, 3, 9],
        [0, 0, 0, 0, 1, 1, 1, 2, 50, 299, 299],
        [-3, -2, 4, 4, 300, 301],
        list(range(0, 300, 7)),
    ],
)
def test_trades_of_one_instant_are_never_cut_apart(paging: Paging, have: list[int]) -> None:
    assert trades(paging, have, 5) == [i for i, m in enumerate(have) if 0 <= m < 300]


@pytest.mark.parametrize("paging", [TRADES_ON, TRADES_BACK])
def test_whole_page_of_one_instant_is_an_error_not_a_loss(paging: Paging) -> None:
    with pytest.raises(ContractViolation, match="a whole page has one time"):
        trades(paging, [3] * 12, 5)


def test_cursor_is_followed_and_a_repeated_one_is_an_error() -> None:
    """Row 18: a cursor that comes again is a loop."""
    paging = Cursor(limit=3, start="s", end="e", newest_first=True, cursor="c")
    steps = paging.pages(Window(at(0), at(10)), at(99))
    first = next(steps)
    assert "c" not in first
    assert (int(first["e"]) + 1) / 1000 == at(10).timestamp()
    second = steps.send(PageSpan(3, at(7), at(9), "one"))
    assert second == {**first, "c": "one"}
    assert steps.send(PageSpan(3, at(4), at(6), "two"))["c"] == "two"
    with pytest.raises(ContractViolation, match="repeats a cursor"):
        steps.send(PageSpan(3, at(1), at(3), "one"))


def test_walk_by_cursor_ends_without_one_or_at_the_start() -> None:
    paging = Cursor(limit=3, start="s", end="e", newest_first=True, cursor="c")
    for span in (PageSpan(3, at(7), at(9)), PageSpan(3, at(0), at(2), "more"), PageSpan(0)):
        steps = paging.pages(Window(at(0), at(10)), at(99))
        next(steps)
        with pytest.raises(StopIteration):
            steps.send(span)


@pytest.mark.parametrize(
    "made",
    [
        lambda: Forward(limit=10),
        lambda: Backward(limit=10, start="s"),
        lambda: Forward(limit=0, start="s"),
        lambda: Cursor(limit=-1),
        lambda: Newest(step=timedelta(0)),
        lambda: Numbered(step=HOUR, least_step=-HOUR),
    ],
)
def test_paging_that_could_never_move_is_refused_when_it_is_declared(made) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"needs the parameter|one row at least|longer than"):
        made()
