"""Market events from the rows of the derived tables: a pure mapping, one row per announcement.

Belongs here: the identity, severity, wording and default routing of events. Does not belong here:
deciding *that* something happened (the features' state machines do, in their event columns), the
outbox and delivery.

An event is identified by what it is, never by when it was found: the same announcement always gets
the same ``event_id``, so writing it twice changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pandas as pd

from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table

METHOD = "events/1"

LOOKBACK: dict[str, str] = {
    "features.liquidation_cascades": "0h",
    "features.funding_prints": "0h",
    "features.volatility_regimes": "0h",
    "correlation.correlation_breaks": "0h",
    "regimes.timeframe_regimes": "0h",
}
"""Every event comes from one row; nothing before it is read."""

DELIVER_BEFORE: dict[str, timedelta] = {
    "LIQUIDATION_CASCADE": timedelta(hours=2),
    "FUNDING_ANOMALY": timedelta(hours=8),
    "FUNDING_REVERSAL": timedelta(hours=8),
    "VOLATILITY_REGIME_CHANGE": timedelta(hours=3),
    "CORRELATION_BREAK": timedelta(hours=6),
    "REGIME_CONFIRMED": timedelta(hours=6),
}
"""How long after ``known_at`` the news is still worth a message; after that it expires."""

QUIET_WHEN_INFO = frozenset({"VOLATILITY_REGIME_CHANGE", "CORRELATION_BREAK"})
"""Event types whose INFO events are stored but not sent by default."""

Row = dict[str, Any]

_HOUR = pd.Timedelta(hours=1)
_CASCADE_DETAILS = (
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
)
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
_VOLATILITY_DETAILS = (
    "vol_regime_confirmed",
    "risk_multiplier_confirmed",
    "vol_ratio_gk",
    "volatility_24h_gk",
    "volatility_median_gk",
    "vol_ratio",
    "volatility_24h",
    "vol_regime",
)
_CORRELATION_DETAILS = (
    "corr_7d",
    "corr_30d_base",
    "rel_drop",
    "p_break",
    "break_kind",
    "break_severity",
    "duration_hours",
)
_REGIME_DETAILS = (
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
)


def should_deliver(event: Mapping[str, Any]) -> bool:
    """Whether the default routing sends an event: everything but minor volatility and break news."""
    return not (event["alert_severity"] == "INFO" and event["event_type"] in QUIET_WHEN_INFO)


def event_id(
    event_type: str,
    instrument: str,
    episode_start: pd.Timestamp,
    kind: str,
    ordinal: int,
    level: str,
    method_version: str,
) -> str:
    """The identity of an event: sha256 (hex) over its naming parts as a canonical JSON list."""
    parts = [
        event_type,
        instrument,
        _iso(episode_start),
        kind,
        int(ordinal),
        level,
        method_version,
    ]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def market_events(
    *,
    liquidation_cascades: pd.DataFrame,
    funding_prints: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    correlation_breaks: pd.DataFrame,
    timeframe_regimes: pd.DataFrame,
) -> pd.DataFrame:
    """The rows of ``alerts.market_events`` that the given derived rows announce.

    Args:
        liquidation_cascades: rows of ``features.liquidation_cascades``.
        funding_prints: rows of ``features.funding_prints``; a print can announce an anomaly and the
            reversal of the run before it.
        volatility_regimes: rows of ``features.volatility_regimes``.
        correlation_breaks: rows of ``correlation.correlation_breaks``.
        timeframe_regimes: rows of ``regimes.timeframe_regimes``.

    Returns:
        Content columns of ``alerts.market_events`` sorted by its key. Any input may be empty.
    """
    rows = [
        *_announced(liquidation_cascades, _cascade),
        *_announced(funding_prints, _funding_anomaly),
        *_reversals(funding_prints),
        *_announced(volatility_regimes, _volatility),
        *_announced(correlation_breaks, _correlation),
        *_announced(timeframe_regimes, _regime),
    ]
    target = table("alerts.market_events")
    columns = list(target.content)
    if not rows:
        return empty(target)[columns]
    frame = conform(pd.DataFrame(rows, columns=columns), target)[columns]
    return frame.sort_values(list(target.key), ignore_index=True)


def _announced(frame: pd.DataFrame, describe: Callable[[Row], Row]) -> list[Row]:
    if frame.empty:
        return []
    return [_event(row, describe(row)) for row in _records(frame[frame["event_kind"].notna()])]


def _reversals(prints: pd.DataFrame) -> list[Row]:
    if prints.empty:
        return []
    happened = prints["is_reversal"].fillna(False).to_numpy(dtype=bool)
    return [_event(row, _funding_reversal(row)) for row in _records(prints[happened])]


def _records(frame: pd.DataFrame) -> list[Row]:
    """Rows as plain Python values, null as None."""
    return [{str(k): _plain(v) for k, v in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _event(row: Row, said: Row) -> Row:
    """One event from a row and what its type says: the rest is the same for all types."""
    instrument = said.pop("instrument", None) or row["symbol"]
    numbers = {name: row.get(name) for name in said.pop("details")}
    event: Row = {
        "ts": row["ts"],
        "instrument": instrument,
        "kind": row["event_kind"],
        "ordinal": row["event_ordinal"] or 0,
        "alert_severity": row["event_severity"],
        "episode_start": row["episode_start"],
        "known_at": row["ts"] + _HOUR,
        "source_tier": row["source_tier"],
        "method_version": row["method_version"],
        **said,
    }
    event["details"] = json.dumps(
        {k: _iso(v) if isinstance(v, pd.Timestamp) else v for k, v in numbers.items()},
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
    event["event_id"] = event_id(
        event["event_type"],
        instrument,
        event["episode_start"],
        event["kind"],
        event["ordinal"],
        event["level"],
        event["method_version"],
    )
    return event


def _cascade(row: Row) -> Row:
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
    return {
        "event_type": "LIQUIDATION_CASCADE",
        "level": "none" if level is None else str(level),
        "title": title,
        "details": _CASCADE_DETAILS,
    }


def _funding_anomaly(row: Row) -> Row:
    level = str(row["extreme_level"])
    now = "now " if row["event_kind"] == "escalation" else ""
    degree = "extremely" if level.startswith("EXTREME") else "unusually"
    side = "high, longs crowded" if row["z_score"] > 0 else "low, shorts crowded"
    return {
        "event_type": "FUNDING_ANOMALY",
        "level": level,
        "known_at": row["ts"],
        "title": f"{row['symbol']} funding {now}{degree} {side}: {_rate(row)}",
        "details": _FUNDING_DETAILS,
    }


def _funding_reversal(row: Row) -> Row:
    # the sign was judged against the lagged median, so the ended run lay on the other side of it
    was_high = row["rate_8h"] < row["median_rate_8h"]
    return {
        "event_type": "FUNDING_REVERSAL",
        "kind": "change",
        "ordinal": 0,
        "alert_severity": "INFO",
        "episode_start": row["ts"],
        "level": str(row["extreme_level"]),
        "known_at": row["ts"],
        "title": f"{row['symbol']} funding turned {'down' if was_high else 'up'} after unusually "
        f"{'high' if was_high else 'low'} prints since {_when(row['reversal_run_start'])}: "
        f"{_rate(row)}",
        "details": (*_FUNDING_DETAILS, "reversal_run_start"),
    }


def _volatility(row: Row) -> Row:
    level = str(row["vol_regime_confirmed"])
    numbers = []
    if row["vol_ratio_gk"] is not None:
        numbers.append(f"{row['vol_ratio_gk']:.1f} x its 30-day median")
    if row["volatility_24h_gk"] is not None:
        numbers.append(f"{100 * row['volatility_24h_gk']:.1f} % in 24 h")
    return {
        "event_type": "VOLATILITY_REGIME_CHANGE",
        "level": level,
        "title": f"{row['symbol']} volatility now {level}"
        + (f": {', '.join(numbers)}" if numbers else ""),
        "details": _VOLATILITY_DETAILS,
    }


def _correlation(row: Row) -> Row:
    pair = f"{row['symbol_a']}|{row['symbol_b']}"
    words = f"{row['symbol_a']} and {row['symbol_b']}"
    now, base = row["corr_7d"], row["corr_30d_base"]
    moved = "" if now is None or base is None else f"{base:.2f} over 30 d, {now:.2f} over 7 d"
    if row["event_kind"] == "end":
        lasted = "" if row["duration_hours"] is None else f" after {row['duration_hours']} h"
        title = f"{words}: correlation break over{lasted}"
        if now is not None:
            title += f", back at {now:.2f}"
        level = "ended"
    else:
        deeper = " deepens" if row["event_kind"] == "escalation" else ""
        level = str(row["break_severity"])
        title = f"{words}: correlation break{deeper} ({level})" + (f", {moved}" if moved else "")
    return {
        "event_type": "CORRELATION_BREAK",
        "instrument": pair,
        "level": level,
        "title": title,
        "details": _CORRELATION_DETAILS,
    }


def _regime(row: Row) -> Row:
    level = str(row["primary_regime"])
    count, frames = row["agreement_count"], row["frames_available"]
    agree = "" if count is None or frames is None else f": {count} of {frames} timeframes agree"
    return {
        "event_type": "REGIME_CONFIRMED",
        "level": level,
        "title": f"{row['symbol']} regime confirmed {level.removeprefix('SPOT_')}{agree}",
        "details": _REGIME_DETAILS,
    }


def _iso(at: pd.Timestamp) -> str:
    return pd.Timestamp(at).tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")


def _when(at: pd.Timestamp) -> str:
    return pd.Timestamp(at).tz_convert("UTC").strftime("%Y-%m-%d %H:%M UTC")


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
