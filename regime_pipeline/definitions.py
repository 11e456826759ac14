"""The code location: ``defs``, nothing else."""

from __future__ import annotations

from regime_pipeline.orchestration.build import build_definitions

defs = build_definitions()
