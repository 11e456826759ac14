"""Migrating legacy signals into a database: once, checked against what is stored, originals untouched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.cli.app import app
from regime_pipeline.legacy.migrate import TABLE, migrate
from regime_pipeline.orchestration.assets.legacy import legacy_signals
from regime_pipeline.orchestration.io_manager import warehouse_io_manager
from regime_pipeline.orchestration.metadata import RUN_COUNTS
from regime_pipeline.orchestration.resources import Platform, Scope, platform_resource
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import FixedClock, utc
from regime_pipeline_tests.legacy.samples import Sample, write
from regime_pipeline_tests.orchestration.conftest import completed, settings_for

NOW = utc("2024-06-01")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "reports"


@pytest.fixture
def platform(database: Database, tmp_path: Path, folder: Path) -> Platform:
    settings = settings_for(database, tmp_path / "home", legacy_dir=folder)
    return Platform(settings, FixedClock(NOW), database)


@pytest.fixture
def made(folder: Path) -> list[Sample]:
    return write(folder)


def run(platform: Platform, folder: Path, *, dry: bool = False):
    return migrate(
        folder,
        settings=platform.settings,
        clock=platform.clock,
        warehouse=None if dry else platform.warehouse,
    )


def one(folder: Path, name: str, **more: object) -> None:
    folder.mkdir(exist_ok=True)
    document = {"symbol": "BTCUSDT", "timestamp": "2024-03-05T10:30:00Z", "momentum": 60, **more}
    (folder / name).write_text(json.dumps(document))


def fingerprint(folder: Path) -> dict[str, tuple[int, int, str]]:
    return {
        str(p): (p.stat().st_mtime_ns, p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in sorted(folder.rglob("*.json"))
    }


def test_every_file_is_reported_stored_and_kept_with_its_bytes(
    platform: Platform, folder: Path, made: list[Sample]
) -> None:
    done = run(platform, folder)
    assert {f.path: f.outcome for f in done.files} == {s.name: s.outcome for s in made}
    stored = platform.warehouse.read(TABLE)
    assert len(stored) == len(done.frame) == sum(s.rows for s in made)
    assert set(stored["source_tier"]) == {3}
    repaired = {s.name for s in made if s.outcome == "repaired"}
    assert set(stored.loc[stored["is_repaired"], "file_name"]) == repaired | {"broken/nan.json"}
    assert (stored["available_at"] == stored["ts"]).all()
    landing = LandingStore.of(platform.settings)
    bodies = {s.name: s.body for s in made}
    for name, payload in stored[["file_name", "payload_id"]].drop_duplicates().to_numpy():
        assert landing.get(payload) == bodies[name]
    refused = platform.warehouse.read("ops.quarantine")
    assert len(refused) == len(done.refused)
    told = {json.loads(r)["file_name"] for r in refused["row_data"]}
    assert told == {s.name for s in made if s.outcome in ("partial", "quarantined")}
    index = platform.warehouse.read("ops.payloads")
    assert set(index["url"]) == {f"file:{s.name}" for s in made}


@pytest.mark.slow
def test_running_twice_adds_nothing_and_originals_stay_untouched(
    platform: Platform, folder: Path, made: list[Sample]
) -> None:
    before = fingerprint(folder)
    run(platform, folder)
    counts, content = platform.warehouse.counts(), platform.warehouse.content_hash(TABLE)
    again = run(platform, folder)
    assert again.written is not None
    assert again.written.changed == again.quarantined == 0
    assert platform.warehouse.counts() == counts
    assert platform.warehouse.content_hash(TABLE) == content
    assert fingerprint(folder) == before


@pytest.mark.slow
def test_a_dry_run_reports_the_same_and_writes_nothing(
    platform: Platform, folder: Path, made: list[Sample]
) -> None:
    before = platform.warehouse.counts()
    dry = run(platform, folder, dry=True)
    assert platform.warehouse.counts() == before
    assert not platform.settings.home.exists()
    wet = run(platform, folder).to_json()
    assert dry.to_json()["files"] == wet["files"]
    assert dry.to_json()["dry_run"]


@pytest.mark.slow
def test_files_that_contradict_each_other_settle_the_same_every_time(
    platform: Platform, folder: Path
) -> None:
    one(folder, "a.json", momentum=10)
    one(folder, "b.json", momentum=20)
    body = json.dumps(
        {"symbol": "BTCUSDT", "timestamp": "2024-03-05T10:30:00Z", "momentum": 30}
    ).encode()
    (folder / "c.json").write_bytes(body + b"\0\0")  # repaired: never beats a sound file
    for _ in range(2):
        done = run(platform, folder)
        stored = platform.warehouse.read(TABLE)
        assert stored[["legacy_score", "file_name", "revision"]].values.tolist() == [
            [20.0, "b.json", 0]
        ]
        assert [f.outcome for f in done.files] == ["quarantined", "ok", "quarantined"]


def candles(low: float, high: float) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "source": "binance",
            "venue": "binance",
            "market": "spot",
            "symbol": "BTC/USDT",
            "timeframe": "1h",
            "ts": pd.DatetimeIndex(["2024-03-05T10:00Z"]),
            "open": low,
            "high": high,
            "low": low,
            "close": high,
            "volume_base": 1.0,
        }
    )
    return completed("raw.candles", frame)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("price", "kept"), [(65_000, True), (650_000, False), (3_500, False), (None, True)]
)
def test_a_price_times_ten_is_quarantined_by_the_stored_candles(
    platform: Platform, folder: Path, price: float | None, kept: bool
) -> None:
    platform.warehouse.merge("raw.candles", candles(64_000, 66_000))
    one(folder, "a.json", **({"price": price} if price else {}))
    done = run(platform, folder)
    assert len(platform.warehouse.read(TABLE)) == kept
    (file,) = done.files
    assert file.outcome == ("ok" if kept else "quarantined")
    if not kept:
        (reason,) = platform.warehouse.read("ops.quarantine")["reason"]
        assert "not the market's, which was 64000 to 66000" in reason


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "flag"), [(50.0, "agrees"), (30.0, "differs")])
def test_a_score_far_from_a_better_tiers_is_kept_and_flagged(
    platform: Platform, folder: Path, ours: float, flag: str
) -> None:
    # the row that was known at 10:30 is the one stamped 09:00, which decides at 10:00
    row = {"ts": utc("2024-03-05 09:00"), "symbol": "BTC/USDT", "momentum_score": ours}
    fixed = {"source_tier": 1, "available_at": row["ts"], "status": "ok", "method_version": "m/1"}
    item = table("signals.components")
    frame = pd.DataFrame([{k: v for k, v in (row | fixed).items() if k in item.fields}])
    frame = frame.reindex(columns=list(item.fields))
    for name in item.required - set(row) - set(fixed):
        frame[name] = {"market": "perp", "venue": "binance"}.get(name, "ok")
    platform.warehouse.merge("signals.components", frame.astype(empty(item).dtypes.to_dict()))
    one(folder, "a.json", volume=60)
    run(platform, folder)
    stored = platform.warehouse.read(TABLE).set_index("component")["cross_check"]
    assert stored.to_dict() == {"momentum": flag, "volume": "no_reference"}


def materialize(platform: Platform, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [legacy_signals],
        resources={
            "platform": platform_resource(platform),
            "scope": Scope(),
            "warehouse_io": warehouse_io_manager,
        },
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=raise_on_error,
    )


@pytest.mark.slow
def test_the_asset_reads_the_configured_folder(
    platform: Platform, folder: Path, made: list[Sample]
) -> None:
    result = materialize(platform)
    stored = platform.warehouse.read(TABLE)
    assert set(stored["run_id"]) == {result.run_id}
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata[RUN_COUNTS].value["rows inserted"] == len(stored) > 0


def test_the_asset_without_a_folder_says_what_to_set(
    platform: Platform, database: Database, tmp_path: Path
) -> None:
    platform.settings = settings_for(database, tmp_path / "home")
    result = materialize(platform, raise_on_error=False)
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert "REGIME_LEGACY_DIR" in str(failure.step_failure_data)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def shell(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("REGIME_DATABASE_URL", database.url)
    monkeypatch.setenv("REGIME_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REGIME_CLOCK", NOW.isoformat())
    monkeypatch.setenv("REGIME_SYMBOLS", "BTC/USDT,ETH/USDT,SOL/USDT")
    monkeypatch.setenv("REGIME_ORIGIN", "live")
    monkeypatch.chdir(tmp_path)
    return CliRunner()


@pytest.mark.slow
def test_the_command_tells_each_file_and_repeats_without_change(
    shell: CliRunner, folder: Path, made: list[Sample], platform: Platform
) -> None:
    ask = ["migrate-signals", "--source-dir", str(folder), "--json"]
    dry = shell.invoke(app, [*ask, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.stdout)["dry_run"]
    assert platform.warehouse.counts()[TABLE] == 0
    first, second = (json.loads(shell.invoke(app, ask).stdout) for _ in range(2))
    assert {f["file"]: f["outcome"] for f in first["files"]} == {s.name: s.outcome for s in made}
    assert first["inserted"] == first["rows"] == sum(s.rows for s in made)
    assert second["inserted"] == second["updated"] == second["quarantined"] == 0
    human = shell.invoke(app, [*ask[:-1], "--verbose"])
    for sample in made:
        assert sample.name[:20] in human.stdout
    assert "0 new, 0 changed" in " ".join(human.stdout.split())
