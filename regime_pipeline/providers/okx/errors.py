"""Error codes of OKX: texts in the member ``code``, with or without an HTTP status.

Source: the v5 documents, error codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from regime_pipeline.providers.errors import (
    AuthError,
    BadRequest,
    ErrorRules,
    ProviderError,
    RateLimited,
    Transient,
    UnknownSymbol,
    text_of,
)

_CODES: dict[str, type[ProviderError]] = {
    "50001": Transient,
    "50004": Transient,
    "50005": Transient,
    "50013": Transient,
    "50026": Transient,
    "50011": RateLimited,
    "50040": RateLimited,
    "50061": RateLimited,
    "51001": UnknownSymbol,
    "51008": BadRequest,
    "50100": AuthError,
    "50101": AuthError,
    "50103": AuthError,
    "50104": AuthError,
    "50105": AuthError,
    "50111": AuthError,
    "50113": AuthError,
    "50119": AuthError,
}


def _envelope(doc: Mapping[str, object]) -> ProviderError | None:
    code = doc.get("code")
    if code is None or str(code) == "0":
        return None
    text = text_of(doc, "msg", "error_message")
    kind = _CODES.get(str(code)) or BadRequest
    return kind(f"code {str(code)[:20]}: {text}")


ERRORS = ErrorRules(_envelope)
