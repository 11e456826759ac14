"""The components made of other data than prices: orderflow, orderbook, sentiment, whale_act, liquidation.

Belongs here: one function a component, from panels of a market series to a :class:`Component`. Does not
belong here: frames (``components``), candles (``candle_scores``). Importing this module imports numba.

``first_hour`` is the hour since 1970 of a panel's first row.

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from regime_pipeline.numerics.conventions import INSUFFICIENT, ZERO_DISPERSION, FloatPanel
from regime_pipeline.numerics.memory import new_panels
from regime_pipeline.numerics.order_statistics import rolling_median, share_below
from regime_pipeline.numerics.rolling import (
    lagged_z_and_code,
    rolling_count,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_std,
)
from regime_pipeline.signals.component import (
    DAY_H,
    MIN_OF_MONTH_H,
    MIN_OF_WEEK_H,
    MONTH_H,
    WEEK_H,
    Component,
    by_hour,
    by_hour_of_day,
    scored,
    unwired,
)
from regime_pipeline.signals.scores import score_of
from regime_pipeline.signals.verdicts import MISSING, PARTIAL, SHORT, Verdicts

USUAL_IMBALANCE_MOST = 0.6
IMBALANCE_SD_LEAST = 0.05
FULL_HOUR = 12

KINDS = {"social": 0.5, "news": 0.3, "trader": 0.2}
"""Weight of each kind of mood."""
ENOUGH_KINDS = 2

SUMS, MIN_SUMS = 30, 14
EXHAUSTED_FROM = 4
"""Level of severity_pct from which liquidations may be a climax."""

LEGACY_TIGHT_PCT = 0.1
LEGACY_FLOW_USD = 1e7


def orderflow(
    imbalance: FloatPanel, large_share: FloatPanel, coins_only: FloatPanel, *, first_hour: int
) -> Component:
    """What takers bought less sold in the hour, against the week before: ``100 Phi(z)``.

    z is the lagged z of the imbalance over 168 h (140 needed). No bought or sold volume is no
    observation; an hour in which nothing was traded has no balance.

    Args:
        imbalance: ``(bought - sold) / (bought + sold)`` of each hour, NaN without trades.
        large_share: share of large trades, shown beside.
        coins_only: 1 where the balance is in coins because no value is known, NaN where unobserved.
        first_hour: see the module.
    """
    z, code = lagged_z_and_code(imbalance, WEEK_H, MIN_OF_WEEK_H, anchor=first_hour)
    n = rolling_count(imbalance, WEEK_H, lag=1)
    verdicts = Verdicts(imbalance.shape)
    verdicts.set(coins_only > 0.0, PARTIAL, "no_quote")
    verdicts.set(code == ZERO_DISPERSION, MISSING, "zero_dispersion")
    verdicts.set(code == INSUFFICIENT, SHORT, "fewer_than_140_of_168_hours")
    verdicts.set(~np.isfinite(imbalance), MISSING, "nothing_traded")
    verdicts.set(~np.isfinite(coins_only), MISSING, "no_observation")
    raw = {"flow_imbalance": imbalance, "orderflow_z": z, "large_share": large_share}
    n /= WEEK_H
    return scored(score_of(z), n, verdicts, raw)


def orderbook(book: Mapping[str, FloatPanel], *, first_hour: int) -> Component:
    """Imbalance of the resting value within 25 bps against what is usual: ``100 Phi(z)``.

    ``z = (imbalance - clip(m, -0.6, 0.6)) / max(s, 0.05)``, m the median of the 30 d before (336
    needed), s the sd of the 168 h before (140): a book that is lopsided by structure does not read 100
    for ever, and five bids against fifty asks stay bearish whatever came before. The spread says
    nothing of the direction: it lowers the confidence only, by the share of the 30 d before that was
    tighter. Under 12 snapshots the hour is partial.

    ``orderbook_score_legacy``: 50, plus 10 for a spread under 0.1 %, plus ten times the ratio of bids
    to asks above 1.2, less ten times what it lacks to 1 below 0.8.

    Args:
        book: panels ``imbalance spread_bps n_snapshots depth_25bps_bid_usd depth_25bps_ask_usd``.
        first_hour: see the module.
    """
    imbalance, spread = book["imbalance"], book["spread_bps"]
    usual = rolling_median(imbalance, MONTH_H, MIN_OF_MONTH_H, lag=1)
    sd = rolling_std(imbalance, WEEK_H, MIN_OF_WEEK_H, lag=1, anchor=first_hour)
    usual = np.clip(usual, -USUAL_IMBALANCE_MOST, USUAL_IMBALANCE_MOST)
    z = (imbalance - usual) / np.maximum(sd, IMBALANCE_SD_LEAST)
    tighter = share_below(spread, MONTH_H, MIN_OF_MONTH_H)
    n = rolling_count(imbalance, WEEK_H, lag=1)
    verdicts = Verdicts(imbalance.shape)
    verdicts.set(book["n_snapshots"] < FULL_HOUR, PARTIAL, "few_snapshots")
    verdicts.set(~np.isfinite(sd), SHORT, "fewer_than_140_of_168_hours")
    verdicts.set(~np.isfinite(usual), SHORT, "fewer_than_14_days")
    verdicts.set(~np.isfinite(imbalance), MISSING, "no_observation")
    with np.errstate(divide="ignore", invalid="ignore"):
        bids, asks = book["depth_25bps_bid_usd"], book["depth_25bps_ask_usd"]
        ratio = np.where(asks > 0.0, bids / asks, np.nan)
        gain = np.where(ratio > 1.2, 10.0 * ratio, np.where(ratio < 0.8, 10.0 * (ratio - 1.0), 0.0))
    tight = np.where(spread / 100.0 < LEGACY_TIGHT_PCT, 10.0, 0.0)
    legacy = np.where(np.isfinite(ratio + spread), np.clip(50.0 + tight + gain, 0.0, 100.0), np.nan)
    return scored(
        score_of(z),
        n / WEEK_H * np.where(np.isfinite(tighter), 1.0 - tighter, 0.0),
        verdicts,
        {
            "imbalance": imbalance,
            "orderbook_z": z,
            "spread_bps": spread,
            "spread_pctl_30d": tighter,
            "n_snapshots": book["n_snapshots"],
            "orderbook_score_legacy": legacy,
        },
    )


def sentiment(
    moods: Mapping[str, FloatPanel], wired: frozenset[str], *, first_hour: int
) -> Component:
    """Moods against their own 30 days, social 0.5, news 0.3, trader 0.2.

    ``100 Phi(sum(w z) / sqrt(sum(w^2)))`` over the kinds that have a z, clipped at +-4; each z is over
    the 720 h before (336 needed). One kind alone: partial. Nothing about the whole market
    stands in for a coin.

    ``sentiment_score_legacy`` is the social provider's own score, passed through.

    Args:
        moods: panel of the provider's score per kind.
        wired: kinds whose source is configured.
        first_hour: see the module.
    """
    raw_names = ("kinds_present", "sentiment_z", "sentiment_score_legacy")
    shape = next(iter(moods.values())).shape
    own = [kind for kind in KINDS if kind in wired]
    if not own:
        return unwired(shape, (*raw_names, *(f"{kind}_z" for kind in KINDS)))
    panels = new_panels(5, shape)
    panels[:] = 0.0
    total, square, observed, kinds, part = panels
    young = np.zeros(shape, dtype=bool)
    raw = {f"{kind}_z": np.full(shape, np.nan) for kind in KINDS if kind not in own}
    for kind in own:
        z, code = lagged_z_and_code(moods[kind], MONTH_H, MIN_OF_MONTH_H, anchor=first_hour)
        there = np.isfinite(z)
        n = rolling_count(moods[kind], MONTH_H, lag=1)
        np.multiply(KINDS[kind], z, out=part)
        part[~there] = 0.0
        total += part
        square += np.multiply(KINDS[kind] ** 2, there, out=part)
        n *= KINDS[kind]
        n /= MONTH_H
        n[~there] = 0.0
        observed += n
        kinds += there
        young |= code == INSUFFICIENT
        raw[f"{kind}_z"] = z
    none = kinds == 0
    square[none] = 1.0
    z = np.divide(total, np.sqrt(square, out=square), out=total)
    z[none] = np.nan
    seen = np.zeros(shape, dtype=bool)
    for kind in own:
        seen |= np.isfinite(moods[kind])
    verdicts = Verdicts(shape)
    verdicts.set(kinds < ENOUGH_KINDS, PARTIAL, "one_kind_only")
    verdicts.set(none, MISSING, "zero_dispersion")
    verdicts.set(none & young, SHORT, "fewer_than_14_days")
    verdicts.set(none & ~seen, MISSING, "no_observation")
    known = sum(KINDS[kind] for kind in own)
    raw |= {
        "kinds_present": kinds,
        "sentiment_z": z,
        "sentiment_score_legacy": moods["social"] if "social" in own else np.full(shape, np.nan),
    }
    observed /= known
    return scored(score_of(z), observed, verdicts, raw)


def whale_act(
    flows: Mapping[str, FloatPanel], traded: FloatPanel, *, wired: bool, first_hour: int
) -> Component:
    """Coins leaving exchanges against the usual size of such flows: ``100 Phi(z)``.

    ``z = -net flow / sd``, sd (about its own mean) of the 30 sums of 24 h that end at the same hour of
    the days before (14 needed); the flow itself is not demeaned, so that an even day reads 50. Coins
    that come onto exchanges are offered for sale: bearish. ``whale_flow_to_volume`` shows the flow over
    the mean day of the 30 days before; one such mean would divide the flow and all that judge it, and
    so leaves z alone.

    ``whale_act_score_legacy``: 50 within 10 million USD of net flow, else 50 less the millions that
    came in, between 20 and 80.

    Args:
        flows: panels ``net_flow_usd stablecoin_net_flow_usd coverage partial`` of the 24 h sums;
            ``partial`` is 1 where the sum is.
        traded: quote volume of each hour.
        wired: whether the provider is configured.
        first_hour: see the module.
    """
    names = ("net_flow_usd", "stablecoin_net_flow_usd", "whale_flow_to_volume", "whale_z")
    flow = flows["net_flow_usd"]
    if not wired:
        return unwired(flow.shape, (*names, "whale_act_score_legacy"))
    days, lead = by_hour_of_day(flow, first_hour)
    # every column has one row a day, so days since 1970 anchor its sums
    sd = rolling_std(days, SUMS, MIN_SUMS, lag=1, anchor=(first_hour - lead) // DAY_H)
    lowest, highest = (f(days, SUMS, MIN_SUMS, lag=1) for f in (rolling_min, rolling_max))
    sd = np.where(highest > lowest, sd, np.where(np.isfinite(sd), 0.0, np.nan))
    sd, n = (by_hour(x, lead, flow.shape) for x in (sd, rolling_count(days, SUMS, lag=1)))
    z = np.divide(-flow, sd, out=np.full_like(flow, np.nan), where=sd > 0.0)
    daily = rolling_mean(traded, MONTH_H, MIN_OF_MONTH_H, lag=1, anchor=first_hour) * DAY_H
    verdicts = Verdicts(flow.shape)
    verdicts.set(flows["partial"] > 0.0, PARTIAL, "flows_partial")
    verdicts.set(sd == 0.0, MISSING, "zero_dispersion")
    verdicts.set(n < MIN_SUMS, SHORT, "fewer_than_14_days")
    verdicts.set(~np.isfinite(flow), MISSING, "no_observation")
    beyond = np.where(np.abs(flow) > LEGACY_FLOW_USD, -flow / 1e6, 0.0)
    raw = {
        "net_flow_usd": flow,
        "stablecoin_net_flow_usd": flows["stablecoin_net_flow_usd"],
        "whale_flow_to_volume": np.divide(
            flow, daily, out=np.full_like(flow, np.nan), where=daily > 0.0
        ),
        "whale_z": z,
        "whale_act_score_legacy": np.clip(50.0 + beyond, 20.0, 80.0),
    }
    return scored(score_of(z), n / SUMS * np.nan_to_num(flows["coverage"]), verdicts, raw)


def liquidation(
    longs: FloatPanel, shorts: FloatPanel, severity_pct: FloatPanel, covered: FloatPanel
) -> Component:
    """Which side was forced out in the hour: ``50 + 50 (S - L) / (S + L + kappa)``.

    kappa, the median of the 720 hourly totals before (336 needed), keeps small hours near 50; an
    observed hour without any is 50: data, not a stand-in. Shorts squeezed read bullish.
    ``liquidation_exhaustion_score = 100 - score`` is the opposite reading, given only from severity_pct
    4 on. ``liquidation_score_legacy = 100 S / (S + L)``, null where nothing was liquidated.

    Args:
        longs: USD of longs closed by force in the hour.
        shorts: the same of shorts.
        severity_pct: level of the hour's total among the 30 d before.
        covered: share of the hour that was observed.
    """
    total = longs + shorts
    kappa = rolling_median(total, MONTH_H, MIN_OF_MONTH_H, lag=1)
    n = rolling_count(total, MONTH_H, lag=1)
    size = total + kappa
    with np.errstate(divide="ignore", invalid="ignore"):
        imbalance = np.where(
            size > 0.0, (shorts - longs) / size, np.where(size == 0.0, 0.0, np.nan)
        )
        legacy = np.where(total > 0.0, 100.0 * (shorts / total), np.nan)
    score = 50.0 + 50.0 * imbalance
    verdicts = Verdicts(longs.shape)
    verdicts.set(covered < 1.0, PARTIAL, "hour_partly_observed")
    verdicts.set(~np.isfinite(kappa), SHORT, "fewer_than_14_days")
    verdicts.set(~np.isfinite(total), MISSING, "no_observation")
    climax = verdicts.usable & (severity_pct >= EXHAUSTED_FROM)
    return scored(
        score,
        n / MONTH_H * np.where(np.isfinite(covered), covered, 1.0),
        verdicts,
        {
            "liquidation_imbalance": imbalance,
            "liquidation_exhaustion_score": np.where(climax, 100.0 - score, np.nan),
            "liquidation_score_legacy": legacy,
        },
    )
