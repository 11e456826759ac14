"""What signals are worth on recorded history, and what the verdicts do where the truth is known.

``python -m benchmarks research`` prints the tables of docs/research.md as JSON; ``python -m
benchmarks.research`` as Markdown. ``REGIME_MARKET_HISTORY`` names the folder of recorded history; without
one it says so and does nothing. Belongs here: passports of recorded scores at the end of 2024; made scores
beside recorded returns: false verdicts, power, the best of fifty variants. Does not belong here: any
statistic.

Made scores are autoregressive (.97 an hour) and alike across coins (.7) unless they are called own. One
that knows something is mixed with the return that follows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter

from benchmarks.common import line, markdown
from benchmarks.signal_history import PARAMS, said
from benchmarks.worlds import RECORDED, History, recorded
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.price_structure import price_structure
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.numerics.panel import to_panel
from regime_pipeline.research.bounds import critical, effective
from regime_pipeline.research.information import Coefficient, Pairs, Ranked, pooled
from regime_pipeline.research.passports import daily, judged, passports
from regime_pipeline.windows import DAY, Grid, Window

NAME = "research"
HOURS = 180 * 24
MEMORY, ALIKE = 0.97, 0.7
VARIANTS = 50
KNOWN_IC = 0.05
LOOKS = 63

Floats = npt.NDArray[np.float64]


def worth(folder: Path, history: History) -> pd.DataFrame:
    """The passports at the end of recorded history: all symbols together, every horizon."""
    found = said(history, folder)
    perp = history.candles_1h[history.candles_1h["market"] == "perp"]
    grid = Grid.of(Window(RECORDED.end - DAY, RECORDED.end), history.symbols)
    whole = Grid.of(RECORDED, history.symbols)
    rows = passports(
        found.components,
        found.confluence,
        found.futures,
        price_structure(perp, grid=whole),
        perp,
        volatility_regimes(history.candles_1h, grid=whole, params=PARAMS.volatility),
        empty(table("market.order_book_1h")),
        empty(table("signals.trials")),
        empty(table("signals.trial_days")),
        grid=grid,
        signal_params=PARAMS.signals,
        futures_params=PARAMS.futures,
    )
    shown = (rows["passport_kind"] == "pooled") & (rows["passport_regime"] == "*")
    return rows[shown & rows["ic"].notna()].reset_index(drop=True)


def log_closes(history: History) -> Floats:
    """Of the perpetuals, symbols x hours; gaps stay null."""
    perp = history.candles_1h[history.candles_1h["market"] == "perp"]
    close = to_panel(perp, Grid.of(RECORDED, history.symbols), ["close"])["close"]
    return np.log(np.ascontiguousarray(close.T))


class Bench:
    """Recorded returns of a random half year, and made scores beside them.

    Args:
        log_close: symbols x hours.
        horizon_h: of the returns.
        seed: of the span and of the scores.
        hours: of the span, half a year by default.
    """

    def __init__(self, log_close: Floats, horizon_h: int, seed: int, hours: int = HOURS) -> None:
        self.rng = np.random.default_rng(seed)
        first = int(self.rng.integers(0, log_close.shape[1] - hours - horizon_h))
        own = log_close[:, first : first + hours + horizon_h]
        self.horizon_h = horizon_h
        self.returns = Ranked(own[:, horizon_h:] - own[:, :hours])
        self.hours = np.arange(hours)

    def scores(self, alike: float) -> Floats:
        """Scores of noise, each with a deviation of 1."""
        shape = self.returns.panel.shape
        steps = np.sqrt(alike) * self.rng.standard_normal((1, shape[1] + 500))
        steps = steps + np.sqrt(1 - alike) * self.rng.standard_normal((shape[0], shape[1] + 500))
        made = lfilter([np.sqrt(1 - MEMORY**2)], [1.0, -MEMORY], steps, axis=1)
        return made[:, 500:]

    def knowing(self, scores: Floats, ic: float) -> Floats:
        """The scores, mixed with the ranks of what follows."""
        after = self.returns.within(self.returns.there)
        return ic * np.nan_to_num(after) + np.sqrt(1 - ic**2) * scores

    def coefficient(self, scores: Floats) -> Coefficient:
        """Of scores and what followed."""
        return pooled(Pairs.of(scores, self.returns), self.horizon_h)


def verdict_rates(
    log_close: Floats, horizon_h: int, runs: int, ic: float, alike: float
) -> dict[str, float]:
    """How often scores that know ``ic`` are VALID by a single look's interval and by the bound."""
    raw = bound = 0
    errors = []
    for seed in range(runs):
        bench = Bench(log_close, horizon_h, seed)
        found = bench.coefficient(bench.knowing(bench.scores(alike), ic))
        raw += found.ic > 1.96 * found.se
        bound += found.ic > critical(found.n) * found.se
        errors.append(found.se)
    return {"raw": raw / runs, "bound": bound / runs, "se": float(np.mean(errors))}


def best_of_many(log_close: Floats, horizon_h: int, runs: int, shared: float) -> dict[str, float]:
    """How often the best of fifty scores of noise is VALID.

    Args:
        log_close: symbols x hours.
        horizon_h: of the returns.
        runs: how many fifties.
        shared: share of a variant's variance that all variants have in common.
    """
    raw = bound = 0
    counts = []
    for seed in range(runs):
        bench = Bench(log_close, horizon_h, seed)
        base = bench.scores(ALIKE)
        found, days = [], []
        for _ in range(VARIANTS):
            own = np.sqrt(shared) * base + np.sqrt(1 - shared) * bench.scores(ALIKE)
            found.append(bench.coefficient(own))
            days.append(daily(found[-1].influence, bench.hours)[0])
        trials = effective(np.stack(days))
        counts.append(trials)
        raw += any(f.ic > 1.96 * f.se for f in found)
        bound += any(judged(f, trials)[1] == "VALID" for f in found)
    return {"raw": raw / runs, "bound": bound / runs, "trials_eff": float(np.mean(counts))}


def read_often(log_close: Floats, horizon_h: int, runs: int) -> dict[str, float]:
    """How often noise is VALID at any of 63 looks from day 80 to day 700."""
    raw = bound = 0
    errors = []
    days = np.linspace(80, 700, LOOKS).astype(int)
    for seed in range(runs):
        bench = Bench(log_close, horizon_h, seed, hours=int(days[-1]) * 24)
        scores = bench.scores(ALIKE)
        looks = [
            pooled(Pairs.of(scores[:, :n], bench.returns.panel[:, :n]), horizon_h)
            for n in 24 * days
        ]
        raw += any(f.verdict()[0] == "VALID" for f in looks)
        bound += any(judged(f, 1.0)[1] == "VALID" for f in looks)
        errors.append(looks[-1].se)
    return {"raw": raw / runs, "bound": bound / runs, "se": float(np.mean(errors))}


def rates(log_close: Floats, runs: int, fifties: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Every row of the table of verdicts, as (case, shares)."""
    for h in (1, 4, 24):
        yield f"noise, {h} h", verdict_rates(log_close, h, runs, 0.0, ALIKE)
        yield f"knows .05, {h} h", verdict_rates(log_close, h, runs, KNOWN_IC, ALIKE)
        yield f"knows .05, own scores, {h} h", verdict_rates(log_close, h, runs, KNOWN_IC, 0.0)
    yield "noise read 63 times, 24 h", read_often(log_close, 24, fifties)
    yield "best of 50, independent, 24 h", best_of_many(log_close, 24, fifties, 0.0)
    yield "best of 50, alike (.9), 24 h", best_of_many(log_close, 24, fifties, 0.9)


def folder_of(name: str) -> Path | None:
    """Recorded history; None, with a word of whoever asks, where there is none."""
    named = os.environ.get("REGIME_MARKET_HISTORY", "")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data" / "market"
    if (folder / "candles_1h.parquet").is_file():
        return folder
    sys.stderr.write(f"{name}: no recorded history in {folder}: nothing is reproduced\n")
    return None


def run() -> None:
    """Print the figures."""
    _each(
        lambda row: line(NAME, f"{row['signal']} {row['horizon_h']} h", **_short(row)),
        lambda case, shares: line(NAME, case, **shares),
    )


def _short(row: pd.Series) -> dict[str, Any]:
    names = ("ic", "ic_se", "ic_hours_eff", "hit_rate", "quantile_spread_bps", "net_spread_bps")
    return {n: float(row[n]) for n in names} | {
        "crit": float(row["crit"]),
        "verdict": row["verdict"],
    }


def _each(
    signal: Callable[[pd.Series], None], case: Callable[[str, dict[str, float]], None]
) -> None:
    folder = folder_of(NAME)
    if folder is None:
        return
    history = recorded(folder)
    for _, row in worth(folder, history).iterrows():
        signal(row)
    for name, shares in rates(log_closes(history), runs=200, fifties=100):
        case(name, shares)


def main() -> None:
    """Print the tables of docs/research.md."""
    signals: list[dict[str, str]] = []
    cases: list[dict[str, str]] = []

    def signal(row: pd.Series) -> None:
        low, high = (row["ic"] + z * row["ic_se"] for z in (-1.96, 1.96))
        signals.append(
            {
                "signal": row["signal"],
                "h": str(row["horizon_h"]),
                "IC [95 %]": f"{row['ic']:+.3f} [{low:+.3f}, {high:+.3f}]",
                "independent hours": f"{row['ic_hours_eff']:.0f}",
                "spread, net (bps)": f"{row['quantile_spread_bps']:+.1f}, {row['net_spread_bps']:+.1f}",
                "verdict": row["verdict"],
            }
        )

    def case(name: str, shares: dict[str, float]) -> None:
        shown = {"VALID by 1.96": f"{shares['raw']:.1%}", "by the bound": f"{shares['bound']:.1%}"}
        other = f"se {shares['se']:.3f}" if "se" in shares else f"{shares['trials_eff']:.1f} trials"
        cases.append({"scores": name, **shown, "": other})

    _each(signal, case)
    for rows in (signals, cases):
        if rows:
            sys.stdout.write(markdown(pd.DataFrame(rows)) + "\n\n")


if __name__ == "__main__":
    main()
