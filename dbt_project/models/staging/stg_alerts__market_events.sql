-- one row per event and symbol: an event about a pair belongs to both of its symbols
select
    e.event_id, e.ts, e.event_type, e.alert_severity, e.known_at, e.title, symbols.symbol
from {{ source('alerts', 'market_events') }} as e
cross join lateral unnest(string_to_array(e.instrument, '|')) as symbols (symbol)
