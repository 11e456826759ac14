select
    source, venue, market, symbol, metric, ts, value, source_tier, available_at, ingested_at
from {{ source('raw', 'positioning') }}
