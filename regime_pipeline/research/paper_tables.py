"""Paper positions as tables: what each strategy wanted, was filled at, held, and was worth.

Belongs here: rows of ``signals.strategies``, ``trade_intents``, ``trade_executions``, ``positions`` and
``equity``. Does not belong here: rules and the kernel (``paper``), fills (``fills``), statistics.

A strategy is walked on from the newest stored state, from its inception where there is none: a row is the
same wherever a run begins. It reads tables and writes numbers: no order is ever placed.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import Resume, derives, reads
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.book_levels import Levels, LevelsOf, Sampled, no_levels
from regime_pipeline.market.order_book import is_valid
from regime_pipeline.numerics.block_estimator import Weeks, t_quantile, variance
from regime_pipeline.numerics.panel import HOUR_US, microseconds, to_panel
from regime_pipeline.research import costs, fills, paper, paper_statistics
from regime_pipeline.research import paper_layout as lay
from regime_pipeline.research.consensus import VOTERS
from regime_pipeline.research.passports import HOUR_OF_DAY
from regime_pipeline.research.rows import framed
from regime_pipeline.research.trials import SpecTrial, canonical
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid, at_hour, hour_number, parse_lookback, utc

METHOD = "paper/3"
TABLES = tuple(
    f"signals.{n}"
    for n in ("strategies", "trade_intents", "trade_executions", "positions", "equity")
)
LOOKBACK = "32d"
"""Before a state that is gone on from: groups look at 30 days before their day."""
INCEPTION = utc("2020-01-01")
"""No strategy begins before; it begins with the first price."""
STRATEGIES: Mapping[str, paper.Rules] = {
    f"follow_{signal}": paper.Rules(signal) for signal in ("confluence", "futures")
}
_SIDES = (1.0, -1.0, 0.0)  # by the codes of votes
_REASONS = {
    lay.WHOLE: None,
    lay.NO_BOOK_THEN: "no_book",
    lay.TOO_SHALLOW: "book_too_shallow",
    lay.NO_SPREAD: "no_spread_to_assume",
}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Book:
    """The book that an order of an hour meets."""

    sampled: Sampled
    spread_bps: float
    bid_usd: tuple[float, float]
    ask_usd: tuple[float, float]
    tier: float


@dataclass(frozen=True)
class World:
    """All that strategies look at, hour by hour without a gap.

    Attributes:
        hours: since 1970.
        symbols: of the columns of ``seen``.
        seen: hours x ``paper_layout.SEEN`` x symbols, without the side that a signal names.
        sides: by signal, hours x symbols.
        books: (hour since 1970, symbol) -> the book that an order of the hour meets.
        levels_of: the levels of a book.
        levels: those that were looked at, by the same keys; None: a book's sums are all there is.
    """

    hours: Ints
    symbols: tuple[str, ...]
    seen: Floats
    sides: Mapping[str, Floats]
    books: Mapping[tuple[int, int], Book]
    levels_of: LevelsOf
    levels: dict[tuple[int, int], Levels | None] = field(default_factory=dict)

    def of(self, signal: str) -> Floats:
        """What each hour brings a strategy that follows a signal."""
        seen = self.seen.copy()
        seen[:, lay.ASKED] = self.sides[signal]
        return seen

    def meets(
        self, first: int, at: int, symbol: int, wanted: float, side: int
    ) -> tuple[fills.Fill, float]:
        """The fill by the book of the hour ``at`` hours after the one of index ``first``, and its mid."""
        key = int(self.hours[first + at]), symbol
        book, mid = self.books[key], self.books[key].sampled.mid
        if key not in self.levels:
            self.levels[key] = self.levels_of(book.sampled)
        if (levels := self.levels[key]) is not None:
            prices, sizes = levels.asks if side > 0 else levels.bids
            return fills.through_levels(prices, sizes, mid, wanted, side), mid
        near, far = book.ask_usd if side > 0 else book.bid_usd
        return fills.through_sums(book.spread_bps, near, far, mid, wanted, side), mid


@dataclass(frozen=True)
class Walk:
    """The hours of one strategy that are shown, as they were walked.

    Attributes:
        name: of the strategy.
        hours: since 1970.
        moved: what they came to.
        ends: hour -> state at the end of its day.
    """

    name: str
    hours: Ints
    moved: paper.Moved
    ends: Mapping[int, paper.State]


def walk(world: World, name: str, state: paper.State, after: int, shown_from: int) -> Walk:
    """Walk a strategy on from a state.

    Args:
        world: what it looks at.
        name: of the strategy.
        state: at the end of the hour ``after``; it is moved.
        after: hour since 1970.
        shown_from: hour from which what it did is kept.
    """
    rules, seen = STRATEGIES[name], world.of(STRATEGIES[name].signal)
    at, stop = int(np.searchsorted(world.hours, after, "right")), len(world.hours)
    kept: list[paper.Moved] = []
    ends = {}
    while at < stop:
        # to the end of the day: what a state is at ends of days never depends on where a walk begins
        until = min(stop, at + 24 - int(world.hours[at]) % 24)
        part = slice(at, until)
        moved = paper.advance(
            rules,
            state,
            world.hours[part],
            seen[part],
            partial(world.meets, at),
        )
        last = int(world.hours[until - 1])
        is_shown, is_end = last >= shown_from, last % 24 == HOUR_OF_DAY
        if is_end:
            state.day_ends(float(moved.came_to[-1, lay.EQUITY]))
        if is_shown:
            kept.append(_shown(moved, world.hours[part], shown_from))
        if is_shown and is_end:
            ends[last] = copy.deepcopy(state)
        at = until
    return Walk(
        name, world.hours[world.hours >= shown_from], _joined(kept, len(world.symbols)), ends
    )


def _shown(moved: paper.Moved, hours: Ints, shown_from: int) -> paper.Moved:
    """The hours from one on; orders carry hours since 1970 from here on."""
    inside = hours >= shown_from
    due, decided = moved.due.copy(), moved.decided.copy()
    for rows in (due, decided):
        rows[:, lay.HOUR] += hours[0]
    return paper.Moved(
        moved.came_to[inside],
        moved.ends[inside],
        due[due[:, lay.HOUR] >= shown_from],
        decided[decided[:, lay.HOUR] >= shown_from],
    )


def _joined(parts: list[paper.Moved], symbols: int) -> paper.Moved:
    nothing = paper.Moved(
        np.empty((0, lay.CAME_TO)), np.empty((0, lay.ENDS, symbols)), np.empty((0, lay.DUE)),
        np.empty((0, lay.DECIDED)),
    )  # fmt: skip
    whole = {n: np.concatenate([getattr(p, n) for p in (nothing, *parts)]) for n in vars(nothing)}
    return paper.Moved(**whole)


def _hourly(made: Walk) -> pd.DataFrame:
    """Rows of ``signals.equity``."""
    of = made.moved.came_to.T
    limits = {bits: ",".join(paper.named(bits)) or None for bits in set(of[lay.LIMITS].tolist())}
    return pd.DataFrame(
        {
            "ts": made.hours, "strategy": made.name, "status": "ok", "source_tier": of[lay.AT_TIER],
            "equity_usd": of[lay.EQUITY], "cash_usd": of[lay.AT_CASH],
            "gross_weight": of[lay.GROSS], "net_weight": of[lay.NET],
            "drawdown": of[lay.DRAWDOWN], "fees_usd": of[lay.FEES_NOW],
            "funding_paid_usd": of[lay.PAID_NOW], "traded_usd": of[lay.TRADED_NOW],
            "limits_hit": pd.Series([limits[b] for b in of[lay.LIMITS].tolist()], dtype=object),
        }
    )  # fmt: skip


def _rows(
    made: Walk, symbols: tuple[str, ...], hours: npt.NDArray[Any], columns: npt.NDArray[Any]
) -> pd.DataFrame:
    """What rows of hours and symbols share."""
    hours = hours.astype(np.int64)
    tier = made.moved.came_to[np.searchsorted(made.hours, hours), lay.AT_TIER]
    named = np.array(symbols, dtype=object)[columns.astype(np.int64)]
    return pd.DataFrame(
        {"ts": hours, "strategy": made.name, "status": "ok", "source_tier": tier, "symbol": named}
    )


def _positions(made: Walk, symbols: tuple[str, ...]) -> pd.DataFrame:
    """Rows of ``signals.positions``."""
    base, mark = made.moved.ends[:, lay.BASE], made.moved.ends[:, lay.AT_MARK]
    hour, symbol = np.nonzero(np.isfinite(mark))
    value, equity = (base * mark)[hour, symbol], made.moved.came_to[hour, lay.EQUITY]
    return _rows(made, symbols, made.hours[hour], symbol).assign(
        position_base=base[hour, symbol],
        position_usd=value,
        position_weight=np.divide(value, equity, out=np.full(len(value), np.nan), where=equity > 0),
    )


def _intents(made: Walk, symbols: tuple[str, ...]) -> pd.DataFrame:
    """Rows of ``signals.trade_intents``."""
    of = made.moved.decided.T
    return _rows(made, symbols, of[lay.HOUR], of[lay.SYMBOL]).assign(
        intent_side=of[lay.NEXT_SIDE],
        position_weight=of[lay.BEFORE],
        target_weight=of[lay.TARGET],
        order_usd=of[lay.NEXT] * of[lay.NEXT_PRICE],
    )


def _executions(made: Walk, world: World) -> pd.DataFrame:
    """Rows of ``signals.trade_executions``."""
    of = made.moved.due.T
    frame = _rows(made, world.symbols, of[lay.HOUR], of[lay.SYMBOL])
    keys = list(zip(frame["ts"].tolist(), of[lay.SYMBOL].astype(int).tolist(), strict=True))
    books = [world.books.get(key) for key in keys]
    size, is_filled = np.abs(of[lay.ORDER]), of[lay.FILLED] > 0
    side = np.sign(of[lay.ORDER])
    with np.errstate(invalid="ignore"):
        slippage = side * 1e4 * (of[lay.VWAP] - of[lay.MID_NOW]) / of[lay.MID_NOW]
    spec = STRATEGIES[made.name].spec
    texts = [
        f"{made.name}\0{s}\0{h}\0{spec}" for h, s in zip(frame["ts"], frame["symbol"], strict=True)
    ]
    walked = ["sums" if world.levels.get(key) is None else "levels" for key in keys]
    kinds = np.where(of[lay.IS_ASSUMED] != 0, "assumed", walked).astype(object)
    return frame.assign(
        execution_id=[hashlib.sha256(text.encode()).hexdigest() for text in texts],
        order_side=np.where(side > 0, "BUY", "SELL"),
        order_base=size,
        filled_base=of[lay.FILLED],
        filled_share=of[lay.FILLED] / size,
        vwap=of[lay.VWAP],
        mid_at_decision=of[lay.MID_THEN],
        mid_at_fill=of[lay.MID_NOW],
        paper_slippage_bps=np.where(is_filled, slippage, np.nan),
        fees_usd=of[lay.FEE_USD],
        fill_kind=pd.Series(np.where(is_filled, kinds, None), dtype=object),  # type: ignore[call-overload, arg-type]
        fill_reason=pd.Series([_REASONS[why] for why in of[lay.WHY].tolist()], dtype=object),
        book_at=pd.to_datetime(
            pd.Series([None if b is None else b.sampled.at_us for b in books], dtype="Int64"),
            unit="us",
            utc=True,
        ),
        book_payload_id=pd.Series(
            [None if b is None else b.sampled.payload_id for b in books], dtype=object
        ),
        source_tier=[lay.ASSUMED_TIER if b is None else b.tier for b in books],
    )


def trials_of(universe: Sequence[str]) -> tuple[SpecTrial, ...]:
    """Every strategy as a trial; all of them are one family."""
    symbols = sorted(set(universe))
    return tuple(
        SpecTrial("paper", "paper", canonical(_spec(name) | {"universe": symbols}), "paper", 1)
        for name in STRATEGIES
    )


def _spec(name: str) -> dict[str, Any]:
    return {"params": name, "rules": json.loads(STRATEGIES[name].spec), "sign": 1}


def _tried(trials: pd.DataFrame | None, symbols: tuple[str, ...]) -> int:
    """How many strategies were ever followed: those of today, and others in the ledger."""
    ids = {t.trial_id for t in trials_of(symbols)}
    if trials is not None:
        ids |= set(trials.loc[trials["trial_kind"] == "paper", "trial_id"])
    return len(ids)


def _summaries(made: Walk, tried: int) -> pd.DataFrame:
    """The row of a strategy at the end of each day that is shown."""
    rows = [_summary(made.name, hour, state, tried) for hour, state in made.ends.items()]
    return pd.DataFrame(rows)


def _summary(name: str, hour: int, state: paper.State, tried: int) -> dict[str, Any]:
    rules, account = STRATEGIES[name], state.account
    own, hold = (
        np.concatenate([[1.0], np.cumprod(1.0 + np.array(days) / paper.RETURN_PARTS)])
        for days in (state.own_days, state.hold_days)
    )
    found = paper_statistics.worth(own, float(tried))
    days_end = hour - 24 * np.arange(found.days)[::-1]
    hours = hour - int(account[lay.BEGAN_H]) + 1
    return {
        "ts": hour,
        "strategy": name,
        "source_tier": account[lay.WORST_TIER],
        "strategy_spec": rules.spec,
        "inception_at": int(account[lay.BEGAN_H]),
        "paper_days": found.days,
        "sharpe": found.sharpe,
        "sharpe_low": found.low,
        "sharpe_high": found.high,
        "sharpe_deflated": found.deflated,
        "max_drawdown": found.drawdown,
        "traded_share_per_day": account[lay.TRADED] / account[lay.EQUITY_H] * 24,
        "exposure_mean": account[lay.GROSS_H] / hours,
        "fees_total_usd": account[lay.FEES],
        "funding_total_usd": account[lay.PAID],
        "book_fills": account[lay.BOOK_FILLS],
        "assumed_fills": account[lay.ASSUMED_FILLS],
        "paper_state": state.written(),
        **_excess(own, hold, days_end),
        "status": "ok" if math.isfinite(found.sharpe) else "insufficient_history",
        "reason": None if math.isfinite(found.sharpe) else _why(found.days),
    }


def _why(days: int) -> str:
    return "under_90_days" if days < paper_statistics.LEAST_DAYS else "equity_never_moved"


def _excess(equity: Floats, held: Floats, hours: npt.NDArray[np.int64]) -> dict[str, float]:
    """Daily return less that of holding at the same deviation, with its interval by blocks of weeks."""
    if len(equity) - 1 < paper_statistics.LEAST_DAYS:
        return {}
    own, other = (v[1:] / v[:-1] - 1.0 for v in (equity, held))
    deviation = float(other.std(ddof=1))
    if deviation <= 0:
        return {}
    less = own - other * float(own.std(ddof=1)) / deviation
    weeks = Weeks.added(hours, np.ones(len(less)), 1e4 * less)
    half = t_quantile(0.95, weeks.blocks_effective()) * math.sqrt(max(variance(weeks), 0.0))
    return {
        "hold_sharpe": float(paper_statistics.annual_sharpe(other)),
        "excess_bps_per_day": weeks.share,
        "excess_low_bps_per_day": weeks.share - half,
        "excess_high_bps_per_day": weeks.share + half,
    }


def states_before(
    stored: pd.DataFrame | None, symbols: tuple[str, ...]
) -> tuple[datetime, dict[str, paper.State]] | None:
    """The newest time at which every strategy has a state to go on from, and the states.

    Args:
        stored: rows of ``signals.strategies``.
        symbols: of the run; a state of other ones is none, and one of other rules or another method.
    """
    if stored is None or stored.empty:
        return None
    rows = stored[
        stored["method_version"].eq(method_version(METHOD)) & stored["paper_state"].notna()
    ]
    for ts, own in sorted(rows.groupby("ts"), reverse=True):
        texts = dict(zip(own["strategy"], own["paper_state"], strict=True))
        if texts.keys() != STRATEGIES.keys():
            continue
        states = {name: paper.State.read(text) for name, text in texts.items()}
        if all(s.symbols == symbols and s.spec == STRATEGIES[n].spec for n, s in states.items()):
            return cast(pd.Timestamp, ts).to_pydatetime(), states
    return None


def _since(stored: pd.DataFrame, symbols: tuple[str, ...]) -> datetime | None:
    found = states_before(stored, symbols)
    return None if found is None else found[0]


def _stored(name: str, *columns: str, **where: str) -> Any:
    return reads(name, where=where, columns=("symbol", "ts", *where, *columns), all_stored=True)


@derives(
    *TABLES,
    step="signals__paper",
    of_universe=True,
    confluence=_stored("signals.confluence", "confluence_direction"),
    futures_scores=_stored("signals.futures_scores", "futures_signal"),
    candles_1h=_stored("market.candles_1h", "venue", "close", "source_tier", market="perp"),
    volatility_regimes=_stored("features.volatility_regimes", "risk_multiplier_confirmed"),
    funding=_stored("market.funding", "funding_rate"),
    execution_quality=_stored(
        "signals.execution_quality", "effective_spread_bps", "thinner_depth_25bps_usd"
    ),
    raw_order_book=_stored(
        "raw.order_book", "source", "venue", "mid", "spread_bps", "book_age_s", "bid_levels",
        "ask_levels", *(f"depth_{b}bps_{s}_usd" for b in (10, 25) for s in ("bid", "ask")),
        "payload_id", "source_tier", market="perp",
    ),
    trials=reads("signals.trials", columns=("trial_id", "trial_kind"), whole=True),
    strategies=Resume(
        TABLES[0], ("strategy", "ts", "paper_state", "method_version"), within="10d", lookback=LOOKBACK,
        since=_since,
    ),
)  # fmt: skip
def paper_positions(
    confluence: pd.DataFrame,
    futures_scores: pd.DataFrame,
    candles_1h: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    funding: pd.DataFrame,
    execution_quality: pd.DataFrame,
    raw_order_book: pd.DataFrame,
    trials: pd.DataFrame | None = None,
    strategies: pd.DataFrame | None = None,
    *,
    grid: Grid,
    levels_of: LevelsOf = no_levels,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What every strategy wanted, was filled at, held and was worth in the hours of a grid.

    An order that is decided at the end of a row meets the first book two to twelve minutes later, in the next
    row. Before the first book of a symbol its fill is assumed, at half the spread that bars imply.

    Args:
        confluence: rows of ``signals.confluence``, all that are stored; so are the others.
        futures_scores: of ``signals.futures_scores``.
        candles_1h: of ``market.candles_1h``, the perpetual's.
        volatility_regimes: of ``features.volatility_regimes``.
        funding: of ``market.funding``.
        execution_quality: of ``signals.execution_quality``.
        raw_order_book: snapshots of the perpetual's books.
        trials: rows of ``signals.trials``; the deflated Sharpe ratio allows for every strategy in it.
        strategies: own rows of the days before, whose states are gone on from; the others are then needed
            for the 32 days before the newest of them only.
        grid: hours whose rows are put out.
        levels_of: the levels of a sampled book; without them its sums are walked, spread evenly.

    Returns:
        Content columns of the five tables, sorted by key; no rows before the first price.
    """
    perp = candles_1h[(candles_1h["market"] == "perp") & candles_1h["close"].notna()]
    perp = perp[(perp["ts"] >= INCEPTION) & (perp["ts"] < grid.end)]
    found = states_before(strategies, grid.symbols)
    if not grid.symbols or (perp.empty and found is None):
        return tuple(empty(table(n))[list(table(n).content)] for n in TABLES)  # type: ignore[return-value]
    if found is None:
        begin = perp["ts"].min().to_pydatetime()
        states = {
            n: paper.State.fresh(r, grid.symbols, hour_number(begin)) for n, r in STRATEGIES.items()
        }
        after = hour_number(begin) - 1
    else:
        at, states = found
        after = hour_number(at)
        began = min(int(s.account[lay.BEGAN_H]) for s in states.values())
        begin = max(at_hour(began), at - parse_lookback(LOOKBACK))
    world = _world(
        replace(grid, start=begin), perp, confluence, futures_scores, volatility_regimes, funding,
        execution_quality, raw_order_book, levels_of,
    )  # fmt: skip
    shown = hour_number(grid.start)
    walks = [walk(world, name, states[name], after, shown) for name in STRATEGIES]
    made = (
        [_summaries(one, _tried(trials, grid.symbols)) for one in walks],
        [_intents(one, grid.symbols) for one in walks],
        [_executions(one, world) for one in walks],
        [_positions(one, grid.symbols) for one in walks],
        [_hourly(one) for one in walks],
    )
    version = method_version(METHOD)
    return tuple(  # type: ignore[return-value]
        framed(
            pd.concat([f for f in frames if len(f)] or frames, ignore_index=True), table(n), version
        )
        for n, frames in zip(TABLES, made, strict=True)
    )


def _world(
    grid: Grid,
    perp: pd.DataFrame,
    confluence: pd.DataFrame,
    futures_scores: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    funding: pd.DataFrame,
    execution_quality: pd.DataFrame,
    raw_order_book: pd.DataFrame,
    levels_of: LevelsOf,
) -> World:
    bars = to_panel(perp, grid, ["close", "source_tier"])
    close = bars["close"]
    hours = np.arange(hour_number(grid.start), hour_number(grid.start) + len(close), dtype=np.int64)
    sides = {}
    for signal, frame in (("confluence", confluence), ("futures", futures_scores)):
        column, words = VOTERS[signal]
        side = frame[column].map({w: _SIDES[v] for w, v in words.items()}).astype("float64")
        sides[signal] = to_panel(frame[["symbol", "ts"]].assign(side=side), grid, ["side"])["side"]
    quality = to_panel(execution_quality, grid, ["effective_spread_bps", "thinner_depth_25bps_usd"])
    settled = funding.assign(hour=funding["ts"].dt.floor("1h"))
    settled = settled.groupby(["symbol", "hour"], as_index=False).agg({"funding_rate": "sum"})
    risk = to_panel(volatility_regimes, grid, ["risk_multiplier_confirmed"])
    books, there = _books(raw_order_book, perp, grid, hours)
    seen = np.full((len(hours), lay.SEEN, len(grid.symbols)), np.nan)
    seen[:, lay.CLOSE], seen[:, lay.TIER] = close, bars["source_tier"]
    seen[:, lay.FEE] = costs.fees(perp, grid)
    seen[:, lay.MULTIPLIER] = risk["risk_multiplier_confirmed"]
    seen[:, lay.DEPTH] = quality["thinner_depth_25bps_usd"]
    seen[1:, lay.HALF_SPREAD] = quality["effective_spread_bps"][:-1] / 2.0
    seen[:, lay.FUNDING] = to_panel(settled, grid, ["funding_rate"], time="hour")["funding_rate"]
    seen[:, lay.CLUSTER] = groups(close, hours)
    seen[:, lay.BOOK] = there
    return World(hours, grid.symbols, seen, sides, books, levels_of)


def groups(close: Floats, hours: Ints) -> Floats:
    """Groups of each hour by the 30 days before its day, hours x symbols."""
    returns = np.full(close.T.shape, np.nan)
    returns[:, 1:] = np.diff(np.log(close.T), axis=1)
    rho = paper.Rules("").cluster_rho
    starts = np.maximum(np.unique(hours // 24) * 24 - int(hours[0]), 0)
    daily = [paper.clusters(returns[:, max(0, s - 720) : s], rho) for s in starts.tolist()]
    return np.stack(daily)[hours // 24 - int(hours[0]) // 24].astype(np.float64)


def _books(
    raw: pd.DataFrame, perp: pd.DataFrame, grid: Grid, hours: Ints
) -> tuple[dict[tuple[int, int], Book], Floats]:
    """The first valid book two to twelve minutes into each hour; hours x symbols: which books there are."""
    there = np.full((len(hours), len(grid.symbols)), lay.NO_BOOK)
    rows = raw[is_valid(raw)]
    stamp = microseconds(rows["ts"])
    rows = rows.assign(hour=stamp // HOUR_US, second=(stamp % HOUR_US) / 1e6, us=stamp)
    # the venue of the bar at whose end an order was decided
    bars = perp[["symbol", "venue"]].assign(hour=microseconds(perp["ts"]) // HOUR_US + 1)
    rows = rows.merge(bars, on=["symbol", "venue", "hour"], how="inner")
    rows = rows[rows["symbol"].isin(grid.symbols) & rows["hour"].between(hours[0], hours[-1])]
    if rows.empty:
        return {}, there
    rows = rows.assign(column=rows["symbol"].map({s: k for k, s in enumerate(grid.symbols)}))
    there[rows["hour"] - hours[0], rows["column"]] = lay.OTHER_BOOK
    near = rows[rows["second"].between(paper.FILL_FROM_S, paper.FILL_UNTIL_S)]
    near = near.sort_values(["symbol", "hour", "source_tier", "source", "us"], kind="stable")
    near = near.drop_duplicates(["symbol", "hour"])
    there[near["hour"] - hours[0], near["column"]] = lay.BOOK_IN_TIME
    out = {}
    for one in near.to_dict("records"):
        bid, ask = (
            (float(one[f"depth_10bps_{s}_usd"]), float(one[f"depth_25bps_{s}_usd"]))
            for s in ("bid", "ask")
        )
        sampled = Sampled.of(one, "perp", int(one["us"]))
        out[int(one["hour"]), int(one["column"])] = Book(
            sampled, float(one["spread_bps"]), bid, ask, float(one["source_tier"])
        )
    return out, there
