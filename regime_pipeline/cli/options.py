"""What a person can type: options that several commands share, and what their texts mean.

Belongs here: option declarations, days, windows, symbols, the error of a call that cannot be served.
Does not belong here: commands, printing, opening databases or markets.
"""

from __future__ import annotations

import re
import socket
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, Window, floor_day, utc

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
DEFAULT_DAYS = 300
"""Days that ``regime run`` covers by default: the weekly timeframe alone needs 31 closed weeks."""

SOURCE_HELP = "live, simulated, tape:DIR (recorded history), or auto: live when reachable"
FROM_HELP = "First derived day, YYYY-MM-DD. The raw history it needs is fetched too."
TO_HELP = "Last day, included. A tape's clock stands at its end."
SHOWN_FROM_HELP = "First day shown, YYYY-MM-DD. Only what is stored is shown; nothing is fetched."
SHOWN_TO_HELP = "Last day shown, included. Default: the last that is stored."
SYMBOLS_HELP = "Comma-separated, as BTC/USDT,ETH/USDT. Default: all configured."
JSON_HELP = "One JSON object on standard output."

FromOption = Annotated[str | None, typer.Option("--from", help=FROM_HELP, show_default=False)]
ToOption = Annotated[str | None, typer.Option("--to", help=TO_HELP, show_default=False)]
ShownFromOption = Annotated[
    str | None, typer.Option("--from", help=SHOWN_FROM_HELP, show_default=False)
]
ShownToOption = Annotated[str | None, typer.Option("--to", help=SHOWN_TO_HELP, show_default=False)]
SymbolsOption = Annotated[str | None, typer.Option("--symbols", help=SYMBOLS_HELP)]
SourceOption = Annotated[str, typer.Option("--source", help=SOURCE_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
AllowEmptyOption = Annotated[
    bool,
    typer.Option(
        "--allow-empty",
        help="Exit code 0 even where no source gave anything, or nothing was there.",
    ),
]
PortOption = Annotated[int, typer.Option(help="Port on 127.0.0.1.")]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data", help="Which database: live, simulated or tape. Default: the last run's."
    ),
]


class UsageError(Exception):
    """The call cannot be served as it is; the text says why and what to do."""


def parse_day(text: str, option: str) -> datetime:
    """The UTC midnight that a day was written for.

    Raises:
        UsageError: it is no date, or not written as ``YYYY-MM-DD``.
    """
    if not _DAY.fullmatch(text.strip()):
        raise UsageError(f"{option} {text!r} is not understood; write a day as YYYY-MM-DD")
    try:
        return utc(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is no date; write YYYY-MM-DD") from error


def parse_window(
    first: str | None, last: str | None, *, now: datetime, settings: Settings
) -> Window:
    """Whole days from ``--from`` to ``--to``, both included, cut at now.

    Raises:
        UsageError: there is no such window.
    """
    last_day = parse_day(last, "--to") if last else floor_day(now)
    first_day = parse_day(first, "--from") if first else last_day - (DEFAULT_DAYS - 1) * DAY
    if first_day > last_day:
        raise UsageError(f"--from {first_day.date()} lies after --to {last_day.date()}")
    if first_day.date() < settings.start_date:
        raise UsageError(
            f"--from {first_day.date()} lies before the first partition {settings.start_date} "
            "(REGIME_START_DATE)"
        )
    if first_day > now:
        raise UsageError(f"--from {first_day.date()} lies in the future")
    return Window(first_day, min(last_day + DAY, now))


def parse_symbols(text: str | None, settings: Settings) -> tuple[str, ...]:
    """The configured symbols that were named, sorted; all of them where none was.

    Raises:
        UsageError: one is not configured.
    """
    if not text:
        return settings.universe
    wanted = tuple(sorted({s.strip().upper() for s in text.split(",") if s.strip()}))
    unknown = [s for s in wanted if s not in settings.universe]
    if unknown or not wanted:
        raise UsageError(
            f"unknown symbol {', '.join(unknown) or text!r}; configured are "
            f"{', '.join(settings.universe)} (add one with REGIME_SYMBOLS)"
        )
    return wanted


def check_target(path: Path, option: str) -> None:
    """Refuse a file that cannot be written, before the work whose result it would hold.

    Raises:
        UsageError: it is a folder, or its folder is a file or cannot be made or written.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; name a file in it")
    if path.parent.is_file():
        raise UsageError(f"{option} {path.parent} is a file; name a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(
            f"{option} {path.parent} cannot be written ({error.strerror}); name a folder that this "
            "user may write"
        ) from error


def check_port_number(port: int) -> None:
    """Refuse a number that is no port.

    Raises:
        UsageError: it is none.
    """
    if not 0 < port < 2**16:
        raise UsageError(f"--port {port} is none; a port is a number from 1 to 65535")


def check_port(port: int, host: str = "127.0.0.1", *, option: str = "--port") -> None:
    """Refuse a port before anything is started that needs it.

    Args:
        port: its number.
        host: the address on which it is to be listened.
        option: how another one is chosen.

    Raises:
        UsageError: nobody can listen there.
    """
    check_port_number(port)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"port {port} on {host} cannot be used ({error.strerror}); choose another with {option}"
            ) from error
