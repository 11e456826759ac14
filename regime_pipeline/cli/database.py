"""``regime db``: the database's URL, starting and stopping it, content hashes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.options import DataOption, UsageError
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import out
from regime_pipeline.settings import Settings
from regime_pipeline.windows import clock_from_text

if TYPE_CHECKING:
    from regime_pipeline.storage.database import Database

app = typer.Typer(no_args_is_help=True, help="The database: its URL, starting and stopping it.")


@app.command("url")
def db_url(
    data: DataOption = None,
    role: Annotated[
        str, typer.Option(help="pipeline, bi, api, dispatcher, health or owner; who connects.")
    ] = "pipeline",
    program: Annotated[
        str,
        typer.Option(
            "--for",
            help="sqlalchemy, psql, jdbc, superset, metabase or grafana: how it is written.",
        ),
    ] = "sqlalchemy",
) -> None:
    """The URL of the database, started if need be, for SQL and BI tools. It holds the password.

    A server of yours (REGIME_DATABASE_URL) has the account that you gave it, whatever the role.

    Examples:
        psql "$(regime db url --for psql)"

        regime db url --role bi --for jdbc

        regime db url --role bi --for grafana > datasource.yaml
    """
    from regime_pipeline.storage.roles import ROLES, url_of

    if program not in _FORMS:
        raise UsageError(f"--for {program!r} is not understood: {', '.join(_FORMS)}")
    if role not in ROLES:
        raise UsageError(f"--role {role!r} is not understood: {', '.join(ROLES)}")
    settings, database = open_data(data)
    url: str | None = database.url
    if settings.database_url is None:
        url = url_of(role, database.url, settings.home)
    if url is None:
        raise UsageError("the roles have no passwords yet; `regime run` makes them")
    sys.stdout.write(_FORMS[program](url) + "\n")


def _as_sqlalchemy(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _as_psql(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _as_jdbc(url: str) -> str:
    from urllib.parse import urlencode

    from sqlalchemy import make_url

    parts = make_url(url)
    account = {"user": parts.username, "password": parts.password}
    query = urlencode({k: v for k, v in account.items() if v} | dict(parts.query))
    return f"jdbc:postgresql://{parts.host}:{parts.port or 5432}/{parts.database}?{query}"


def _as_superset(url: str) -> str:
    """What its field "SQLAlchemy URI" takes: its image has psycopg2."""
    from sqlalchemy import make_url

    parts = make_url(url).set(drivername="postgresql+psycopg2")
    return parts.render_as_string(hide_password=False)


def _as_metabase(url: str) -> str:
    """The body of its ``POST /api/database``."""
    from sqlalchemy import make_url

    parts = make_url(url)
    details = {
        "host": parts.host,
        "port": parts.port or 5432,
        "dbname": parts.database,
        "user": parts.username,
        "password": parts.password,
        "schema-filters-type": "inclusion",
        "schema-filters-patterns": "reporting",
    }
    return json.dumps({"name": "regime", "engine": "postgres", "details": details})


def _as_grafana(url: str) -> str:
    """A file of its ``provisioning/datasources``: JSON is YAML too."""
    from sqlalchemy import make_url

    parts = make_url(url)
    source = {
        "name": "regime",
        "type": "postgres",
        "access": "proxy",
        "url": f"{parts.host}:{parts.port or 5432}",
        "user": parts.username,
        "jsonData": {"database": parts.database, "sslmode": parts.query.get("sslmode", "disable")},
        "secureJsonData": {"password": parts.password},
    }
    return json.dumps({"apiVersion": 1, "datasources": [source]})


_FORMS = {
    "sqlalchemy": _as_sqlalchemy,
    "psql": _as_psql,
    "jdbc": _as_jdbc,
    "superset": _as_superset,
    "metabase": _as_metabase,
    "grafana": _as_grafana,
}


@app.command("start")
def db_start() -> None:
    """Start the embedded server (any command does it when it needs it)."""
    settings, database = open_data(None)
    where = (
        "the server of REGIME_DATABASE_URL"
        if settings.database_url
        else str(settings.home.resolve())
    )
    database.close()
    out.print(f"up: {where}", soft_wrap=True)


@app.command("stop")
def db_stop() -> None:
    """Stop the embedded server; data stays. Stopping a stopped one is fine."""
    from regime_pipeline.storage.embedded import EmbeddedServer

    settings = Settings()
    if settings.database_url is not None:
        raise UsageError("REGIME_DATABASE_URL names a server of yours; it is not ours to stop")
    if not settings.home.exists():
        out.print("there is no embedded server here")
        return
    EmbeddedServer(settings.home).stop()
    out.print("stopped")


@app.command("upgrade")
def db_upgrade(data: DataOption = None) -> None:
    """Bring the embedded server to the newest PostgreSQL that is installed; stop everything else first.

    Its data are copied, so that as much space must be free; the old folder stays until you delete it. The
    content hash of every table is compared.
    """
    from regime_pipeline.storage import major
    from regime_pipeline.storage.embedded import EmbeddedServer
    from regime_pipeline.storage.errors import StorageError

    settings, database = open_data(data)
    if settings.database_url is not None:
        raise UsageError("REGIME_DATABASE_URL names a server of yours; it is yours to upgrade")
    before = _hashes(settings, database)
    database.close()
    kept = major.upgrade(EmbeddedServer(settings.home))
    settings, database = open_data(data)
    if kept is None:
        out.print("it is the newest already")
        return
    other = [name for name, value in _hashes(settings, database).items() if value != before[name]]
    if other:
        raise StorageError(
            f"after the upgrade {', '.join(other)} differ; the old data are in {kept}: stop the server "
            "and give that folder the name `data` again"
        )
    out.print(f"upgraded, all hashes are as before; the old data are in {kept}", soft_wrap=True)


def _hashes(settings: Settings, database: Database) -> dict[str, str]:
    from regime_pipeline.catalogue import TABLES
    from regime_pipeline.storage.warehouse import Warehouse

    warehouse = Warehouse(database, clock_from_text(settings.clock), landing=settings.landing)
    return {n: warehouse.content_hash(n) for n, t in TABLES.items() if t.partitioned}


@app.command("hash")
def db_hash(
    data: DataOption = None,
    tables: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all data tables.")
    ] = None,
) -> None:
    """One content hash per table: equal hashes, equal content, whatever the way it was computed."""
    from regime_pipeline.catalogue import TABLES
    from regime_pipeline.storage.warehouse import Warehouse

    settings, database = open_data(data)
    warehouse = Warehouse(database, clock_from_text(settings.clock), landing=settings.landing)
    known = [n for n, t in TABLES.items() if t.partitioned]
    names = [n.strip() for n in tables.split(",")] if tables else known
    unknown = [n for n in names if n not in TABLES]
    if unknown:
        raise UsageError(f"no such table: {', '.join(unknown)}")
    for name in names:
        sys.stdout.write(f"{warehouse.content_hash(name)}  {name}\n")
