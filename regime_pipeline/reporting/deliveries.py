"""Events one by one and what became of them: reads, and changes nothing.

Belongs here: what ``regime alerts show`` and ``endpoints`` tell. Does not belong here: lists of newest
events (``queries``), printing.
"""

from __future__ import annotations

from typing import Any

from regime_pipeline.reporting.queries import rows
from regime_pipeline.storage.database import Database


def events_like(database: Database, start: str) -> list[dict[str, Any]]:
    """Market and operational events whose id begins so, two at most, each with its context."""
    return rows(
        database,
        "select e.*, c.context from (select event_id, ts, known_at, event_type, instrument, kind, "
        "alert_severity, level, episode_start, title, details, source_tier, method_version "
        "from alerts.market_events union all select event_id, known_at, known_at, event_type, null, "
        "null, alert_severity, null, null, title, details, null, null from alerts.system_events) as e "
        "left join alerts.event_contexts as c using (event_id) "
        "where starts_with(e.event_id, %(start)s) order by e.event_id limit 2",
        start=start,
    )


def deliveries(database: Database, event_id: str) -> list[dict[str, Any]]:
    """The outbox rows of an event; where a digest tells it, the digest's fate stands beside."""
    return rows(
        database,
        "select o.endpoint, o.state, o.reason, o.attempts, o.next_at, o.deliver_before, o.digest_id, "
        "d.state as digest_state from alerts.outbox as o left join alerts.outbox as d "
        "on d.event_id = o.digest_id and d.endpoint = o.endpoint "
        "where o.event_id = %(event_id)s order by o.endpoint",
        event_id=event_id,
    )


def attempts(database: Database, event_id: str) -> list[dict[str, Any]]:
    """The attempts at an event, those of a digest that tells it included."""
    return rows(
        database,
        'select "timestamp", webhook_url as endpoint, attempt, outcome, success, response_code, '
        "latency_ms, error_class, response_excerpt from alerts.webhook_logs where event_id in "
        "(select %(event_id)s union select digest_id from alerts.outbox where event_id = %(event_id)s) "
        'order by "timestamp", endpoint, attempt',
        event_id=event_id,
    )


def endpoint_figures(database: Database) -> list[dict[str, Any]]:
    """How each receiver fares, in numbers."""
    return rows(database, "select * from alerts.endpoint_figures order by endpoint")
