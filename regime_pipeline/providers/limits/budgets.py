"""Rate limits as data, and the arithmetic of one budget. Pure: no clock, no storage.

Belongs here: the words for what a provider grants, which headers report what is used, how much of a
window is left. Does not belong here: the limits of one provider (its source), where the count lives.

Only :data:`SHARE` of a limit is ever used, because other programs behind the same address use it too.
Limits that count over a few seconds do so over sliding windows; they are cut into slices, small
enough that no window of the provider's length, wherever it begins, can hold more than the limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

SHARE = 0.8
"""The part of a limit that is used at most."""
BATCH = 0.1
"""The part of a window's budget that a process reserves at a time."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit of a provider.

    Attributes:
        scope: name of the count, unique within the provider; ``*`` gives every path one of its own.
        limit: what is granted per window.
        window_s: length of the window, seconds.
        paths: path prefixes that count; empty: all.
        weighted: whether a request counts with its weight rather than as one.
        slices: parts that the window is counted in, where the provider's windows slide.
        keyed: whether the limit belongs to the key rather than to the address.
        used_header: response header with what is used of the window.
        left_header: response header with what is left of it.
        limit_header: response header with the limit.
    """

    scope: str
    limit: int
    window_s: float
    paths: tuple[str, ...] = ()
    weighted: bool = False
    slices: int = 1
    keyed: bool = False
    used_header: str | None = None
    left_header: str | None = None
    limit_header: str | None = None

    @property
    def length_s(self) -> float:
        """Length of what is counted: the window or a slice of it."""
        return self.window_s / self.slices

    def usable(self, limit: int) -> int:
        """How much of a limit may be used per counted length; at least 1, or nothing would go."""
        return max(1, math.floor(SHARE * limit / self.slices))

    def cost(self, weight: int) -> int:
        """What one request takes."""
        return weight if self.weighted else 1


@dataclass(frozen=True, slots=True)
class Rates:
    """What a provider grants.

    Attributes:
        budgets: its limits.
        is_exclusive: the limits do not add up: the longest fitting path counts, alone and per path.
    """

    budgets: tuple[Budget, ...]
    is_exclusive: bool = False

    def of(self, path: str) -> tuple[Budget, ...]:
        """The budgets that a request to ``path`` takes from; ``*`` becomes the path."""
        fitting = [
            b for b in self.budgets if not b.paths or any(path.startswith(p) for p in b.paths)
        ]
        if self.is_exclusive:
            best = max(fitting, key=lambda b: max((len(p) for p in b.paths), default=0))
            return (replace(best, scope=path),)
        return tuple(replace(b, scope=path) if b.scope == "*" else b for b in fitting)


UNKNOWN = Rates((Budget("requests", 60, 60.0),))
"""For a provider that says nothing: one request a second."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What all processes together have used: the stored state of a budget."""

    window_start: datetime
    limit: int
    used: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What a process may use until its window ends: ``units``, none when the window is used up."""

    units: int
    used: int
    limit: int
    window_start: datetime
    left_s: float


def window_of(now: datetime, budget: Budget) -> datetime:
    """Start of the counted window that holds ``now``; windows are aligned to the epoch."""
    length = budget.length_s
    return datetime.fromtimestamp(math.floor(now.timestamp() / length) * length, UTC)


def current(usage: Usage | None, now: datetime, budget: Budget) -> Usage:
    """The usage of the window that holds ``now``.

    One that lies more than a window ahead was counted before the clock was set back.
    """
    start = window_of(now, budget)
    if usage is None:
        return Usage(start, budget.limit)
    # only a provider that tells its limit can change it; else the table above holds
    limit = usage.limit if budget.limit_header else budget.limit
    if start <= usage.window_start <= start + timedelta(seconds=budget.length_s):
        return replace(usage, limit=limit)
    return Usage(start, limit)


def take(
    usage: Usage | None, now: datetime, budget: Budget, least: int, most: int
) -> tuple[Usage, Grant]:
    """Reserves between ``least`` and ``most`` units, or none when fewer than ``least`` are left.

    A single request dearer than a whole window is let through when nothing else used the window.
    """
    here = current(usage, now, budget)
    free = budget.usable(here.limit) - here.used
    units = min(most, free) if free >= least else (least if here.used == 0 else 0)
    after = replace(here, used=here.used + units)
    left = here.window_start.timestamp() + budget.length_s - now.timestamp()
    return after, Grant(units, after.used, after.limit, after.window_start, max(left, 0.0))


def seen(
    usage: Usage | None,
    now: datetime,
    budget: Budget,
    *,
    window_start: datetime,
    used: int | None,
    limit: int | None,
) -> Usage:
    """Takes over what a provider's headers say, where it is more than we counted ourselves.

    What was said about a window that is over counts for its limit only.
    """
    here = current(usage, now, budget)
    if limit is not None and limit > 0 and limit != here.limit:
        here = replace(here, limit=limit)
    if used is not None and here.window_start == window_start and used > here.used:
        here = replace(here, used=used)
    return here


def read_headers(budget: Budget, headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """What a reply says is ``(used, limit)`` of a budget; None where it does not say."""
    limit = _whole(headers, budget.limit_header)
    used = _whole(headers, budget.used_header)
    left = _whole(headers, budget.left_header)
    if used is None and left is not None and limit is not None:
        used = max(0, limit - left)
    return used, limit


def _whole(headers: Mapping[str, str], name: str | None) -> int | None:
    text = (headers.get(name) or "").strip() if name else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
