"""A scriptable HTTP server on the loopback: what a hostile network and a bad day look like."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """One request as the server got it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    target: str


def http(
    body: bytes,
    *,
    status: str = "200 OK",
    headers: dict[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """A whole HTTP/1.1 reply; ``length`` overrides what Content-Length says."""
    fields = {"Content-Type": "application/json", **(headers or {})}
    fields.setdefault("Content-Length", str(len(body) if length is None else length))
    head = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


Answer = Callable[[Asked, socket.socket], bytes | None]
"""Gives the bytes to send, or sends itself and gives None, after which the connection closes."""


@dataclass
class Loopback:
    """Runs ``answer`` for every request; a context manager."""

    answer: Answer
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        outer = self
        self.closing = threading.Event()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(5)
                while not outer.closing.is_set():
                    data = b""
                    try:
                        while b"\r\n\r\n" not in data:
                            part = self.request.recv(65536)
                            if not part:
                                return
                            data += part
                        asked = _parse(data)
                        outer.asked.append(asked)
                        reply = outer.answer(asked, self.request)
                        if reply is None:
                            return
                        self.request.sendall(reply)
                    except OSError:
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


def _parse(data: bytes) -> Asked:
    lines = data.split(b"\r\n\r\n")[0].decode().split("\r\n")
    target = lines[0].split(" ")[1]
    parts = urlsplit(target)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    return Asked(parts.path, dict(parse_qsl(parts.query)), headers, target)
