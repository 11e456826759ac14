"""``regime secrets``: which secrets are kept here, and new ones in their place.

Belongs here: reading options, printing, refusing what would break a running service. Does not belong here:
the secrets themselves (``alerts.signing``, ``storage.roles``), tokens of the API (``tokens``).
"""

from __future__ import annotations

from typing import Annotated

import typer

from regime_pipeline.cli.options import DataOption, UsageError
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import out
from regime_pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Secrets that are kept here: what there is, new ones.")
KINDS = ("webhook", "database")


@app.command("list")
def show() -> None:
    """Every secret that is kept or set, by a fingerprint that gives nothing away."""
    from pydantic import SecretStr
    from rich import box
    from rich.table import Table

    from regime_pipeline.alerts.signing import PREVIOUS_FILE, SECRET_FILE
    from regime_pipeline.net.redact import fingerprint
    from regime_pipeline.settings import environment_name
    from regime_pipeline.storage.roles import PASSWORDS_FILE

    settings = Settings()
    table = Table("secret", "where", "fingerprint", "how to change it", box=box.SIMPLE_HEAD)
    for name, how in (
        (SECRET_FILE, "regime secrets rotate webhook"),
        (PREVIOUS_FILE, "ends by itself"),
        (PASSWORDS_FILE, "regime secrets rotate database"),
    ):
        path = settings.home / name
        if path.is_file():
            table.add_row(name, str(path), fingerprint(path.read_text().strip()), how)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            variable = environment_name(name)
            table.add_row(name, variable, fingerprint(value), "its variable")
    out.print(table)
    out.print("tokens of the API: `regime tokens list`", markup=False)


@app.command("rotate")
def rotate(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="webhook or database.")],
    data: DataOption = None,
) -> None:
    """Put a new secret in the place of one that is kept here.

    webhook: messages carry the signatures of both for 24 hours; give receivers the new one meanwhile. Nothing
    is stopped for it.

    database: new passwords for all roles of the embedded server. `regime ui`, `serve` and `collect` are ended
    before and started after; BI tools take theirs from `regime db url --role bi`.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not understood: {', '.join(KINDS)}")
    if kind == "webhook":
        from regime_pipeline.alerts.signing import rotate as rotate_signing
        from regime_pipeline.alerts.signing import secret_file
        from regime_pipeline.windows import clock_from_text

        settings = Settings()
        until = rotate_signing(settings, clock_from_text(settings.clock).now())
        out.print(
            f"the new secret is in {secret_file(settings.home)}; messages carry both signatures until "
            f"{until:%Y-%m-%d %H:%M} UTC",
            soft_wrap=True,
        )
        return
    from regime_pipeline.storage import locks, roles
    from regime_pipeline.storage.database import administrators_address

    settings, database = open_data(data)
    if settings.database_url is not None:
        raise UsageError("REGIME_DATABASE_URL names a server of yours: its passwords are yours")
    with database.connect() as connection:
        others = locks.holders(connection, [locks.SERVICE, locks.COLLECTOR])
    if others:
        raise UsageError(f"it would lose its connections: end it first: {'; '.join(others)}")
    database.close()
    roles.rotate(administrators_address(settings), settings.home)
    out.print("all roles have new passwords; start the services again, and give BI tools theirs")
