"""Raw assets against a simulated provider: what came is stored, what failed is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import dagster as dg
import pytest

from regime_pipeline.coverage import store as coverage_store
from regime_pipeline.market.sentiment import fear_greed
from regime_pipeline.net.redact import fingerprint
from regime_pipeline.orchestration import freshness, suspicion
from regime_pipeline.orchestration.assets import raw
from regime_pipeline.orchestration.derived import asset_of
from regime_pipeline.orchestration.metadata import RUN_COUNTS
from regime_pipeline.orchestration.partitions import TICK_TAG, tick_window
from regime_pipeline.orchestration.resources import Platform, Scope
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, hours_between, utc
from regime_pipeline_tests.orchestration.conftest import SYMBOLS, run_assets, settings_for

pytestmark = pytest.mark.xdist_group("raw_assets")  # one module fixture, not one a worker

START = utc("2024-03-01")
NOW = utc("2024-03-04 06:10")
WINDOW = Window(START, utc("2024-03-05"))
ASSETS = {a.key.path[1]: a for a in raw.ASSETS}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(start=START - 5 * DAY, end=START + 10 * DAY, symbols=SYMBOLS)
    with SimulatorServer(tape, FixedClock(NOW)) as server:
        yield server


@pytest.fixture
def platform(database: Database, tmp_path: Path, simulator: SimulatorServer) -> Iterator[Platform]:
    settings = settings_for(database, tmp_path / "home", **simulator.settings_overrides())
    yield Platform(settings, FixedClock(NOW), database)


def check_of(result: dg.ExecuteInProcessResult, name: str = raw.CHECK) -> dg.AssetCheckEvaluation:
    (found,) = (c for c in result.get_asset_check_evaluations() if c.check_name == name)
    return found


@pytest.mark.slow
def test_rows_of_all_sources_are_stored_with_log_and_payloads(platform: Platform) -> None:
    result = run_assets(platform, [ASSETS["candles"]], WINDOW)
    stored = platform.warehouse.read("raw.candles")
    assert {"binance", "binance_futures", "okx"} <= set(stored["source"])
    assert stored["ts"].max() < NOW
    assert set(stored["run_id"]) == {result.run_id}
    log = platform.warehouse.read("ops.fetch_log")
    assert set(log["run_id"]) == {result.run_id}
    assert log["rows_stored"].sum() == len(stored)
    assert set(stored["payload_id"]) <= set(platform.warehouse.read("ops.payloads")["payload_id"])
    assert check_of(result).passed
    (event,) = result.get_asset_materialization_events()[-1:]
    assert event.materialization.metadata[RUN_COUNTS].value["rows inserted"] == len(stored)


class Moving(FixedClock):
    """A clock that a test moves."""

    def go_to(self, at: datetime) -> None:
        object.__setattr__(self, "at", at)


@pytest.mark.slow
def test_a_run_that_goes_on_past_a_full_hour_ends_where_it_began(
    database: Database, tmp_path: Path, simulator: SimulatorServer
) -> None:
    hour = utc("2024-03-04 06:00")
    clock = Moving(hour - timedelta(seconds=1))
    settings = settings_for(database, tmp_path / "home", **simulator.settings_overrides())
    platform = Platform(
        settings,
        clock,
        database,
        written=lambda *_: clock.go_to(hour + timedelta(seconds=5)),
    )
    assets = [ASSETS["candles"], asset_of("market.candles_1h")]
    run_assets(platform, assets, Window(utc("2024-03-04"), WINDOW.end))
    assert clock.now() > hour
    derived = platform.warehouse.read("market.candles_1h")
    assert derived["ts"].max() == hour - 2 * HOUR  # the newest that had closed when it began
    assert set(derived["status"]) == {"ok"}
    run_assets(platform, assets, Window(utc("2024-03-04"), WINDOW.end))
    derived = platform.warehouse.read("market.candles_1h")
    assert derived["ts"].max() == hour - HOUR
    assert set(derived["status"]) == {"ok"}


@pytest.mark.slow
def test_asking_again_changes_no_row(platform: Platform) -> None:
    for _ in range(2):
        result = run_assets(platform, [ASSETS["funding_rates"]], WINDOW)
    metadata = result.get_asset_materialization_events()[-1].materialization.metadata
    counts = metadata[RUN_COUNTS].value
    assert counts["rows inserted"] == counts["rows updated"] == 0
    assert counts["rows unchanged"] > 0


@pytest.mark.slow
def test_a_dead_source_fails_the_check_and_not_the_asset(
    platform: Platform, tmp_path: Path, database: Database, simulator: SimulatorServer
) -> None:
    overrides = simulator.settings_overrides() | {"okx_api_url": "http://127.0.0.1:9/okx"}
    platform.settings = settings_for(database, tmp_path / "home", http_attempts=1, **overrides)
    result = run_assets(platform, [ASSETS["candles"]], WINDOW)
    assert result.success
    check = check_of(result)
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert "okx" in check.description
    assert set(platform.warehouse.read("raw.candles")["source"]) == {
        "binance",
        "binance_futures",
        "bybit",
        "coinapi",
    }


def test_a_dataset_without_any_source_fails_clearly(
    platform: Platform, tmp_path: Path, database: Database
) -> None:
    platform.settings = settings_for(database, tmp_path / "home", sources=("alternative_me",))
    result = run_assets(platform, [ASSETS["candles"]], WINDOW, raise_on_error=False)
    assert not result.success
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "candles: none of" in failure.step_failure_data.user_failure_data.description


@pytest.mark.slow
def test_only_what_is_missing_is_asked_for(platform: Platform) -> None:
    run_assets(platform, [ASSETS["open_interest"]], WINDOW)
    requests = int(platform.warehouse.read("ops.fetch_log")["request_count"].sum())
    assert requests > 0
    again = run_assets(platform, [ASSETS["open_interest"]], WINDOW, scope=Scope(only_missing=True))
    log = platform.warehouse.read("ops.fetch_log")
    fresh = log[log["run_id"] == again.run_id]
    assert set(fresh["window_start"]) == {utc("2024-03-04")}  # today only: it had not closed
    full = Window(START, utc("2024-03-04"))
    third = run_assets(platform, [ASSETS["open_interest"]], full, scope=Scope(only_missing=True))
    log = platform.warehouse.read("ops.fetch_log")
    assert not (log["run_id"] == third.run_id).any()


def test_a_run_narrowed_to_sources_and_symbols_asks_only_those(platform: Platform) -> None:
    scope = Scope(symbols=["ETH/USDT"], sources=["okx"])
    run_assets(platform, [ASSETS["candles"]], WINDOW, scope=scope)
    log = platform.warehouse.read("ops.fetch_log")
    assert set(log["source"]) == {"okx"}
    assert set(log["symbol"]) == {"ETH/USDT"}


@pytest.mark.slow
def test_the_last_hour_of_a_day_is_answered_for_by_the_ticks_alone(
    platform: Platform, database: Database
) -> None:
    """Of events only an answer counts, and one that comes two minutes after the hour is too early."""
    midnight = utc("2024-03-04")
    for minutes in (2, 62):
        at = midnight + timedelta(minutes=minutes)
        ticking = Platform(platform.settings, FixedClock(at), database)
        run_assets(ticking, [ASSETS["funding_rates"]], tick_window(at))
    coverage_store.catch_up(
        platform.warehouse, platform.settings, platform.clock.now(), "funding_rates"
    )
    hours = coverage_store.spans_of(platform.warehouse, Window(midnight - HOUR, midnight))
    assert {"okx", "binance_futures"} <= set(hours["source"])
    assert set(hours["coverage_state"]) <= {"stored", "source_off"}


@pytest.mark.slow
def test_only_the_days_in_question_are_read_of_the_log(platform: Platform) -> None:
    for day in (0, 1, 2):
        run_assets(
            platform, [ASSETS["fear_greed"]], Window(START + day * DAY, START + (day + 1) * DAY)
        )
    window = Window(START + DAY, START + 2 * DAY)
    told = platform.warehouse.transact(lambda c: coverage_store.log_rows(c, "fear_greed", window))
    assert set(told["window_start"]) == {window.start}


@pytest.mark.slow
def test_other_sources_are_asked_in_the_same_tick_where_the_one_that_is_read_fails(
    platform: Platform, database: Database, simulator: SimulatorServer
) -> None:
    at = utc("2024-03-03 06:40")
    ticking = Platform(platform.settings, FixedClock(at), database)
    simulator.app.state.faults["/coinglass/"] = Fault(status=401, body="{}")
    try:
        run_assets(ticking, [ASSETS["open_interest"]], tick_window(at), tags={TICK_TAG: "x"})
    finally:
        simulator.app.state.faults.clear()
    last = Window(utc("2024-03-03 05:00"), utc("2024-03-03 06:00"))
    rows = platform.warehouse.read("raw.open_interest", last)
    assert set(rows["symbol"]) == set(platform.settings.universe)
    assert "coinglass" not in set(rows["source"])


READ = {"source": "coinglass", "venue": "binance"}
"""The series that derived open interest is made of."""


def test_a_tick_asks_for_the_hour_that_closed_since_the_last_one(
    platform: Platform, database: Database
) -> None:
    asked = []
    for hour in (5, 6, 7):
        at = utc(f"2024-03-03 0{hour}:40")
        ticking = Platform(platform.settings, FixedClock(at), database)
        run = run_assets(ticking, [ASSETS["open_interest"]], tick_window(at), tags={TICK_TAG: "x"})
        log = ticking.warehouse.read("ops.fetch_log", where=READ)
        asked.append(set(log[log["run_id"] == run.run_id]["window_start"]))
    # the first of the day looks a whole day back
    assert asked == [
        {utc("2024-03-02 05:00")},
        {utc("2024-03-03 05:00")},
        {utc("2024-03-03 06:00")},
    ]
    stored = platform.warehouse.read("raw.open_interest", where=READ)
    hours = stored[stored["symbol"] == "BTC/USDT"]["ts"]
    assert list(hours) == list(hours_between(utc("2024-03-02 05:00"), utc("2024-03-03 07:00")))


# --- the bulk archive -----------------------------------------------------------------------------

LATER = utc("2024-03-08 06:10")
ARCHIVED = Window(START, utc("2024-03-05"))


def archive_platform(
    database: Database, tmp_path: Path, simulator: SimulatorServer, **more: object
) -> Platform:
    overrides = {**simulator.settings_overrides(), "http_attempts": 1, **more}
    settings = settings_for(database, tmp_path / "home", **overrides)
    return Platform(settings, FixedClock(LATER), database)


@pytest.fixture(scope="module")
def later() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(start=START - 5 * DAY, end=START + 10 * DAY, symbols=SYMBOLS)
    with SimulatorServer(tape, FixedClock(LATER)) as server:
        yield server


@pytest.mark.slow
def test_an_archive_named_later_fills_only_what_the_api_could_not_give(
    database: Database, tmp_path: Path, later: SimulatorServer
) -> None:
    scope = Scope(only_missing=True)
    dead = archive_platform(
        database, tmp_path, later, binance_api_url="http://127.0.0.1:9", binance_archive_url=None
    )
    run_assets(dead, [ASSETS["candles"]], ARCHIVED, scope=scope)
    assert "binance" not in set(dead.warehouse.read("raw.candles")["source"])
    later.app.state.requests.clear()
    named = archive_platform(database, tmp_path, later, binance_api_url="http://127.0.0.1:9")
    run_assets(named, [ASSETS["candles"]], ARCHIVED, scope=scope)
    asked = [p for p in later.app.state.requests if p.startswith("/archive")]
    assert asked
    assert not [p for p in asked if "futures" in p]
    stored = named.warehouse.read("raw.candles", where={"source": "binance"})
    assert len(stored) == 3 * 4 * 24
    assert set(stored["source_tier"]) == {3}


@pytest.mark.slow
def test_the_api_replaces_the_archive_and_never_the_other_way_round(
    database: Database, tmp_path: Path, later: SimulatorServer
) -> None:
    platform = archive_platform(database, tmp_path, later)
    for sources, tiers in (
        (["binance_archive"], {3}),
        (["binance"], {1}),
        (["binance_archive"], {1}),
    ):
        run_assets(platform, [ASSETS["candles"]], ARCHIVED, scope=Scope(sources=sources))
        stored = platform.warehouse.read(
            "raw.candles", where={"source": "binance", "market": "spot"}
        )
        assert set(stored["source_tier"]) == tiers


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["funding_rates", "positioning"])
def test_up_to_now_the_archive_waits_for_the_others_and_is_asked_for_nothing_they_gave(
    database: Database, tmp_path: Path, later: SimulatorServer, dataset: str
) -> None:
    later.app.state.requests.clear()
    platform = archive_platform(database, tmp_path, later)
    window = Window(utc("2024-02-25"), utc("2024-03-09"))
    run_assets(platform, [ASSETS[dataset]], window, scope=Scope(only_missing=True))
    log = platform.warehouse.read("ops.fetch_log", where={"source": "binance_archive"})
    assert len(log)
    assert set(log["fetch_status"]) == {"ok"}
    assert [p for p in later.app.state.requests if p.startswith("/archive")] == []


@pytest.mark.slow
def test_what_the_archive_answered_for_is_not_asked_again(
    database: Database, tmp_path: Path, later: SimulatorServer
) -> None:
    platform = archive_platform(database, tmp_path, later)
    scope = Scope(only_missing=True)
    assert raw.calls_of(platform, scope, "candles", ARCHIVED)
    run_assets(platform, [ASSETS["candles"]], ARCHIVED, scope=scope)
    assert raw.calls_of(platform, scope, "candles", ARCHIVED) == []
    # days whose files are not out yet belong to the API alone
    (call,) = raw.calls_of(platform, scope, "candles", Window(utc("2024-03-08"), LATER))
    assert "binance_archive" not in call.sources


def test_real_prices_are_refused_by_a_database_of_other_data(
    platform: Platform, tmp_path: Path, database: Database
) -> None:
    platform.settings = settings_for(database, tmp_path / "home", origin="tape")
    result = run_assets(platform, [ASSETS["candles"]], WINDOW, raise_on_error=False)
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "holds tape data" in failure.step_failure_data.user_failure_data.description
    assert platform.warehouse.read("ops.fetch_log").empty


@pytest.mark.slow
def test_fault_06_refused_key_is_told_once_a_day_by_its_fingerprint(
    database: Database, tmp_path: Path, simulator: SimulatorServer
) -> None:
    key = "canary-3b9f60d2aa"
    settings = settings_for(
        database,
        tmp_path / "home",
        **{**simulator.settings_overrides(), "coinglass_api_key": key},
        webhooks_all="http://127.0.0.1:9/",
    )
    platform = Platform(settings, FixedClock(NOW), database)
    simulator.app.state.faults["/coinglass/"] = Fault(status=401, body=f'{{"msg":"bad key {key}"}}')
    try:
        for _ in range(2):
            run_assets(platform, [ASSETS["liquidations"]], WINDOW)
    finally:
        simulator.app.state.faults.clear()
    with database.connect() as connection:
        told = [r[0] for r in connection.execute("select body from alerts.outbox").fetchall()]
    assert len(told) == 1
    assert "coinglass refuses us: AuthError" in str(told[0])
    assert fingerprint(key) in str(told[0])
    assert key not in str(told[0])
    log = platform.warehouse.read("ops.fetch_log")
    assert {"AuthError", "CircuitOpen"} <= set(log["error_class"].dropna())


# --- rows that look wrong -------------------------------------------------------------------------


def with_loopback_hook(
    database: Database, tmp_path: Path, simulator: SimulatorServer, now: str
) -> Platform:
    settings = settings_for(
        database,
        tmp_path / "home",
        **{**simulator.settings_overrides(), "binance_archive_url": None},
        webhooks_all="http://127.0.0.1:9/",
    )
    return Platform(settings, FixedClock(utc(now)), database)


def system_alerts(database: Database) -> list[str]:
    with database.connect() as connection:
        return [str(r[0]) for r in connection.execute("select body from alerts.outbox").fetchall()]


def scaled_klines(simulator: SimulatorServer, factor: float) -> bytes:
    """Binance's page of the window with all prices times a factor."""
    address = (
        f"{simulator.base_url}/binance/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1000"
        f"&startTime={int(START.timestamp() * 1000)}&endTime={int(NOW.timestamp() * 1000)}"
    )
    with urlopen(address) as reply:
        rows = json.load(reply)
    return json.dumps(
        [[r[0], *(f"{float(x) * factor:.2f}" for x in r[1:5]), *r[5:]] for r in rows]
    ).encode()


@pytest.mark.slow
def test_fault_20_sources_that_disagree_fail_the_check_and_alarm_once_and_both_are_kept(
    database: Database, tmp_path: Path, simulator: SimulatorServer
) -> None:
    platform = with_loopback_hook(database, tmp_path, simulator, "2024-03-04 06:10")
    scope = Scope(symbols=["BTC/USDT"], sources=["binance", "okx"])
    body = scaled_klines(simulator, 1.06)
    simulator.app.state.faults["/binance/api/v3/klines"] = Fault(body=body)
    try:
        for _ in range(2):
            result = run_assets(platform, [ASSETS["candles"]], WINDOW, scope=scope)
    finally:
        simulator.app.state.faults.clear()
    check = check_of(result, suspicion.CHECK)
    assert not check.passed
    assert "okx BTC/USDT disagrees for 78 h (spot close up to" in check.description
    assert "from binance" in check.description
    spot = platform.warehouse.read("raw.candles", where={"market": "spot"})
    assert spot.groupby("source")["source_tier"].unique().map(list).to_dict() == {
        "binance": [1],
        "okx": [2],
    }
    (told,) = system_alerts(database)
    assert "candles: okx disagrees" in told


@pytest.mark.slow
def test_fault_31_a_restated_candle_keeps_its_old_version_and_asks_for_a_new_derivation(
    database: Database, tmp_path: Path, simulator: SimulatorServer
) -> None:
    platform = with_loopback_hook(database, tmp_path, simulator, "2024-03-04 06:10")
    scope = Scope(symbols=["BTC/USDT"], sources=["binance"])
    first = run_assets(platform, [ASSETS["candles"]], WINDOW, scope=scope)
    before = platform.warehouse.read("raw.candles")
    simulator.app.state.faults["/binance/api/v3/klines"] = Fault(
        body=scaled_klines(simulator, 1.01)
    )
    try:
        again = run_assets(platform, [ASSETS["candles"]], WINDOW, scope=scope)
    finally:
        simulator.app.state.faults.clear()
    after = platform.warehouse.read("raw.candles")
    assert len(after) == len(before)
    assert set(after["revision"]) == {1}
    assert set(after["run_id"]) == {again.run_id}
    with database.connect() as connection:
        kept = connection.execute(
            "select count(*), min(run_id), bool_and(superseded_at >= ingested_at) "
            "from raw.candles_revisions"
        ).fetchone()
    assert kept == (len(before), first.run_id, True)
    # what was derived before the restatement is right only up to its first day
    days = freshness._raw_days(database, [first.run_id, again.run_id])
    assert days == {again.run_id: {("raw.candles", START + n * DAY) for n in range(4)}}
    derived = freshness.Happening(derived=WINDOW)
    restated = freshness.Happening(raw_days=tuple(days[again.run_id]))
    (left,) = freshness.known([derived, restated], lambda day: {})
    assert left == freshness.Known(since=START, until=START)


@pytest.mark.slow
def test_fault_38_an_extra_field_is_kept_ignored_and_told_once_a_day(
    database: Database, tmp_path: Path, simulator: SimulatorServer
) -> None:
    platform = with_loopback_hook(database, tmp_path, simulator, "2024-03-04 06:10")
    scope = Scope(sources=["alternative_me"])
    run_assets(platform, [ASSETS["fear_greed"]], WINDOW, scope=scope)
    before = platform.warehouse.content_hash("raw.fear_greed")
    assert system_alerts(database) == []
    rows = platform.warehouse.read("raw.fear_greed")
    body = {
        "name": "Fear and Greed Index",
        "data": [
            {
                "value": str(int(value)),
                "value_classification": word,
                "timestamp": str(int(ts.timestamp())),
                "mood_ring": "teal",
            }
            for value, word, ts in zip(
                rows["fear_greed"], rows["classification"], rows["ts"], strict=True
            )
        ][::-1],
        "metadata": {"error": None},
    }
    simulator.app.state.faults["/alternative_me/"] = Fault(body=json.dumps(body))
    try:
        for _ in range(3):
            assert run_assets(platform, [ASSETS["fear_greed"]], WINDOW, scope=scope).success
    finally:
        simulator.app.state.faults.clear()
    assert platform.warehouse.content_hash("raw.fear_greed") == before
    (told,) = system_alerts(database)
    assert "alternative_me sends new fields in /fng/" in told
    assert "data[].mood_ring" in told
    newest = platform.warehouse.read("ops.payloads")["payload_id"]
    kept = [LandingStore.of(platform.settings).get(p) for p in newest]
    assert any(b"mood_ring" in bytes_ for bytes_ in kept)


@pytest.mark.slow
def test_fault_43_a_new_word_is_kept_and_a_value_out_of_range_is_quarantined_not_carried(
    database: Database, tmp_path: Path, simulator: SimulatorServer
) -> None:
    platform = with_loopback_hook(database, tmp_path, simulator, "2024-03-04 06:10")
    stamps = [int(utc(f"2024-03-0{d}").timestamp()) for d in (4, 3, 2, 1)]
    values = [("61", "Cautious Euphoria"), ("130", "Greed"), (None, "Fear"), ("44", "Fear")]
    data = [
        {"value": v, "value_classification": word, "timestamp": str(at)}
        for (v, word), at in zip(values, stamps, strict=True)
    ]
    body = json.dumps({"name": "x", "data": data, "metadata": {"error": None}})
    simulator.app.state.faults["/alternative_me/"] = Fault(body=body)
    try:
        scope = Scope(sources=["alternative_me"])
        assert run_assets(platform, [ASSETS["fear_greed"]], WINDOW, scope=scope).success
    finally:
        simulator.app.state.faults.clear()
    rows = platform.warehouse.read("raw.fear_greed")
    assert dict(zip(rows["ts"].dt.day, rows["fear_greed"], strict=True)) == {1: 44.0, 4: 61.0}
    assert rows["classification"].iloc[-1] == "Cautious Euphoria"
    refused = platform.warehouse.read("ops.quarantine")
    assert len(refused) == 2
    assert refused["reason"].str.contains("outside 0 to 100").any()
    series = fear_greed(rows, window=Window(START, utc("2024-03-05")))
    assert series["fear_greed"].isna().tolist() == [False, True, True, False]
    assert (series.loc[[1, 2], "status"] == "missing").all()


@pytest.mark.slow
def test_fault_52_without_a_place_for_bytes_nothing_is_asked_twice_and_no_row_is_stored(
    platform: Platform, database: Database, tmp_path: Path
) -> None:
    """A row without its bytes could not be proved; the run fails by name, and the hours stay open."""
    (tmp_path / "full").write_text("no folder")
    settings = platform.settings.model_copy(
        update={"landing_url": str(tmp_path / "full" / "landing")}
    )
    broken = Platform(settings, FixedClock(NOW), database)
    failed = run_assets(broken, [ASSETS["fear_greed"]], WINDOW, raise_on_error=False)
    assert not failed.success
    (event,) = failed.filter_events(lambda e: e.event_type_value == "STEP_FAILURE")
    assert "full" in str(event.event_specific_data.error)
    assert platform.warehouse.read("raw.fear_greed").empty
    run_assets(platform, [ASSETS["fear_greed"]], WINDOW)
    assert len(platform.warehouse.read("raw.fear_greed")) > 0


@pytest.mark.slow
def test_fault_84_a_raw_asset_that_fails_leaves_the_others_and_what_reads_it_says_so(
    platform: Platform, simulator: SimulatorServer
) -> None:
    for source in ("alternative_me", "coinglass"):
        simulator.app.state.faults[f"/{source}/"] = Fault(status=451, body="{}")
    derived = [asset_of("market.fear_greed"), asset_of("market.candles_1h")]
    try:
        run_assets(platform, [ASSETS["fear_greed"], ASSETS["candles"], *derived], WINDOW)
    finally:
        simulator.app.state.faults.clear()
    assert platform.warehouse.read("raw.fear_greed").empty
    assert len(platform.warehouse.read("raw.candles")) > 0
    index = platform.warehouse.read("market.fear_greed")
    assert index["fear_greed"].isna().all()
    assert index["status"].ne("ok").all() and index["reason"].notna().all()
    assert set(platform.warehouse.read("market.candles_1h")["status"]) == {"ok"}
