"""Events, market and operational ones, their outbox and the append-only attempt log."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Cadence, Table
from regime_pipeline.catalogue.tables.market import DERIVED_BOOKKEEPING

TABLES = (
    Table(
        schema="alerts",
        name="market_events",
        description="Market events of all six types; each is written once and never edited. ts is "
        "the row or print that caused it.",
        fields=(
            "event_id",
            "ts",
            "event_type",
            "instrument",
            "kind",
            "ordinal",
            "alert_severity",
            "level",
            "episode_start",
            "known_at",
            "title",
            "details",
            "source_tier",
            "method_version",
            *DERIVED_BOOKKEEPING,
        ),
        key=("event_id", "ts"),
        required=frozenset(
            {
                "event_type",
                "instrument",
                "kind",
                "alert_severity",
                "episode_start",
                "known_at",
                "title",
                "details",
                "method_version",
            }
        ),
        symbol_columns=(),
        bookkeeping=frozenset(DERIVED_BOOKKEEPING),
        cadence=Cadence.INSTANT,
    ),
    Table(
        schema="alerts",
        name="system_events",
        description="Operational events (a failed run, a source that refuses us), stored whether or not "
        "anybody is told; each is written once and never edited.",
        fields=("event_id", "known_at", "event_type", "alert_severity", "title", "details"),
        key=("event_id",),
        required=frozenset({"known_at", "event_type", "alert_severity", "title", "details"}),
        time_column="known_at",
        symbol_columns=(),
        partitioned=False,
        indexes=(("known_at",),),
    ),
    Table(
        schema="alerts",
        name="outbox",
        description="One row per event and endpoint, made in the event's own transaction.",
        fields=(
            "event_id",
            "endpoint",
            "ts",
            "event_type",
            "alert_severity",
            "body",
            "state",
            "reason",
            "attempts",
            "next_at",
            "deliver_before",
            "lease_until",
            "lease_token",
            "created_at",
            "finished_at",
        ),
        key=("event_id", "endpoint"),
        required=frozenset(
            {
                "ts",
                "event_type",
                "body",
                "state",
                "attempts",
                "next_at",
                "deliver_before",
                "created_at",
            }
        ),
        symbol_columns=(),
        partitioned=False,
    ),
    Table(
        schema="alerts",
        name="delivery_attempts",
        description="Every attempt to deliver, append only.",
        fields=(
            "event_id",
            "endpoint",
            "attempt",
            "attempted_at",
            "latency_ms",
            "http_status",
            "outcome",
            "error_class",
            "response_excerpt",
        ),
        key=("event_id", "endpoint", "attempt"),
        required=frozenset({"attempted_at", "outcome"}),
        time_column="attempted_at",
        symbol_columns=(),
        partitioned=False,
    ),
)
