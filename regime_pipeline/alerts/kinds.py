"""Event types: one row each, and everything that differs between them stands in that row.

Belongs here: which table a type is announced in, what is read and told of its rows, the wording, how
long the news is worth sending, the environment variable of its receivers. Does not belong here: when
something happened (the features decide that, in their event columns), identities (``events``), formats
of channels (``channels``).

A further event type is a row of :data:`MARKET` and a scenario in ``evaluation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from regime_pipeline.catalogue.fields.features import VOL_REGIMES

Row = dict[str, Any]
"""One row of a derived table as plain Python values, null as None."""

ALL_VARIABLE = "WEBHOOKS_ALL"
"""Environment variable of the receivers that get every event, system events among them."""

BACKFILL = "backfill"
"""Why an event of a backfill or a replay is not sent."""


@dataclass(frozen=True)
class EventType:
    """What all code knows of a type of event.

    Attributes:
        name: value of ``event_type``.
        deliver_before: how long after ``known_at`` the news is worth a message; then it expires.
        variable: environment variable with the receivers of this type; None: only those of
            :data:`ALL_VARIABLE`.
        quiet: severities that are stored and by default not sent.
        all_clear: kinds that end what was sent, and are sent whatever their severity.
    """

    name: str
    deliver_before: timedelta
    variable: str | None = None
    quiet: frozenset[str] = frozenset()
    all_clear: frozenset[str] = frozenset()

    def is_sent(self, severity: str, kind: str | None = None) -> bool:
        """Whether the default routing sends an event of this severity and kind."""
        return severity not in self.quiet or kind in self.all_clear


@dataclass(frozen=True, kw_only=True)
class MarketEvent(EventType):
    """A type that rows of a derived table announce.

    Attributes:
        table: the derived table.
        words: level and title of a row's event.
        details: columns whose values go along with the event.
        read: further columns that ``words`` looks at.
        lookback: history before the announcing row that is read.
        flag: boolean column that announces a single change; None: the row's ``event_kind`` does, and
            its ordinal, severity and episode are in the ``event_*`` columns.
        severity: severity where the row has none of its own.
        delay: from ``ts`` to when the row can be known; a bar must close first, a print need not.
        false_alarms: detector of ``alerts.false_alarms`` whose first rate is told of what
            is sent of this type.
        state: column that names the state of a row; what it was before is told.
        size: column that is compared with its median of the month before; None: nothing is.
        mart: mart that shows the announcing rows by symbol and hour, so that what followed on them can
            be asked; None: none does.
    """

    table: str
    words: Callable[[Row], tuple[str, str]]
    details: tuple[str, ...]
    read: tuple[str, ...] = ()
    lookback: str = "0h"
    flag: str | None = None
    severity: str | None = None
    delay: timedelta = timedelta(hours=1)
    false_alarms: str
    state: str
    size: str | None = None
    mart: str | None = None

    @property
    def announcing(self) -> tuple[str, ...]:
        """Columns that say whether and how a row announces."""
        if self.flag is not None:
            return (self.flag,)
        return ("event_kind", "event_ordinal", "event_severity", "episode_start")


WICK = 3.0
"""A range volatility this many times as unusual as that of the closes is the work of a wick: prices that
stood for a moment, perhaps of one trade."""

# --- wording --------------------------------------------------------------------------------------


def _cascade(row: Row) -> tuple[str, str]:
    level = row["severity_pct"]
    if row["event_kind"] == "end":
        title = f"{row['symbol']} liquidation cascade over"
    else:
        grows = " grows" if row["event_kind"] == "escalation" else ""
        parts = [f"{_money(row['total_liquidation_usd'])} in 1 h"]
        if row["long_share_frac"] is not None:
            parts.append(_side(row["long_share_frac"]))
        parts.append(f"severity {level}/5")
        title = f"{row['symbol']} liquidation cascade{grows}: {', '.join(parts)}"
    return "none" if level is None else str(level), title


def _funding_anomaly(row: Row) -> tuple[str, str]:
    level = str(row["extreme_level"])
    now = "now " if row["event_kind"] == "escalation" else ""
    degree = "extremely" if level.startswith("EXTREME") else "unusually"
    side = "high, longs crowded" if row["z_score"] > 0 else "low, shorts crowded"
    return level, f"{row['symbol']} funding {now}{degree} {side}: {_rate(row)}"


def _funding_reversal(row: Row) -> tuple[str, str]:
    # the sign was judged against the lagged median, so the ended run lay on the other side of it
    was_high = row["rate_8h"] < row["median_rate_8h"]
    return str(row["extreme_level"]), (
        f"{row['symbol']} funding turned {'down' if was_high else 'up'} after unusually "
        f"{'high' if was_high else 'low'} prints since {_when(row['reversal_run_start'])}: "
        f"{_rate(row)}"
    )


def _volatility(row: Row) -> tuple[str, str]:
    level, before = str(row["vol_regime_confirmed"]), row["vol_regime_from"]
    ratio, volatility, usual = row["vol_ratio_gk"], row["volatility_24h_gk"], "median"
    wick = ratio is not None and row["vol_ratio"] is not None and ratio > WICK * row["vol_ratio"]
    if wick:
        ratio, volatility, usual = row["vol_ratio"], row["volatility_24h"], "mean close to close"
    numbers = []
    if ratio is not None:
        numbers.append(f"{ratio:.1f} x its 30-day {usual}")
    if volatility is not None:
        numbers.append(f"{100 * volatility:.1f} % in 24 h")
    way = f"{row['symbol']} volatility {level}"
    if before == level:
        way += " again"
    elif before is not None:
        is_up = VOL_REGIMES.index(level) > VOL_REGIMES.index(before)
        way += f", {'up' if is_up else 'down'} from {before}"
    if wick:
        way += ", a wick"
    return level, way + (f": {', '.join(numbers)}" if numbers else "")


def _correlation(row: Row) -> tuple[str, str]:
    words = f"{row['symbol_a']} and {row['symbol_b']}"
    now, base = row["corr_7d"], row["corr_30d_base"]
    if row["event_kind"] == "end":
        lasted = "" if row["duration_hours"] is None else f" after {row['duration_hours']} h"
        back = "" if now is None else f", back at {now:.2f}"
        return "ended", f"{words}: correlation break over{lasted}{back}"
    moved = "" if now is None or base is None else f", {base:.2f} over 30 d, {now:.2f} over 7 d"
    deeper = " deepens" if row["event_kind"] == "escalation" else ""
    level = str(row["break_severity"])
    return level, f"{words}: correlation break{deeper} ({level}){moved}"


def _regime(row: Row) -> tuple[str, str]:
    level = str(row["primary_regime"])
    count, frames = row["agreement_count"], row["frames_available"]
    agree = "" if count is None or frames is None else f": {count} of {frames} timeframes agree"
    return level, f"{row['symbol']} regime confirmed {level.removeprefix('SPOT_')}{agree}"


def _when(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _rate(row: Row) -> str:
    return f"{100 * row['rate_8h']:+.4f} % per 8 h, z {row['z_score']:+.1f}"


def _side(long_share: float) -> str:
    """The larger side in percent, as ``86 % longs``."""
    longs = long_share >= 0.5
    return (
        f"{100 * (long_share if longs else 1 - long_share):.0f} % {'longs' if longs else 'shorts'}"
    )


def _money(usd: float) -> str:
    for size, unit, digits in ((1e9, "B", 2), (1e6, "M", 1), (1e3, "k", 0)):
        # compare what would be printed, so that 999,960 reads $1.0M and not $1000k
        if round(usd / size, digits) >= 1:
            return f"${usd / size:.{digits}f}{unit}"
    return f"${usd:.0f}"


# --- the types ------------------------------------------------------------------------------------

_FUNDING_DETAILS = (
    "funding_rate",
    "interval_hours",
    "rate_8h",
    "rate_annual",
    "z_score",
    "z_robust",
    "median_rate_8h",
    "pctl_365d",
    "extreme_level",
    "persistence_score",
    "n_obs",
)

MARKET: tuple[MarketEvent, ...] = (
    MarketEvent(
        name="LIQUIDATION_CASCADE",
        table="features.liquidation_cascades",
        words=_cascade,
        details=(
            "total_liquidation_usd",
            "long_liquidations_usd",
            "short_liquidations_usd",
            "velocity_usd_per_hour",
            "severity",
            "severity_pct",
            "liq_to_oi_bps",
            "long_share_frac",
            "dominance",
            "coverage",
            "is_lower_bound",
        ),
        deliver_before=timedelta(hours=2),
        variable="WEBHOOKS_CASCADE",
        false_alarms="LIQUIDATION_CASCADE",
        state="severity_pct",
        size="total_liquidation_usd",
        mart="cascades_1h",
    ),
    MarketEvent(
        name="FUNDING_ANOMALY",
        table="features.funding_prints",
        words=_funding_anomaly,
        details=_FUNDING_DETAILS,
        delay=timedelta(0),
        deliver_before=timedelta(hours=8),
        variable="WEBHOOKS_FUNDING",
        false_alarms="FUNDING_ANOMALY",
        state="extreme_level",
        size="rate_8h",
        mart="funding_prints_1h",
    ),
    MarketEvent(
        name="FUNDING_REVERSAL",
        table="features.funding_prints",
        words=_funding_reversal,
        details=(*_FUNDING_DETAILS, "reversal_run_start"),
        flag="is_reversal",
        severity="INFO",
        delay=timedelta(0),
        deliver_before=timedelta(hours=8),
        variable="WEBHOOKS_FUNDING",
        false_alarms="FUNDING_REVERSAL",
        state="extreme_level",
        size="rate_8h",
        mart="funding_prints_1h",
    ),
    MarketEvent(
        name="VOLATILITY_REGIME_CHANGE",
        table="features.volatility_regimes",
        words=_volatility,
        details=(
            "vol_regime_confirmed",
            "vol_regime_from",
            "risk_multiplier_confirmed",
            "vol_ratio_gk",
            "volatility_24h_gk",
            "volatility_median_gk",
            "vol_ratio",
            "volatility_24h",
            "vol_regime",
        ),
        deliver_before=timedelta(hours=3),
        variable="WEBHOOKS_VOLATILITY",
        quiet=frozenset({"INFO"}),
        all_clear=frozenset({"calming"}),
        false_alarms="VOLATILITY_REGIME_CHANGE/delivered",
        state="vol_regime_confirmed",
        size="volatility_24h",
        mart="volatility_1h",
    ),
    MarketEvent(
        name="CORRELATION_BREAK",
        table="correlation.correlation_breaks",
        words=_correlation,
        details=(
            "corr_7d",
            "corr_30d_base",
            "rel_drop",
            "p_break",
            "break_kind",
            "break_severity",
            "duration_hours",
        ),
        deliver_before=timedelta(hours=6),
        variable="WEBHOOKS_CORRELATION",
        quiet=frozenset({"INFO"}),
        false_alarms="CORRELATION_BREAK",
        state="break_severity",
    ),
    MarketEvent(
        name="REGIME_CONFIRMED",
        table="regimes.timeframe_regimes",
        words=_regime,
        details=(
            "primary_regime",
            "regime_1h",
            "regime_4h",
            "regime_1d",
            "regime_1w",
            "agreement_count",
            "compatible_count",
            "agreement_score",
            "confidence",
            "cooling_kind",
        ),
        read=("frames_available",),
        deliver_before=timedelta(hours=6),
        variable="WEBHOOKS_REGIME",
        false_alarms="REGIME_CONFIRMED",
        state="primary_regime",
        mart="regimes_1h",
    ),
)
"""Types of market events, in the order in which a row that announces several is told."""

_DAY = timedelta(hours=24)
SYSTEM = EventType("SYSTEM", deliver_before=_DAY)
"""Operational events of no type of their own; a receiver of this type gets every operational event."""
RUN_FAILED = EventType("RUN_FAILED", deliver_before=_DAY)
SOURCE_REFUSES = EventType("SOURCE_REFUSES", deliver_before=_DAY)
REPLY_CHANGED = EventType("REPLY_CHANGED", deliver_before=_DAY)
REPLY_SUSPECT = EventType("REPLY_SUSPECT", deliver_before=_DAY)
RECEIVER_GONE = EventType("RECEIVER_GONE", deliver_before=_DAY)
STOPPED = EventType("STOPPED", deliver_before=_DAY)
SOURCE_STALE = EventType("SOURCE_STALE", deliver_before=_DAY)
COVERAGE_LOW = EventType("COVERAGE_LOW", deliver_before=_DAY)
DATA_BLOCKED = EventType("DATA_BLOCKED", deliver_before=_DAY)
DATA_DRIFT = EventType("DATA_DRIFT", deliver_before=_DAY)
SENSOR_SILENT = EventType("SENSOR_SILENT", deliver_before=_DAY)
RESOURCES_LOW = EventType("RESOURCES_LOW", deliver_before=_DAY)
COLLECTOR_DOWN = EventType("COLLECTOR_DOWN", deliver_before=_DAY)

OPERATIONAL: Mapping[str, EventType] = {
    t.name: t
    for t in (
        SYSTEM,
        RUN_FAILED,
        SOURCE_REFUSES,
        REPLY_CHANGED,
        REPLY_SUSPECT,
        RECEIVER_GONE,
        STOPPED,
        SOURCE_STALE,
        COVERAGE_LOW,
        DATA_BLOCKED,
        DATA_DRIFT,
        SENSOR_SILENT,
        RESOURCES_LOW,
        COLLECTOR_DOWN,
    )
}
"""Types of operational events by name."""

TYPES: Mapping[str, EventType] = {**{t.name: t for t in MARKET}, **OPERATIONAL}
"""Every type by name."""

VARIABLES: Mapping[str, tuple[str, ...] | None] = {
    ALL_VARIABLE: None,
    **{
        variable: tuple(t.name for t in MARKET if t.variable == variable)
        for variable in dict.fromkeys(t.variable for t in MARKET if t.variable)
    },
}
"""Environment variables with receivers, and the event types that each is for; None: all."""
