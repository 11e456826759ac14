"""How often a primary regime held: outcomes a day later, and the confidence calibrated on them.

Belongs here: ``regimes.timeframe_outcomes`` and ``regimes.timeframe_confidence``. Does not belong here:
labels and votes (``timeframe_regimes``).

Cases are taken at the 23:00 rows only, so the day after one is never the day after another.

The definition in words: docs/methods.md, section 5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import CLOSES
from regime_pipeline.numerics.panel import HOUR_US, microseconds, take_codes
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

OUTCOMES_METHOD = "timeframe_outcomes/1"
CONFIDENCE_METHOD = "timeframe_confidence/1"

AHEAD_H = 24
LAST_HOUR = 23
MIN_CASES = 200
PSEUDO_CASES = 10.0
SIGNS = {"SPOT_IGNITION": 1.0, "SPOT_COOLING": -1.0}


@derives(
    "regimes.timeframe_outcomes",
    timeframe_regimes=reads("regimes.timeframe_regimes", "24h"),
    candles_1h=reads("market.candles_1h", "24h", where={"market": "spot"}, columns=CLOSES),
)
def timeframe_outcomes(
    timeframe_regimes: pd.DataFrame, candles_1h: pd.DataFrame, *, grid: Grid
) -> pd.DataFrame:
    """What became of every IGNITION or COOLING primary of a 23:00 row a day later.

    ``held_24h``: the primary is the same a day later, or the spot close moved with its sign; one of
    the two is enough, and false needs both to be known. ts is the later row, at whose end the
    outcome is known.

    Args:
        timeframe_regimes: rows with 24 h before the grid.
        candles_1h: ``market.candles_1h`` likewise; spot is selected here.
        grid: later rows owed.

    Returns:
        Content columns of ``regimes.timeframe_outcomes``, only the rows that have a case.
    """
    spec = table("regimes.timeframe_outcomes")
    columns = list(spec.content)
    day = pd.Timedelta(hours=AHEAD_H)
    rows = timeframe_regimes[timeframe_regimes["symbol"].isin(grid.symbols)]
    rows = rows[rows["ts"].dt.hour == LAST_HOUR]
    spot = candles_1h[candles_1h["market"] == "spot"][["symbol", "ts", "close", "source_tier"]]
    state = rows[["symbol", "ts", "primary_regime", "agreement_count", "source_tier"]].merge(
        spot.rename(columns={"source_tier": "bar_tier"}), on=["symbol", "ts"], how="left"
    )
    cases = state[state["primary_regime"].isin(list(SIGNS))]
    later = state[["symbol", "ts", "primary_regime", "close"]].rename(
        columns={"ts": "end", "primary_regime": "later_regime", "close": "later_close"}
    )
    found = cases.assign(end=cases["ts"] + day).merge(later, on=["symbol", "end"], how="left")
    found = found[(found["end"] >= grid.start) & (found["end"] < grid.end)]
    if found.empty:
        return empty(spec)[columns]
    found = found.sort_values(["symbol", "end"], ignore_index=True)
    change = np.log(_floats(found["later_close"]) / _floats(found["close"]))
    sign = found["primary_regime"].map(SIGNS).to_numpy("float64")
    known = found["later_regime"].notna().to_numpy(bool)
    same = known & (found["later_regime"] == found["primary_regime"]).to_numpy(bool)
    with np.errstate(invalid="ignore"):
        moved = change * sign > 0.0
    judged = same | moved | (known & np.isfinite(change))
    out = found[["symbol", "primary_regime", "agreement_count"]].assign(
        ts=found["end"],
        case_ts=found["ts"],
        persisted_24h=pd.Series(pd.array(same, dtype="boolean")).where(known),
        return_24h=change,
        held_24h=pd.Series(pd.array(same | moved, dtype="boolean")).where(judged),
        status=np.where(judged, "ok", "missing"),
        reason=pd.Series("day_after_unknown", index=found.index, dtype="str").mask(judged),
        source_tier=np.fmax(_floats(found["source_tier"]), _floats(found["bar_tier"])),
        method_version=method_version(OUTCOMES_METHOD),
    )
    return conform(out[columns], spec)[columns]


@derives(
    "regimes.timeframe_confidence",
    timeframe_regimes=reads("regimes.timeframe_regimes"),
    # of every coin: one alone has too few cases
    timeframe_outcomes=reads("regimes.timeframe_outcomes", "365d", all_stored=True),
)
def timeframe_confidence(
    timeframe_regimes: pd.DataFrame, timeframe_outcomes: pd.DataFrame, *, grid: Grid
) -> pd.DataFrame:
    """Confidence of every hour's primary regime, calibrated once there are 200 cases.

    Of the cases of all symbols whose day after had passed by the row (``ts`` of the outcome not after
    the row's), those with the same primary and agreement_count give ``(k + 10 p0) / (n + 10)``, p0
    being the share of all cases that held, with a 95 % Beta interval. Under 200 cases in all the
    confidence is the agreement score, ``confidence_kind`` heuristic, without an interval. Beside a
    NEUTRAL, CHOP or null primary all is null.

    Everything that is stored counts, so a row that is computed again after older history was added
    can differ.

    Args:
        timeframe_regimes: rows of the grid.
        timeframe_outcomes: every stored row of the universe.
        grid: rows owed.
    """
    from scipy.special import betaincinv

    spec = table("regimes.timeframe_confidence")
    columns = list(spec.content)
    rows = timeframe_regimes[timeframe_regimes["symbol"].isin(grid.symbols)]
    rows = rows[(rows["ts"] >= grid.start) & (rows["ts"] < grid.end)]
    rows = rows.sort_values(["symbol", "ts"], ignore_index=True)
    cases = timeframe_outcomes[timeframe_outcomes["held_24h"].notna()]
    cases = cases.sort_values(["ts", "symbol"], ignore_index=True)
    held = cases["held_24h"].to_numpy("float64")
    when, now = (microseconds(f["ts"]) // HOUR_US for f in (cases, rows))
    pattern, wanted = _patterns(cases), _patterns(rows)
    n_all, k_all = _so_far(when, held, now)
    n, k = np.zeros(len(rows)), np.zeros(len(rows))
    for one in np.unique(wanted[wanted >= 0]):
        own, asks = pattern == one, wanted == one
        n[asks], k[asks] = _so_far(when[own], held[own], now[asks])
    directed = wanted >= 0
    calibrated = directed & (n_all >= MIN_CASES)
    base = np.where(calibrated, k_all / np.maximum(n_all, 1.0), np.nan)
    a = k + PSEUDO_CASES * base
    b = n - k + PSEUDO_CASES * (1.0 - base)
    score = _floats(rows["agreement_score"])
    absent = rows["primary_regime"].isna().to_numpy(bool)
    inside = calibrated & (a > 0.0) & (b > 0.0)
    safe_a, safe_b = np.where(inside, a, 1.0), np.where(inside, b, 1.0)
    out = rows[["symbol", "ts", "primary_regime", "agreement_count"]].assign(
        confidence=np.where(calibrated, a / (n + PSEUDO_CASES), np.where(directed, score, np.nan)),
        confidence_kind=take_codes(
            np.where(calibrated, 0, np.where(directed, 1, -1)), ("calibrated", "heuristic")
        ),
        confidence_lo=np.where(inside, betaincinv(safe_a, safe_b, 0.025), np.nan),
        confidence_hi=np.where(inside, betaincinv(safe_a, safe_b, 0.975), np.nan),
        confidence_n=np.where(directed, n, np.nan),
        confidence_base=base,
        confidence_base_n=np.where(directed, n_all, np.nan),
        status=np.where(directed, "ok", np.where(absent, "missing", "not_applicable")),
        reason=take_codes(
            np.where(directed, -1, np.where(absent, 0, 1)), ("no_primary", "no_direction")
        ),
        source_tier=np.where(directed, _floats(rows["source_tier"]), np.nan),
        method_version=method_version(CONFIDENCE_METHOD),
    )
    return conform(out[columns], spec)[columns]


def _patterns(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Primary and agreement count as one code; -1 without a direction."""
    primary = frame["primary_regime"].map({"SPOT_IGNITION": 0.0, "SPOT_COOLING": 10.0})
    code = _floats(primary) + _floats(frame["agreement_count"])
    return np.where(np.isfinite(code), code, -1.0).astype(np.int64)


def _so_far(
    when: npt.NDArray[np.int64], held: npt.NDArray[np.float64], now: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cases known at each hour, and those of them that held; ``when`` ascending."""
    count = np.searchsorted(when, now, side="right")
    return count.astype("float64"), np.append(0.0, np.cumsum(held))[count]


def _floats(values: pd.Series) -> npt.NDArray[np.float64]:
    return values.to_numpy(dtype="float64", na_value=np.nan)


__all__ = ["timeframe_confidence", "timeframe_outcomes"]
