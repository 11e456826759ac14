"""What all signals share: the reading of a 0-100 score, provenance of a panel.

Does not belong here: any single signal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.fields.signals import DIRECTIONS
from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.numerics.memory import new_panels

BULLISH_FROM, BEARISH_TO = 55.0, 45.0
Z_CLIP = 4.0


def score_of(z: FloatPanel, *, clip: float = Z_CLIP) -> FloatPanel:
    """The standard map of a z to 0-100: ``100 Phi(clip(z))``, 50 neutral."""
    (out,) = new_panels(1, z.shape)
    return read_as_score(np.clip(z, -clip, clip, out=out))


def read_as_score(z: FloatPanel) -> FloatPanel:
    """``100 Phi(z)`` of a clipped z, in its own panel."""
    from regime_pipeline.numerics.probability import phi  # scipy: not at import of the definitions

    phi(z, out=z)
    z *= 100.0
    return z


def direction_of(score: FloatPanel) -> npt.NDArray[np.object_]:
    """BULLISH from 55, BEARISH to 45, NEUTRAL between; None where the score is null."""
    out = np.full(score.shape, "NEUTRAL", dtype=object)
    out[score >= BULLISH_FROM] = "BULLISH"
    out[score <= BEARISH_TO] = "BEARISH"
    out[~np.isfinite(score)] = None
    return out


def direction_text(score: FloatPanel) -> pd.Series:
    """:func:`direction_of` as the text column of a long frame."""
    code = np.where(score >= BULLISH_FROM, 0, np.where(score <= BEARISH_TO, 2, 1))
    return text_of(np.where(np.isfinite(score), code, -1), DIRECTIONS)


def strength_of(score: FloatPanel) -> FloatPanel:
    """Distance from neutral: ``|score - 50| / 50``."""
    return np.abs(score - 50.0) / 50.0


def worst_tier(tier: FloatPanel, window: int) -> FloatPanel:
    """The highest source tier among the last ``window`` slots; NaN where none has one."""
    hours = np.arange(len(tier))[:, None]
    out = np.full(tier.shape, np.nan)
    for level in np.unique(tier[np.isfinite(tier)]):
        seen = np.maximum.accumulate(np.where(tier == level, hours, -window), axis=0)
        out[hours - seen < window] = level  # ascending: a worse level overwrites
    return out


def text_of(codes: npt.NDArray[np.integer], names: Sequence[str]) -> pd.Series:
    """A panel of codes as the text column of a long frame (symbol by symbol); negative is null.

    Taken from the few texts there are: turning an object array into text costs ten times as much.
    """
    lookup = pd.array([*names, None], dtype="str")
    flat = np.ascontiguousarray(codes.T).reshape(-1).astype(np.intp)
    return pd.Series(lookup.take(np.where(flat < 0, len(names), flat)))


def names_text(flags: Mapping[str, npt.NDArray[np.bool_]], separator: str) -> pd.Series:
    """The names of the flags that are set in each cell, in their order; null where none is.

    Args:
        flags: by name, hours x symbols, at most 62.
        separator: between two names.
    """
    pattern = np.bitwise_or.reduce(
        [flag.astype(np.int64) << bit for bit, flag in enumerate(flags.values())]
    )
    # equal cells are worded once
    patterns, which = np.unique(pattern.reshape(-1), return_inverse=True)
    texts = [
        separator.join(name for bit, name in enumerate(flags) if p >> bit & 1)
        for p in patterns.tolist()
    ]
    return text_of(np.where(pattern == 0, -1, which.reshape(pattern.shape)), texts)
