select
    symbol, ts, primary_regime, regime_1h, regime_4h, regime_1d, regime_1w, frames_available,
    agreement_count, agreement_score, is_confirmed, status, reason, source_tier, method_version, ingested_at
from {{ source('regimes', 'timeframe_regimes') }}
