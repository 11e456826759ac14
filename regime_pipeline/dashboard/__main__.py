"""The server process of ``regime serve``: API and dashboard in one, light.

Belongs here: starting it. What it needs to know comes in one environment variable as JSON, so that no
secret stands in a command line: ``regime serve`` finds the database and fills it.
"""

from __future__ import annotations

import json
import logging
import os
import sys

import uvicorn

from regime_pipeline.api.app import create_app
from regime_pipeline.dashboard.pages import routes
from regime_pipeline.windows import clock_from_text

VARIABLE = "REGIME_SERVE"


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    told = json.loads(os.environ.pop(VARIABLE))
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    logging.getLogger("regime_pipeline.api").setLevel(told["log_level"])
    app = create_app(
        told["conninfo"],
        symbols=told["symbols"],
        clock=clock_from_text(told["clock"]),
        hosts=tuple(told["hosts"]),
        more=routes,
    )
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=told["port"],
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=told["behind_proxy"],
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
