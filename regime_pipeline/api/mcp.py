"""The tools as a server of the Model Context Protocol: on standard input and output, and at ``/mcp``.

Belongs here: the protocol. Does not belong here: the tools (``tools``). The library is imported late: it
costs more than everything else in the process, and most of its readers are no agents.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import orjson
from starlette.types import Receive, Scope, Send

from regime_pipeline.api import formats, tools
from regime_pipeline.api.answers import Served
from regime_pipeline.api.guard import MOST_BODY_BYTES
from regime_pipeline.api.problems import Problem

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

NAME = "regime_pipeline"


def build(served: Served) -> Server[Any]:
    """A server with every tool: read-only, idempotent, of a closed world."""
    import mcp_types as types
    from mcp.server.lowlevel import Server

    hints = types.ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    listed = [
        types.Tool(
            name=t.name,
            description=t.description,
            input_schema=t.input_schema,
            output_schema=tools.output_schema(),
            annotations=hints,
        )
        for t in tools.TOOLS.values()
    ]

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(_context: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            answer = await tools.call(served, asked.name, asked.arguments or {})
        except Problem as problem:
            text = formats.json_bytes(problem.body(f"/mcp#{asked.name}", "")).decode()
            return types.CallToolResult(
                content=[types.TextContent(type="text", text=text)], is_error=True
            )
        body = formats.json_bytes(answer)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=body.decode())],
            structured_content=orjson.loads(body),
        )

    return Server(
        NAME,
        version="1",
        instructions=tools.INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


class Door:
    """The server at an address, without sessions; made when somebody first asks.

    Args:
        served: what requests share.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._making = asyncio.Lock()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._manager: Any = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer while the block runs."""
        try:
            yield
        finally:
            self._ended.set()
            if self._task is not None:
                await self._task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        async with self._making:
            if self._manager is None:
                self._manager = await self._made()
        await self._manager.handle_request(scope, receive, send)

    async def _made(self) -> Any:
        manager_module = await asyncio.to_thread(
            importlib.import_module, "mcp.server.streamable_http_manager"
        )
        manager = manager_module.StreamableHTTPSessionManager(
            build(self._served),
            json_response=True,
            stateless=True,
            max_request_body_size=MOST_BODY_BYTES,
        )
        is_ready = asyncio.Event()

        async def run() -> None:  # in a task of its own, which must end what it began
            async with manager.run():
                is_ready.set()
                await self._ended.wait()

        self._task = asyncio.create_task(run())
        await is_ready.wait()
        return manager


async def on_stdio(served: Served) -> None:
    """Serve one client on standard input and output, until it closes them."""
    from mcp.server.stdio import stdio_server

    server = build(served)
    async with served.pool, stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
