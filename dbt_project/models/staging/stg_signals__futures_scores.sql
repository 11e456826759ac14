select
    symbol, ts, futures_score, futures_signal, coverage_pct, confidence, confidence_level,
    top_factors, status, reason, source_tier, method_version, ingested_at
from {{ source('signals', 'futures_scores') }}
