"""A backtest of paper positions beside the same orders in vectorbt: equal equity, and what each takes.

``python -m benchmarks paper``. Eight recorded perpetuals over two years of hours, or eight random walks where
no recorded history is; sides by the sign of a three days' move, so that limits and groups have work. vectorbt
gets the orders that came out, without having to decide any, and no limits; it is no dependency, and where it
is absent ours runs alone. Belongs here: time, memory and equality of one walk. Does not belong here:
what following a signal is worth (``research``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.common import line
from benchmarks.research import folder_of, log_closes
from benchmarks.worlds import recorded
from regime_pipeline.research import paper
from regime_pipeline.research import paper_layout as lay
from regime_pipeline.research.paper_tables import groups
from regime_pipeline.windows import hour_number, utc

NAME = "paper"
HOURS, SYMBOLS, TIMES = 2 * 365 * 24 + 24, 8, 15
FEE_BPS = 5.0
MOVE_H, BAND = 72, 0.02
FIRST = hour_number(utc("2023-01-01"))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Backtest:
    """One walk.

    Attributes:
        hours: since 1970.
        seen: what each hour brought.
        moved: what it came to.
    """

    hours: npt.NDArray[np.int64]
    seen: Floats
    moved: paper.Moved

    @property
    def equity(self) -> Floats:
        """At the end of each hour, USD."""
        return self.moved.came_to[:, lay.EQUITY]


def closes() -> tuple[Floats, str]:
    """Closes, hours x symbols without a hole, and where they are from."""
    folder = folder_of(NAME)
    if folder is None:
        steps = np.random.default_rng(5).normal(0, 6e-3, (HOURS, SYMBOLS))
        return 100.0 * np.exp(np.cumsum(steps, axis=0)), "random walks"
    found = np.exp(log_closes(recorded(folder)).T)
    return pd.DataFrame(found).ffill().bfill().to_numpy(), "recorded"


def brought(close: Floats, hours: npt.NDArray[np.int64]) -> Floats:
    """What each hour brings a strategy that follows a move of three days."""
    seen = np.full((len(close), lay.SEEN, close.shape[1]), np.nan)
    moves = np.full(close.shape, np.nan)
    moves[MOVE_H:] = np.log(close[MOVE_H:] / close[:-MOVE_H])
    side = np.where(np.abs(moves) < BAND, 0.0, np.sign(moves))
    seen[:, lay.CLOSE], seen[:, lay.ASKED] = close, side
    seen[:, lay.MULTIPLIER] = np.where(np.abs(moves) > 4 * BAND, 1.5, 1.0)
    seen[:, lay.DEPTH], seen[:, lay.FEE], seen[:, lay.HALF_SPREAD] = 5e6, FEE_BPS, 1.0
    seen[:, lay.CLUSTER], seen[:, lay.BOOK] = groups(close, hours), lay.NO_BOOK
    seen[:, lay.TIER] = 1.0
    return seen


def walked(seen: Floats, hours: npt.NDArray[np.int64]) -> paper.Moved:
    """The whole walk from cash."""
    rules = paper.Rules("futures")
    names = tuple(str(k) for k in range(seen.shape[2]))
    return paper.advance(rules, paper.State.fresh(rules, names, int(hours[0])), hours, seen)


def backtest() -> tuple[Backtest, str]:
    """One walk over two years of eight symbols."""
    close, source = closes()
    hours = FIRST + np.arange(len(close), dtype=np.int64)
    seen = brought(close, hours)
    return Backtest(hours, seen, walked(seen, hours)), source


def by_vectorbt(one: Backtest) -> Callable[[], Floats]:
    """The same orders in vectorbt; equity at the end of each hour.

    Raises:
        ImportError: it is not installed.
    """
    import vectorbt

    index = pd.DatetimeIndex(one.hours.astype("datetime64[h]"))
    close = pd.DataFrame(one.seen[:, lay.CLOSE], index=index)
    due = one.moved.due
    places = tuple(due[:, [lay.HOUR, lay.SYMBOL]].astype(int).T)
    filled, vwap = np.zeros(close.shape), close.to_numpy(copy=True)
    filled[places] = np.sign(due[:, lay.ORDER]) * due[:, lay.FILLED]
    vwap[places] = due[:, lay.VWAP]
    size, price = (pd.DataFrame(v, index=index) for v in (filled, vwap))

    def walk() -> Floats:
        made = vectorbt.Portfolio.from_orders(
            close, size=size, price=price, size_type="amount", fees=FEE_BPS / 1e4,
            init_cash=paper.Rules("").capital_usd, cash_sharing=True, group_by=True,
        )  # fmt: skip
        return np.asarray(made.value(), dtype=np.float64)

    return walk


def processor_s(work: Callable[[], Any]) -> float:
    """Processor seconds of a warm call, the least disturbed one."""
    work()
    taken = []
    for _ in range(TIMES):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def run() -> None:
    """Print the figures."""
    one, source = backtest()
    try:
        other = by_vectorbt(one)
    except ImportError:
        other = None
    own = processor_s(lambda: walked(one.seen, one.hours))
    limits, count = np.unique(one.moved.came_to[:, lay.LIMITS].astype(int), return_counts=True)
    held_back = {
        name: int(sum(c for bits, c in zip(limits, count, strict=True) if bits >> k & 1))
        for k, name in enumerate(paper.LIMITS)
    }
    shown = {
        "prices": source,
        "hours": len(one.hours),
        "symbols": one.seen.shape[2],
        "orders": len(one.moved.due),
        "cpu_ms": own * 1e3,
        "read_mb": one.seen.nbytes / 1e6,
        "made_mb": sum(part.nbytes for part in vars(one.moved).values()) / 1e6,
    }
    line(NAME, "backtest with limits", **shown, **held_back)
    if other is None:
        line(NAME, "the same orders in vectorbt", why="vectorbt is not installed")
        return
    apart = float(np.abs(other() / one.equity - 1.0).max())
    peer = processor_s(other)
    own = min(own, processor_s(lambda: walked(one.seen, one.hours)))
    line(NAME, "the same orders in vectorbt", cpu_ms=peer * 1e3, times_ours=peer / own)
    line(NAME, "equity beside vectorbt's", largest_relative_difference=f"{apart:.1e}")


if __name__ == "__main__":
    run()
