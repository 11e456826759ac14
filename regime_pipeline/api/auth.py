"""Under which names the server may be asked.

Belongs here: the guard against DNS rebinding, by which a page of somebody else would read what a server on
loopback says. Does not belong here: who may ask; on loopback that is whoever uses the machine.
"""

from __future__ import annotations

from regime_pipeline.api.problems import Problem

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_host(header: str | None, allowed: frozenset[str]) -> None:
    """Refuse a host name that is not served.

    Args:
        header: the header ``Host`` of a request.
        allowed: further names than those of loopback, in lower case.

    Raises:
        Problem: ``host``.
    """
    name = (header or "").lower()
    name = name[1 : name.find("]")] if name.startswith("[") else name.partition(":")[0]
    if name not in allowed and name not in LOOPBACK:
        raise Problem("host", "name it with --allow-host, or ask 127.0.0.1")
