"""Checks of candles: jumps, repeats, agreement of venues, longer bars (DQ05, DQ06, DQ07, DQ09).

A verdict about an hour that withholds it looks at that hour and earlier ones only. Does not belong
here: the bounds of one bar (the raw contract), anything about other tables.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.market.candles import BAR_INPUTS, FRAME_HOURS, make_bars
from regime_pipeline.numerics.panel import HOUR_US, FloatPanel, microseconds
from regime_pipeline.quality.model import SERIES, Judged, joined, nobody, of_frame
from regime_pipeline.quality.panels import Panels, panels
from regime_pipeline.settings import QualityParams

CANDLES = "raw.candles"
MAD_HOURS = 720
MAD_LEAST = 168
"""Hours of the 30 days before that a jump needs to be judged."""
UNCONFIRMED = "unconfirmed_jump"
"""Why a candle is published as partial: it jumped, and no other series has the hour."""
SAME_CLOSES = 6
SAME_CLOSES_WITHOUT_VOLUME = 24


def jumps(candles: pd.DataFrame, params: QualityParams) -> Judged:
    """DQ05: a price that jumped alone.

    ``r`` is the log return of the hour. It is a jump when ``|r|`` exceeds ``max(jump_mads x 1.4826 MAD
    of the 720 h before, jump_frac)``. The way back from a jump of the hour before that nothing confirmed
    is none. Other series of the symbol, of any venue and market, are asked about the same hour, by
    their returns: in a crash venues lie several percent apart and move together. One that moved the
    same way by at least ``confirm_move_frac`` of it confirms the jump. Where some have the hour and
    none did, it is contradicted and withheld; where none has the hour, it is published as partial.

    Args:
        candles: rows of ``raw.candles``, 1h, with 31 days before what is judged.
        params: tolerances.
    """
    from regime_pipeline.numerics.order_statistics import lagged_mad_z

    # a withheld row is known by all of its key
    found = panels(candles, ["close"], (*SERIES, "timeframe"))
    if found is None:
        return Judged("DQ05", CANDLES, nobody(), None)
    log = np.log(found.values["close"])
    step, two_hours = np.full(log.shape, np.nan), np.full(log.shape, np.nan)
    step[1:] = log[1:] - log[:-1]
    two_hours[2:] = log[2:] - log[:-2]
    _, _, scale, _ = lagged_mad_z(step, MAD_HOURS, MAD_LEAST)
    limit = np.fmax(params.jump_mads * scale, params.jump_frac)
    known = np.isfinite(step) & np.isfinite(scale)
    size = np.abs(step)
    with np.errstate(invalid="ignore"):
        beyond = known & (size > limit)
        returned = np.abs(two_hours) <= limit
    asked, confirmed = _others(found, step, beyond, params.confirm_move_frac)
    lone = beyond & ~confirmed
    failed = lone.copy()
    failed[1:] &= ~(lone[:-1] & returned[1:])
    return Judged(
        "DQ05",
        CANDLES,
        found.verdicts(
            known,
            failed,
            np.where(beyond, size, np.nan),
            withheld=failed & asked,
            doubtful=failed & ~asked,
            what=np.where(asked, "no other series follows", UNCONFIRMED),
        ),
        params.jump_frac,
        "less_than_7_days_of_history",
    )


def _others(
    found: Panels, step: FloatPanel, beyond: npt.NDArray[np.bool_], share: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Per jump: whether other series have a return of the hour, and whether one confirms it.

    A relayed copy of the same venue's series says nothing of its own.
    """
    asked, confirmed = np.zeros(beyond.shape, bool), np.zeros(beyond.shape, bool)
    place = found.series.groupby(["venue", "market"], sort=True, dropna=False, observed=True)
    origin = place.ngroup().to_numpy()
    for mine in found.series.groupby("symbol", sort=True, observed=True).indices.values():
        hours = np.flatnonzero(beyond[:, mine].any(axis=1))
        cells = np.ix_(hours, np.asarray(mine))
        r = step[cells]
        foreign = origin[mine][:, None] != origin[mine][None, :]
        asked[cells] = (np.isfinite(r)[:, None, :] & foreign).any(axis=2)
        with np.errstate(invalid="ignore"):
            along = np.sign(r)[:, :, None] * r[:, None, :] >= share * np.abs(r)[:, :, None]
        confirmed[cells] = (along & foreign).any(axis=2)
    return asked, confirmed


def repeats(candles: pd.DataFrame) -> Judged:
    """DQ06 on candles: six equal closes in a row with volume in each, or 24 equal closes."""
    from regime_pipeline.numerics.rolling import rolling_sum

    found = panels(candles, ["close", "volume_base"])
    if found is None:
        return Judged("DQ06", CANDLES, nobody(), None)
    close, volume = found.values["close"], found.values["volume_base"]
    same = np.zeros(close.shape)
    same[1:] = close[1:] == close[:-1]
    with np.errstate(invalid="ignore"):
        traded = (volume > 0).astype("float64")
    six, day = SAME_CLOSES, SAME_CLOSES_WITHOUT_VOLUME
    frozen = (rolling_sum(same, six - 1, 0) == six - 1) & (rolling_sum(traded, six, 0) == six)
    flat = rolling_sum(same, day - 1, 0) == day - 1
    known = np.isfinite(close)
    what = np.where(flat, "24 equal closes", "6 equal closes with volume")
    return Judged("DQ06", CANDLES, found.verdicts(known, frozen | flat, what=what), None)


def venues_agree(candles: pd.DataFrame, params: QualityParams) -> Judged:
    """DQ07: closes of one market, symbol and hour by venue.

    With three venues and more each is held against their median; of two, the one of the higher tier
    number against the other. Where several providers tell one venue's price, the best tier's counts.
    """
    rows = candles.sort_values([*SERIES, "ts"], kind="stable")
    rows = rows.sort_values(["source_tier", "source"], kind="stable")
    rows = rows.drop_duplicates(["venue", "market", "symbol", "ts"])
    found = panels(rows, ["close", "source_tier"])
    if found is None:
        return Judged("DQ07", CANDLES, nobody(), params.venue_gap_frac)
    close, tier = found.values["close"], found.values["source_tier"]
    gap = np.full(close.shape, np.nan)
    limit = np.full(close.shape, np.nan)
    for mine in found.series.groupby(["market", "symbol"], sort=True).indices.values():
        if len(mine) < 2:
            continue
        block = close[:, mine]
        count = np.isfinite(block).sum(axis=1)
        several, two = count >= 3, count == 2
        middle = np.full(len(block), np.nan)
        middle[several] = np.nanmedian(block[several], axis=1)
        best = np.where(np.isfinite(block), tier[:, mine], np.inf)
        first = best.argmin(axis=1)
        middle[two] = block[two, first[two]]
        off = np.abs(block / middle[:, None] - 1.0)
        off[two, first[two]] = np.nan  # the better one is the yardstick
        gap[:, mine] = off
        limit[:, mine] = np.where(several, params.venue_gap_frac, params.two_venue_gap_frac)[
            :, None
        ]
    known = np.isfinite(gap)
    with np.errstate(invalid="ignore"):
        told = found.verdicts(known, gap > limit, gap)
    return Judged("DQ07", CANDLES, told, params.venue_gap_frac, "one_venue_only")


def long_bars(candles: pd.DataFrame, provider_bars: pd.DataFrame, params: QualityParams) -> Judged:
    """DQ09: a provider's own 4h, 1d and 1w bars against its hours, made by the pipeline's own rule.

    Bars with a missing hour are not judged.

    Args:
        candles: 1h rows with open, high, low, close, volumes and tier.
        provider_bars: rows of the longer timeframes.
        params: tolerances.
    """
    nothing = Judged("DQ09", CANDLES, nobody(), None, "no_long_bars_are_stored")
    found = panels(candles, list(BAR_INPUTS)) if len(provider_bars) else None
    if found is None:
        return nothing
    parts = []
    for timeframe, told in provider_bars.groupby("timeframe", sort=True):
        bars = make_bars(found.values, found.first_hour, str(timeframe))
        opens = bars.first + bars.hours * np.arange(len(bars.close))
        whole = bars.children == FRAME_HOURS[str(timeframe)]
        index = pd.DataFrame(
            {
                "hour": np.repeat(opens, whole.shape[1]),
                "at": np.tile(np.arange(whole.shape[1]), len(opens)),
            }
        ).assign(whole=whole.reshape(-1))
        names = ("open", "high", "low", "close", "volume_base")
        index = index.assign(**{f"our_{n}": getattr(bars, n).reshape(-1) for n in names})
        series = found.series.reset_index(names="at")
        ours = index[index["whole"]].merge(series, on="at")
        both = told.assign(hour=microseconds(told["ts"]) // HOUR_US).merge(
            ours, on=["hour", *SERIES], how="inner"
        )
        if both.empty:
            continue
        price = np.column_stack(
            [(both[f"our_{n}"] / both[n] - 1.0).abs().to_numpy("float64") for n in names[:4]]
        ).max(axis=1)
        ratio = both["our_volume_base"] / both["volume_base"]
        volume = (ratio - 1.0).abs().to_numpy("float64", na_value=np.nan)
        with np.errstate(invalid="ignore"):
            bad = (price > params.bar_price_frac) | (volume > params.bar_volume_frac)
        parts.append(of_frame(both, bad, np.fmax(price, volume)))
    return Judged("DQ09", CANDLES, joined(parts), None) if parts else nothing
