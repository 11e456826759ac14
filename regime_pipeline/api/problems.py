"""Errors as RFC 9457 problems: what was wrong and what to do, never SQL, a path or a secret.

Belongs here: the kinds of problems and their form. Does not belong here: finding them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"

TITLES = MappingProxyType(
    {
        "parameters": (422, "A parameter is wrong"),
        "not-found": (404, "There is nothing at this address"),
        "method": (405, "Only GET is answered here"),
        "unauthorized": (401, "A token is needed"),
        "forbidden": (403, "The token is not for this"),
        "host": (421, "This host name is not served"),
        "body": (413, "The body is too long"),
        "too-long": (414, "The address is too long"),
        "too-many": (429, "Too many requests"),
        "database": (503, "The database does not answer"),
        "busy": (503, "Too much of this is under way"),
        "slow": (504, "The answer took too long"),
        "no-orders": (501, "This pipeline places no orders"),
        "internal": (500, "Something went wrong here"),
    }
)
"""Kind -> HTTP status and title."""


@dataclass
class Problem(Exception):
    """A request that is not answered with data.

    Attributes:
        kind: a key of :data:`TITLES`.
        detail: one sentence on this case.
        errors: single faults, each with ``parameter`` and ``detail``.
        retry_after_s: when to come again.
    """

    kind: str
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    retry_after_s: int | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return TITLES[self.kind][0]

    def body(self, instance: str, request_id: str) -> dict[str, Any]:
        """The problem as it is sent."""
        found: dict[str, Any] = {
            "type": f"/problems/{self.kind}",
            "title": TITLES[self.kind][1],
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
        }
        return found | ({"errors": self.errors} if self.errors else {})


def response_to(request: Request, problem: Problem) -> Response:
    """The answer to a request that met a problem."""
    headers = {"cache-control": "no-store"}
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    if problem.kind == "unauthorized":
        headers["www-authenticate"] = 'Bearer realm="regime_pipeline"'
    body = problem.body(request.url.path, request.scope.get("request_id", ""))
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)
