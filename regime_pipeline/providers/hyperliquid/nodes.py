"""Files that Hyperliquid's nodes write: every fill of an hour, and in them every forced closure.

Source: recorded lines of the bucket ``hl-mainnet-node-data``, which somebody has copied to a folder. A file
is an LZ4 frame of JSON lines: ``node_fills_by_block/hourly/20251130/9.lz4`` (the hour without a zero) has a
block a line, with ``events`` of user and fill, since 2025-07-27; ``node_fills/hourly/..`` before it has one
such pair a line. The last blocks of an hour may stand in the next file, so an hour is read out of both; one
whose file, or the one behind it, is absent or torn is not there at all.

A forced closure is a fill with ``liquidation`` of the user who was liquidated. The fills of those who took
the other side carry the same object and are none: counting them would double every dollar. Both methods
count, ``market`` (through the book) and ``backstop`` (taken over by a vault). The side is that of
``startPosition``, and the fill must close it. Of a file with some 190,000 fills only what a closure is read
from is kept: the lines that name a liquidation, and the first line of each configured coin, which shows
that it was traded, so that an hour of it without a closure is an hour of zeros. Does not belong here: the
info interface (``series``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa

from regime_pipeline.net.files import barred
from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.documents import document, kind_of
from regime_pipeline.providers.errors import ContractViolation, Malformed, NotPublished, TooLarge
from regime_pipeline.providers.paging import Newest
from regime_pipeline.providers.readings import NAMES, Context
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.providers.symbols import to_venue
from regime_pipeline.providers.trades import forced_rows
from regime_pipeline.settings import Settings
from regime_pipeline.windows import HOUR

PROVIDER = "hyperliquid"
SETTING = "hyperliquid_archive_url"
FOLDERS = ("node_fills_by_block", "node_fills")
"""The newer one first; both hold the same fills where they overlap."""
METHODS = ("market", "backstop")
MAX_PACKED_BYTES = 512 * 2**20
MAX_BYTES = 8 * 2**30
"""Of an hour, packed and not."""
MAX_LINE_BYTES = 64 * 2**20
LATE = timedelta(minutes=5)
"""How far into the next file the last fills of an hour are looked for."""
_CHUNK = 2**20
_MARK = b'"liquidation":{'


def read_hour(settings: Settings, hour: datetime) -> bytes:
    """The lines of an hour, and of the begin of the next, that name a closure or a configured coin first.

    Raises:
        NotPublished: the hour's file or the next one is not there.
        ProviderError: a file must not be read, is torn, or too large.
    """
    root = Path(str(getattr(settings, SETTING)).removeprefix("file://")).expanduser()
    wanted = [f'"coin":"{to_venue(s, PROVIDER, "perp").name}"'.encode() for s in settings.symbols]
    files = [_file(root, at) for at in (hour, hour + HOUR)]
    kept = list(_kept(files[0], wanted))
    for line in _lines(files[1]):
        at = _time_of(line)
        if at is not None and at >= hour + HOUR + LATE:
            break
        if _MARK in line:
            kept.append(line)
    return b"\n".join(kept)


def _file(root: Path, hour: datetime) -> Path:
    if not root.is_dir():
        raise NotPublished(f"REGIME_HYPERLIQUID_ARCHIVE_URL: {root} is no folder")
    for folder in FOLDERS:
        path = root / folder / "hourly" / f"{hour:%Y%m%d}" / f"{hour.hour}.lz4"
        if not path.exists() and not path.is_symlink():
            continue
        why = barred(path, MAX_PACKED_BYTES)
        if why is not None:
            raise ContractViolation(f"{folder} {hour:%Y-%m-%d %H}: {why}")
        return path
    raise NotPublished(f"no file of {hour:%Y-%m-%d %H}:00")


def _kept(path: Path, wanted: Sequence[bytes]) -> Iterator[bytes]:
    open_names = list(wanted)
    for line in _lines(path):
        found = [name for name in open_names if name in line]
        if found:
            open_names = [name for name in open_names if name not in found]
        if found or _MARK in line:
            yield line


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, piece by piece.

    Raises:
        Malformed: the frame or its last line is torn.
        TooLarge: there is more in it than an hour can hold.
    """
    total, rest = 0, b""
    try:
        with pa.input_stream(str(path), compression="lz4") as packed:
            while piece := packed.read(_CHUNK):
                total += len(piece)
                if total > MAX_BYTES or len(rest) > MAX_LINE_BYTES:
                    raise TooLarge(f"{path.parent.name}/{path.name}: more than an hour can hold")
                *lines, rest = (rest + piece).split(b"\n")
                yield from lines
    except (OSError, pa.ArrowException) as error:
        raise Malformed(f"{path.parent.name}/{path.name}: {str(error).splitlines()[0]}") from None
    if rest.strip() or not total:
        raise Malformed(f"{path.parent.name}/{path.name}: the last line is torn, or there is none")


def _time_of(line: bytes) -> datetime | None:
    """The time of a block by its text; None for a line without one."""
    _, mark, behind = line.partition(b'"block_time":"')
    if not mark:
        return None
    try:
        return datetime.fromisoformat(behind[:19].decode("ascii", "replace") + "+00:00")
    except ValueError:
        return None


def parse_fills(body: bytes, ctx: Context) -> pd.DataFrame:
    """Forced closures among the fills of some lines.

    Returns:
        ts, position_side, price, quantity_base, quantity_contracts (null), liquidation_usd,
        venue_symbol, closure_id (the venue's number of the fill), closure_method, reason. The frame's
        ``attrs`` name the coins of which the lines have a fill.

    Raises:
        ProviderError: a line is no block and no fill.
    """
    rows: list[object] = []
    names: set[str] = set()
    for line in body.split(b"\n"):
        for user, fill in _fills(document(line)) if line.strip() else ():
            if isinstance(fill, dict) and isinstance(fill.get("coin"), str):
                names.add(fill["coin"])
            if not isinstance(fill, dict):
                rows.append(fill)
            elif "liquidation" in fill and _is_liquidated(user, fill["liquidation"]):
                told = fill["liquidation"]
                rows.append(
                    {**fill, "method": told.get("method") if isinstance(told, dict) else None}
                )
    columns = Columns.objects(
        rows, ("coin", "px", "sz", "side", "time", "startPosition", "tid"), ("method",)
    )
    methods = columns.raw("method")
    for row, method in enumerate(methods):
        if method not in METHODS:
            columns.fail(row, "method: neither market nor backstop")
    frame = forced_rows(
        columns,
        ctx,
        time="time",
        price=columns.number("px"),
        size=columns.number("sz"),
        position_side=_closed_sides(columns),
        venue_symbol=columns.text("coin"),
    )
    frame["closure_id"] = columns.label("tid", longest=40)
    known = [m if m in METHODS else None for m in methods]
    frame["closure_method"] = pd.Series(known, dtype="str")
    frame.attrs[NAMES] = tuple(sorted(names))
    return frame


def _fills(line: object) -> Iterator[tuple[object, object]]:
    """User and fill, each, of a block or of one pair."""
    events: object = line
    if isinstance(line, dict):
        events = line.get("events")
    elif isinstance(line, list) and len(line) == 2 and not isinstance(line[0], list):
        events = [line]
    if not isinstance(events, list):
        raise ContractViolation(f"the fills of a line are {kind_of(events)}, a list was expected")
    for event in events:
        if isinstance(event, list) and len(event) == 2:
            yield event[0], event[1]
        else:
            yield None, event  # a bad row of its own


def _is_liquidated(user: object, liquidation: object) -> bool:
    """Whether a fill is that of the user who was liquidated; where that cannot be told it is a bad row."""
    told = liquidation.get("liquidatedUser") if isinstance(liquidation, dict) else None
    if not isinstance(user, str) or not isinstance(told, str):
        return True
    return user.lower() == told.lower()


def _closed_sides(columns: Columns) -> list[str | None]:
    """The side of the position that each fill closes; a fill on its own side closes nothing."""
    before = columns.number("startPosition")
    out: list[str | None] = []
    for row, (size, letter) in enumerate(zip(before, columns.raw("side"), strict=True)):
        side = "long" if size > 0 else "short" if size < 0 else None
        closing = {"long": "A", "short": "B"}.get(side or "")
        if side is not None and letter is not MISSING and letter != closing:
            columns.fail(row, f"side {letter!r:.20} does not close a {side}")
        out.append(side)
    return out


FILLS = Endpoint(PROVIDER, "node_fills_by_block", "/node_fills_by_block", parse_fills)
ENDPOINTS = (FILLS,)
_EVENTS = Feed(
    dataset="liquidation_events",
    endpoint=FILLS,
    market="perp",
    venue=PROVIDER,
    paging=Newest(),
    params=lambda _: {},
    per_symbol=False,
    by_name=True,
    files=read_hour,
    folder=SETTING,
)
FEEDS = (_EVENTS, replace(_EVENTS, dataset="liquidations", summed=True))
