"""Everything that imports Dagster, and no maths: partitions, assets, IO, jobs, sensors, launching."""

from __future__ import annotations
