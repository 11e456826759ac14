"""Compiled loops behind the confluence: how many signals there really are, and a mean that knows it.

Belongs here: arithmetic of one row. Does not belong here: which rows, frames (``confluence``). Importing
this module imports numba.
"""

from __future__ import annotations

import math

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel


@ieee_kernel
def combine(  # type: ignore[no-untyped-def]  # noqa: C901 - one pass over a row
    scores, expected, weights, matrix_of, matrices, shrink, out
):
    """Fill ``out`` row by row.

    Args:
        scores: (rows, components), NaN is missing.
        expected: (rows, components), whether the component is configured and applicable.
        weights: (components,).
        matrix_of: (rows,) which matrix is the row's, -1 for none.
        matrices: (M, components, components), NaN where a pair is unknown.
        shrink: weight of the identity in the matrix of the decorrelated mean.
        out: (rows, 6): score, alignment, coverage, n_eff, decorrelated score, components present.
    """
    count = scores.shape[1]
    present = np.empty(count, np.int64)
    system = np.empty((count, count + 1))
    for row in range(scores.shape[0]):
        total = 0.0
        mass = 0.0
        lean = 0.0
        due = 0.0
        n = 0
        for c in range(count):
            if expected[row, c]:
                due += weights[c]
            if math.isfinite(scores[row, c]):
                present[n] = c
                n += 1
                total += weights[c] * scores[row, c]
                mass += weights[c]
                lean += weights[c] * np.sign(scores[row, c] - 50.0)
        out[row, 5] = n
        if n == 0 or due <= 0.0:
            continue
        out[row, 0] = min(100.0, max(0.0, total / mass))
        out[row, 1] = min(1.0, abs(lean) / mass)
        out[row, 2] = min(1.0, mass / due)
        if matrix_of[row] < 0:
            continue
        known = matrices[matrix_of[row]]
        square = 0.0
        for i in range(n):
            for j in range(n):
                r = known[present[i], present[j]]
                square += r * r
                system[i, j] = (1.0 - shrink) * r
            system[i, i] += shrink
            system[i, n] = 1.0
        if not math.isfinite(square):
            continue
        out[row, 3] = n * n / square
        if solve(system, n):
            held = 0.0
            total = 0.0
            for i in range(n):
                w = max(0.0, system[i, n])
                held += w
                total += w * scores[row, present[i]]
            if held > 0.0:
                out[row, 4] = min(100.0, max(0.0, total / held))


@ieee_kernel
def solve(a, n):  # type: ignore[no-untyped-def]
    """Solve the symmetric system in place, the right side in column n; False when it is singular."""
    for i in range(n):
        if not a[i, i] > 1e-9:
            return False
        for r in range(i + 1, n):
            factor = a[r, i] / a[i, i]
            for c in range(i, n + 1):
                a[r, c] -= factor * a[i, c]
    for i in range(n - 1, -1, -1):
        for c in range(i + 1, n):
            a[i, n] -= a[i, c] * a[c, n]
        a[i, n] /= a[i, i]
    return True


@ieee_kernel
def partial_correlations(matrix, out):  # type: ignore[no-untyped-def]
    """Correlation of each pair given all others, from a matrix without unknown pairs.

    False, and nothing filled, when the matrix is not positive definite.
    """
    n = matrix.shape[0]
    inverse = np.empty((n, n))
    system = np.empty((n, n + 1))
    for k in range(n):
        for i in range(n):
            for j in range(n):
                system[i, j] = matrix[i, j]
            system[i, n] = 1.0 if i == k else 0.0
        if not solve(system, n):
            return False
        for i in range(n):
            inverse[i, k] = system[i, n]
    for i in range(n):
        for j in range(n):
            r = -inverse[i, j] / math.sqrt(inverse[i, i] * inverse[j, j])
            out[i, j] = min(1.0, max(-1.0, r))
    return True
