"""The futures score: eight factors of the primary perpetual, weighted, with its coverage said aloud.

Belongs here: gathering the factors' inputs, the composite, its confidence and its explanation. Does
not belong here: the factors themselves (``factors``), the thresholds' values (``settings``).

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.signals import FACTOR_NUMBERS, FACTORS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import CLOSES, close_halted, halted
from regime_pipeline.numerics.one_source import spans_change
from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    from_panel,
    grid_length,
    grid_start_us,
    microseconds,
    take_codes,
    to_panel,
)
from regime_pipeline.settings import FundingParams, FuturesParams, method_version
from regime_pipeline.signals import daily
from regime_pipeline.signals.scores import text_of, worst_tier
from regime_pipeline.windows import HOUR, Grid, Window

if TYPE_CHECKING:
    from regime_pipeline.signals.factors import Factor

METHOD = "futures_score/4"

HIGH_CONFIDENCE, MEDIUM_CONFIDENCE = 0.75, 0.5
TOP = 3

_WORDS: dict[str, tuple[str, str]] = {
    "liquidations": (
        "shorts were liquidated more than usual in 24 h",
        "longs were liquidated more than usual in 24 h",
    ),
    "funding": (
        "funding is unusually low: shorts are crowded",
        "funding is unusually high: longs are crowded",
    ),
    "momentum": ("price rose against its volatility", "price fell against its volatility"),
    "long_short": ("fewer accounts are long than usual", "more accounts are long than usual"),
    "smart_money": ("top traders are longer than usual", "top traders are shorter than usual"),
    "oi_trend": (
        "open interest rose with the price: new longs",
        "open interest rose as the price fell: new shorts",
    ),
    "social": ("social sentiment is better than usual", "social sentiment is worse than usual"),
    "fear_greed": ("the market is in extreme fear", "the market is in extreme greed"),
}
"""What a factor above and below 50 says."""

_WEAK_WORDS: dict[str, tuple[str, str]] = {
    "oi_trend": (
        "open interest fell as the price rose: shorts cover",
        "open interest fell with the price: longs leave",
    ),
}


# Liquidations: a median of imbalances over 30 d, each over a median of 30 d, plus a day for sums and one to
# see that the history is that long. Funding: the newest print within 72 h, judged by 30 d.
@derives(
    "signals.futures_scores",
    liquidations_1h=reads("market.liquidations_1h", "62d"),
    funding=reads("market.funding", "34d"),
    candles_1h=reads("market.candles_1h", "32d", where={"market": "perp"}, columns=CLOSES),
    positioning_1h=reads("market.positioning_1h", "31d"),
    open_interest=reads("market.open_interest", "32d"),
    fear_greed=reads("market.fear_greed", "3d"),
    sentiment_1h=reads("market.sentiment_1h", "31d"),
    derivatives_1d=reads("market.derivatives_1d", daily.LOOKBACK),
    params="params.futures",
    funding_params="params.funding",
    social_source="social_source",
    interval="factor_interval",
)
def futures_scores(
    liquidations_1h: pd.DataFrame,
    funding: pd.DataFrame,
    candles_1h: pd.DataFrame,
    positioning_1h: pd.DataFrame,
    open_interest: pd.DataFrame,
    fear_greed: pd.DataFrame,
    sentiment_1h: pd.DataFrame | None = None,
    derivatives_1d: pd.DataFrame | None = None,
    *,
    grid: Grid,
    params: FuturesParams,
    funding_params: FundingParams,
    social_source: str | None = None,
    interval: str = "1h",
) -> pd.DataFrame:
    """The futures score of every symbol and hour of the grid.

    ``futures_score = sum(w s) / sum(w)`` over the available factors; ``coverage_pct`` is their weight
    out of that of the wired ones, rounded down. A factor is wired when the configuration names a source
    for it that can be asked, even while that has nothing: only social may be without one. Under
    ``params.min_coverage_pct`` score, signal and confidence are null and ``score_uncovered`` keeps the
    number. ``confidence = coverage x factor_agreement x freshness``. No factor is ever filled in;
    ``score_fixed50`` shows what the replaced system would have said by doing so.

    Args:
        liquidations_1h: rows of ``market.liquidations_1h``.
        funding: rows of ``market.funding``.
        candles_1h: rows of ``market.candles_1h``; only the perpetual's are used.
        positioning_1h: rows of ``market.positioning_1h``.
        open_interest: rows of ``market.open_interest``.
        fear_greed: rows of ``market.fear_greed``.
        sentiment_1h: rows of ``market.sentiment_1h``; not looked at without ``social_source``.
        derivatives_1d: rows of ``market.derivatives_1d``; looked at where ``interval`` is ``1d``.
        grid: rows owed; all inputs carry the declared lookback before it.
        params: weights and thresholds.
        funding_params: thresholds behind the funding statistics.
        social_source: the provider of social moods; None: none can be asked.
        interval: what the factors about positions are made of; ``1d``: of days, and of no hour.

    Returns:
        Content columns of ``signals.futures_scores``, the whole grid, sorted by key.

    Raises:
        ValueError: the weights name an unknown factor or do not add up to 100.
    """
    weights = _weights(params)
    rows = len(grid.hours)
    from regime_pipeline.signals import factors as f

    perp = candles_1h[candles_1h["market"] == "perp"]
    close, candle_tier = _panels(perp, grid, "market.candles_1h", ("close",))
    longs, shorts, liquidation_tier = _panels(
        liquidations_1h,
        grid,
        "market.liquidations_1h",
        ("long_liquidations_usd", "short_liquidations_usd"),
    )
    crowd, top_traders, positioning_tier = _panels(
        positioning_1h,
        grid,
        "market.positioning_1h",
        ("global_account_long_frac", "top_trader_position_long_frac"),
    )
    base, usd, interest_tier = _panels(
        _observed(open_interest),
        grid,
        "market.open_interest",
        ("open_interest_base", "open_interest_usd"),
    )
    funding_factor, funding_tier = _funding(funding, grid, funding_params)
    mood_factor, mood_tier = _fear_greed(fear_greed, grid)
    positioned = _first_hour(grid, "market.positioning_1h")
    # open interest and candles share one lookback, so their panels have the same rows
    found: dict[str, Factor] = {
        "liquidations": f.liquidations(
            longs,
            shorts,
            first_hour=_first_hour(grid, "market.liquidations_1h"),
            two_sources=_two_sources(
                liquidations_1h, grid, "market.liquidations_1h", f.LIQUIDATIONS_REACH_H
            ),
        ).last(rows),
        "funding": funding_factor,
        "momentum": f.momentum(close, first_hour=_first_hour(grid, "market.candles_1h")).last(rows),
        "long_short": f.share(
            crowd, sign=-1.0, first_hour=positioned, names=FACTOR_NUMBERS["long_short"]
        ).last(rows),
        "smart_money": f.share(
            top_traders, sign=1.0, first_hour=positioned, names=FACTOR_NUMBERS["smart_money"]
        ).last(rows),
        "oi_trend": f.open_interest(
            base,
            usd,
            close,
            first_hour=_first_hour(grid, "market.open_interest"),
            two_sources=_two_sources(
                open_interest, grid, "market.open_interest", f.OPEN_INTEREST_REACH_H
            ),
        ).last(rows),
        "social": f.unwired((rows, len(grid.symbols))),
        "fear_greed": mood_factor,
    }
    tiers = [
        candle_tier,
        liquidation_tier,
        positioning_tier,
        interest_tier,
        funding_tier,
        mood_tier,
    ]
    if social_source is not None and sentiment_1h is not None:
        mood, mentions, social_tier = _panels(
            sentiment_1h, grid, "market.sentiment_1h", ("social_score", "social_mentions")
        )
        talked = _first_hour(grid, "market.sentiment_1h")
        found["social"] = f.social(mood, mentions, first_hour=talked).last(rows)
        tiers.append(social_tier)
    if interval == daily.INTERVAL and derivatives_1d is not None:
        by_day, daily_tier = daily.factors(derivatives_1d, grid)
        found |= by_day
        hourly = (liquidation_tier, positioning_tier, interest_tier)
        tiers = [t for t in tiers if not any(t is one for one in hourly)] + [daily_tier]
    wired = tuple(n for n in FACTORS if n != "social" or social_source is not None)
    panels = composite(found, weights, wired=wired, params=params)
    panels["source_tier"] = np.fmax.reduce([tier[len(tier) - rows :] for tier in tiers])
    panels |= _behind(found, weights, (rows, len(grid.symbols)))
    target = table("signals.futures_scores")
    version = method_version(f"{METHOD}+{method_version(METHOD, funding_params)[-8:]}", params)
    texts: dict[str, pd.Series] = {}
    for name in FACTORS:
        texts[f"{name}_factor_status"] = text_of(found[name].status, f.STATUSES)
        texts[f"{name}_factor_reason"] = text_of(found[name].reason, f.REASONS)
    frame = from_panel(grid, panels).assign(method_version=version, **texts)
    columns = list(target.content)
    halt = halted(to_panel(perp, grid, ("close", "source_tier")))
    return close_halted(conform(frame[columns], target)[columns], halt, target)


def _behind(
    found: dict[str, Factor], weights: dict[str, int], shape: tuple[int, int]
) -> dict[str, FloatPanel]:
    """Sub-score, weight and raw numbers of every factor, null where nothing gives them."""
    panels = {f"{name}_factor": found[name].score for name in FACTORS}
    for name in FACTORS:
        panels[f"{name}_factor_weight_pct"] = np.full(shape, float(weights[name]))
        for column in FACTOR_NUMBERS[name]:
            panels[column] = found[name].raw.get(column, np.full(shape, np.nan))
    return panels


def composite(
    found: dict[str, Factor],
    weights: dict[str, int],
    *,
    wired: tuple[str, ...] = FACTORS,
    params: FuturesParams,
) -> dict[str, npt.NDArray]:
    """The composite's columns as panels, from the factors in table order.

    ``wired``: the factors that have a source; the others leave the denominator of the coverage.
    Sums run over the factors in table order, so a row is the same to the byte in any company.
    """
    shape = found[FACTORS[0]].score.shape
    covered = np.zeros(shape, dtype=np.int64)
    total, filled, spread, fresh = (np.zeros(shape) for _ in range(4))
    pulls = np.zeros((len(FACTORS), *shape))
    for position, name in enumerate(FACTORS):
        factor, weight = found[name], weights[name]
        there = np.isfinite(factor.score)
        score = np.where(there, factor.score, 50.0)
        covered += np.where(there, weight, 0)
        total += np.where(there, weight * score, 0.0)
        filled += weight * score
        pulls[position] = weight * (score - 50.0)
        spread += np.abs(pulls[position])
        fresh += np.where(there, weight * np.where(there, factor.freshness, 0.0), 0.0)

    none = covered == 0
    divisor = np.where(none, 1, covered)
    uncovered = np.where(none, np.nan, np.clip(total / divisor, 0.0, 100.0))
    # in whole percent of what is wired, and compared as whole numbers
    coverage = 100 * covered // max(sum(weights[name] for name in wired), 1)
    enough = coverage >= max(params.min_coverage_pct, 1)
    score = np.where(enough, uncovered, np.nan)
    agreement = np.minimum(
        np.where(spread > 0.0, np.abs(_sum(pulls)) / np.where(spread > 0.0, spread, 1.0), 1.0), 1.0
    )
    freshness = np.minimum(fresh / divisor, 1.0)
    confidence = np.where(enough, coverage / 100.0 * agreement * freshness, np.nan)
    status, reason = _row_status({name: found[name] for name in wired}, enough)
    return {
        "futures_score": score,
        "futures_signal": signal_of(score, params=params),
        "score_uncovered": uncovered,
        "score_fixed50": np.where(none, np.nan, np.clip(filled / 100.0, 0.0, 100.0)),
        "coverage_pct": coverage,
        "confidence": confidence,
        "confidence_level": level_of(confidence),
        "factor_agreement": np.where(none, np.nan, agreement),
        "freshness": np.where(none, np.nan, freshness),
        "top_factors": _explain(found, pulls, divisor, enough),
        "status": status,
        "reason": reason,
    }


def signal_of(score: FloatPanel, *, params: FuturesParams) -> npt.NDArray[np.object_]:
    """LONG from the upper threshold, SHORT to the lower one, NEUTRAL between; None without a score."""
    out = np.full(score.shape, "NEUTRAL", dtype=object)
    out[score >= params.long_threshold] = "LONG"
    out[score <= params.short_threshold] = "SHORT"
    out[~np.isfinite(score)] = None
    return out


def level_of(confidence: FloatPanel) -> npt.NDArray[np.object_]:
    """High from 0.75, medium from 0.5, low below; None where there is none."""
    out = np.full(confidence.shape, "low", dtype=object)
    out[confidence >= MEDIUM_CONFIDENCE] = "medium"
    out[confidence >= HIGH_CONFIDENCE] = "high"
    out[~np.isfinite(confidence)] = None
    return out


def _weights(params: FuturesParams) -> dict[str, int]:
    given = params.weights_pct
    unknown = sorted(set(given) - set(FACTORS))
    if unknown or sum(given.values()) != 100 or min(given.values()) < 0:
        raise ValueError(
            f"factor weights are integer percent over {FACTORS} that add up to 100; got {given}"
        )
    return {name: given.get(name, 0) for name in FACTORS}


def _sum(pulls: FloatPanel) -> FloatPanel:
    """Sum over the factors in table order."""
    out = np.zeros(pulls.shape[1:])
    for pull in pulls:
        out = out + pull
    return out


def _panels(
    frame: pd.DataFrame, grid: Grid, name: str, columns: tuple[str, ...]
) -> tuple[FloatPanel, ...]:
    """Columns with the table's lookback before the grid, then the worst tier over that lookback."""
    lookback = reach_of(futures_scores, name)
    wide = to_panel(frame, grid.widened(lookback), (*columns, "source_tier"))
    slots = int(lookback.total_seconds()) // 3600
    return (*(wide[c] for c in columns), worst_tier(wide["source_tier"], slots))


def _first_hour(grid: Grid, name: str) -> int:
    """Hour since 1970 of the first row of a table's panels."""
    return grid_start_us(grid.widened(reach_of(futures_scores, name))) // HOUR_US


def _two_sources(
    frame: pd.DataFrame, grid: Grid, name: str, hours_before: int
) -> npt.NDArray[np.bool_]:
    """Cells of a table's panels whose history would come from two sources."""
    return spans_change(frame, grid.widened(reach_of(futures_scores, name)), hours_before)


def _observed(open_interest: pd.DataFrame) -> pd.DataFrame:
    """Without the levels that were carried over a gap: a change needs two observations."""
    return open_interest[~open_interest["is_filled"].fillna(False).to_numpy(dtype=bool)]


def _funding(funding: pd.DataFrame, grid: Grid, params: FundingParams) -> tuple[Factor, FloatPanel]:
    """The funding factor and its tier: newest print per hour, judged as the feature judges it."""
    from regime_pipeline.features.funding_anomalies import (
        STALE_INTERVALS,
        funding_prints,
        newest_print,
    )
    from regime_pipeline.signals import factors as f

    reach = pd.Timedelta(hours=72)
    prints = funding_prints(
        funding,
        window=Window(grid.start - reach, grid.end),
        symbols=grid.symbols,
        params=params,
    )
    length, width = grid_length(grid), len(grid.symbols)
    hours = np.tile(grid_start_us(grid) // HOUR_US + np.arange(length), width)
    at, age = newest_print(prints, hours, np.repeat(np.arange(width), length), grid.symbols)

    def column(name: str) -> FloatPanel:
        values = prints[name].to_numpy(dtype="float64", na_value=np.nan)
        taken = np.append(values, np.nan)[np.where(at >= 0, at, len(values))]
        return taken.reshape(width, length).T

    ages = age.reshape(width, length).T
    interval = column("interval_hours")
    stale = ages > STALE_INTERVALS * np.where(np.isfinite(interval), interval, 8.0)
    young = np.isfinite(column("rate_8h")) & ~np.isfinite(column("z_score"))
    factor = f.funding(column("z_score"), ages, interval, stale, young)
    raw = {"rate_8h": column("rate_8h"), **factor.raw}
    return replace(factor, raw=raw), column("source_tier")


def _fear_greed(fear_greed: pd.DataFrame, grid: Grid) -> tuple[Factor, FloatPanel]:
    """The fear & greed factor: the newest day published before the decision time, all symbols."""
    from regime_pipeline.signals import factors as f

    known = fear_greed[fear_greed["fear_greed"].notna() & fear_greed["available_at"].notna()]
    known = known.sort_values(["available_at", "ts"], ignore_index=True)
    # a day that arrives after its successor never replaces it
    known = known[known["ts"] == known["ts"].cummax()]
    decide = grid_start_us(grid) + HOUR_US * (1 + np.arange(grid_length(grid)))
    published = microseconds(known["available_at"])
    at = np.searchsorted(published, decide, side="left") - 1
    age = (decide - np.append(published, 0)[at]) / HOUR_US
    reach_h = reach_of(futures_scores, "market.fear_greed") / HOUR
    usable = (at >= 0) & (age <= reach_h)

    def everywhere(values: npt.NDArray[np.float64]) -> FloatPanel:
        taken = np.where(usable, values, np.nan)
        return np.repeat(taken[:, None], len(grid.symbols), axis=1)

    def column(name: str) -> FloatPanel:
        values = known[name].to_numpy(dtype="float64", na_value=np.nan)
        return everywhere(np.append(values, np.nan)[at])  # -1, before the first, is the NaN

    return f.fear_greed(column("fear_greed"), everywhere(age)), column("source_tier")


def _row_status(
    found: dict[str, Factor], enough: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Status of the row and which of the wired factors are behind it; equal rows are worded once."""
    from regime_pipeline.signals import factors as f

    wired = list(found)
    pattern = enough.astype(np.int64)
    for name in wired:
        pattern = pattern * 64 + (found[name].reason + 1)
    short = np.zeros(enough.shape, dtype=bool)
    for name in wired:
        short |= found[name].status == f.STATUSES.index("insufficient_history")
    patterns, which = np.unique(pattern.reshape(-1), return_inverse=True)
    texts = [_status_text(int(p), wired, f.REASONS) for p in patterns]
    which = which.reshape(enough.shape)
    silent = np.array([not text for text in texts], dtype=bool)[which]
    status = np.where(short, "insufficient_history", "missing").astype(object)
    status[enough] = "partial"
    status[enough & silent] = "ok"
    return status, take_codes(np.where(silent, -1, which), texts)


def _status_text(pattern: int, wired: list[str], reasons: tuple[str, ...]) -> str:
    said: list[str] = []
    for name in reversed(wired):
        pattern, code = divmod(pattern, 64)
        if code:
            said.append(f"{name}: {reasons[code - 1]}")
    text = "; ".join(reversed(said))
    if pattern == 0:
        return f"coverage_too_low; {text}" if text else "coverage_too_low"
    return text


def _explain(
    found: dict[str, Factor],
    pulls: FloatPanel,
    divisor: npt.NDArray[np.int64],
    enough: npt.NDArray[np.bool_],
) -> npt.NDArray[np.object_]:
    """Canonical JSON of the factors that move each score most, ties in table order.

    ``contribution`` is in points of the score, so that all of them add up to score - 50.
    """
    count = len(FACTORS)
    flat = pulls.reshape(count, -1)[:, enough.reshape(-1)]
    points = np.round(flat / divisor[enough], 2) + 0.0
    order = np.argsort(-np.abs(flat), axis=0, kind="stable")[:TOP]
    scores = np.stack([found[n].score[enough] for n in FACTORS])
    weak = np.zeros(flat.shape, dtype=np.int64)
    for position, name in enumerate(FACTORS):
        said = found[name].weak
        if said is not None and name in _WEAK_WORDS:
            weak[position] = said[enough]
    # text that does not depend on the numbers, by factor, sign and wording
    heads = [f',"factor":"{name}","reason":"' for name in FACTORS]
    reasons = [
        [
            [f'{heads[i]}{words[side]}","score":' for side in (0, 1)]
            for words in (_WORDS[name], _WEAK_WORDS.get(name, _WORDS[name]))
        ]
        for i, name in enumerate(FACTORS)
    ]
    rounded = np.round(scores, 1)
    columns: list[list[str]] = []
    along = np.arange(flat.shape[1])
    for rank in order:
        columns.append(
            [
                "" if pull == 0.0 else f'{{"contribution":{c!r}{reasons[i][w][pull < 0.0]}{s!r}}}'
                for i, pull, c, w, s in zip(
                    rank.tolist(),
                    flat[rank, along].tolist(),
                    points[rank, along].tolist(),
                    weak[rank, along].tolist(),
                    rounded[rank, along].tolist(),
                    strict=True,
                )
            ]
        )
    texts = [f"[{','.join(filter(None, parts))}]" for parts in zip(*columns, strict=True)]
    out = np.full(enough.shape, None, dtype=object)
    out[enough] = texts
    return out
