"""``regime tokens``: who may ask the API from other machines.

Belongs here: making, listing, replacing and taking back tokens. Does not belong here: their form and what
they open (``api.auth``), their rows (``storage.tokens``).
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.options import DataOption, JsonOption, UsageError
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import err, out
from regime_pipeline.windows import SystemClock

if TYPE_CHECKING:
    from regime_pipeline.storage.database import Database
    from regime_pipeline.storage.tokens import Token

BOTH_VALID = timedelta(hours=24)
"""How long a replaced token still opens, so that its users change over one by one."""

app = typer.Typer(no_args_is_help=True, help="Tokens of the API, for other machines.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `regime tokens list` tells.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Whose it is or what it is for.")],
    scopes: Annotated[
        str, typer.Option(help="What it opens: read, export, mcp, metrics, with commas between.")
    ] = "read",
    days: Annotated[int, typer.Option(help="Days until it ends; 0: never by itself.", min=0)] = 365,
    data: DataOption = None,
) -> None:
    """Make a token. It is shown once, here, and stored nowhere."""
    from regime_pipeline.api.auth import SCOPES

    wanted = tuple(dict.fromkeys(s.strip() for s in scopes.split(",") if s.strip()))
    if not wanted or set(wanted) - set(SCOPES):
        raise UsageError(f"--scopes {scopes!r} is not understood: {', '.join(SCOPES)}")
    if not name.strip():
        raise UsageError("--name is empty; it is what the list shows")
    _, database = open_data(data)
    now = SystemClock().now()
    _made(
        database, name.strip(), ",".join(wanted), now, now + timedelta(days=days) if days else None
    )


@app.command("list")
def show(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Every token: what it opens, until when. No token can be read again."""
    from regime_pipeline.storage.tokens import listed

    _, database = open_data(data)
    found = listed(database)
    if as_json:
        rows = [
            {
                "id": t.identity,
                "name": t.name,
                "scopes": t.scopes.split(","),
                "created_at": t.created_at,
                "expires_at": t.expires_at,
                "revoked_at": t.revoked_at,
            }
            for t in found
        ]
        sys.stdout.write(json.dumps({"tokens": rows}, default=str) + "\n")
        return
    for token in found:
        line = f"{token.identity}  {_state(token):<22} {token.scopes:<24} {token.name}"
        out.print(line, markup=False, soft_wrap=True)
    if not found:
        out.print("there is no token; on this machine none is needed")


@app.command("rotate")
def rotate(token_id: IdArgument, data: DataOption = None) -> None:
    """Make a successor with the same name and scopes; the old one opens for 24 more hours."""
    from regime_pipeline.storage.tokens import end_in

    _, database = open_data(data)
    old = _known(database, token_id)
    now = SystemClock().now()
    if not old.is_valid(now):
        raise UsageError(
            f"{token_id} is not valid any more; `regime tokens create` makes a new one"
        )
    life = None if old.expires_at is None else old.expires_at - old.created_at
    _made(database, old.name, old.scopes, now, None if life is None else now + life)
    end_in(database, token_id, now, BOTH_VALID)


@app.command("revoke")
def revoke(token_id: IdArgument, data: DataOption = None) -> None:
    """Take a token back; within a minute it opens nothing."""
    from regime_pipeline.storage.tokens import revoke as taken_back

    _, database = open_data(data)
    _known(database, token_id)
    taken_back(database, token_id, SystemClock().now())
    out.print(f"{token_id} opens nothing any more, within a minute")


def _made(
    database: Database, name: str, scopes: str, now: datetime, expires_at: datetime | None
) -> None:
    from regime_pipeline.api.auth import new_token
    from regime_pipeline.storage.tokens import Token, add

    identity, text, digest = new_token()
    add(database, Token(identity, name, scopes, now, expires_at, None), digest)
    err.print(f"token {identity} opens: {scopes}. It is not shown again:", markup=False)
    sys.stdout.write(text + "\n")


def _known(database: Database, identity: str) -> Token:
    from regime_pipeline.storage.tokens import listed

    found = next((t for t in listed(database) if t.identity == identity), None)
    if found is None:
        raise UsageError(f"there is no token {identity!r}; `regime tokens list` tells them")
    return found


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d}"
    if token.expires_at is None:
        return "valid"
    word = "valid until" if token.is_valid(SystemClock().now()) else "ended"
    return f"{word} {token.expires_at:%Y-%m-%d}"
