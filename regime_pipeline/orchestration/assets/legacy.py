"""Signals of the replaced systems: one asset, filled from a folder by hand, never on a schedule.

It has no partitions: files are about any time, and the folder is read as a whole. ``regime
migrate-signals`` does the same from the command line.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from regime_pipeline.catalogue import table
from regime_pipeline.legacy.migrate import TABLE, migrate
from regime_pipeline.legacy.reader import LegacyFileError
from regime_pipeline.orchestration.derived import IO_MANAGER, asset_key, common
from regime_pipeline.orchestration.metadata import row_changes, run_counts
from regime_pipeline.orchestration.resources import Platform

SHOWN_FILES = 200

_DESCRIBED = common(table(TABLE)) | {"kinds": {"json", "postgres"}}


@dg.asset(
    key=asset_key(TABLE),
    io_manager_key=IO_MANAGER,
    required_resource_keys={"platform"},
    **_DESCRIBED,
)
def legacy_signals(context) -> dg.MaterializeResult:  # type: ignore[no-untyped-def]
    """Read the folder REGIME_LEGACY_DIR into the table."""
    platform: Platform = context.resources.platform
    folder = platform.settings.legacy_dir
    if folder is None:
        raise dg.Failure(
            "no folder to read: set REGIME_LEGACY_DIR, or run `regime migrate-signals`",
            allow_retries=False,
        )
    try:
        done = migrate(
            folder,
            settings=platform.settings,
            clock=platform.clock,
            warehouse=platform.warehouse,
            run_id=context.run_id,
            progress=platform.progress,
        )
    except LegacyFileError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    assert done.written is not None
    platform.written(TABLE, len(done.frame), done.written)
    told = [f for f in done.files if f.outcome != "ok"][:SHOWN_FILES]
    metadata: dict[str, Any] = {
        "dagster/row_count": len(done.frame),
        **run_counts(
            row_changes(done.written.inserted, done.written.updated, done.written.unchanged)
        ),
        "records refused": len(done.refused),
        **{f"files {name}": count for name, count in done.outcomes().items()},
    }
    if told:
        metadata["not quite right"] = dg.MetadataValue.table(
            [
                dg.TableRecord({"file": f.path, "outcome": f.outcome, "reason": f.reason or ""})
                for f in told
            ]
        )
    return dg.MaterializeResult(metadata=metadata)


ASSETS = (legacy_signals,)
