"""Signal components: scores 0-100 of single views on the primary perpetual.

Belongs here: the columns of ``signals.components``. Does not belong here: the arithmetic behind a
component (``momentum``), the futures composite (``futures_score``).

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import CLOSES, close_halted, halted
from regime_pipeline.numerics.panel import from_panel, take_codes, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.signals.scores import direction_of, score_of, strength_of, worst_tier
from regime_pipeline.windows import Grid

METHOD = "components/2"

HORIZONS_H = (4, 24, 72)


# 448 hours of closes before a row; nothing older can reach it.
@derives(
    "signals.components",
    candles_1h=reads("market.candles_1h", "19d", where={"market": "perp"}, columns=CLOSES),
)
def components(candles_1h: pd.DataFrame, *, grid: Grid) -> pd.DataFrame:
    """The components of every symbol and hour of the grid, from the perpetual's candles.

    Momentum: ``m`` = mean of the 4, 24 and 72 h log returns over ``sigma sqrt(h)``, sigma the EWMA
    volatility (0.94, 447 lagged returns), clipped at +-3; ``score = 100 Phi(m)``. A row needs 132
    closes (``partial``), 449 for ``ok``; all horizons required; a return over a gap is null.
    ``confidence = min(1, closes / 449)`` times the share of slots observed since the first close.

    Args:
        candles_1h: rows of ``market.candles_1h``; other markets than ``perp`` are left out.
        grid: rows owed.

    Returns:
        Content columns of ``signals.components``, the whole grid, sorted by key.
    """
    from regime_pipeline.signals import momentum as maths

    target = table("signals.components")
    columns = list(target.content)
    wide = grid.widened(reach_of(components, "market.candles_1h"))
    perp = candles_1h[candles_1h["market"] == "perp"]
    panel = to_panel(perp, wide, ("close", "source_tier"))
    found = maths.momentum(panel["close"], maths.ewma_sigma(panel["close"]), HORIZONS_H)
    keep = len(grid.hours)

    def tail(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values[len(values) - keep :]

    code = found.code[len(found.code) - keep :]
    raw = tail(found.value)
    score = score_of(raw, clip=maths.CLIP)
    usable = np.isfinite(score)
    confidence = np.minimum(1.0, tail(found.closes) / maths.SLOTS) * tail(found.coverage)
    status = take_codes(code, _STATUS)
    why = np.where(code == maths.OK, -1, code)
    frame = from_panel(
        grid,
        {
            "momentum_score": score,
            "momentum_direction": direction_of(score),
            "momentum_strength": strength_of(score),
            "momentum_confidence": np.where(usable, confidence, np.nan),
            "momentum_status": status,
            "momentum_reason": take_codes(why, maths.REASONS),
            "momentum_raw": raw,
            "status": status,
            "reason": take_codes(why, tuple(f"momentum: {r}" for r in maths.REASONS)),
            "source_tier": tail(worst_tier(panel["source_tier"], maths.SLOTS)),
        },
    )
    rows = conform(frame.assign(method_version=method_version(METHOD)), target)[columns]
    return close_halted(rows, tail(halted(panel)), target)


_STATUS = (
    "ok",
    "partial",
    "missing",
    "insufficient_history",
    "missing",
    "missing",
    "missing",
)
"""Status of each code of ``signals.momentum``."""
