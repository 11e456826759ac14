"""A code location before and after one of its assets got another name, for a daemon that goes on over it."""

from __future__ import annotations

import dagster as dg

from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.orchestration.jobs import recompute
from regime_pipeline.orchestration.restated import restated_rows

BEFORE, AFTER = (dg.AssetKey(["signals", name]) for name in ("snapshots", "views_of_an_hour"))


def _location(renamed: dict[dg.AssetKey, dg.AssetKey]) -> dg.Definitions:
    return build_definitions(
        assets=[a.with_attributes(asset_key_replacements=renamed) for a in pipeline_assets()],
        jobs=(recompute,),
        schedules=(),
        sensors=(restated_rows,),
    )


before = _location({})
after = _location({BEFORE: AFTER})
