"""Legacy signal files: JSON of the replaced systems, read strictly, repaired behind a gate.

Belongs here: which files may be read, what shapes they had, what a repair may and may not do. Does
not belong here: writing (the command hands rows to the warehouse).

A file is parsed strictly first. Only when that fails a repair is tried, and only one that cannot
invent or alter a value: padding cut off, whole documents told apart, the last record of a cut list
dropped, a bare NaN read as null. Everything from a repaired file is flagged; everything else is
refused with its reason. Originals are only read: opened once, never followed through a link, and
refused when they change meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.fields.common import COMPONENTS
from regime_pipeline.net.files import barred
from regime_pipeline.settings import SYMBOL_PATTERN
from regime_pipeline.windows import utc

_ALIASES = {
    "order_flow": "orderflow",
    "order_book": "orderbook",
    "book": "orderbook",
    "beta": "beta_exp",
    "beta_exposure": "beta_exp",
    "whale": "whale_act",
    "whale_activity": "whale_act",
    "whales": "whale_act",
    "liquidations": "liquidation",
    "price": "price_action",
    "priceaction": "price_action",
    "ta": "technical",
}
_HOLDERS = ("signals", "components", "results", "scores")
_LISTS = ("data", "records", "items", "history")
_TIME_KEYS = ("timestamp", "ts", "time", "generated_at", "date")
_SYMBOL_KEYS = ("symbol", "pair", "ticker")
_QUOTES = ("USDT", "USDC", "USD", "BTC")
_WORDS = {"weak": 0.25, "moderate": 0.5, "medium": 0.5, "strong": 0.75, "very_strong": 1.0}
_DIRECTIONS = {
    "bullish": "BULLISH",
    "long": "BULLISH",
    "buy": "BULLISH",
    "bearish": "BEARISH",
    "short": "BEARISH",
    "sell": "BEARISH",
    "neutral": "NEUTRAL",
    "hold": "NEUTRAL",
}

_PRICE_KEYS = ("price", "current_price", "last_price")
_PARTS = ("_confidence", "_strength", "_direction")

MAX_DEPTH = 8
MAX_RECORD_TEXT = 4096
EARLIEST = utc("2017-01-01")
MARKUP = re.compile(r"<[/!]?[a-zA-Z]")
_MERGE = re.compile(r"^(<{7}|={7}|>{7})", re.MULTILINE)
_CUT_WORD = re.compile(r"-?(t(r(u)?)?|f(a(l(s)?)?)?|n(u(l)?)?|N(a)?|I[nfity]{0,6})?")
_SPACE = " \t\r\n\x1e"


class LegacyFileError(ValueError):
    """A legacy file cannot be used at all; the message says why."""


@dataclass
class LegacyFile:
    """What came of one file.

    Attributes:
        path: relative to the source folder.
        rows: one row per symbol, component and time: those three, ``score``, ``direction``,
            ``strength``, ``confidence`` and ``price``.
        refused: records that are not usable, each with ``reason`` and ``record``.
        repair: what was done to read it, or None when it was sound.
        error: why nothing could be read, or None.
        payload_id: sha256 of the bytes, None when they were not read.
    """

    path: str
    rows: pd.DataFrame
    refused: list[dict[str, str]] = field(default_factory=list)
    repair: str | None = None
    error: str | None = None
    payload_id: str | None = None

    @property
    def outcome(self) -> str:
        """``ok``, ``repaired``, ``partial`` (some records refused) or ``quarantined``."""
        if self.error is not None or (self.rows.empty and self.refused):
            return "quarantined"
        if self.refused:
            return "partial"
        return "repaired" if self.repair else "ok"

    @property
    def reason(self) -> str | None:
        """Why the outcome is not ``ok``, on one line."""
        if self.error is not None:
            return self.error
        told = sorted({r["reason"] for r in self.refused})
        parts = [self.repair] if self.repair else []
        if told:
            more = f" and {len(told) - 1} other reasons" if len(told) > 1 else ""
            parts.append(f"{len(self.refused)} records refused: {told[0]}{more}")
        return "; ".join(parts) or None


# --- files ---------------------------------------------------------------------------------------


def legacy_paths(folder: Path) -> list[tuple[Path, str | None]]:
    """Every ``*.json`` below a folder in name order, with the reason when it must not be read.

    Links (to files and to folders), anything but regular files, and oversized files are refused
    without being opened; nothing outside the folder is ever reached.

    Raises:
        LegacyFileError: the folder is not there.
    """
    if not folder.is_dir():
        raise LegacyFileError(f"{folder} is no folder")
    found: list[tuple[Path, str | None]] = []
    for base, folders, names in os.walk(folder, followlinks=False):
        found += [
            (Path(base) / n, "a symbolic link is not followed")
            for n in folders
            if (Path(base) / n).is_symlink()
        ]
        found += [
            (path, barred(path))
            for path in (Path(base) / n for n in names)
            if path.suffix.lower() == ".json"
        ]
    return sorted(found)


def parse_legacy(
    body: bytes, *, name: str, now: datetime, symbols: Collection[str] | None = None
) -> LegacyFile:
    """Bytes of a legacy file to rows; pure, and never raises for what the file holds.

    Args:
        body: the whole file.
        name: for the report, and the source of symbol and time where a record lacks them
            (``BTCUSDT_20240203_1530.json``); a record about another symbol than the name's is
            refused.
        now: records after it are refused.
        symbols: canonical symbols that are accepted; None accepts all.
    """
    digest = hashlib.sha256(body).hexdigest()
    try:
        documents, repair = _documents(body)
    except LegacyFileError as error:
        return LegacyFile(name, empty_rows(), error=str(error), payload_id=digest)
    rows: list[dict[str, Any]] = []
    texts: list[str] = []
    refused: list[dict[str, str]] = []
    fallback = _from_name(name)
    for document in documents:
        for record in _records(document, fallback, 0):
            text = _text(record)
            try:
                rows.append(_row(record, text, now, symbols))
                texts.append(text)
            except LegacyFileError as error:
                refused.append({"reason": str(error), "record": text})
    if not rows and not refused:
        what = "holds no signal of a known shape"
        return LegacyFile(name, empty_rows(), error=what, payload_id=digest)
    frame, lost = _settled(rows, texts)
    return LegacyFile(name, frame, refused + lost, repair, payload_id=digest)


def _settled(
    rows: list[dict[str, Any]], texts: list[str]
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """One row per key, the last one said; differing earlier ones are refused, equal ones vanish."""
    if not rows:
        return empty_rows(), []
    frame = pd.DataFrame(rows, columns=list(empty_rows().columns))
    frame = frame.astype({c: str(t) for c, t in empty_rows().dtypes.items()})
    lost = frame.duplicated(list(KEY), keep="last") & ~frame.duplicated(keep="last")
    why = "another record of the file with the same key says otherwise"
    refused = [{"reason": why, "record": texts[i]} for i in np.flatnonzero(lost)]
    kept = frame.drop_duplicates(list(KEY), keep="last")
    return kept.sort_values(list(KEY), ignore_index=True), refused


# --- bytes to documents ---------------------------------------------------------------------------


def _documents(body: bytes) -> tuple[list[Any], str | None]:
    """The JSON documents of a file and the repair that was needed.

    Raises:
        LegacyFileError: no sound document can be had without guessing.
    """
    if not body.strip(b"\x00 \t\r\n"):
        raise LegacyFileError("empty file")
    repair: list[str] = []
    text = _decoded(body, repair)
    trimmed = text.rstrip("\x00" + _SPACE)
    if "\x00" in text[len(trimmed) :]:
        repair.append("padding cut off")
    reader = _Reader(trimmed)
    found = reader.documents(repair)
    if reader.saw_nan:
        repair.append("NaN read as null")
    return found, ", ".join(repair) or None


class _Reader:
    """Steps through a text value by value, strictly; says where and why it had to stop."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.saw_nan = False
        self._decoder = json.JSONDecoder(
            object_pairs_hook=_no_duplicates, parse_constant=self._constant
        )

    def _constant(self, _: str) -> None:
        self.saw_nan = True

    def value(self, at: int) -> tuple[Any, int]:
        """The value that begins at ``at``, and where it ends.

        Raises:
            json.JSONDecodeError: there is none.
            LegacyFileError: there is one that cannot be used.
        """
        try:
            return self._decoder.raw_decode(self.text, at)
        except (json.JSONDecodeError, LegacyFileError):
            raise
        except RecursionError as error:
            raise LegacyFileError("is not JSON: nested too deep") from error
        except ValueError as error:  # an integer of thousands of digits
            raise LegacyFileError("is not JSON: a number too long") from error

    def after_space(self, at: int, more: str = "") -> int:
        """The first place from ``at`` on that is no white space."""
        while at < len(self.text) and self.text[at] in _SPACE + more:
            at += 1
        return at

    def is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether the text ends inside the value, as opposed to being wrong inside it."""
        return (
            error.pos >= len(self.text)
            or error.msg.startswith("Unterminated string")
            or _CUT_WORD.fullmatch(self.text, error.pos) is not None
        )

    def documents(self, repair: list[str]) -> list[Any]:
        """Every document of the text; what a cut runs through is dropped and said in ``repair``."""
        out: list[Any] = []
        at = self.after_space(0)
        while at < len(self.text):
            try:
                value, end = self.value(at)
            except json.JSONDecodeError as error:
                self._explain(error)
                if not self.is_cut(error):
                    raise _not_json(error) from error
                whole = self._whole_records(at) if self.text[at] == "[" else []
                if not out and not whole:
                    raise LegacyFileError(
                        "is cut, and no record before the cut is whole"
                    ) from error
                repair.append("cut: its last record dropped")
                out += [whole] if whole else []
                break
            if out and not isinstance(value, dict | list):
                raise LegacyFileError("is not JSON: text after the document")
            out.append(value)
            at = self.after_space(end)
        if len(out) > 1:
            repair.append(f"{len(out)} documents separated")
        return out

    def _explain(self, error: json.JSONDecodeError) -> None:
        """Better reasons for what is no data at all."""
        if _MERGE.search(self.text):
            raise LegacyFileError("holds merge-conflict markers") from error
        if self.text.lstrip()[:1] == "<":
            raise LegacyFileError("is a web page, not data") from error

    def _whole_records(self, at: int) -> list[Any]:
        """Records of a cut list that something follows: of the last one nobody knows."""
        out: list[Any] = []
        at = self.after_space(at + 1)
        while at < len(self.text):
            try:
                value, end = self.value(at)
            except json.JSONDecodeError:
                break
            at = self.after_space(end)
            if not isinstance(value, dict) or at >= len(self.text) or self.text[at] != ",":
                break
            out.append(value)
            at = self.after_space(at + 1)
        return out


def _not_json(error: json.JSONDecodeError) -> LegacyFileError:
    return LegacyFileError(f"is not JSON: {error.msg} at {error.lineno}:{error.colno}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise LegacyFileError("is not JSON: a key appears twice in one object")
    return out


def _decoded(body: bytes, repair: list[str]) -> str:
    for mark, codec in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if body.startswith(mark):
            repair.append(f"read as {codec}")
            try:
                return body.decode(codec)
            except UnicodeDecodeError as error:
                raise LegacyFileError(f"is not {codec}: {error.reason}") from error
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LegacyFileError(f"is not UTF-8: {error.reason} at byte {error.start}") from error


# --- documents to records -------------------------------------------------------------------------


def _canonical_component(name: str) -> str | None:
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    plain = re.sub(r"_(signal|score)$", "", plain)
    plain = _ALIASES.get(plain, plain)
    return plain if plain in COMPONENTS else None


def _records(document: Any, known: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    """Flat records ``{symbol, ts, component, value}`` of any of the old shapes.

    ``component`` is None for one that has a score and a name that is no component's.
    """
    if depth > MAX_DEPTH:
        return
    if isinstance(document, list):
        for item in document:
            yield from _records(item, known, depth + 1)
        return
    if not isinstance(document, dict):
        return
    here = known | _said(document)
    named = document.get("component", document.get("signal_type", document.get("type")))
    if isinstance(named, str) and (
        _canonical_component(named) or "score" in document or "value" in document
    ):
        component = _canonical_component(named)
        yield here | {"component": component, "name": named, "value": document}
        return
    for key in (*_LISTS, *_HOLDERS):
        held = document.get(key)
        if isinstance(held, list) or (isinstance(held, dict) and key in _LISTS):
            yield from _records(held, here, depth + 1)
        elif isinstance(held, dict):
            yield from _components(held, here, all_of_it=True)
    yield from _components(document, here, all_of_it=False)
    for key, value in document.items():
        if isinstance(value, dict) and symbol_of(key):
            yield from _records(value, here | {"symbol": key}, depth + 1)


def _said(document: dict[str, Any]) -> dict[str, Any]:
    """What an object says about everything inside it: time, symbol, price."""
    out = {}
    for target, keys in (("ts", _TIME_KEYS), ("symbol", _SYMBOL_KEYS), ("price", _PRICE_KEYS)):
        found = next((document[k] for k in keys if document.get(k) is not None), None)
        if found is not None:
            out[target] = found
    return out


def _components(
    holder: dict[str, Any], here: dict[str, Any], *, all_of_it: bool
) -> Iterator[dict[str, Any]]:
    """The components of an object; ``all_of_it``: other entries are records too, unknown ones."""
    for key, value in holder.items():
        component = _canonical_component(key)
        # a bare "price" is the market's; one with a score inside is the component
        other = key.lower().endswith(_PARTS) or (key in _PRICE_KEYS and not isinstance(value, dict))
        if other or value is None or isinstance(value, list) or not (component or all_of_it):
            continue
        if not isinstance(value, dict):
            stem = re.sub(r"_(signal|score)$", "", key)
            parts = {p[1:]: holder[stem + p] for p in _PARTS if stem + p in holder}
            value = {"score": value, **parts}
        yield here | {"component": component, "name": key, "value": value}


def symbol_of(text: str) -> str | None:
    """A symbol in any of the old spellings as ``BASE/QUOTE``; None when it is none."""
    plain = re.sub(r"[-_:]", "/", text.strip().upper())
    if "/" not in plain:
        quote = next((q for q in _QUOTES if plain.endswith(q) and len(plain) > len(q)), None)
        if quote is None:
            return None
        plain = f"{plain.removesuffix(quote)}/{quote}"
    return plain if SYMBOL_PATTERN.match(plain) else None


def _from_name(name: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    stem = Path(name).stem
    found = re.match(r"^([A-Za-z0-9]{2,12}(?:USDT|USDC|USD))(?=_|-|$)", stem)
    if found and symbol_of(found.group(1)):
        out["symbol"] = out["named"] = found.group(1)
    when = re.search(r"(20\d{2})-?(\d{2})-?(\d{2})[T_-]?(\d{2})-?:?(\d{2})", stem)
    if when:
        out["ts"] = "{}-{}-{}T{}:{}:00Z".format(*when.groups())
    return out


# --- records to rows ------------------------------------------------------------------------------


def _row(
    record: dict[str, Any], text: str, now: datetime, symbols: Collection[str] | None
) -> dict[str, Any]:
    value = record["value"]
    if MARKUP.search(text):
        raise LegacyFileError("holds markup")
    if record["component"] is None:
        raise LegacyFileError(f"no component is called {str(record['name'])[:40]!r}")
    symbol = _symbol(record, symbols)
    raw = value.get("score", value.get("value"))
    score = _number(raw, "score")
    if score is None or not 0.0 <= score <= 100.0:
        raise LegacyFileError(f"score {_shown(raw)} is not in 0..100")
    price = _number(record.get("price"), "price")
    if price is not None and price <= 0.0:
        raise LegacyFileError(f"price {_shown(price)} is not positive")
    return {
        "symbol": symbol,
        "component": record["component"],
        "ts": _instant(record.get("ts"), now),
        "score": score,
        "direction": _direction(value.get("direction")),
        "strength": _strength(value.get("strength")),
        "confidence": _fraction(value.get("confidence"), "confidence"),
        "price": np.nan if price is None else price,
    }


def _symbol(record: dict[str, Any], symbols: Collection[str] | None) -> str:
    said = record.get("symbol")
    symbol = symbol_of(said) if isinstance(said, str) else None
    if symbol is None:
        raise LegacyFileError(f"no usable symbol: {_shown(said)}")
    if "named" in record and symbol_of(record["named"]) != symbol:
        raise LegacyFileError(f"is about {symbol}, the file is named for {record['named']}")
    if symbols is not None and symbol not in symbols:
        raise LegacyFileError(f"{symbol} is not configured (REGIME_SYMBOLS)")
    return symbol


def _direction(said: Any) -> str | None:
    if said is None:
        return None
    mapped = _DIRECTIONS.get(str(said).strip().lower())
    if mapped is None:
        raise LegacyFileError(f"direction {_shown(said)} is not known")
    return mapped


def _strength(said: Any) -> float:
    if isinstance(said, str):
        word = said.strip().lower().replace(" ", "_")
        if word in _WORDS:
            return _WORDS[word]
    return _fraction(said, "strength")


def _shown(value: Any) -> str:
    return repr(value)[:60]


def _number(value: Any, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        if not re.fullmatch(
            r"\s*[+-]?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,3})?\s*", value, re.ASCII
        ):
            raise LegacyFileError(f"{what} {_shown(value)} is no number")
        value = float(value)
    try:
        if not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value):
            return float(value) + 0.0
    except OverflowError:
        pass  # an integer beyond what a number can hold
    raise LegacyFileError(f"{what} {_shown(value)} is no finite number")


def _fraction(value: Any, what: str) -> float:
    """0..1; the older files wrote percent. Between 1 and 2 nobody can tell the two apart."""
    number = _number(value, what)
    if number is None:
        return np.nan
    if 2.0 <= number <= 100.0:
        number /= 100.0
    if not 0.0 <= number <= 1.0:
        raise LegacyFileError(f"{what} {_shown(value)} is neither a fraction nor a percentage")
    return number


_ISO = re.compile(
    r"\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?\s*(Z|[+-]\d{2}:?\d{2})?\s*"
)


def _instant(value: Any, now: datetime) -> pd.Timestamp:
    """A record's time: ISO text (naive is UTC) or a number of s, ms or us told by magnitude."""
    if value is None:
        raise LegacyFileError("no time")
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            size = abs(value)
            scale = 1_000_000 if size < 1e11 else 1_000 if size < 1e14 else 1
            at = pd.Timestamp(round(value * scale), unit="us", tz="UTC")
        elif isinstance(value, str) and _ISO.fullmatch(value):
            at = pd.Timestamp(value.strip())
            at = at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")
        else:
            raise LegacyFileError(f"time {_shown(value)} is not understood")
    except LegacyFileError:
        raise
    except (ValueError, OverflowError) as error:
        raise LegacyFileError(f"time {_shown(value)} is not understood") from error
    if not EARLIEST <= at <= now + timedelta(minutes=1):
        raise LegacyFileError(f"time {at.isoformat()} is before {EARLIEST.date()} or in the future")
    return at.as_unit("us")


def _text(record: dict[str, Any]) -> str:
    return json.dumps(record, default=str, sort_keys=True, ensure_ascii=False)[:MAX_RECORD_TEXT]


KEY = ("symbol", "component", "ts")


def empty_rows() -> pd.DataFrame:
    """The rows of a file without any."""
    types = {
        "symbol": "str",
        "component": "str",
        "ts": "datetime64[us, UTC]",
        "score": "float64",
        "direction": "str",
        "strength": "float64",
        "confidence": "float64",
        "price": "float64",
    }
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
