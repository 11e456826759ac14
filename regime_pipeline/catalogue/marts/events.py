"""What happened: market events, what followed them, episodes, deliveries.

Belongs here: what their rows and columns mean, and the query of those that are views. Does not belong
here: which events there are (``alerts.kinds``).
"""

from __future__ import annotations

from regime_pipeline.catalogue.marts.common import (
    INGESTED_AT,
    KNOWN_AT,
    METHOD_VERSION,
    REASON,
    SOURCE_TIER,
    STATUS,
    SYMBOL,
    columns,
    renamed,
)
from regime_pipeline.catalogue.model import Field, Kind, Mart
from regime_pipeline.catalogue.registry import FIELDS

_EVENT = (
    "event_id",
    "ts",
    "event_type",
    "instrument",
    "kind",
    "ordinal",
    "alert_severity",
    "level",
    "episode_start",
    "title",
    "details",
)
_AFTER_H = (1, 4, 24)
_SEVERITIES = FIELDS["break_severity"].allowed or ()

MARTS = (
    Mart(
        "market_events",
        "Market events of all types, each written once, and how their delivery stands.",
        ("event_id",),
        (
            *columns(*_EVENT),
            Field("endpoints", Kind.INTEGER, "Endpoints that are or were to be told.", minimum=0),
            Field("delivered", Kind.INTEGER, "Endpoints that took it.", minimum=0),
            Field(
                "failed",
                Kind.INTEGER,
                "Endpoints that will not be told any more; as of a past instant null, because a delivery "
                "that is tried again leaves no trace of having been given up.",
                minimum=0,
            ),
            SOURCE_TIER,
            METHOD_VERSION,
            KNOWN_AT,
            INGESTED_AT,
            *columns("stored_order"),
        ),
        query=f"select {', '.join(f'e.{c}' for c in _EVENT)}, o.endpoints, o.delivered, o.failed, "
        "e.source_tier, e.method_version, e.known_at, e.ingested_at, e.stored_order "
        "from {alerts.market_events} as e cross join lateral (select count(*) as endpoints, "
        "count(*) filter (where state = 'delivered') as delivered, "
        "count(*) filter (where state in ('failed', 'expired', 'suppressed', 'dead')) as failed "
        "from {alerts.outbox} where event_id = e.event_id) as o",
        time_column="known_at",
        past=f"select {', '.join(f'e.{c}' for c in _EVENT)}, e.endpoints, "
        "(select count(distinct w.endpoint) from reporting.webhook_logs as w where w.event_id = e.event_id "
        "and w.success and w.recorded_at <= $1) as delivered, null::bigint as failed, "
        "e.source_tier, e.method_version, e.known_at, e.ingested_at, e.stored_order "
        "from reporting.market_events as e where e.ingested_at <= $1",
    ),
    Mart(
        "events",
        "What followed each market event, one row per event and symbol (an event about a pair has two "
        "rows): the spot price when it was known and 1, 4 and 24 hours later. A price that was not "
        "observed, or is not there yet, is null; the past is described, nothing is forecast.",
        ("event_id", "symbol"),
        (
            *columns("event_id"),
            SYMBOL,
            *columns(*(c for c in _EVENT if c not in ("event_id", "details"))),
            Field(
                "price",
                Kind.FLOAT,
                "Spot close of the last hour that was closed at known_at.",
                unit="quote",
            ),
            *(
                Field(f"price_{h}h", Kind.FLOAT, f"Spot close {h} h after that.", unit="quote")
                for h in _AFTER_H
            ),
            *(
                Field(
                    f"return_{h}h_pct",
                    Kind.FLOAT,
                    f"price_{h}h against price.",
                    unit="percent",
                )
                for h in _AFTER_H
            ),
            renamed(
                "status", "status", "ok: all three returns are there; partial: some; missing: none."
            ),
            Field(
                "reason",
                Kind.TEXT,
                "Why not ok: not_yet (the hours are still to come) or price_not_observed.",
            ),
            SOURCE_TIER,
            METHOD_VERSION,
            KNOWN_AT,
            INGESTED_AT,
        ),
        time_column="known_at",
        required=frozenset({"event_type", "known_at", "status"}),
        indexes=(("symbol", "known_at"), ("known_at",)),
        extent=("r.known_at - interval '2 hours'", "r.known_at + interval '24 hours'"),
        has_past=True,
    ),
    Mart(
        "correlation_breaks",
        "Episodes in which a pair did not move together as it used to, one row per pair and episode.",
        ("symbol_a", "symbol_b", "from_ts"),
        (
            *columns("symbol_a", "symbol_b"),
            Field("from_ts", Kind.TIMESTAMP, "UTC open of the first hour of the episode."),
            Field("to_ts", Kind.TIMESTAMP, "UTC open of the hour that ended it; null while open."),
            Field("through_ts", Kind.TIMESTAMP, "UTC open of its last hour so far."),
            Field("hours", Kind.INTEGER, "Hours stored of it, the ending one left out.", unit="h"),
            renamed("break_kind", "break_kind", "Kind of the break in its first hour."),
            renamed("max_severity", "break_severity", "Highest severity of the episode."),
            Field(
                "corr_7d_start",
                Kind.FLOAT,
                "Correlation over 7 days in its first hour.",
                minimum=-1,
                maximum=1,
            ),
            Field(
                "corr_30d_base",
                Kind.FLOAT,
                "The pair's own baseline in its first hour.",
                minimum=-1,
                maximum=1,
            ),
            Field(
                "max_rel_drop", Kind.FLOAT, "Largest drop against the baseline.", unit="fraction"
            ),
            STATUS,
            REASON,
            SOURCE_TIER,
            METHOD_VERSION,
            KNOWN_AT,
            INGESTED_AT,
        ),
        query=f"""
            select
                b.symbol_a, b.symbol_b, b.episode_start as from_ts,
                max(b.ts) filter (where b.event_kind = 'end') as to_ts,
                max(b.ts) as through_ts,
                count(*) filter (where b.event_kind is distinct from 'end') as hours,
                (array_agg(b.break_kind order by b.ts))[1] as break_kind,
                (array_agg(b.break_severity order by
                    array_position(array{list(_SEVERITIES)}, b.break_severity) desc nulls last))[1]
                    as max_severity,
                (array_agg(b.corr_7d order by b.ts))[1] as corr_7d_start,
                (array_agg(b.corr_30d_base order by b.ts))[1] as corr_30d_base,
                max(b.rel_drop) as max_rel_drop,
                (array_agg(b.status order by b.ts desc))[1] as status,
                (array_agg(b.reason order by b.ts desc))[1] as reason,
                max(b.source_tier) as source_tier,
                (array_agg(b.method_version order by b.ts desc))[1] as method_version,
                b.episode_start + interval '1 hour' as known_at,
                max(b.ingested_at) as ingested_at
            from {{correlation.correlation_breaks}} as b
            where b.episode_start is not null
            group by b.symbol_a, b.symbol_b, b.episode_start""",
        time_column="from_ts",
        extent=("r.from_ts", "r.through_ts + interval '1 hour'"),
    ),
    Mart(
        "webhook_logs",
        "Every attempt to deliver an event. An endpoint is named by its channel and a digest of its "
        "address, never by the address.",
        ("event_id", "endpoint", "attempt"),
        (
            *columns("event_id", "endpoint", "attempt"),
            Field(
                "success",
                Kind.BOOLEAN,
                "The endpoint took it; null while the attempt is under way.",
            ),
            renamed("response_code", "http_status"),
            renamed("at", "attempted_at"),
            *columns("latency_ms", "outcome", "error_class", "recorded_at"),
        ),
        query="select a.event_id, a.webhook_url as endpoint, a.attempt, a.success, a.response_code, "
        'a."timestamp" as at, a.latency_ms, a.outcome, a.error_class, a.recorded_at '
        "from {alerts.webhook_logs} as a",
        time_column="at",
        past="select w.event_id, w.endpoint, w.attempt, "
        + ", ".join(
            f"case when w.recorded_at <= $1 then w.{c} end as {c}"
            for c in ("success", "response_code", "latency_ms", "outcome")
        )
        + ", case when w.recorded_at <= $1 then w.error_class else 'under way' end as error_class, "
        "case when w.recorded_at <= $1 then w.recorded_at end as recorded_at, w.at "
        "from reporting.webhook_logs as w where w.at <= $1",
    ),
)
