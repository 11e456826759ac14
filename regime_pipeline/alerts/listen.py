"""``regime alerts listen``: a receiver on this machine that verifies and prints.

Shows a user what arrives, and is a worked example of a correct receiver: it verifies the signature
over the raw bytes, answers 2xx quickly, and drops repeats by ``webhook-id``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from regime_pipeline.alerts import signing

BODY_CAP = 1 << 20


def build_receiver(
    secrets: Sequence[SecretStr], show: Callable[[dict[str, Any], bool], None]
) -> Starlette:
    """An ASGI receiver.

    Args:
        secrets: the shared signing secrets; a message needs to fit one of them.
        show: called with each verified body and whether it is a repeat.
    """
    seen: set[str] = set()

    async def receive(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_CAP:
                return PlainTextResponse("body too large", status_code=413)
        try:
            signing.verify(secrets, body, dict(request.headers))
            parsed = json.loads(body)
        except signing.BadSignature as error:
            return PlainTextResponse(f"signature refused: {error}", status_code=401)
        except ValueError:
            return PlainTextResponse("not JSON", status_code=400)
        message_id = request.headers["webhook-id"]
        try:
            show(parsed, message_id in seen)
        except (KeyError, TypeError, ValueError):
            return PlainTextResponse("not an event", status_code=400)
        seen.add(message_id)
        return Response(status_code=204)

    return Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])])
