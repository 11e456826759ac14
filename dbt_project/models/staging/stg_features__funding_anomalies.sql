select
    symbol, ts, print_ts, rate_8h, rate_annual, z_score, extreme_level, is_anomaly,
    status, reason, source_tier
from {{ source('features', 'funding_anomalies') }}
