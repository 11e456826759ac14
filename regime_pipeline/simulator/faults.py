"""Scripted faults: what a provider does instead of, or on top of, its proper answer.

Belongs here: the description of a fault and the ASGI layer that applies it. Does not belong here:
faults of the data itself (a tape tells those).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HTML = b"<!doctype html><html><head><title>Sorry</title></head><body>Sorry</body></html>"


@dataclass
class Fault:
    """What happens to the next requests below a path.

    Attributes:
        status: HTTP status sent instead of an answer; None: the proper answer, perhaps late or cut.
        headers: added to (or replacing) the reply's.
        body: sent instead of the proper body.
        delay_s: wait before the first byte.
        cut_after: the connection is closed after so many bytes of the body, although
            ``content-length`` promised them all.
        html: sent as a web page; without a body of its own a short page.
        times: how many requests it hits before it is over; None: all.
        hits: how many it has hit.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    delay_s: float = 0.0
    cut_after: int | None = None
    html: bool = False
    times: int | None = None
    hits: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has hit as often as it should."""
        return self.times is not None and self.hits >= self.times

    @property
    def replaces(self) -> bool:
        """Whether it answers by itself."""
        return self.status is not None or self.body is not None or self.html

    def told(self) -> dict[str, object]:
        """As plain JSON."""
        body = self.body.decode("utf-8", "replace") if isinstance(self.body, bytes) else self.body
        return {
            "status": self.status,
            "headers": dict(self.headers),
            "body": body,
            "delay_s": self.delay_s,
            "cut_after": self.cut_after,
            "html": self.html,
            "times": self.times,
            "hits": self.hits,
        }


Script = Fault | Callable[[Scope], Fault | None]


class FaultLayer:
    """ASGI layer that counts requests and applies ``app.state.faults`` (path prefix -> script).

    The longest prefix that fits decides; a fault that is over lets shorter ones have their turn.
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
        fault.hits += 1
        if fault.delay_s > 0:
            await asyncio.sleep(fault.delay_s)
        altered = _Altered(fault, send)
        if fault.replaces:
            await altered.instead()
        else:
            await self._app(scope, receive, altered)

    @staticmethod
    def _fault(scripts: Mapping[str, Script], scope: Scope) -> Fault | None:
        fitting = [prefix for prefix in scripts if scope["path"].startswith(prefix)]
        for prefix in sorted(fitting, key=len, reverse=True):
            script = scripts[prefix]
            fault = script if isinstance(script, Fault) else script(scope)
            if fault is not None and not fault.is_over:
                return fault
        return None


class _Altered:
    """A ``send`` that changes headers and cuts the body as a fault says."""

    def __init__(self, fault: Fault, send: Send) -> None:
        self._fault = fault
        self._send = send
        self._sent = 0
        self._is_cut = False

    async def instead(self) -> None:
        """The fault's own reply."""
        fault = self._fault
        body = fault.body.encode() if isinstance(fault.body, str) else fault.body
        if body is None:
            body = _HTML if fault.html else b""
        kind = b"text/html; charset=utf-8" if fault.html else b"application/json"
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        status = 200 if fault.status is None else fault.status
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body, "more_body": False})

    async def __call__(self, message: Message) -> None:
        if self._is_cut:
            return
        if message["type"] == "http.response.start":
            await self._send(self._with_headers(message))
            return
        cut = self._fault.cut_after
        if cut is not None and message["type"] == "http.response.body":
            body = message.get("body", b"")
            if self._sent + len(body) > cut or not message.get("more_body", False):
                # never completed: the server closes the connection in the middle of the body
                self._is_cut = True
                part = body[: cut - self._sent]
                await self._send({**message, "body": part, "more_body": True})
                return
            self._sent += len(body)
        await self._send(message)

    def _with_headers(self, message: Message) -> Message:
        own: dict[bytes, bytes] = {
            k.lower().encode(): v.encode() for k, v in self._fault.headers.items()
        }
        if not own:
            return message
        kept: list[Any] = [(k, v) for k, v in message["headers"] if k.lower() not in own]
        return {**message, "headers": [*kept, *own.items()]}
