"""Columns of the operational tables."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

FIELDS = (
    Field("fetch_id", Kind.TEXT, "Id of the fetch."),
    Field("dataset", Kind.TEXT, "Raw table the fetch is for."),
    Field("endpoint_path", Kind.TEXT, "Path of the provider's endpoint, no query, no secret."),
    Field("window_start", Kind.TIMESTAMP, "Start of the window that was asked for."),
    Field("window_end", Kind.TIMESTAMP, "End of the window that was asked for, exclusive."),
    Field(
        "fetch_status",
        Kind.TEXT,
        "ok: the source answered for the whole window; empty: it answered and has nothing; partial: "
        "part of the window is beyond the provider's retention; failed; skipped.",
        allowed=("ok", "empty", "partial", "failed", "skipped"),
    ),
    Field("error_message", Kind.TEXT, "What went wrong, secrets removed."),
    Field("rows_stored", Kind.INTEGER, "Rows that passed the contract.", None, 0),
    Field("rows_quarantined", Kind.INTEGER, "Rows that did not.", None, 0),
    Field("request_count", Kind.INTEGER, "HTTP requests made.", None, 0),
    Field("duration_s", Kind.FLOAT, "How long it took.", "s", 0),
    Field("fetched_at", Kind.TIMESTAMP, "When the request was sent."),
    Field("span_start", Kind.TIMESTAMP, "First hour of the stretch."),
    Field("span_end", Kind.TIMESTAMP, "End of the stretch, exclusive; a full hour."),
    Field(
        "coverage_state",
        Kind.TEXT,
        "What became of the hours. stored: what is owed is there; venue_had_none: the source answered "
        "and has no row; missed: nobody asked, or the source failed; plan_limit: the key's plan does "
        "not include it; beyond_retention: older than the source keeps; not_listed: the source does "
        "not know the symbol; not_yet: within the grace after the hour; source_off: no key or "
        "address is set; forward_only: not recorded while it happened, and cannot be asked for later.",
        allowed=(
            "stored",
            "venue_had_none",
            "missed",
            "plan_limit",
            "beyond_retention",
            "not_listed",
            "not_yet",
            "source_off",
            "forward_only",
        ),
    ),
    Field("coverage_reason", Kind.TEXT, "Why, in a few words; null where the hours are stored."),
    Field(
        "is_forward_only",
        Kind.BOOLEAN,
        "The series can only be collected as time goes: a past hour cannot be asked for.",
    ),
    Field("reply_field", Kind.TEXT, "Path of a field in an endpoint's replies."),
    Field("first_seen_at", Kind.TIMESTAMP, "When a reply first had it."),
    Field("quarantine_id", Kind.TEXT, "Digest of the row and its reason."),
    Field("table_name", Kind.TEXT, "Table the row was meant for."),
    Field("row_data", Kind.JSON, "The row as it came."),
    Field("url", Kind.TEXT, "Request URL without secrets."),
    Field("landing_path", Kind.TEXT, "Path below the landing URL."),
    Field("byte_count", Kind.INTEGER, "Size of the response body.", "B", 0),
    Field("http_date", Kind.TIMESTAMP, "Server time of the response, from its Date header."),
    Field(
        "origin",
        Kind.TEXT,
        "What kind of data the database holds; fixed by its first run.",
        allowed=("live", "simulated", "tape"),
    ),
    Field("detail", Kind.TEXT, "Which tape or seed."),
    Field("identity", Kind.INTEGER, "Always 1: the table has one row.", None, 1, 1),
    Field("host", Kind.TEXT, "Host and port that requests go to."),
    Field(
        "key_fingerprint",
        Kind.TEXT,
        "Digest of the key that the row is about; empty: the host as a whole.",
    ),
    Field("budget_scope", Kind.TEXT, "Which of the provider's limits: its name or a path."),
    Field("budget_window_s", Kind.FLOAT, "Length of the window the limit counts in.", "s", 0),
    Field("budget_window_start", Kind.TIMESTAMP, "Start of the window that is counted."),
    Field("budget_limit", Kind.INTEGER, "What the provider grants per window.", None, 0),
    Field(
        "budget_used",
        Kind.INTEGER,
        "Reserved by any process or seen in the provider's headers, in this window.",
        None,
        0,
    ),
    Field(
        "breaker_state",
        Kind.TEXT,
        "closed: requests go; open: none until open_until; half_open: one at a time tries.",
        allowed=("closed", "open", "half_open"),
    ),
    Field("failure_count", Kind.INTEGER, "Passing failures in a row.", None, 0),
    Field("success_count", Kind.INTEGER, "Successful tries in a row while half open.", None, 0),
    Field("opening_count", Kind.INTEGER, "Openings since it was last closed.", None, 0),
    Field("opened_at", Kind.TIMESTAMP, "When it last opened."),
    Field("open_until", Kind.TIMESTAMP, "Nothing is asked before."),
    Field("paused_until", Kind.TIMESTAMP, "Requests wait until then, as the provider asked."),
    Field("probe_token", Kind.TEXT, "Who tries now, while half open."),
    Field("probe_until", Kind.TIMESTAMP, "When the try is given up for lost."),
    Field("updated_at", Kind.TIMESTAMP, "When the row last changed, by the database's clock."),
)
