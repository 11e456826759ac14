-- every hour of an open episode twice, once from each side; the hour that ends it is not open
select
    side.symbol, side.other, b.ts, b.break_kind, b.break_severity, b.rel_drop, b.duration_hours
from {{ source('correlation', 'correlation_breaks') }} as b
cross join lateral (values (b.symbol_a, b.symbol_b), (b.symbol_b, b.symbol_a)) as side (symbol, other)
where b.event_kind is distinct from 'end'
