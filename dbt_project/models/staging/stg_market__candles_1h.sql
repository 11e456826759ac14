select market, symbol, ts, close, status, reason, source_tier
from {{ source('market', 'candles_1h') }}
