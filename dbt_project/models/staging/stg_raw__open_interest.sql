-- one row per unit in which the open interest is told
select
    o.source, o.venue, o.market, o.symbol, o.ts, told.unit, told.value,
    o.source_tier, o.available_at, o.ingested_at
from {{ source('raw', 'open_interest') }} as o
cross join lateral (values ('usd', o.open_interest_usd), ('base', o.open_interest_base)) as told (unit, value)
