"""What the voters say together, hour by hour, and how far they agree.

Belongs here: votes, weights, quorum, the consensus, Fleiss' kappa; columns of ``signals.consensus``. Does not
belong here: the voters' own scores (``signals``), their calibration (``calibrators``).

The definition in words: docs/research.md. A vote that is missing is an abstention, never NEUTRAL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.fields.research import VOTES
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import (
    HOUR_US,
    from_panel,
    grid_length,
    grid_start_us,
    take_codes,
    to_panel,
)
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "consensus/1"
TABLE = "signals.consensus"

LONG, SHORT, NEUTRAL = range(3)
ABSTAINS = -1
_DIRECTIONS = {"BULLISH": LONG, "BEARISH": SHORT, "NEUTRAL": NEUTRAL}
VOTERS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "confluence": ("confluence_direction", _DIRECTIONS),
    "futures": ("futures_signal", {"LONG": LONG, "SHORT": SHORT, "NEUTRAL": NEUTRAL}),
    "momentum": ("momentum_direction", _DIRECTIONS),
    "regime": (
        "primary_regime",
        {"IGNITION": LONG, "COOLING": SHORT, "CHOP": NEUTRAL, "NEUTRAL": NEUTRAL},
    ),
}
"""Voter -> column, vote of each of its words. Labels of volatility name no direction: they abstain."""
LEAST_VOTERS = 3
QUORUM, MAJORITY = 0.6, 2.0 / 3.0
_TOLERANCE = 1e-9
KAPPA_H, KAPPA_LEAST = 720, 480
ALIKE_H, ALIKE_LEAST = 2160, 1440
ARTEFACT_AGE_H = (24, 96)
"""A calibrator counts from a day after its fit, when it is surely stored, for three days."""
_NO = ("no_quorum", "no_majority")

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def tally(votes: Codes, weights: Floats) -> tuple[Codes, Floats, Codes]:
    """The consensus of weighted votes.

    Args:
        votes: voters first; codes of :data:`VOTES`, -1 abstains.
        weights: of the same shape, 0 or more.

    Returns:
        Code of the consensus, 3 without one; first less second share of the weight of those who voted,
        NaN where nobody did; why there is none, 0 no quorum, 1 no majority, -1 there is one.
    """
    counts = (votes != ABSTAINS) & (weights > 0)
    cast = np.where(counts, weights, 0.0)
    total = cast.sum(axis=0)
    shares = np.stack([np.where(votes == v, cast, 0.0).sum(axis=0) for v in range(len(VOTES))])
    shares = shares / np.where(total > 0, total, np.nan)
    ordered = np.sort(shares, axis=0)
    first = np.where(total > 0, shares.argmax(axis=0), 0)
    everyone = weights.sum(axis=0)
    quorum = (counts.sum(axis=0) >= LEAST_VOTERS) & (total >= (QUORUM - _TOLERANCE) * everyone)
    with np.errstate(invalid="ignore"):
        majority = ordered[-1] >= MAJORITY - _TOLERANCE
    why = np.select([~quorum, ~majority], [0, 1], -1)
    return np.where(why < 0, first, len(VOTES)), ordered[-1] - ordered[-2], why


def fleiss(votes: Codes, first_hour: int) -> Floats:
    """Fleiss' kappa of the 720 hours up to each one, of those with three voters or more.

    Args:
        votes: voters x hours x symbols, -1 abstains.
        first_hour: since 1970, of the first row.

    Returns:
        Hours x symbols; NaN under 480 such hours, or where all votes are of one kind.
    """
    from regime_pipeline.numerics.rolling import rolling_mean, rolling_sum

    by_vote = np.stack([(votes == v).sum(axis=0) for v in range(len(VOTES))]).astype(np.float64)
    cast = by_vote.sum(axis=0)
    counts = cast >= LEAST_VOTERS
    pairs = np.where(counts, cast * (cast - 1.0), 1.0)
    agree = np.where(counts, ((by_vote * by_vote).sum(axis=0) - cast) / pairs, np.nan)
    mean = rolling_mean(agree, KAPPA_H, KAPPA_LEAST, anchor=first_hour)
    sums = [
        rolling_sum(np.where(counts, v, np.nan), KAPPA_H, KAPPA_LEAST, anchor=first_hour)
        for v in by_vote
    ]
    total = sums[0] + sums[1] + sums[2]
    chance = sum((s / np.where(total > 0, total, np.nan)) ** 2 for s in sums)
    varied = chance < 1.0 - _TOLERANCE
    return np.where(varied, (mean - chance) / np.where(varied, 1.0 - chance, 1.0), np.nan)


def likeness(votes: Codes, first_hour: int) -> Floats:
    """Sum of each voter's positive correlations with the others over the 90 days before.

    Args:
        votes: voters x hours x symbols, -1 abstains.
        first_hour: since 1970, of the first row.

    Returns:
        The same shape; a pair without 60 days of common votes, or of one that never changes, adds 0.
    """
    from regime_pipeline.numerics.rolling import rolling_mean

    side = np.array([1.0, -1.0, 0.0, np.nan])[votes]  # -1 takes the last one
    out = np.zeros(votes.shape)
    for i in range(len(votes)):
        for j in range(i):
            both = np.isfinite(side[i]) & np.isfinite(side[j])
            x, y = np.where(both, side[i], np.nan), np.where(both, side[j], np.nan)
            mx, my, mxy, mxx, myy = (
                rolling_mean(v, ALIKE_H, ALIKE_LEAST, lag=1, anchor=first_hour)
                for v in (x, y, x * y, x * x, y * y)
            )
            scale = (mxx - mx * mx) * (myy - my * my)
            known = scale > _TOLERANCE
            rho = np.where(known, (mxy - mx * my) / np.sqrt(np.where(known, scale, 1.0)), 0.0)
            out[i] += np.maximum(rho, 0.0)
            out[j] += np.maximum(rho, 0.0)
    return out


def weights_of(skill: Floats, is_inverted: npt.NDArray[np.bool_], alike: Floats) -> Floats:
    """Weights of voters: proven skill, less for those who vote alike; equal while nobody has proven any.

    Args:
        skill: lower bound of each voter's, voters x hours x 1; NaN unknown.
        is_inverted: of the same shape: its score points the wrong way, and it weighs nothing.
        alike: :func:`likeness`.
    """
    proven = np.where(is_inverted, 0.0, np.maximum(np.nan_to_num(skill), 0.0))
    anyone = (proven > 0).any(axis=0, keepdims=True)
    equal = np.where(is_inverted, 0.0, 1.0)
    return np.where(anyone, proven / (1.0 + alike), equal + 0.0 * alike)


def _standing(calibrators: pd.DataFrame, wide: Grid) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Skill bound and whether it is inverted, of each voter and hour, by the newest artefact in force."""
    best = calibrators.assign(
        bound=calibrators["brier_skill_low"].astype("float64"),
        inverted=(calibrators["verdict_raw"] == "INVERTED").astype("float64"),
    )
    rows = best.groupby(["signal", "ts"], as_index=False)[["bound", "inverted"]].max()
    voters = Grid(wide.start, wide.end, tuple(VOTERS))
    panels = to_panel(rows[rows["signal"].isin(VOTERS)], voters, ["bound", "inverted"], by="signal")
    youngest, oldest = ARTEFACT_AGE_H
    found = []
    for name in ("bound", "inverted"):
        seen = np.isfinite(panels["inverted"])
        values = np.full(seen.shape, np.nan)
        for age in range(oldest - 1, youngest - 1, -1):  # the newest is written last
            values[age:] = np.where(seen[:-age], panels[name][:-age], values[age:])
        found.append(values.T[:, :, None])
    return found[0], found[1] == 1.0


@derives(
    TABLE,
    timeframe_regimes=reads(
        "regimes.timeframe_regimes",
        "91d",
        columns=("symbol", "ts", "primary_regime", "source_tier"),
    ),
    futures_scores=reads(
        "signals.futures_scores", "91d", columns=("symbol", "ts", "futures_signal", "source_tier")
    ),
    confluence=reads(
        "signals.confluence", "91d", columns=("symbol", "ts", "confluence_direction", "source_tier")
    ),
    components=reads(
        "signals.components", "91d", columns=("symbol", "ts", "momentum_direction", "source_tier")
    ),
    calibrators=reads(
        "signals.calibrators",
        "5d",
        columns=("signal", "calibration_side", "ts", "brier_skill_low", "verdict_raw"),
    ),
)
def consensus(
    timeframe_regimes: pd.DataFrame,
    futures_scores: pd.DataFrame,
    confluence: pd.DataFrame,
    components: pd.DataFrame,
    calibrators: pd.DataFrame,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """What regime, futures score, confluence and momentum say together in each hour.

    Args:
        timeframe_regimes: rows of ``regimes.timeframe_regimes``, 90 d back; so are the next three.
        futures_scores: of ``signals.futures_scores``.
        confluence: of ``signals.confluence``.
        components: of ``signals.components``.
        calibrators: of ``signals.calibrators``; one counts from a day after its fit.
        grid: rows owed.

    Returns:
        Content columns of ``signals.consensus``, the whole grid, sorted by key. ``missing`` where nobody
        votes; NO_CONSENSUS without quorum or majority, ``consensus_reason`` says which.
    """
    wide = grid.widened(reach_of(consensus, "signals.futures_scores"))
    keep, first_hour = grid_length(grid), grid_start_us(wide) // HOUR_US
    frames = dict(
        zip(VOTERS, (confluence, futures_scores, components, timeframe_regimes), strict=True)
    )
    votes, tier = map(np.stack, zip(*(_votes(frames[n], n, wide) for n in VOTERS), strict=True))
    skill, is_inverted = _standing(calibrators, wide)
    alike = likeness(votes, first_hour)[:, -keep:]
    kappa = fleiss(votes, first_hour)[-keep:]
    skill, is_inverted, votes = skill[:, -keep:], is_inverted[:, -keep:], votes[:, -keep:]
    weights = weights_of(skill, is_inverted, alike)
    code, margin, why = tally(votes, weights)
    voted = (votes != ABSTAINS).sum(axis=0)
    proven = (np.where(is_inverted, 0.0, np.nan_to_num(skill)) > 0).any(axis=0)
    shape = voted.shape
    worst = np.where(votes != ABSTAINS, tier[:, -keep:], -np.inf).max(axis=0)
    panels: dict[str, npt.NDArray[np.generic]] = {
        "source_tier": np.where(worst > 0, worst, np.nan),
        "votes": _told(votes, weights),
        "voters": voted.astype(np.float64),
        "consensus": take_codes(np.where(voted > 0, code, -1), (*VOTES, "NO_CONSENSUS")),
        "consensus_reason": take_codes(np.where(voted > 0, why, -1), _NO),
        "consensus_margin": margin,
        "is_unproven": np.broadcast_to(~proven, shape).astype(np.float64),
        "fleiss_kappa_30d": kappa,
        "dissenters": _dissenters(votes, code),
        "status": take_codes(np.where(voted > 0, 0, 2), STATUS_CODES),
        "reason": take_codes(np.where(voted > 0, -1, 0), ("no_vote",)),
    }
    spec = table(TABLE)
    frame = from_panel(grid, panels)
    frame["method_version"] = method_version(METHOD)
    return conform(frame, spec)[list(spec.content)]


def _votes(frame: pd.DataFrame, voter: str, grid: Grid) -> tuple[Codes, Floats]:
    """A voter's votes, and how far its rows can be trusted."""
    column, words = VOTERS[voter]
    said = frame[["symbol", "ts", "source_tier"]].assign(
        vote=frame[column].map(words).astype("float64")
    )
    panels = to_panel(said, grid, ["vote", "source_tier"])
    vote = np.where(np.isfinite(panels["vote"]), panels["vote"], float(ABSTAINS))
    return vote.astype(np.int64), panels["source_tier"]


def _told(votes: Codes, weights: Floats) -> npt.NDArray[np.object_]:
    """Votes and weights of every cell as JSON; equal cells are written once."""
    known: dict[tuple[object, ...], str] = {}
    out = np.empty(votes.shape[1:], dtype=object)
    for at in np.ndindex(out.shape):
        cell = (slice(None), *at)
        key = (*votes[cell].tolist(), *weights[cell].tolist())
        if key not in known:
            known[key] = json.dumps(
                {
                    name: {"vote": "ABSTAIN" if v < 0 else VOTES[v], "weight": round(w, 9)}
                    for name, v, w in zip(
                        VOTERS, votes[cell].tolist(), weights[cell].tolist(), strict=True
                    )
                },
                sort_keys=True,
            )
        out[at] = known[key]
    return out


def _dissenters(votes: Codes, code: Codes) -> npt.NDArray[np.object_]:
    """Who voted otherwise, by comma; None without a consensus or where nobody did."""
    against = (votes != ABSTAINS) & (votes != code) & (code < len(VOTES))
    bits = sum(against[i].astype(np.int64) << i for i in range(len(votes)))
    names = [
        ",".join(n for i, n in enumerate(VOTERS) if bit >> i & 1) for bit in range(1 << len(VOTERS))
    ]
    return take_codes(np.where(np.asarray(bits) > 0, bits, -1), names)
