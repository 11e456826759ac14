"""Findings of a window made day by day, each day from no more than the product reads for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.quality import calendar
from regime_pipeline.quality.evaluate import HISTORY, Evidence, findings
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import DAY, Window


def as_read(tables: Mapping[str, pd.DataFrame], window: Window) -> Evidence:
    """The rows that a run over a window reads of these tables."""
    read = {}
    for name, rows in tables.items():
        reach = window.widened(HISTORY.get(name, calendar.DAYS_BEFORE))
        inside = rows["ts"].between(reach.start, reach.end, inclusive="left")
        if inside.any():
            read[name] = rows[inside].reset_index(drop=True)
    return Evidence(read)


def whole_and_by_day(
    tables: Mapping[str, pd.DataFrame], window: Window, now: datetime
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``ops.quality_checks`` of a window in one go, and of its days one after the other."""
    whole = findings(as_read(tables, window), window, now, QualityParams())[0]
    days = [Window(d, d + DAY) for d in window.days()]
    parts = [findings(as_read(tables, d), d, now, QualityParams())[0] for d in days]
    key = list(table("ops.quality_checks").key)
    return whole, pd.concat(parts).sort_values(key, ignore_index=True)
