"""Attempts are written before they are made; receivers have a state; events have a context.

The two views are what people ask about deliveries: one row an attempt, and one row a receiver.
"""

from __future__ import annotations

from regime_pipeline.storage.schema import add_column, create_table, driver_connection, numbered

revision, down_revision = numbered(__file__)

_LOGS = """
CREATE OR REPLACE VIEW alerts.webhook_logs AS
SELECT event_id || ':' || endpoint || ':' || attempt AS id, endpoint AS webhook_url, event_id,
    CASE WHEN a.outcome IS NOT NULL THEN a.outcome = 'delivered' END AS success,
    a.http_status AS response_code, coalesce(s.attempted_at, a.attempted_at) AS "timestamp",
    attempt, a.outcome, a.latency_ms,
    coalesce(a.error_class, CASE WHEN a.outcome IS NULL
        THEN 'under way, or the dispatcher ended before it had an answer' END) AS error_class,
    a.response_excerpt
FROM alerts.delivery_starts s FULL JOIN alerts.delivery_attempts a USING (event_id, endpoint, attempt)
"""

_FIGURES = """
CREATE OR REPLACE VIEW alerts.endpoint_figures AS
WITH waiting AS (
    SELECT endpoint, count(*) FILTER (WHERE state IN ('pending', 'sending')) AS waiting,
        min(created_at) FILTER (WHERE state IN ('pending', 'sending')) AS waiting_since,
        count(*) FILTER (WHERE state = 'delivered') AS delivered,
        count(*) FILTER (WHERE state = 'digested') AS digested,
        count(*) FILTER (WHERE state = 'expired') AS expired,
        count(*) FILTER (WHERE state IN ('dead', 'failed')) AS dead,
        count(*) FILTER (WHERE state = 'suppressed') AS suppressed
    FROM alerts.outbox GROUP BY endpoint
), tried AS (
    SELECT endpoint, count(*) AS attempts,
        count(*) FILTER (WHERE outcome <> 'delivered') AS failed_attempts,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms)
            FILTER (WHERE outcome = 'delivered') AS latency_p50_ms,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms)
            FILTER (WHERE outcome = 'delivered') AS latency_p95_ms
    FROM alerts.delivery_attempts GROUP BY endpoint
)
SELECT endpoint, e.channel, coalesce(w.waiting, 0) AS waiting, w.waiting_since,
    coalesce(w.delivered, 0) AS delivered, coalesce(w.digested, 0) AS digested,
    coalesce(w.expired, 0) AS expired, coalesce(w.dead, 0) AS dead,
    coalesce(w.suppressed, 0) AS suppressed, coalesce(t.attempts, 0) AS attempts,
    coalesce(t.failed_attempts, 0) AS failed_attempts, t.latency_p50_ms, t.latency_p95_ms,
    e.accepted_at, e.failing_since, e.held_until, e.disabled_at, e.disabled_reason
FROM waiting w FULL JOIN alerts.endpoints e USING (endpoint) LEFT JOIN tried t USING (endpoint)
"""


def upgrade() -> None:
    """Make the tables, the column and the views."""
    for name in ("delivery_starts", "endpoints", "acknowledgements", "event_contexts"):
        create_table(f"alerts.{name}")
    add_column("alerts.outbox", "digest_id")
    for view in (_LOGS, _FIGURES):
        driver_connection().execute(view)
