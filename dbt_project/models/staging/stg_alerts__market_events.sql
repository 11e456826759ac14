-- one row per event and symbol: an event about a pair belongs to both of its symbols
select
    e.event_id, e.ts, e.event_type, e.instrument, e.kind, e.ordinal, e.alert_severity, e.level,
    e.episode_start, e.known_at, e.title, e.source_tier, e.method_version, e.ingested_at, symbols.symbol
from {{ source('alerts', 'market_events') }} as e
cross join lateral unnest(string_to_array(e.instrument, '|')) as symbols (symbol)
