"""Where alerts go: endpoints from the settings, which events each one gets, which may be reached.

Belongs here: routing and the address guard. Does not belong here: sending (``dispatch``), what an
event is (``events``).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from regime_pipeline.settings import Settings

_FIELDS: dict[str, tuple[str, ...]] = {
    "webhooks_cascade": ("LIQUIDATION_CASCADE",),
    "webhooks_funding": ("FUNDING_ANOMALY", "FUNDING_REVERSAL"),
    "webhooks_volatility": ("VOLATILITY_REGIME_CHANGE",),
    "webhooks_correlation": ("CORRELATION_BREAK",),
    "webhooks_regime": ("REGIME_CONFIRMED",),
}
SYSTEM = "SYSTEM"
"""Event type of operational alerts; they go to ``WEBHOOKS_ALL``."""

_REFUSED = [
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
    )
]
_PORTS = frozenset({80, 443, 8080, 8443})


class EndpointRefused(ValueError):
    """The address of an endpoint may not be called; the message says why, without the URL."""


@dataclass(frozen=True)
class Endpoint:
    """One receiver. ``name`` comes from the variable that set it and never holds the URL."""

    name: str
    url: SecretStr
    event_types: tuple[str, ...] | None  # None: everything

    def wants(self, event_type: str) -> bool:
        """Whether this endpoint is for events of the type."""
        return self.event_types is None or event_type in self.event_types

    @property
    def is_loopback(self) -> bool:
        """Whether the URL names this very machine by address or as localhost."""
        return is_loopback_host(urlsplit(self.url.get_secret_value()).hostname or "")


def _split(name: str, value: SecretStr | None, types: tuple[str, ...] | None) -> Iterator[Endpoint]:
    if value is None:
        return
    urls = [u for u in re.split(r"[\s,]+", value.get_secret_value()) if u]
    for i, url in enumerate(urls, start=1):
        yield Endpoint(name if len(urls) == 1 else f"{name}#{i}", SecretStr(url), types)


def endpoints(settings: Settings) -> list[Endpoint]:
    """Every configured endpoint, in a fixed order; a variable may hold several URLs."""
    out = list(_split("WEBHOOKS_ALL", settings.webhooks_all, None))
    for field, types in _FIELDS.items():
        out += _split(field.upper(), getattr(settings, field), types)
    return out


def is_loopback_host(host: str) -> bool:
    """Whether a host is written as this machine: 127.0.0.0/8, ::1 or localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not ip.is_global or ip.is_multicast:
        return False
    return not any(ip.version == net.version and ip in net for net in _REFUSED)


def checked_address(url: str, *, allow_loopback: bool) -> tuple[str, str]:
    """The address to connect to and the host name to speak of, after every check.

    The caller connects to the returned address itself, so that a second DNS answer cannot differ
    from the checked one.

    Raises:
        EndpointRefused: scheme, port, user info or one of the resolved addresses is not allowed.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or "@" in parts.netloc:
        raise EndpointRefused("the URL has no host, or carries user information")
    if is_loopback_host(host):
        if not allow_loopback:
            raise EndpointRefused("loopback receivers are switched off")
        return ("127.0.0.1" if host == "localhost" else host), host
    if parts.scheme != "https":
        raise EndpointRefused("only https is sent to, except to a receiver on this machine")
    port = parts.port or 443
    if port not in _PORTS:
        raise EndpointRefused(f"port {port} is not among {sorted(_PORTS)}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise EndpointRefused(f"the host does not resolve ({error.strerror})") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    bad = [a for a in addresses if not _is_public(a)]
    if bad or not addresses:
        raise EndpointRefused("the host resolves to an address that is not public")
    return addresses[0], host
