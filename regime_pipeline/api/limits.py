"""How often one address may ask.

Belongs here: counting. Does not belong here: the answer (``problems``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

PER_SECOND = 20.0
BURST_S = 3.0
"""So many seconds' worth may come at once."""
MOST_CALLERS = 10_000


class Buckets:
    """A bucket of requests a caller: so many a second for long, three times as many at once.

    Args:
        now: seconds that only go up.
        per_second: requests a second.
    """

    def __init__(self, now: Callable[[], float], per_second: float = PER_SECOND) -> None:
        self._now = now
        self.per_second = per_second
        self.burst = per_second * BURST_S
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take one; 0, or the seconds until there is one again."""
        now = self._now()
        left, at = self._left.pop(caller, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self.per_second
        self._left[caller] = (left - (0 if wait else 1), now)
        while len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)
        return wait
