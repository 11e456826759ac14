"""What is wrong with the pipeline becomes operational events, once, whether or not anybody is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from regime_pipeline.alerts import watch
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.alerts.heartbeat import Asked, judged
from regime_pipeline.alerts.kinds import OPERATIONAL
from regime_pipeline.settings import Settings
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.alerts.receivers import NOW, settings_for

DAY = NOW.replace(hour=0, minute=0)
_FETCH = """
INSERT INTO ops.fetch_log (fetch_id, dataset, source, symbol, window_start, window_end, fetch_status,
    error_class, fetched_at)
VALUES (%s, 'funding_rates', %s, '*', %s, %s, %s, %s, %s)
"""
_SPAN = """
INSERT INTO ops.coverage_spans (dataset, source, venue, market, symbol, span_start, span_end,
    coverage_state, is_forward_only)
VALUES ('candles', 'okx', 'okx', 'spot', 'BTC/USDT', %s, %s, %s, false)
"""
_TICKS = """
CREATE SCHEMA IF NOT EXISTS dagster;
CREATE TABLE dagster.job_ticks (type text, "timestamp" timestamp, status text, tick_body text);
INSERT INTO dagster.job_ticks VALUES
    ('SENSOR', %(late)s, 'SKIPPED', '{"instigator_name": "gaps", "x": 1}'),
    ('SENSOR', %(now)s, 'SKIPPED', '{"instigator_name": "alert_dispatch", "x": 1}');
"""


def fetched(conn, number: int, source: str, hours_ago: float, error: str | None = None) -> None:
    at = NOW - timedelta(hours=hours_ago)
    status = "ok" if error is None else "failed"
    conn.execute(_FETCH, (f"{number}", source, at, at, status, error, at))


def wrong_everywhere(conn) -> None:
    """Every kind of trouble at once, beside neighbours that are well."""
    for number, hours in enumerate((9, 7, 2)):
        fetched(conn, number, "bybit", hours, None if hours == 9 else "ServerError")
    fetched(conn, 10, "okx", 1)
    fetched(conn, 11, "okx", 0.5, "ServerError")  # one failure is no silence
    conn.execute(_SPAN, (DAY - timedelta(days=6), DAY - timedelta(days=2), "stored"))
    conn.execute(_SPAN, (DAY - timedelta(days=2), DAY - timedelta(days=1), "missed"))
    conn.execute(_SPAN, (DAY - timedelta(days=1), DAY, "stored"))
    for days, blocks in ((0, 2), (1, 0), (30, 5)):
        conn.execute(
            "INSERT INTO ops.quality_scores (table_name, ts, n_checks, n_not_applicable, n_warn, n_block, "
            "n_withheld) VALUES ('raw.candles', %s, 9, 0, 0, %s, 0)",
            (DAY - timedelta(days=days), blocks),
        )
    conn.execute(
        "INSERT INTO ops.quality_checks (table_name, check_id, series, ts, check_outcome, check_severity, "
        "n_judged, n_failed, n_withheld, penalty) "
        "VALUES ('raw.candles', 'DQ13', '*', %s, 'failed', 'WARN', 9, 1, 0, 1)",
        (DAY,),
    )
    naive = NOW.replace(tzinfo=None)
    late = naive - timedelta(hours=1)
    for statement in _TICKS.strip().split(";"):
        if statement.strip():
            conn.execute(statement, {"late": late, "now": naive} if "late" in statement else None)
    conn.execute("CREATE TABLE IF NOT EXISTS ops.collector_heartbeat (beat_at timestamptz)")
    conn.execute("TRUNCATE ops.collector_heartbeat")


@pytest.fixture
def short(monkeypatch, tmp_path):
    """A machine without disk or memory left."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 20 kB\n")
    monkeypatch.setattr(watch, "disk_faults", lambda _: ["disk: full, 1.0 % free at /"])
    found = watch.memory_faults(meminfo)
    assert found == ["memory: low, 2.0 % available"]
    monkeypatch.setattr(watch, "memory_faults", lambda: found)
    monkeypatch.setattr(watch, "limit_faults", list)


def test_whatever_is_wrong_is_stored_once_though_nobody_is_told(database, tmp_path, short):
    with database.connect() as conn:
        wrong_everywhere(conn)
    nobody = Settings(_env_file=None, home=tmp_path)
    found = {f.kind.name: f.title for f in watch.tell(database, nobody, FixedClock(NOW))}
    assert {k: v for k, v in found.items() if k != "RESOURCES_LOW"} == {
        "SOURCE_STALE": "bybit answers nothing any more",
        "COVERAGE_LOW": "candles: more than 10 % of the week is missed",
        "DATA_BLOCKED": "raw.candles: rows of 2024-08-05 are withheld",
        "DATA_DRIFT": "raw.candles: 2024-08-05 looks unlike the last 30 days",
        "SENSOR_SILENT": "the sensor gaps is silent",
    }
    with database.connect() as conn:
        stored = conn.execute("SELECT event_type, title FROM alerts.system_events").fetchall()
    assert ("RESOURCES_LOW", "disk is full") in stored
    assert ("RESOURCES_LOW", "memory is low") in stored
    assert len(stored) == 7
    assert {name for name, _ in stored} <= OPERATIONAL.keys()
    assert watch.tell(database, nobody, FixedClock(NOW + timedelta(minutes=1))) == []


def test_what_is_wrong_reaches_who_gets_operational_events(database, receiver, tmp_path, short):
    settings = settings_for(receiver, tmp_path)
    watch.tell(database, settings, FixedClock(NOW))
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 2


def test_where_all_is_well_nothing_is_said(database, tmp_path):
    with database.connect() as conn:
        assert list(watch._data(conn, NOW)) == []
        assert list(watch._sensors(conn, NOW)) == list(watch._collector(conn, NOW)) == []
    assert watch.memory_faults(tmp_path / "no-such-system") == []


@pytest.mark.parametrize(
    ("limit", "taken", "idle", "found"),
    [
        ("1000", "950", "100", ["memory limit: nearly reached, 85 % of what may be taken here"]),
        ("1000", "950", "200", []),
        ("max", "950", "0", []),
    ],
    ids=["near", "files-that-can-go", "no-limit"],
)
def test_a_memory_limit_is_told_before_it_ends_a_process(
    tmp_path: Path, limit: str, taken: str, idle: str, found: list[str]
) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{taken}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {idle}\n")
    assert watch.limit_faults(tmp_path) == found
    assert watch.limit_faults(tmp_path / "no-such-system") == []


def test_a_collector_that_beats_no_more_is_named_by_both_paths_unless_it_was_told_to_end(
    database, tmp_path
):
    late = NOW - timedelta(seconds=31)
    with database.connect() as conn:
        wrong_everywhere(conn)
        columns = conn.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'ops' "
            "AND table_name = 'collector_heartbeat' AND is_nullable = 'NO' AND column_name <> 'beat_at'"
        ).fetchall()
        names, values = ["beat_at"], [late]
        for (name,) in columns:
            names.append(name)
            values.append(late if name.endswith("_at") else 1)
        given = ", ".join(["%s"] * len(values))
        conn.execute(
            f"INSERT INTO ops.collector_heartbeat ({', '.join(names)}) VALUES ({given})", values
        )
        found = [
            f for f in watch.look(conn, watch.Path("/"), NOW) if f.kind.name == "COLLECTOR_DOWN"
        ]
        assert [f.details["since"] for f in found] == [late.isoformat()]
        assert list(watch._collector(conn, NOW)) == found
        just_so = watch.look(conn, watch.Path("/"), NOW - timedelta(seconds=5))
        assert "COLLECTOR_DOWN" not in {f.kind.name for f in just_so}
        conn.execute("UPDATE ops.collector_heartbeat SET ended_at = beat_at")
        as_told = watch.look(conn, watch.Path("/"), NOW)
        assert "COLLECTOR_DOWN" not in {f.kind.name for f in as_told}
    with database.connect() as conn:
        conn.execute("UPDATE ops.collector_heartbeat SET ended_at = NULL")
    nobody = Settings(_env_file=None, home=tmp_path)
    (told,) = watch.tell_collector(database, nobody, FixedClock(NOW))
    assert told.kind.name == "COLLECTOR_DOWN"
    assert watch.tell_collector(database, nobody, FixedClock(NOW + timedelta(seconds=15))) == []
    asked = Asked(NOW, NOW, NOW, 0, None, collector_at=late)
    assert judged(asked, NOW, needs_daemon=True) == ["collector: silent for 1 min"]


def test_what_is_wrong_stands_in_a_table_until_it_is_over(database, tmp_path, short, monkeypatch):
    nobody = Settings(_env_file=None, home=tmp_path)

    def looked(minutes: int) -> dict[str, tuple[int, bool]]:
        watch.tell(database, nobody, FixedClock(NOW + timedelta(minutes=minutes)))
        with database.connect() as conn:
            rows = conn.execute(
                "SELECT title, seen_count, over_at FROM ops.system_alerts"
            ).fetchall()
        return {title: (seen, over is None) for title, seen, over in rows}

    assert looked(0) == {"disk is full": (1, True), "memory is low": (1, True)}
    assert looked(1)["disk is full"] == (2, True)
    monkeypatch.setattr(watch, "disk_faults", lambda _: [])
    assert looked(2) == {"disk is full": (2, False), "memory is low": (3, True)}
    monkeypatch.setattr(watch, "disk_faults", lambda _: ["disk: full, 0.9 % free at /"])
    assert looked(3)["disk is full"] == (3, True)


def test_connections_that_are_nearly_used_up_are_told(database, tmp_path, monkeypatch):
    with database.connect() as conn:
        assert watch._connection_faults(conn) == []
        monkeypatch.setattr(watch, "CONNECTIONS_HIGH", 0.0)
        found = [f.title for f in watch.look(conn, tmp_path, NOW)]
    assert "pool of connections is nearly used up" in found
