"""A code location with the sensor of gaps alone, for a daemon that is killed."""

from __future__ import annotations

from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.orchestration.jobs import raw_fetch
from regime_pipeline.orchestration.sensors import gaps

defs = build_definitions(assets=pipeline_assets(), jobs=(raw_fetch,), schedules=(), sensors=(gaps,))
