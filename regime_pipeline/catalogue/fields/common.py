"""Keys, bookkeeping and the columns that every layer shares."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

COMPONENTS = (
    "momentum",
    "technical",
    "volume",
    "orderflow",
    "orderbook",
    "sentiment",
    "price_action",
    "beta_exp",
    "confluence",
    "whale_act",
    "liquidation",
)
"""The eleven signal components under their canonical names."""

STATUSES = (
    "ok",
    "partial",
    "stale",
    "missing",
    "insufficient_history",
    "not_applicable",
    "quarantined",
)
USABLE = ("ok", "partial")
NOT_APPLICABLE = "not_applicable"
"""Status of a row that has nothing to say: no venue, no such signal for this symbol, a halted market."""
"""Statuses of a row whose main value can be used; with any other it is null."""
STATUS_CODES = ("ok", "partial", "missing", "insufficient_history", "not_applicable")
"""Statuses by the code that the functions give which judge rows by number: 0 is ok, 1 partial, ..."""

FIELDS = (
    Field("ts", Kind.TIMESTAMP, "UTC open of the bar, or the event time; see the table."),
    Field("symbol", Kind.TEXT, "Canonical symbol, BASE/QUOTE."),
    Field("venue", Kind.TEXT, "Exchange the observation is about; `aggregate` over several."),
    Field("market", Kind.TEXT, "Market type.", allowed=("spot", "perp", "index", "option")),
    Field("source", Kind.TEXT, "Provider of the row."),
    Field(
        "timeframe",
        Kind.TEXT,
        "Length of the bar or bucket.",
        allowed=("1h", "4h", "1d", "1w"),
    ),
    Field(
        "source_tier",
        Kind.INTEGER,
        "Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / "
        "historical file, 4 cache, 9 synthetic.",
        minimum=1,
        maximum=9,
    ),
    Field("payload_id", Kind.TEXT, "Landing-store id (sha256) of the response bytes."),
    Field(
        "available_at",
        Kind.TIMESTAMP,
        "When the value could be known: arrival for rows seen live, else close + declared lag.",
    ),
    Field(
        "pit_grade",
        Kind.TEXT,
        "Whether the arrival was seen or is assumed from a declared lag.",
        allowed=("observed", "assumed"),
    ),
    Field("ingested_at", Kind.TIMESTAMP, "When this version of the row was first stored."),
    Field("revision", Kind.INTEGER, "0 for the first version of a row, then 1, 2, ...", minimum=0),
    Field("run_id", Kind.TEXT, "Run that wrote this version."),
    Field(
        "status",
        Kind.TEXT,
        "Whether the row's main value can be used; anything but ok or partial means null.",
        allowed=STATUSES,
    ),
    Field("reason", Kind.TEXT, "Why the status is not ok; null when it is."),
    Field(
        "method_version",
        Kind.TEXT,
        "Definition and thresholds behind the value: code version + digest of the parameters.",
    ),
    Field("is_filled", Kind.BOOLEAN, "A level carried over a gap of one bar."),
    Field(
        "event_kind",
        Kind.TEXT,
        "What this row's state machine announces; null for most rows.",
        allowed=("start", "escalation", "end", "change", "calming"),
    ),
    Field(
        "event_severity",
        Kind.TEXT,
        "Alert severity of the announcement.",
        allowed=("INFO", "WARNING", "CRITICAL"),
    ),
    Field(
        "event_ordinal", Kind.INTEGER, "Ordinal of the announcement within its episode.", minimum=0
    ),
    Field("episode_start", Kind.TIMESTAMP, "First row of the episode that the row belongs to."),
    Field("component", Kind.TEXT, "Signal component that is scored.", allowed=COMPONENTS),
)
