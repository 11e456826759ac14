select symbol, ts, severity, severity_pct, is_cascade, dominance, status, reason, source_tier
from {{ source('features', 'liquidation_cascades') }}
