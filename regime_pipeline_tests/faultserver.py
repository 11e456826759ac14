"""A loopback HTTP server that misbehaves as told: what a hostile network and a bad day look like.

Each path has a script: one :class:`Fault` for ever, a list of them (the last one stays), or a function
from the request to one. Everything happens on real sockets; time constants are the test's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qsl, urlsplit

_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Fault:
    """How one request is answered; without arguments: well, with an empty JSON list.

    Attributes:
        status: HTTP status.
        body: the body; a callable makes it of the request.
        headers: further or replacing headers.
        delay_s: wait before the first byte.
        drip_s: wait after each byte of head and body.
        drip_body_only: the head comes at once.
        cut_after: the connection is closed in an orderly way after so many bytes of the body.
        reset_after: it is reset (RST) after so many bytes of the body.
        length: what Content-Length says, whatever the body is.
        chunked: sent with chunked encoding, the last chunk missing when it is cut.
        flood: so many bytes of blanks are sent as the body, announced in full.
        silent: accepted, read, never answered.
        closes: the connection is closed after the reply.
    """

    status: int = 200
    body: bytes | Callable[[Seen], bytes] = b"[]"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    drip_body_only: bool = False
    cut_after: int | None = None
    reset_after: int | None = None
    length: int | None = None
    chunked: bool = False
    flood: int = 0
    silent: bool = False
    closes: bool = False


@dataclass(frozen=True)
class Seen:
    """One request as the server got it; ``at`` is the monotonic time of its arrival."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    target: str
    at: float
    number: int


Script = Fault | Sequence[Fault] | Callable[[Seen], Fault]
GOOD = Fault()


class FaultServer:
    """Serves scripts by path prefix (the longest one that fits) until the block ends.

    Args:
        scripts: path prefix -> script; more can be set while it runs.
    """

    def __init__(self, scripts: Mapping[str, Script] | None = None) -> None:
        self.scripts: dict[str, Script] = dict(scripts or {})
        self.seen: list[Seen] = []
        self.sent_bytes = 0
        self.connections = 0
        self.open_connections = 0
        self._turns: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def serve() -> None:
            self._closing = asyncio.Event()
            server = await asyncio.start_server(self._peer, "127.0.0.1", 0, backlog=256)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self._closing.wait()
            server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        def run() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(serve())
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

        self._thread = threading.Thread(target=run, name="fault-server", daemon=True)
        self._thread.start()
        assert ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def count(self, prefix: str = "/") -> int:
        """How many requests below a prefix it got."""
        return sum(s.path.startswith(prefix) for s in self.seen)

    def _fault(self, seen: Seen) -> Fault:
        fitting = [p for p in self.scripts if seen.path.startswith(p)]
        if not fitting:
            return GOOD
        prefix = max(fitting, key=len)
        script = self.scripts[prefix]
        if isinstance(script, Fault):
            return script
        if callable(script):
            return script(seen)
        turn = self._turns[prefix] = self._turns.get(prefix, -1) + 1
        return script[min(turn, len(script) - 1)]

    async def _peer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                seen = _parsed(head, len(self.seen) + 1)
                self.seen.append(seen)
                if not await self._answer(self._fault(seen), seen, writer):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            self.open_connections -= 1
            writer.close()

    async def _answer(self, fault: Fault, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        """Sends one reply; False when the connection is over."""
        if fault.silent:
            await asyncio.sleep(3600)
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        body = fault.body(seen) if callable(fault.body) else fault.body
        head = self._head(fault, body)
        dripping = fault.drip_s > 0
        if dripping and not fault.drip_body_only:
            await self._drip(writer, head, fault.drip_s)
        else:
            await self._send(writer, head)
        ends = min((n for n in (fault.cut_after, fault.reset_after) if n is not None), default=None)
        part = body if ends is None else body[:ends]
        if fault.chunked:
            last = b"0\r\n\r\n" if ends is None else b""
            part = b"%x\r\n%s\r\n" % (len(part), part) + last
        if dripping:
            await self._drip(writer, part, fault.drip_s)
        else:
            await self._send(writer, part)
        for _ in range(fault.flood // _CHUNK):
            await self._send(writer, b" " * _CHUNK)
        if fault.reset_after is not None:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        return ends is None and not fault.closes

    def _head(self, fault: Fault, body: bytes) -> bytes:
        fields = {"Content-Type": "application/json"}
        if fault.chunked:
            fields["Transfer-Encoding"] = "chunked"
        else:
            natural = fault.flood or len(body)
            fields["Content-Length"] = str(natural if fault.length is None else fault.length)
        fields |= fault.headers
        if fault.closes:
            fields["Connection"] = "close"
        phrase = HTTPStatus(fault.status).phrase
        lines = [f"HTTP/1.1 {fault.status} {phrase}", *(f"{k}: {v}" for k, v in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent_bytes += len(data)

    async def _drip(self, writer: asyncio.StreamWriter, data: bytes, pause: float) -> None:
        for byte in data:
            await self._send(writer, bytes([byte]))
            await asyncio.sleep(pause)


def _parsed(head: bytes, number: int) -> Seen:
    lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    target = lines[0].split(" ")[1]
    parts = urlsplit(target)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    query = dict(parse_qsl(parts.query))
    return Seen(parts.path, query, headers, target, time.monotonic(), number)
