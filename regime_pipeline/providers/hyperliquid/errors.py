"""Errors of Hyperliquid: HTTP statuses with a plain text, and ``null`` where nothing is known.

A question that is not understood is answered 422 with a text, too many questions 429.
"""

from __future__ import annotations

from regime_pipeline.providers.documents import document
from regime_pipeline.providers.errors import BadRequest, ErrorRules, UnknownSymbol

ERRORS = ErrorRules(by_status={422: BadRequest})


def answer(body: bytes) -> object:
    """The document of a reply that is about something.

    Raises:
        ProviderError: what the reply reports; ``null`` is a coin that the venue does not list.
    """
    found = document(body, ERRORS)
    if found is None:
        raise UnknownSymbol("null: the venue does not list this coin")
    return found
