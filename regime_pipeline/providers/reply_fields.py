"""Which members of a reply the columns of a raw table are read from, found out by changing them.

A parser is the only place that knows what it reads. So nothing is listed: each member of a recorded reply
is changed a little, and the columns that come out differently are read from it. Belongs here: doing that
for one reply and one feed. Does not belong here: keeping what was found (``catalogue.lineage``).
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from regime_pipeline.catalogue.datasets import DATASETS, Form
from regime_pipeline.catalogue.lineage import Replies
from regime_pipeline.catalogue.registry import table
from regime_pipeline.providers.errors import ProviderError
from regime_pipeline.providers.fetch.stream import NO_SERIES
from regime_pipeline.providers.registry import PARSERS
from regime_pipeline.providers.source import Feed, Source
from regime_pipeline.providers.trades import hourly

ROWS = 40
"""Entries of a list that are looked at: all of a list are read alike."""
_ZIP = b"PK"
_EPOCH = 1_000_000_000
_HOUR_S = 3600
_PAIRS = (("buy", "sell"), ("long", "short"), ("bid", "ask"))
_OTHER = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_SEEN = datetime(2024, 1, 1, tzinfo=UTC)


def columns_of(feed: Feed, body: bytes) -> dict[str, tuple[str, ...]]:
    """Column of the feed's raw table -> places of the reply that its value comes from.

    A place is written as ``data[].fundingRate``, or ``[][4]`` for the fifth value of a row that is a list,
    or ``data.*`` where members are called by numbers. What a request asks for (symbol, market) and what
    the fetch adds (times of arrival, hours that single trades are summed over) is in no reply and in no
    answer.

    Args:
        feed: whose parser and table.
        body: a reply of its endpoint: JSON, or a zip with one CSV.

    Raises:
        ProviderError: the parser refuses the reply as it is.
    """
    wanted = set(table(f"raw.{feed.dataset}").fields)
    is_zip = body.startswith(_ZIP)

    def parse(document: Any) -> pd.DataFrame:
        key = f"{feed.endpoint.provider}/{feed.endpoint.name}"
        written = zip_of(document) if is_zip else orjson.dumps(document)
        frame = PARSERS[key](written, feed.context)
        if feed.summed:
            return frame.head(0)  # closures become hours over what was asked for
        if DATASETS[feed.dataset].form is Form.SUMMED and len(frame):
            hours = pd.DatetimeIndex(frame["ts"].dropna()).floor("h").unique()
            return hourly(frame, hours.to_pydatetime().tolist())
        if feed.shape is not None:
            stamps: dict[str, Any] = {
                "payload_id": "",
                "fetched_at": _SEEN,
                "seen_at": _SEEN,
                "stream": 0,
                "listing_complete": True,
            }
            for name, value in stamps.items():
                if name not in frame:
                    frame[name] = value
            frame = feed.shape(frame)
        return frame

    found = read_from(parse, _cut(rows_of(body) if is_zip else orjson.loads(body)))
    return {column: places for column, places in found.items() if column in wanted}


def columns_of_all(sources: Iterable[Source], folders: Sequence[Path]) -> Replies:
    """The same for every feed of which a reply is kept: table -> column -> endpoint -> places.

    Args:
        sources: whose feeds.
        folders: with a file ``provider/endpoint__1.json`` (or ``.zip``) each; the first that tells
            something of a feed is believed.
    """
    out: Replies = {}
    for source in sources:
        for feed in source.feeds:
            if feed.part in NO_SERIES:
                continue
            endpoint = f"{source.name}/{feed.endpoint.name}"
            found = out.setdefault(f"raw.{feed.dataset}", {})
            for column, places in _first_told(feed, folders).items():
                known = found.setdefault(column, {})
                known[endpoint] = tuple(dict.fromkeys([*known.get(endpoint, ()), *places]))
    return {name: found for name, found in out.items() if found}


def _first_told(feed: Feed, folders: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    for folder in folders:
        for kind in ("json", "zip"):
            kept = folder / f"{feed.endpoint.provider}/{feed.endpoint.name}__1.{kind}"
            if kept.is_file() and (told := columns_of(feed, kept.read_bytes())):
                return told
    return {}


def rows_of(body: bytes) -> list[Any]:
    """The rows of the one CSV in a zip: by the names of its header, or as lists where it has none."""
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        text = packed.read(packed.namelist()[0]).decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if _number(rows[0][0]) is not None:
        return rows
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def zip_of(rows: list[Any]) -> bytes:
    """What :func:`rows_of` reads."""
    out, text = io.BytesIO(), io.StringIO(newline="")
    writing = csv.writer(text)
    if rows and isinstance(rows[0], dict):
        writing.writerow(rows[0])
        rows = [list(row.values()) for row in rows]
    writing.writerows(rows)
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("rows.csv", text.getvalue())
    return out.getvalue()


def read_from(parse: Callable[[Any], pd.DataFrame], document: Any) -> dict[str, tuple[str, ...]]:
    """Column of what a parser gives -> places of the document that change it.

    A row that a change makes bad tells nothing, nor does a change that makes other rows.
    """
    plain = parse(document)
    out: dict[str, list[str]] = {}
    for place in dict.fromkeys(_places(document)):
        differing: dict[str, None] = {}
        for pair in _CHANGES:
            for change in pair:
                differing |= dict.fromkeys(_differing(parse, plain, document, place, change))
            if differing:
                break
        for column in differing:
            out.setdefault(column, []).append(place)
    return {column: tuple(places) for column, places in out.items()}


def _differing(
    parse: Callable[[Any], pd.DataFrame],
    plain: pd.DataFrame,
    document: Any,
    place: str,
    change: Callable[[Any], Any],
) -> list[str]:
    try:
        other = parse(_changed(document, place, change))
    except ProviderError:
        return []
    if len(other) != len(plain):
        return []
    both = pd.Series(True, index=plain.index)
    if "reason" in plain and "reason" in other:
        both = plain["reason"].isna() & other["reason"].isna()
    named = [c for c in plain.columns if c in other]
    return [str(c) for c in named if not _equal(plain.loc[both, c], other.loc[both, c])]


def _equal(one: pd.Series, other: pd.Series) -> bool:
    return bool(((one == other) | (one.isna() & other.isna())).fillna(False).all())


def _cut(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _cut(inner) for name, inner in node.items()}
    return [_cut(inner) for inner in node[:ROWS]] if isinstance(node, list) else node


def _places(node: Any, at: str = "", *, in_list: bool = False) -> Iterator[str]:
    """Where values stand, entries of a list alike unless they are the fields of a row."""
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from _places(inner, _member(at, name))
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from _places(inner, _entry(at, number, inner, in_list=in_list), in_list=True)
    else:
        yield at


def _member(at: str, name: str) -> str:
    """Members that are called by numbers, such as prices, are alike."""
    shown = name if _number(name) is None else "*"
    return f"{at}.{shown}" if at else shown


def _entry(at: str, number: int, inner: Any, *, in_list: bool) -> str:
    is_field = in_list and not isinstance(inner, dict | list)
    return f"{at}[{number}]" if is_field else f"{at}[]"


def _changed(
    node: Any, place: str, change: Callable[[Any], Any], at: str = "", *, in_list: bool = False
) -> Any:
    if isinstance(node, dict):
        return {
            name: _changed(inner, place, change, _member(at, name)) for name, inner in node.items()
        }
    if isinstance(node, list):
        return [
            _changed(inner, place, change, _entry(at, number, inner, in_list=in_list), in_list=True)
            for number, inner in enumerate(node)
        ]
    return change(node) if at == place else node


def _scaled(by: float) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        number = _number(value)
        if isinstance(value, bool):
            return not value
        if number is None:
            return _another_text(value, later=by > 1) if isinstance(value, str) else value
        if abs(number) >= _EPOCH and number == int(number):  # a time, perhaps: an hour off
            unit = next(u for u in (10**6, 10**3, 1) if abs(number) >= _EPOCH * u)
            moved = int(number) + (1 if by > 1 else -1) * _HOUR_S * unit
            return str(moved) if isinstance(value, str) else moved
        new = number * by if number else by - 1
        return repr(new) if isinstance(value, str) else new

    return change


def _stepped(by: int) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        number = _number(value)
        if number is None or isinstance(value, bool) or number != int(number):
            return value
        return str(int(number) + by) if isinstance(value, str) else int(number) + by

    return change


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None


def _another_text(value: str, *, later: bool) -> str:
    if value.lower() in _OTHER:
        other = _OTHER[value.lower()]
        return other.upper() if value.isupper() else other.title() if value.istitle() else other
    try:
        at = datetime.fromisoformat(value) + timedelta(hours=1 if later else -1)
    except ValueError:
        return value + "x"
    return at.isoformat().replace("+00:00", "Z")


_CHANGES = ((_scaled(1.0001), _scaled(0.9999)), (_stepped(1), _stepped(-1)))
"""Tried one pair after the other until something differs; some prices of a bar bear one direction only."""
