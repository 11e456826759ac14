"""The state machine behind the primary regime and its confirmation, and how labels go together.

Belongs here: the compiled loops only; the meaning is in ``timeframe_regimes``. Importing this module
imports numba.

Every row is decided by a machine of its own that starts fresh ``lookback`` rows earlier, from the raw
primary of its first row, ready to announce. Two shortcuts keep that exact and quick: the primary is
the label of the last completed run of equal raw labels, found by walking back; the whole machine runs
only in rows that could be confirmed at all.
"""

from __future__ import annotations

import numpy as np

from regime_pipeline.numerics.compiled import kernel


@kernel
def _primary(raw, first, h, restart_after, confirmations):  # type: ignore[no-untyped-def]
    """State after row ``h`` of a machine that started at ``first``; ``raw[h]`` is not null."""
    label = raw[h]
    length = 1
    oldest = label
    nulls = 0
    i = h - 1
    while length < confirmations and i >= first:
        v = raw[i]
        if v < 0:
            nulls += 1
            label, length = -1, 0
            if nulls > restart_after:
                break
        else:
            nulls = 0
            oldest = v
            if v == label:
                length += 1
            else:
                label, length = v, 1
        i -= 1
    return label if length >= confirmations else oldest


@kernel
def _confirmation(raw, group, first, h, restart_after, confirmations):  # type: ignore[no-untyped-def]
    """0 not confirmed at row ``h``, 1 confirmed, 2 confirmed and announced there."""
    state, pending, streak, nulls = -1, -1, 0, 0
    armed = True
    agreed = -1
    result = 0
    for i in range(first, h + 1):
        v = raw[i]
        result = 0
        if v < 0:
            nulls += 1
            pending, streak, agreed = -1, 0, -1
            if nulls > restart_after:
                state = -1
            continue
        nulls = 0
        if state < 0:
            state, pending, streak, armed = v, -1, 0, True
        elif v == state:
            pending, streak = -1, 0
        else:
            streak = streak + 1 if v == pending else 1
            pending = v
            if streak >= confirmations:
                state, pending, streak, armed = v, -1, 0, True
        agrees = state if group[i] == state else -1
        if agrees >= 0 and agrees == agreed:
            result = 2 if armed else 1
            armed = False
        agreed = agrees
    return result


@kernel
def run(raw, group, lookback, restart_after, confirmations, primary_out, confirmed_out):  # type: ignore[no-untyped-def]
    """Decide every row; arrays are columns x hours of small integers, -1 null.

    Args:
        raw: raw primary label.
        group: label that enough frames share and that can be confirmed, else -1.
        lookback: rows that a machine sees, the current one included.
        restart_after: a longer stretch of nulls restarts it.
        confirmations: rows in a row that make a new primary.
        primary_out: the primary.
        confirmed_out: -1 null, 0 no, 1 confirmed, 2 confirmed and announced.
    """
    columns, length = raw.shape
    for s in range(columns):
        for h in range(length):
            primary_out[s, h] = -1
            confirmed_out[s, h] = -1
            if raw[s, h] < 0:
                continue
            first = max(0, h - lookback + 1)
            primary = _primary(raw[s], first, h, restart_after, confirmations)
            primary_out[s, h] = primary
            confirmed_out[s, h] = 0
            if group[s, h] == primary and h > first and group[s, h - 1] == primary:
                confirmed_out[s, h] = _confirmation(
                    raw[s], group[s], first, h, restart_after, confirmations
                )


@kernel
def _count(signs, known, h, by, sums):  # type: ignore[no-untyped-def]
    """Take the labels of a row into the sums of every pair of frames, or out of them (``by`` -1)."""
    pair = -1
    for i in range(len(signs)):
        for j in range(i):
            pair += 1
            for c in range(signs.shape[2]):
                both = by * known[i, h, c] * known[j, h, c]
                a, b = signs[i, h, c], signs[j, h, c]
                sums[pair, 0, c] += both
                sums[pair, 1, c] += both * a
                sums[pair, 2, c] += both * b
                sums[pair, 3, c] += both * a * a
                sums[pair, 4, c] += both * b * b
                sums[pair, 5, c] += both * a * b


@kernel
def shared_votes(signs, known, first, window, least, out):  # type: ignore[no-untyped-def]
    """Twice the sum of the squared correlations of the frames that have a label in a row.

    Whole numbers until the last step, so a sum is the same wherever it began.

    Args:
        signs: 1, -1 or 0, frames x hours x columns.
        known: 1 where the frame has a label, else 0.
        first: first row wanted.
        window: rows before a row over which its correlations are taken.
        least: fewer common rows, or a side that never changed, give NaN.
        out: rows from ``first`` on x columns.
    """
    frames, length, columns = signs.shape
    sums = np.zeros((frames * (frames - 1) // 2, 6, columns))
    start = max(0, first - window)
    for h in range(start, length):
        if h >= first:
            out[h - first] = 0.0
            pair = -1
            for i in range(frames):
                for j in range(i):
                    pair += 1
                    for c in range(columns):
                        if known[i, h, c] * known[j, h, c] == 0:
                            continue
                        n, sa, sb = sums[pair, 0, c], sums[pair, 1, c], sums[pair, 2, c]
                        spread = (n * sums[pair, 3, c] - sa * sa) * (n * sums[pair, 4, c] - sb * sb)
                        cross = n * sums[pair, 5, c] - sa * sb
                        usable = n >= least and spread > 0.0
                        out[h - first, c] += 2.0 * (cross * cross / spread) if usable else np.nan
        _count(signs, known, h, np.int64(1), sums)
        if h - window >= start:
            _count(signs, known, h - window, np.int64(-1), sums)
