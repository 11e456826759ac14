"""Where alerts go: endpoints from the settings, which events each one gets, which may be reached.

Belongs here: routing and the address guard. Does not belong here: sending (``dispatch``), what is sent
to whom (``channels``), what an event is (``events``).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr

from regime_pipeline.alerts.channels import Endpoint, channel_of, is_loopback_host
from regime_pipeline.alerts.kinds import VARIABLES
from regime_pipeline.net.redact import fingerprint
from regime_pipeline.settings import Settings, urls_in

# what a registry calls global and is no one's host, or leads on to an address of another family
_REFUSED = [
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
]
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_PORTS = frozenset({80, 443, 8080, 8443})


class ConfigurationError(ValueError):
    """The settings of alerts cannot be served as they are; the message says what to change."""


class EndpointRefused(ValueError):
    """The address of an endpoint may not be called; the message says why, without the URL."""


class LookupFailed(OSError):
    """The host of an endpoint does not resolve now; it may later."""


def endpoints(settings: Settings) -> list[Endpoint]:
    """Every configured endpoint, in a fixed order; a URL that several variables name is one.

    Raises:
        ConfigurationError: a variable ``WEBHOOKS_...`` that no event type has, a plain http URL of
            another machine, or a URL of a chat that is no incoming webhook of it.
    """
    if unknown := sorted(settings.webhooks.keys() - VARIABLES.keys()):
        raise ConfigurationError(f"{unknown[0]} is no variable for alerts: {', '.join(VARIABLES)}")
    found: dict[str, Endpoint] = {}
    for variable, types in VARIABLES.items():
        for number, url in _urls(settings, variable):
            parts = urlsplit(url)
            if parts.scheme != "https" and not is_loopback_host(parts.hostname or ""):
                raise ConfigurationError(
                    f"{variable}: only https is sent to, except to a receiver on this machine"
                )
            try:
                channel = channel_of(url)
            except ValueError as error:
                raise ConfigurationError(f"{variable}: URL {number} {error}") from None
            known = found[url].event_types if url in found else ()
            found[url] = Endpoint(
                f"{channel.name}-{fingerprint(url)}",
                SecretStr(url),
                None if known is None or types is None else (*known, *types),
                channel,
            )
    return list(found.values())


def _urls(settings: Settings, variable: str) -> Iterator[tuple[int, str]]:
    text = settings.webhooks.get(variable)
    return enumerate(urls_in(text) if text is not None else (), start=1)


def earlier_names(settings: Settings) -> dict[str, str]:
    """Names that endpoints had while they were called after their variables, and their names now."""
    now = {e.url.get_secret_value(): e.name for e in endpoints(settings)}
    out = {}
    for variable in VARIABLES:
        for number, url in _urls(settings, variable):
            out[f"{variable}#{number}"] = now[url]
            if number == 1:
                out[variable] = now[url]
    return out


def is_global_unicast(address: str) -> bool:
    """Whether an address is one host of the public internet, as both families write it."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not ip.is_global or any(ip.version == net.version and ip in net for net in _REFUSED):
        return False
    return ip.version == 4 or ip in _GLOBAL_UNICAST


def checked_address(url: str, *, allow_loopback: bool) -> tuple[str, str]:
    """The address to connect to and the host name to speak of, after every check.

    The caller connects to the returned address itself, so that a second DNS answer cannot differ
    from the checked one. Blocks while the host is looked up.

    Raises:
        EndpointRefused: scheme, port, user info or one of the resolved addresses is not allowed.
        LookupFailed: the host does not resolve.
    """
    try:
        parts = urlsplit(url)
        asked = parts.port
    except ValueError:
        raise EndpointRefused("the URL has no valid port or host") from None
    if parts.scheme not in ("http", "https"):
        raise EndpointRefused("the URL is neither https nor http")
    try:
        host = (parts.hostname or "").encode("idna").decode()
    except UnicodeError:
        raise EndpointRefused("the host is no valid name") from None
    if not host or "@" in parts.netloc:
        raise EndpointRefused("the URL has no host, or carries user information")
    if is_loopback_host(host):
        if not allow_loopback:
            raise EndpointRefused("loopback receivers are switched off")
        return ("127.0.0.1" if host == "localhost" else host), host
    if parts.scheme != "https":
        raise EndpointRefused("only https is sent to, except to a receiver on this machine")
    port = 443 if asked is None else asked
    if port not in _PORTS:
        raise EndpointRefused(f"port {port} is not among {sorted(_PORTS)}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LookupFailed(f"the host does not resolve ({error.strerror})") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses or not all(map(is_global_unicast, addresses)):
        raise EndpointRefused("the host resolves to an address that is not public")
    return addresses[0], host
