"""What to ask for: everything in a window, the days that are open, or the hours that are new.

Belongs here: reading the log of a dataset's days and turning it into calls. Does not belong here:
arithmetic over log rows (``asked``), which hours are expected (``rules``), asking (``providers``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.datasets import DATASETS, MARKET_SYMBOL, Expected
from regime_pipeline.coverage.answers import APART
from regime_pipeline.coverage.asked import ANSWERED, Demand, covered_days, demands, pieces
from regime_pipeline.coverage.newest import RESTATED, new_hours, stand_ins
from regime_pipeline.coverage.rules import Series, series_of
from regime_pipeline.coverage.store import log_rows, spans_of
from regime_pipeline.coverage.unproven import Key, reopened, unproven_hours
from regime_pipeline.settings import Settings
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, HOUR, Window, floor_day

PIECE_DAYS = 124
"""Days fetched before they are stored; a page of most providers is 20 to 60 days of hours."""


class Ask(StrEnum):
    """How much of a window is asked for."""

    EVERYTHING = "everything"  # whatever is stored
    OPEN_DAYS = (
        "open days"  # days not fetched completely after they had closed, or with missed hours
    )
    NEW_HOURS = "new hours"  # hours that coverage does not have; once a day the last day again


def to_ask(
    dataset: str,
    window: Window,
    *,
    warehouse: Warehouse,
    settings: Settings,
    now: datetime,
    symbols: Sequence[str],
    sources: Sequence[str] = (),
    ask: Ask = Ask.EVERYTHING,
) -> list[Demand]:
    """The calls that fetch a dataset's rows of a window, each short enough to be stored at once.

    Args:
        dataset: raw table without its schema.
        window: what is wanted, clipped at the time at which the run began.
        warehouse: the fetch log.
        settings: configured sources.
        now: decides which files of the archive can be there.
        symbols: canonical symbols.
        sources: only these of the configured ones; empty: all.
        ask: how much of the window.

    Returns:
        Calls with at most :data:`PIECE_DAYS` days each; those to the archive last, because what it
        is to fill is known only when the others have answered. Empty when nothing is open.

    Raises:
        StorageError: the database refused, or was away for too long.
    """
    if window.is_empty:
        return []
    want = _Want(
        dataset,
        window if ask is Ask.OPEN_DAYS else asked_window(dataset, window, now),
        warehouse,
        settings,
        now,
        tuple(symbols),
        tuple(sources),
    )
    calls = {
        Ask.EVERYTHING: _Want.everything,
        Ask.OPEN_DAYS: _Want.open_days,
        Ask.NEW_HOURS: _Want.new_hours,
    }[ask](want)
    return [replace(c, window=piece) for c in calls for piece in pieces(c.window, PIECE_DAYS)]


def asked_window(dataset: str, window: Window, now: datetime) -> Window:
    """What a run over whole days, clipped at the time at which it began, asks for.

    An answer that comes right after a day's last hour settles nothing (``asked.SETTLE``), so of a day
    that is still running the hour before it is asked for too. A run began within the last hour.
    """
    if DATASETS[dataset].expected != Expected.ANSWERS or window.end < now - HOUR:
        return window
    return Window(window.start - HOUR, window.end)


def to_ask_instead(
    dataset: str,
    window: Window,
    *,
    settings: Settings,
    spans: pd.DataFrame,
    symbols: Sequence[str],
    sources: Sequence[str] = (),
) -> list[Demand]:
    """The calls to other sources where a tick's own ones have left hours open.

    Args:
        dataset: raw table without its schema.
        window: what the tick is about, clipped at its time.
        settings: configured sources.
        spans: coverage of the dataset after the tick's own calls.
        symbols: canonical symbols of the run.
        sources: only these of the configured ones; empty: all.
    """
    if DATASETS[dataset].others_every is None:
        return []
    series = _requested(settings, dataset, symbols, sources)
    calls = stand_ins(dataset, window, series=series, spans=spans)
    return [_of_run(call, symbols) for call in calls]


def _requested(
    settings: Settings, dataset: str, symbols: Sequence[str], sources: Sequence[str]
) -> list[Series]:
    """The series that requests to some sources bring, to all where none is named."""
    return [
        s
        for s in series_of(settings, dataset, symbols)
        if (not sources or s.asked_as in sources) and not s.is_streamed
    ]


def _of_run(call: Demand, symbols: Sequence[str]) -> Demand:
    """A call with the symbols of the run in their order; one about the whole market has all of them."""
    named = tuple(s for s in symbols if s in call.symbols) or tuple(symbols)
    return replace(call, symbols=named)


@dataclass(frozen=True)
class _Want:
    """What is wanted of a dataset, and what is known about it; the arguments of :func:`to_ask`."""

    dataset: str
    window: Window
    warehouse: Warehouse
    settings: Settings
    now: datetime
    symbols: tuple[str, ...]
    sources: tuple[str, ...]

    def everything(self) -> list[Demand]:
        """One call for all of the window; where no source is left, fetching says so."""
        return [Demand(self.sources, self.symbols, self.window)]

    def new_hours(self) -> list[Demand]:
        """Calls for the hours of the window that coverage does not have."""
        wanted = _requested(self.settings, self.dataset, self.symbols, self.sources)
        if not wanted:
            return self.everything()
        lately = Window(min(self.window.start, self.now - 2 * RESTATED), self.now)
        calls = new_hours(
            self.dataset,
            self.window,
            series=wanted,
            spans=reopened(self._spans(self.window), self._unproven()),
            log=self._log(lately),
            now=self.now,
        )
        return [_of_run(call, self.symbols) for call in calls]

    def _unproven(self) -> dict[Key, list[datetime]]:
        return self.warehouse.transact(
            lambda connection: unproven_hours(connection, self.dataset, self.window)
        )

    def open_days(self) -> list[Demand]:
        """Calls for the days of the window that the log does not cover, or with hours to ask for again."""
        from regime_pipeline.providers.fetch.sources import effective_source, off_reason
        from regime_pipeline.providers.registry import ARCHIVE, SOURCES, is_left_out, sources_of

        settings, window = self.settings, self.window
        wanted = self.sources or settings.sources
        serving = [
            s
            for s in sources_of(self.dataset)
            if s in settings.sources and s in wanted and not is_left_out(settings, s)
        ]
        if not serving:
            return self.everything()
        days = window.days()
        whole = Window(days[0], days[-1] + DAY)
        log = self._log(whole)
        covered = covered_days(log, window)
        again = self._missed_days(whole, log)
        covered = {key: days - again.get(key, set()) for key, days in covered.items()}
        # that a source was off is an answer until it is on
        off = {s for s in serving if off_reason(settings, SOURCES[s]) is not None}
        skipped = log[(log["fetch_status"] == "skipped") & log["source"].isin(off)]
        covered |= covered_days(skipped.assign(fetch_status="ok"), window)
        for source in serving:  # rows carry the name of the source that really answered
            real = effective_source(settings, SOURCES[source]).name
            covered |= {(source, symbol): d for (s, symbol), d in covered.items() if s == real}
        per_symbol = bool(table(f"raw.{self.dataset}").symbol_columns)
        if ARCHIVE in serving:
            beyond = _not_in_archive(self.dataset, window, self.now)
            for symbol in self.symbols if per_symbol else (MARKET_SYMBOL,):
                covered[ARCHIVE, symbol] = covered.get((ARCHIVE, symbol), set()) | beyond
        calls = demands(
            covered, window, sources=serving, symbols=self.symbols, per_symbol=per_symbol
        )
        return sorted(calls, key=lambda call: call.sources == (ARCHIVE,))

    def _missed_days(
        self, whole: Window, log: pd.DataFrame
    ) -> dict[tuple[str, str], set[datetime]]:
        """Days with missed hours by (source, symbol), once it is long enough since the last answer.

        What the archive stands in for is open for it too.
        """
        from regime_pipeline.providers.binance.archive import ARCHIVE_FEEDS
        from regime_pipeline.providers.registry import ARCHIVE

        spans = self._spans(whole, state="missed")
        log = log[log["fetch_status"].isin(ANSWERED)]
        about = log["symbol"].astype(object).where(log["symbol"].notna(), MARKET_SYMBOL)
        stands_in = {a.source for a in ARCHIVE_FEEDS if a.feed.dataset == self.dataset}
        out: dict[tuple[str, str], set[datetime]] = {}
        for source, symbol, start, end in zip(
            *(spans[c].to_list() for c in ("source", "symbol", "start", "end")), strict=True
        ):
            days = set(Window(start, end).days())
            over = (about == symbol) & (log["window_end"] > start) & (log["window_start"] < end)
            for name in (source, ARCHIVE) if source in stands_in else (source,):
                last = log.loc[over & (log["source"] == name), "fetched_at"].max()
                if pd.isna(last) or self.now - last >= APART:
                    out.setdefault((name, symbol), set()).update(days)
        return out

    def _spans(self, window: Window, state: str | None = None) -> pd.DataFrame:
        spans = spans_of(self.warehouse, window, state=state)
        return spans[spans["dataset"] == self.dataset].reset_index(drop=True)

    def _log(self, window: Window) -> pd.DataFrame:
        return self.warehouse.transact(
            lambda connection: log_rows(connection, self.dataset, window)
        )


def _not_in_archive(dataset: str, window: Window, now: datetime) -> set[datetime]:
    """Days of a window for which no archive file can be there: too early, or not published yet."""
    from regime_pipeline.providers.binance.archive import reach

    inside = reach(dataset, window, now)
    return {
        d for d in window.days() if inside is None or d < floor_day(inside.start) or d >= inside.end
    }
