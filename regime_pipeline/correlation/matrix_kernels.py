"""Compiled linear algebra of the correlation matrix: shrinkage, spectrum, clusters, lead-lag.

Belongs here: loops over one matrix. Does not belong here: frames, names of columns.

Own loops instead of LAPACK and BLAS: their last bits depend on the number of threads and on the
machine, ours only on the input. A matrix of a hundred symbols takes tens of milliseconds, once a day.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SWEEPS = 60
_HIGHAM_STEPS = 200


@kernel
def eigen(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues of a symmetric matrix, largest first, and the vectors as rows; cyclic Jacobi."""
    n = matrix.shape[0]
    a = matrix.copy()
    vectors = np.eye(n)
    size = 0.0
    for i in range(n):
        for j in range(n):
            size += a[i, j] * a[i, j]
    for _ in range(_SWEEPS):
        off = 0.0
        for i in range(n):
            for j in range(i + 1, n):
                off += a[i, j] * a[i, j]
        if off <= 1e-30 * size:
            break
        for p in range(n):
            for q in range(p + 1, n):
                if a[p, q] != 0.0:
                    _rotate(a, vectors, p, q)
    values = np.empty(n)
    for i in range(n):
        values[i] = a[i, i]
    order = np.argsort(-values, kind="mergesort")
    return values[order], vectors[order]


@kernel
def _rotate(a: Floats, vectors: Floats, p: int, q: int) -> None:
    theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
    t = 1.0 / (abs(theta) + math.sqrt(theta * theta + 1.0))
    if theta < 0.0:
        t = -t
    c = 1.0 / math.sqrt(t * t + 1.0)
    s = t * c
    n = a.shape[0]
    for k in range(n):
        x, y = a[k, p], a[k, q]
        a[k, p] = c * x - s * y
        a[k, q] = s * x + c * y
    for k in range(n):
        x, y = a[p, k], a[q, k]
        a[p, k] = c * x - s * y
        a[q, k] = s * x + c * y
        x, y = vectors[p, k], vectors[q, k]
        vectors[p, k] = c * x - s * y
        vectors[q, k] = s * x + c * y
    a[p, q] = 0.0
    a[q, p] = 0.0


@kernel
def _assemble(values: Floats, vectors: Floats) -> Floats:
    n = values.size
    out = np.zeros((n, n))
    for k in range(n):
        if values[k] == 0.0:
            continue
        for i in range(n):
            w = values[k] * vectors[k, i]
            for j in range(n):
                out[i, j] += w * vectors[k, j]
    return out


@kernel
def _unit_diagonal(matrix: Floats) -> Floats:
    """Divide rows and columns so that the diagonal is 1; exactly symmetric."""
    n = matrix.shape[0]
    out = np.eye(n)
    for i in range(n):
        for j in range(i + 1, n):
            r = matrix[i, j] / math.sqrt(matrix[i, i] * matrix[j, j])
            out[i, j] = min(1.0, max(-1.0, r))
            out[j, i] = out[i, j]
    return out


@kernel
def nearest_correlation(matrix: Floats) -> Floats:
    """The nearest correlation matrix: Higham 2002, alternating projections with Dykstra's correction.

    Ends with negative eigenvalues cut off and the diagonal drawn back to 1, so that the result has
    no eigenvalue below rounding noise however many steps that took.
    """
    n = matrix.shape[0]
    y = matrix.copy()
    correction = np.zeros((n, n))
    for _ in range(_HIGHAM_STEPS):
        r = y - correction
        values, vectors = eigen(r)
        x = _assemble(np.maximum(values, 0.0), vectors)
        correction = x - r
        change = 0.0
        for i in range(n):
            for j in range(n):
                new = 1.0 if i == j else x[i, j]
                change = max(change, abs(new - y[i, j]))
                y[i, j] = new
        if change < 1e-10:
            break
    values, vectors = eigen(y)
    return _unit_diagonal(_assemble(np.maximum(values, 0.0), vectors))


@kernel
def clip_eigenvalues(matrix: Floats, n_obs: float) -> Floats:
    """Eigenvalues that noise alone explains, replaced by their mean (Laloux et al. 1999).

    The edge is Marchenko-Pastur's (1 + sqrt(N / n_obs))^2; the largest eigenvalue always stays. The
    trace stays, then the diagonal is drawn back to 1.
    """
    n = matrix.shape[0]
    values, vectors = eigen(matrix)
    edge = (1.0 + math.sqrt(n / n_obs)) ** 2
    total = 0.0
    count = 0
    for k in range(1, n):
        if values[k] <= edge:
            total += values[k]
            count += 1
    for k in range(1, n):
        if values[k] <= edge:
            values[k] = max(total / count, 0.0)
    return _unit_diagonal(_assemble(values, vectors))


@kernel
def shrinkage(y: Floats, there: Flags, corr: Floats) -> tuple[float, float]:
    """Ledoit & Wolf 2004: optimal weight of the constant-correlation target, and its correlation.

    Moments of a pair run over the hours that both have; without holes this is the paper's formula.

    Args:
        y: (N, T) returns less their mean, 0 where null.
        there: (N, T) whether a return is there.
        corr: (N, N) sample correlation.

    Returns:
        Weight in [0, 1] (0 where the target is the sample, as for two symbols) and the mean
        off-diagonal correlation.
    """
    n, length = y.shape
    variance = np.zeros(n)
    for i in range(n):
        count = 0
        for t in range(length):
            variance[i] += y[i, t] * y[i, t]
            count += int(there[i, t])
        variance[i] /= count
    target = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            target += corr[i, j]
    target /= n * (n - 1) / 2
    pi, rho, gamma, shared = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        for j in range(i, n):
            scale = math.sqrt(variance[i] * variance[j])
            s = variance[i] if i == j else corr[i, j] * scale
            spread, theta_i, theta_j = 0.0, 0.0, 0.0
            count = 0
            for t in range(length):
                if there[i, t] and there[j, t]:
                    d = y[i, t] * y[j, t] - s
                    spread += d * d
                    theta_i += (y[i, t] * y[i, t] - variance[i]) * d
                    theta_j += (y[j, t] * y[j, t] - variance[j]) * d
                    count += 1
            spread /= count
            if i == j:
                pi += spread
                rho += spread
                continue
            shared += count
            pi += 2.0 * spread
            ratio = math.sqrt(variance[j] / variance[i])
            rho += target * (ratio * theta_i + theta_j / ratio) / count
            gamma += 2.0 * (target * scale - s) ** 2
    shared /= n * (n - 1) / 2
    if gamma <= 1e-24 * pi:
        return 0.0, target
    return min(1.0, max(0.0, (pi - rho) / gamma / shared)), target


@kernel
def cluster(distance: Floats) -> tuple[Ints, Floats, Ints]:
    """Single-linkage tree over the distance of distance columns, and its leaf order (HRP).

    Lopez de Prado 2016. Of equal heights the pair with the alphabetically first members merges
    first, and the branch with the first member is the left one, so that ties have one answer.

    Returns:
        Children (N-1, 2) numbered as usual (leaves 0..N-1, then merges), heights (N-1,), and the
        leaves from left to right (N,).
    """
    n = distance.shape[0]
    d = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            total = 0.0
            for k in range(n):
                e = distance[i, k] - distance[j, k]
                total += e * e
            d[i, j] = math.sqrt(total)
            d[j, i] = d[i, j]
    children = np.empty((n - 1, 2), np.int64)
    heights = np.empty(n - 1)
    alive = np.ones(n, np.bool_)
    number = np.arange(n)
    following = np.full(n, -1, np.int64)
    last = np.arange(n)
    for m in range(n - 1):
        a, b = -1, -1
        best = np.inf
        for i in range(n):
            if not alive[i]:
                continue
            for j in range(i + 1, n):
                if alive[j] and d[i, j] < best:
                    best = d[i, j]
                    a, b = i, j
        children[m, 0] = number[a]
        children[m, 1] = number[b]
        heights[m] = best
        following[last[a]] = b
        last[a] = last[b]
        alive[b] = False
        number[a] = n + m
        for k in range(n):
            d[a, k] = min(d[a, k], d[b, k])
            d[k, a] = d[a, k]
    order = np.empty(n, np.int64)
    at = 0
    for i in range(n):
        order[i] = at
        at = following[at]
    return children, heights, order


# -- lead-lag ---------------------------------------------------------------------------------------


@kernel
def _signs(seed: int, replicate: int, length: int) -> Floats:
    """Fair signs, the same on every machine and library version: splitmix64."""
    out = np.empty(length)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(replicate)
    bits = np.uint64(0)
    for t in range(length):
        if t % 64 == 0:
            state = state + np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            bits = z ^ (z >> np.uint64(31))
            state = z + np.uint64(t + 1)
        out[t] = 1.0 if bits & np.uint64(1) else -1.0
        bits = bits >> np.uint64(1)
    return out


@kernel
def _lagged(z: Floats, sign: Floats, lag: int, scale: Floats, out: Floats) -> None:
    """out[a, b] = scale x sum over t of z[t-lag, a] z[t, b], each hour with its sign."""
    length, n = z.shape
    out[:] = 0.0
    for a in range(n):
        row = out[a]
        for t in range(lag, length):
            w = sign[t] * sign[t - lag] * z[t - lag, a]
            for b in range(n):
                row[b] += w * z[t, b]
        for b in range(n):
            row[b] *= scale[a, b]


@kernel
def _scales(there: Flags, lags: int, min_obs: int) -> Floats:
    """One over the common hours of every ordered pair and lag; 0 unless both directions have enough."""
    length, n = there.shape
    out = np.zeros((lags, n, n))
    for k in range(lags):
        for a in range(n):
            for b in range(n):
                if a == b:
                    continue
                forth, back = 0, 0
                for t in range(k + 1, length):
                    forth += int(there[t - k - 1, a] and there[t, b])
                    back += int(there[t - k - 1, b] and there[t, a])
                if min(forth, back) >= min_obs - k - 1:
                    out[k, a, b] = 1.0 / forth
    return out


@kernel
def lead_lag(
    z: Floats, there: Flags, lags: int, min_obs: int, seed: int, replicates: int, level: float
) -> tuple[Floats, float]:
    """Lagged cross-correlations, and the largest net lead that chance shows.

    The null turns the sign of all symbols of an hour together, at random: the correlation of the
    hour and the clusters of volatility stay as they are, only what one hour says of a later one is
    lost. A plain permutation of hours would break up the clusters and reject too often.

    Args:
        z: (T, N) standardised returns, 0 where null.
        there: (T, N) whether a return is there.
        lags: lags 1 .. lags.
        min_obs: fewer common hours than this less the lag give null.
        seed: any whole number; the same one gives the same signs.
        replicates: sign vectors drawn.
        level: probability that the largest net lead of a world without leads is above the limit.

    Returns:
        corr (lags, N, N), [k-1, a, b] how a leads b by k hours, and the critical value of
        max |corr[k, a, b] - corr[k, b, a]| (NaN when no pair can be judged).
    """
    length, n = z.shape
    scale = _scales(there, lags, min_obs)
    corr = np.full((lags, n, n), np.nan)
    work = np.empty((n, n))
    for k in range(lags):
        _lagged(z, np.ones(length), k + 1, scale[k], work)
        for a in range(n):
            for b in range(n):
                if scale[k, a, b] > 0.0:
                    corr[k, a, b] = work[a, b]
    if scale.max() == 0.0:
        return corr, np.nan
    largest = np.zeros(replicates)
    for r in range(replicates):
        sign = _signs(seed, r, length)
        for k in range(lags):
            _lagged(z, sign, k + 1, scale[k], work)
            for a in range(n):
                for b in range(a + 1, n):
                    largest[r] = max(largest[r], abs(work[a, b] - work[b, a]))
    rank = math.ceil((1.0 - level) * (replicates + 1) - 1e-9)
    return corr, np.sort(largest)[rank - 1]
