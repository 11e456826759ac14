"""Values of HTTP headers, and how far apart two clocks may stand.

Belongs here: what a header says, whoever sent it. Does not belong here: requests, replies, waiting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

CLOCKS_APART = timedelta(minutes=1)
"""Ours and a server's time further apart than this are two clocks, not a slow reply."""


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The wait a ``Retry-After`` header asks for, from seconds or an HTTP date.

    Null policy: None when it is absent, negative or neither of the two. A date needs ``now`` or a
    ``Date`` header to count from; the header wins, so that a wrong host clock does no harm.
    """
    text = (headers.get("retry-after") or "").strip()
    if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text):
        return float(text)
    at = http_date(text)
    since = http_date(headers.get("date") or "") or now
    if at is None or since is None:
        return None
    return max(0.0, (at - since).total_seconds())


def http_date(text: str) -> datetime | None:
    """An HTTP date as tz-aware UTC, or None when it is none."""
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
