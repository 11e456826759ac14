"""Error codes of Coinglass: HTTP 200 and a code other than "0", whose words say more than its number.

Source: ``coinglass-api/coinglass-api-docs``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from regime_pipeline.providers.errors import (
    AuthError,
    BadRequest,
    ErrorRules,
    PlanLimit,
    ProviderError,
    RateLimited,
    Transient,
    kind_by_text,
    text_of,
)


def _envelope(doc: Mapping[str, object]) -> ProviderError | None:
    code = doc.get("code")
    if code is None or str(code) == "0":
        return None
    text = text_of(doc, "msg")
    kind = kind_by_text(text)
    if kind is BadRequest:
        by_code: dict[str, type[ProviderError]] = {
            "401": AuthError,
            "403": PlanLimit,
            "429": RateLimited,
        }
        number = str(code)[:20]
        kind = by_code.get(number) or (Transient if re.fullmatch(r"5\d\d", number) else BadRequest)
    return kind(f"code {str(code)[:20]}: {text}")


ERRORS = ErrorRules(_envelope, is_paid=True, in_band=True)
