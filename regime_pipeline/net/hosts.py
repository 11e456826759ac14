"""Hosts of addresses, for keys and texts.

Belongs here: what every room must agree on about a host. Does not belong here: asking one.
"""

from __future__ import annotations

from urllib.parse import urlsplit


def host_of(url: str) -> str:
    """Host and port of an address as they stand there; never the user or the password before them."""
    return urlsplit(url).netloc.rpartition("@")[2]
