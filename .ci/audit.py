"""Known weaknesses of the locked dependencies: ``python .ci/audit.py [requirements.lock]``.

Exit code 0: the feed answered about every dependency, and knows of none; 1: it knows of some, named one a
line; 2: it did not answer in full, which counts as failed and never as fine.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx

FEED = os.environ.get("AUDIT_FEED", "https://api.osv.dev")
AT_ONCE = 500
TIMEOUT_S = 30.0
_LOCKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


class NoAnswer(RuntimeError):
    """The feed cannot be reached, or said something that is no answer."""


def locked(text: str) -> list[tuple[str, str]]:
    """Name and version of every dependency of a lock file."""
    return [(name.lower(), version) for name, version in _LOCKED.findall(text)]


def known_weaknesses(wanted: list[tuple[str, str]], feed: str) -> list[str]:
    """A line for each dependency that has some.

    Raises:
        NoAnswer: for whatever reason; nothing is known then.
    """
    out = []
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        for (name, version), found in zip(part, _ask(part, feed), strict=True):
            names = [weakness["id"] for weakness in found.get("vulns") or []]
            if names:
                out.append(f"{name} {version}: {', '.join(names)}")
    return out


def _ask(part: list[tuple[str, str]], feed: str) -> list[dict[str, Any]]:
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in part
    ]
    try:
        answer = httpx.post(f"{feed}/v1/querybatch", json={"queries": queries}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        results = answer.json()["results"]
    except (httpx.HTTPError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise NoAnswer(f"{feed}: {type(error).__name__}") from error
    if not isinstance(results, list) or len(results) != len(part):
        raise NoAnswer(f"{feed}: an answer about something else than was asked")
    if not all(isinstance(r, dict) and not r.get("next_page_token") for r in results):
        raise NoAnswer(f"{feed}: an answer in parts")
    return results


def main(arguments: list[str]) -> int:
    """Audit a lock file; the exit code."""
    wanted = locked(Path(arguments[0] if arguments else "requirements.lock").read_text())
    try:
        if not wanted:
            raise NoAnswer("the lock file names no dependency")
        found = known_weaknesses(wanted, FEED)
    except NoAnswer as error:
        sys.stderr.write(f"audit failed: {error}; this is no good news\n")
        return 2
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.stdout.write(f"{len(wanted)} dependencies, {len(found)} with known weaknesses\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
