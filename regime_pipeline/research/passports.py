"""The passport of every signal: what its score has been worth, and whether that can be chance.

Belongs here: putting the statistics of a day together as rows of ``signals.passports``. Does not belong
here: the statistics (``information``, ``spreads``, ``redundancy``), bounds, the ledger of trials.

The definition in words: docs/research.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import Input, derives, reads
from regime_pipeline.catalogue.fields.features import VOL_REGIMES
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features import price_structure as structure
from regime_pipeline.numerics.panel import HOUR_US, microseconds, to_panel
from regime_pipeline.research import costs, information, redundancy, spreads
from regime_pipeline.research.bounds import critical, effective
from regime_pipeline.research.rows import framed
from regime_pipeline.research.trials import (
    BY_NAME,
    HORIZONS_H,
    SCORES,
    SIGNALS,
    Signal,
    Trial,
    columns_of,
    published,
)
from regime_pipeline.settings import FuturesParams, SignalParams, method_version
from regime_pipeline.signals import components as component_scores
from regime_pipeline.signals import confluence as confluence_scores
from regime_pipeline.signals import futures_score
from regime_pipeline.windows import HOUR, Grid, hour_number

METHOD = "passports/1"
TABLE = "signals.passports"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WINDOW_D = 730
"""Days of history that a passport is about."""
_BEFORE_D = 31
"""Days before them, for quantiles and medians of a month."""
REDUNDANCY_D = 365
HOUR_OF_DAY = 23
EVERY = "*"
"""In place of a symbol or a regime: all of them."""


def score_versions(signal_params: SignalParams, futures_params: FuturesParams) -> dict[str, str]:
    """Version of the scores of each table, with the digest of their thresholds."""
    return {
        "signals.components": method_version(component_scores.METHOD),
        "signals.confluence": method_version(confluence_scores.METHOD, signal_params),
        "signals.futures_scores": method_version(futures_score.METHOD, futures_params),
        "features.price_structure": method_version(structure.METHOD),
    }


@dataclass(frozen=True)
class History:
    """Everything that the passports of one day look at: symbols x hours of the window.

    Attributes:
        hours: since 1970, ascending, without a gap; the last one is the day's 23:00.
        scores: by signal.
        sides: by signal, of ``spreads.sides``.
        log_close: of the perpetual.
        ranked: log returns that followed, by horizon in hours.
        regime: code of the confirmed volatility regime, NaN unknown.
        cost_bps: of changing a position.
        cost_code: where that is from.
        symbols: of the rows of a panel.
        tier: worst origin by table of scores, NaN unknown.
    """

    hours: Ints
    scores: Mapping[str, Floats]
    sides: Mapping[str, Floats]
    log_close: Floats
    ranked: Mapping[int, information.Ranked]
    regime: Floats
    cost_bps: Floats
    cost_code: costs.Codes
    symbols: tuple[str, ...]
    tier: Mapping[str, float]

    def oriented(self, trial: Trial) -> tuple[Floats, Floats]:
        """The scores and sides of a trial's signal, turned round where its sign is -1."""
        scores, side = self.scores[trial.family], self.sides[trial.family]
        return (scores, side) if trial.sign > 0 else (100.0 - scores, -side)


def returns_of(log_close: Floats, horizon_h: int) -> Floats:
    """Log returns from each hour's close to the one ``horizon_h`` later; NaN beyond the window."""
    out: Floats = np.full(log_close.shape, np.nan)
    if horizon_h < out.shape[1]:
        out[:, :-horizon_h] = log_close[:, horizon_h:] - log_close[:, :-horizon_h]
    return out


@dataclass(frozen=True)
class Tried:
    """How often the family of a signal was tried.

    Attributes:
        n: specifications in the ledger, its own among them.
        others: daily sums of the other ones, trial x day; empty without any.
        days: days since 1970 of the columns of ``others``.
        since_h: hour since 1970 at which its own was first run; None: it is not in the ledger.
    """

    n: int
    others: Floats
    days: Ints
    since_h: int | None

    def independent(self, own: Floats, days: Ints) -> float:
        """How many independent specifications they amount to.

        Args:
            own: daily sums of influence of the specification that is judged.
            days: since 1970, of each.
        """
        if self.n < 2:
            return 1.0
        mine = np.full(len(self.days), np.nan)
        found = np.searchsorted(days, self.days)
        inside = (found < len(days)) & (self.days <= days[-1])
        mine[inside] = own[found[inside]]
        known = np.where(self.days <= days[-1], self.others, np.nan)
        with_days = effective(np.concatenate([mine[None], known])) if len(known) else 1.0
        return with_days + (self.n - 1 - len(known))


def tried(trial: Trial, trials: pd.DataFrame, trial_days: pd.DataFrame, as_of_h: int) -> Tried:
    """What the ledger says of the family of a trial.

    Args:
        trial: that is judged.
        trials: rows of ``signals.trials``, whenever they were first run.
        trial_days: rows of ``signals.trial_days``.
        as_of_h: no day after this hour since 1970 counts.
    """
    family = trials[(trials["trial_family"] == trial.family) & (trials["trial_kind"] == trial.kind)]
    own = family["trial_id"] == trial.trial_id
    since = None
    if own.any():
        since = int(microseconds(family.loc[own, "first_run_at"])[0] // HOUR_US)
    rows = trial_days[
        trial_days["trial_id"].isin(family.loc[~own, "trial_id"])
        & (trial_days["horizon_h"] == trial.headline_h)
    ]
    day = microseconds(rows["trial_day"]) // (24 * HOUR_US) if len(rows) else np.empty(0, np.int64)
    rows, day = rows[day * 24 <= as_of_h], day[day * 24 <= as_of_h]
    days, column = np.unique(day, return_inverse=True)
    ids = sorted(set(rows["trial_id"]))
    sums = np.full((len(ids), len(days)), np.nan)
    at = np.searchsorted(np.array(ids, dtype=object), rows["trial_id"].to_numpy(object))
    sums[at, column] = rows["influence_sum"].to_numpy("float64")
    return Tried(int((~own).sum()) + 1, sums, days, since)


def daily(influence: Floats, hours: Ints) -> tuple[Floats, Ints]:
    """Sums of hourly influence by day, and the days since 1970."""
    first = int(hours[0]) // 24
    sums = np.bincount(hours // 24 - first, influence).astype(np.float64)
    return sums, np.arange(first, first + len(sums), dtype=np.int64)


def judged(
    found: information.Coefficient, trials_eff: float
) -> tuple[dict[str, Any], str, str | None]:
    """Numbers of a coefficient, its verdict among all looks and trials, and why it is none.

    Args:
        found: the coefficient.
        trials_eff: independent trials behind it.
    """
    raw, why = found.verdict()
    crit = critical(found.n, trials_eff) if found.n else math.nan
    verdict = raw
    if raw == "VALID" and found.ic <= crit * found.se:
        verdict, why = "UNDECIDED", "deflated"
    known = found.is_known
    numbers = {
        "ic": found.ic if known else math.nan,
        "ic_se": found.se if known else math.nan,
        "ic_lag_h": found.lag,
        "ic_hours": found.n,
        "ic_hours_eff": found.n_eff,
        "crit": crit,
        "verdict_raw": raw,
    }
    return numbers, verdict, why


def _evidence(
    scores: Floats, returns: Floats, hours: Ints, horizon_h: int, since_h: int | None
) -> str:
    """``live`` where the rows after the first run pass alone."""
    if since_h is None or since_h >= hours[-1]:
        return "history"
    later = hours >= since_h
    pairs = information.Pairs.of(scores[:, later], returns[:, later])
    _, verdict, _ = judged(information.pooled(pairs, horizon_h), 1.0)
    return "live" if verdict == "VALID" else "history"


def of_signal(
    history: History,
    trial: Trial,
    family: Tried,
    horizon_h: int,
    lasting: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """The rows of one signal and horizon: pooled, by regime, by symbol, across symbols.

    Args:
        history: of the day.
        trial: the specification that is judged; a sign of -1 turns the score round.
        family: what the ledger says of it.
        horizon_h: of the returns.
        lasting: columns that are the same at every horizon.
    """
    scores, side = history.oriented(trial)
    returns = history.ranked[horizon_h].panel
    pairs = information.Pairs.of(scores, history.ranked[horizon_h])
    regimes = [history.regime == code for code in range(len(VOL_REGIMES))]
    whole, *parts = information.views(pairs, horizon_h, regimes)
    looks = 1 if horizon_h == trial.headline_h else len(HORIZONS_H)
    independent = looks * family.independent(*daily(whole.influence, history.hours))
    shared = {"trials_n": looks * family.n, "trials_eff": independent}
    tier = history.tier[BY_NAME[trial.family].table]

    def row(found: information.Coefficient, **what: Any) -> dict[str, Any]:
        numbers, verdict, why = judged(found, independent)
        known = found.is_known
        reason = None if known else ("no_pairs_of_score_and_return" if found.n < 2 else "no_error")
        return {
            "signal": trial.family,
            "horizon_h": horizon_h,
            "symbol": EVERY,
            "passport_regime": EVERY,
            **shared,
            **numbers,
            "verdict": verdict,
            "verdict_reason": why,
            "status": "ok" if known else "missing",
            "reason": reason,
            "source_tier": tier if known else math.nan,
            **what,
        }

    hit, hit_low, hit_high, n_hits = information.hit_rate(scores, returns, history.hours, horizon_h)
    earned = spreads.spread(
        side, returns, history.hours, history.cost_bps, history.cost_code, horizon_h
    )
    main = row(
        whole,
        passport_kind="pooled",
        hit_rate=hit,
        hit_rate_low=hit_low,
        hit_rate_high=hit_high,
        n_hits=n_hits,
        quantile_spread_bps=earned.gross,
        quantile_spread_low_bps=earned.low,
        quantile_spread_high_bps=earned.high,
        cost_bps=earned.cost,
        cost_kind=earned.cost_kind,
        switches_per_held_h=earned.switches,
        net_spread_bps=earned.net,
        is_tradable=earned.is_tradable,
        **lasting,
    )
    if main["verdict"] in ("VALID", "INVERTED"):
        main["ic_half_life_h"] = information.half_of_the_effect(
            information.by_symbol(scores), history.log_close, HORIZONS_H[-1]
        )
    if whole.is_known:
        main["evidence"] = "history"
    if main["verdict"] == "VALID":
        main["evidence"] = _evidence(scores, returns, history.hours, horizon_h, family.since_h)
    yield main
    for regime, found in zip(VOL_REGIMES, parts, strict=False):
        made = row(found, passport_kind="pooled", passport_regime=regime)
        if found.is_known and found.n_eff < information.EFFECTIVE_NEEDED:
            made |= {"ic": math.nan, "ic_se": math.nan, "status": "insufficient_history"}
            made |= {"reason": "under_100_effective_hours"}
        yield made
    for symbol, found in zip(history.symbols, parts[len(VOL_REGIMES) :], strict=True):
        yield row(found, passport_kind="symbol", symbol=symbol)
    found, icir = information.across(scores, returns, horizon_h)
    yield row(found, passport_kind="cross_section", icir=icir)


def rows_of(history: History, trial: Trial, family: Tried) -> Iterator[dict[str, Any]]:
    """The rows of one trial at every horizon."""
    scores, _ = history.oriented(trial)
    lasting = {
        "turnover_per_day": spreads.turnover(scores),
        "score_half_life_h": information.half_life(information.by_symbol(scores)),
    }
    for horizon in HORIZONS_H:
        yield from of_signal(history, trial, family, horizon, lasting)


def trial_of(
    signal: str, versions: Mapping[str, str], symbols: Sequence[str], **what: Any
) -> Trial:
    """A trial of a signal.

    Args:
        signal: name of a signal.
        versions: of :func:`score_versions`.
        symbols: that are judged together.
        what: further fields of the trial.
    """
    return Trial(signal, versions[BY_NAME[signal].table], tuple(sorted(symbols)), **what)


def of_trial(
    history: History, trial: Trial, trials: pd.DataFrame, trial_days: pd.DataFrame
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """The rows of one trial at all horizons, and what each day adds to its headline coefficient.

    Args:
        history: of the day.
        trial: that is judged.
        trials: the ledger, the trial in it.
        trial_days: daily sums of the trials.

    Returns:
        Rows without bookkeeping, and rows of ``signals.trial_days``.
    """
    family = tried(trial, trials, trial_days, int(history.hours[-1]))
    scores, _ = history.oriented(trial)
    pairs = information.Pairs.of(scores, history.ranked[trial.headline_h])
    found = information.pooled(pairs, trial.headline_h)
    sums, days = daily(found.influence, history.hours)
    hours, _ = daily(pairs.there.any(axis=0).astype("float64"), history.hours)
    stamps = pd.to_datetime(days * 24 * HOUR_US, unit="us", utc=True).as_unit("us")
    kept = pd.DataFrame(
        {
            "trial_id": trial.trial_id,
            "horizon_h": trial.headline_h,
            "trial_day": stamps,
            "influence_sum": sums,
            "influence_hours": hours.astype("int64"),
        }
    )
    rows = list(rows_of(history, trial, family))
    return rows, kept[hours > 0].reset_index(drop=True)


def _scores_of(name: str) -> Input:
    """Every stored row of a table of scores, with the scores that are judged."""
    return reads(name, columns=("symbol", "ts", *columns_of(name), "source_tier"), all_stored=True)


HISTORY: dict[str, Any] = {
    "components": _scores_of("signals.components"),
    "confluence": _scores_of("signals.confluence"),
    "futures_scores": _scores_of("signals.futures_scores"),
    "price_structure": _scores_of("features.price_structure"),
    "candles_1h": reads(
        "market.candles_1h",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", "venue", "close"),
        all_stored=True,
    ),
    "volatility_regimes": reads(
        "features.volatility_regimes",
        columns=("symbol", "ts", "vol_regime_confirmed"),
        all_stored=True,
    ),
    "order_book_1h": reads(
        "market.order_book_1h",
        where={"market": "perp"},
        columns=(
            *("market", "symbol", "ts", "spread_bps"),
            *("depth_10bps_bid_usd", "depth_10bps_ask_usd"),
        ),
        all_stored=True,
    ),
}
"""What a :class:`History` is made of."""


@derives(
    TABLE,
    of_universe=True,
    **HISTORY,
    trials=reads("signals.trials", whole=True),
    trial_days=reads("signals.trial_days", whole=True),
    signal_params="params.signals",
    futures_params="params.futures",
)
def passports(
    components: pd.DataFrame,
    confluence: pd.DataFrame,
    futures_scores: pd.DataFrame,
    price_structure: pd.DataFrame,
    candles_1h: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    order_book_1h: pd.DataFrame,
    trials: pd.DataFrame,
    trial_days: pd.DataFrame,
    *,
    grid: Grid,
    signal_params: SignalParams,
    futures_params: FuturesParams,
) -> pd.DataFrame:
    """What every score has been worth over the 730 days to each day's last hour.

    A return over h hours from row t is known at t + 1 h + h, and only those count that are known at the
    end of the 23:00 row. Nothing is imputed. The rank correlation of all symbols together is the headline;
    regimes, symbols and the one across symbols stand beside it.

    Args:
        components: rows of ``signals.components``, all that are stored.
        confluence: of ``signals.confluence``, the same.
        futures_scores: of ``signals.futures_scores``, the same.
        price_structure: of ``features.price_structure``, the same.
        candles_1h: of ``market.candles_1h``; only the perpetual's are used.
        volatility_regimes: of ``features.volatility_regimes``.
        order_book_1h: of ``market.order_book_1h``; only the perpetual's are used.
        trials: the ledger, all of it: whoever tried something tried it, whatever day is judged.
        trial_days: daily sums of the trials; days after the judged one do not count.
        grid: hours owed; its 23:00 rows are put out.
        signal_params: thresholds of the confluence, part of what a trial is.
        futures_params: thresholds of the futures score, the same.

    Returns:
        Content columns of ``signals.passports``, sorted by key. ``missing`` where no hour has both score
        and return; ``insufficient_history`` for a regime of fewer than 100 effective hours.
    """
    target = table(TABLE)
    columns = list(target.content)
    days = [at for at in grid.hours if at.hour == HOUR_OF_DAY]
    if not days or not grid.symbols:
        return empty(target)[columns]
    versions = score_versions(signal_params, futures_params)
    specs = {t.family: t for t in published(grid.symbols, versions)}
    histories = histories_of(
        components, confluence, futures_scores, price_structure, candles_1h, volatility_regimes,
        order_book_1h, grid=grid,
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for history in histories:
        as_of = int(history.hours[-1])
        others = {h: redundancies_of(history, history.ranked[h].panel) for h in HORIZONS_H}
        for name, trial in specs.items():
            for row in rows_of(history, trial, tried(trial, trials, trial_days, as_of)):
                is_headline = row["passport_kind"] == "pooled" and row["passport_regime"] == EVERY
                beside = others[row["horizon_h"]].get(name, {}) if is_headline else {}
                rows.append({"ts": as_of, **row, **beside})
    return framed(rows, target, method_version(METHOD))


def redundancies_of(history: History, returns: Floats) -> dict[str, dict[str, Any]]:
    """What the other scores say of each, over the 23:00 rows of a year."""
    last_rows = history.hours % 24 == HOUR_OF_DAY
    last_rows &= history.hours > history.hours[-1] - 24 * REDUNDANCY_D
    scores = np.stack([history.scores[s.name][:, last_rows] for s in SCORES])
    found = redundancy.redundancies(scores, returns[:, last_rows])
    return {
        s.name: {
            "redundancy_r2": one.r2,
            "ic_partial": one.ic_partial,
            "nearest_signal": None if one.nearest is None else SCORES[one.nearest].name,
            "nearest_corr": one.nearest_corr,
        }
        for s, one in zip(SCORES, found, strict=True)
    }


def histories_of(
    components: pd.DataFrame,
    confluence: pd.DataFrame,
    futures_scores: pd.DataFrame,
    price_structure: pd.DataFrame,
    candles_1h: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    order_book_1h: pd.DataFrame,
    *,
    grid: Grid,
) -> Iterator[History]:
    """What the passports of each day of a grid look at, the first day first; see :func:`passports`."""
    back = timedelta(days=WINDOW_D + _BEFORE_D) - HOUR
    wide = grid.widened(back)
    frames = {
        "signals.components": components,
        "signals.confluence": confluence,
        "signals.futures_scores": futures_scores,
        "features.price_structure": price_structure,
    }
    scores: dict[str, Floats] = {}
    tiers: dict[str, Floats] = {}
    for name, frame in frames.items():
        found = to_panel(frame, wide, [*columns_of(name), "source_tier"])
        scores |= {s.name: _by_symbol(_score(s, found)) for s in SIGNALS if s.table == name}
        tiers[name] = found["source_tier"]
    perp = candles_1h[candles_1h["market"] == "perp"]
    close = _by_symbol(to_panel(perp, wide, ["close"])["close"])
    log_close = np.log(np.where(close > 0, close, np.nan))
    regime = _by_symbol(regimes_of(volatility_regimes, wide))
    book = order_book_1h[order_book_1h["market"] == "perp"]
    sums = to_panel(book, wide, ["spread_bps", "depth_10bps_bid_usd", "depth_10bps_ask_usd"])
    thinner = np.fmin(sums["depth_10bps_bid_usd"], sums["depth_10bps_ask_usd"])
    cost, code = costs.filled(
        costs.of_the_hour(costs.fees(perp, wide), sums["spread_bps"], thinner)
    )
    cost, code = _by_symbol(cost), _by_symbol(code)
    sides = {name: spreads.sides(panel) for name, panel in scores.items()}
    first = hour_number(wide.start)
    for at in grid.hours:
        if at.hour != HOUR_OF_DAY:
            continue
        stop = hour_number(at) - first + 1
        known = np.isfinite(log_close[:, stop - 24 * WINDOW_D : stop]).any(axis=0)
        empty_hours = int(known.argmax()) if known.any() else 24 * WINDOW_D - 24
        own = slice(stop - 24 * WINDOW_D + empty_hours, stop)
        yield History(
            np.arange(first + own.start, first + own.stop),
            {name: panel[:, own] for name, panel in scores.items()},
            {name: panel[:, own] for name, panel in sides.items()},
            log_close[:, own],
            {h: information.Ranked(returns_of(log_close[:, own], h)) for h in HORIZONS_H},
            regime[:, own],
            cost[:, own],
            code[:, own],
            grid.symbols,
            {name: _worst(panel[own]) for name, panel in tiers.items()},
        )


def _score(signal: Signal, panels: Mapping[str, Floats]) -> Floats:
    values = panels[signal.column]
    return 50.0 + 50.0 * values if signal.is_event else values


def _by_symbol(panel: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(panel.T)


def _worst(tier: Floats) -> float:
    return float(np.nanmax(tier)) if np.isfinite(tier).any() else math.nan


def regimes_of(volatility_regimes: pd.DataFrame, grid: Grid) -> Floats:
    """Codes of the confirmed regime in the order of ``VOL_REGIMES``, NaN unknown; hours x symbols."""
    code = pd.Categorical(volatility_regimes["vol_regime_confirmed"], categories=VOL_REGIMES).codes
    coded = volatility_regimes[["symbol", "ts"]].assign(
        code=np.where(code < 0, np.nan, code.astype("float64"))
    )
    return to_panel(coded, grid, ["code"])["code"]
