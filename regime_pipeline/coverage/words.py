"""Which hours we missed and which the venue lacks, said shortly: source, hours, symbols, why.

Belongs here: reading ``ops.coverage_spans`` for people and summing stretches up to lines. Does not
belong here: judging hours (``coverage.hours``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

import pandas as pd

from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows as rows_of
from regime_pipeline.windows import Window

MISSED, LACKING = "missed", "venue_had_none"
SHOWN_STRETCHES = 3
SHOWN_SYMBOLS = 3
SHOWN_LINES = 20
"""Lines of a table."""
SHOWN_SOURCES = 4
"""Sources that one line about what was missed names."""


@dataclass(frozen=True, slots=True)
class HoursLine:
    """Hours of one source's series that share a state and a reason.

    Attributes:
        dataset: raw table without its schema.
        source: who gives it.
        market: market type.
        state: as in ``ops.coverage_spans``.
        reason: why.
        symbols: whose hours.
        hours: sum over the symbols.
        first: first hour.
        last: end, exclusive.
        stretches: the hours in words, the longest ones only.
    """

    dataset: str
    source: str
    market: str
    state: str
    reason: str | None
    symbols: tuple[str, ...]
    hours: int
    first: datetime
    last: datetime
    stretches: str

    @property
    def text(self) -> str:
        """The line as a person reads it."""
        of = ", ".join(self.symbols[:SHOWN_SYMBOLS])
        if len(self.symbols) > SHOWN_SYMBOLS:
            of = f"{len(self.symbols)} symbols"
        of = "the market" if of == "*" else of
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.source} {self.market}: {self.hours} h of {of}, {self.stretches}{why}"

    @property
    def row(self) -> dict[str, str | int]:
        """The line as a row of a table."""
        return {
            "source": self.source,
            "market": self.market,
            "symbols": ", ".join(self.symbols),
            "hours": self.hours,
            "when (UTC)": self.stretches,
            "reason": str(self.reason),
        }


def hours_lines(spans: pd.DataFrame) -> list[HoursLine]:
    """Stretches summed up by dataset, source, market, state and reason; most hours first.

    Args:
        spans: ``dataset, source, market, symbol, start, end, coverage_state, coverage_reason``.
    """
    if spans.empty:
        return []
    by = ["dataset", "source", "market", "coverage_state", "coverage_reason"]
    out = []
    for key, rows in spans.groupby(by, sort=True, dropna=False):
        dataset, source, market, state, reason = cast("tuple[str, ...]", key)
        hours = int(hours_of(rows).sum())
        out.append(
            HoursLine(
                str(dataset),
                str(source),
                str(market),
                str(state),
                None if pd.isna(reason) else str(reason),
                tuple(sorted(set(rows["symbol"]))),
                hours,
                rows["start"].min().to_pydatetime(),
                rows["end"].max().to_pydatetime(),
                _in_words(rows),
            )
        )
    return sorted(out, key=lambda line: (-line.hours, line.dataset, line.source, line.market))


@dataclass(frozen=True, slots=True)
class HoursSummary:
    """What became of the hours of one dataset, for one check.

    Attributes:
        counts: hours by state, those of missed and stored always.
        tables: title and rows of what we missed and what the venue lacks, the longest first.
        missed: one line about what we missed; None: nothing.
    """

    counts: dict[str, int]
    tables: dict[str, list[dict[str, str | int]]]
    missed: str | None


def hours_of(spans: pd.DataFrame) -> pd.Series[int]:
    """Whole hours of each span, from its ``start`` and ``end``."""
    return ((spans["end"] - spans["start"]).dt.total_seconds() // 3600).astype("int64")


def hours_summary(spans: pd.DataFrame) -> HoursSummary:
    """The spans of a dataset summed up.

    Args:
        spans: as for :func:`hours_lines`, all states.
    """
    hours = hours_of(spans)
    by_state = hours.groupby(spans["coverage_state"]).sum()
    counts = {"hours missed": 0, "hours stored": 0}
    counts |= {f"hours {state}": int(n) for state, n in by_state.items()}
    lines = {
        state: hours_lines(spans[spans["coverage_state"] == state]) for state in (MISSED, LACKING)
    }
    missed = lines[MISSED]
    short = "; ".join(line.text for line in missed[:SHOWN_SOURCES])
    more = f"; and {len(missed) - SHOWN_SOURCES} more" if len(missed) > SHOWN_SOURCES else ""
    return HoursSummary(
        counts,
        {
            f"{state}, by source": [line.row for line in found[:SHOWN_LINES]]
            for state, found in lines.items()
            if found
        },
        f"missed: {short}{more}" if missed else None,
    )


def _in_words(rows: pd.DataFrame) -> str:
    """The union of stretches as text, at most a few of them."""
    spans = rows[["start", "end"]].sort_values("start")
    reached = spans["end"].cummax().shift()
    group = (spans["start"] > reached).cumsum()
    whole = spans.groupby(group).agg({"start": "min", "end": "max"})
    words = [
        f"{a:%Y-%m-%d %H:%M}..{b:%H:%M}"
        if a.date() == b.date()
        else f"{a:%Y-%m-%d %H:%M}..{b:%m-%d %H:%M}"
        for a, b in zip(whole["start"], whole["end"], strict=True)
    ]
    more = f" and {len(words) - SHOWN_STRETCHES} more" if len(words) > SHOWN_STRETCHES else ""
    return ", ".join(words[:SHOWN_STRETCHES]) + more


def troubled_hours(database: Database, window: Window) -> list[HoursLine]:
    """What we missed and what venues lack in a window, by dataset and source; missed first."""
    found = rows_of(
        database,
        "select dataset, source, venue, market, symbol, greatest(span_start, %(start)s) as start, "
        'least(span_end, %(end)s) as "end", coverage_state, coverage_reason from ops.coverage_spans '
        "where span_end > %(start)s and span_start < %(end)s and coverage_state = any(%(states)s)",
        start=window.start,
        end=window.end,
        states=[MISSED, LACKING],
    )
    lines = hours_lines(pd.DataFrame(found))
    return sorted(lines, key=lambda line: line.state != MISSED)


def state_hours(database: Database, window: Window) -> dict[str, dict[str, int]]:
    """Hours of every dataset in a window by state, summed over its series."""
    found = rows_of(
        database,
        "select dataset, coverage_state, sum(extract(epoch from least(span_end, %(end)s) - "
        "greatest(span_start, %(start)s)) / 3600)::bigint as hours from ops.coverage_spans "
        "where span_end > %(start)s and span_start < %(end)s group by 1, 2 order by 1, 2",
        start=window.start,
        end=window.end,
    )
    out: dict[str, dict[str, int]] = {}
    for row in found:
        out.setdefault(row["dataset"], {})[row["coverage_state"]] = int(row["hours"])
    return out
