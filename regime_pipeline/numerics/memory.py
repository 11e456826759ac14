"""Memory for panels, asked for so that using it costs little.

Belongs here: how new panels are allocated. Does not belong here: what is written into them.

The system hands memory out in pages of 4 kB and spends on each of them, the first time that it is touched,
about as long as a kernel needs for the numbers in it. numpy asks for pages of 2 MB where an array has
4 MB or more; a panel of eight symbols and five years has 2.8 MB.
"""

from __future__ import annotations

import numpy as np

from regime_pipeline.numerics.conventions import FloatPanel

LARGE = 1 << 22
"""Bytes from which numpy asks for large pages."""


def new_panels(count: int, shape: tuple[int, ...]) -> FloatPanel:
    """So many panels of a shape one after the other, not yet written to.

    They lie in one piece of memory. Where that is a little too small for large pages it is asked for
    larger; the rest is never read.
    """
    size = count * int(np.prod(shape))
    room = LARGE // 8 if LARGE // 2 <= 8 * size < LARGE else size
    return np.empty(room)[:size].reshape(count, *shape)
