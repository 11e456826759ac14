"""The server behind ``regime metrics``: figures, whether it lives, whether the pipeline is well.

Belongs here: three routes. Does not belong here: the figures (``metrics``), what is wrong
(``alerts.heartbeat``).

It needs none of what it watches, and answers while the database is away: ``/metrics`` then says
``regime_up 0``, ``/ready`` names the reason with status 503.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from regime_pipeline.alerts.heartbeat import look
from regime_pipeline.exposition import CONTENT_TYPE, text
from regime_pipeline.reporting.metrics import read
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock


def create_app(settings: Settings, clock: Clock, *, needs_daemon: bool = True) -> Starlette:
    """The application.

    Args:
        settings: of what is watched.
        clock: the present.
        needs_daemon: whether a daemon is to run here; cron jobs need none.
    """

    async def metrics(_: Request) -> Response:
        families = await run_in_threadpool(read, settings, clock.now())
        return Response(text(families), media_type=CONTENT_TYPE)

    async def live(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        beat = await run_in_threadpool(look, settings, clock, needs_daemon=needs_daemon)
        body = {"is_well": beat.is_well, "faults": list(beat.faults), "at": beat.at.isoformat()}
        return JSONResponse(body, 200 if beat.is_well else 503)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/live", live), Route("/ready", ready)]
    )
