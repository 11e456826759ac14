"""Error codes of Binance spot, Binance.US and USD-M futures, which are the same.

Source: ``binance/binance-spot-api-docs`` (errors.md). A refused location comes as code 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from regime_pipeline.providers.errors import (
    AuthError,
    BadRequest,
    ErrorRules,
    GeoBlocked,
    NotPublished,
    ProviderError,
    RateLimited,
    RetentionLimit,
    Transient,
    UnknownSymbol,
    is_about_place,
    text_of,
)

_CODES: dict[int, type[ProviderError]] = {
    -1000: Transient,
    -1001: Transient,
    -1006: Transient,
    -1007: Transient,
    -1008: Transient,
    -1016: Transient,
    -1003: RateLimited,
    -1015: RateLimited,
    -1002: AuthError,
    -1022: AuthError,
    -2014: AuthError,
    -2015: AuthError,
    -1121: UnknownSymbol,
    -1122: UnknownSymbol,
}


def _envelope(doc: Mapping[str, object]) -> ProviderError | None:
    code = doc.get("code")
    if isinstance(code, bool) or not isinstance(code, int) or "msg" not in doc:
        return None
    text = text_of(doc, "msg")
    kind = _CODES.get(code)
    if kind is None and code == -1130 and "starttime" in text.lower():
        kind = RetentionLimit
    if kind is None:
        kind = GeoBlocked if code == 0 and is_about_place(text) else BadRequest
    return kind(f"code {code}: {text}")


ERRORS = ErrorRules(_envelope)
"""Of the three interfaces."""
ARCHIVE_ERRORS = ErrorRules(by_status={404: NotPublished})
"""Of the bulk archive, where a file that is not there is none, or none yet."""
