"""What followed on unusual funding: the labels of past anomalies, and the odds that come from them.

Belongs here: ``features.funding_outcomes`` and the pooled probabilities of the present anomaly. Does
not belong here: judging prints and their hourly view (``funding_anomalies``).

An outcome is stamped with the end of its day, the first instant at which it is known. Odds at a print
use outcomes stamped at or before it, of every symbol of the universe, as far back as any are stored.

The definition in words: docs/methods.md, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import CLOSES
from regime_pipeline.numerics.panel import HOUR_US, microseconds
from regime_pipeline.settings import FundingParams, method_version
from regime_pipeline.windows import Window

METHOD = "funding_outcomes/2"

AHEAD_H = 24
CALM_Z = 1.0
MIN_JUDGED_H = 16.0
"""Two thirds of the day must be covered by judged prints before they say that none was calm."""
MIN_POOLED = 30
PRIOR = 10.0
"""Weight of the base rate, in events."""

ODDS = (
    "reversal_probability",
    "reversal_n",
    "reversal_lo",
    "reversal_hi",
    "price_reversal_probability",
    "price_reversal_n",
)
"""Columns that :func:`odds` fills, in order."""

Floats = npt.NDArray[np.float64]


@derives(
    "features.funding_outcomes",
    funding_prints=reads("features.funding_prints", "1d"),
    candles_1h=reads("market.candles_1h", "25h", where={"market": "perp"}, columns=CLOSES),
    params="params.funding",
)
def funding_outcomes(
    funding_prints: pd.DataFrame,
    candles_1h: pd.DataFrame,
    *,
    window: Window,
    symbols: Iterable[str],
    params: FundingParams,
) -> pd.DataFrame:
    """What followed on every anomalous print whose day ended in the window.

    ``reentered_24h``: a print of the 24 h after it has ``|z|`` under 1; null when none was seen and
    the judged prints of that day cover under 16 h. ``return_24h``: log return of the perpetual from
    the close of the bar before the print to the close 24 h later; ``price_reversed_24h``: its sign is
    the opposite of the print's; null without a return and for one of zero.

    Args:
        funding_prints: rows of ``features.funding_prints`` with a day before the window.
        candles_1h: rows of ``market.candles_1h`` (the perpetual is selected here) with 25 h before.
        window: ends of the days.
        symbols: whose prints.
        params: thresholds (part of the method version only; the prints carry ``is_anomaly``).

    Returns:
        Content columns of ``features.funding_outcomes``: ok, partial with one of the two labels,
        missing with neither.
    """
    from regime_pipeline.features.outcome_kernels import reentries

    target = table("features.funding_outcomes")
    columns = list(target.content)
    rows = funding_prints[
        funding_prints["symbol"].isin(list(symbols)) & (funding_prints["ts"] < window.end)
    ]
    rows = rows.sort_values(["symbol", "ts"], ignore_index=True)
    day = timedelta(hours=AHEAD_H)
    ends = rows["ts"] + day
    owed = rows["is_anomaly"].fillna(False).to_numpy(bool)
    owed &= ((ends >= window.start) & (ends < window.end)).to_numpy(bool)
    if not owed.any():
        return empty(target)[columns]
    label = reentries(
        microseconds(rows["ts"]) // HOUR_US,
        pd.factorize(rows["symbol"])[0],
        rows["z_score"].to_numpy(dtype="float64", na_value=np.nan),
        rows["interval_hours"].to_numpy(dtype="float64", na_value=np.nan),
        AHEAD_H,
        CALM_Z,
        MIN_JUDGED_H,
    )[owed]
    rows = rows[owed].reset_index(drop=True)
    perp = candles_1h[candles_1h["market"] == "perp"]
    before, tier_before = _closes(perp, rows, timedelta(hours=-1))
    after, tier_after = _closes(perp, rows, timedelta(hours=AHEAD_H - 1))
    moved = np.log(after / before)
    against = moved * np.sign(rows["z_score"].to_numpy(dtype="float64")) < 0.0
    priced = np.isfinite(moved)
    known = label >= 0
    status = np.where(known & priced, "ok", np.where(known | priced, "partial", "missing"))
    reason = np.select(
        [known & priced, known, priced],
        ["", "no_close", "prints_cover_less_than_16h"],
        "no_close,prints_cover_less_than_16h",
    ).astype(object)
    reason[status == "ok"] = None
    tier = rows["source_tier"].to_numpy(dtype="float64", na_value=np.nan)
    out = pd.DataFrame(
        {
            "symbol": rows["symbol"],
            "ts": rows["ts"] + day,
            "print_ts": rows["ts"],
            "z_score": rows["z_score"],
            "persistence_score": rows["persistence_score"],
            "reentered_24h": pd.Series(pd.array(label > 0, dtype="boolean")).where(known),
            "return_24h": moved,
            "price_reversed_24h": pd.Series(pd.array(against, dtype="boolean")).where(
                priced & (moved != 0.0)
            ),
            "status": status,
            "reason": reason,
            "source_tier": np.fmax(tier, np.fmax(tier_before, tier_after)),
            "method_version": method_version(METHOD, params),
        }
    )
    return conform(out, target)[columns]


def _closes(candles: pd.DataFrame, rows: pd.DataFrame, shift: timedelta) -> tuple[Floats, Floats]:
    """Close and tier of each print's symbol in the bar that opens ``shift`` from the print."""
    bars = pd.MultiIndex.from_frame(candles[["symbol", "ts"]])
    wanted = pd.MultiIndex.from_arrays([rows["symbol"], rows["ts"] + shift])
    at = bars.get_indexer(wanted)
    found = at >= 0
    out = []
    for name in ("close", "source_tier"):
        values = candles[name].to_numpy(dtype="float64", na_value=np.nan)
        taken = np.full(len(rows), np.nan)
        taken[found] = values[at[found]]
        out.append(taken)
    return out[0], out[1]


def odds(
    prints: pd.DataFrame, funding_outcomes: pd.DataFrame, *, params: FundingParams
) -> dict[str, Floats]:
    """The pooled odds at every anomalous print.

    Past events are anomalous prints of all symbols, per symbol taken greedily at least 24 h apart
    from the first stored one, whose day has ended by the print. A state is the side, whether
    ``|z|`` reaches the extreme level, and the tercile of persistence among the past events. With k
    of the n events of the print's state, and the share p0 of all past events, the odds are
    ``(k + 10 p0) / (n + 10)``, with the central 95 % of the Beta distribution behind them.

    Args:
        prints: rows with ts, z_score, is_anomaly and persistence_score.
        funding_outcomes: rows of ``features.funding_outcomes``, as far back as any are stored.
        params: the extreme level.

    Returns:
        ``ODDS``, one value a print. Counts are null for a print that is no anomaly or has no
        persistence, the rest under 30 events too. Where all past events ended alike there is no
        interval.
    """
    from scipy.special import betaincinv

    from regime_pipeline.features import outcome_kernels as kernels

    out = {name: np.full(len(prints), np.nan) for name in ODDS}
    asked = prints["is_anomaly"].fillna(False).to_numpy(bool)
    asked &= prints["persistence_score"].notna().to_numpy(bool)
    rows = np.flatnonzero(asked)
    if not len(rows):
        return out
    rows = rows[np.argsort(microseconds(prints["ts"])[rows], kind="stable")]
    events = funding_outcomes.sort_values(["symbol", "ts"], ignore_index=True)
    chosen = kernels.apart(
        microseconds(events["ts"]) // HOUR_US, pd.factorize(events["symbol"])[0], AHEAD_H
    )
    events = events[chosen & events["persistence_score"].notna().to_numpy(bool)]
    events = events.sort_values(["ts", "symbol"], ignore_index=True)
    hour, state, persistence = _states(events, params)
    asked_hour, asked_state, asked_persistence = _states(prints.iloc[rows], params)
    for label, names in (("reentered_24h", ODDS[:4]), ("price_reversed_24h", ODDS[4:])):
        known = events[label].to_numpy(dtype="float64", na_value=np.nan)
        use = np.isfinite(known)
        hits, n, all_hits, total = kernels.pooled(
            asked_hour, asked_state, asked_persistence,
            hour[use], state[use], persistence[use], known[use] > 0.0,
        )  # fmt: skip
        enough = n >= MIN_POOLED
        base = all_hits / np.maximum(total, 1)
        value = (hits + PRIOR * base) / (n + PRIOR)
        out[names[0]][rows] = np.where(enough, value, np.nan)
        out[names[1]][rows] = n
        if len(names) == len(ODDS[:4]):
            a, b = hits + PRIOR * base, n - hits + PRIOR * (1.0 - base)
            spread = enough & (a > 0.0) & (b > 0.0)
            for name, tail in zip(names[2:], (0.025, 0.975), strict=True):
                bound = betaincinv(np.where(spread, a, 1.0), np.where(spread, b, 1.0), tail)
                out[name][rows] = np.where(spread, bound, np.nan)
    return out


def _states(
    frame: pd.DataFrame, params: FundingParams
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Hour since 1970, side and level as one code, and persistence."""
    z = frame["z_score"].to_numpy(dtype="float64", na_value=np.nan)
    code = 2 * (z > 0.0) + (np.abs(z) >= params.extreme_z_threshold)
    persistence = frame["persistence_score"].to_numpy(dtype="float64", na_value=np.nan)
    return microseconds(frame["ts"]) // HOUR_US, code.astype(np.int64), persistence


__all__ = ["METHOD", "ODDS", "funding_outcomes", "odds"]
