"""The scores of a dashboard service beside ours, hour by hour, with the difference.

Belongs here: which of its scores was known when ours was made. Does not belong here: using its scores
for anything.

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.fields.signals import SINGLE_COMPONENTS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.sentiment import usable_hour
from regime_pipeline.numerics.panel import FloatPanel, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "dashboard_comparison/1"
SOURCE = "dashboard"


# A score that is about an hour may arrive in the next one.
@derives(
    "signals.dashboard_comparison",
    raw_dashboard_signals=reads("raw.dashboard_signals", "2h", where={"source": SOURCE}),
    components=reads(
        "signals.components", columns=("symbol", "ts", *(f"{n}_score" for n in SINGLE_COMPONENTS))
    ),
    confluence=reads("signals.confluence", columns=("symbol", "ts", "confluence_score")),
)
def dashboard_comparison(
    raw_dashboard_signals: pd.DataFrame,
    components: pd.DataFrame,
    confluence: pd.DataFrame,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """One row per symbol, component and hour in which the service's score came to be known.

    Of several scores that arrived within an hour the newest counts. ``score_difference`` is the
    service's less ours.

    Args:
        raw_dashboard_signals: ``raw.dashboard_signals``.
        components: ``signals.components`` of the grid.
        confluence: ``signals.confluence`` of the grid.
        grid: hours owed.

    Returns:
        Content columns of ``signals.dashboard_comparison``, sorted by key; no row without a score of the
        service. ``partial``, ``own_score_missing``, where ours is null.
    """
    target = table("signals.dashboard_comparison")
    rows = raw_dashboard_signals[raw_dashboard_signals["source"] == SOURCE]
    rows = rows.assign(hour=usable_hour(rows["available_at"]))
    inside = (rows["hour"] >= pd.Timestamp(grid.start)) & (rows["hour"] < pd.Timestamp(grid.end))
    rows = rows[inside & rows["symbol"].isin(grid.symbols)]
    key = ["symbol", "component", "hour"]
    rows = rows.sort_values([*key, "available_at", "ts"], kind="stable")
    rows = rows.drop_duplicates(key, keep="last")
    ours: dict[str, FloatPanel] = to_panel(
        components, grid, [f"{name}_score" for name in SINGLE_COMPONENTS]
    ) | to_panel(confluence, grid, ["confluence_score"])
    hour = ((rows["hour"] - pd.Timestamp(grid.start)) // pd.Timedelta(hours=1)).to_numpy(np.intp)
    column = pd.Index(grid.symbols, dtype="str").get_indexer(pd.Index(rows["symbol"]))
    own = np.full(len(rows), np.nan)
    for name in sorted(rows["component"].unique()):
        mine = (rows["component"] == name).to_numpy(bool)
        own[mine] = ours[f"{name}_score"][hour[mine], column[mine]]
    there = np.isfinite(own)
    theirs = rows["signal_score"].to_numpy("float64", na_value=np.nan)
    out = pd.DataFrame(
        {
            "symbol": rows["symbol"].array,
            "component": rows["component"].array,
            "ts": rows["hour"].array,
            "dashboard_score": theirs,
            "dashboard_confidence": rows["signal_confidence"].array,
            "own_score": own,
            "score_difference": theirs - own,
            "status": np.where(there, "ok", "partial"),
            "reason": pd.Series("own_score_missing", index=range(len(rows)), dtype="str").mask(
                there
            ),
            "source_tier": rows["source_tier"].array,
            "method_version": method_version(METHOD),
        }
    )
    return conform(out, target)[list(target.content)]
