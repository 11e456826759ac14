"""The other side of the server's benchmark: the same bytes, or the same SQL, by a route and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from datetime import datetime

import orjson
import uvicorn
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def main() -> None:
    """Serve until SIGTERM."""
    told = json.loads(os.environ["REGIME_BARE"])
    body = told["body"].encode()
    pool = AsyncConnectionPool(
        told["conninfo"], min_size=2, max_size=8, open=False, kwargs={"autocommit": True}
    )

    async def same_bytes(_: Request) -> Response:
        return Response(body, media_type="application/json")

    async def same_sql(request: Request) -> Response:
        end = datetime.fromisoformat(request.query_params["to"])
        async with pool.connection() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(told["sql"], [*told["values"], end])
            names = [c.name for c in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
        return Response(orjson.dumps({"data": rows}), media_type="application/json")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    routes = [Route("/bytes", same_bytes), Route("/sql", same_sql)]
    app = Starlette(routes=routes, lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=told["port"], log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
