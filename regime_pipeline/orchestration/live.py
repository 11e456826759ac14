"""The live collector as Dagster shows it: external assets, closed hours, how it fares.

Belongs here: turning rows of ``ops.stream_hours`` and the collector's beat into Dagster's events. Does not
belong here: collecting (``collect``), which no run does.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from regime_pipeline.catalogue.datasets import stream_class
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.windows import HOUR, Window, floor_hour

SECONDS = 30
SILENT_AFTER = timedelta(seconds=30)
OBSERVE_EVERY = timedelta(minutes=5)
HOURS_BACK = 24
FAIL_AFTER, WARN_AFTER = timedelta(minutes=90), timedelta(minutes=70)
CHECKS = {
    "alive": "The collector showed within the last half minute that it works, with all connections open "
    "and a clock within a second of the venues'.",
    "complete": "The last closed hour was heard from end to end.",
    "equals_rest": "No row of the last day that was collected was restated by a request since.",
}


def live_assets() -> list[dg.AssetSpec]:
    """What the collector fills, as assets that no run makes."""
    from regime_pipeline.collect.venues import CONNECTIONS

    found: dict[dg.AssetKey, dg.AssetSpec] = {}
    for one in CONNECTIONS:
        for feed in (feed for channel in one.channels for feed in channel.stored):
            key = dg.AssetKey(["live", one.source.name, feed.dataset])
            found[key] = dg.AssetSpec(
                key,
                group_name="live",
                description=f"raw.{feed.dataset} as the live collector gets it from {one.source.name}: "
                f"{stream_class(feed.dataset, feed.venue)}.",
                kinds={"websocket", "postgres"},
                freshness_policy=dg.FreshnessPolicy.time_window(
                    fail_window=FAIL_AFTER, warn_window=WARN_AFTER
                ),
            )
    return [found[key] for key in sorted(found)]


@dg.sensor(
    name="collector",
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    required_resource_keys={"platform"},
    description="Tells closed hours of the live collector as materializations, and how it fares.",
)
def collector(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One materialization per series' hour that was judged since the cursor; checks with each."""
    from regime_pipeline.collect.collector import last_beat

    platform: Platform = context.resources.platform
    if platform.settings.collect == "off":
        return dg.SkipReason("the live collector is off")
    beat = last_beat(platform.warehouse)
    if beat is None:
        return dg.SkipReason("no collector has run on this database")
    now = platform.clock.now()
    told, observed = _cursor(context.cursor, now)
    rows = _judged(platform, told, now)
    events: list[Any] = list(_materializations(rows))
    keys = {event.asset_key for event in events}
    last = max((row["ts"] for row in rows), default=told)
    if now - observed >= OBSERVE_EVERY:
        observed = now
        alive = (
            now - beat.at <= SILENT_AFTER
            and beat.open_connections == beat.wanted_connections
            and beat.has_right_time
        )
        details: dict[str, Any] = {
            "beat": beat.at.isoformat(), "open connections": beat.open_connections,
            "wanted connections": beat.wanted_connections,
            "clock offset, s": _or_unknown(beat.clock_offset_s),
            "lag, s": _or_unknown(beat.lag_s), "memory, MB": _or_unknown(beat.memory_mb),
            "deaths": _or_unknown(beat.death_count),
            "ended as told": "no" if beat.ended_at is None else beat.ended_at.isoformat(),
        }  # fmt: skip
        for spec in live_assets():
            events.append(dg.AssetObservation(spec.key, metadata=details))
            events.append(_check(spec.key, "alive", alive, details))
    for key in sorted(keys):
        mine = [row for row in rows if dg.AssetKey(["live", row["source"], row["dataset"]]) == key]
        lost = sum(row["lost_s"] for row in mine)
        events.append(_check(key, "complete", lost < 1.0, {"lost seconds": lost}))
        restated = _restated(platform, key, now)
        events.append(_check(key, "equals_rest", restated == 0, {"rows restated": restated}))
    return dg.SensorResult(asset_events=events, cursor=f"{last.isoformat()} {observed.isoformat()}")


def _or_unknown(value: float | None) -> float | str:
    return "unknown" if value is None else value


def _cursor(text: str | None, now: datetime) -> tuple[datetime, datetime]:
    """The last hour that was told, and when the collector was observed last."""
    if text:
        told, observed = text.split()
        return datetime.fromisoformat(told), datetime.fromisoformat(observed)
    return floor_hour(now) - HOURS_BACK * HOUR, now - OBSERVE_EVERY


def _judged(platform: Platform, told: datetime, now: datetime) -> list[dict[str, Any]]:
    frame = platform.warehouse.read("ops.stream_hours", Window(told + HOUR, now + HOUR))
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _materializations(rows: list[dict[str, Any]]) -> list[dg.AssetMaterialization]:
    """One per asset and hour, with what all its symbols together have."""
    by: dict[tuple[str, str, datetime], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by[row["source"], row["dataset"], row["ts"].to_pydatetime()].append(row)
    return [
        dg.AssetMaterialization(
            ["live", source, dataset],
            partition=f"{hour:%Y-%m-%d}",
            metadata={
                "hour": f"{hour:%Y-%m-%d %H:%M} UTC",
                "class": mine[0]["stream_class"],
                "rows": sum(int(row["row_count"]) for row in mine),
                "lost seconds": float(max(row["lost_s"] for row in mine)),
                "proven series": sum(bool(row["is_proven"]) for row in mine),
                "series": len(mine),
            },
        )
        for (source, dataset, hour), mine in sorted(by.items())
    ]


def _restated(platform: Platform, key: dg.AssetKey, now: datetime) -> int:
    """Collected rows of the last day that a request has replaced since."""
    from regime_pipeline.collect.store import RUN_ID

    _, source, dataset = key.path
    row = platform.warehouse.transact(
        lambda c: c.execute(
            f"select count(*) from raw.{dataset}_revisions "  # noqa: S608 - a table of the catalogue
            "where source = %s and run_id = %s and ts >= %s",
            (source, RUN_ID, now - HOURS_BACK * HOUR),
        ).fetchone()
    )
    return int(row[0])


def _check(
    key: dg.AssetKey, name: str, passed: bool, metadata: dict[str, Any]
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=CHECKS[name],
        metadata=metadata,
    )
