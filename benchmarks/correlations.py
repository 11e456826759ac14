"""Pairwise correlations: ours against pandas and polars on the same definitions.

Lines ``{bench, case, ours_s, other_s, ratio, max_abs_diff, rss_mb}``; ``ratio`` is ours / other, as in
the other benchmarks. Both sides agree within ``TOLERANCE`` or the benchmark fails. Each case runs in
a process of its own, so that its memory is its own.

``pearson`` compares corr_7d and corr_30d_base over the whole stretch with the libraries' rolling
correlation, which update running sums; ours put every window together from two parts around a border
of absolute time, which makes a value independent of where a computation began. ``spearman`` compares
the two rank coefficients, ranks within each window, which no library rolls: pandas correlates the rows
of every window, polars aggregates them by ``rolling().agg(corr(method="spearman"))``; a sample of
hours, since a year of it takes hours. ``tick`` lines have no other side: what one hour costs for 8 and
100 symbols.

Polars is not a dependency; where it is absent its lines say that they were skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
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
from regime_pipeline.correlation.market_structure import structures
from regime_pipeline.correlation.pair_signals import pair_signals
from regime_pipeline.numerics import pairwise
from regime_pipeline.numerics.ranks import rolling_spearman
from regime_pipeline.settings import CorrelationParams, PairParams
from regime_pipeline.windows import HOUR, Grid, Window, hours_between, utc

NAME = "correlations"
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
    now, _ = pairwise.rolling_pearson(x, CURRENT, CURRENT_MIN, 0, first)
    base, _ = pairwise.rolling_pearson(x[:, :-CURRENT], BASE, BASE_MIN, 0, first - CURRENT)
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
            pl.rolling_corr(a, b, window_size=w, min_samples=m).alias(f"{a}{b}/{w}")
            for w, m in ((CURRENT, CURRENT_MIN), (BASE, BASE_MIN))
            for a, b in names
        )
    ).collect()
    now = np.array([found[f"{a}{b}/{CURRENT}"].to_numpy()[first:] for a, b in names])
    base = [found[f"{a}{b}/{BASE}"].to_numpy()[first - CURRENT : -CURRENT] for a, b in names]
    return now, np.array(base)


def ours_ranked(x: np.ndarray, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """Both Spearman coefficients of the last ``hours`` rows, (P, hours)."""
    length = x.shape[1]
    now, _ = rolling_spearman(x, CURRENT, CURRENT_MIN, length - hours, length)
    stop = length - CURRENT
    return now, rolling_spearman(x, BASE, BASE_MIN, stop - hours, stop)[0]


def pandas_ranked(x: np.ndarray, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, by ``DataFrame.corr`` of every window."""
    frame = pd.DataFrame(x.T)
    upper = np.triu_indices(len(x), 1)
    out = []
    for window, stop in ((CURRENT, len(frame)), (BASE, len(frame) - CURRENT)):
        found = [
            frame.iloc[t - window + 1 : t + 1].corr(method="spearman").to_numpy()[upper]
            for t in range(stop - hours, stop)
        ]
        out.append(np.array(found).T)
    return out[0], out[1]


def polars_ranked(x: np.ndarray, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, by one aggregation over rolling windows."""
    import polars as pl

    names = [(f"s{a}", f"s{b}") for a, b in combinations(range(len(x)), 2)]
    out = []
    for window, stop in ((CURRENT, x.shape[1]), (BASE, x.shape[1] - CURRENT)):
        part = x[:, stop - hours - window + 1 : stop]
        frame = pl.DataFrame({f"s{i}": row for i, row in enumerate(part)}).with_row_index("t")
        found = (
            frame.with_columns(pl.col("t").cast(pl.Int64))
            .rolling("t", period=f"{window}i")
            .agg(*(pl.corr(a, b, method="spearman").alias(a + b) for a, b in names))
        )
        out.append(np.array([found[a + b].to_numpy()[-hours:] for a, b in names]))
    return out[0], out[1]


SIDES: dict[str, tuple[Any, dict[str, Any]]] = {
    "pearson": (ours, {"pandas": with_pandas, "polars": with_polars}),
    "spearman": (ours_ranked, {"pandas": pandas_ranked, "polars": polars_ranked}),
}


def _timed(function: Any, *args: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = function(*args)
    return time.perf_counter() - begin, found


def line(name: str, case: str, **figures: Any) -> None:
    """Print one figure; differences of 1e-14 aren't rounded away."""
    record = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figures.items()}
    sys.stdout.write(json.dumps({"bench": name, "case": case} | record) + "\n")
    sys.stdout.flush()


def _rss_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def compare(what: str, other: str, symbols: int, hours: int, *sample: int) -> None:
    """One line: ours against a library, equal within the tolerance or an error."""
    case = f"{what}, {other}, {symbols} symbols x {sample[0] if sample else hours} h"
    if importlib.util.find_spec(other) is None:
        line(NAME, case, skipped=f"{other} is not installed")
        return
    mine, others = SIDES[what]
    mine(returns_of(3, CURRENT + BASE + 8), *(min(s, 4) for s in sample))  # compile
    x = returns_of(symbols, hours)
    theirs_s, theirs = _timed(others[other], x, *sample)
    ours_s, found = _timed(mine, x, *sample)
    worst = max(float(np.max(np.abs(a - b))) for a, b in zip(found, theirs, strict=True))
    if not worst <= TOLERANCE:
        raise SystemExit(f"{case}: the two differ by {worst}, more than {TOLERANCE}")
    line(
        NAME,
        case,
        ours_s=ours_s,
        other_s=theirs_s,
        ratio=ours_s / theirs_s,
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
        line(
            NAME,
            f"tick {name}, {symbols} symbols, {decoupled} decoupled, {hours} h",
            ours_s=seconds,
            us_per_pair_hour=round(1e6 * seconds / cells, 1),
            us_per_symbol_hour=round(1e6 * seconds / (symbols * hours), 1),
            rss_mb=_rss_mb(),
        )


QUICK = (
    *(("compare", "pearson", other, 8, 8_760) for other in ("pandas", "polars")),
    *(("compare", "spearman", other, 8, 1_200, 48) for other in ("pandas", "polars")),
    ("tick", 8, 0),
    ("tick", 100, 0),
)
FULL = (
    *(("compare", "pearson", other, 8, 43_800) for other in ("pandas", "polars")),
    *(("compare", "pearson", other, 100, 8_760) for other in ("pandas", "polars")),
    ("compare", "spearman", "pandas", 100, 1_200, 24),  # polars needs minutes for it
    ("tick", 8, 2),
    ("tick", 8, 0, 24),
    ("tick", 100, 5),
    ("tick", 100, 0, 24),
)


def run(*, full: bool = False) -> None:
    """Run the cases, each in a process of its own."""
    for case in (*QUICK, *(FULL if full else ())):
        command = [sys.executable, "-m", "benchmarks.correlations", "--case", json.dumps(case)]
        subprocess.run(command, check=True)


def main() -> None:
    """``python -m benchmarks.correlations [--full]``."""
    parser = argparse.ArgumentParser(prog="benchmarks.correlations")
    parser.add_argument("--full", action="store_true", help="8 x 5 years, 100 x 1 year and more")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        name, *rest = json.loads(chosen.case)
        {"compare": compare, "tick": tick}[name](*rest)
    else:
        run(full=chosen.full)


if __name__ == "__main__":
    main()
