"""The server process of ``regime serve`` and ``regime mcp``: light, and the same for all doors.

Belongs here: starting it. What it needs to know comes in one environment variable as JSON, so that no
secret stands in a command line: the commands find the database and fill it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from starlette.types import ASGIApp

from regime_pipeline.windows import clock_from_text

VARIABLE = "REGIME_SERVE"
USUAL: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 8000,
    "workers": 1,
    "hosts": [],
    "needs_token": False,
    "origins": [],
    "per_second": 20.0,
    "public_url": None,
    "parameters": {},
    "tls": None,
    "behind_proxy": False,
    "stdio": False,
    "log_level": "WARNING",
}
"""What holds where the variable says nothing else."""


def app() -> ASGIApp:
    """The application as the variable describes it; each worker makes its own."""
    from regime_pipeline.api.app import create_app
    from regime_pipeline.api.guard import Access
    from regime_pipeline.dashboard.routes import routes

    told = _told()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    logging.getLogger("regime_pipeline.api").setLevel(told["log_level"])
    return create_app(
        told["conninfo"],
        symbols=told["symbols"],
        clock=clock_from_text(told["clock"]),
        access=Access(
            frozenset(h.lower() for h in told["hosts"]),
            told["needs_token"],
            frozenset(told["origins"]),
            told["per_second"],
        ),
        public_url=told["public_url"],
        parameters=told["parameters"],
        more=routes,
    )


def main() -> None:
    """Serve until SIGINT or SIGTERM; on standard input and output until they are closed."""
    told = _told()
    if told["stdio"]:
        import asyncio

        from regime_pipeline.api.app import made_served
        from regime_pipeline.api.mcp import on_stdio

        clock = clock_from_text(told["clock"])
        served = made_served(
            told["conninfo"],
            symbols=told["symbols"],
            clock=clock,
            parameters=told["parameters"],
        )
        asyncio.run(on_stdio(served))
        return
    import uvicorn

    certificate, key = told["tls"] or (None, None)
    uvicorn.run(
        "regime_pipeline.dashboard.__main__:app",
        factory=True,
        host=told["host"],
        port=told["port"],
        workers=told["workers"],
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=told["behind_proxy"],
        timeout_graceful_shutdown=3,
    )


def _told() -> dict[str, Any]:
    return USUAL | json.loads(os.environ[VARIABLE])


if __name__ == "__main__":
    main()
