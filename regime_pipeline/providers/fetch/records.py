"""What happened, as rows of ``ops.fetch_log`` and ``ops.payloads``; no secret leaves in them.

Does not belong here: writing them (the caller does).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta

import pandas as pd

from regime_pipeline.catalogue.frames import DTYPES, empty
from regime_pipeline.catalogue.registry import FIELDS, table
from regime_pipeline.providers.fetch.stream import Stamping, Stream
from regime_pipeline.providers.fetch.tiers import tier
from regime_pipeline.providers.registry import ARCHIVE


def without_secrets(frame: pd.DataFrame, redact: Callable[[object], str]) -> pd.DataFrame:
    """Refused rows quote what a provider sent, which may be what it was sent."""
    for column in frame.columns:
        if len(frame) and DTYPES[FIELDS[column].kind] == "str":
            frame[column] = frame[column].map(redact, na_action="ignore")
    return frame


def _class_of(stream: Stream) -> str | None:
    if stream.off is not None:
        return "NotConfigured"
    return stream.error.error_class if stream.error else None


def log_row(stream: Stream, common: Stamping, redact: Callable[[object], str]) -> dict[str, object]:
    """The row of ``ops.fetch_log`` of a stream; ``redact`` frees messages of secrets."""
    status, message = "ok", None
    if stream.off is not None:
        status, message = "skipped", stream.off
    elif stream.error is not None:
        status, message = "failed", redact(stream.error)
    elif stream.too_old or (stream.at_wall and (stream.gave_rows or not stream.inside)):
        days = (stream.feed.retention or timedelta(0)) / timedelta(days=1)
        status, message = "partial", f"the provider keeps {days:g} days only"
    elif stream.note is not None:
        status, message = "partial", redact(stream.note)
    elif not stream.gave_rows and not stream.is_whole:
        status = "empty"
    # the archive answers only for the days whose files should be there, a name for its own time
    answered = stream.window if stream.from_archive or stream.is_part else common.window
    first_row, last_row = stream.extent()
    return {
        "fetch_id": uuid.uuid4().hex,
        "dataset": common.dataset,
        "source": ARCHIVE if stream.from_archive else stream.source.name,
        "venue": stream.venue,
        "market": stream.feed.market,
        "symbol": stream.canonical,
        "endpoint_path": stream.feed.endpoint.told_path,
        "window_start": answered.start,
        "window_end": answered.end,
        "fetch_status": status,
        "error_class": _class_of(stream),
        "error_message": message,
        "rows_stored": stream.stored,
        "rows_quarantined": stream.quarantined,
        "first_row_at": first_row,
        "last_row_at": last_row,
        "request_count": stream.requests,
        "duration_s": stream.seconds,
        "source_tier": tier(stream, common)
        if stream.symbol or not stream.feed.per_symbol
        else None,
        "fetched_at": stream.started or common.now,
        "run_id": None,
    }


def payload_rows(streams: Iterable[Stream]) -> list[dict[str, object]]:
    """One row of ``ops.payloads`` for every reply and address."""
    out: dict[tuple[str, str], dict[str, object]] = {}
    for stream in streams:
        for page in stream.pages:
            reply = page.reply
            out[reply.landed.payload_id, reply.url] = {
                "payload_id": reply.landed.payload_id,
                "source": ARCHIVE if stream.from_archive else stream.source.name,
                "endpoint_path": stream.feed.endpoint.told_path,
                "url": reply.url,
                "http_status": reply.status,
                "http_date": reply.http_date,
                "byte_count": reply.landed.byte_count,
                "landing_path": reply.landed.path,
                "fetched_at": reply.fetched_at,
                "run_id": None,
            }
    return list(out.values())


def typed(rows: list[dict[str, object]], name: str) -> pd.DataFrame:
    """Rows as a frame in the column types and the key order of a table."""
    target = table(name)
    if not rows:
        return empty(target)
    data = {f: pd.Series([r[f] for r in rows], dtype=DTYPES[FIELDS[f].kind]) for f in target.fields}
    return pd.DataFrame(data).sort_values(list(target.key), ignore_index=True)
