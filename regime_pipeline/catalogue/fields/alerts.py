"""Columns of events and their delivery. The types of events are the rows of ``alerts.kinds``."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

FIELDS = (
    Field(
        "event_id",
        Kind.TEXT,
        "sha256 of event type, instrument or pair, episode start, kind, ordinal, level and "
        "method version: the same event always has the same id.",
    ),
    Field("event_type", Kind.TEXT, "What happened: a type of those that docs/alerts.md lists."),
    Field("instrument", Kind.TEXT, "Symbol, or A|B for a pair."),
    Field(
        "kind",
        Kind.TEXT,
        "Place in the episode.",
        allowed=("start", "escalation", "end", "change", "calming"),
    ),
    Field("ordinal", Kind.INTEGER, "Ordinal of the alert within its episode.", None, 0),
    Field("alert_severity", Kind.TEXT, "Severity.", allowed=("INFO", "WARNING", "CRITICAL")),
    Field("level", Kind.TEXT, "Level reached: a severity, a regime, a z level."),
    Field("known_at", Kind.TIMESTAMP, "When it could be known: ts + 1h, or the print's own time."),
    Field("title", Kind.TEXT, "One line for a person."),
    Field("details", Kind.JSON, "The numbers behind the event."),
    Field("endpoint", Kind.TEXT, "Name of the endpoint: its channel and a digest of its URL."),
    Field("body", Kind.TEXT, "The exact bytes that are signed and sent, UTF-8."),
    Field(
        "state",
        Kind.TEXT,
        "Where the delivery stands.",
        allowed=(
            "pending",
            "sending",
            "delivered",
            "failed",
            "expired",
            "suppressed",
            "dead",
        ),
    ),
    Field("attempts", Kind.INTEGER, "Attempts so far.", None, 0),
    Field("next_at", Kind.TIMESTAMP, "Not before this instant."),
    Field("deliver_before", Kind.TIMESTAMP, "After this instant it expires instead."),
    Field("lease_until", Kind.TIMESTAMP, "A worker holds the row until then."),
    Field("lease_token", Kind.TEXT, "Who holds it; an outcome with another token is refused."),
    Field("created_at", Kind.TIMESTAMP, "When the row was made."),
    Field("finished_at", Kind.TIMESTAMP, "When the row reached its last state."),
    Field("attempt", Kind.INTEGER, "Number of the attempt, from 1.", None, 1),
    Field("attempted_at", Kind.TIMESTAMP, "Start of the attempt."),
    Field("latency_ms", Kind.FLOAT, "Time until the answer.", "ms", 0),
    Field(
        "http_status",
        Kind.INTEGER,
        "Status of the answer; null without one, or where it is no status (see error_class).",
        None,
        100,
        599,
    ),
    Field(
        "outcome",
        Kind.TEXT,
        "How the attempt ended; unknown: fully sent, no answer.",
        allowed=("delivered", "failed", "unknown"),
    ),
    Field("error_class", Kind.TEXT, "Class of the failure."),
    Field("response_excerpt", Kind.TEXT, "Start of the answer's body, scrubbed, 2 kB at most."),
)
