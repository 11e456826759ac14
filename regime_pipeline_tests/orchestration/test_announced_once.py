"""An event is announced once, whoever finds it first: a tick, a live launch, or a backfill before them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.orchestration import launch
from regime_pipeline.orchestration.assets.alerts import market_events
from regime_pipeline.orchestration.build import all_assets
from regime_pipeline.orchestration.instance import instance_for
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.orchestration.schedules import TICK_TAG
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, HOUR, Clock, Window, floor_day, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.alerts.receivers import Receiver, receiving
from regime_pipeline_tests.orchestration.conftest import SYMBOLS, run_assets, settings_for

pytestmark = pytest.mark.xdist_group("announced-once")  # one module fixture, not one a worker

NEWS = utc("2024-03-10T08:00Z")
NOW = NEWS + HOUR + timedelta(minutes=2)
TODAY = Window(floor_day(NOW), NOW)


class At(Clock):
    """A clock that goes on, as far as the product can tell, and stands for the test."""

    def __init__(self, *times: datetime) -> None:
        self._times = list(times) or [NOW]

    def now(self):
        return self._times.pop(0) if len(self._times) > 1 else self._times[0]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as box:
        yield box


@pytest.fixture(scope="module")
def stage(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for all: Dagster's own tables take longer to make than anything here."""
    with postgres.database() as made:
        with instance_for(settings_for(made, tmp_path_factory.mktemp("home")), made):
            pass
        yield made


@pytest.fixture
def world(stage: Database, tmp_path: Path, receiver: Receiver) -> tuple[Settings, Platform]:
    """Derived rows of today: one cascade that is news, and one that nobody wants to hear of now."""
    settings = settings_for(stage, tmp_path, webhooks_all=receiver.url)
    platform = Platform(settings, At(), stage)
    with stage.connect() as connection:
        connection.execute(
            "truncate alerts.market_events, alerts.outbox, alerts.delivery_attempts, "
            "features.liquidation_cascades"
        )
    store(platform, NEWS, NEWS - 5 * HOUR)
    return settings, platform


def store(platform: Platform, *hours: datetime) -> None:
    """A cascade that begins in each of the hours."""
    item = table("features.liquidation_cascades")
    row = {
        "symbol": "BTC/USDT",
        "status": "ok",
        "source_tier": 1,
        "method_version": "cascades/1",
        "event_kind": "start",
        "event_ordinal": 0,
        "event_severity": "CRITICAL",
        "total_liquidation_usd": 5e7,
        "severity": 5,
        "severity_pct": 5,
    }
    rows = [{**row, "ts": pd.Timestamp(at), "episode_start": at} for at in hours]
    frame = pd.DataFrame([{c: r.get(c) for c in item.content} for r in rows])
    platform.warehouse.merge(item.full_name, conform(frame, item))


def tick(platform: Platform, **tags: str) -> None:
    """The part of an hourly tick that writes events."""
    wanted = market_events.dependency_keys
    made = [a for a in all_assets() if isinstance(a, dg.AssetsDefinition) and a.keys & wanted]
    others = [s for a in made for s in a.to_source_assets() if s.key in wanted]
    window = Window(TODAY.start, TODAY.start + DAY)
    tags = {TICK_TAG: "2024-03-10T08", **tags}
    with instance_for(platform.settings, platform.database) as instance:
        done = run_assets(platform, [market_events, *others], window, tags=tags, instance=instance)
    assert done.success


def ticked(settings: Settings, url: str) -> None:
    """A tick in a process of its own."""
    tick(Platform(settings, At(), Database(url)))


def launched(
    settings: Settings, window: Window, *, replay: bool | None = None, clock: Clock | None = None
) -> None:
    """The part of ``regime run`` that writes and sends events."""
    with launch._Launch(settings, clock or At(), window, SYMBOLS, None, replay=replay) as one:
        one.run("derive", launch.DERIVED, window, tables=["alerts.market_events"])
        one.deliver()


def states(platform: Platform) -> list[tuple[str, str | None]]:
    with platform.database.connect() as connection:
        return connection.execute(
            "select state, reason from alerts.outbox order by ts desc"
        ).fetchall()


OLD = ("suppressed", "older than its delivery limit when it was found")


@pytest.mark.slow
@pytest.mark.parametrize(
    "order", ["launch, tick", "tick, launch", "both at once", "backfill, tick", "backfill, launch"]
)
def test_an_event_is_delivered_once_whoever_finds_it_first(
    order: str, world: tuple[Settings, Platform], receiver: Receiver
) -> None:
    settings, platform = world
    steps = {
        "launch": lambda: launched(settings, TODAY),
        "tick": lambda: tick(platform),
        "backfill": lambda: launched(settings, TODAY, replay=True),
    }
    if order == "both at once":
        # processes, as in life: two runs of Dagster in threads of one wait for each other's logging
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            running = [
                pool.submit(launched, settings, TODAY),
                pool.submit(ticked, settings, platform.database.url),
            ]
        for done in running:
            done.result()
    else:
        for name in order.split(", "):
            steps[name]()
    dispatch_due(platform.database, settings, At())
    assert len(receiver.requests) == 1
    told = states(platform)
    assert told[0] == ("delivered", None)
    assert told[1][0] == "suppressed"  # by age or as a backfill's, whoever was first


def test_a_live_launch_sends_by_itself(
    world: tuple[Settings, Platform], receiver: Receiver
) -> None:
    launched(world[0], TODAY)
    assert states(world[1]) == [("delivered", None), OLD]
    assert len(receiver.requests) == 1


@pytest.mark.slow
def test_a_launch_over_the_past_sends_nothing(
    world: tuple[Settings, Platform], receiver: Receiver
) -> None:
    settings, platform = world
    past = Window(TODAY.start - DAY, TODAY.start)
    store(platform, past.end - HOUR)
    launched(settings, past, clock=At(past.end + timedelta(minutes=30)))
    assert states(platform) == [("suppressed", "backfill")]
    assert receiver.requests == []


@pytest.mark.slow
def test_what_happens_while_a_launch_runs_is_left_to_the_next_one(
    world: tuple[Settings, Platform], receiver: Receiver
) -> None:
    settings, platform = world
    before, after = NEWS - timedelta(seconds=1), NEWS + timedelta(seconds=1)
    launched(settings, Window(TODAY.start, before), clock=At(before, after))
    assert states(platform) == [OLD]
    launched(settings, Window(TODAY.start, after), clock=At(after))
    assert states(platform) == [("delivered", None), OLD]
    assert len(receiver.requests) == 1


@pytest.mark.slow
def test_a_launch_that_begins_before_midnight_and_works_after_it_is_none_over_the_past(
    world: tuple[Settings, Platform], receiver: Receiver
) -> None:
    settings, platform = world
    midnight = TODAY.start + DAY
    store(platform, midnight - 2 * HOUR)
    launched(
        settings,
        Window(TODAY.start, midnight - timedelta(seconds=1)),
        clock=At(midnight + timedelta(seconds=1)),
    )
    assert states(platform)[0] == ("delivered", None)


def test_a_tick_of_a_backfill_sends_nothing(
    world: tuple[Settings, Platform], receiver: Receiver
) -> None:
    settings, platform = world
    tick(platform, **{"dagster/backfill": "abc"})
    dispatch_due(platform.database, settings, At())
    assert receiver.requests == []


def test_a_variable_that_no_event_type_has_ends_a_launch_before_any_work(
    world: tuple[Settings, Platform],
) -> None:
    settings = world[0].model_copy(update={"webhooks": {"WEBHOOKS_FUNDNG": "https://a.example/"}})
    with pytest.raises(ValueError, match="WEBHOOKS_FUNDNG is no variable for alerts"):
        launch._Launch(settings, At(), TODAY, SYMBOLS, None, replay=None)
