"""Status and reason of every cell of a score's panel, and of rows that hold several scores.

Belongs here: how a score says that and why it is not whole. Does not belong here: any single score.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.fields.common import STATUSES
from regime_pipeline.numerics.conventions import CodePanel, FloatPanel
from regime_pipeline.signals.scores import text_of

OK, PARTIAL, STALE, MISSING, SHORT, NOT_APPLICABLE = range(6)
"""Places in ``STATUSES`` of what a score can be."""

Flags = npt.NDArray[np.bool_]


class Verdicts:
    """Status and reason of every cell; a later :meth:`set` overrules an earlier one.

    Attributes:
        status: places in ``STATUSES``.
        reason: places in ``reasons``, -1 where there is nothing to explain.
        reasons: the reasons given so far.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.status: CodePanel = np.full(shape, OK, dtype=np.int8)
        self.reason: CodePanel = np.full(shape, -1, dtype=np.int8)
        self.reasons: list[str] = []

    def set(self, where: Flags, status: int, reason: str) -> None:
        """Say of the cells ``where`` that they have this status for this reason."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.status[where] = status
        self.reason[where] = self.reasons.index(reason)

    @property
    def usable(self) -> Flags:
        """Cells that may carry a value."""
        return self.status <= PARTIAL

    def only_usable(self, values: FloatPanel) -> FloatPanel:
        """The panel itself, null now in every cell that may not carry a value."""
        values[~self.usable] = np.nan
        return values

    def last(self, rows: int) -> Verdicts:
        """The last rows of the panels."""
        out = Verdicts((0,))
        out.status = self.status[len(self.status) - rows :]
        out.reason = self.reason[len(self.reason) - rows :]
        out.reasons = self.reasons
        return out

    def status_text(self) -> pd.Series:
        """Status of every row of the long frame."""
        return text_of(self.status, STATUSES)

    def reason_text(self) -> pd.Series:
        """Reason of every row of the long frame; null where the status is ok."""
        return text_of(self.reason, self.reasons)


def together(parts: Mapping[str, Verdicts]) -> tuple[pd.Series, pd.Series]:
    """Status and reason of rows that hold several scores.

    ``ok`` when every part is ok or not applicable, ``partial`` when at least one part has a value,
    else ``insufficient_history`` when that is the trouble of any part, else ``missing``; the reason
    names every part that is not ok with its own.
    """
    shape = next(iter(parts.values())).status.shape
    whole = np.ones(shape, dtype=bool)
    some, short = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    pattern = np.zeros(shape, dtype=np.int64)
    for part in parts.values():
        told = np.where(part.status == NOT_APPLICABLE, -1, part.reason)
        whole &= told < 0
        some |= part.usable
        short |= part.status == SHORT
        pattern = pattern * (len(part.reasons) + 1) + (told + 1)
    # equal rows are worded once
    patterns, which = np.unique(pattern.reshape(-1), return_inverse=True)
    texts = [_worded(int(p), parts) for p in patterns]
    code = np.where(short, SHORT, MISSING)
    code[some] = PARTIAL
    code[whole] = OK
    return text_of(code, STATUSES), text_of(np.where(whole, -1, which.reshape(shape)), texts)


def _worded(pattern: int, parts: Mapping[str, Verdicts]) -> str:
    out: list[str] = []
    for name, part in reversed(list(parts.items())):
        pattern, code = divmod(pattern, len(part.reasons) + 1)
        if code:
            out.append(f"{name}: {part.reasons[code - 1]}")
    return "; ".join(reversed(out))
