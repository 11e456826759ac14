select
    source, venue, market, symbol, ts, funding_rate, interval_hours, source_tier, available_at, ingested_at
from {{ source('raw', 'funding_rates') }}
