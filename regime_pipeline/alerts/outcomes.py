"""What followed on events of the past: how often the price rose, by how much, against all hours.

Belongs here: asking ``reporting.outcomes`` after a condition, and which condition stands for a type of
event at a level. Does not belong here: how the answer is made (``storage/outcomes.sql``), wording
(``message``).

An answer uses rows and returns that were known by its instant. Below a year of history, 30 effective rows
or 8 effective months it is silent: the counts are given, the numbers are None.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from regime_pipeline.alerts.kinds import MarketEvent
from regime_pipeline.alerts.message import HORIZONS_H
from regime_pipeline.catalogue import FIELDS, Kind

log = logging.getLogger(__name__)

LONGEST_S = 5
"""Seconds in which the database answers; a longer question is given up."""
ANNOUNCES = ("start", "escalation", "change")
"""Kinds of announcements that say that something begins or grows."""

_ASK = "SELECT * FROM reporting.outcomes(%s::jsonb, %s, %s, %s)"
_LIMIT = "SELECT current_setting('statement_timeout'), set_config('statement_timeout', %s, true)"


class InvalidConditionError(ValueError):
    """The condition cannot be asked; the message says why."""


@dataclass(frozen=True)
class Answer:
    """What followed after some hours; returns are logarithms, intervals hold at 95 %.

    Attributes:
        n_rows: hours on which the condition held and whose return had ended.
        n_eff: independent rows that they amount to.
        blocks_eff: months that they amount to.
        span_days: from the first hour that could be judged to the last.
        price: market whose closes are compared, perp or spot.
        reason: why history is silent; None: it is not, and the numbers below are set.
        p_up: share after which the price was higher.
        mean: mean return.
        p10: return below which a tenth lies.
        median: median return.
        p90: return above which a tenth lies.
        base_rows: all hours of the same symbols and time.
        base_p_up: the share over all of them.
        base_mean: their mean return.
        differs: whether the two shares differ at 99 %.
    """

    n_rows: int
    n_eff: float
    blocks_eff: float
    span_days: float
    price: str
    reason: str | None = None
    p_up: float | None = None
    p_up_low: float | None = None
    p_up_high: float | None = None
    mean: float | None = None
    p10: float | None = None
    p10_low: float | None = None
    p10_high: float | None = None
    median: float | None = None
    median_low: float | None = None
    median_high: float | None = None
    p90: float | None = None
    p90_low: float | None = None
    p90_high: float | None = None
    base_rows: int = 0
    base_p_up: float | None = None
    base_mean: float | None = None
    differs: bool | None = None

    @property
    def is_silent(self) -> bool:
        """Whether history says nothing."""
        return self.reason is not None

    def plain(self) -> dict[str, Any]:
        """As bodies of alerts have it."""
        kept = {name: getattr(self, name) for name in TOLD}
        return {"rows": self.n_rows, **kept, "is_silent": self.is_silent}


TOLD = (
    *("n_eff", "blocks_eff", "reason", "p_up", "p_up_low", "p_up_high"),
    *("median", "median_low", "median_high", "base_p_up", "differs"),
)
"""What an alert says of an answer, beside its rows."""


def ask(
    conn: psycopg.Connection,
    condition: Mapping[str, Any],
    horizon_h: int,
    as_of: datetime,
    symbols: Sequence[str] | None = None,
) -> Answer:
    """What followed on the hours in which a condition held.

    Args:
        conn: of any role that reads ``reporting``.
        condition: as docs/reporting.md describes it.
        horizon_h: 1, 4, 24 or 72 hours ahead.
        as_of: what was known then counts.
        symbols: of these only; None: all.

    Raises:
        InvalidConditionError: it cannot be asked.
        psycopg.errors.QueryCanceled: there was no answer within :data:`LONGEST_S`.
    """
    asked = (json.dumps(condition), horizon_h, as_of, None if symbols is None else list(symbols))
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        before = conn.execute(_LIMIT, (f"{LONGEST_S}s",)).fetchone()
        try:
            row = cursor.execute(_ASK, asked).fetchone()
        except psycopg.DataError as error:  # what is no condition, and text that is no JSON
            raise InvalidConditionError(error.diag.message_primary or str(error)) from None
        conn.execute(_LIMIT, (before[0] if before else "0",))
    assert row is not None
    return Answer(**row)


def condition_of(kind: MarketEvent, level: str) -> dict[str, Any] | None:
    """The hours that announced a type of event at a level; None: no mart shows them by symbol.

    Raises:
        InvalidConditionError: the state of the type is a number, the level is none.
    """
    if kind.mart is None:
        return None
    announced: dict[str, Any] = {"field": f"{kind.mart}.event_kind", "op": "in"}
    announced |= {"value": list(ANNOUNCES)}
    if kind.flag is not None:
        announced = {"field": f"{kind.mart}.{kind.flag}", "op": "is", "value": True}
    value: str | int = level
    if FIELDS[kind.state].kind is Kind.INTEGER:
        try:
            value = int(level)
        except ValueError:
            raise InvalidConditionError(
                f"{kind.mart}.{kind.state} is an integer, the level is {level!r}"
            ) from None
    at_level = {"field": f"{kind.mart}.{kind.state}", "op": "is", "value": value}
    return {"all": [announced, at_level]}


def followed(
    conn: psycopg.Connection,
    kind: MarketEvent,
    level: str,
    symbols: Sequence[str],
    as_of: datetime,
) -> dict[str, Any]:
    """What followed on all events of a type at a level, of any of the symbols, known at ``as_of``.

    The event is told whatever becomes of this question: where it has no answer, ``reason`` says why, there
    are no answers, and the transaction of ``conn`` goes on as if nothing had been asked.

    Returns:
        What was asked, and either answers by horizon in hours as text or ``reason``.

    Raises:
        psycopg.Error: the connection is lost, so that nothing can be stored on it either.
    """
    found: dict[str, Any] = {"symbols": list(symbols), "as_of": as_of.isoformat()}
    try:
        condition = condition_of(kind, level)
        if condition is None:
            return found | {"reason": f"no mart shows {kind.name} by symbol"}
        found["condition"] = condition
        answers = [(hours, ask(conn, condition, hours, as_of, symbols)) for hours in HORIZONS_H]
    except InvalidConditionError as error:
        return found | {"reason": f"it cannot be asked: {error}"}
    except psycopg.errors.QueryCanceled:
        return found | {"reason": f"no answer within {LONGEST_S} s"}
    except psycopg.Error as error:
        if conn.closed:
            raise
        log.warning("what followed on %s %s could not be asked", kind.name, level, exc_info=error)
        return found | {"reason": f"the question failed: {type(error).__name__}"}
    for hours, one in answers:
        found |= {str(hours): one.plain(), "price": one.price}
    return found
