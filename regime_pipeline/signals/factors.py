"""The futures factors as panels: one function per factor, each from its own input panels.

Belongs here: what a factor's sub-score is, when it is null and why, how fresh its input is. Does not
belong here: frames, weights, the composite (``futures_score``). Importing this module imports numba.

Nothing is imputed: a factor that cannot be computed is NaN with a status and a reason. Statistics
that judge a row read the rows before it, ``h-720..h-1``, at least 336 of them. ``first_hour`` is the
hour since 1970 of a panel's first row: it anchors sums in time, so that none depends on that row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.conventions import INSUFFICIENT, OK, ZERO_DISPERSION, FloatPanel
from regime_pipeline.numerics.memory import new_panels
from regime_pipeline.numerics.one_source import SOURCE_CHANGED
from regime_pipeline.numerics.order_statistics import rolling_median
from regime_pipeline.numerics.probability import phi
from regime_pipeline.numerics.rolling import lagged_z_and_code, rolling_count, rolling_scaled_sum
from regime_pipeline.signals import momentum as maths
from regime_pipeline.signals.scores import Z_CLIP, read_as_score, score_of

WINDOW_H, MIN_OBS = 720, 336
DAY_H, MIN_OF_DAY = 24, 20
SETTLED_H = 2 * WINDOW_H
"""Slots until both medians of the liquidation factor stand on full windows."""
FUNDING_DEAD_ZONE = 1.0
FEAR_GREED_AGE_H, FEAR_GREED_INTERVAL_H = 36.0, 24.0
MOMENTUM_HORIZONS_H = (1, 4, 24)
LIQUIDATIONS_REACH_H = DAY_H + 2 * WINDOW_H
"""Hours before a row behind the liquidation factor: a sum, its median, the balances' median."""
OPEN_INTEREST_REACH_H = DAY_H + WINDOW_H
MOST_ATTENTION = 1.5
"""Attention beyond so many standard deviations moves the social factor no further."""

STATUSES = ("ok", "partial", "stale", "missing", "insufficient_history")
OK_ROW, PARTIAL, STALE, MISSING, SHORT = range(5)

REASONS = (
    "no_observation",
    "fewer_than_20_of_24_hours",
    "fewer_than_28_days",
    "fewer_than_60_days",
    "gaps_in_24_hours",
    "fewer_than_14_days",
    "zero_dispersion",
    "carried_1h",
    "close_missing",
    "print_overdue",
    "window_covers_less_than_480h",
    "interval_unknown",
    "older_than_36h",
    "source_not_wired",
    SOURCE_CHANGED,
    "no_mentions",
    "no_day_in_36h",
    *(reason for reason in maths.REASONS if reason not in ("", "zero_dispersion")),
)
_REASON = {name: code for code, name in enumerate(REASONS)}

CodePanel = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Factor:
    """One factor on the grid: sub-score, status and reason codes, freshness of its input.

    ``reason`` is -1 where there is nothing to explain; ``weak`` marks rows whose reading has a
    second wording (open interest that fell); ``raw`` holds the numbers behind the sub-score by column
    name, those of the hour itself, null where they are not known.
    """

    score: FloatPanel
    status: CodePanel
    reason: CodePanel
    freshness: FloatPanel
    weak: Flags | None = None
    raw: Mapping[str, FloatPanel] = field(default_factory=dict)

    def last(self, rows: int) -> Factor:
        """The last rows of the panels."""
        tail = slice(len(self.score) - rows, None)
        return Factor(
            self.score[tail],
            self.status[tail],
            self.reason[tail],
            self.freshness[tail],
            None if self.weak is None else self.weak[tail],
            {name: panel[tail] for name, panel in self.raw.items()},
        )


class Codes:
    """Status and reason of every cell; a later ``set`` overrules an earlier one."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.status: CodePanel = np.full(shape, OK_ROW, dtype=np.int8)
        self.reason: CodePanel = np.full(shape, -1, dtype=np.int8)

    def set(self, where: Flags, status: int, reason: str) -> None:
        """Give these cells a status and a reason."""
        self.status[where] = status
        self.reason[where] = _REASON[reason]

    def only_usable(self, score: FloatPanel) -> FloatPanel:
        """The panel itself, null now where the status does not let it be used."""
        score[self.status > PARTIAL] = np.nan
        return score


def freshness_of(age: FloatPanel, interval: FloatPanel | float) -> FloatPanel:
    """1 up to an age of one interval, falling to 0 at two."""
    return np.clip(2.0 - age / interval, 0.0, 1.0)


def liquidations(
    longs: FloatPanel, shorts: FloatPanel, *, first_hour: int, two_sources: Flags | None = None
) -> Factor:
    """Balance of the sides liquidated in 24 h against its own usual level.

    ``imb24 = (S - L) / (S + L + kappa)`` with kappa the median of the 24 h totals of 30 days before;
    ``score = 50 + 50 clip(imb24 - m, -1, 1)``, m the median of imb24 over 30 days before: longs are
    liquidated more as a rule, so the raw balance would lean bearish. Sums need 20 of 24 hours and
    are scaled to 24. Null until m exists (28 days), partial up to 60 days and over gaps.

    ``two_sources``: cells whose history would come from two sources; they are null.
    """
    observed = np.isfinite(longs) & np.isfinite(shorts)
    (long24, n), (short24, _) = (
        rolling_scaled_sum(np.where(observed, x, np.nan), DAY_H, MIN_OF_DAY, anchor=first_hour)
        for x in (longs, shorts)
    )
    total24 = long24 + short24
    kappa = rolling_median(total24, WINDOW_H, MIN_OBS, lag=1)
    size = total24 + kappa
    imbalance = balance(short24 - long24, size)
    usual = rolling_median(imbalance, WINDOW_H, MIN_OBS, lag=1)
    score = 50.0 + 50.0 * np.clip(imbalance - usual, -1.0, 1.0)

    codes = Codes(longs.shape)
    codes.set(n < DAY_H, PARTIAL, "gaps_in_24_hours")
    codes.set(rolling_count(total24, DAY_H, lag=SETTLED_H) == 0, PARTIAL, "fewer_than_60_days")
    codes.set(~np.isfinite(score), SHORT, "fewer_than_28_days")
    codes.set(n < MIN_OF_DAY, MISSING, "fewer_than_20_of_24_hours")
    codes.set(n == 0, MISSING, "no_observation")
    if two_sources is not None:
        codes.set(two_sources, MISSING, SOURCE_CHANGED)
    age = _slots_since(observed)
    judged_by = {
        "liquidations_usual_24h_usd": kappa,
        "liquidations_balance": imbalance,
        "liquidations_balance_usual": usual,
    }
    return Factor(
        codes.only_usable(score),
        codes.status,
        codes.reason,
        freshness_of(age, 1.0),
        raw={
            "long_liquidations_24h_usd": long24,
            "short_liquidations_24h_usd": short24,
            **of_one_source(judged_by, two_sources),
        },
    )


def of_one_source(
    raw: Mapping[str, FloatPanel], two_sources: Flags | None
) -> Mapping[str, FloatPanel]:
    """Statistics, null in the cells whose history would come from two sources."""
    if two_sources is None:
        return raw
    return {name: np.where(two_sources, np.nan, panel) for name, panel in raw.items()}


def balance(difference: FloatPanel, size: FloatPanel) -> FloatPanel:
    """A difference as a share of the size; 0 of nothing: quiet weeks are observed, no division by zero."""
    out = np.where(size > 0.0, difference / np.where(size > 0.0, size, 1.0), 0.0)
    out[~np.isfinite(size)] = np.nan
    return out


def funding(
    z: FloatPanel, age: FloatPanel, interval: FloatPanel, stale: Flags, young: Flags
) -> Factor:
    """Contrarian reading of the newest print's z: ``100 Phi(-sgn(z) max(|z| - 1, 0))``.

    z is clipped at +-4 first. Inside the dead zone the score is exactly 50, about three quarters of
    all hours: an observation, not a stand-in.

    Args:
        z: lagged z of the newest print at each hour.
        age: its age at the decision time, hours; NaN without a print.
        interval: its interval, hours.
        stale: the print is older than 1.5 intervals.
        young: the print had too little history for a z.
    """
    clipped = np.clip(z, -Z_CLIP, Z_CLIP)
    beyond = np.maximum(np.abs(clipped) - FUNDING_DEAD_ZONE, 0.0)
    score = 100.0 * phi(-np.sign(clipped) * beyond)
    codes = Codes(z.shape)
    codes.set(~np.isfinite(z), MISSING, "interval_unknown")
    codes.set(young, SHORT, "window_covers_less_than_480h")
    codes.set(stale, STALE, "print_overdue")
    codes.set(~np.isfinite(age), MISSING, "no_observation")
    return Factor(
        codes.only_usable(score),
        codes.status,
        codes.reason,
        freshness_of(age, interval),
        raw={"funding_z": z, "funding_age_h": age},
    )


def momentum(close: FloatPanel, *, first_hour: int) -> Factor:
    """Volatility-scaled momentum over 1, 4 and 24 h; see :mod:`regime_pipeline.signals.momentum`."""
    sigma = maths.ewma_sigma(close, first_hour=first_hour)
    found = maths.momentum(close, sigma, MOMENTUM_HORIZONS_H)
    codes = Codes(close.shape)
    for code, reason in enumerate(maths.REASONS):
        if reason:
            codes.set(found.code == code, _MOMENTUM_STATUS[code], reason)
    score = score_of(found.value, clip=maths.CLIP)
    returns = {
        f"momentum_return_{hours}h": maths.log_change(close, hours) for hours in MOMENTUM_HORIZONS_H
    }
    return Factor(
        codes.only_usable(score),
        codes.status,
        codes.reason,
        np.ones_like(score),
        raw={**returns, "momentum_sigma_1h": sigma, "momentum_factor_raw": found.value},
    )


_MOMENTUM_STATUS = (OK_ROW, PARTIAL, MISSING, SHORT, MISSING, MISSING, MISSING)


def share(values: FloatPanel, *, sign: float, first_hour: int, names: tuple[str, ...]) -> Factor:
    """Lagged z of the logit of a share in (0, 1): ``100 Phi(sign z)``; a gap of 1 h is carried.

    ``sign`` -1 reads it contrarian (the crowd's accounts), +1 with the flow (top traders); ``names`` are
    the columns of the share and of its z.
    """
    odds = logit(values)
    z, code = lagged_z_and_code(odds, WINDOW_H, MIN_OBS, anchor=first_hour)
    score = read_as_score(_clipped(np.multiply(sign, z, out=odds)))
    return _carried(score, judged(code), dict(zip(names, (values, z), strict=True)))


def logit(share: FloatPanel) -> FloatPanel:
    """Log odds of a share; infinite at 0 and 1."""
    (out,) = new_panels(1, share.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(share, np.subtract(1.0, share, out=out), out=out)
        return np.log(out, out=out)


def _clipped(z: FloatPanel) -> FloatPanel:
    """The panel itself, clipped."""
    return np.clip(z, -Z_CLIP, Z_CLIP, out=z)


def open_interest(
    base: FloatPanel,
    usd: FloatPanel,
    close: FloatPanel,
    *,
    first_hour: int,
    two_sources: Flags | None = None,
) -> Factor:
    """Size of the 24 h change of open interest, signed by the price.

    ``50 + 50 tanh(|z| / 2) sgn(r24) g``: z the lagged z (clipped at +-4) of the log change of open
    interest in coins, g 1 when it rose and 0.5 when it fell (the same direction, weaker: covering,
    or a flush of longs). Coins are the source's own; where it gives none, USD over the close; a
    change never mixes the two.

    ``two_sources``: cells whose history would come from two sources; they are null.
    """
    change, coins = maths.log_change(base, DAY_H), base
    if not np.isfinite(base).all():
        with np.errstate(divide="ignore", invalid="ignore"):
            implied_base = usd / close
        coins = np.where(np.isfinite(base), base, implied_base)
        implied = maths.log_change(implied_base, DAY_H)
        change = np.where(np.isfinite(change), change, implied)
    change[~np.isfinite(change)] = np.nan
    z, code = lagged_z_and_code(change, WINDOW_H, MIN_OBS, anchor=first_hour)
    price = maths.log_change(close, DAY_H)
    score = trend_score(z, change, price)
    codes = judged(code)
    codes.set(np.isfinite(z) & ~np.isfinite(price), MISSING, "close_missing")
    if two_sources is not None:
        codes.set(two_sources, MISSING, SOURCE_CHANGED)
    judged_by = of_one_source({"oi_trend_change_24h": change, "oi_trend_z": z}, two_sources)
    raw = {"open_interest_base": coins, "oi_trend_return_24h": price, **judged_by}
    factor = _carried(score, codes, raw)
    fell = change < 0.0
    fell[1:] |= (factor.reason[1:] == _REASON["carried_1h"]) & (change[:-1] < 0.0)
    return replace(factor, weak=fell)


def trend_score(z: FloatPanel, change: FloatPanel, price: FloatPanel) -> FloatPanel:
    """``50 + 50 tanh(|z| / 2) sgn(price) g`` of a change of open interest and the price's in that time."""
    score, part = new_panels(2, z.shape)
    np.abs(np.clip(z, -Z_CLIP, Z_CLIP, out=score), out=score)
    score /= 2.0
    np.tanh(score, out=score)
    score *= 50.0
    score *= np.sign(price, out=part)
    part[:] = 0.0
    part[change > 0.0] = 1.0
    part[change < 0.0] = 0.5
    score *= part
    score += 50.0
    return score


def fear_greed(value: FloatPanel, age: FloatPanel) -> Factor:
    """Contrarian at the extremes: ``50 + (25 - x)`` to 25, ``50 - (x - 75)`` from 75, else 50."""
    score = np.where(value <= 25.0, 75.0 - value, np.where(value >= 75.0, 125.0 - value, 50.0))
    codes = Codes(value.shape)
    codes.set(age > FEAR_GREED_AGE_H, STALE, "older_than_36h")
    codes.set(~np.isfinite(value), MISSING, "no_observation")
    return Factor(
        codes.only_usable(score),
        codes.status,
        codes.reason,
        freshness_of(age, FEAR_GREED_INTERVAL_H),
        raw={"fear_greed": value, "fear_greed_age_h": age},
    )


def social(mood: FloatPanel, mentions: FloatPanel, *, first_hour: int) -> Factor:
    """Mood against its own 30 days, as far as more is said than usual.

    ``100 Phi(z_mood clip(z_mentions, 0, 1.5))``, both z lagged, mentions as ``ln(1 + n)``: a mood that
    nobody takes up reads exactly 50. A gap of one hour is carried.
    """
    z, code = lagged_z_and_code(mood, WINDOW_H, MIN_OBS, anchor=first_hour)
    attention, heard = lagged_z_and_code(np.log1p(mentions), WINDOW_H, MIN_OBS, anchor=first_hour)
    codes = judged(code)
    codes.set((code == OK) & (heard == INSUFFICIENT), SHORT, "fewer_than_14_days")
    codes.set((code == OK) & (heard == ZERO_DISPERSION), MISSING, "zero_dispersion")
    codes.set((code == OK) & (heard > ZERO_DISPERSION), MISSING, "no_mentions")
    (score,) = new_panels(1, z.shape)
    np.clip(attention, 0.0, MOST_ATTENTION, out=score)
    score *= z
    return _carried(
        read_as_score(_clipped(score)),
        codes,
        {
            "social_score": mood,
            "social_mentions": mentions,
            "social_z": z,
            "social_mentions_z": attention,
        },
    )


def unwired(shape: tuple[int, ...]) -> Factor:
    """A factor whose source the configuration does not name, or cannot ask."""
    codes = Codes(shape)
    codes.set(np.ones(shape, dtype=bool), MISSING, "source_not_wired")
    empty = np.full(shape, np.nan)
    return Factor(empty, codes.status, codes.reason, empty)


def judged(code: CodePanel) -> Codes:
    """Codes of a lagged z."""
    codes = Codes(code.shape)
    codes.set(code == INSUFFICIENT, SHORT, "fewer_than_14_days")
    codes.set(code == ZERO_DISPERSION, MISSING, "zero_dispersion")
    codes.set(code > ZERO_DISPERSION, MISSING, "no_observation")
    return codes


def _carried(score: FloatPanel, codes: Codes, raw: Mapping[str, FloatPanel]) -> Factor:
    """The factor with a level that is missing for one hour carried from the hour before.

    The score is carried, not the input: a carried input would be judged by a window it is in.
    """
    own = codes.only_usable(score)
    absent = codes.reason == _REASON["no_observation"]
    take = np.zeros(own.shape, dtype=bool)
    take[1:] = absent[1:] & np.isfinite(own[:-1])
    own[1:][take[1:]] = own[:-1][take[1:]]
    codes.set(take, PARTIAL, "carried_1h")
    (fresh,) = new_panels(1, own.shape)
    fresh[:] = 1.0  # an hour is one interval, and no age beside it
    return Factor(own, codes.status, codes.reason, fresh, raw=raw)


def _slots_since(observed: Flags) -> FloatPanel:
    """Slots since the newest observed one (0: the row itself); NaN before the first."""
    hours = np.arange(len(observed))[:, None]
    newest = np.maximum.accumulate(np.where(observed, hours, -1), axis=0)
    return np.where(newest >= 0, hours - newest, np.nan)
