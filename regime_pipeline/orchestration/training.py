"""Which months are still to be trained, and which days to be judged.

Belongs here: comparing the registry of models with the months that have ended and hold bars, and what is
judged each night with the nights that were. Does not belong here: training (``research.models``), judging.
"""

from __future__ import annotations

from datetime import datetime

from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.research import models
from regime_pipeline.windows import DAY, HOUR, Window, at_hour, floor_day, utc

JUDGED = (
    "signals.passports", "signals.calibrators", "signals.model_performance", "signals.strategies",
)  # fmt: skip
"""Tables with rows at the end of every judged day."""
LATE = 7 * DAY
"""A night that failed is made up for within so many days."""
_FIRST_BAR = "select min(ts) from market.candles_1h where market = 'perp' and close is not null"


def untrained(platform: Platform, until: datetime) -> Window | None:
    """The months from the first to the last one that has no row in the registry; None: all have.

    Args:
        platform: where the registry and the bars are.
        until: months that end later are not over.
    """
    known = set(platform.warehouse.read(models.TABLE, None, columns=["ts"])["ts"])
    with platform.database.connect() as connection:
        (begins,) = connection.execute(_FIRST_BAR).fetchone() or (None,)
    if begins is None:
        return None
    first = max(utc(begins), until - models.REACH)
    ends = map(at_hour, models.month_ends(first, until))
    wanted = [end for end in ends if end - HOUR not in known]
    return Window((wanted[0] - DAY).replace(day=1), wanted[-1]) if wanted else None


def unjudged(platform: Platform, today: datetime) -> Window:
    """The whole days before today that still lack a judgement; the last one is always among them.

    Where a table has no row of the last week, nothing was ever due: a new installation judges the last day.

    Args:
        platform: where what was judged is stored.
        today: midnight.
    """
    lately = Window(today - LATE, today - DAY)
    newest = [
        rows["ts"].max().to_pydatetime()
        for rows in (platform.warehouse.read(name, lately, columns=["ts"]) for name in JUDGED)
        if len(rows)
    ]
    return Window(min([today - DAY, *(floor_day(at) + DAY for at in newest)]), today)
