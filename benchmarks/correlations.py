"""Pairwise correlations: ours against pandas and polars rolling windows on the same definitions.

Prints JSON lines ``{bench, case, ours_s, other_s, ratio, max_abs_diff, rss_mb}``; ``ratio`` is
other / ours. Every comparison first checks that both agree within ``TOLERANCE``; a difference is an
error, not a line. Each case runs in a process of its own, so that its memory is its own.

The rolling libraries offer Pearson over rows of a window; a Spearman of windows (ranks within each
window), a test against a pair's own lagged tests and episodes have no rolling expression in either,
so what is compared is ``corr_7d`` and ``corr_30d_base``. ``tick`` lines have no other side: they say
what the whole table costs for one hour, for 8 and for 100 symbols, and the cost per pair.

Polars is not a dependency; where it is absent its lines say so and are skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from datetime import timedelta
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from regime_pipeline.correlation import asset_correlations as correlation
from regime_pipeline.correlation import kernels
from regime_pipeline.correlation.market_structure import structures
from regime_pipeline.correlation.pair_signals import pair_signals
from regime_pipeline.settings import CorrelationParams, PairParams
from regime_pipeline.windows import HOUR, Grid, Window, hours_between, utc

TOLERANCE = 1e-9
START = utc("2020-01-01")
CURRENT, CURRENT_MIN = correlation.CURRENT, correlation.CURRENT_MIN
BASE, BASE_MIN = correlation.BASE, correlation.BASE_MIN


def returns_of(symbols: int, hours: int) -> np.ndarray:
    """Fat-tailed one-factor returns, (S, T)."""
    rng = np.random.default_rng(0)
    x = rng.standard_t(4, size=(1, hours)) + 0.8 * rng.standard_t(4, size=(symbols, hours))
    return 0.004 * x


def candles_of(symbols: int, hours: int, *, decoupled: int = 0) -> tuple[pd.DataFrame, list[str]]:
    """Long spot candles; ``decoupled`` symbols lose the common factor for the last four days."""
    x = returns_of(symbols, hours)
    if decoupled:
        x[:decoupled, -96:] = 0.004 * np.random.default_rng(1).standard_t(4, size=(decoupled, 96))
    names = [f"C{i:03d}/USDT" for i in range(symbols)]
    index = hours_between(START, START + timedelta(hours=hours))
    frame = pd.DataFrame(
        {
            "symbol": pd.Series(names, dtype="str").repeat(hours).reset_index(drop=True),
            "ts": index.take(np.tile(np.arange(hours), symbols)),
            "close": 100 * np.exp(x.cumsum(axis=1)).ravel(),
        }
    )
    frame["market"] = pd.Series("spot", index=frame.index, dtype="str")
    frame["source_tier"] = pd.array(np.ones(len(frame), np.int64), dtype="Int64")
    return frame, names


def ours(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both coefficients, (P, T - CURRENT - BASE + 1)."""
    first = CURRENT + BASE - 1
    now, _ = kernels.rolling_pearson(x, CURRENT, CURRENT_MIN, first)
    base, _ = kernels.rolling_pearson(x[:, :-CURRENT], BASE, BASE_MIN, first - CURRENT)
    return now, base


def with_pandas(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, by ``Series.rolling().corr()`` of every pair."""
    frame = pd.DataFrame(x.T)
    first = CURRENT + BASE - 1
    now, base = [], []
    for a, b in combinations(range(len(x)), 2):
        left, right = frame[a], frame[b]
        now.append(left.rolling(CURRENT, min_periods=CURRENT_MIN).corr(right).to_numpy()[first:])
        lagged = left.rolling(BASE, min_periods=BASE_MIN).corr(right).to_numpy()
        base.append(lagged[first - CURRENT : -CURRENT])
    return np.array(now), np.array(base)


def with_polars(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, by ``polars.rolling_corr`` of every pair in one lazy query."""
    import polars as pl

    frame = pl.DataFrame({f"s{i}": row for i, row in enumerate(x)}).lazy()
    names = [(f"s{a}", f"s{b}") for a, b in combinations(range(len(x)), 2)]
    first = CURRENT + BASE - 1
    found = frame.select(
        *(
            pl.rolling_corr(a, b, window_size=w, min_samples=m, ddof=1).alias(f"{a}{b}/{w}")
            for w, m in ((CURRENT, CURRENT_MIN), (BASE, BASE_MIN))
            for a, b in names
        )
    ).collect()
    now = np.array([found[f"{a}{b}/{CURRENT}"].to_numpy()[first:] for a, b in names])
    base = [found[f"{a}{b}/{BASE}"].to_numpy()[first - CURRENT : -CURRENT] for a, b in names]
    return now, np.array(base)


OTHERS = {"pandas": with_pandas, "polars": with_polars}


def _timed(function: Any, *args: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = function(*args)
    return time.perf_counter() - begin, found


def _rss_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _line(**values: Any) -> None:
    print(json.dumps({"bench": "correlations", **values}), flush=True)


def compare(other: str, symbols: int, hours: int) -> None:
    """One line: ours against a library, equal within the tolerance or an error."""
    case = f"{other} {symbols} symbols x {hours} h"
    if importlib.util.find_spec(other) is None:
        _line(case=case, skipped=f"{other} is not installed")
        return
    ours(returns_of(3, CURRENT + BASE + 8))  # compile
    x = returns_of(symbols, hours)
    theirs_s, theirs = _timed(OTHERS[other], x)
    ours_s, mine = _timed(ours, x)
    worst = max(float(np.max(np.abs(a - b))) for a, b in zip(mine, theirs, strict=True))
    if not worst <= TOLERANCE:
        raise SystemExit(f"{case}: the two differ by {worst}, more than {TOLERANCE}")
    _line(
        case=case,
        ours_s=round(ours_s, 4),
        other_s=round(theirs_s, 4),
        ratio=round(theirs_s / ours_s, 2),
        max_abs_diff=worst,
        rss_mb=_rss_mb(),
    )


def tick(symbols: int, decoupled: int, hours: int = 1) -> None:
    """Lines for the hour: the table of pairs, the day's matrix, pair signals; per pair and hour."""
    candles, names = candles_of(symbols, 303 * 24, decoupled=decoupled)
    end = START + timedelta(hours=303 * 24)
    grid = Grid.of(Window(end - hours * HOUR, end), names)
    jobs = {
        "asset_correlations": lambda: correlation.correlations(
            candles, grid=grid, params=CorrelationParams()
        ),
        "matrix, structure, lead-lag": lambda: structures(candles, grid=grid),
        "pair_signals": lambda: pair_signals(candles, grid=grid, params=PairParams()),
    }
    cells = symbols * (symbols - 1) // 2 * hours
    for name, job in jobs.items():
        job()  # compile
        seconds = min(_timed(job)[0] for _ in range(3))
        _line(
            case=f"tick {name}, {symbols} symbols, {decoupled} decoupled, {hours} h",
            ours_s=round(seconds, 4),
            us_per_pair_hour=round(1e6 * seconds / cells, 1),
            us_per_symbol_hour=round(1e6 * seconds / (symbols * hours), 1),
            rss_mb=_rss_mb(),
        )


CASES = {
    "quick": [
        ("compare", "pandas", 8, 8_760),
        ("compare", "polars", 8, 8_760),
        ("tick", 8, 0),
        ("tick", 100, 0),
    ],
    "full": [
        *(("compare", other, 8, 43_800) for other in OTHERS),
        *(("compare", other, 100, 8_760) for other in OTHERS),
        *(("tick", *case) for case in ((8, 0), (8, 2), (100, 0), (100, 5), (100, 0, 24))),
    ],
}


def main(arguments: list[str] | None = None) -> None:
    """Run all cases, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.correlations", description=__doc__)
    parser.add_argument("--full", action="store_true", help="8 x 5 years and 100 x 1 year")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.case:
        name, *rest = json.loads(chosen.case)
        {"compare": compare, "tick": tick}[name](*rest)
        return
    for case in CASES["full" if chosen.full else "quick"]:
        command = [sys.executable, "-m", "benchmarks.correlations", "--case", json.dumps(case)]
        subprocess.run(command, check=True, env=os.environ)


if __name__ == "__main__":
    main()
