"""What a request asks for: its parameters, checked against its endpoint.

Belongs here: reading and refusing. A parameter that is unknown, repeated or out of bounds is refused with
its name; nothing is guessed or ignored. Does not belong here: SQL (``query``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import orjson
from psycopg.types.json import Jsonb

from regime_pipeline.api.endpoints import BY_PATH, SYMBOL, Beside, Endpoint
from regime_pipeline.api.problems import Problem
from regime_pipeline.catalogue.model import Field, Kind

FORMATS = ("json", "csv")
FILE_FORMATS = ("parquet", "arrow", "csv")
"""Forms of a whole mart; the first is the usual one."""
MOST_FILE_ROWS = 1_000_000
MOST_ROWS = 1000
USUAL_ROWS = 100
COMMON = ("symbols", "from", "to", "limit", "cursor", "fields", "as_of", "format")
"""Parameters that every endpoint knows, as far as its mart has symbols, time and a past."""


@dataclass(frozen=True)
class Query:
    """A request for rows of one mart.

    Attributes:
        endpoint: what is asked.
        symbols: canonical symbols; None for all.
        start: first instant of the time column; None for no bound.
        end: first instant after it; None for no bound.
        filters: column -> values it may have.
        columns: what is answered, in order.
        limit: rows of a page.
        after: key of the last row of the page before.
        as_of: the instant whose knowledge is asked for; None for now.
        shape: one of :data:`FORMATS`, of an export of :data:`FILE_FORMATS`.
        beside: what is answered beside these rows.
    """

    endpoint: Endpoint
    symbols: tuple[str, ...] | None
    start: datetime | None
    end: datetime | None
    filters: tuple[tuple[str, tuple[Any, ...]], ...]
    columns: tuple[str, ...]
    limit: int
    after: tuple[Any, ...] | None
    as_of: datetime | None
    shape: str
    beside: tuple[Beside, ...] = ()

    @cached_property
    def digest(self) -> str:
        """What a cursor belongs to: everything but the page."""
        said = [
            self.endpoint.path, self.symbols, str(self.start), str(self.end),
            [[k, [str(v) for v in vs]] for k, vs in self.filters], self.columns, str(self.as_of),
        ]  # fmt: skip
        return hashlib.sha256(orjson.dumps(said)).hexdigest()[:16]

    @cached_property
    def canonical(self) -> bytes:
        """Equal for requests that have equal answers."""
        more = [b.key for b in self.beside]
        return orjson.dumps(
            [self.digest, self.limit, [str(v) for v in self.after or ()], self.shape, more]
        )

    @cached_property
    def marts(self) -> tuple[str, ...]:
        """Every mart that an answer tells of."""
        further = [BY_PATH[b.path].mart for b in self.beside if b.path is not None]
        return (self.endpoint.mart, *further)


class _Faults:
    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []

    def add(self, parameter: str, detail: str) -> None:
        self.found.append({"parameter": parameter, "detail": detail})

    def stop(self) -> None:
        if self.found:
            first = self.found[0]
            raise Problem("parameters", f"{first['parameter']}: {first['detail']}", self.found)


def known_parameters(endpoint: Endpoint) -> tuple[str, ...]:
    """Names of the parameters that an endpoint takes in its query."""
    mart = endpoint.described
    out = []
    for name in COMMON:
        if name == "symbols" and (not endpoint.symbol_columns or "{symbol}" in endpoint.path):
            continue
        if name in ("from", "to") and (mart is None or mart.time_column is None):
            continue
        if name in ("limit", "cursor") and endpoint.is_export:
            continue
        if name == "as_of" and not endpoint.has_past:
            continue
        out.append(name)
    further = [b.parameter for b in endpoint.beside] + [*endpoint.instead]
    return (*out, *(f.name for f in endpoint.filter_columns), *dict.fromkeys(further))


def single(given: Sequence[tuple[str, str]], *takes: str) -> dict[str, str]:
    """The parameters of an address that is no page of a mart.

    Args:
        given: parameters in order, as they came.
        takes: their names.

    Raises:
        Problem: one is unknown or given twice.
    """
    faults = _Faults()
    values: dict[str, str] = {}
    for name, value in given:
        if name not in takes:
            faults.add(name, f"no parameter here; there are: {', '.join(takes)}")
        elif name in values:
            faults.add(name, "given twice")
        values[name] = value
    faults.stop()
    return values


def symbol_named(text: str, known: Iterable[str]) -> str | None:
    """The canonical symbol meant by ``BTC/USDT``, ``BTC-USDT``, ``BTCUSDT`` or ``BTC``; None for none."""
    wanted = text.strip().upper()
    for symbol in known:
        base, _, quote = symbol.partition("/")
        if wanted in (symbol, f"{base}-{quote}", f"{base}{quote}", base):
            return symbol
    return None


def read(
    endpoint: Endpoint,
    given: Sequence[tuple[str, str]],
    path: dict[str, str],
    *,
    known: Sequence[str],
    now: datetime,
) -> Query:
    """The query that a request is.

    Args:
        endpoint: what was asked.
        given: parameters in order, as they came.
        path: parts of the path.
        known: configured symbols.
        now: no later instant can be asked for.

    Raises:
        Problem: a parameter is unknown, repeated, or has no meaning; all faults at once.
    """
    faults = _Faults()
    endpoint = _meant(endpoint, given)
    takes = known_parameters(endpoint)
    values: dict[str, str] = {}
    for name, value in given:
        if name == "as_of" and not endpoint.has_past:
            why = None if endpoint.described is None else endpoint.described.why_no_past
            faults.add(name, f"it tells of now only: {why or 'nothing is built that has a past'}")
        elif name not in takes:
            faults.add(name, f"no parameter here; there are: {', '.join(takes)}")
        elif name in values:
            faults.add(name, "given twice; values are written once, with commas between")
        else:
            values[name] = value
    mart = endpoint.described
    names = () if mart is None else mart.names
    symbols = _symbols(values.get("symbols"), path.get("symbol"), known, faults)
    start = _instant(values, "from", faults)
    end = _instant(values, "to", faults)
    if start and end and start >= end:
        faults.add("to", "is not after `from`; the span is half open: from <= t < to")
    as_of = _instant(values, "as_of", faults)
    if as_of and as_of > now:
        faults.add("as_of", "lies in the future")
    columns = _columns(values.get("fields"), names, faults)
    filters = _filters(endpoint, values, faults)
    if "event_id" in path:
        filters.append(("event_id", (path["event_id"],)))
    limit = MOST_FILE_ROWS if endpoint.is_export else _limit(values.get("limit"), faults)
    shapes = FILE_FORMATS if endpoint.is_export else FORMATS
    shape = values.get("format", shapes[0])
    if shape not in shapes:
        faults.add("format", f"one of {', '.join(shapes)}")
    beside = _beside(endpoint, values, columns, faults)
    faults.stop()
    query = Query(
        endpoint, symbols, start, end, tuple(filters), columns, limit, None, as_of, shape, beside
    )
    if "cursor" in values:
        query = replace(query, after=_cursor(values["cursor"], query))
    return query


def _meant(endpoint: Endpoint, given: Sequence[tuple[str, str]]) -> Endpoint:
    """The endpoint that answers with these parameters."""
    others = [endpoint.instead[name] for name, _ in given if name in endpoint.instead]
    return BY_PATH[others[0]] if others else endpoint


def cursor_of(query: Query, key: Sequence[Any]) -> str:
    """The cursor of the page that begins after the row with this key."""
    said = [query.digest, [v.isoformat() if isinstance(v, datetime) else v for v in key]]
    return base64.urlsafe_b64encode(orjson.dumps(said)).decode().rstrip("=")


def address_of(query: Query, cursor: str) -> str:
    """The reference of the page that begins at a cursor, relative to the address of the query."""
    endpoint = query.endpoint
    said: list[tuple[str, str]] = []
    if query.symbols is not None and SYMBOL not in endpoint.path:
        said.append(("symbols", ",".join(query.symbols)))
    instants = (("from", query.start), ("to", query.end), ("as_of", query.as_of))
    said += [(name, at.isoformat()) for name, at in instants if at is not None]
    named = {f.name for f in endpoint.filter_columns}
    said += [(k, ",".join(map(_said, vs))) for k, vs in query.filters if k in named]
    if query.columns != (endpoint.described.names if endpoint.described else ()):
        said.append(("fields", ",".join(query.columns)))
    further: dict[str, list[str]] = {}
    for part in query.beside:
        further.setdefault(part.parameter, []).append(part.value)
    said += [(name, ",".join(parts)) for name, parts in further.items()]
    if query.limit != USUAL_ROWS:
        said.append(("limit", str(query.limit)))
    if query.shape != FORMATS[0]:
        said.append(("format", query.shape))
    return "?" + urlencode([*said, ("cursor", cursor)], safe=",/:")


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def order_of(endpoint: Endpoint) -> tuple[str, ...]:
    """The columns that rows are ordered by: the time first, the newest before, then the key."""
    mart = endpoint.described
    if mart is None:
        return ()
    time = mart.time_column
    return (*([time] if time else []), *(k for k in mart.key if k != time))


def _cursor(text: str, query: Query) -> tuple[Any, ...]:
    try:
        digest, key = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        kinds = {c.name: c for c in query.endpoint.described.columns}  # type: ignore[union-attr]
        order = order_of(query.endpoint)
        if digest != query.digest or len(key) != len(order):
            raise Problem(
                "parameters",
                "cursor: belongs to another question; repeat the parameters of the first page",
                [{"parameter": "cursor", "detail": "belongs to another question"}],
            )
        return tuple(_of_key(kinds[name], v) for name, v in zip(order, key, strict=True))
    except (binascii.Error, orjson.JSONDecodeError, ValueError, TypeError, AttributeError) as error:
        raise Problem(
            "parameters",
            "cursor: is not one that this API gave",
            [{"parameter": "cursor", "detail": "is not one that this API gave"}],
        ) from error


def _symbols(
    given: str | None,
    one: str | None,
    known: Sequence[str],
    faults: _Faults,
) -> tuple[str, ...] | None:
    if one is not None:
        found = symbol_named(one, known)
        if found is None:
            raise Problem("not-found", f"no symbol {one[:40]!r}; there are: {', '.join(known)}")
        return (found,)
    if given is None:
        return None
    out = []
    for text in given.split(","):
        symbol = symbol_named(text, known)
        if symbol is None:
            faults.add("symbols", f"no symbol {text[:40]!r}; there are: {', '.join(known)}")
        elif symbol not in out:
            out.append(symbol)
    return tuple(sorted(out))


def _instant(values: dict[str, str], name: str, faults: _Faults) -> datetime | None:
    text = values.get(name)
    if text is None:
        return None
    at = instant_in(text)
    if isinstance(at, str):
        faults.add(name, at)
        return None
    return at


def instant_in(text: str) -> datetime | str:
    """The instant that a text is, in UTC; else what is wrong with it."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return "an ISO instant with its zone, as 2026-03-01T00:00:00Z"
    if at.tzinfo is None:
        return "has no zone; add Z for UTC"
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return "lies outside of the calendar"


def _columns(given: str | None, names: tuple[str, ...], faults: _Faults) -> tuple[str, ...]:
    if given is None:
        return names
    out = []
    for name in given.split(","):
        if name not in names:
            faults.add("fields", f"no field {name[:60]!r} here")
        elif name not in out:
            out.append(name)
    return tuple(out)


def _filters(
    endpoint: Endpoint, values: dict[str, str], faults: _Faults
) -> list[tuple[str, tuple[Any, ...]]]:
    found: list[tuple[str, tuple[Any, ...]]] = []
    for field in endpoint.filter_columns:
        text = values.get(field.name)
        if text is None:
            continue
        options = []
        for part in text.split(","):
            try:
                options.append(_value(field, part))
            except ValueError as error:
                faults.add(field.name, str(error))
        found.append((field.name, tuple(options)))
    return found


def _beside(
    endpoint: Endpoint, values: dict[str, str], columns: tuple[str, ...], faults: _Faults
) -> tuple[Beside, ...]:
    """What an answer has beside its rows, in the order of the endpoint."""
    out = []
    for name in dict.fromkeys(b.parameter for b in endpoint.beside):
        parts = {b.value: b for b in endpoint.beside if b.parameter == name}
        options = [*parts, *(["false"] if "true" in parts else [])]
        wanted = values[name].lower().split(",") if name in values else []
        if any(w not in options for w in wanted):
            faults.add(name, f"one of {', '.join(options)}")
        out += [part for value, part in parts.items() if value in wanted]
    if out and values.get("format", FORMATS[0]) != FORMATS[0]:
        faults.add(out[0].parameter, "an answer in several parts has the format json")
    for part in out:
        if not set(part.needs) <= set(columns):
            faults.add("fields", f"`{part.key}` is made of {', '.join(part.needs)}")
    for part in out if "as_of" in values else ():
        target = None if part.path is None else BY_PATH[part.path]
        if target is not None and not target.has_past:
            why = None if target.described is None else target.described.why_no_past
            faults.add("as_of", f"`{part.key}` tells of now only: {why}")
    return tuple(out)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def _integer(text: str) -> int:
    if not text.lstrip("-").isascii() or not text.lstrip("-").isdigit() or len(text) > 18:
        raise ValueError("a whole number")
    return int(text)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _timestamp(text: str) -> datetime:
    at = instant_in(text)
    if isinstance(at, str):
        raise ValueError(at)
    return at


_READERS: dict[Kind, Callable[[str], Any]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.FLOAT: _float,
    Kind.TIMESTAMP: _timestamp,
}


def _value(field: Field, text: str) -> Any:
    """A value of a column from its text.

    Raises:
        ValueError: it is none, with what it should be.
    """
    if field.allowed and text not in field.allowed:
        raise ValueError(f"one of {', '.join(field.allowed)}")
    if "\0" in text:
        raise ValueError("holds a character that no text has")
    return _READERS.get(field.kind, str)(text)


def _of_key(field: Field, value: Any) -> Any:
    """A value of a cursor as the database compares it.

    Raises:
        ValueError: it is none of that column.
    """
    return Jsonb(value) if field.kind is Kind.JSON else _value(field, str(value))


def _limit(text: str | None, faults: _Faults) -> int:
    if text is None:
        return USUAL_ROWS
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_ROWS):
        faults.add("limit", f"a whole number from 1 to {MOST_ROWS}")
        return USUAL_ROWS
    return int(text)
