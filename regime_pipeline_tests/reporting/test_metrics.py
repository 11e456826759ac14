"""Figures for a monitor: what is stored is counted, what is not known has no figure, and symbols add none."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict
from pathlib import Path

from pydantic import SecretStr
from starlette.testclient import TestClient

from regime_pipeline.exposition import Family, gauge, text
from regime_pipeline.reporting import metrics
from regime_pipeline.reporting.monitor import create_app
from regime_pipeline.settings import Settings
from regime_pipeline.storage import locks, workers
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.manifests import MANIFEST, Manifest
from regime_pipeline.windows import DAY, HOUR, FixedClock, utc

NOW = utc("2024-08-05 12:30")
_OF_SYMBOLS = """
insert into ops.fetch_log (fetch_id, dataset, source, symbol, window_start, window_end, fetch_status,
    request_count, fetched_at, run_id)
select 'f' || s, 'candles', 'okx', 'S' || s || '/USDT', %(now)s - interval '1 hour', %(now)s,
    case when s = 1 then 'failed' else 'ok' end, 2, %(now)s - interval '5 minutes', 'run ' || s
from generate_series(1, %(symbols)s) s;
insert into ops.coverage_spans (dataset, source, venue, market, symbol, span_start, span_end,
    coverage_state, is_forward_only)
select 'candles', 'okx', 'okx', 'spot', 'S' || s || '/USDT', %(now)s - interval '9 days',
    %(now)s - interval '6 days', 'missed', false
from generate_series(1, %(symbols)s) s;
insert into ops.quarantine (quarantine_id, table_name, reason, row_data, created_at)
select 'q' || s, 'raw.candles', 'odd ' || s, '{}', %(now)s from generate_series(1, %(symbols)s) s;
insert into alerts.outbox (event_id, endpoint, ts, event_type, body, state, attempts, next_at,
    deliver_before, created_at)
select 'e' || s, 'desk', %(now)s, 'CASCADE', 'x', 'pending', 0, %(now)s - s * interval '1 second',
    %(now)s + interval '1 hour', %(now)s - interval '2 days'
from generate_series(1, %(symbols)s) s
"""


def fill(database: Database, symbols: int) -> None:
    with database.connect() as connection:
        for statement in _OF_SYMBOLS.split(";"):
            connection.execute(statement, {"now": NOW, "symbols": symbols})


def clear(database: Database) -> None:
    with database.connect() as connection:
        for name in ("ops.fetch_log", "ops.coverage_spans", "ops.quarantine", "alerts.outbox"):
            connection.execute(f"delete from {name}")


def figures(database: Database, home: Path) -> dict[str, Family]:
    settings = Settings(home=home, database_url=SecretStr(database.url))
    return {f.name: f for f in metrics.read(settings, NOW)}


def test_fault_94_five_thousand_symbols_have_the_series_of_eight(
    database: Database, tmp_path: Path
) -> None:
    shapes = []
    for symbols in (8, 5000):
        fill(database, symbols)
        found = figures(database, tmp_path)
        shapes.append({n: [labels for labels, _ in f.samples] for n, f in found.items()})
        assert found["regime_requests_hour"].samples == (
            ({"source": "okx", "status": "failed"}, 2.0),
            ({"source": "okx", "status": "ok"}, 2.0 * (symbols - 1)),
        )
        assert found["regime_missed_hours"].samples[0][1] == 24 * symbols
        assert found["regime_quarantine_rows"].samples[0][1] == symbols
        assert found["regime_outbox_age_seconds"].samples == (({"endpoint": "desk"}, symbols),)
        assert found["regime_metrics_unanswered"].samples == ()
        clear(database)
    assert shapes[0] == shapes[1]
    assert sum(map(len, shapes[0].values())) < metrics.MOST_SERIES
    assert "S1/USDT" not in json.dumps(shapes)


def test_a_service_is_counted_with_its_children_and_files(
    database: Database, tmp_path: Path
) -> None:
    with database.connect(autocommit=True) as connection:
        name = f"regime ui, process {os.getpid()} on {socket.gethostname()}, port 3000"
        assert locks.take_service(connection, name) == []
        found = figures(database, tmp_path)
    ((labels, memory),) = found["regime_rss_bytes"].samples
    assert labels == {"part": "ui"}
    assert memory > 10e6
    assert found["regime_fds"].samples[0][1] >= 3


def test_the_age_of_a_backup_is_that_of_the_newest_whole_one(
    database: Database, tmp_path: Path
) -> None:
    assert figures(database, tmp_path)["regime_backup_age_seconds"].samples == ()
    for name, at in (("any name", NOW - 2 * DAY), ("live-20990101T000000Z", NOW - DAY)):
        made = Manifest(at.isoformat(), "live", "0001", "", 0, {}, {}, landing=False)
        (tmp_path / "backups" / name).mkdir(parents=True)
        (tmp_path / "backups" / name / MANIFEST).write_text(json.dumps(asdict(made)))
    (tmp_path / "backups" / "live-20240805T000000Z").mkdir()  # half made
    age = figures(database, tmp_path)["regime_backup_age_seconds"].samples[0][1]
    assert age == DAY.total_seconds()
    (tmp_path / "backups" / "live-20990101T000000Z" / MANIFEST).write_text("{")
    assert figures(database, tmp_path)["regime_backup_age_seconds"].samples == ()


def test_a_worker_has_an_age_until_it_ends_in_order(database: Database, tmp_path: Path) -> None:
    assert "regime_worker_age_seconds" not in figures(database, tmp_path)
    with database.connect() as connection:
        connection.execute("create schema dagster")
        connection.execute("create table dagster.kvs (key text primary key, value text)")
        for name, value in (("one", (NOW - HOUR).isoformat()), ("two", "")):
            connection.execute(
                "insert into dagster.kvs values (%s, %s)", (workers.KEY + name, value)
            )
    ((labels, age),) = figures(database, tmp_path)["regime_worker_age_seconds"].samples
    assert (labels, age) == ({"worker": "one"}, 3600.0)


def test_while_the_database_is_away_the_server_says_so(tmp_path: Path) -> None:
    away = Settings(home=tmp_path, database_url=SecretStr("postgresql://me:pw@127.0.0.1:1/none"))
    client = TestClient(create_app(away, FixedClock(NOW)))
    page = client.get("/metrics")
    assert page.status_code == 200
    assert "regime_up 0\n" in page.text
    assert "regime_connections" not in page.text
    assert "pw" not in page.text
    assert client.get("/live").status_code == 200
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert ready.json()["faults"][0].startswith("database: ")


def test_figures_are_written_as_monitors_read_them() -> None:
    odd = Family("regime_x", "A\nline.", (({"part": 'a"b\\c'}, 2.0), ({"part": "d"}, 0.25)))
    assert text([odd, gauge("regime_y", "Unknown.", None)]) == (
        "# HELP regime_x A\\nline.\n# TYPE regime_x gauge\n"
        'regime_x{part="a\\"b\\\\c"} 2\nregime_x{part="d"} 0.25\n'
        "# HELP regime_y Unknown.\n# TYPE regime_y gauge\n"
    )
