"""Scripted faults: what a provider does instead of, or on top of, its proper answer.

Belongs here: the description of a fault and the ASGI layer that applies it. Does not belong here:
faults of the data itself (a tape tells those).
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRANSPORT = "regime.transport"
"""Key of the ASGI scope under which the server hands over the connection itself."""

_HTML = b"<!doctype html><html><head><title>Sorry</title></head><body>Sorry</body></html>"
_MEGABYTE = 1 << 20
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing throws away what is unsent, and the peer gets a reset."""


@dataclass
class Fault:
    """What happens to the next requests below a path.

    Attributes:
        status: HTTP status sent instead of an answer; None: the proper answer, perhaps altered.
        headers: added to (or replacing) the reply's.
        body: sent instead of the proper body.
        html: sent as a web page; without a body of its own a short page.
        delay_s: wait before the first byte.
        drip_s: wait after each byte of the body.
        cut_after: the connection is closed after so many bytes of the body, although
            ``content-length`` promised them all.
        reset_after: the same, with a reset (RST) instead of an orderly end.
        wrong_length: what is added to the ``content-length`` that the reply announces.
        gzip_bomb_mb: the body is so many megabytes of blanks, compressed.
        stale: the first answer to each address is repeated for ever, under the current date.
        every: only every so many-th request is hit (2: the source flaps).
        times: how many requests it hits before it is over; None: all.
        hits: how many it has hit.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    html: bool = False
    delay_s: float = 0.0
    drip_s: float = 0.0
    cut_after: int | None = None
    reset_after: int | None = None
    wrong_length: int = 0
    gzip_bomb_mb: int = 0
    stale: bool = False
    every: int = 1
    times: int | None = None
    hits: int = 0
    _asked: int = field(default=0, init=False, repr=False)
    _kept: dict[bytes, _Answer] = field(default_factory=dict, init=False, repr=False)

    def takes(self) -> bool:
        """Whether it hits the request that comes now; it counts it."""
        if self.times is not None and self.hits >= self.times:
            return False
        self._asked += 1
        if self._asked % self.every:
            return False
        self.hits += 1
        return True

    def told(self) -> dict[str, object]:
        """As plain JSON."""
        told = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name[0] != "_"}
        if isinstance(self.body, bytes):
            told["body"] = self.body.decode("utf-8", "replace")
        return told | {"headers": dict(self.headers)}


Script = Fault | Callable[[Scope], Fault | None]


@dataclass
class _Answer:
    """A whole reply."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def take(self, message: Message) -> None:
        """An ASGI ``send`` that keeps what it gets."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        else:
            self.body += message.get("body", b"")


class FaultLayer:
    """ASGI layer that counts requests and applies ``app.state.faults`` (path prefix -> script).

    The longest prefix that fits decides; a fault that is over, or that lets a request pass, gives
    shorter ones their turn.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Applies a fault or passes the request on."""
        if scope["type"] != "http" or scope["path"].startswith("/_control"):
            await self._app(scope, receive, send)
            return
        state = scope["app"].state
        state.requests[scope["path"]] = state.requests.get(scope["path"], 0) + 1
        fault = self._fault(state.faults, scope)
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.delay_s > 0:
            await asyncio.sleep(fault.delay_s)
        answer = await self._answer(fault, scope, receive)
        await _give(fault, answer, scope, send)

    @staticmethod
    def _fault(scripts: Mapping[str, Script], scope: Scope) -> Fault | None:
        fitting = [prefix for prefix in scripts if scope["path"].startswith(prefix)]
        for prefix in sorted(fitting, key=len, reverse=True):
            script = scripts[prefix]
            fault = script if isinstance(script, Fault) else script(scope)
            if fault is not None and fault.takes():
                return fault
        return None

    async def _answer(self, fault: Fault, scope: Scope, receive: Receive) -> _Answer:
        """The fault's own reply, or the proper one."""
        answer = _Answer()
        address = scope["path"].encode() + b"?" + scope["query_string"]
        if fault.status is not None or fault.body is not None or fault.html:
            body = fault.body.encode() if isinstance(fault.body, str) else fault.body
            kind = b"text/html; charset=utf-8" if fault.html else b"application/json"
            answer.status = 200 if fault.status is None else fault.status
            answer.body = (_HTML if fault.html else b"") if body is None else body
            answer.headers = [(b"content-type", kind)]
        elif fault.stale and address in fault._kept:
            answer = dataclasses.replace(fault._kept[address])
        else:
            await self._app(scope, receive, answer.take)
            if fault.stale:
                fault._kept[address] = dataclasses.replace(answer)
        if fault.gzip_bomb_mb:
            packer = zlib.compressobj(wbits=31)
            blanks = b" " * _MEGABYTE
            packed = b"".join(packer.compress(blanks) for _ in range(fault.gzip_bomb_mb))
            answer.body = packed + packer.flush()
            answer.headers = [*answer.headers, (b"content-encoding", b"gzip")]
        own = {k.lower().encode(): v.encode() for k, v in fault.headers.items()}
        own[b"content-length"] = str(len(answer.body) + fault.wrong_length).encode()
        kept = [(k, v) for k, v in answer.headers if k.lower() not in own]
        answer.headers = [*kept, *own.items()]
        return answer


async def _give(fault: Fault, answer: _Answer, scope: Scope, send: Send) -> None:
    """Sends a reply as the fault wants it; what HTTP forbids goes past the server, byte by byte."""
    ends = [n for n in (fault.cut_after, fault.reset_after) if n is not None]
    body = answer.body[: min(ends)] if ends else answer.body
    transport: asyncio.Transport | None = scope.get(TRANSPORT)
    if transport is None or not (ends or fault.wrong_length):
        start: dict[str, Any] = {"status": answer.status, "headers": answer.headers}
        await send({"type": "http.response.start", **start})
        if fault.drip_s > 0:
            for k in range(len(body)):
                part = {"body": body[k : k + 1], "more_body": True}
                await send({"type": "http.response.body", **part})
                await asyncio.sleep(fault.drip_s)
            body = b""
        # a cut reply is never completed: the server closes the connection by itself
        await send({"type": "http.response.body", "body": body, "more_body": bool(ends)})
        return
    head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n".encode()
    lines = b"".join(k + b": " + v + b"\r\n" for k, v in answer.headers)
    transport.write(head + lines + b"\r\n")
    step = 1 if fault.drip_s > 0 else max(1, len(body))
    for k in range(0, len(body), step):
        if transport.is_closing():
            return
        transport.write(body[k : k + step])
        await asyncio.sleep(fault.drip_s)
    if fault.reset_after is None:
        transport.close()
        return
    peer: socket.socket = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    # once what was written has left; an abort before would take it back
    while transport.get_write_buffer_size():
        await asyncio.sleep(0)
    transport.abort()
