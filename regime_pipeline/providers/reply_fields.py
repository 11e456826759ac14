"""Which members of a reply the columns of a raw table are read from, found out by changing them.

A parser is the only place that knows what it reads. So nothing is listed: each member of a recorded reply
is changed a little, and the columns that come out differently are read from it. Belongs here: doing that
for one reply and one feed. Does not belong here: keeping what was found (``catalogue.lineage``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
_EPOCH = 1_000_000_000
_HOUR_S = 3600
_PAIRS = (("buy", "sell"), ("long", "short"), ("bid", "ask"))
_OTHER = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_SEEN = datetime(2024, 1, 1, tzinfo=UTC)


def columns_of(feed: Feed, body: bytes) -> dict[str, tuple[str, ...]]:
    """Column of the feed's raw table -> places of the reply that its value comes from.

    A place is written as ``data[].fundingRate``, or ``[][4]`` for the fifth value of a row that is a list.
    What a request asks for (symbol, market) and what the fetch adds (times of arrival, hours that single
    trades are summed over) is in no reply and in no answer.

    Args:
        feed: whose parser and table.
        body: a reply of its endpoint, JSON.

    Raises:
        ProviderError: the parser refuses the reply as it is.
    """
    wanted = set(table(f"raw.{feed.dataset}").fields)

    def parse(document: Any) -> pd.DataFrame:
        key = f"{feed.endpoint.provider}/{feed.endpoint.name}"
        frame = PARSERS[key](orjson.dumps(document), feed.context)
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
            }
            for name, value in stamps.items():
                if name not in frame:
                    frame[name] = value
            frame = feed.shape(frame)
        return frame

    found = read_from(parse, _cut(orjson.loads(body)))
    return {column: places for column, places in found.items() if column in wanted}


def columns_of_all(sources: Iterable[Source], replies: Path) -> Replies:
    """The same for every feed of which a reply was recorded: table -> column -> endpoint -> places.

    Args:
        sources: whose feeds.
        replies: folder with a file ``provider/endpoint__1.json`` each.
    """
    out: Replies = {}
    for source in sources:
        for feed in source.feeds:
            endpoint = f"{source.name}/{feed.endpoint.name}"
            recorded = replies / f"{feed.endpoint.provider}/{feed.endpoint.name}__1.json"
            if feed.part in NO_SERIES or not recorded.is_file():
                continue
            found = out.setdefault(f"raw.{feed.dataset}", {})
            for column, places in columns_of(feed, recorded.read_bytes()).items():
                known = found.setdefault(column, {})
                known[endpoint] = tuple(dict.fromkeys([*known.get(endpoint, ()), *places]))
    return {name: found for name, found in out.items() if found}


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
            yield from _places(inner, f"{at}.{name}" if at else name)
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from _places(inner, _entry(at, number, inner, in_list=in_list), in_list=True)
    else:
        yield at


def _entry(at: str, number: int, inner: Any, *, in_list: bool) -> str:
    is_field = in_list and not isinstance(inner, dict | list)
    return f"{at}[{number}]" if is_field else f"{at}[]"


def _changed(
    node: Any, place: str, change: Callable[[Any], Any], at: str = "", *, in_list: bool = False
) -> Any:
    if isinstance(node, dict):
        return {
            name: _changed(inner, place, change, f"{at}.{name}" if at else name)
            for name, inner in node.items()
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
