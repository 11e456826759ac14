"""Which hours of which raw series are owed: the rule of each dataset, and the series there should be.

The rules, from which ``ops.coverage`` follows:

hourly
    A row is owed for every closed hour. Of a series that several endpoints fill (positioning), the
    hour counts as stored when rows are there and all of them have answered for it; endpoints that the
    key's plan lacks are named in its reason.
daily
    A row is owed for every day; the hours of a day share what became of its row.
answers
    Events (funding prints, transfers, single liquidations, news): nobody knows how many an hour owes,
    so what is owed is an *answer* that covers the hour, with or without rows. One that comes right
    after a day's last hour settles nothing (``coverage.SETTLE``), so a day that is still running is
    asked for with the hour before it (``asking.asked_window``).

An hour without what is owed is, in this order: ``venue_had_none`` when the source answered for it often
enough and in order (``answers`` has the rule; until then it is ``missed``, with a reason, and asked for
again) and no row of the hour was refused (``missed`` too, reason ``refused: ...``);
``not_listed``, ``plan_limit`` or ``beyond_retention`` when the source refused it for good;
``source_off`` when no key or address is set; ``not_yet`` within :data:`MISSED_AFTER` after its end, of
a series that a tick asks only every few hours (:attr:`Series.every`) that much longer;
``beyond_retention`` when it is older than the source keeps or is asked for; else ``missed``, by the
class of the failure or because nobody asked. A series is owed from the first hour that was ever asked
of it, and every series that can be asked for :data:`OWED_DAYS` days back.

Forward-only series (:func:`is_forward_only`: ``Dataset.forward_only`` and feeds that tell
the present only) have ``forward_only`` in place of ``venue_had_none``, ``beyond_retention`` and
``missed``: what was not recorded while it happened is gone, and nothing asks for it again.

Does not belong here: arithmetic over hours (``hours``), tables (``store``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.datasets import DATASETS, MARKET_SYMBOL, Expected
from regime_pipeline.settings import Settings
from regime_pipeline.windows import HOUR

if TYPE_CHECKING:
    from regime_pipeline.providers.source import Feed, Source

OWED_DAYS = 3
"""How far back a series that was never asked for is owed."""
KEPT_DAYS = 31
"""How far back missed hours are asked for again by themselves; older ones need a backfill."""


@dataclass(frozen=True)
class Series:
    """One raw series that is configured.

    Attributes:
        asked_as: name of the source in the settings, which may differ from the one in its rows.
        rule: ``hourly``, ``daily`` or ``answers``.
        needs_answer: rows alone do not make an hour stored: several endpoints fill the series.
        horizon: how far back it can be asked for; None: all of it.
        limit: the reason of hours before the horizon.
        off: why it cannot be asked now; None: it can.
        by_coin: one request tells all symbols.
        every: how often an hourly tick asks it, see ``Dataset.others_every``.
        is_regular: its events follow each other within a day.
        is_streamed: only the live collector brings it, no request does.
        answers_once: a recording answers, which says the same however often it is asked.
    """

    source: str
    venue: str
    market: str
    symbol: str
    asked_as: str = ""
    rule: Expected = Expected.HOURLY
    needs_answer: bool = False
    horizon: timedelta | None = None
    limit: str = ""
    is_forward_only: bool = False
    off: str | None = None
    by_coin: bool = False
    every: timedelta = HOUR
    answers_once: bool = False
    is_regular: bool = False
    is_streamed: bool = False

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from the dataset's other series."""
        return self.source, self.venue, self.market, self.symbol


def is_forward_only(dataset: str, feeds: Iterable[Feed]) -> bool:
    """Whether a series made of these feeds can only be collected as time goes."""
    found = list(feeds)
    if DATASETS[dataset].forward_only is not None:
        return not all(f.files for f in found)
    return all(f.snapshot or f.live_only for f in found)


def series_of(settings: Settings, dataset: str, symbols: Sequence[str]) -> list[Series]:
    """The series of a dataset that the settings ask for, keys unique, in order of their keys.

    Args:
        settings: sources, keys, addresses, venues.
        dataset: raw table without its schema.
        symbols: canonical symbols.
    """
    from regime_pipeline.providers.fetch.sources import effective_source, not_asked, off_reason
    from regime_pipeline.providers.fetch.stream import NO_SERIES
    from regime_pipeline.providers.registry import ARCHIVE, SOURCES, is_left_out, sources_of

    found: dict[tuple[str, str, str, str], Series] = {}
    for name in sources_of(dataset):
        if name not in settings.sources or name == ARCHIVE or is_left_out(settings, name):
            continue
        real = effective_source(settings, SOURCES[name])
        off = off_reason(settings, SOURCES[name])
        groups: dict[tuple[str, str], list[Feed]] = {}
        for feed in real.feeds:
            if feed.dataset == dataset and feed.part not in NO_SERIES:
                groups.setdefault((feed.venue, feed.market), []).append(feed)
        for (venue, market), feeds in groups.items():
            made = _described(settings, dataset, feeds)
            left = [not_asked(settings, f) for f in feeds]
            why = off or (left[0] if all(left) else None)
            for symbol in _symbols(settings, dataset, feeds, symbols):
                series = Series(
                    real.name, venue, market, symbol, asked_as=name, off=_plain(why),
                    every=_asked_every(settings, dataset, real, feeds, symbol), **made,
                )  # fmt: skip
                found.setdefault(series.key, series)
    for series in _streamed(settings, dataset, symbols):
        found.setdefault(series.key, series)
    return _with_stand_ins([found[key] for key in sorted(found)])


def _streamed(settings: Settings, dataset: str, symbols: Sequence[str]) -> Iterator[Series]:
    """The series that only the live collector brings, where it is asked to."""
    from regime_pipeline.providers.registry import SOURCES

    for name in settings.collected:
        source = SOURCES[name]
        for feed in source.streamed:
            if feed.dataset == dataset and feed.is_only_streamed:
                for symbol in symbols:
                    yield Series(
                        name, feed.venue, feed.market, symbol, asked_as=name,
                        rule=DATASETS[dataset].expected, is_forward_only=True, is_streamed=True,
                    )  # fmt: skip


def _asked_every(
    settings: Settings, dataset: str, source: Source, feeds: Sequence[Feed], symbol: str
) -> timedelta:
    from regime_pipeline.providers.fetch.tiers import is_read

    item = DATASETS[dataset]
    if item.others_every is None or is_forward_only(dataset, feeds):
        return HOUR
    read = any(is_read(item, settings, source, feed, symbol) for feed in feeds)
    return HOUR if read else item.others_every


def _with_stand_ins(series: list[Series]) -> list[Series]:
    """Where none that is asked each hour can be asked, all others are."""
    served = {(s.market, s.symbol) for s in series if s.every == HOUR and s.off is None}
    return [s if (s.market, s.symbol) in served else replace(s, every=HOUR) for s in series]


def _described(settings: Settings, dataset: str, feeds: Sequence[Feed]) -> dict[str, Any]:
    """What all symbols of a source, venue and market have in common."""
    horizon, limit = _horizon(settings, dataset, feeds)
    item = DATASETS[dataset]
    hourly = all(f.bucketed or f.snapshot for f in feeds)
    return {
        "rule": Expected.HOURLY if hourly else item.expected,
        "needs_answer": item.several_endpoints or len({f.kind for f in feeds}) > 1,
        "horizon": horizon,
        "limit": limit,
        "is_forward_only": is_forward_only(dataset, feeds),
        "by_coin": all(f.tells_all for f in feeds),
        "is_regular": item.slo is not None,
        "answers_once": settings.origin == "tape",
    }


def _horizon(
    settings: Settings, dataset: str, feeds: Sequence[Feed]
) -> tuple[timedelta | None, str]:
    """How far back the feeds reach together, and the words for what is older."""
    forward = DATASETS[dataset].forward_only is not None
    reaches: list[tuple[timedelta, str]] = []
    for feed in feeds:
        near = feed.reach or (feed.newest or timedelta(0) if forward and not feed.files else None)
        if near is not None and settings.origin == "tape":
            reaches.append(
                (timedelta(0), "serves the newest hours only, and a replay asks for none")
            )
        elif near is not None:
            reaches.append((near, f"only the newest {_span(near)} are asked for"))
        elif feed.retention is not None and settings.origin == "live":
            reaches.append((feed.retention, f"the provider keeps {_span(feed.retention)}"))
        else:
            return None, ""
    return max(reaches, key=lambda r: r[0])


def _span(length: timedelta) -> str:
    days, hours = length / timedelta(days=1), length / HOUR
    return f"{days:g} days" if days >= 2 else f"{hours:g} h"


def _symbols(
    settings: Settings, dataset: str, feeds: Sequence[Feed], symbols: Sequence[str]
) -> Sequence[str]:
    """The symbols that a source has series of."""
    if not TABLES[f"raw.{dataset}"].symbol_columns:
        return (MARKET_SYMBOL,)
    if any(f.tells_all for f in feeds):
        return symbols
    if not any(f.per_symbol for f in feeds):
        return (MARKET_SYMBOL,)
    symbols = [s for s in symbols if any(f.is_about(s) for f in feeds)]
    if not all(f.only_primary for f in feeds):
        return symbols
    home = settings.spot_venue_of if feeds[0].market == "spot" else settings.perp_venue_of
    return [s for s in symbols if home(s) == feeds[0].venue]


def _plain(off: str | None) -> str | None:
    return None if off is None else off.removeprefix("off: ")
