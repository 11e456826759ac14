select market, symbol, ts, close, status, reason, source_tier, method_version, ingested_at
from {{ source('market', 'candles_1h') }}
