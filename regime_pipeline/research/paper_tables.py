"""Paper positions as tables: what each strategy wanted, was filled at, held, and was worth.

Belongs here: rows of ``signals.strategies``, ``trade_intents``, ``trade_executions``, ``positions`` and
``equity``. Does not belong here: rules and the kernel (``paper``), fills (``fills``), statistics.

A strategy is walked from its inception each time, so a row is the same wherever a run begins. It reads
tables and writes numbers: no order is ever placed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.order_book import is_valid
from regime_pipeline.numerics.block_estimator import Weeks, t_quantile, variance
from regime_pipeline.numerics.panel import HOUR_US, microseconds, to_panel
from regime_pipeline.research import costs, fills, paper, paper_statistics
from regime_pipeline.research.consensus import VOTERS
from regime_pipeline.research.passports import HOUR_OF_DAY
from regime_pipeline.research.rows import framed
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid, hour_number, utc

METHOD = "paper/1"
TABLES = tuple(
    f"signals.{n}"
    for n in ("strategies", "trade_intents", "trade_executions", "positions", "equity")
)
INCEPTION = utc("2020-01-01")
"""No strategy begins before; it begins with the first price."""
STRATEGIES: Mapping[str, paper.Rules] = {
    f"follow_{signal}": paper.Rules(signal) for signal in ("confluence", "futures")
}
ASSUMED_TIER = 3
_SIDES = (1.0, -1.0, 0.0)  # by the codes of votes

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Book:
    """The book that an order of an hour meets."""

    at: int
    mid: float
    spread_bps: float
    bid_usd: tuple[float, float]
    ask_usd: tuple[float, float]
    payload_id: str | None
    tier: float


@dataclass(frozen=True)
class World:
    """All that strategies look at: symbols x hours from the first price on.

    Attributes:
        hours: since 1970, without a gap.
        symbols: of the rows of a panel.
        panels: by name: close, multiplier, depth, funding, fee, half_spread, tier, and the side of each
            signal.
        cluster: group of each symbol, by day since the first hour's.
        books: (hour, symbol) -> book.
        first_book_h: hour of the first book of each symbol; a huge one without any.
    """

    hours: npt.NDArray[np.int64]
    symbols: tuple[str, ...]
    panels: Mapping[str, Floats]
    cluster: npt.NDArray[np.int64]
    books: Mapping[tuple[int, int], Book]
    first_book_h: npt.NDArray[np.int64]

    def hour(self, at: int, signal: str) -> paper.Hour:
        """What became known in the hour of an index."""
        p = self.panels
        return paper.Hour(
            int(self.hours[at]), p["close"][:, at], p[signal][:, at], p["multiplier"][:, at],
            p["depth"][:, at], p["funding"][:, at],
            self.cluster[int(self.hours[at]) // 24 - int(self.hours[0]) // 24], p["fee"][:, at],
        )  # fmt: skip

    def fill(
        self, hour: int, symbol: int, wanted: float, side: int, mid: float
    ) -> tuple[fills.Fill, float, str | None]:
        """What an order decided at the end of the hour before meets."""
        book = self.books.get((hour, symbol))
        if book is None:
            if hour < self.first_book_h[symbol]:
                before = hour - int(self.hours[0]) - 1
                half = float(self.panels["half_spread"][symbol, before])
                found = fills.assumed(half, mid, wanted, side)
                return found, mid, None if found.quantity else "no_spread_to_assume"
            return fills.Fill.at(0.0, math.nan, math.nan, wanted, side), math.nan, "no_book"
        near, far = book.ask_usd if side > 0 else book.bid_usd
        found = fills.through_sums(book.spread_bps, near, far, book.mid, wanted, side)
        return found, book.mid, None if found.share >= 1.0 else "book_too_shallow"


@dataclass
class Walk:
    """One strategy as it was walked.

    Attributes:
        name: of the strategy.
        state: after the newest hour.
        rows: by table, with hours as stamps.
        equity: at the end of each hour.
        traded: value that changed hands, by hour.
        fees: paid, by hour.
        funding: paid, by hour.
        gross: weight, by hour.
        fills: how many were made by a book, and assumed.
        at_ends: state and fills so far at the ends of days that are shown.
    """

    name: str
    state: paper.State
    rows: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {t: [] for t in TABLES[1:]}
    )
    equity: list[float] = field(default_factory=list)
    traded: list[float] = field(default_factory=list)
    fees: list[float] = field(default_factory=list)
    funding: list[float] = field(default_factory=list)
    gross: list[float] = field(default_factory=list)
    fills: list[int] = field(default_factory=lambda: [0, 0])
    at_ends: dict[int, dict[str, Any]] = field(default_factory=dict)


def walk(world: World, name: str, rules: paper.Rules, shown_from: int) -> Walk:
    """Walk a strategy from its inception.

    Args:
        world: what it looks at.
        name: of the strategy.
        rules: its rules.
        shown_from: hour since 1970 from which rows are kept.
    """
    made = Walk(name, paper.State.fresh(rules, len(world.symbols)))
    tier = math.nan
    for at, hour in enumerate(world.hours.tolist()):
        now = world.hour(at, rules.signal)
        moved = paper.advance(rules, made.state, now, world.fill)
        tier = float(np.fmax.reduce([tier, *world.panels["tier"][:, at].tolist()]))
        made.equity.append(moved.equity)
        made.traded.append(moved.traded)
        made.fees.append(moved.fees)
        made.funding.append(moved.funding)
        made.gross.append(moved.gross)
        for one in moved.fills:
            is_assumed = (hour, one["symbol"]) not in world.books and one["fill"].quantity > 0
            made.fills[is_assumed] += one["fill"].quantity > 0
            tier = max(tier, ASSUMED_TIER) if is_assumed else tier
        if hour >= shown_from:
            _keep(made, world, hour, moved, tier)
            if hour % 24 == HOUR_OF_DAY:
                made.at_ends[hour] = {
                    "paper_state": made.state.written(),
                    "book_fills": made.fills[0],
                    "assumed_fills": made.fills[1],
                    "source_tier": tier,
                }
    return made


def _keep(made: Walk, world: World, hour: int, moved: paper.Moved, tier: float) -> None:
    """The rows of one hour."""
    shared = {"ts": hour, "strategy": made.name, "status": "ok", "source_tier": tier}
    state = made.state
    made.rows["signals.equity"].append(
        shared
        | {
            "equity_usd": moved.equity, "cash_usd": state.cash, "gross_weight": moved.gross,
            "net_weight": moved.net, "drawdown": moved.drawdown, "fees_usd": moved.fees,
            "funding_paid_usd": moved.funding, "traded_usd": moved.traded,
            "limits_hit": ",".join(dict.fromkeys(moved.limits)) or None,
        }
    )  # fmt: skip
    for k, symbol in enumerate(world.symbols):
        if not math.isfinite(state.mark[k]):
            continue
        value = state.quantity[k] * state.mark[k]
        weight = value / moved.equity if moved.equity > 0 else math.nan
        made.rows["signals.positions"].append(
            shared
            | {"symbol": symbol, "position_base": state.quantity[k], "position_usd": value,
               "position_weight": weight}
        )  # fmt: skip
    for one in moved.intents:
        made.rows["signals.trade_intents"].append(
            shared
            | {"symbol": world.symbols[one["symbol"]], "intent_side": one["side"],
               "position_weight": one["weight"], "target_weight": one["target"],
               "order_usd": one["usd"]}
        )  # fmt: skip
    for one in moved.fills:
        made.rows["signals.trade_executions"].append(
            shared | _execution(made.name, world, hour, one)
        )


def _execution(strategy: str, world: World, hour: int, one: dict[str, Any]) -> dict[str, Any]:
    symbol, found = world.symbols[one["symbol"]], one["fill"]
    book = world.books.get((hour, one["symbol"]))
    text = f"{strategy}\0{symbol}\0{hour}\0{STRATEGIES[strategy].spec}"
    is_filled = found.quantity > 0
    kind = None if not is_filled else "assumed" if book is None else "book"
    return {
        "symbol": symbol,
        "execution_id": hashlib.sha256(text.encode()).hexdigest(),
        "order_side": "BUY" if one["side"] > 0 else "SELL",
        "order_base": one["wanted"],
        "filled_base": found.quantity,
        "filled_share": found.share,
        "vwap": found.vwap,
        "mid_at_decision": one["mid_decided"],
        "mid_at_fill": one["mid_filled"],
        "paper_slippage_bps": found.slippage_bps,
        "fees_usd": one["fee"],
        "fill_kind": kind,
        "fill_reason": one["why"],
        "book_at": None if book is None else pd.Timestamp(book.at, unit="us", tz="UTC"),
        "book_payload_id": None if book is None else book.payload_id,
        "source_tier": ASSUMED_TIER if book is None else book.tier,
    }


def _summaries(made: Walk, world: World, grid: Grid) -> Iterator[dict[str, Any]]:
    """The row of a strategy at the end of each day of a grid."""
    rules = STRATEGIES[made.name]
    ends = np.flatnonzero(world.hours % 24 == HOUR_OF_DAY)
    equity = np.array(made.equity)
    first = hour_number(grid.start)
    hold = _hold(world.panels["close"])
    for at in ends[world.hours[ends] >= first].tolist():
        days = ends[ends <= at]
        whole = np.concatenate([[rules.capital_usd], equity[days]])
        found = paper_statistics.worth(whole, float(len(STRATEGIES)))
        held = np.concatenate([[1.0], hold[days]])
        yield made.at_ends[int(world.hours[at])] | {
            "ts": int(world.hours[at]),
            "strategy": made.name,
            "strategy_spec": rules.spec,
            "inception_at": int(world.hours[0]),
            "paper_days": found.days,
            "sharpe": found.sharpe,
            "sharpe_low": found.low,
            "sharpe_high": found.high,
            "sharpe_deflated": found.deflated,
            "max_drawdown": found.drawdown,
            "traded_share_per_day": float(
                np.sum(made.traded[: at + 1]) / equity[: at + 1].sum() * 24
            ),
            "exposure_mean": float(np.mean(made.gross[: at + 1])),
            "fees_total_usd": math.fsum(made.fees[: at + 1]),
            "funding_total_usd": math.fsum(made.funding[: at + 1]),
            **_excess(whole, held, world.hours[days]),
            "status": "ok" if math.isfinite(found.sharpe) else "insufficient_history",
            "reason": None if math.isfinite(found.sharpe) else _why(found.days),
        }


def _why(days: int) -> str:
    return "under_90_days" if days < paper_statistics.LEAST_DAYS else "equity_never_moved"


def _hold(close: Floats) -> Floats:
    """Equal parts of all symbols, set anew each hour, held: value by hour."""
    returns = np.full(close.shape, np.nan)
    returns[:, 1:] = close[:, 1:] / close[:, :-1] - 1.0
    known = np.isfinite(returns)
    mean = np.where(known, returns, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.cumprod(1.0 + mean)


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
)  # fmt: skip
def paper_positions(
    confluence: pd.DataFrame,
    futures_scores: pd.DataFrame,
    candles_1h: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    funding: pd.DataFrame,
    execution_quality: pd.DataFrame,
    raw_order_book: pd.DataFrame,
    *,
    grid: Grid,
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
        grid: hours whose rows are put out.

    Returns:
        Content columns of the five tables, sorted by key; no rows before the first price.
    """
    perp = candles_1h[(candles_1h["market"] == "perp") & candles_1h["close"].notna()]
    perp = perp[(perp["ts"] >= INCEPTION) & (perp["ts"] < grid.end)]
    if perp.empty or not grid.symbols:
        return tuple(empty(table(n))[list(table(n).content)] for n in TABLES)  # type: ignore[return-value]
    whole = replace(grid, start=perp["ts"].min().to_pydatetime())
    world = _world(
        whole, perp, confluence, futures_scores, volatility_regimes, funding, execution_quality,
        raw_order_book,
    )  # fmt: skip
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for name, rules in STRATEGIES.items():
        made = walk(world, name, rules, hour_number(grid.start))
        for of, found in made.rows.items():
            rows[of] += found
        rows[TABLES[0]] += _summaries(made, world, grid)
    version = method_version(METHOD)
    return tuple(framed(rows[n], table(n), version) for n in TABLES)  # type: ignore[return-value]


def _world(
    grid: Grid,
    perp: pd.DataFrame,
    confluence: pd.DataFrame,
    futures_scores: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    funding: pd.DataFrame,
    execution_quality: pd.DataFrame,
    raw_order_book: pd.DataFrame,
) -> World:
    bars = to_panel(perp, grid, ["close", "source_tier"])
    panels = {"close": bars["close"], "tier": bars["source_tier"], "fee": costs.fees(perp, grid)}
    for signal, frame in (("confluence", confluence), ("futures", futures_scores)):
        column, words = VOTERS[signal]
        side = frame[column].map({w: _SIDES[v] for w, v in words.items()}).astype("float64")
        said = frame[["symbol", "ts"]].assign(side=side)
        panels[signal] = to_panel(said, grid, ["side"])["side"]
    panels["multiplier"] = to_panel(volatility_regimes, grid, ["risk_multiplier_confirmed"])[
        "risk_multiplier_confirmed"
    ]
    quality = to_panel(execution_quality, grid, ["effective_spread_bps", "thinner_depth_25bps_usd"])
    panels["half_spread"] = quality["effective_spread_bps"] / 2.0
    panels["depth"] = quality["thinner_depth_25bps_usd"]
    settled = funding.assign(hour=funding["ts"].dt.floor("1h"))
    settled = settled.groupby(["symbol", "hour"], as_index=False).agg({"funding_rate": "sum"})
    panels["funding"] = to_panel(settled, grid, ["funding_rate"], time="hour")["funding_rate"]
    own = {name: np.ascontiguousarray(p.T) for name, p in panels.items()}
    first = hour_number(grid.start)
    hours = np.arange(first, first + own["close"].shape[1], dtype=np.int64)
    books, began = _books(raw_order_book, perp, grid)
    return World(hours, grid.symbols, own, _clusters(own["close"], hours), books, began)


def _clusters(close: Floats, hours: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Groups of each day by the 30 days before it."""
    log_close = np.log(close)
    returns = np.full(close.shape, np.nan)
    returns[:, 1:] = np.diff(log_close, axis=1)
    rho = paper.Rules("").cluster_rho
    days = np.unique(hours // 24)
    starts = np.maximum(days * 24 - int(hours[0]), 0)
    return np.stack([paper.clusters(returns[:, max(0, s - 720) : s], rho) for s in starts.tolist()])


def _books(
    raw: pd.DataFrame, perp: pd.DataFrame, grid: Grid
) -> tuple[dict[tuple[int, int], Book], npt.NDArray[np.int64]]:
    """The first valid book two to twelve minutes into each hour, and the first hour with any."""
    began = np.full(len(grid.symbols), np.iinfo(np.int64).max)
    rows = raw[is_valid(raw)]
    stamp = microseconds(rows["ts"])
    rows = rows.assign(hour=stamp // HOUR_US, second=(stamp % HOUR_US) / 1e6, us=stamp)
    # the venue of the bar at whose end an order was decided
    bars = perp[["symbol", "venue"]].assign(hour=microseconds(perp["ts"]) // HOUR_US + 1)
    rows = rows.merge(bars, on=["symbol", "venue", "hour"], how="inner")
    rows = rows[rows["symbol"].isin(grid.symbols)]
    if rows.empty:
        return {}, began
    column = {s: k for k, s in enumerate(grid.symbols)}
    for symbol, hour in rows.groupby("symbol")["hour"].min().items():
        began[column[str(symbol)]] = hour
    near = rows[rows["second"].between(paper.FILL_FROM_S, paper.FILL_UNTIL_S)]
    near = near.sort_values(["symbol", "hour", "source_tier", "source", "us"], kind="stable")
    near = near.drop_duplicates(["symbol", "hour"])
    names = ("bid", "ask")
    out = {}
    for one in near.to_dict("records"):
        depth = {
            s: (float(one[f"depth_10bps_{s}_usd"]), float(one[f"depth_25bps_{s}_usd"]))
            for s in names
        }
        payload = one["payload_id"]
        out[int(one["hour"]), column[one["symbol"]]] = Book(
            int(one["us"]), float(one["mid"]), float(one["spread_bps"]), depth["bid"], depth["ask"],
            payload if isinstance(payload, str) else None, float(one["source_tier"]),
        )  # type: ignore[arg-type]  # fmt: skip
    return out, began
