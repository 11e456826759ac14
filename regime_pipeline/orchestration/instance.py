"""Dagster's instance on the project's own database: environment, schema, opening it.

``dagster.yaml`` names environment variables only; this module is what fills them, for the CLI, for
``regime ui`` and for tests. Dagster's tables live in schema ``dagster`` of the same database as the
data, so each kind of data has its own run history. Does not belong here: definitions, runs.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from regime_pipeline.storage.roles import RUNS_SCHEMA

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import Database

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: where ``dagster.yaml`` and ``workspace.yaml`` are."""
SCHEMA = RUNS_SCHEMA
LOCATION = "regime_pipeline"
"""Name of the code location in ``workspace.yaml``."""
FIRST_DAY_VARIABLE = "REGIME_DAGSTER_FIRST_DAY"
"""The first day that Dagster's pages show; `regime ui` sets it, or all days before the data look missing."""
_CREATE_LOCK = 0x646167737465


def dagster_home(settings: Settings) -> Path:
    """The folder whose ``dagster.yaml`` configures the instance.

    Raises:
        FileNotFoundError: the settings name one that has none.
    """
    chosen = ROOT if settings.dagster_home is None else settings.dagster_home.resolve()
    if not (chosen / "dagster.yaml").is_file():
        raise FileNotFoundError(
            errno.ENOENT, "no dagster.yaml is in the folder of REGIME_DAGSTER_HOME", str(chosen)
        )
    return chosen


def workspace_file(home: Path) -> Path:
    """The list of code locations beside a ``dagster.yaml``; where there is none, the checkout's."""
    own = home / "workspace.yaml"
    return own if own.is_file() else ROOT / own.name


def dagster_url(database: Database) -> str:
    """The URL of Dagster's tables: psycopg2, which dagster-postgres needs, and its own schema."""
    url = make_url(database.url).set(drivername="postgresql+psycopg2")
    return url.update_query_dict({"options": f"-csearch_path={SCHEMA}"}).render_as_string(
        hide_password=False
    )


def dagster_environment(settings: Settings, database: Database) -> dict[str, str]:
    """The variables that ``dagster.yaml`` reads; also makes the schema and the folder they name."""
    home = dagster_home(settings)
    folder = settings.home.resolve() / "dagster" / settings.origin
    folder.mkdir(parents=True, exist_ok=True)
    with database.connect() as connection, connection.transaction():
        # "if not exists" is no protection against another process doing the same right now
        connection.execute("select pg_advisory_xact_lock(%s)", (_CREATE_LOCK,))
        known = connection.execute("select to_regnamespace(%s)", (SCHEMA,)).fetchone()
        if known == (None,):  # one's own database: the account that is given makes it
            connection.execute(f"create schema {SCHEMA}")
    return {
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "REGIME_DAGSTER_PG_URL": dagster_url(database),
        "REGIME_DAGSTER_DIR": str(folder),
    }


def venv_program(name: str) -> str:
    """A program of this Python's environment, found even when the environment is not activated.

    Raises:
        FileNotFoundError: it is installed nowhere.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"no program {name!r} beside {sys.executable} or on PATH")
    return found


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables set for a while: child processes started inside see them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def instance_for(settings: Settings, database: Database) -> Iterator[DagsterInstance]:
    """The persistent instance of a database, configured by the ``dagster.yaml`` that it names."""
    from dagster import DagsterInstance

    with (
        environment(dagster_environment(settings, database)),
        DagsterInstance.from_config(str(dagster_home(settings))) as instance,
    ):
        yield instance
