"""Events are numbered in the order in which they can be read, and outcomes say when they were noted.

A number is given under a lock that is held until the transaction ends: whoever has a higher one is seen
later, so that who follows the numbers misses no event. Times do not tell that, because a transaction may
take its time early and commit late. With its time an outcome can be left out of what was known before.
"""

from __future__ import annotations

from regime_pipeline.storage.locks import EVENT_ORDER
from regime_pipeline.storage.schema import add_column, driver_connection, numbered

revision, down_revision = numbered(__file__)

_NUMBERED = """
UPDATE alerts.market_events AS e SET stored_order = n.stored_order FROM (
    SELECT event_id, ts, row_number() OVER (ORDER BY ingested_at, event_id) AS stored_order
    FROM alerts.market_events
) AS n WHERE n.event_id = e.event_id AND n.ts = e.ts AND e.stored_order IS NULL
"""
_GO_ON = """
SELECT setval('alerts.event_order', (SELECT coalesce(max(stored_order), 0) + 1 FROM alerts.market_events),
    false)
"""
_FUNCTION = f"""
CREATE OR REPLACE FUNCTION alerts.number_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({EVENT_ORDER});
    NEW.stored_order := nextval('alerts.event_order');
    RETURN NEW;
END
$$
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER number_event BEFORE INSERT ON alerts.market_events
FOR EACH ROW EXECUTE FUNCTION alerts.number_event()
"""
_STARTS = """
INSERT INTO alerts.delivery_starts (event_id, endpoint, attempt, attempted_at)
SELECT event_id, endpoint, attempt, attempted_at FROM alerts.delivery_attempts ON CONFLICT DO NOTHING
"""
"""Attempts of databases from before starts were noted: from now on every attempt has one."""
_LOGS = """
CREATE OR REPLACE VIEW alerts.webhook_logs AS
SELECT s.event_id || ':' || s.endpoint || ':' || s.attempt AS id, s.endpoint AS webhook_url, s.event_id,
    CASE WHEN a.outcome IS NOT NULL THEN a.outcome = 'delivered' END AS success,
    a.http_status AS response_code, s.attempted_at AS "timestamp", s.attempt, a.outcome, a.latency_ms,
    coalesce(a.error_class, CASE WHEN a.outcome IS NULL
        THEN 'under way, or the dispatcher ended before it had an answer' END) AS error_class,
    a.response_excerpt, a.recorded_at
FROM alerts.delivery_starts s LEFT JOIN alerts.delivery_attempts a
    ON a.event_id = s.event_id AND a.endpoint = s.endpoint AND a.attempt = s.attempt
"""


def upgrade() -> None:
    """Number the stored events as they were stored, and those to come as they become visible."""
    add_column("alerts.market_events", "stored_order")
    connection = driver_connection()
    connection.execute("CREATE SEQUENCE IF NOT EXISTS alerts.event_order")
    add_column(
        "alerts.delivery_attempts",
        "recorded_at",
        fill="attempted_at + coalesce(latency_ms, 0) * interval '1 millisecond'",
    )
    for statement in (_NUMBERED, _GO_ON, _FUNCTION, _TRIGGER, _STARTS, _LOGS):
        connection.execute(statement)
