"""Which months are still to be trained.

Belongs here: comparing the registry of models with the months that have ended and hold bars. Does not belong
here: training (``research.models``).
"""

from __future__ import annotations

from datetime import datetime

from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.research import models
from regime_pipeline.windows import DAY, HOUR, Window, at_hour, utc

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
