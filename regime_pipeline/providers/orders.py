"""What is never asked of a venue: its paths for orders and accounts, and everything but reading.

Belongs here: which paths those are, and the refusal before anything is sent. Does not belong here: sending
(``http``), which endpoints there are (the providers' own modules).

No key of ours may trade, and no signature is ever made; this holds even if somebody declares an endpoint by
mistake.
"""

from __future__ import annotations

import re
from posixpath import normpath
from urllib.parse import unquote

from regime_pipeline.providers.errors import OrderRefused

QUESTIONS = ("/info",)
"""Paths that read a question from the body of a POST and change nothing."""

_PATHS = re.compile(
    # Binance: every product has its own prefix
    r"^/(api|[a-z]?api)/v\d+/(order|batchorders|batchorder|openorders?|allopenorders|allorders?|orderlist"
    r"|countdowncancelall|account|position\w*|leverage|margintype|listenkey|algo\w*|conditional)(/|$)"
    r"|^/sapi/"
    # Bybit
    r"|^/v5/(order|position|account|asset|user|spot-margin-trade|execution|broker)(/|$)"
    # OKX
    r"|^/api/v5/(trade|account|asset|users?|tradingbot|copytrading|fiat)(/|$)"
    # Hyperliquid
    r"|^/exchange(/|$)"
    # Deribit
    r"|^/api/v2/private(/|$)"
)


def refuse_orders(path: str, posted: bytes | None) -> None:
    """Refuse a request that could place, change or read orders, or that is no question.

    Args:
        path: of the endpoint, without the address of the provider.
        posted: body of a POST; None: a GET.

    Raises:
        OrderRefused: it may not be sent.
    """
    plain = normpath(unquote(path).replace("\\", "/")).replace("//", "/")
    if _PATHS.search(plain.lower()):
        raise OrderRefused("a path for orders or accounts is never asked")
    if posted is not None and plain not in QUESTIONS:
        raise OrderRefused("nothing is posted but the questions of a venue that reads them so")
