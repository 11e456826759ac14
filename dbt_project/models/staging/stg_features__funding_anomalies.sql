select
    symbol, ts, print_ts, rate_8h, rate_annual, z_score, extreme_level, is_anomaly,
    predicted_rate_8h, predicted_for, predicted_asof, predicted_reason,
    status, reason, source_tier, method_version, ingested_at
from {{ source('features', 'funding_anomalies') }}
