"""How often one address may ask.

Belongs here: counting. Does not belong here: the answer (``problems``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

PER_SECOND = 20.0
BURST = 60.0
MOST_CALLERS = 10_000


class Buckets:
    """A bucket of tokens a caller: :data:`BURST` at once, :data:`PER_SECOND` for long.

    Args:
        now: seconds that only go up.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take one; 0, or the seconds until there is one again."""
        now = self._now()
        left, at = self._left.pop(caller, (BURST, now))
        left = min(BURST, left + (now - at) * PER_SECOND)
        wait = 0.0 if left >= 1 else (1 - left) / PER_SECOND
        self._left[caller] = (left - (0 if wait else 1), now)
        while len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)
        return wait
