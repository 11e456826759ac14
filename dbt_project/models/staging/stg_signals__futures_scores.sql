select
    symbol, ts, futures_score, futures_signal, coverage_pct, confidence, confidence_level,
    top_factors, status, reason, source_tier
from {{ source('signals', 'futures_scores') }}
