"""Errors as RFC 9457 problems: what was wrong and what to do, never SQL, a path or a secret.

Belongs here: the kinds of problems and their form. Does not belong here: finding them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

MEDIA_TYPE = "application/problem+json"

TITLES = MappingProxyType(
    {
        "parameters": (422, "A parameter is wrong"),
        "not-found": (404, "There is nothing at this address"),
        "method": (405, "Only GET is answered here"),
        "host": (421, "This host name is not served"),
        "too-long": (414, "The address is too long"),
        "too-many": (429, "Too many requests"),
        "database": (503, "The database does not answer"),
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
