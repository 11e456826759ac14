"""Numbers, instants and durations as people read them, the same in terminal, page and charts.

Belongs here: turning one value into text. What is not known is a dash, never a number. Does not
belong here: labels (``labels``), layout.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

UNKNOWN = "—"
_UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


def known(value: Any) -> bool:
    """Whether there is a value: not None, NaN, NA or NaT."""
    return value is not None and type(value).__name__ != "NAType" and bool(value == value)


def filled(form: str, *values: Any) -> str:
    """The printf form filled with the values, or that something is unknown if one of them is."""
    return form % values if all(map(known, values)) else UNKNOWN


def words(value: Any) -> str:
    """An identifier as words: ``insufficient_history`` as ``insufficient history``."""
    return str(value).replace("_", " ")


def stamp(at: datetime | None) -> str:
    """An instant to the minute."""
    return f"{at:%Y-%m-%d %H:%M}" if known(at) else UNKNOWN


def price_text(value: float | None) -> str:
    """A price with about five significant digits."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:#.4g}"


def percent_text(value: float | None, digits: int = 1) -> str:
    """A signed percentage."""
    return UNKNOWN if value is None else f"{round(value, digits) + 0.0:+.{digits}f}%"


def share_text(share: float | None, digits: int = 0) -> str:
    """A share (0 .. 1) as percent."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f} %"


def age_text(hours: float | None) -> str:
    """A duration as a person says it."""
    if hours is None:
        return UNKNOWN
    if hours < 0:
        return "0 h"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


def hours_text(hours: float | None) -> str:
    """A delay in whole hours."""
    return UNKNOWN if hours is None else f"{hours:.0f} h"


def rate_text(rate: float | None) -> str:
    """A rate a day with two digits that matter."""
    if rate is None:
        return UNKNOWN
    if rate == 0.0:
        return "0"
    return f"{rate:.2f}" if rate >= 0.1 else f"{rate:.2g}" if rate >= 1e-4 else f"{rate:.5f}"


def scaled(value: float) -> tuple[float, str]:
    """A number and the letter of its thousands: 1.2e6 as (1.2, "M")."""
    for size, unit in _UNITS:
        if abs(value) >= size:
            return value / size, unit
    return value, ""


def usd_text(value: float | None) -> str:
    """Dollars with a unit: $1.2M, $340.0k."""
    if value is None:
        return UNKNOWN
    short, unit = scaled(value)
    return f"${short:.1f}{unit}" if unit else f"${short:.0f}"
