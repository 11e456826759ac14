"""Paper positions: what following a signal by fixed rules would have come to, hour by hour.

Belongs here: the rules, the state, and moving a state over hours with the one compiled loop; a backtest and
an hourly run are the same calls. Nothing here can place an order: arrays are read, numbers returned. Does not
belong here: the loop itself (``paper_kernels``), fills (``fills``), tables (``paper_tables``), statistics
(``paper_statistics``).

The definition in words: docs/research.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from regime_pipeline.research import paper_layout as lay
from regime_pipeline.research.fills import Fill
from regime_pipeline.research.trials import canonical

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FILL_FROM_S, FILL_UNTIL_S = 120, 720
"""After the decision: the first book within is the one that an order meets."""

RETURN_PARTS = 1e9
"""A day's return is kept in whole parts of this: what is read back is what was written."""
LIMITS = ("symbol", "cluster", "net", "gross", "stopped", "drawdown", "stale", "depth")
"""By their bits in ``paper_layout``."""


@dataclass(frozen=True)
class Rules:
    """What a strategy is; a change of any of it is another strategy.

    Attributes:
        signal: whose side is taken: ``futures`` or ``confluence``.
        capital_usd: to begin with.
        weight: of a position before its risk multiplier.
        symbol_limit: largest weight of a symbol.
        cluster_limit: largest gross weight of symbols that move together.
        cluster_rho: correlation over 30 days from which two do.
        net_limit: largest sum of weights.
        gross_limit: largest sum of sizes of weights.
        halve_at: drawdown from which weights are halved.
        stop_at: drawdown from which all is flat to the next month.
        least_change: of a weight, smaller ones are left.
        depth_share: of the depth within 25 bps that an order may be.
        null_hours: without a side after which a position is closed.
    """

    signal: str
    capital_usd: float = 1e6
    weight: float = 0.10
    symbol_limit: float = 0.15
    cluster_limit: float = 0.35
    cluster_rho: float = 0.7
    net_limit: float = 0.6
    gross_limit: float = 1.0
    halve_at: float = 0.10
    stop_at: float = 0.20
    least_change: float = 0.002
    depth_share: float = 0.10
    null_hours: int = 24

    @property
    def spec(self) -> str:
        """All of it as canonical JSON."""
        return canonical(asdict(self))

    @property
    def numbers(self) -> Floats:
        """The limits as the compiled loop numbers them."""
        out = np.empty(lay.RULES)
        out[[lay.R_WEIGHT, lay.R_SYMBOL, lay.R_CLUSTER]] = (
            self.weight, self.symbol_limit, self.cluster_limit,
        )  # fmt: skip
        out[[lay.R_NET, lay.R_GROSS]] = self.net_limit, self.gross_limit
        out[[lay.R_HALVE, lay.R_STOP]] = self.halve_at, self.stop_at
        out[[lay.R_LEAST, lay.R_DEPTH, lay.R_NULL_H]] = (
            self.least_change, self.depth_share, self.null_hours,
        )  # fmt: skip
        return out


@dataclass
class State:
    """All that an hour needs to know of the hours before; it survives being written down.

    Attributes:
        symbols: of the columns of ``held``.
        spec: of the rules that it was walked by.
        held: by what and symbol, as ``paper_layout`` numbers them.
        account: what is known in all.
        own_days: return of each whole UTC day so far, in parts of 1e9.
        hold_days: the same of holding all symbols in equal parts.
        day_equity: at the end of the last of these days.
        day_hold: worth of holding at that time.
    """

    symbols: tuple[str, ...]
    spec: str
    held: Floats
    account: Floats
    own_days: list[int]
    hold_days: list[int]
    day_equity: float
    day_hold: float

    @classmethod
    def fresh(cls, rules: Rules, symbols: tuple[str, ...], hour: int) -> State:
        """Before the first hour, which is counted since 1970: cash only."""
        held = np.zeros((lay.HELD, len(symbols)))
        held[[lay.MARK, lay.DECIDED_MID, lay.LAST_CLOSE]] = np.nan
        account = np.zeros(lay.ACCOUNT)
        account[[lay.CASH, lay.PEAK]] = rules.capital_usd
        account[lay.WORST_TIER], account[lay.HOLD], account[lay.BEGAN_H] = np.nan, 1.0, hour
        return cls(symbols, rules.spec, held, account, [], [], rules.capital_usd, 1.0)

    def day_ends(self, equity: float) -> None:
        """Note the return of a day that ends with this equity; after ruin there are no more days."""
        hold = float(self.account[lay.HOLD])
        if self.day_equity > 0:
            self.own_days.append(round(RETURN_PARTS * (equity / self.day_equity - 1.0)))
            self.hold_days.append(round(RETURN_PARTS * (hold / self.day_hold - 1.0)))
        self.day_equity, self.day_hold = equity, hold

    def written(self) -> str:
        """As JSON that reads back to the same bytes; null is unknown."""
        plain = dict(vars(self)) | {n: _plain(getattr(self, n)) for n in ("held", "account")}
        return canonical(plain)

    @classmethod
    def read(cls, text: str) -> State:
        """What :meth:`written` wrote."""
        kept = json.loads(text)
        kept |= {n: np.array(kept[n], dtype=np.float64) for n in ("held", "account")}
        return cls(**kept | {"symbols": tuple(kept["symbols"])})


def _plain(values: Floats) -> list[Any]:
    return np.where(np.isnan(values), None, values.astype(object)).tolist()  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class Moved:
    """What hours came to; the numbers of the columns are those of ``paper_layout``.

    Attributes:
        came_to: hours x what.
        ends: hours x position and price at the end x symbols.
        due: orders that were due x what became of them; their hours are indices.
        decided: orders that were decided x what.
    """

    came_to: Floats
    ends: Floats
    due: Floats
    decided: Floats


Meets = Callable[[int, int, float, int], tuple[Fill, float]]
"""(index of the hour, symbol, quantity, side) -> fill by the book of that hour, and its mid."""


def advance(
    rules: Rules, state: State, hours: Ints, seen: Floats, meets: Meets | None = None
) -> Moved:
    """Move a state over hours, in place: fill what was decided, settle funding, mark, decide anew.

    One hour at a time, in chunks or at once: the bytes are the same. What it gives takes 88 bytes an hour, 16
    an hour and symbol, 136 an order.

    Args:
        rules: of the strategy.
        state: at the end of the hour before.
        hours: since 1970, one after the other.
        seen: what each hour brought, hours x ``paper_layout.SEEN`` x symbols, NaN unknown.
        meets: the fill of an order in an hour that has a book; needed where ``seen`` says that there is one.
    """
    from regime_pipeline.research.paper_kernels import walk

    count, symbols = len(hours), len(state.symbols)
    came_to = np.zeros((count, lay.CAME_TO))
    at_ends = np.empty((count, lay.ENDS, symbols))
    due = np.empty((count * symbols, lay.DUE))
    decided = np.empty((count * symbols, lay.DECIDED))
    counts = np.zeros(2, dtype=np.int64)
    met, is_met, at = np.full((symbols, 3), np.nan), False, 0
    months = later_months(hours)
    while at < count:
        at = walk(
            rules.numbers, hours, months, seen, state.held, state.account, met, is_met,
            at, came_to, at_ends, due, decided, counts,
        )  # fmt: skip
        if at < count:
            if meets is None:
                raise ValueError(f"hour {hours[at]} has a book, and nothing walks it")
            is_met = True
            for k in np.flatnonzero(state.held[lay.WANTED]).tolist():
                if seen[at, lay.BOOK, k] == lay.BOOK_IN_TIME:
                    wanted = float(state.held[lay.WANTED, k])
                    found, mid = meets(at, k, abs(wanted), 1 if wanted > 0 else -1)
                    met[k] = found.quantity, found.vwap, mid
    return Moved(came_to, at_ends, due[: counts[0]], decided[: counts[1]])


def later_months(hours: Ints) -> Ints:
    """The first hours of the calendar months (UTC) that begin after the first of some hours."""
    first, last = hours[[0, -1]].astype("datetime64[h]").astype("datetime64[M]")
    return np.arange(first + 1, last + 2).astype("datetime64[h]").astype(np.int64)


def named(bits: int) -> tuple[str, ...]:
    """Names of the limits whose bits are set, in the order in which they are held."""
    return tuple(name for k, name in enumerate(LIMITS) if int(bits) >> k & 1)


def clusters(returns: Floats, rho: float, least: int = 480) -> npt.NDArray[np.int64]:
    """Groups of symbols that are linked by correlations of at least ``rho``.

    Args:
        returns: symbols x hours of the 30 days before.
        rho: from which two are linked.
        least: common hours that a pair needs.

    Returns:
        The smallest index of each symbol's group.
    """
    group = np.arange(len(returns), dtype=np.int64)
    for i in range(len(returns)):
        for j in range(i):
            both = np.isfinite(returns[i]) & np.isfinite(returns[j])
            if int(both.sum()) < least:
                continue
            x, y = returns[i][both], returns[j][both]
            x, y = x - x.mean(), y - y.mean()
            scale = float((x * x).sum()) * float((y * y).sum())
            if scale > 0 and float((x * y).sum()) >= rho * math.sqrt(scale):
                low, high = sorted((int(group[i]), int(group[j])))
                group[group == high] = low
    return group
