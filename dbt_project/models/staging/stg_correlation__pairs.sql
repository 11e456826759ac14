-- every pair twice, once from each side
select side.symbol, side.other, c.ts, c.corr_7d, c.status
from {{ source('correlation', 'asset_correlations') }} as c
cross join lateral (values (c.symbol_a, c.symbol_b), (c.symbol_b, c.symbol_a)) as side (symbol, other)
