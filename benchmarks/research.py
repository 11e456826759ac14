"""What signals are worth on recorded history, and what the verdicts do where the truth is known.

``python -m benchmarks research`` prints the tables of docs/research.md as JSON; ``python -m
benchmarks.research`` as Markdown. ``REGIME_MARKET_HISTORY`` names the folder of recorded history; without
one it says so and does nothing. Belongs here: passports, probabilities and paper positions of recorded scores
at the end of 2024; made scores beside recorded returns: false verdicts, power, the best of fifty variants.
Does not belong here: any statistic.

Made scores are autoregressive (.97 an hour) and alike across coins (.7) unless they are called own. One
that knows something is mixed with the return that follows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter

from benchmarks.common import line, markdown
from benchmarks.signal_history import PARAMS, Found, said
from benchmarks.worlds import RECORDED, History, recorded
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.price_structure import price_structure
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.numerics.panel import to_panel
from regime_pipeline.research.bounds import critical, effective
from regime_pipeline.research.calibrators import calibrators
from regime_pipeline.research.execution import execution_quality
from regime_pipeline.research.information import Coefficient, Pairs, Ranked, pooled
from regime_pipeline.research.paper_tables import paper_positions
from regime_pipeline.research.passports import daily, judged, passports
from regime_pipeline.windows import DAY, Grid, Window

NAME = "research"
HOURS = 180 * 24
MEMORY, ALIKE = 0.97, 0.7
VARIANTS = 50
KNOWN_IC = 0.05
LOOKS = 63

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Recorded history with every score of it.

    Attributes:
        history: market tables.
        found: signal tables.
        structure: events of the price structure.
        regimes: of volatility.
    """

    history: History
    found: Found
    structure: pd.DataFrame
    regimes: pd.DataFrame

    @classmethod
    def of(cls, folder: Path, history: History) -> Scored:
        """Compute every score from recorded market tables."""
        whole = Grid.of(RECORDED, history.symbols)
        return cls(
            history,
            said(history, folder),
            price_structure(_perp(history), grid=whole),
            volatility_regimes(history.candles_1h, grid=whole, params=PARAMS.volatility),
        )

    @property
    def last_day(self) -> Grid:
        """The day at whose end everything is judged."""
        return Grid.of(Window(RECORDED.end - DAY, RECORDED.end), self.history.symbols)

    def inputs(self) -> tuple[pd.DataFrame, ...]:
        """What passports and calibrators read of it."""
        return (
            self.found.components, self.found.confluence, self.found.futures, self.structure,
            _perp(self.history), self.regimes, empty(table("market.order_book_1h")),
        )  # fmt: skip


def _perp(history: History) -> pd.DataFrame:
    return history.candles_1h[history.candles_1h["market"] == "perp"]


def worth(scored: Scored) -> pd.DataFrame:
    """The passports at the end of recorded history: all symbols together, every horizon."""
    rows = passports(
        *scored.inputs(),
        empty(table("signals.trials")),
        empty(table("signals.trial_days")),
        grid=scored.last_day,
        signal_params=PARAMS.signals,
        futures_params=PARAMS.futures,
    )
    shown = (rows["passport_kind"] == "pooled") & (rows["passport_regime"] == "*")
    return rows[shown & rows["ic"].notna()].reset_index(drop=True)


def probabilities(scored: Scored) -> pd.DataFrame:
    """The calibrators at the end of recorded history that have a skill."""
    rows, _ = calibrators(*scored.inputs(), grid=scored.last_day)
    return rows[rows["brier_skill"].notna()].reset_index(drop=True)


def on_paper(scored: Scored) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Strategies and their equity at the end of recorded history; without books all fills are assumed."""
    whole = Grid.of(RECORDED, scored.history.symbols)
    books, flow = (empty(table(f"market.{n}_1h")) for n in ("order_book", "trade_flow"))
    summary, _, _, _, equity = paper_positions(
        scored.found.confluence,
        scored.found.futures,
        _perp(scored.history),
        scored.regimes,
        scored.history.funding,
        execution_quality(_perp(scored.history), books, flow, grid=whole),
        empty(table("raw.order_book")),
        grid=scored.last_day,
    )
    return summary, equity[equity["ts"] == equity["ts"].max()]


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
        lambda row: line(NAME, f"{row['signal']} {row['calibration_side']}", **_skill(row)),
        lambda row: line(NAME, str(row["strategy"]), **_came_to(row)),
        lambda case, shares: line(NAME, case, **shares),
    )


def _skill(row: pd.Series) -> dict[str, Any]:
    names = ("labels_eff", "base_rate", "brier_skill", "brier_skill_low", "ece")
    return {n: float(row[n]) for n in names} | {"is_calibrated": bool(row["is_calibrated"])}


def _came_to(row: pd.Series) -> dict[str, Any]:
    names = ("equity_usd", "sharpe", "sharpe_low", "sharpe_high", "hold_sharpe", "max_drawdown")
    return {n: float(row[n]) for n in (*names, "fees_total_usd", "funding_total_usd")}


def _short(row: pd.Series) -> dict[str, Any]:
    names = ("ic", "ic_se", "ic_hours_eff", "hit_rate", "quantile_spread_bps", "net_spread_bps")
    return {n: float(row[n]) for n in names} | {
        "crit": float(row["crit"]),
        "verdict": row["verdict"],
    }


def _each(
    signal: Callable[[pd.Series], None],
    probability: Callable[[pd.Series], None],
    strategy: Callable[[pd.Series], None],
    case: Callable[[str, dict[str, float]], None],
) -> None:
    folder = folder_of(NAME)
    if folder is None:
        return
    history = recorded(folder)
    scored = Scored.of(folder, history)
    for _, row in worth(scored).iterrows():
        signal(row)
    for _, row in probabilities(scored).iterrows():
        probability(row)
    summary, equity = on_paper(scored)
    for _, row in summary.merge(equity[["strategy", "equity_usd"]], on="strategy").iterrows():
        strategy(row)
    for name, shares in rates(log_closes(history), runs=200, fifties=100):
        case(name, shares)


def main() -> None:
    """Print the tables of docs/research.md."""
    signals: list[dict[str, str]] = []
    curves: list[dict[str, str]] = []
    strategies: list[dict[str, str]] = []
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

    def probability(row: pd.Series) -> None:
        curves.append(
            {
                "signal": row["signal"],
                "side": row["calibration_side"],
                "skill [95 %]": f"{row['brier_skill']:+.2%} "
                f"[{row['brier_skill_low']:+.2%}, {row['brier_skill_high']:+.2%}]",
                "calibration error": f"{row['ece']:.3f}",
                "shown": "yes" if row["is_calibrated"] else "no",
            }
        )

    def strategy(row: pd.Series) -> None:
        strategies.append(
            {
                "strategy": row["strategy"],
                "of a million": f"{row['equity_usd']:,.0f}",
                "Sharpe [95 %]": f"{row['sharpe']:.1f} [{row['sharpe_low']:.1f}, {row['sharpe_high']:.1f}]",
                "of holding": f"{row['hold_sharpe']:.1f}",
                "fees": f"{row['fees_total_usd']:,.0f}",
            }
        )

    def case(name: str, shares: dict[str, float]) -> None:
        shown = {"VALID by 1.96": f"{shares['raw']:.1%}", "by the bound": f"{shares['bound']:.1%}"}
        other = f"se {shares['se']:.3f}" if "se" in shares else f"{shares['trials_eff']:.1f} trials"
        cases.append({"scores": name, **shown, "": other})

    _each(signal, probability, strategy, case)
    for rows in (signals, curves, strategies, cases):
        if rows:
            sys.stdout.write(markdown(pd.DataFrame(rows)) + "\n\n")


if __name__ == "__main__":
    main()
