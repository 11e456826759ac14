"""Any further service that Apprise speaks to, by its address there; the library is an optional extra.

Belongs here: whether an address is one that Apprise knows, and handing it one message. Does not belong
here: what is said (``channels``), the deadline and the ledger (``attempt``, ``dispatch``).

Apprise tells success or failure only and connects by itself: the address guard of webhooks does not look
at where it connects to.
"""

from __future__ import annotations

import importlib
import json
import logging
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

EXTRA = "alerts-apprise"
_OTHERS = "does not begin with https://, http://, smtps:// or smtp://"
_TYPES = {"CRITICAL": "failure", "WARNING": "warning"}


def fault(url: str, *, is_here: bool) -> str | None:
    """Why an address cannot be served, or None; the address itself is not repeated.

    Args:
        url: as Apprise writes it, such as ``pover://user@token``.
        is_here: whether it is on this machine, where plain http may be.
    """
    try:
        service = _service(url)
    except ModuleNotFoundError:
        return f"{_OTHERS}; further services need pip install 'regime-pipeline[{EXTRA}]'"
    if service is None:
        return f"{_OTHERS}, and Apprise does not know it"
    if urlsplit(url).scheme in _plain(service) and not is_here:
        return "is not encrypted: only a service on this machine may be"
    return None


def hand_over(url: str, body: bytes, *, timeout_s: float) -> bool:
    """Hand one message over; blocks. Whether the service took it.

    Args:
        url: of the service.
        body: JSON with title, text and severity, as ``channels.service`` makes it.
        timeout_s: of connecting and of each read.

    Raises:
        ValueError: the address is no service's any more, or the library is gone.
    """
    try:
        service = _service(url)
    except ModuleNotFoundError as error:
        raise ValueError(f"the extra {EXTRA} is not installed") from error
    if service is None:
        raise ValueError("Apprise does not know the address")
    service.socket_connect_timeout = service.socket_read_timeout = timeout_s
    service.redirects = False
    said = json.loads(body)
    kind = _TYPES.get(said["severity"], "info")
    return bool(service.notify(title=said["title"], body=said["text"], notify_type=kind))


def _service(url: str) -> Any:
    return _library().Apprise.instantiate(url)


def _library() -> ModuleType:
    """The library, silenced: it logs addresses, which hold secrets."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    return importlib.import_module("apprise")


def _plain(service: Any) -> tuple[str, ...]:
    """The schemes of a service that are not encrypted."""
    named = service.protocol or ()
    return (named,) if isinstance(named, str) else tuple(named)
