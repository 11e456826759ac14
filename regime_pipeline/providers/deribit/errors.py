"""Error codes of Deribit: numbers in ``error.code`` of a JSON-RPC envelope.

Source: the API documents, RPC error codes.
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

_CODES: dict[int, type[ProviderError]] = {
    10028: RateLimited,
    10066: RateLimited,
    10040: Transient,
    10041: Transient,
    11051: Transient,
    13888: Transient,
    13020: UnknownSymbol,
    13009: AuthError,
}


def _envelope(doc: Mapping[str, object]) -> ProviderError | None:
    error = doc.get("error")
    if not isinstance(error, dict):
        return None if error is None else BadRequest("an error without a code")
    code = error.get("code")
    kind = _CODES.get(code, BadRequest) if isinstance(code, int) else BadRequest
    return kind(f"code {str(code)[:20]}: {text_of(error, 'message')}")


ERRORS = ErrorRules(_envelope)
