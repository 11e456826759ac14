"""Where alerts go: endpoints from variables and file, which events each one gets, which may be reached.

Belongs here: putting endpoints together and the address guard. Does not belong here: rules (``routing``),
formats (``channels``), sending (``dispatch``), what an event is (``events``).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr

from regime_pipeline.alerts import services
from regime_pipeline.alerts.channels import (
    CHANNELS,
    MAIL,
    MAIL_GATEWAY,
    SERVICE,
    Channel,
    Endpoint,
    channel_of,
    is_loopback_host,
)
from regime_pipeline.alerts.kinds import TYPES, VARIABLES
from regime_pipeline.alerts.routing import Quiet, Receiver, RoutingError, Rules, receivers
from regime_pipeline.net.redact import fingerprint, parts_of_url
from regime_pipeline.settings import Settings, url_fault, urls_in

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
_PORTS = {"https": (443, 80, 8080, 8443), "smtps": (465,), "smtp": (587, 25, 2525)}
"""Ports that are sent to, the usual one first."""


class ConfigurationError(ValueError):
    """The settings of alerts cannot be served as they are; the message says what to change."""


class EndpointRefused(ValueError):
    """The address of an endpoint may not be called; the message says why, without the URL."""


class LookupFailed(OSError):
    """The host of an endpoint does not resolve now; it may later."""


def endpoints(settings: Settings) -> list[Endpoint]:
    """Every configured endpoint, in a fixed order; a URL that several variables name is one.

    A URL in the file goes by what the file says of it, wherever else it stands.

    Raises:
        ConfigurationError: a variable ``WEBHOOKS_...`` that no event type has, a plain http URL of
            another machine, a URL of a chat that is no incoming webhook of it, or a file that is not
            understood.
    """
    if unknown := sorted(settings.webhooks.keys() - VARIABLES.keys()):
        raise ConfigurationError(f"{unknown[0]} is no variable for alerts: {', '.join(VARIABLES)}")
    found: dict[str, Endpoint] = {}
    for variable, types in VARIABLES.items():
        for number, url in _urls(settings, variable):
            try:
                channel = _channel(url)
            except ValueError as error:
                raise ConfigurationError(f"{variable}: URL {number} {error}") from None
            known = found[url].event_types if url in found else ()
            found[url] = Endpoint(
                f"{channel.name}-{fingerprint(url)}",
                SecretStr(url),
                None if known is None or types is None else (*known, *types),
                channel,
            )
    for url, endpoint in _of_file(settings).items():
        found[url] = endpoint
    return list(found.values())


def _channel(url: str) -> Channel:
    """The channel of a web address.

    Raises:
        ValueError: it may not be sent to, or takes no messages.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback_host(parts.hostname or ""):
        raise ValueError(
            "is plain http: only https is sent to, except to a receiver on this machine"
        )
    return channel_of(url)


def _of_file(settings: Settings) -> dict[str, Endpoint]:
    """The endpoints of the file, by URL."""
    path = settings.alerts_file
    if path is None:
        return {}
    try:
        named = receivers(path)
    except RoutingError as error:
        raise ConfigurationError(str(error)) from error
    found: dict[str, Endpoint] = {}
    for name, receiver in named.items():
        try:
            endpoint = _of_receiver(name, receiver)
        except ValueError as error:
            raise ConfigurationError(f"{path}: [endpoints.{name}] {error}") from None
        url = receiver.url.get_secret_value()
        if url in found:
            raise ConfigurationError(f"{path}: [endpoints.{name}] has the URL of {found[url].name}")
        found[url] = endpoint
    return found


def _of_receiver(name: str, receiver: Receiver) -> Endpoint:
    """One endpoint of the file.

    Raises:
        ValueError: its parts do not fit together.
    """
    url = receiver.url.get_secret_value()
    known = ("https", "http", "smtps", "smtp")
    scheme = url.partition("://")[0].lower()
    is_service = "://" in url and scheme not in known
    if is_service:
        is_here = is_loopback_host(urlsplit(url).hostname or "")
        fault = services.fault(url, is_here=is_here)
    else:
        fault = url_fault(url, schemes=known)
    if fault:
        raise ValueError(f"url {fault}")
    is_smtp = scheme in ("smtp", "smtps")
    if is_smtp and receiver.mail is None:
        raise ValueError("needs mail = {sender = ..., to = [...]}")
    if unknown := sorted(set(receiver.types or ()) - TYPES.keys()):
        raise ValueError(f"types: {unknown[0]} is none of {', '.join(TYPES)}")
    if is_service:
        channel = SERVICE
    elif is_smtp:
        channel = MAIL
    else:
        channel = _channel(url)
        if receiver.mail is not None:
            if channel in CHANNELS:
                raise ValueError(f"mail is for mail; the URL is of {channel.name}")
            channel = MAIL_GATEWAY
    return Endpoint(
        name,
        receiver.url,
        receiver.types,
        channel,
        Rules(
            receiver.severity,
            None if receiver.symbols is None else frozenset(receiver.symbols),
            None if receiver.quiet is None else Quiet.of(receiver.quiet),
            receiver.per_minute,
            receiver.digest_over,
        ),
        tuple(s for s in (receiver.secret, receiver.previous_secret) if s is not None),
        receiver.mail,
        receiver.authorization,
    )


def secrets_in(found: Sequence[Endpoint]) -> tuple[str, ...]:
    """Every secret value of endpoints, for the redactor: what the settings do not hold themselves."""
    values = [
        value.get_secret_value()
        for e in found
        for value in (e.url, e.authorization, *e.secrets, e.mail.password if e.mail else None)
        if value is not None
    ]
    return tuple(part for value in values for part in (value, *parts_of_url(value)))


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


def checked_address(
    url: str, *, allow_loopback: bool, schemes: tuple[str, ...] = ("https", "http")
) -> tuple[str, str]:
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
    if parts.scheme not in schemes:
        raise EndpointRefused(f"the URL is neither {' nor '.join(schemes)}")
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
    if parts.scheme == "http":
        raise EndpointRefused("only https is sent to, except to a receiver on this machine")
    allowed = _PORTS[parts.scheme]
    port = allowed[0] if asked is None else asked
    if port not in allowed:
        raise EndpointRefused(f"port {port} is not among {sorted(allowed)}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LookupFailed(f"the host does not resolve ({error.strerror})") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses or not all(map(is_global_unicast, addresses)):
        raise EndpointRefused("the host resolves to an address that is not public")
    return addresses[0], host
