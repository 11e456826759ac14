"""The state machine behind the primary regime and its confirmation.

Belongs here: the compiled loop only; the meaning is in ``timeframe_regimes``. Importing this module
imports numba.

Every row is decided by a machine of its own that starts fresh ``lookback`` rows earlier, from the raw
primary of its first row, ready to announce. Two shortcuts keep that exact and quick: the primary is
the label of the last completed run of equal raw labels, found by walking back; the whole machine runs
only in rows that could be confirmed at all.
"""

from __future__ import annotations

import numba


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
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
