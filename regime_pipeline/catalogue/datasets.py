"""Raw datasets: one row each with everything that is a property of the dataset itself.

Belongs here: what a row of ``raw.<name>`` is in time, when it can be known, when it is expected, when
it is stale, whose value is the primary one. Lists of datasets elsewhere are read from these rows. Does
not belong here: columns (``tables.raw``), which provider serves what and how far back (``providers``),
a limit that a user can set (``settings``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from types import MappingProxyType

from regime_pipeline.windows import DAY, HOUR

MARKET_SYMBOL = "*"
"""Symbol of a row, or of a series, about the whole market in a dataset whose rows have symbols."""
MISSED_AFTER = 2 * HOUR
"""Grace for asking: an expected hour without a row counts as missed, and is asked for again, this long
after its end. Until then the next hourly tick brings it by itself."""
FLAGGED_AFTER = HOUR
"""Grace for judging: the completeness of a day (DQ03) counts an hour this long after its end. Shorter
than :data:`MISSED_AFTER`: a report about a day should show a hole before anybody acts on it, and
changes by itself once the row is there."""


class RowKind(StrEnum):
    """What the ``ts`` of a row means."""

    BUCKET = "bucket"  # start of a span of `length` that the row sums up or closes
    INSTANT = "instant"  # the instant or the hour that the value is about
    EVENT = "event"  # when one thing happened; nobody knows how many there should be
    SNAPSHOT = "snapshot"  # when we looked; the provider has only the present


class Expected(StrEnum):
    """What coverage expects of every hour of a series."""

    HOURLY = "hourly"  # a row for every closed hour
    DAILY = "daily"  # a row for every day; its hours share what became of it
    ANSWERS = "answers"  # an answer that covers the hour, with or without rows


class Form(StrEnum):
    """How the rows of a dataset are made of what a provider reports."""

    REPORTED = "reported"  # one row for one reported row
    SAMPLED = "sampled"  # stamped with the instant of sampling
    SUMMED = "summed"  # single trades summed over whole hours
    DIGESTED = "digested"  # single events, told apart by a digest of their content


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """Where a ``ts`` may stand.

    Attributes:
        step: distance of two grid points, counted from midnight UTC.
        reason: why a row off the grid is refused.
        tolerance: how far off a ``ts`` may be.
        rounded: providers' stamps are some milliseconds off, so they are rounded to the minute first.
    """

    step: timedelta
    reason: str
    tolerance: timedelta = timedelta(0)
    rounded: bool = False


HOURLY_GRID = TimeGrid(HOUR, "ts: not on the hourly grid")
SETTLEMENT_GRID = TimeGrid(
    HOUR, "ts: more than a minute off a full hour", timedelta(minutes=1), rounded=True
)
DAILY_GRID = TimeGrid(DAY, "ts: not a UTC midnight")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One raw dataset.

    Attributes:
        name: raw table without its schema.
        kind: what ``ts`` means.
        expected: what coverage expects of every hour. A feed of hourly buckets or snapshots is
            ``hourly`` whatever its dataset.
        length: of a bucket; zero for everything else.
        delay: time from the end of a row's bucket (or from its ``ts``) to its publication.
        grid: where ``ts`` may stand; None: anywhere.
        form: how rows are made of what is reported.
        slo: data fails its readers (DQ15) when a series' newest row is older than this at its end;
            None: no promise is made.
        reported_within: a provider that has just answered is called stale by the doctor when its
            newest row's ``ts`` is older than this.
        is_continuous: a living series has a value in every hour by its nature (a price, a level), so
            that DQ03 counts hours without a row. Where an hour without any trade, closure or sample is
            possible, coverage tells what became of it and DQ03 says nothing.
        is_judged: quality checks look at it. Not where rows are another service's estimates, which
            nothing of ours is computed from, nor days and option chains, of which the checks have no rule.
        forward_only: why the past cannot be asked for, as coverage says it; None: it can.
        is_optional: nobody configured to serve it is no failure.
        wanted_where: field of the settings and the value that it must have for anything to be made of
            the dataset; with another one it is not asked for.
        by_venue: every venue has a series of its own, and the primary one is that of the venue which
            the settings put behind a symbol.
        is_relayed: an aggregator only passes on what venues report themselves, so it is never primary.
        markets: market types of its series.
        several_endpoints: rows of one series come from several endpoints, so that rows alone do not
            make an hour complete.
        primary: the primary provider where that is no matter of settings.
        primary_settings: fields of the settings that name the providers which derived series are made
            of; the first names the primary one. A mapping there is by the feed's kind where rows name
            one, else by symbol.
        primary_venue_setting: field of the settings that names the primary venue instead of the one
            behind the symbol.
        second_venue_setting: field of the settings that names a further venue which derived series read.
        others_every: how often an hourly tick asks series that nothing is computed from (other venues,
            relays); None: each time. Each answer reaches back over every hour since the one before, and
            where the series that is read lacks an hour they are asked at once, so that no hour is given
            up. Prices of all venues are read by the checks that hold them against each other.
        by_kind: rows name the kind and the scope of their feed.
        is_price: rows are prices on which sources must agree.
        magnitudes: columns whose order of magnitude is watched.
    """

    name: str
    kind: RowKind
    expected: Expected = Expected.HOURLY
    length: timedelta = timedelta(0)
    delay: timedelta = timedelta(0)
    grid: TimeGrid | None = None
    form: Form = Form.REPORTED
    slo: timedelta | None = None
    reported_within: timedelta = 6 * HOUR
    is_continuous: bool = False
    is_judged: bool = True
    forward_only: str | None = None
    is_optional: bool = False
    wanted_where: tuple[str, str] | None = None
    by_venue: bool = False
    is_relayed: bool = False
    markets: tuple[str, ...] = ()
    several_endpoints: bool = False
    primary: str | None = None
    primary_settings: tuple[str, ...] = ()
    primary_venue_setting: str | None = None
    second_venue_setting: str | None = None
    others_every: timedelta | None = None
    by_kind: bool = False
    is_price: bool = False
    magnitudes: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """``raw.<name>``."""
        return f"raw.{self.name}"

    @property
    def is_bucketed(self) -> bool:
        """Whether rows are buckets, which do not exist before their end."""
        return self.kind is RowKind.BUCKET

    @property
    def lag(self) -> timedelta:
        """Declared time from a row's ``ts`` to when it can be known."""
        return self.length + self.delay

    @property
    def is_watched(self) -> bool:
        """Whether stored rows are looked at for what contradicts itself."""
        return self.is_price or bool(self.magnitudes)

    @property
    def silent_days(self) -> int:
        """Days after its last row in which a series that fell silent is still known to the checks."""
        return 7 if self.expected is Expected.DAILY else 2


_OTHERS = 12 * HOUR
"""Twice a day: with eight symbols and every source on, an hourly tick makes 200 requests at most."""
_bucket = partial(Dataset, kind=RowKind.BUCKET, length=HOUR, grid=HOURLY_GRID)
_FIVE_MINUTES = timedelta(minutes=5)
_PERP = ("perp",)

_ALL = (
    _bucket(
        name="candles",
        slo=2 * HOUR,
        is_continuous=True,
        by_venue=True,
        is_relayed=True,
        markets=("spot", "perp"),
        is_price=True,
        others_every=_OTHERS,
    ),
    Dataset(
        name="funding_rates",
        kind=RowKind.INSTANT,
        expected=Expected.ANSWERS,
        grid=SETTLEMENT_GRID,
        slo=9 * HOUR,
        reported_within=9 * HOUR,
        by_venue=True,
        markets=_PERP,
        others_every=_OTHERS,
        magnitudes=("funding_rate",),
    ),
    Dataset(
        name="funding_predictions",
        kind=RowKind.SNAPSHOT,
        is_judged=False,
        forward_only="forward only: an estimate is gone once its rate is settled",
        by_venue=True,
        markets=_PERP,
    ),
    _bucket(
        name="open_interest",
        delay=_FIVE_MINUTES,
        slo=3 * HOUR,
        is_continuous=True,
        by_venue=True,
        markets=_PERP,
        primary_settings=("open_interest_sources", "quiet_hours_source"),
        second_venue_setting="liquidation_venue",
        others_every=_OTHERS,
        magnitudes=("open_interest_base", "open_interest_usd"),
    ),
    _bucket(
        name="positioning",
        delay=_FIVE_MINUTES,
        slo=3 * HOUR,
        is_continuous=True,
        by_venue=True,
        is_relayed=True,
        markets=_PERP,
        several_endpoints=True,
        others_every=_OTHERS,
    ),
    _bucket(
        name="liquidations",
        delay=_FIVE_MINUTES,
        slo=6 * HOUR,
        by_venue=True,
        markets=_PERP,
        primary_settings=("liquidation_source",),
        primary_venue_setting="liquidation_venue",
        others_every=_OTHERS,
    ),
    Dataset(
        name="fear_greed",
        kind=RowKind.INSTANT,
        expected=Expected.DAILY,
        delay=HOUR,
        grid=DAILY_GRID,
        # readers can do without one day's index; a provider that answers has today's
        slo=48 * HOUR,
        reported_within=27 * HOUR,
        primary="alternative_me",
    ),
    Dataset(
        name="derivatives_1d",
        kind=RowKind.BUCKET,
        expected=Expected.DAILY,
        length=DAY,
        delay=_FIVE_MINUTES,
        grid=DAILY_GRID,
        reported_within=51 * HOUR,
        is_judged=False,
        is_optional=True,
        wanted_where=("factor_interval", "1d"),
        markets=_PERP,
        several_endpoints=True,
        primary="coinglass",
    ),
    Dataset(
        name="order_book",
        kind=RowKind.SNAPSHOT,
        form=Form.SAMPLED,
        slo=HOUR,
        forward_only="forward only: a venue sells no book of the past",
    ),
    _bucket(
        name="trade_flow",
        form=Form.SUMMED,
        slo=2 * HOUR,
        forward_only="forward only: single trades are asked for the newest 3 hours",
    ),
    Dataset(
        name="liquidation_events",
        kind=RowKind.EVENT,
        expected=Expected.ANSWERS,
        form=Form.DIGESTED,
        forward_only="forward only: a venue keeps forced closures for a day at most",
    ),
    Dataset(
        name="sentiment",
        kind=RowKind.EVENT,
        expected=Expected.ANSWERS,
        delay=_FIVE_MINUTES,
        is_optional=True,
        primary_settings=("sentiment_source_by_kind",),
        others_every=_OTHERS,
        by_kind=True,
    ),
    Dataset(
        name="whale_transfers",
        kind=RowKind.EVENT,
        expected=Expected.ANSWERS,
        delay=timedelta(minutes=10),
        is_optional=True,
        primary_settings=("whale_source",),
        others_every=_OTHERS,
    ),
    _bucket(
        name="reference_prices",
        delay=_FIVE_MINUTES,
        slo=3 * HOUR,
        is_continuous=True,
        is_optional=True,
    ),
    _bucket(
        name="volatility_index",
        slo=3 * HOUR,
        is_continuous=True,
        is_optional=True,
        primary="deribit",
    ),
    Dataset(
        name="option_chain",
        kind=RowKind.SNAPSHOT,
        is_judged=False,
        is_optional=True,
        forward_only="forward only: a venue shows no option chain of the past",
        primary="deribit",
    ),
    Dataset(
        name="coin_markets",
        kind=RowKind.SNAPSHOT,
        is_optional=True,
        primary="coinglass",
    ),
    Dataset(
        name="instruments",
        kind=RowKind.SNAPSHOT,
        is_judged=False,
        forward_only="forward only: a venue shows the list of now",
        by_venue=True,
        markets=_PERP,
    ),
    Dataset(
        name="liquidation_levels",
        kind=RowKind.SNAPSHOT,
        is_judged=False,
        is_optional=True,
        wanted_where=("liquidation_levels", "map"),
        markets=_PERP,
        primary="coinglass",
    ),
    Dataset(
        name="dashboard_signals",
        kind=RowKind.SNAPSHOT,
        delay=_FIVE_MINUTES,
        is_judged=False,
        is_optional=True,
    ),
)

DATASETS: Mapping[str, Dataset] = MappingProxyType({item.name: item for item in _ALL})
"""Every raw dataset that is asked for, by name, in the order of the tables."""
BY_TABLE: Mapping[str, Dataset] = MappingProxyType({item.table: item for item in _ALL})
"""The same by ``raw.<name>``. A raw table that is not here is filled from files."""


def dataset(name: str) -> Dataset:
    """The dataset called ``name``.

    Raises:
        ValueError: there is no such dataset.
    """
    try:
        return DATASETS[name]
    except KeyError:
        raise ValueError(f"unknown dataset {name!r}; there are {', '.join(DATASETS)}") from None


STREAM_CLASSES = ("complete", "sampled", "partial")
"""What a venue may send of the events of a stream: each one, at most one a second, or a part of them."""
_NOT_COMPLETE = MappingProxyType(
    {
        ("liquidations", "binance"): "sampled",
        ("liquidation_events", "binance"): "sampled",
        ("liquidations", "okx"): "partial",
        ("liquidation_events", "okx"): "partial",
    }
)


def stream_class(name: str, venue: str) -> str:
    """What a venue sends of a dataset's events over its streams; one of :data:`STREAM_CLASSES`."""
    return _NOT_COMPLETE.get((name, venue), "complete")
