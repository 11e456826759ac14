"""Volatility regimes of the spot series, one row per symbol and hour.

Belongs here: the realised and the range-based 24 h volatility, their baselines, the regime classes,
the confirmed regime and its announcements. Does not belong here: turning announcements into alert
rows (``alerts.kinds``), statistics over stored regimes.

The definition in words: docs/methods.md, section 4.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import USABLE
from regime_pipeline.catalogue.fields.features import VOL_REGIMES
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import close_halted, halted
from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    from_panel,
    grid_length,
    grid_start_us,
    take_codes,
    to_panel,
)
from regime_pipeline.numerics.stretches import each_cell, log_ratio
from regime_pipeline.settings import VolatilityParams, method_version
from regime_pipeline.windows import Grid

METHOD = "volatility/4"
_BARS = ("open", "high", "low", "close", "source_tier")

DAY_BARS = 24
MIN_BARS = 20
BASELINE = 720
MIN_BASELINE = 480
MACHINE_HOURS = 168
RESTART_AFTER = 24
_GK_CLOSE = 2.0 * np.log(2.0) - 1.0
_NO_SCALE = 1e-12

_SEVERITY = ("INFO", "WARNING", "CRITICAL")
LOUD_FROM = VOL_REGIMES.index("EXPLOSIVE")
"""Place of the lowest class whose way up is more than INFO."""
PREDICTABILITY = ("LOW", "MEDIUM", "HIGH")
_NO_JUMP_STATE = ("no_observation", "insufficient_history", "zero_dispersion")
SKILL_STEPS = (0.05, 0.20)
"""Lower ends of MEDIUM and HIGH."""


def log_returns(close: FloatPanel) -> FloatPanel:
    """Log return of every bar against the bar before; null unless both are observed."""
    out = np.empty_like(close)
    out[:1] = np.nan
    each_cell(log_ratio, close[1:], close[:-1], out=out[1:])
    return out


def _range_variance(
    open_: FloatPanel, high: FloatPanel, low: FloatPanel, close: FloatPanel, *, out: FloatPanel
) -> None:
    spread, body = log_ratio(high, low, out=np.empty_like(out)), log_ratio(close, open_, out=out)
    np.multiply(_GK_CLOSE * body, body, out=out)
    np.subtract(0.5 * spread * spread, out, out=out)


def garman_klass(panels: dict[str, FloatPanel]) -> FloatPanel:
    """Variance of every bar from its range and body (Garman & Klass 1980)."""
    return each_cell(_range_variance, *(panels[n] for n in ("open", "high", "low", "close")))


def volatility_24h(
    variances: FloatPanel, first_hour: int
) -> tuple[FloatPanel, npt.NDArray[np.int32]]:
    """Root of the summed variances of the last 24 bars, scaled by 24 / n; null under 20 bars.

    ``first_hour`` is the hour since 1970 of the first row.

    Returns:
        The volatility, a fraction per 24 h, and the number of bars present.
    """
    from regime_pipeline.numerics.rolling import rolling_scaled_sum

    total, present = rolling_scaled_sum(variances, DAY_BARS, MIN_BARS, anchor=first_hour)
    return each_cell(np.sqrt, total, out=total), present


def _ratio(value: FloatPanel, baseline: FloatPanel) -> FloatPanel:
    return np.divide(value, baseline, out=np.full_like(value, np.nan), where=baseline > _NO_SCALE)


# A year of confirmed classes, of which the first needs 168 h of machine + 24 h of null count + 743 h of
# baseline + 24 h of returns: 8760 + 959 h. The skill's 241 days lie inside, and so do a week, a year and
# 672 h of the jump model: 9599 h.
@derives(
    "features.volatility_regimes",
    candles_1h=reads(
        "market.candles_1h",
        "405d",
        where={"market": "spot"},
        columns=("market", "symbol", "ts", *_BARS),
    ),
    params="params.volatility",
)
def volatility_regimes(
    candles_1h: pd.DataFrame, *, grid: Grid, params: VolatilityParams
) -> pd.DataFrame:
    """Volatility, regime and confirmed regime of every hour of the grid.

    ``vol_regime`` and ``risk_multiplier`` come from the realised volatility of 24 hourly log returns
    over its mean in the 30 days that end 24 h earlier (at least 480 of 720 hours). The confirmed
    regime comes from the Garman-Klass volatility over its **median** there: close-to-close misses
    wicks, and one wick doubles a mean for 30 days. It moves after a 5 % overshoot of the border and
    two rows in a row, at once when it jumps two classes up or into EXTREME.

    ``event_kind`` stands in the row that announces a change of the confirmed regime, beside the class
    announced before it (``vol_regime_from``): ``calming`` on a way down from EXPLOSIVE or EXTREME,
    whose way up was more than INFO, else ``change``. Every way down is INFO, so is STABLE to
    HIGH_VOL; CRITICAL into EXTREME, else WARNING. For ``cooldown_hours`` after an
    announcement further changes are held; a difference that remains is announced when it ends; into
    EXTREME is never held.

    ``clustering_probability`` is the share of the year's rows of the same confirmed class that had it
    a day later too, one pseudo count per class, at least 50 such rows (``clustering_n``).
    ``har_skill`` and its class ``predictability`` come from the daily variances at the 23:00 rows and
    hold until the next one: see ``volatility_outlook.har_skill``. Both are null where the history is
    too short; the row's status is about the confirmed regime and doesn't change for them.

    ``vol_regime_sjm`` is the state of a statistical jump model on the Garman-Klass volatilities of
    6 h, 24 h and an exponentially weighted week, refitted every Monday 00:00 UTC on the 365 days
    before it (nine tenths of them known) and read online: see ``volatility_jumps.jump_regimes``. It
    takes no part in anything else; ``sjm_reason`` says why it is null.

    Args:
        candles_1h: rows of ``market.candles_1h`` (spot is selected here) from its lookback before
            ``grid.start``; rows may be absent.
        grid: hours and symbols owed.
        params: borders, multipliers, hysteresis, confirmations, cooldown.

    Returns:
        The content columns of ``features.volatility_regimes``, sorted by key. The main value is
        ``vol_regime_confirmed``. ``ok``: all 24 returns and a full baseline; ``partial``: enough of
        both (an hour lost costs one bar but two returns, so the close-to-close columns can be null
        a row longer); ``not_applicable`` while the market is halted; else null with the reason.
    """
    wide = grid.widened(reach_of(volatility_regimes, "market.candles_1h"))
    panels = to_panel(
        candles_1h[candles_1h["market"] == "spot"],
        wide,
        _BARS,
    )
    keep = grid_length(wide) - grid_length(grid)
    full = _statistics(panels, grid_start_us(wide) // HOUR_US, keep)
    halt = halted(panels)
    full["vol_ratio_gk"][halt] = np.nan
    columns = _regimes(full, params, grid_start_us(wide), keep)
    columns |= _jumps(panels, grid_start_us(wide) // HOUR_US, keep)
    columns |= _outlook(full["volatility_24h"], grid_start_us(wide) // HOUR_US, keep)
    columns |= {
        name: panel if len(panel) == grid_length(grid) else panel[keep:]
        for name, panel in full.items()
    }
    observed = np.isfinite(panels["close"])[keep:]
    status, reason = _status(columns, observed)
    usable = np.isin(status, USABLE)
    tier = _worst_tier(panels["source_tier"], keep)
    columns |= {
        "abs_stable": np.where(
            np.isfinite(columns["volatility_24h"]),
            columns["volatility_24h"] < params.stable_threshold,
            np.nan,
        ),
        "status": status,
        "reason": reason,
        "source_tier": np.where(usable, tier, np.nan),
    }
    spec = table("features.volatility_regimes")
    names = [n for n in spec.content if n in columns]
    long = from_panel(grid, {name: columns[name] for name in names})
    long["regime_since"] = long["regime_since"].dt.tz_localize("UTC")
    long["event_ordinal"] = np.where(long["event_kind"].notna(), 0.0, np.nan)
    long["episode_start"] = long["ts"].where(long["event_kind"].notna())
    long["method_version"] = method_version(METHOD, params)
    return close_halted(conform(long, spec)[list(spec.content)], halt[keep:], spec)


def _statistics(
    panels: dict[str, FloatPanel], first_hour: int, keep: int
) -> dict[str, npt.NDArray]:
    """Volatilities and the ratio behind the classes of all rows, the rest of the owed ones only.

    A year of history is read for its classes; what only describes a row isn't made for it.
    """
    from regime_pipeline.numerics.order_statistics import rolling_median
    from regime_pipeline.numerics.rolling import rolling_count, rolling_mean

    returns = log_returns(panels["close"])
    volatility, present = volatility_24h(each_cell(np.square, returns, out=returns), first_hour)
    volatility_gk, bars = volatility_24h(garman_klass(panels), first_hour)
    since = max(0, keep - BASELINE - DAY_BARS)
    recent = volatility[since:]
    mean = rolling_mean(recent, BASELINE, MIN_BASELINE, lag=DAY_BARS, anchor=first_hour + since)
    mean = mean[keep - since :]
    median = rolling_median(volatility_gk, BASELINE, MIN_BASELINE, lag=DAY_BARS)
    return {
        "volatility_24h": volatility,
        "volatility_mean": mean,
        "vol_ratio": _ratio(volatility[keep:], mean),
        "volatility_24h_gk": volatility_gk,
        "volatility_median_gk": median,
        "vol_ratio_gk": _ratio(volatility_gk, median),
        "n_bars": bars,
        "_returns": present,
        "_baseline": rolling_count(recent, BASELINE, lag=DAY_BARS)[keep - since :],
    }


def _outlook(volatility: FloatPanel, first_hour: int, keep: int) -> dict[str, npt.NDArray]:
    """Skill of the newest whole day, at every owed row."""
    from regime_pipeline.features.volatility_outlook import HAR_DAYS, har_skill

    rows = len(volatility)
    last = (23 - first_hour) % DAY_BARS  # first 23:00 row
    hours = np.arange(last, rows, DAY_BARS)
    newest = (np.arange(keep, rows) - last) // DAY_BARS
    skip = max(0, int(newest.min(initial=len(hours))) - HAR_DAYS)
    variance = volatility[hours[skip:]].T ** 2
    skill = har_skill(variance, HAR_DAYS if skip else 0)
    held = np.where(newest >= 0, newest - skip, -1)
    out = np.full((rows - keep, volatility.shape[1]), np.nan)
    out[held >= 0] = skill.T[held[held >= 0]]
    with np.errstate(invalid="ignore"):
        code = sum((out >= step).astype(np.int64) for step in SKILL_STEPS)
    return {
        "har_skill": out,
        "predictability": take_codes(np.where(np.isfinite(out), code, -1), PREDICTABILITY),
    }


def _jumps(panels: dict[str, FloatPanel], first_hour: int, keep: int) -> dict[str, npt.NDArray]:
    """States of the jump model at every owed row."""
    from regime_pipeline.features.volatility_jumps import jump_regimes

    variance = np.ascontiguousarray(garman_klass(panels).T)
    state, penalty, monday, why = (x.T for x in jump_regimes(variance, first_hour, keep))
    fitted = np.isfinite(penalty)
    stamps = (monday * HOUR_US).astype("datetime64[us]")
    return {
        "vol_regime_sjm": take_codes(state.astype(np.int64), VOL_REGIMES),
        "sjm_penalty": penalty,
        "sjm_fitted_at": np.where(fitted, stamps, np.datetime64("NaT", "us")),
        "sjm_reason": take_codes(why.astype(np.int64) - 1, _NO_JUMP_STATE),
    }


def _regimes(
    full: dict[str, npt.NDArray], params: VolatilityParams, start_us: int, keep: int
) -> dict[str, npt.NDArray]:
    from regime_pipeline.features import volatility_machine as machine
    from regime_pipeline.features.volatility_outlook import clustering

    multipliers = np.array([*params.risk_multipliers, np.nan])
    raw = machine.classes_of(full["vol_ratio"], params.borders)
    by_column = np.ascontiguousarray(full["vol_ratio_gk"].T)
    raw_gk = machine.classes_of(by_column, params.borders)
    up = machine.classes_of(by_column, params.borders, 1.0 + params.hysteresis_frac)
    down = machine.classes_of(by_column, params.borders, 1.0 - params.hysteresis_frac)
    state = np.empty(raw_gk.shape, dtype=np.int8)
    event = np.empty(raw_gk.shape, dtype=np.int8)
    machine.run(
        raw_gk,
        up,
        down,
        MACHINE_HOURS,
        RESTART_AFTER,
        params.confirmations,
        params.cooldown_hours,
        state,
        event,
    )
    since = np.empty(state.shape, dtype=np.int64)
    machine.beginnings(state, MACHINE_HOURS, RESTART_AFTER, since)
    probability, visits = (panel.T[keep:] for panel in clustering(state))
    rows = np.arange(keep, by_column.shape[1])[:, None]
    state, raw_gk, event = state.T[keep:], raw_gk.T[keep:], event.T[keep:]
    since = since.T[keep:]
    stamps = (start_us + since * HOUR_US).astype("datetime64[us]")
    age = np.where(since >= 0, rows - since, MACHINE_HOURS).astype(float)
    return {
        "vol_regime": take_codes(raw, VOL_REGIMES),
        "risk_multiplier": multipliers[raw],
        "size_scaler": 1.0 / multipliers[raw],
        "vol_regime_gk": take_codes(raw_gk, VOL_REGIMES),
        "vol_regime_confirmed": take_codes(state, VOL_REGIMES),
        "risk_multiplier_confirmed": multipliers[state],
        "regime_since": np.where((state >= 0) & (since >= 0), stamps, np.datetime64("NaT", "us")),
        "regime_age_h": np.where(state >= 0, age, np.nan),
        "clustering_probability": probability,
        "clustering_n": np.where(visits < 0, np.nan, visits),
        "vol_regime_from": take_codes(np.where(event >= 0, event // 4, -1), VOL_REGIMES),
        "event_kind": take_codes(_kind(event), ("change", "calming")),
        "event_severity": take_codes(_severity(event), _SEVERITY),
    }


def _kind(event: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """0 for a change, 1 for a way down from a class whose way up is no INFO, -1 without an event."""
    before, after = event // 4, event % 4
    calming = (after < before) & (before >= LOUD_FROM)
    return np.where(event >= 0, calming.astype(np.int64), -1)


def _severity(event: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Index into ``_SEVERITY`` of ``4 * from + to``; -1 without an event."""
    before, after = event // 4, event % 4
    quiet = (after < before) | (after < LOUD_FROM)
    severity = np.where(after == 3, 2, np.where(quiet, 0, 1))
    return np.where(event >= 0, severity, -1)


def _status(
    columns: dict[str, npt.NDArray], observed: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray, npt.NDArray]:
    """Status and reason of every row; the main value is the confirmed regime."""
    ready = np.isfinite(columns["vol_ratio_gk"])
    short = ~np.isfinite(columns["volatility_24h_gk"])
    baseline = np.isfinite(columns["volatility_median_gk"])
    cases = [
        (~ready & ~observed, "missing", "no_observation"),
        (~ready & short, "insufficient_history", "bars_24h"),
        (~ready & ~baseline, "insufficient_history", "baseline_30d"),
        (~ready, "insufficient_history", "zero_dispersion"),
        (columns["_returns"] < DAY_BARS, "partial", "bars_24h"),
        (columns["_baseline"] < BASELINE, "partial", "baseline_30d"),
    ]
    conditions = [case[0] for case in cases]
    code = np.select(conditions, list(range(len(cases))), -1)
    status = take_codes(code, [case[1] for case in cases])
    status[code < 0] = "ok"
    return status, take_codes(code, [case[2] for case in cases])


def _worst_tier(tier: FloatPanel, keep: int) -> FloatPanel:
    """Of the bars behind the main value; the year behind the outlook is left out."""
    from regime_pipeline.numerics.rolling import rolling_max

    window = BASELINE + 2 * DAY_BARS
    since = max(0, keep - window)
    return rolling_max(tier[since:], window, 1)[keep - since :]


__all__ = ["METHOD", "garman_klass", "log_returns", "volatility_regimes"]
