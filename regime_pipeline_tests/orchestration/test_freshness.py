"""Which days need no second computation; whatever is doubtful needs one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from regime_pipeline.orchestration import freshness
from regime_pipeline.orchestration.freshness import Happening, Known, Todo, known, todo
from regime_pipeline.orchestration.partitions import range_tags
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, Window, utc
from regime_pipeline_tests.orchestration.conftest import raw_funding

START = utc("2024-05-01")
TABLES = ("market.x", "features.y", "features.z")
BACK = {"raw.x": 30, "market.x": 20, "features.y": 10, "features.z": 3}
"""Days of history that a first day needs: raw rows, a series of them, two statistics of the series."""


def at(day: float) -> datetime:
    return START + day * DAY


def needs(day: datetime) -> dict[str, datetime]:
    return {name: day - back * DAY for name, back in BACK.items()}


def derived(first: float, last: float) -> Happening:
    return Happening(derived=Window(at(first), at(last)))


def raw(day: float) -> Happening:
    return Happening(raw_days=(("raw.x", at(day)),))


def foreign(day: float) -> Happening:
    return Happening(foreign_from=at(day))


def plan(*story: Happening, first: float = 0, last: float = 10, **more: tuple[str, ...]) -> Todo:
    window = Window(at(first), at(last))
    return todo(known(story, needs), window, needs, tables=TABLES, **more)


def days(*story: Happening, **more: float) -> tuple[dict[str, tuple[float, float]], float]:
    """Days of each table that are derived before the window, and the first day of all tables."""
    found = plan(*story, **more)
    history = {
        name: tuple((edge - START) / DAY for edge in (span.start, span.end))
        for span, names in found.history
        for name in names
    }
    return history, (found.window.start - START) / DAY


ALL = {"market.x": (-20, 0), "features.y": (-10, 0), "features.z": (-3, 0)}


def test_a_day_is_right_once_derived_and_until_older_raw_rows_change() -> None:
    assert days() == (ALL, 0)
    assert days(raw(-30), derived(0, 10)) == ({}, 10)
    assert days(raw(-30), derived(0, 10), raw(9.5)) == ({}, 9)
    assert days(raw(-30), derived(0, 10), raw(20)) == ({}, 10)
    assert days(raw(-30), derived(0, 10), raw(-31)) == ({}, 10)  # nothing derived needs it


def test_changed_history_is_derived_again_from_the_change_on() -> None:
    changed = {"market.x": (-5, 0), "features.y": (-5, 0), "features.z": (-3, 0)}
    assert days(derived(0, 10), raw(-5)) == (changed, 0)
    assert days(derived(0, 10), raw(-30)) == (ALL, 0)


def test_later_runs_go_on_where_earlier_ones_ended() -> None:
    assert plan(derived(0, 4.5), raw(4.5)).since == START
    assert days(derived(0, 4.5), raw(4.5), derived(0, 6)) == ({}, 6)
    # days that nobody wanted: the history of those that are
    between = {"market.x": (4, 20), "features.y": (10, 20), "features.z": (17, 20)}
    assert days(derived(0, 4), first=20, last=30) == (between, 20)


def test_a_later_first_day_finds_its_history() -> None:
    assert days(derived(-5, 10)) == ({}, 10)
    assert plan(derived(-5, 10)).since == at(-5)
    assert days(derived(-5, 10), raw(-2)) == (
        {"market.x": (-2, 0), "features.y": (-2, 0), "features.z": (-2, 0)},
        0,
    )


def test_an_earlier_first_day_derives_only_what_lies_before() -> None:
    before = {"market.x": (-20, -19), "features.y": (-10, -9), "features.z": (-3, -2)}
    assert days(derived(1, 10)) == (before, 0)
    assert days(derived(1, 10), raw(-30), raw(0)) == (before, 0)  # what it asked for itself
    assert days(derived(1, 10), raw(-5)) == (ALL, 0)
    assert days(derived(40, 50)) == (ALL, 0)
    # rows that depend on rows of any age are others with more history
    assert days(derived(1, 10), on_all_stored=("features.z",)) == (
        before | {"features.z": (-3, 0)},
        0,
    )


def test_inputs_are_derived_before_their_readers() -> None:
    for story in ((), (derived(1, 10),), (derived(0, 10), raw(-5)), (derived(-30, -4),)):
        runs = [names for _, names in plan(*story).history]  # within a run Dagster orders them
        when = {name: number for number, names in enumerate(runs) for name in names}
        assert when["market.x"] <= when["features.y"] <= when["features.z"]


def test_rows_by_other_code_are_derived_again() -> None:
    assert days(derived(0, 10), foreign(-40)) == (ALL, 0)
    assert days(derived(0, 10), foreign(-40), derived(0, 3)) == ({}, 3)
    assert days(derived(0, 10), foreign(9)) == ({}, 9)  # a tick wrote its days and no others


def test_the_fingerprint_follows_thresholds_symbols_and_venues() -> None:
    base = freshness.fingerprint(Settings(), ("BTC/USDT",))
    assert base == freshness.fingerprint(Settings(), ("BTC/USDT",))
    others = [
        freshness.fingerprint(Settings(), ("ETH/USDT",)),
        freshness.fingerprint(Settings(spot_venue="okx"), ("BTC/USDT",)),
        freshness.fingerprint(
            Settings(params={"cascades": {"cascade_threshold_usd": 1.0}}), ("BTC/USDT",)
        ),
    ]
    assert len({base, *others}) == 4


def test_the_fingerprint_follows_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert all((freshness._PACKAGE / name).exists() for name in freshness._CODE)
    for name in freshness._CODE:
        place = tmp_path / name
        if name.endswith(".py"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("x = 1\n")
        else:
            place.mkdir(parents=True)
            (place / "module.py").write_text("x = 1\n")
    monkeypatch.setattr(freshness, "_PACKAGE", tmp_path)
    before = freshness.fingerprint(Settings(), ())
    (tmp_path / "features" / "module.py").write_text("x = 2\n")
    assert freshness.fingerprint(Settings(), ()) != before


def test_the_story_is_read_from_runs_and_rows(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    def add(job: str, tags: dict[str, str] | None = None, *, ok: bool = True) -> str:
        status = dg.DagsterRunStatus.SUCCESS if ok else dg.DagsterRunStatus.FAILURE
        return instance.add_run(dg.DagsterRun(job_name=job, status=status, tags=tags or {})).run_id

    def tell() -> list[Happening]:
        return freshness.story(
            instance, platform.database, "me", harmless=("raw_fetch", "reporting")
        )

    window = Window(START, START + DAY)
    complete = {
        freshness.BY_TAG: "me",
        freshness.FROM_TAG: window.start.isoformat(),
        freshness.TO_TAG: window.end.isoformat(),
    }
    add("derived_chain", complete)
    add("derived_chain", complete, ok=False)
    add("reporting")
    assert tell() == [Happening(derived=window)]
    # a run that has no end yet comes last, whatever began after it
    fetching = add("raw_fetch")
    changed = raw_funding(START, START + DAY)
    platform.warehouse.merge(
        "raw.funding_rates", changed[changed["ts"] >= START + 8 * HOUR], run_id=fetching
    )
    add("derived_chain", complete)
    assert tell()[-1] == Happening(raw_days=(("raw.funding_rates", START),))
    assert known(tell(), needs) == [Known(START, START)]
    other = {freshness.BY_TAG: "somebody else"}
    add("derived_chain", other | range_tags(window))
    assert Happening(foreign_from=START) in tell()
    add("derived_chain", other)
    assert Happening(foreign_from=datetime.min.replace(tzinfo=UTC)) in tell()


@pytest.mark.slow
def test_reports_stand_until_a_run_that_may_change_their_inputs(
    instance: dg.DagsterInstance,
) -> None:
    def add(job: str, of: str | None = None, *, ok: bool = True) -> None:
        status = dg.DagsterRunStatus.SUCCESS if ok else dg.DagsterRunStatus.FAILURE
        tags = {freshness.OF_TAG: of} if of else {}
        instance.add_run(dg.DagsterRun(job_name=job, status=status, tags=tags))

    def stand(of: str = "these") -> bool:
        return freshness.reports_stand(instance, of, harmless=("raw_fetch", "reporting"))

    assert not stand()
    add("reporting", "these", ok=False)
    assert not stand()
    add("reporting", "these")
    add("raw_fetch")
    assert stand()
    assert not stand("others")
    add("derived_chain")
    assert not stand()
    add("reporting", "these")
    assert not stand()  # the derived run has no end: it may have gone on while they were built
