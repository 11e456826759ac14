"""One ASGI application that answers for every provider, each below its own path prefix.

Belongs here: putting the providers together, the control paths for scripting faults and time from
another process. Does not belong here: wire formats (one module per provider), serving (``server``).

Each provider answers below ``/<its name>`` (the bulk archive below ``/archive``), as its row of
``connections`` says. A client cannot tell the server from the real provider but for the base URL.

Retention walls (thirty days of Binance statistics, 1440 rows and 94 days at OKX) are off unless
``walls`` is set: a replay of history stands for having recorded those series forward all along,
which is the only way anybody ever gets them.
"""

from __future__ import annotations

import base64
import binascii
from importlib import import_module

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from regime_pipeline.connections import CONNECTIONS, Connection
from regime_pipeline.simulator import streams
from regime_pipeline.simulator.context import World, reply
from regime_pipeline.simulator.faults import Fault, FaultLayer
from regime_pipeline.simulator.stream_desks import STREAMS
from regime_pipeline.simulator.tape import Tape
from regime_pipeline.windows import Clock, clock_from_text

_LOOPBACK = ("127.0.0.1", "::1", "testclient")


def build_app(tape: Tape, clock: Clock, *, walls: bool = False) -> Starlette:
    """The application over a tape, as it looks at the clock's present.

    ``app.state.faults`` maps a path prefix to a :class:`~.faults.Fault` or to a callable from the
    ASGI scope to one (or None); ``POST /_control/faults`` does the same from another process.
    ``app.state.requests`` counts requests per path, ``app.state.world`` holds tape and clock.

    Args:
        tape: what happened.
        clock: decides what is visible already.
        walls: whether the providers' retention limits hold.
    """
    world = World(tape, clock, walls)
    app = Starlette(
        routes=[
            Route("/_control/faults", _faults, methods=["GET", "POST", "DELETE"]),
            Route("/_control/clock", _clock, methods=["GET", "POST"]),
            Route("/_control/requests", _requests, methods=["GET"]),
            Route("/_control/ws_faults", streams.faults, methods=["GET", "POST", "DELETE"]),
            Route("/_control/ws_sent", streams.sent, methods=["GET"]),
            *(
                WebSocketRoute(f"/ws/{path}", streams.endpoint(world, make(world)))
                for path, make in STREAMS.items()
            ),
            *(_mount(row, world) for row in CONNECTIONS.values()),
        ],
        middleware=[Middleware(FaultLayer)],
    )
    app.state.world = world
    app.state.faults = {}
    app.state.requests = {}
    app.state.streams = streams.StreamState()
    return app


def _mount(row: Connection, world: World) -> Mount:
    """What answers for a provider: ``ROUTES`` of the simulator's module that its row names."""
    module = import_module(f"{__package__}.{row.simulated_by}")
    return Mount(f"/{row.simulated_at}", routes=module.ROUTES[row.name](world))


def _is_near(request: Request) -> bool:
    return request.client is not None and request.client.host in _LOOPBACK


async def _faults(request: Request) -> Response:
    """Lists, adds (``path`` and the fields of a fault) or clears (all, or ``?path=``) faults."""
    if not _is_near(request):
        return PlainTextResponse("only from this machine", 403)
    scripts = request.app.state.faults
    if request.method == "DELETE":
        path = request.query_params.get("path")
        for known in [path] if path else list(scripts):
            scripts.pop(known, None)
    elif request.method == "POST":
        try:
            given = orjson.loads(await request.body())
            path = str(given.pop("path"))
            if "body_base64" in given:
                given["body"] = base64.b64decode(given.pop("body_base64"), validate=True)
            scripts[path] = Fault(**given)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            return PlainTextResponse(f"not a fault: {error}", 400)
    told = {path: s.told() if isinstance(s, Fault) else "script" for path, s in scripts.items()}
    return reply(told)


async def _clock(request: Request) -> Response:
    """Tells or sets (``{"at": "2024-08-05T02:00:00Z"}`` or ``"system"``) the server's time."""
    if not _is_near(request):
        return PlainTextResponse("only from this machine", 403)
    world = request.app.state.world
    if request.method == "POST":
        try:
            world.clock = clock_from_text(str(orjson.loads(await request.body())["at"]))
        except (ValueError, KeyError, TypeError) as error:
            return PlainTextResponse(f"not a time: {error}", 400)
    return reply({"now": world.clock.now().isoformat()})


async def _requests(request: Request) -> Response:
    """How often each path was asked."""
    if not _is_near(request):
        return PlainTextResponse("only from this machine", 403)
    return reply(request.app.state.requests)
