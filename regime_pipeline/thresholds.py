"""Every threshold and weight of the derived layers, in one section a topic.

Belongs here: names, units, bounds and defaults. Does not belong here: where values come from
(``settings``), what is done with them. A change of any value changes the ``method_version`` of what
is computed with it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CascadeParams(_Section):
    """Liquidation cascades."""

    cascade_threshold_usd: float = Field(
        500_000.0, gt=0, description="T of the severity bands, USD"
    )
    long_dominance_frac: float = Field(
        0.60, gt=0.5, lt=1, description="share of liquidated longs from which they dominate"
    )
    short_dominance_frac: float = Field(
        0.40, gt=0, lt=0.5, description="share of liquidated longs down to which shorts dominate"
    )
    min_events_for_dominance: int = Field(
        5, description="orders an hour must have for dominance to come from single orders"
    )


class FundingParams(_Section):
    """Funding anomalies."""

    anomaly_z_threshold: float = Field(2.0, gt=0, description="|z| of an anomaly")
    extreme_z_threshold: float = Field(3.0, gt=0, description="|z| of an extreme")
    rearm_z: float = Field(1.5, gt=0, description="|z| below which an anomaly has ended")
    scale_floor_8h: float = Field(
        0.5e-4, gt=0, description="floor of the z scale, fraction per 8 h"
    )


class VolatilityParams(_Section):
    """Volatility regimes."""

    borders: tuple[float, float, float] = Field(
        (1.0, 1.5, 2.5), description="volatility ratios between the four regimes"
    )
    risk_multipliers: tuple[float, float, float, float] = Field(
        (0.7, 1.2, 1.8, 2.5), description="risk multiplier of each regime, calmest first"
    )
    hysteresis_frac: float = Field(
        0.05,
        ge=0,
        lt=0.5,
        description="how far past a border the ratio must go to change the regime",
    )
    confirmations: int = Field(2, ge=1, description="hours in a row that confirm a change")
    stable_threshold: float = Field(
        0.01, gt=0, description="absolute 24 h volatility below which abs_stable holds"
    )
    cooldown_hours: int = Field(3, description="quiet time after an announced change")


class TimeframeParams(_Section):
    """Multi-timeframe regimes."""

    trend_z_min: float = Field(1.0, description="|z| of the trend from which there is one")
    heat_min: float = Field(60.0, description="heat (0 to 100) that an ignition needs")
    volume_z_min: float = Field(0.5, description="z of the volume that an ignition needs")
    capitulation_volume_z: float = Field(1.5, description="z of the volume of a capitulation")
    chop_efficiency_max: float = Field(0.3, description="efficiency ratio below which it is CHOP")
    confirm_agreement: int = Field(3, description="timeframes that must agree")


class CorrelationParams(_Section):
    """Correlations and their breaks."""

    break_rel_drop: float = Field(0.5, description="relative drop of a break, fraction of the base")
    base_min: float = Field(0.3, description="correlation that the base must have to break")
    p_break_max: float = Field(0.05, description="p value below which a change is none by chance")
    end_rel_drop: float = Field(0.35, description="relative drop below which a break ends")
    rise_abs_change: float = Field(0.3, description="absolute change of a rise")


class PairParams(_Section):
    """Pair signals."""

    entry_z: float = Field(2.0, gt=0, description="|spread z| from which a pair is signalled")


class SignalParams(_Section):
    """The confluence of the signal components."""

    weights: dict[str, float] = Field(
        {},
        description="weight of a component, 1 where none is given; one of weight 0 is left out",
    )
    min_components: int = Field(4, ge=1, description="fewer give no confluence")
    min_share: float = Field(
        0.6, ge=0, le=1, description="share of the configured and applicable components needed"
    )
    shrinkage: float = Field(
        0.2, gt=0, le=1, description="weight of the identity in the matrix of the decorrelated mean"
    )


class FuturesParams(_Section):
    """The 8-factor futures score. Weights are integer percent."""

    weights_pct: dict[str, int] = Field(
        default_factory=lambda: {
            "liquidations": 20,
            "funding": 15,
            "momentum": 15,
            "long_short": 15,
            "smart_money": 10,
            "oi_trend": 10,
            "social": 10,
            "fear_greed": 5,
        },
        description="weight of each factor",
    )
    long_threshold: float = Field(65.0, description="score (0 to 100) from which it is LONG")
    short_threshold: float = Field(35.0, description="score down to which it is SHORT")
    min_coverage_pct: int = Field(70, description="weight that must be known for a score")


class QualityParams(_Section):
    """Data-quality checks."""

    complete_frac: float = Field(0.99, gt=0, le=1, description="DQ03: share of a day's hours")
    complete_block_frac: float = Field(0.90, gt=0, le=1, description="DQ03: below it BLOCK")
    complete_gap_hours: int = Field(2, ge=0, description="DQ03: longest gap, h")
    jump_mads: float = Field(10.0, gt=0, description="DQ05: times 1.4826 MAD of 30 d")
    jump_frac: float = Field(0.10, gt=0, description="DQ05: least |log return| of a jump")
    confirm_move_frac: float = Field(
        0.5, gt=0, le=1, description="DQ05: share of a jump that confirms it in another series"
    )
    venue_gap_frac: float = Field(0.005, gt=0, description="DQ07: from the median of 3 and more")
    two_venue_gap_frac: float = Field(0.01, gt=0, description="DQ07: of two venues")
    future_s: float = Field(
        5.0, ge=0, description="DQ08: seconds a row may be ahead of its storing"
    )
    bar_price_frac: float = Field(1e-6, gt=0, description="DQ09: tolerance of prices in a bar")
    bar_volume_frac: float = Field(1e-3, gt=0, description="DQ09: tolerance of volumes in a bar")
    funding_caps: dict[str, float] = Field(
        default_factory=lambda: {"binance": 0.03, "okx": 0.03, "bybit": 0.04},
        description="DQ10: largest |rate| of a print by venue, fraction",
    )
    funding_cap_elsewhere: float = Field(0.04, gt=0, description="DQ10: venues not named")
    liquidation_usd_frac: float = Field(
        0.01, gt=0, description="DQ11: USD against price x quantity"
    )
    drift_psi: float = Field(0.25, gt=0, description="DQ13: stability index of a column")
    drift_level_ratio: float = Field(
        3.0, gt=1, description="DQ13: a day's median open interest over that of 30 days"
    )
    drift_volume_ratio: float = Field(10.0, gt=1, description="DQ13: the same for volumes")
    drift_count_z: float = Field(4.0, gt=0, description="DQ13: |z| of a day's number of rows")
    restated_price_frac: float = Field(1e-4, gt=0, description="DQ14: a restated price")
    restated_volume_frac: float = Field(1e-2, gt=0, description="DQ14: a restated volume")


class Params(_Section):
    """Every threshold of the derived layers; a change of any value changes ``params_id``."""

    cascades: CascadeParams = CascadeParams()
    funding: FundingParams = FundingParams()
    volatility: VolatilityParams = VolatilityParams()
    timeframes: TimeframeParams = TimeframeParams()
    correlation: CorrelationParams = CorrelationParams()
    pairs: PairParams = PairParams()
    signals: SignalParams = SignalParams()
    futures: FuturesParams = FuturesParams()
    quality: QualityParams = QualityParams()


def digest_of(section: BaseModel) -> str:
    """Eight digits that a ``method_version`` ends with: other values, other digits."""
    return hashlib.sha256(section.model_dump_json().encode()).hexdigest()[:8]


def by_digest(params: Params) -> dict[str, list[dict[str, Any]]]:
    """The thresholds of each section by its digest, for whoever explains a number.

    Args:
        params: every threshold that is set now.

    Returns:
        digest -> ``name``, ``value``, ``meaning`` of each threshold.
    """
    found = {}
    for name in Params.model_fields:
        section = getattr(params, name)
        found[digest_of(section)] = [
            {
                "name": f"{name}.{key}",
                "value": value,
                "meaning": type(section).model_fields[key].description,
            }
            for key, value in section.model_dump(mode="json").items()
        ]
    return found
