"""Whale Alert v1, as its interface answers.

Belongs here: paths, cursor pages, the key check, the history limit. Does not belong here: where values
come from. A page without transfers has no list at all; a hash may be asked for by itself.
"""

from __future__ import annotations

import hashlib

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.context import BadParameterError, Query, World, reply
from regime_pipeline.simulator.series import DAY_MS, Transfers

MOST = 100
_KEPT_MS = 30 * DAY_MS


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""

    async def listed(request: Request) -> Response:
        return _guarded(world, request, _listed)

    async def one(request: Request) -> Response:
        return _guarded(world, request, _one)

    async def status(request: Request) -> Response:
        return _guarded(world, request, _status)

    return [
        Route("/v1/status", status),
        Route("/v1/transactions", listed),
        Route("/v1/transaction/{blockchain}/{hash}", one),
    ]


def _error(message: str, status: int) -> Response:
    return reply({"result": "error", "message": message}, status=status)


def _guarded(world: World, request: Request, answer: object) -> Response:
    query = Query.of(request)
    key = request.headers.get("x-wa-api-key", "").strip() or query.get("api_key", "")
    if not key or key == "None":
        return _error("invalid api_key", 401)
    try:
        return answer(world, request, query)  # type: ignore[operator, no-any-return]
    except BadParameterError as bad:
        return _error(f"invalid {bad.name}", 400)


def _hash(number: int) -> str:
    return hashlib.sha256(f"transfer {number}".encode()).hexdigest()


def _end(name: str, number: int, which: str) -> dict[str, str]:
    address = hashlib.sha256(f"{which} {name or number}".encode()).hexdigest()[:40]
    if not name:
        return {"address": address, "owner_type": "unknown"}
    return {"address": address, "owner": name, "owner_type": "exchange"}


def _row(moved: Transfers, i: int) -> dict[str, object]:
    coin, number = str(moved.coin[i]), int(moved.number[i])
    return {
        "blockchain": "bitcoin" if coin == "BTC" else "ethereum",
        "symbol": coin.lower() if number % 2 else coin,
        "id": str(number),
        "transaction_type": "transfer",
        "hash": _hash(number),
        "from": _end(str(moved.sender[i]), number, "from"),
        "to": _end(str(moved.receiver[i]), number, "to"),
        "timestamp": int(moved.ts[i]) // 1000,
        "amount": float(moved.amount[i]),
        "amount_usd": float(moved.usd[i]),
        "transaction_count": 1,
    }


def _listed(world: World, _: Request, query: Query) -> Response:
    now = world.now_ms()
    start = query.whole("start", now // 1000 - 600) * 1000
    end = min(query.whole("end", now // 1000) * 1000, now)
    if world.walls and start < now - _KEPT_MS:
        return _error("start is older than the history your plan allows", 400)
    limit = query.whole("limit", MOST)
    if not 0 < limit <= MOST:
        raise BadParameterError("limit")
    moved = world.tape.transfers()
    chosen = np.array([], dtype=np.int64)
    if moved is not None:
        low, high = np.searchsorted(moved.ts, [start, end + 1])
        chosen = np.arange(low, high)
        chosen = chosen[moved.usd[low:high] >= query.whole("min_value", 500_000)]
        if "currency" in query:
            chosen = chosen[
                np.char.lower(moved.coin[chosen].astype(str)) == query["currency"].lower()
            ]
    if "cursor" in query:
        chosen = chosen[chosen > _place(query["cursor"])]
    page = chosen[:limit]
    body: dict[str, object] = {"result": "success", "count": len(page)}
    if len(page) and moved is not None:
        body["cursor"] = f"{int(page[-1]):x}-{int(moved.ts[page[-1]]):x}"
        body["transactions"] = [_row(moved, int(i)) for i in page]
    elif "cursor" in query:
        body["cursor"] = query["cursor"]
    return reply(body)


def _place(cursor: str) -> int:
    try:
        return int(cursor.split("-")[0], 16)
    except ValueError:
        raise BadParameterError("cursor") from None


def _status(_world: World, _request: Request, _query: Query) -> Response:
    return reply({"result": "success", "blockchain_count": 2})


def _one(world: World, request: Request, _: Query) -> Response:
    moved = world.tape.transfers()
    wanted = request.path_params["hash"].lower()
    if moved is not None:
        stop = int(np.searchsorted(moved.ts, world.now_ms(), side="right"))
        for i in range(max(0, stop - 2000), stop):
            if _hash(int(moved.number[i])) == wanted:
                row = _row(moved, i)
                return reply({"result": "success", "count": 1, "transactions": [row]})
    return reply({"result": "success", "count": 0})


ROUTES = {"whale_alert": routes}
