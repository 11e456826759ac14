"""What the published models say of the coming hours, row by row.

Belongs here: reading registry, publication and radii as of each row, the rows of
``signals.model_predictions``. Does not belong here: deciding what is published (``model_performance``).

The definition in words: docs/models.md.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import to_panel
from regime_pipeline.research.forecast_inputs import (
    DAY_H,
    HISTORY_H,
    OUTSIDE,
    VARIANCE,
    Prices,
    features,
)
from regime_pipeline.research.model_scores import LEVELS
from regime_pipeline.research.models import IN_FORCE_AFTER_H, MODELS, WITH_INTERVAL, Spec, in_force
from regime_pipeline.research.passports import EVERY
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "model_predictions/1"
TABLE = "signals.model_predictions"

Floats = npt.NDArray[np.float64]

JUDGED_FOR_H = 8 * DAY_H
"""Hours for which a day's verdict and radii are used; older ones say that nobody judges any more."""
INTERVALS = tuple(f"interval_{100 * level:.0f}_frac" for level in LEVELS)
_RADII = tuple(f"radius_{100 * level:.0f}" for level in LEVELS)


@derives(
    TABLE,
    of_universe=True,
    models=reads("signals.models", "100d"),
    model_performance=reads(
        "signals.model_performance",
        "10d",
        columns=(
            *("model", "symbol", "passport_regime", "ts", "model_role"),
            *("is_published", "publication_reason", *_RADII),
        ),
    ),
    candles_1h=reads(
        "market.candles_1h",
        "31d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", "open", "high", "low", "close", "source_tier"),
    ),
    implied_volatility=reads(
        "features.implied_volatility", "31d", columns=("symbol", "ts", "dvol")
    ),
    liquidations_1h=reads(
        "market.liquidations_1h", "31d", columns=("symbol", "ts", "total_liquidation_usd")
    ),
)
def model_predictions(
    models: pd.DataFrame,
    model_performance: pd.DataFrame,
    candles_1h: pd.DataFrame,
    implied_volatility: pd.DataFrame | None = None,
    liquidations_1h: pd.DataFrame | None = None,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """What each model says at every hour, as long as it is published.

    A row uses the newest fit and the newest verdict that were known a day before its own day began, so
    that it is the same whether it is made at once or later.

    Args:
        models: rows of ``signals.models``, 100 days before the grid; months that end later do not count.
        model_performance: of ``signals.model_performance``, 10 days before the grid.
        candles_1h: of ``market.candles_1h``, 31 days before the grid; only the perpetual's are used.
        implied_volatility: of ``features.implied_volatility``, as far back; None: none.
        liquidations_1h: of ``market.liquidations_1h``, as far back; None: none.
        grid: hours owed.

    Returns:
        Content columns of ``signals.model_predictions``, a row for each model, symbol and hour, sorted by
        key. Null with ``missing``: no model, not judged, ``no_skill_over_baseline``, or inputs that lack.
        ``partial`` where a variance has no interval.
    """
    item = table(TABLE)
    if grid.end <= grid.start or not grid.symbols:
        return empty(item)[list(item.content)]
    wide = grid.widened(timedelta(hours=HISTORY_H))
    prices = Prices.of(candles_1h, wide, implied_volatility, liquidations_1h)
    perp = candles_1h[candles_1h["market"] == "perp"]
    owed = slice(HISTORY_H, None)
    tier = to_panel(perp, grid, ["source_tier"])["source_tier"]
    hours = prices.hours[owed]
    parts = [
        _of_model(spec, models, model_performance, prices, hours, tier, grid) for spec in MODELS
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame["method_version"] = method_version(METHOD)
    frame = conform(frame[list(item.content)], item)[list(item.content)]
    return frame.sort_values(list(item.key), ignore_index=True)


def _of_model(
    spec: Spec,
    registry: pd.DataFrame,
    judged: pd.DataFrame,
    prices: Prices,
    hours: npt.NDArray[np.int64],
    tier: Floats,
    grid: Grid,
) -> pd.DataFrame:
    shape = (len(hours), len(grid.symbols))
    inputs = features(prices, spec.inputs)[:, HISTORY_H:]
    value = np.full(shape, np.nan)
    version = np.full(shape, None, object)
    has_fit = np.zeros(shape, np.bool_)
    for fit, row, used in in_force(registry, spec.name, hours):
        value[used] = fit.forecast(inputs[:, used])
        version[used] = row["model_version"]
        has_fit[used] = True
    verdict = _Verdicts.of(spec, judged, hours, grid.symbols)
    published = np.repeat(verdict.published[:, None], shape[1], axis=1)
    why = np.repeat(verdict.why[:, None], shape[1], axis=1)
    known = np.isfinite(value)
    shown = published & known
    reason = np.full(shape, None, dtype=object)
    reason[~known] = "inputs_are_missing" if set(spec.inputs) & {*OUTSIDE} else "bars_are_missing"
    reason[~published] = why[~published]
    reason[~has_fit] = "no_model"
    status = np.where(shown, "ok", "missing").astype(object)
    value = np.where(shown, value, np.nan)
    is_variance = spec.target == VARIANCE
    columns: dict[str, npt.NDArray[np.generic]] = {
        "volatility_forecast_frac": np.sqrt(value) if is_variance else np.full(shape, np.nan),
        "p_up": np.full(shape, np.nan) if is_variance else value,
    }
    for k, name in enumerate(INTERVALS):
        has = spec.name == WITH_INTERVAL
        columns[name] = np.sqrt(value) * verdict.radius[k] if has else np.full(shape, np.nan)
    if spec.name == WITH_INTERVAL:
        lacks = shown & ~np.isfinite(columns[INTERVALS[-1]])
        status[lacks], reason[lacks] = "partial", "too_few_labels_for_an_interval"
    return pd.DataFrame(
        {
            "model": spec.name,
            "symbol": np.tile(np.array(grid.symbols, object), shape[0]),
            "ts": grid.hours.repeat(shape[1]),
            "model_version": version.reshape(-1),
            "model_role": np.repeat(verdict.role, shape[1]),
            "horizon_h": spec.horizon_h,
            **{name: panel.reshape(-1) for name, panel in columns.items()},
            "status": status.reshape(-1),
            "reason": reason.reshape(-1),
            "source_tier": np.where(shown, tier, np.nan).reshape(-1),
        }
    )


class _Verdicts:
    """What was known of a model a day before each hour's day began.

    Attributes:
        published: by hour.
        why: by hour, why it is not published.
        role: by hour.
        radius: levels x hours x symbols.
    """

    def __init__(self, hours: int, symbols: int) -> None:
        self.published = np.zeros(hours, np.bool_)
        self.why = np.full(hours, "not_judged", object)
        self.role = np.full(hours, None, object)
        self.radius = np.full((len(LEVELS), hours, symbols), np.nan)

    @classmethod
    def of(
        cls,
        spec: Spec,
        judged: pd.DataFrame,
        hours: npt.NDArray[np.int64],
        symbols: tuple[str, ...],
    ) -> _Verdicts:
        out = cls(len(hours), len(symbols))
        own = judged[(judged["model"] == spec.name) & (judged["passport_regime"] == EVERY)]
        seconds = (own["ts"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        own = own.assign(begins=(seconds // 3600).astype("int64") + 1 + IN_FORCE_AFTER_H)
        begins = np.unique(own["begins"].to_numpy("int64"))
        newest = np.searchsorted(begins, hours, side="right") - 1
        for place in np.unique(newest[newest >= 0]).tolist():
            used = (newest == place) & (hours < begins[place] + JUDGED_FOR_H)
            rows = own[own["begins"] == begins[place]].set_index("symbol")
            if EVERY in rows.index:
                whole = rows.loc[EVERY]
                out.published[used] = bool(whole["is_published"])
                out.why[used] = None if whole["is_published"] else whole["publication_reason"]
                out.role[used] = whole["model_role"]
            own_radii = rows.reindex(list(symbols))[list(_RADII)].to_numpy(
                "float64", na_value=np.nan
            )
            out.radius[:, used] = own_radii.T[:, None, :]
        return out
