"""Paper positions: what following a signal by fixed rules would have come to, hour by hour.

Belongs here: the rules, limits, and the one kernel that moves a stored state over an hour; a backtest and an
hourly run are the same calls. Nothing here can place an order: the module reads arrays and returns numbers.
Does not belong here: fills (``fills``), tables (``paper_tables``), statistics (``paper_statistics``).

The definition in words: docs/research.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from regime_pipeline.research.fills import Fill
from regime_pipeline.research.splits import month_of
from regime_pipeline.research.trials import canonical

Floats = npt.NDArray[np.float64]

FILL_FROM_S, FILL_UNTIL_S = 120, 720
"""After the decision: the first book within is the one that an order meets."""


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


@dataclass
class State:
    """All that an hour needs to know of the hours before; it survives being written down.

    Attributes:
        cash: USD.
        quantity: held, base coin, by symbol.
        mark: newest known price of each symbol, NaN before the first.
        side: that was last taken, by symbol.
        silent_h: hours since the signal named a side.
        wanted: change of each position that was decided and not yet filled, base coin.
        decided_mid: price at that decision.
        peak: highest equity since the start or the last stop.
        stopped_until: first hour of the month in which it goes on; 0: it is not stopped.
    """

    cash: float
    quantity: list[float]
    mark: list[float]
    side: list[float]
    silent_h: list[int]
    wanted: list[float]
    decided_mid: list[float]
    peak: float
    stopped_until: int = 0

    @classmethod
    def fresh(cls, rules: Rules, symbols: int) -> State:
        """Before the first hour: cash only."""
        zeros, unknown = [0.0] * symbols, [math.nan] * symbols
        return cls(
            rules.capital_usd, list(zeros), list(unknown), list(zeros), [0] * symbols,
            list(zeros), list(unknown), rules.capital_usd,
        )  # fmt: skip

    def written(self) -> str:
        """As JSON that reads back to the same bytes; null is unknown."""
        plain = {k: _plain(v) for k, v in vars(self).items()}
        return canonical(plain)

    @classmethod
    def read(cls, text: str) -> State:
        """What :meth:`written` wrote."""
        said = json.loads(text)
        for name in ("mark", "decided_mid"):
            said[name] = [math.nan if v is None else v for v in said[name]]
        return cls(**said)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [None if isinstance(v, float) and math.isnan(v) else v for v in value]
    return value


@dataclass(frozen=True)
class Hour:
    """What became known in one hour; arrays by symbol, NaN unknown.

    Attributes:
        hour: since 1970.
        close: price at its end.
        side: 1, -1 or 0 as the signal names it at its end; NaN it names none.
        multiplier: of the confirmed volatility regime.
        depth_usd: thinner side within 25 bps; NaN: no book, and no limit by it.
        funding: sum of the rates settled in the hour.
        cluster: number of the group of symbols that it moves with.
        fee_bps: taker's fee.
    """

    hour: int
    close: Floats
    side: Floats
    multiplier: Floats
    depth_usd: Floats
    funding: Floats
    cluster: npt.NDArray[np.int64]
    fee_bps: Floats


Filler = Callable[[int, int, float, int, float], tuple[Fill, float, str | None]]
"""(hour, symbol, quantity, side, mid at the decision) -> fill, mid at the fill, why it is not whole."""


@dataclass
class Moved:
    """What an hour did.

    Attributes:
        equity: at its end.
        gross: sum of sizes of weights.
        net: sum of weights.
        drawdown: from the peak, 0 or more.
        fees: paid, USD.
        funding: paid, USD; negative: received.
        traded: value that changed hands.
        fills: of each order that was due.
        intents: of each order that was decided.
        limits: that were hit, in the order of the rules.
    """

    equity: float = math.nan
    gross: float = 0.0
    net: float = 0.0
    drawdown: float = 0.0
    fees: float = 0.0
    funding: float = 0.0
    traded: float = 0.0
    fills: list[dict[str, Any]] = field(default_factory=list)
    intents: list[dict[str, Any]] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)


def advance(rules: Rules, state: State, now: Hour, fill: Filler) -> Moved:
    """Move a state over one hour, in place: fill what was decided, settle funding, mark, decide anew.

    Args:
        rules: of the strategy.
        state: at the end of the hour before.
        now: what the hour brought.
        fill: what an order meets within the hour.
    """
    moved = Moved()
    _fill(state, now, fill, moved)
    for k, rate in enumerate(now.funding.tolist()):
        if math.isfinite(rate) and state.quantity[k] != 0.0 and math.isfinite(state.mark[k]):
            paid = state.quantity[k] * state.mark[k] * rate
            state.cash -= paid
            moved.funding += paid
    fresh = np.isfinite(now.close)
    for k in np.flatnonzero(fresh).tolist():
        state.mark[k] = float(now.close[k])
    value = [q * m if q != 0.0 else 0.0 for q, m in zip(state.quantity, state.mark, strict=True)]
    moved.equity = state.cash + math.fsum(value)
    weights = np.array(value) / moved.equity if moved.equity > 0 else np.zeros(len(value))
    moved.gross, moved.net = float(np.abs(weights).sum()), float(weights.sum())
    _drawdown(rules, state, now, moved)
    if moved.equity > 0:
        _decide(rules, state, now, weights, fresh, moved)
    return moved


def _fill(state: State, now: Hour, fill: Filler, moved: Moved) -> None:
    for k, wanted in enumerate(state.wanted):
        if wanted == 0.0:
            continue
        side = 1 if wanted > 0 else -1
        mid = state.decided_mid[k]
        found, mid_then, why = fill(now.hour, k, abs(wanted), side, mid)
        fee = 0.0
        if found.quantity > 0:
            worth = found.quantity * found.vwap
            fee = worth * now.fee_bps[k] / 1e4
            state.cash -= side * worth + fee
            state.quantity[k] += side * found.quantity
            moved.traded += worth
            moved.fees += fee
        moved.fills.append(
            {"symbol": k, "side": side, "wanted": abs(wanted), "fill": found, "fee": fee,
             "mid_decided": mid, "mid_filled": mid_then, "why": why}
        )  # fmt: skip
        state.wanted[k], state.decided_mid[k] = 0.0, math.nan


def _drawdown(rules: Rules, state: State, now: Hour, moved: Moved) -> None:
    """The drawdown, and whether it stops all until the next month."""
    if state.stopped_until and now.hour + 1 >= state.stopped_until:
        state.stopped_until, state.peak = 0, moved.equity
    state.peak = max(state.peak, moved.equity)
    moved.drawdown = 1.0 - moved.equity / state.peak
    if not state.stopped_until and moved.drawdown >= rules.stop_at:
        state.stopped_until = month_of(now.hour)[1]


def _decide(
    rules: Rules,
    state: State,
    now: Hour,
    weights: Floats,
    fresh: npt.NDArray[np.bool_],
    moved: Moved,
) -> None:
    """Targets by side and risk, then every limit in turn, then orders."""
    target = np.zeros(len(weights))
    for k, side in enumerate(now.side.tolist()):
        if math.isfinite(side):
            state.side[k], state.silent_h[k] = side, 0
        else:
            state.silent_h[k] += 1
            if state.silent_h[k] >= rules.null_hours:
                state.side[k] = 0.0
        target[k] = state.side[k] * rules.weight / max(1.0, _known(now.multiplier[k], 1.0))
    target = limited(rules, target, now.cluster, moved.limits)
    if state.stopped_until:
        target[:] = 0.0
        moved.limits.append("stopped")
    elif moved.drawdown >= rules.halve_at:
        target /= 2.0
        moved.limits.append("drawdown")
    grows = np.abs(target) > np.abs(weights)
    stale = ~fresh | ~np.isfinite(now.multiplier) | ~np.isfinite(now.side)
    if (grows & stale).any():
        moved.limits.append("stale")
    target = np.where(grows & stale, weights, target)
    change = target - weights
    for k in range(len(weights)):
        price = state.mark[k]
        closes = target[k] == 0.0 and state.quantity[k] != 0.0
        if not fresh[k] or not price > 0 or (abs(change[k]) < rules.least_change and not closes):
            continue
        quantity = -state.quantity[k] if closes else change[k] * moved.equity / price
        if quantity == 0.0:
            continue
        most = rules.depth_share * now.depth_usd[k] / price
        if abs(quantity) > most:  # false where no book is known
            quantity = math.copysign(most, quantity)
            moved.limits.append("depth")
        state.wanted[k], state.decided_mid[k] = float(quantity), price
        moved.intents.append(
            {"symbol": k, "side": state.side[k], "target": float(target[k]),
             "weight": float(weights[k]), "usd": float(quantity * price)}
        )  # fmt: skip


def limited(rules: Rules, target: Floats, cluster: npt.NDArray[np.int64], hit: list[str]) -> Floats:
    """Weights within the limits, scaled down together where they pass one.

    Args:
        rules: of the strategy.
        target: weights by symbol.
        cluster: group of each symbol.
        hit: gets the names of the limits that were hit.
    """
    out = np.clip(target, -rules.symbol_limit, rules.symbol_limit)
    if (out != target).any():
        hit.append("symbol")
    for group in np.unique(cluster).tolist():
        own = cluster == group
        size = float(np.abs(out[own]).sum())
        if size > rules.cluster_limit * (1 + 1e-12):
            out[own] *= rules.cluster_limit / size
            hit.append("cluster")
    net = abs(float(out.sum()))
    if net > rules.net_limit * (1 + 1e-12):
        out *= rules.net_limit / net
        hit.append("net")
    gross = float(np.abs(out).sum())
    if gross > rules.gross_limit * (1 + 1e-12):
        out *= rules.gross_limit / gross
        hit.append("gross")
    return out


def _known(value: float, otherwise: float) -> float:
    return float(value) if math.isfinite(value) else otherwise


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
