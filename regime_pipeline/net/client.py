"""The one place that knows the HTTP library: clients with our limits, and its errors under plain names.

Belongs here: making clients, deadlines of whole requests, the ways through proxies. Does not belong here:
what is asked, and what a reply or a failure means.

The library's time-outs are per socket operation, so a peer that sends a byte now and then is never cut.
Inside :func:`deadline` every socket operation of :func:`client` gets what is left of the whole request.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

Client = httpx.Client
AsyncClient = httpx.AsyncClient
Response = httpx.Response
Connection = httpcore.NetworkStream
"""What a request went over; closing it keeps it from being used again."""

Errors = tuple[type[Exception], ...]

TIMED_OUT: Final[Errors] = (httpcore.TimeoutException, httpx.TimeoutException)
BROKE_OFF: Final[Errors] = (httpcore.RemoteProtocolError, httpx.RemoteProtocolError)
UNREACHABLE: Final[Errors] = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpx.TransportError,
    OSError,
)
UNUSABLE_ADDRESS: Final[Errors] = (httpcore.UnsupportedProtocol, httpx.InvalidURL, ValueError)
FAILED: Final[Errors] = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)
"""Whatever a request of an :data:`AsyncClient` raises."""


def client(*, connections: int, timeout_s: float, headers: Mapping[str, str]) -> Client:
    """A client for many threads, whose requests keep to :func:`deadline`; it follows no redirect.

    Args:
        connections: the most that are open at once, and kept.
        timeout_s: of one socket operation, where no deadline is set.
        headers: sent with every request.
    """
    _keep_addresses_out_of_logs()
    return httpx.Client(
        transport=_Transport(connections),
        follow_redirects=False,
        trust_env=False,
        timeout=timeout_s,
        headers=dict(headers),
    )


def async_client(*, connections: int, timeout_s: float) -> AsyncClient:
    """A client for one event loop; it goes through no proxy and follows no redirect.

    Args:
        connections: the most that are open at once.
        timeout_s: of one socket operation; the caller holds the whole request to its time.
    """
    _keep_addresses_out_of_logs()
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=connections),
        timeout=timeout_s,
    )


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[float]:
    """The requests that this thread makes inside end in so many seconds; gives the monotonic instant."""
    _request.until = until = time.monotonic() + seconds
    try:
        yield until
    finally:
        _request.until = None


def _keep_addresses_out_of_logs() -> None:
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # INFO prints whole URLs


_request = threading.local()


def _left(timeout: float | None) -> float | None:
    until = getattr(_request, "until", None)
    if until is None:
        return timeout
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("deadline")
    return left if timeout is None else min(left, timeout)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[object] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._inner.connect_tcp(host, port, _left(timeout), local_address, socket_options)  # type: ignore[arg-type]
        )

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: Iterable[bytes]) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()


class _Transport(httpx.BaseTransport):
    """Pools over :class:`_Backend`: one for direct ways, one for each proxy of the environment.

    ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are read as everywhere; this machine
    is never asked through a proxy.
    """

    def __init__(self, connections: int) -> None:
        limits: dict[str, Any] = {
            "ssl_context": httpx.create_ssl_context(trust_env=False),
            "max_connections": connections,
            "max_keepalive_connections": connections,
            "keepalive_expiry": 30.0,
            "network_backend": _Backend(),
        }
        self._direct = httpcore.ConnectionPool(**limits)
        self._proxies: dict[str, httpcore.ConnectionPool] = {}
        for scheme, address in getproxies().items():
            if scheme in ("http", "https", "all") and address:
                proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
                self._proxies[scheme] = httpcore.HTTPProxy(
                    proxy_url=str(proxy.url), proxy_auth=proxy.raw_auth, **limits
                )

    def _pool_for(self, url: httpx.URL) -> httpcore.ConnectionPool:
        if url.host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(url.host):
            return self._direct
        return self._proxies.get(url.scheme) or self._proxies.get("all") or self._direct

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = self._pool_for(request.url).handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.read(),
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            reply.status,
            headers=reply.headers,
            stream=_Body(reply.stream),  # type: ignore[arg-type]
            extensions=reply.extensions,
        )

    def close(self) -> None:
        for pool in (self._direct, *self._proxies.values()):
            pool.close()
