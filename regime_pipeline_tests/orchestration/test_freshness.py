"""Which days need no second computation; whatever is doubtful needs one."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from regime_pipeline.orchestration import freshness
from regime_pipeline.orchestration.freshness import Happening, right_until
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, Window, utc
from regime_pipeline_tests.orchestration.conftest import raw_funding

START = utc("2024-05-01")
FOREIGN = Happening(foreign=True)


def derived(first: int, last: float) -> Happening:
    return Happening(derived=Window(START + first * DAY, START + last * DAY))


def raw(day: float) -> Happening:
    return Happening(raw_from=START + day * DAY)


def days(*story: Happening) -> float:
    return (right_until(story, START) - START) / DAY


def test_a_day_is_right_once_derived_and_until_older_raw_rows_change() -> None:
    assert days() == 0
    assert days(raw(-300), derived(0, 10)) == 10
    assert days(raw(-300), derived(0, 10), raw(9.5)) == 9
    assert days(raw(-300), derived(0, 10), raw(-3)) == 0
    assert days(raw(-300), derived(0, 10), raw(20)) == 10


def test_later_runs_go_on_where_earlier_ones_ended() -> None:
    assert days(derived(0, 4.5), raw(4.5), derived(4, 6)) == 6
    assert days(derived(0, 4), derived(5, 6)) == 4  # a hole
    assert days(derived(0, 10), raw(2), derived(2, 3)) == 3
    assert days(derived(0, 10), raw(2), derived(4, 12)) == 2


def test_only_runs_that_had_the_history_of_the_start_count() -> None:
    assert days(derived(1, 10)) == 0
    assert days(derived(-5, 10)) == 10
    assert days(derived(-5, -1)) == 0
    assert days(derived(-5, 10), raw(-2)) == 0
    assert days(derived(-5, 10), raw(-2), derived(-2, 3)) == 3


def test_rows_by_other_code_make_all_doubtful() -> None:
    assert days(derived(0, 10), FOREIGN) == 0
    assert days(derived(0, 10), FOREIGN, derived(0, 3)) == 3


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
    assert tell()[-1] == Happening(raw_from=START + 8 * HOUR)
    assert right_until(tell(), START) == START
    add("derived_chain", {freshness.BY_TAG: "somebody else"})
    assert Happening(foreign=True) in tell()


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
