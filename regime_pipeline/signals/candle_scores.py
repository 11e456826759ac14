"""The components made of candles: momentum, technical, volume, price_action, beta_exp.

Belongs here: one function a component, from panels of the perpetual's bars to a :class:`Component`. Does
not belong here: frames (``components``), what other data say (``flow_scores``). Importing this module
imports numba.

``first_hour`` is the hour since 1970 of a panel's first row: it anchors sums in time, so that none
depends on that row.

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from regime_pipeline.features.volatility_regimes import log_returns, volatility_24h
from regime_pipeline.numerics.conventions import ZERO_DISPERSION, FloatPanel
from regime_pipeline.numerics.memory import new_panels
from regime_pipeline.numerics.order_statistics import lagged_mad_z
from regime_pipeline.numerics.rolling import (
    rolling_count,
    rolling_max,
    rolling_min,
    rolling_scaled_sum,
    rolling_std,
)
from regime_pipeline.signals import beta as regression
from regime_pipeline.signals import momentum as maths
from regime_pipeline.signals import technical as indicators
from regime_pipeline.signals.channel_kernels import READINGS, readings
from regime_pipeline.signals.component import (
    DAY_H,
    Component,
    by_hour,
    by_hour_of_day,
    scored,
)
from regime_pipeline.signals.scores import Z_CLIP, read_as_score, score_of
from regime_pipeline.signals.verdicts import MISSING, NOT_APPLICABLE, PARTIAL, SHORT, Verdicts

Bars = Mapping[str, FloatPanel]
"""Panels ``open high low close volume_base volume_quote`` of one market."""

MOMENTUM_HORIZONS_H = (4, 24, 72)

TECHNICAL_SLOTS, TECHNICAL_MIN = 500, 150
HISTOGRAM_BARS, HISTOGRAM_MIN = 100, 84
RSI_SCALE = 12.0
_OSCILLATOR_WEIGHTS = (0.4, 0.3, 0.3)
"""Weights of RSI, MACD histogram and %b."""
OVERBOUGHT, OVERSOLD = 70.0, 30.0

SAME_HOURS, MIN_SAME_HOURS = 20, 15

CHANNELS = (20, 55)
_TRENDS = (0.5, 0.3, 0.2)


def momentum(close: FloatPanel, *, first_hour: int) -> Component:
    """Mean of the 4, 24 and 72 h log returns over ``sigma sqrt(h)``; ``100 Phi(m)``, clipped at +-3.

    See :mod:`regime_pipeline.signals.momentum`.
    """
    found = maths.momentum(
        close, maths.ewma_sigma(close, first_hour=first_hour), MOMENTUM_HORIZONS_H
    )
    verdicts = Verdicts(close.shape)
    for code, (status, reason) in enumerate(zip(_MOMENTUM_STATUS, maths.REASONS, strict=True)):
        if reason:
            verdicts.set(found.code == code, status, reason)
    confidence = np.minimum(1.0, found.closes / maths.SLOTS) * found.coverage
    raw = {"momentum_raw": found.value}
    return scored(score_of(found.value, clip=maths.CLIP), confidence, verdicts, raw)


_MOMENTUM_STATUS = (0, PARTIAL, MISSING, SHORT, MISSING, MISSING, MISSING)


def technical(close: FloatPanel, *, first_hour: int) -> Component:
    """Trend reading of three oscillators on like scales.

    ``0.4 * 100 Phi((RSI - 50) / 12) + 0.3 * 100 Phi(histogram / sd) + 0.3 * clip(100 %b, 0, 100)``: the
    MACD histogram over the sd of its previous 100 bars (84 needed), clipped at +-4. ok from 500 closes
    in the last 500 slots, partial from 150. Null when more than 20 of the last 400 or any of the last
    3 closes are missing. A price that never moves is null.
    """
    found = indicators.oscillators(close, TECHNICAL_MIN - HISTOGRAM_BARS, first_hour=first_hour)
    sd = rolling_std(found.histogram, HISTOGRAM_BARS, HISTOGRAM_MIN, lag=1, anchor=first_hour)
    score, part = new_panels(2, close.shape)
    flat = sd <= np.multiply(1e-12, close, out=part)
    np.subtract(found.rsi, 50.0, out=score)
    score /= RSI_SCALE
    read_as_score(score)
    score *= _OSCILLATOR_WEIGHTS[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        np.divide(found.histogram, sd, out=part)
    read_as_score(np.clip(part, -Z_CLIP, Z_CLIP, out=part))
    part *= _OSCILLATOR_WEIGHTS[1]
    score += part
    np.multiply(100.0, found.percent_b, out=part)
    np.clip(part, 0.0, 100.0, out=part)
    part *= _OSCILLATOR_WEIGHTS[2]
    score += part

    closes = rolling_count(close, TECHNICAL_SLOTS)
    near = rolling_count(close, indicators.WINDOW)
    since = maths.slots_since_first(close, indicators.WINDOW)
    verdicts = Verdicts(close.shape)
    verdicts.set(closes < TECHNICAL_SLOTS, PARTIAL, "fewer_than_500_closes")
    verdicts.set(~np.isfinite(sd), MISSING, "fewer_than_84_of_100_histograms")
    verdicts.set(~np.isfinite(found.percent_b), MISSING, "fewer_than_18_of_20_closes")
    still = flat | ~np.isfinite(found.rsi) | ~np.isfinite(found.percent_b)
    enough = rolling_count(close, indicators.BAND_BARS) >= indicators.BAND_MIN
    verdicts.set(still & enough, MISSING, "zero_dispersion")
    verdicts.set(since - near > maths.MAX_GAPS, MISSING, "more_than_20_gaps")
    verdicts.set(closes < TECHNICAL_MIN, SHORT, "fewer_than_150_closes")
    verdicts.set(rolling_count(close, 3) < 3, MISSING, "close_missing_in_last_3h")
    covered = _covered(near, since)
    closes /= TECHNICAL_SLOTS
    closes *= covered
    return scored(
        score,
        closes,
        verdicts,
        {
            "technical_rsi": found.rsi,
            "technical_macd_hist": found.histogram,
            "technical_percent_b": found.percent_b,
            "technical_is_overbought": _flag(found.rsi, found.rsi >= OVERBOUGHT),
            "technical_is_oversold": _flag(found.rsi, found.rsi <= OVERSOLD),
        },
    )


def volume(bars: Bars, *, first_hour: int) -> Component:
    """Distance from the day's VWAP in units of the day's volatility, weighed by how busy the hour is.

    ``100 Phi(v * clip(0.5 + 0.25 spike, 0.25, 1.5))`` with ``v = (C / VWAP24 - 1) / volatility_24h`` and
    ``spike`` the robust z of the log volume against the same hour of the 20 days before (15 needed).
    VWAP over 24 bars with the current one, 22 needed. Where a bar has no quote volume, base volume
    at the typical price stands for it: partial. An hour without trades is null, ``zero_volume``.
    """
    high, low, close = bars["high"], bars["low"], bars["close"]
    base, quote = bars["volume_base"], bars["volume_quote"]
    typical = (high + low + close) / 3.0
    estimated = np.isfinite(base) & ~np.isfinite(quote)
    value = np.where(estimated, base * typical, quote)
    base = np.where(np.isfinite(value), base, np.nan)
    (values, n), (coins, _) = (
        rolling_scaled_sum(x, DAY_H, indicators.DAY_MIN, anchor=first_hour) for x in (value, base)
    )
    vwap = np.divide(values, coins, out=np.full_like(values, np.nan), where=coins > 0.0)
    realised, _ = volatility_24h(log_returns(close) ** 2, first_hour)
    with np.errstate(divide="ignore", invalid="ignore"):
        traded = np.log(np.where(base > 0.0, base, np.nan))
        away = np.where(realised > 1e-12, (close / vwap - 1.0) / realised, np.nan)
    days, lead = by_hour_of_day(traded, first_hour)
    z, _, _, day_code = lagged_mad_z(days, SAME_HOURS, MIN_SAME_HOURS)
    spike = by_hour(z, lead, close.shape)
    code = by_hour(day_code.astype(np.float64), lead, close.shape).astype(np.int8)
    same_hours = by_hour(rolling_count(days, SAME_HOURS, lag=1), lead, close.shape)
    score = score_of(away * np.clip(0.5 + 0.25 * spike, 0.25, 1.5))

    verdicts = Verdicts(close.shape)
    verdicts.set(n < DAY_H, PARTIAL, "gaps_in_24_hours")
    some = rolling_count(np.where(estimated, 1.0, np.nan), DAY_H) > 0
    verdicts.set(some, PARTIAL, "quote_volume_estimated")
    verdicts.set(code == ZERO_DISPERSION, MISSING, "zero_dispersion")
    verdicts.set(~np.isfinite(away), MISSING, "zero_dispersion")
    verdicts.set(~np.isfinite(realised), MISSING, "fewer_than_20_of_24_returns")
    verdicts.set(n < indicators.DAY_MIN, MISSING, "fewer_than_22_of_24_hours")
    verdicts.set(same_hours < MIN_SAME_HOURS, SHORT, "fewer_than_15_same_hours")
    verdicts.set(base == 0.0, MISSING, "zero_volume")
    verdicts.set(~np.isfinite(base) | ~np.isfinite(close), MISSING, "no_observation")
    return scored(
        score,
        same_hours / SAME_HOURS * n / DAY_H,
        verdicts,
        {
            "volume_spike_z": spike,
            "volume_vwap_24h": vwap,
            "volume_poc_24h": indicators.point_of_control(high, low, typical, base),
        },
    )


def price_action(bars: Bars) -> Component:
    """Where the close stands in the channels of the bars before, and in its own bar.

    ``0.5 pos20 + 0.3 pos55 + 0.2 candle``: position between the lowest low and highest high of the 20
    and 55 bars before (all but two needed), clipped to 0..100, and ``100 (C - L) / (H - L)``. A bar
    without a range has no candle: the other weights are scaled up, partial.
    """
    open_, high, low, close = (bars[n] for n in ("open", "high", "low", "close"))
    short, long = (rolling_max(high, n, n - 2, lag=1) for n in CHANNELS)
    tops = (short, long)
    floors = (
        rolling_min(low, CHANNELS[0], CHANNELS[0] - 2, lag=1),
        rolling_min(low, CHANNELS[1], CHANNELS[1] - 2, lag=1),
    )
    raw = readings((open_, high, low, close), tops, floors)
    near, far, candle = (raw[name] for name in READINGS[:3])
    score, part = new_panels(2, close.shape)
    np.multiply(_TRENDS[0], near, out=score)
    score += np.multiply(_TRENDS[1], far, out=part)
    narrow = ~np.isfinite(score)
    whole = np.isfinite(candle)
    np.multiply(_TRENDS[2], candle, out=part)
    part[~whole] = 0.0
    score += part
    score[~whole] /= 1.0 - _TRENDS[2]
    bars_before = rolling_count(close, CHANNELS[1], lag=1)
    verdicts = Verdicts(close.shape)
    verdicts.set(~whole, PARTIAL, "bar_without_range")
    verdicts.set(bars_before < CHANNELS[1], PARTIAL, "gaps_in_55_hours")
    since = maths.slots_since_first(close, CHANNELS[1] + 1)
    missing = ~np.isfinite(tops[0]) | ~np.isfinite(tops[1])
    narrow &= ~missing
    verdicts.set(missing, MISSING, "more_than_2_gaps_in_a_channel")
    verdicts.set(missing & (since <= CHANNELS[1]), SHORT, "fewer_than_53_bars")
    verdicts.set(narrow, MISSING, "zero_dispersion")
    verdicts.set(
        ~(np.isfinite(close) & np.isfinite(high) & np.isfinite(low)), MISSING, "no_observation"
    )
    since -= 1.0
    covered = _covered(bars_before, np.maximum(since, 0.0, out=since))
    bars_before /= CHANNELS[1]
    bars_before *= covered
    return scored(np.clip(score, 0.0, 100.0, out=score), bars_before, verdicts, raw)


def beta_exp(
    close: FloatPanel, reference: FloatPanel, same: FloatPanel, keep: int, *, first_hour: int
) -> Component:
    """What the reference coin's momentum says of a coin that follows it: ``100 Phi(beta m)``.

    ``beta`` as :func:`regime_pipeline.signals.beta.exposure` has it, ``m`` the momentum of the reference
    coin. The reference itself is not applicable.

    Args:
        close: closes, hours x symbols.
        reference: closes of the reference coin, one column.
        same: per symbol, 1 where it is the reference coin.
        keep: rows that are put out.
        first_hour: of the panels' first row; see the module.
    """
    found = regression.exposure(log_returns(close), log_returns(reference), keep)
    own = maths.momentum(
        reference, maths.ewma_sigma(reference, first_hour=first_hour), MOMENTUM_HORIZONS_H
    )
    leader = own.value[len(own.value) - keep :]
    score = score_of(found.beta * leader)
    shape = score.shape
    covered = _covered(
        rolling_count(close, regression.WINDOW), maths.slots_since_first(close, regression.WINDOW)
    )
    here = close[len(close) - keep :]
    there = np.broadcast_to(np.isfinite(leader), shape)
    verdicts = Verdicts(shape)
    verdicts.set(found.triples < regression.WINDOW, PARTIAL, "fewer_than_720_triples")
    verdicts.set(~np.isfinite(found.beta), MISSING, "zero_dispersion")
    verdicts.set(found.triples < regression.MIN_TRIPLES, SHORT, "fewer_than_480_triples")
    verdicts.set(~there, MISSING, "reference_momentum_missing")
    verdicts.set(~np.isfinite(here), MISSING, "no_observation")
    verdicts.set(np.broadcast_to(same > 0.0, shape), NOT_APPLICABLE, "is_the_reference")
    raw = {
        "beta": found.beta,
        "beta_se": found.standard_error,
        "beta_r2": found.r_squared,
        "idiosyncratic_volatility_1h": found.idiosyncratic,
    }
    itself = np.broadcast_to(same > 0.0, shape)
    return scored(
        score,
        found.triples / regression.WINDOW * covered[len(covered) - keep :],
        verdicts,
        {name: np.where(itself, np.nan, panel) for name, panel in raw.items()},
    )


def _covered(present: FloatPanel, since: FloatPanel) -> FloatPanel:
    """Share of the slots since a symbol's first bar that have one."""
    (share,) = new_panels(1, present.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(present, since, out=share)
    share[since <= 0.0] = 0.0
    return share


def _flag(known: FloatPanel, flag: np.ndarray) -> FloatPanel:
    (out,) = new_panels(1, known.shape)
    out[:] = flag
    out[~np.isfinite(known)] = np.nan
    return out
