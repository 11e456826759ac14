"""Market events: found in the features' event columns, stored with their outbox rows.

The events and one outbox row per endpoint are written in one transaction, and an event that is
stored already is left alone, so a re-run announces nothing twice. What backfills and replays find is
stored as suppressed; a tick or a live launch that finds it too, while it is still news, lets it go.
Sending is the dispatcher's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_pipeline.alerts import events
from regime_pipeline.alerts.kinds import BACKFILL
from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.derivation import reads
from regime_pipeline.orchestration.derived import asset_key, common, inputs
from regime_pipeline.orchestration.io_manager import trimmed
from regime_pipeline.orchestration.metadata import add_run_metadata, write_metadata
from regime_pipeline.orchestration.partitions import COMPUTE, DAILY, as_window, owed
from regime_pipeline.orchestration.resources import Platform

if TYPE_CHECKING:
    import pandas as pd
    import psycopg

TABLE = table("alerts.market_events")
REPLAY_TAG = "regime/replay"
"""Run tag: what is found is history; nothing is sent."""
_BACKFILL_TAG = "dagster/backfill"

_READ = events.columns_read()


def suppress_reason(tags: Mapping[str, str]) -> str | None:
    """Why a run's events are not sent, or None when they are news."""
    return BACKFILL if _BACKFILL_TAG in tags or REPLAY_TAG in tags else None


@dg.asset(
    key=asset_key(TABLE.full_name),
    ins=inputs(
        TABLE.full_name,
        {n: reads(n, back, columns=tuple(_READ[n])) for n, back in events.LOOKBACK.items()},
    ),
    required_resource_keys={"platform"},
    partitions_def=DAILY,
    backfill_policy=COMPUTE,
    **common(TABLE),
)
def market_events(context, **frames):  # type: ignore[no-untyped-def]
    """Events of all six types."""
    platform: Platform = context.resources.platform
    window = owed(
        as_window(context.partition_time_window),
        platform.until(context.run_id),
        full_table_name=TABLE.full_name,
    )
    found = trimmed(
        events.market_events(**{name.split("__")[1]: f for name, f in frames.items()}),
        TABLE,
        window,
    )
    reason = suppress_reason(context.run.tags)
    outbox: dict[str, int] = {}
    receivers: dict[str, str] = {}

    def also(connection: psycopg.Connection, inserted: pd.DataFrame) -> None:
        from regime_pipeline.alerts import health
        from regime_pipeline.alerts.outbox import enqueue, let_go

        if reason is None:
            outbox["let go"] = let_go(
                connection,
                list(found["event_id"]),
                settings=platform.settings,
                clock=platform.clock,
            )
        outbox["rows"] = enqueue(
            connection,
            inserted,
            settings=platform.settings,
            clock=platform.clock,
            suppress_reason=reason,
        )
        receivers.update(health.figures(connection))

    result = platform.warehouse.merge(
        TABLE.full_name, found, mode="insert", window=window, run_id=context.run_id, also=also
    )
    platform.written(TABLE.full_name, len(found), result)
    kinds: dict[str, Any] = {
        str(k): int(v) for k, v in found["event_type"].value_counts().sort_index().items()
    }
    add_run_metadata(
        context,
        {
            **write_metadata(TABLE, found, window, result),
            "events by type": dg.MetadataValue.json(kinds),
            "outbox rows": outbox.get("rows", 0),
            "held back by a backfill, sent now": outbox.get("let go", 0),
            "receivers": dg.MetadataValue.json(receivers),
            "sent": "no: " + reason if reason else "by the dispatcher",
        },
    )
    return dg.MaterializeResult()


ASSETS = (market_events,)
