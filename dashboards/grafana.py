"""A dashboard of operation for Grafana over the figures of ``regime metrics``, written from the list below.

    python -m dashboards.grafana > deploy/grafana/regime.json

Optional: import the file, or provision it; its data source is a Prometheus that scrapes ``regime metrics``.
Belongs here: panels and what each shows. Does not belong here: the figures (``reporting.metrics``), a market
that has dashboards of its own.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

PANELS: tuple[tuple[str, str, str, float | None], ...] = (
    ("Up", "regime_up", "short", 1),
    ("Open findings", "sum by (severity) (regime_system_alerts_open)", "short", None),
    ("Daemon silent", "regime_daemon_heartbeat_age_seconds", "s", 90),
    ("Hourly tick silent", "regime_tick_age_seconds", "s", 7500),
    ("Collector silent", "regime_collector_beat_age_seconds", "s", 180),
    ("Workers silent", "regime_worker_age_seconds", "s", 75),
    ("Age of data", "regime_data_age_seconds", "s", None),
    ("Missed hours", "sum by (source) (regime_missed_hours)", "short", None),
    ("Quality", "regime_quality_score", "short", None),
    ("Runs waiting", "regime_runs_waiting", "short", None),
    ("Failed runs of a day", "regime_run_failures_day", "short", 1),
    ("Requests of an hour", "sum by (source, status) (regime_requests_hour)", "short", None),
    ("Breakers", "regime_breaker_open", "short", 1),
    ("Rate limits used", "regime_budget_used_ratio", "percentunit", 0.8),
    ("Oldest message waits", "regime_outbox_age_seconds", "s", 300),
    ("Deliveries of a day", "regime_deliveries_day", "short", None),
    ("Database", "regime_db_bytes", "bytes", None),
    ("Connections", "sum(regime_connections) / max(regime_connections_limit)", "percentunit", 0.8),
    ("Disk free", "regime_disk_free_bytes / regime_disk_bytes", "percentunit", None),
    ("Memory", "regime_rss_bytes", "bytes", None),
    ("Newest backup", "regime_backup_age_seconds", "s", 93600),
)
"""Title, expression, unit, and from what value on it is red; None: no value is by itself."""
COLUMNS, WIDTH, HEIGHT = 3, 8, 7


def names() -> set[str]:
    """Every figure that a panel asks for."""
    return {n for _, query, _, _ in PANELS for n in re.findall(r"\bregime_\w+", query)}


def dashboard() -> dict[str, Any]:
    """The whole of it, as Grafana imports it."""
    return {
        "uid": "regime-operation",
        "title": "regime: operation",
        "timezone": "utc",
        "refresh": "1m",
        "schemaVersion": 39,
        "time": {"from": "now-24h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus"}],
        },
        "panels": [_panel(i, *panel) for i, panel in enumerate(PANELS)],
    }


def _panel(i: int, title: str, query: str, unit: str, red: float | None) -> dict[str, Any]:
    is_low_bad = title == "Up"
    steps: list[dict[str, Any]] = [{"color": "red" if is_low_bad else "green", "value": None}]
    if red is not None:
        steps.append({"color": "green" if is_low_bad else "red", "value": red})
    return {
        "id": i + 1,
        "title": title,
        "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "gridPos": {
            "x": i % COLUMNS * WIDTH,
            "y": i // COLUMNS * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "targets": [{"refId": "A", "expr": query}],
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "off" if red is None else "line"}},
            },
            "overrides": [],
        },
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
