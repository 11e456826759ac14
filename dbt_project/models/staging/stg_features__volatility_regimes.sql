select
    symbol, ts, vol_regime_confirmed, regime_age_h, risk_multiplier_confirmed, vol_ratio_gk,
    vol_ratio, volatility_24h, status, reason, source_tier, method_version, ingested_at
from {{ source('features', 'volatility_regimes') }}
