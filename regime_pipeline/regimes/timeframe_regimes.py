"""Regime labels on 1h, 4h, 1d and 1w bars of the spot series and what they say together.

Belongs here: carrying each frame's newest closed bar to every hour, the vote of the frames, the
primary regime, its confirmation. Does not belong here: the label of one bar (``timeframe_labels``),
alert rows (``alerts.kinds``).

The definition in words: docs/methods.md, section 5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.regimes import FRAMES, LABELS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import BAR_INPUTS, Bars, close_halted, halted, make_bars
from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    from_panel,
    grid_length,
    grid_start_us,
    take_codes,
    to_panel,
)
from regime_pipeline.regimes.timeframe_labels import (
    CHOP,
    COOLING,
    IGNITION,
    NEUTRAL,
    WINDOWS,
    FrameState,
    frame_state,
)
from regime_pipeline.settings import TimeframeParams, method_version
from regime_pipeline.windows import Grid

METHOD = "timeframes/4"

MACHINE_HOURS = 90 * 24
RESTART_AFTER = 24
CONFIRMATIONS = 3
MIN_FRAMES = 3
VOTES_WINDOW, MIN_VOTES = 90 * 24, 60 * 24
"""Rows behind n_eff_votes: the 90 d before the row, two thirds of them known to both frames."""

_STATISTICS = ("price_z", "trend_z", "volume_z", "heat", "efficiency")
_OPPOSED = {IGNITION: COOLING, COOLING: IGNITION}

Codes = npt.NDArray[np.integer]


# 90 d of machine, then a weekly bar up to two weeks old, 33 weekly bars before it: 8038 of 8064 h.
@derives(
    "regimes.timeframe_regimes",
    candles_1h=reads(
        "market.candles_1h",
        "48w",
        where={"market": "spot"},
        columns=("market", "symbol", "ts", *BAR_INPUTS),
    ),
    params="params.timeframes",
)
def timeframe_regimes(
    candles_1h: pd.DataFrame, *, grid: Grid, params: TimeframeParams
) -> pd.DataFrame:
    """Labels per frame, primary regime, agreement and confirmation of every hour of the grid.

    A row uses, of every frame, the newest bar closed by ``ts + 1h``; where that bar is null the
    frame has no label. ``primary_raw`` is the label of IGNITION, COOLING or CHOP that holds at least
    half of the available frames (a tie, or none: NEUTRAL; under three frames: null).
    ``primary_regime`` follows at the third row in a row. Agreement columns need three frames;
    compatible_count, agreement_score and confidence stand only beside IGNITION and COOLING.

    The nested frames are no independent votes: where nothing has a direction two of them agree in two
    of five rows. Read agreement as lift over its base rate, not as a probability. The rules ask for heat and
    volume on the way up only, so COOLING is the commoner label where nothing has a direction;
    ``regime_symmetric_*`` asks both sides for both and takes no part in the vote. Base rates of
    every label are in the columns' descriptions.

    ``event_kind`` is ``start`` in the row in which the primary becomes confirmed for the first time
    since it last changed (INFO).

    Args:
        candles_1h: rows of ``market.candles_1h`` (spot is selected here) from its lookback before
            ``grid.start``; rows may be absent.
        grid: hours and symbols owed.
        params: thresholds.

    Returns:
        The content columns of ``regimes.timeframe_regimes``, sorted by key. ``ok``: four frames;
        ``partial``: three, the reason names the null one; ``not_applicable`` while the market is
        halted; else no primary.
    """
    wide = grid.widened(reach_of(timeframe_regimes, "market.candles_1h"))
    panels = to_panel(candles_1h[candles_1h["market"] == "spot"], wide, BAR_INPUTS)
    first_hour = grid_start_us(wide) // HOUR_US
    length, keep = grid_length(wide), grid_length(wide) - grid_length(grid)
    columns: dict[str, npt.NDArray] = {}
    labels, tiers = [], []
    for name in FRAMES:
        bars = make_bars(panels, first_hour, name)
        state = frame_state(bars, params)
        newest = _newest_bar(bars, first_hour, length)
        labels.append(_at(state.label, newest, -1))
        tiers.append(_at(_worst_tier(bars), newest[keep:], np.nan))
        columns |= _frame_columns(name, state, newest[keep:])
    codes = np.stack(labels)
    votes = vote(codes)
    halt = halted(panels)
    votes["primary_raw"][halt] = -1
    primary, confirmed = _machine(votes, params)
    codes, primary, confirmed = codes[:, keep:], primary[keep:], confirmed[keep:]
    votes = {name: panel[keep:] for name, panel in votes.items()}
    columns |= _vote_columns(codes, votes, primary, columns["volume_z_1h"], params)
    columns |= _legacy_columns(codes)
    columns["n_eff_votes"] = effective_votes(np.stack(labels), keep)
    columns |= _event_columns(primary, confirmed)
    columns |= _status_columns(codes, primary, np.isfinite(panels["close"])[keep:])
    worst = np.fmax.reduce(tiers)
    columns["source_tier"] = np.where(primary >= 0, worst, np.nan)
    spec = table("regimes.timeframe_regimes")
    long = from_panel(grid, {n: columns[n] for n in spec.content if n in columns})
    long["episode_start"] = long["ts"].where(long["event_kind"].notna())
    long["method_version"] = method_version(METHOD, params)
    return close_halted(conform(long, spec)[list(spec.content)], halt[keep:], spec)


def vote(labels: Codes) -> dict[str, npt.NDArray]:
    """What the frames of every row say together.

    Args:
        labels: label codes, frames first, -1 null; any further dimensions.

    Returns:
        ``available`` frames; ``agreement``, the size of the largest group of one of IGNITION,
        COOLING, CHOP; ``group``, that group's label (the first of equals); ``primary_raw``, -1 where
        fewer than three frames are available.
    """
    counts = np.stack([(labels == label).sum(axis=0) for label in (IGNITION, COOLING, CHOP)])
    available = (labels >= 0).sum(axis=0)
    agreement = counts.max(axis=0)
    group = counts.argmax(axis=0)
    alone = (counts == agreement).sum(axis=0) == 1
    holds = alone & (2 * agreement >= available)
    raw = np.where(holds, group, NEUTRAL)
    return {
        "available": available,
        "agreement": agreement,
        "group": group,
        "primary_raw": np.where(available >= MIN_FRAMES, raw, -1),
    }


def agreement_with(labels: Codes, primary: Codes) -> tuple[FloatPanel, FloatPanel]:
    """How the frames stand to a primary regime.

    Returns:
        ``compatible``: frames not opposed to it (IGNITION and COOLING are opposed); ``score``: mean
        over the available frames of 1 for the same label, 0 for the opposed one, 0.5 for any other.
        Both NaN where the primary is null, NEUTRAL or CHOP.
    """
    opposite = np.full(primary.shape, -2)
    for label, other in _OPPOSED.items():
        opposite = np.where(primary == label, other, opposite)
    directed = opposite >= 0
    available = (labels >= 0).sum(axis=0)
    same = (labels == primary).sum(axis=0)
    opposed = (labels == opposite).sum(axis=0)
    compatible = np.where(directed, available - opposed, np.nan)
    score = (same + 0.5 * (available - same - opposed)) / np.maximum(available, 1)
    return compatible, np.where(directed, score, np.nan)


def effective_votes(labels: Codes, first: int) -> FloatPanel:
    """How many independent votes the available frames of every row amount to.

    ``k^2 / sum_ij rho_ij^2`` over the k frames that have a label, rho the correlation of two frames'
    signed labels (IGNITION 1, COOLING -1, else 0) over the rows h-2160..h-1: k for frames that know
    nothing of each other, 1 for frames that always say the same. NaN under three frames, and where
    two of them lack 1440 common rows or one never changed.

    Args:
        labels: label codes, frames x rows x columns, -1 null, with 2160 rows before ``first``.
        first: first row wanted.
    """
    from regime_pipeline.regimes.timeframe_machine import shared_votes

    signs = (labels == IGNITION).astype(np.int8) - (labels == COOLING)
    known = (labels >= 0).astype(np.int8)
    squares = np.empty(labels[0, first:].shape)
    shared_votes(signs, known, first, VOTES_WINDOW, MIN_VOTES, squares)
    available = known[:, first:].sum(axis=0).astype("float64")
    voted = np.where(available >= MIN_FRAMES, available, np.nan)
    return voted**2 / (voted + squares)


def _legacy_columns(codes: Codes) -> dict[str, npt.NDArray]:
    """The legacy count of agreeing frames: those not opposed to the 1h label, NEUTRAL included."""
    hourly = codes[0]
    opposite = np.select([hourly == label for label in _OPPOSED], list(_OPPOSED.values()), -2)
    whole = (codes >= 0).all(axis=0)
    agreeing = len(codes) - (codes == opposite).sum(axis=0)
    return {"agreement_legacy": np.where(whole, agreeing, np.nan)}


def _newest_bar(bars: Bars, first_hour: int, length: int) -> npt.NDArray[np.int64]:
    """For every hour the index of the newest bar closed at its end; -1 before there is one."""
    closes = first_hour + 1 + np.arange(length)
    return np.maximum((closes - bars.first) // bars.hours - 1, -1)


def _at(panel: npt.NDArray, rows: npt.NDArray[np.int64], missing: float) -> npt.NDArray:
    if not len(panel):
        return np.full((len(rows), panel.shape[1]), missing, dtype=panel.dtype)
    taken = panel[np.maximum(rows, 0)]
    taken[rows < 0] = missing
    return taken


def _frame_columns(
    name: str, state: FrameState, newest: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray]:
    out: dict[str, npt.NDArray] = {
        f"{statistic}_{name}": _at(getattr(state, statistic), newest, np.nan)
        for statistic in _STATISTICS
    }
    out[f"regime_{name}"] = take_codes(_at(state.label, newest, -1), LABELS)
    out[f"regime_symmetric_{name}"] = take_codes(_at(state.symmetric, newest, -1), LABELS)
    return out


def _worst_tier(bars: Bars) -> FloatPanel:
    from regime_pipeline.numerics.rolling import rolling_max

    windows = WINDOWS[bars.timeframe]
    return rolling_max(bars.source_tier, windows.window + windows.k, 1)


def _machine(votes: dict[str, npt.NDArray], params: TimeframeParams) -> tuple[Codes, Codes]:
    from regime_pipeline.regimes import timeframe_machine as machine

    raw = np.ascontiguousarray(votes["primary_raw"].T, dtype=np.int8)
    agreed = (votes["agreement"] >= params.confirm_agreement) & (votes["group"] != CHOP)
    group = np.ascontiguousarray(np.where(agreed, votes["group"], -1).T, dtype=np.int8)
    primary, confirmed = np.empty_like(raw), np.empty_like(raw)
    machine.run(raw, group, MACHINE_HOURS, RESTART_AFTER, CONFIRMATIONS, primary, confirmed)
    return primary.T, confirmed.T


def _vote_columns(
    codes: Codes,
    votes: dict[str, npt.NDArray],
    primary: Codes,
    volume_z: FloatPanel,
    params: TimeframeParams,
) -> dict[str, npt.NDArray]:
    voted = votes["available"] >= MIN_FRAMES
    compatible, score = agreement_with(codes, primary)
    cooling = codes[0] == COOLING
    kind = np.where(volume_z >= params.capitulation_volume_z, 1, 0)
    return {
        "primary_raw": take_codes(votes["primary_raw"], LABELS),
        "primary_regime": take_codes(primary, LABELS),
        "primary_legacy": take_codes(codes[0], LABELS),
        "frames_available": votes["available"].astype(float),
        "agreement_count": np.where(voted, votes["agreement"], np.nan),
        "compatible_count": compatible,
        "agreement_score": score,
        "confidence": score,
        "confidence_kind": take_codes(np.where(np.isfinite(score), 0, -1), ("heuristic",)),
        "cooling_kind": take_codes(np.where(cooling, kind, -1), ("FADE", "CAPITULATION")),
    }


def _event_columns(primary: Codes, confirmed: Codes) -> dict[str, npt.NDArray]:
    announced = confirmed == 2
    return {
        "is_confirmed": np.where(primary >= 0, (confirmed > 0).astype(float), np.nan),
        "event_kind": take_codes(np.where(announced, 0, -1), ("start",)),
        "event_severity": take_codes(np.where(announced, 0, -1), ("INFO",)),
        "event_ordinal": np.where(announced, 0.0, np.nan),
    }


def _status_columns(
    codes: Codes, primary: Codes, observed: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray]:
    absent = (codes < 0) * (1 << np.arange(len(FRAMES)))[:, None, None]
    which = absent.sum(axis=0)
    reasons = [
        "no_label:" + ",".join(f for i, f in enumerate(FRAMES) if mask >> i & 1)
        for mask in range(1 << len(FRAMES))
    ]
    null = primary < 0
    status = np.select(
        [null & ~observed, null, which > 0],
        ["missing", "insufficient_history", "partial"],
        "ok",
    ).astype(object)
    reason = take_codes(np.where(which > 0, which, -1), reasons)
    return {"status": status, "reason": np.where(null & ~observed, "no_observation", reason)}


__all__ = ["METHOD", "agreement_with", "timeframe_regimes", "vote"]
