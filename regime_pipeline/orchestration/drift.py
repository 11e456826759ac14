"""Fields that a provider's replies did not have before.

They are kept in the landing store, ignored by the parsers, and told to people once. A reply of every
endpoint that was asked is looked at, its field names compared with the known ones in
``ops.reply_fields``. The first reply of an endpoint is what counts as known; so are the fields of the first
record of a list that was empty until then. A field that is gone or has another type is not looked for
here: the parsers refuse such a reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import orjson
import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.orchestration.resources import Platform

NAMES = "ops.reply_fields"
MAX_FIELDS = 80
"""An object with more keys than this is a map of data, not a record."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")


def field_names(body: bytes) -> tuple[str, ...]:
    """The field names of a JSON reply, as paths; of a list the first element stands for all.

    ``data[].price`` is a field of the records in ``data``; ``data[].[12]`` says that they are lists of
    twelve columns. Nothing for what is no JSON (the parsers of files read that).
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ()
    return tuple(sorted(set(_walk(document, ""))))


def _walk(node: object, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        names = [k for k in node if _NAME.fullmatch(k)]
        if len(node) > MAX_FIELDS or len(names) < len(node):
            return  # keys are values, as in a map from symbol to price
        for name in names:
            yield f"{path}.{name}".lstrip(".")
            yield from _walk(node[name], f"{path}.{name}".lstrip("."))
    elif isinstance(node, list) and node:
        first = node[0]
        if isinstance(first, list) and not any(isinstance(x, (dict, list)) for x in first):
            yield f"{path}[].[{len(first)}]"
        else:
            yield from _walk(first, f"{path}[]")


def new_fields(platform: Platform, payloads: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Records the field names of fresh replies; those that a known endpoint did not have before.

    Args:
        platform: tables, landing store and clock.
        payloads: rows of ``ops.payloads`` of this run.

    Returns:
        (source, endpoint, field), sorted.

    Raises:
        LandingError: a stored reply is damaged.
    """
    if payloads.empty:
        return []
    from regime_pipeline.providers.landing import LandingStore
    from regime_pipeline.providers.registry import ARCHIVE

    store = LandingStore.of(platform.settings)
    some = payloads[payloads["source"] != ARCHIVE].sort_values("payload_id")
    some = some.drop_duplicates(["source", "endpoint_path"])
    told = [
        (str(source), str(path), name)
        for source, path, payload in zip(
            some["source"], some["endpoint_path"], some["payload_id"], strict=True
        )
        for name in field_names(store.get(str(payload)))
    ]
    if not told:
        return []
    known = platform.warehouse.read(NAMES, where={"source": sorted({s for s, _, _ in told})})
    seen = set(zip(known["source"], known["endpoint_path"], known["reply_field"], strict=True))
    fresh = sorted(set(told) - seen)
    if not fresh:
        return []
    frame = pd.DataFrame(fresh, columns=["source", "endpoint_path", "reply_field"])
    platform.warehouse.record(
        NAMES,
        frame.assign(first_seen_at=pd.Timestamp(platform.clock.now()))[list(table(NAMES).fields)],
    )
    return unlike(fresh, seen)


def unlike(
    fresh: Iterable[tuple[str, str, str]], seen: Iterable[tuple[str, str, str]]
) -> list[tuple[str, str, str]]:
    """Fields beside which others were seen before: what holds them did not come with them."""
    holders = {(source, path, _holder(name)) for source, path, name in seen}
    return [(s, p, name) for s, p, name in fresh if (s, p, _holder(name)) in holders]


def _holder(name: str) -> str:
    """The record that a field is of; empty for the reply itself."""
    return name.rpartition(".")[0]


def tell(platform: Platform, dataset: str, found: list[tuple[str, str, str]]) -> int:
    """One system alert a day per endpoint with new fields; how many were new."""
    from regime_pipeline.alerts.kinds import REPLY_CHANGED
    from regime_pipeline.alerts.outbox import enqueue_system

    told = 0
    for source, path in sorted({f[:2] for f in found}):
        told += enqueue_system(
            platform.database,
            settings=platform.settings,
            clock=platform.clock,
            kind=REPLY_CHANGED,
            title=f"{source} sends new fields in {path}",
            details={
                "dataset": dataset,
                "source": source,
                "endpoint": path,
                "fields": [f for s, p, f in found if (s, p) == (source, path)],
                "day": platform.clock.now().date().isoformat(),
            },
        )
    return told
