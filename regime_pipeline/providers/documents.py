"""From bytes to a document: strict JSON that is no error envelope, its members and its rows.

Belongs here: what is true of a reply as a whole. Does not belong here: the values of a row (``decode``).
Pure: no clock, no network, no settings. What cannot be read raises a
:class:`~regime_pipeline.providers.errors.ProviderError`, never anything else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

import orjson

from regime_pipeline.providers.errors import (
    GENERIC,
    ContractViolation,
    EmptyNotAllowed,
    ErrorRules,
    Malformed,
    excerpt,
)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise Malformed(f"the key {twice[:40]!r} appears twice in one object")
    return out


def _written(document: object) -> bytes | None:
    """A document as orjson writes it; None where it nests too deep for that."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return None


def load(body: bytes) -> object:
    """A JSON document, read strictly.

    Raises:
        Malformed: empty, HTML, not UTF-8, a byte-order mark, NaN or Infinity, a number beyond
            double, nesting too deep, lone surrogates, trailing text, a key twice in one object.
    """
    if not body.strip():
        raise Malformed("the reply is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        kind = "HTML" if body.lstrip()[:1] == b"<" else "no strict JSON"
        detail = str(error).split(": line")[0]
        raise Malformed(f"the reply is {kind} ({detail}): {excerpt(body)}") from None
    # orjson keeps the last of two equal keys silently, so that it does not write them as it read them
    if b"{" in body and _written(document) != body:
        try:
            json.loads(body, object_pairs_hook=_no_duplicates)
        except (RecursionError, ValueError) as error:
            raise Malformed(f"the reply is no strict JSON ({type(error).__name__})") from None
    return document


def document(body: bytes, errors: ErrorRules = GENERIC) -> object:
    """The strictly read reply, once it is sure that it is no error envelope.

    ``errors`` tells how the provider reports one.

    Raises:
        ProviderError: the error that the reply reports, or :class:`Malformed`.
    """
    loaded = load(body)
    error = errors.inside(loaded)
    if error is not None:
        raise error
    return loaded


def member(loaded: object, name: str) -> object:
    """The value called ``name`` of an envelope.

    Raises:
        ContractViolation: the reply is no object or has no such member.
    """
    if not isinstance(loaded, dict) or name not in loaded:
        raise ContractViolation(f"the reply has no member {name!r}")
    return cast("dict[str, object]", loaded)[name]


def rows_of(value: object, *, what: str = "the reply", empty_ok: bool = True) -> list[object]:
    """``value`` as a list of rows.

    Raises:
        ContractViolation: it is no list.
        EmptyNotAllowed: it is empty where the provider always has rows.
    """
    if not isinstance(value, list):
        raise ContractViolation(f"{what} is {kind_of(value)}, a list was expected")
    if not value and not empty_ok:
        raise EmptyNotAllowed(f"{what} has no rows")
    return value


def objects_of(value: object, *, what: str = "the reply") -> list[object]:
    """``value`` as a list of rows, where one object stands for itself.

    Raises:
        ContractViolation: it is neither an object nor a list.
    """
    return [value] if isinstance(value, dict) else rows_of(value, what=what)


def kind_of(value: object) -> str:
    """What a value of a document is, in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")


def objects_in(rows: Sequence[object]) -> list[dict[str, object]]:
    """The rows as objects; one that is none becomes an object without members."""
    return [row if isinstance(row, dict) else {} for row in rows]
