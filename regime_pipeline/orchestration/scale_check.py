"""What several machines need before runs are handed to workers, looked at from one of them.

Belongs here: a finding for each condition, asked without changing anything. Does not belong here: printing,
starting workers (``cli.scale``).
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import yaml  # type: ignore[import-untyped]

from regime_pipeline.orchestration.instance import dagster_home
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.errors import StorageError, first_line
from regime_pipeline.storage.workers import LATE, beats, silent
from regime_pipeline.windows import SystemClock

LAUNCHER = "regime_pipeline.orchestration.workers"
CLOCKS = timedelta(seconds=5)
"""How far a machine's clock may be from the database's."""
_PROGRAMS = ("celery", "dagster_celery", "redis")
_ANSWER_S = 3.0


@dataclass(frozen=True)
class Finding:
    """One condition.

    Attributes:
        what: is looked at.
        is_met: whether it holds.
        text: what was found; what to do where it does not hold.
    """

    what: str
    is_met: bool
    text: str


def findings(settings: Settings, database: Database | None) -> Iterator[Finding]:
    """Every condition in the order in which it is best met.

    Args:
        settings: of this machine.
        database: the shared one; None: none is configured.
    """
    absent = [name for name in _PROGRAMS if importlib.util.find_spec(name) is None]
    yield Finding(
        "programs",
        not absent,
        f"{', '.join(absent)} not installed: pip install -e '.[scale]'" if absent else "installed",
    )
    yield _database(settings)
    shared = settings.landing_url is not None
    yield Finding(
        "landing store",
        shared,
        "shared by REGIME_LANDING_URL"
        if shared
        else "each machine keeps its own: set REGIME_LANDING_URL to one that all reach",
    )
    yield _launcher(settings)
    yield _broker(settings)
    if database is not None:
        yield from _seen(database)


def _database(settings: Settings) -> Finding:
    if settings.database_url is None:
        text = "the embedded server is reached from here only: set REGIME_DATABASE_URL"
        return Finding("database", False, text)
    host = urlsplit(settings.database_url.get_secret_value()).hostname or ""
    if host in ("", "localhost", "127.0.0.1", "::1"):
        text = f"REGIME_DATABASE_URL names {host or 'no host'}: other machines do not reach that"
        return Finding("database", False, text)
    return Finding("database", True, host)


def _launcher(settings: Settings) -> Finding:
    what = "run launcher"
    try:
        found = yaml.safe_load((dagster_home(settings) / "dagster.yaml").read_text())
    except FileNotFoundError as error:
        return Finding(what, False, str(error))
    launcher = found.get("run_launcher") if isinstance(found, dict) else None
    module = launcher.get("module") if isinstance(launcher, dict) else None
    if module != LAUNCHER:
        return Finding(what, False, "runs stay on this machine: REGIME_DAGSTER_HOME=deploy/celery")
    return Finding(what, True, "runs go to workers")


def _broker(settings: Settings) -> Finding:
    what = "broker"
    if settings.broker_url is None:
        return Finding(what, False, "set REGIME_BROKER_URL to a Redis, as redis://:PASSWORD@HOST/0")
    address = urlsplit(settings.broker_url.get_secret_value())
    try:
        with socket.create_connection((address.hostname or "", address.port or 6379), _ANSWER_S):
            pass
    except OSError as error:
        return Finding(what, False, f"{address.hostname} does not answer ({error.strerror})")
    if address.password is None:
        return Finding(what, False, f"{address.hostname} takes anybody's tasks: give it a password")
    return Finding(what, True, f"{address.hostname} answers")


def _seen(database: Database) -> Iterator[Finding]:
    now = SystemClock().now()
    try:
        with database.connect() as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
            known = beats(connection)
    except (StorageError, psycopg.Error) as error:
        yield Finding("database", False, first_line(error))
        return
    assert row is not None
    apart = abs(row[0] - now)
    yield Finding(
        "clock", apart <= CLOCKS, f"{apart / timedelta(seconds=1):.1f} s from the database's"
    )
    there = sorted(name for name, at in known.items() if now - at <= LATE)
    gone = sorted(silent(known, now))
    text = ", ".join(there) or "none was heard: regime scale worker"
    yield Finding("workers", bool(there), text + (f"; silent: {', '.join(gone)}" if gone else ""))
