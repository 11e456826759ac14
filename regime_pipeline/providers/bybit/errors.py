"""Error codes of Bybit: numbers in ``retCode``, with HTTP 200.

Source: ``bybit-exchange/docs`` (v5, errors).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from regime_pipeline.providers.errors import (
    AuthError,
    BadRequest,
    Banned,
    ErrorRules,
    GeoBlocked,
    ProviderError,
    RateLimited,
    Transient,
    UnknownSymbol,
    kind_by_text,
    text_of,
)

_CODES: dict[int, type[ProviderError]] = {
    10000: Transient,
    10016: Transient,
    10006: RateLimited,
    10018: RateLimited,
    10003: AuthError,
    10004: AuthError,
    10005: AuthError,
    33004: AuthError,
    10009: Banned,
    10024: GeoBlocked,
}


def _envelope(doc: Mapping[str, object]) -> ProviderError | None:
    code = doc.get("retCode", doc.get("ret_code"))
    if code is None and "error" in doc:
        text = text_of(doc, "error")
        return kind_by_text(text)(text)
    if isinstance(code, str) and re.fullmatch(r"[0-9]{1,9}", code):
        code = int(code)
    if isinstance(code, bool) or not isinstance(code, int) or code == 0:
        return None
    text = text_of(doc, "retMsg", "ret_msg")
    kind = _CODES.get(code)
    if kind is None:
        kind = UnknownSymbol if "symbol" in text.lower() else BadRequest
    return kind(f"code {code}: {text}")


ERRORS = ErrorRules(_envelope)
