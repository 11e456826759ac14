"""Figures of the pipeline for a monitor, read from outside of everything that runs.

Belongs here: one row of :data:`ASKED` for each question to the database, figures of the machine, the two
together as the page of ``regime metrics``. Does not belong here: the server (``reporting.monitor``), alerts.

No label is ever a symbol, a run or an address: the number of series does not grow with the market. A
question that is not answered in time leaves its figure out and counts in ``regime_metrics_unanswered``;
nothing is made up in its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psycopg

from regime_pipeline.exposition import Family, gauge
from regime_pipeline.settings import Settings
from regime_pipeline.storage import locks, manifests, workers
from regime_pipeline.storage.database import address_at_rest
from regime_pipeline.storage.errors import BackupError
from regime_pipeline.storage.folders import existing

ANSWER_S = 1
"""Seconds in which the database must answer one question."""
MOST_SERIES = 1500
_PROC = Path("/proc")
_PROCESS = re.compile(r"process (\d+) on ([^\s,)]+)")


@dataclass(frozen=True)
class Asked:
    """A question to the database.

    Attributes:
        name: of the figure, without ``regime_``.
        about: one line.
        query: gives the labels' values, then the figure; null: not known.
        labels: names of the labels.
        needs: a table without which there is nothing to ask.
    """

    name: str
    about: str
    query: str
    labels: tuple[str, ...] = ()
    needs: str | None = None


ASKED = (
    Asked(
        "daemon_heartbeat_age_seconds",
        "Since each part of Dagster's daemon last showed that it works.",
        'select lower(daemon_type), extract(epoch from %(naive)s - max("timestamp")) '
        "from dagster.daemon_heartbeats group by 1",
        ("daemon",),
        "dagster.daemon_heartbeats",
    ),
    Asked(
        "tick_age_seconds",
        "Since each schedule last did what it is for.",
        """select substring(tick_body from '"instigator_name": "([^"]+)"'), """
        'extract(epoch from %(naive)s - max("timestamp")) from dagster.job_ticks '
        "where type = 'SCHEDULE' and status in ('SUCCESS', 'SKIPPED') and \"timestamp\" > %(naive)s - "
        "interval '7 days' group by 1",
        ("schedule",),
        "dagster.job_ticks",
    ),
    Asked(
        "runs_waiting",
        "Runs that have not ended, by their state.",
        "select lower(status), count(*) from dagster.runs "
        "where status not in ('SUCCESS', 'FAILURE', 'CANCELED') group by 1",
        ("state",),
        "dagster.runs",
    ),
    Asked(
        "run_failures_day",
        "Runs that failed within 24 hours.",
        "select pipeline_name, count(*) filter (where status = 'FAILURE') from dagster.runs "
        "where create_timestamp > %(naive)s - interval '1 day' group by 1",
        ("job",),
        "dagster.runs",
    ),
    Asked(
        "run_duration_seconds",
        "How long the last successful run of each job took.",
        "select distinct on (pipeline_name) pipeline_name, end_time - start_time from dagster.runs "
        "where status = 'SUCCESS' and end_time > extract(epoch from %(now)s) - 604800 "
        "order by pipeline_name, end_time desc",
        ("job",),
        "dagster.runs",
    ),
    Asked(
        "data_age_seconds",
        "Age of the newest time of a row that was written, by table.",
        "select table_name, extract(epoch from %(now)s - newest_ts) from ops.table_versions "
        "where newest_ts is not null",
        ("table",),
    ),
    Asked(
        "missed_hours",
        "Hours of the last seven days that we missed.",
        "select dataset, source, sum(extract(epoch from least(span_end, %(now)s) - "
        "greatest(span_start, %(now)s - interval '7 days')) / 3600) from ops.coverage_spans "
        "where coverage_state = 'missed' and span_end > %(now)s - interval '7 days' "
        "and span_start < %(now)s group by 1, 2",
        ("dataset", "source"),
    ),
    Asked(
        "quarantine_rows",
        "Rows that were ever refused.",
        "select table_name, count(*) from ops.quarantine group by 1",
        ("table",),
    ),
    Asked(
        "quality_score",
        "Data-quality score of the newest day that has one.",
        "select distinct on (table_name) table_name, quality_score from ops.quality_scores "
        "where ts > %(now)s - interval '7 days' order by table_name, ts desc",
        ("table",),
    ),
    Asked(
        "requests_hour",
        "Requests to providers within an hour, by what came of their window.",
        "select source, fetch_status, sum(request_count) from ops.fetch_log "
        "where fetched_at > %(now)s - interval '1 hour' group by 1, 2",
        ("source", "status"),
    ),
    Asked(
        "breaker_open",
        "Whether a source is left alone.",
        "select source, max(case when breaker_state = 'open' then 1 else 0 end) "
        "from ops.breaker_state group by 1",
        ("source",),
    ),
    Asked(
        "budget_used_ratio",
        "Share of its fullest rate limit that a source has used in the present window.",
        "select source, max(case when budget_window_start + budget_window_s * interval '1 second' > "
        "%(now)s then budget_used::float / nullif(budget_limit, 0) else 0 end) "
        "from ops.rate_budgets group by 1",
        ("source",),
    ),
    Asked(
        "outbox_age_seconds",
        "How long the oldest message that is to be sent has waited.",
        "select endpoint, extract(epoch from %(now)s - min(greatest(next_at, created_at))) "
        "from alerts.outbox where state in ('pending', 'sending') and next_at <= %(now)s group by 1",
        ("endpoint",),
    ),
    Asked(
        "deliveries_day",
        "Attempts to deliver within 24 hours, by how they ended.",
        "select a.endpoint, a.outcome, count(*) from alerts.delivery_starts s "
        "join alerts.delivery_attempts a using (event_id, endpoint, attempt) "
        "where s.attempted_at > %(now)s - interval '1 day' group by 1, 2",
        ("endpoint", "outcome"),
    ),
    Asked(
        "collector_beat_age_seconds",
        "Since the live collector last showed that it works.",
        "select extract(epoch from %(now)s - beat_at) from ops.collector_heartbeat "
        "where ended_at is null",
    ),
    Asked(
        "worker_age_seconds",
        "Since each worker of other machines was last heard.",
        "select substr(key, length(%(worker)s) + 1), extract(epoch from %(now)s - value::timestamptz) "
        "from dagster.kvs where value <> '' and starts_with(key, %(worker)s)",
        ("worker",),
        "dagster.kvs",
    ),
    Asked(
        "system_alerts_open",
        "What is wrong with the pipeline itself.",
        "select alert_severity, count(*) from ops.system_alerts where over_at is null group by 1",
        ("severity",),
    ),
    Asked(
        "db_bytes",
        "Size of each schema as the server last counted it.",
        "select n.nspname, sum(c.relpages::bigint) * current_setting('block_size')::bigint "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname !~ '^(pg_|information_schema)' and c.relkind in ('r', 'i', 'm') group by 1",
        ("schema",),
    ),
    Asked(
        "connections",
        "Connections to the server.",
        "select coalesce(usename, 'none'), count(*) from pg_stat_activity "
        "where backend_type = 'client backend' group by 1",
        ("role",),
    ),
    Asked(
        "connections_limit",
        "Connections that the server takes.",
        "select current_setting('max_connections')::int",
    ),
)


def read(settings: Settings, now: datetime) -> list[Family]:
    """All figures.

    Args:
        settings: where database, disk and backups are.
        now: ages count to here.
    """
    families: list[Family] = []
    services: dict[str, int] = {}
    unanswered: list[str] = []
    address, is_up = address_at_rest(settings), False
    if address is not None:
        try:
            with _connected(address) as connection:
                is_up = True
                families += _answers(connection, now, unanswered)
                services = _services(connection)
        except psycopg.Error:
            is_up = False
    families.insert(0, gauge("regime_up", "Whether the database answers.", is_up))
    families.append(
        Family(
            "regime_metrics_unanswered",
            "Questions that the database did not answer in time.",
            tuple(({"metric": name}, 1.0) for name in unanswered),
        )
    )
    return [*families, *_machine(settings, now), *_processes(services)]


@contextlib.contextmanager
def _connected(address: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        address,
        connect_timeout=ANSWER_S,
        autocommit=True,
        application_name="regime_metrics",
        options=f"-c default_transaction_read_only=on -c statement_timeout={1000 * ANSWER_S}",
    ) as connection:
        yield connection


def _answers(
    connection: psycopg.Connection, now: datetime, unanswered: list[str]
) -> Iterator[Family]:
    values = {"now": now, "naive": now.replace(tzinfo=None), "worker": workers.KEY}
    for asked in ASKED:
        try:
            if asked.needs and connection.execute(
                "select to_regclass(%s)", (asked.needs,)
            ).fetchone() == (None,):
                continue
            rows = connection.execute(asked.query, values).fetchall()
        except psycopg.OperationalError:
            raise  # it went away: nothing more can be asked
        except psycopg.Error:
            unanswered.append(asked.name)
            continue
        samples = tuple(
            (dict(zip(asked.labels, map(str, row[:-1]), strict=True)), float(row[-1]))
            for row in sorted(rows, key=str)
            if row[-1] is not None and None not in row
        )
        yield Family(f"regime_{asked.name}", asked.about, samples)


def _services(connection: psycopg.Connection) -> dict[str, int]:
    """Process numbers, on this machine, of what serves the database."""
    out = {}
    for part, service in (("ui", locks.SERVICE), ("collector", locks.COLLECTOR)):
        for name in locks.holders(connection, [service]):
            found = _PROCESS.search(name.partition(", ")[2])
            if found and os.uname().nodename.startswith(found[2]):
                out[part] = int(found[1])
    return out


def _machine(settings: Settings, now: datetime) -> Iterator[Family]:
    mounts = {"home": settings.home}
    if settings.landing_folder is not None:
        mounts["landing"] = settings.landing_folder
    usage = {name: shutil.disk_usage(existing(place)) for name, place in mounts.items()}
    for name, part in (("disk_free_bytes", "free"), ("disk_bytes", "total")):
        samples = tuple(({"mount": m}, float(getattr(u, part))) for m, u in usage.items())
        yield Family(f"regime_{name}", f"Disk of each place: {part}.", samples)
    yield gauge(
        "regime_backup_age_seconds", "Age of the newest backup.", _backup_age(settings, now)
    )


def _backup_age(settings: Settings, now: datetime) -> float | None:
    """Seconds since the newest backup; None: there is none, or it cannot be told."""
    with contextlib.suppress(BackupError):
        since = manifests.age(settings.backup_dir or settings.home / "backups", now)
        return None if since is None else since / timedelta(seconds=1)
    return None


def _processes(services: dict[str, int]) -> Iterator[Family]:
    """Memory and open files of what serves the database, with all that it started."""
    children: dict[int, list[int]] = {}
    for stat in _PROC.glob("[0-9]*/stat") if services else ():
        with contextlib.suppress(OSError):
            # the name in parentheses may hold anything; the parent is the second field after it
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    memory, files = [], []
    for part, root in services.items():
        tree, todo = [], [root]
        while todo:
            pid = todo.pop()
            tree.append(pid)
            todo += children.get(pid, [])
        memory.append(({"part": part}, float(sum(map(_resident, tree)))))
        files.append(({"part": part}, float(sum(map(_open_files, tree)))))
    yield Family("regime_rss_bytes", "Memory of each part.", tuple(memory))
    yield Family("regime_fds", "Open files of each part.", tuple(files))


def _resident(pid: int) -> int:
    """Bytes; 0: the process has just ended."""
    with contextlib.suppress(OSError):
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def _open_files(pid: int) -> int:
    """Their number; 0: the process has just ended, or is another account's."""
    with contextlib.suppress(OSError):
        return len(list((_PROC / str(pid) / "fd").iterdir()))
    return 0
