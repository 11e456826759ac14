select
    symbol, ts, severity, severity_pct, is_cascade, dominance, status, reason,
    source_tier, method_version, ingested_at
from {{ source('features', 'liquidation_cascades') }}
