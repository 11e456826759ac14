-- the newest hour that the pipeline owed, observed or not; by order and limit, so that only the
-- newest month is read
select ts
from {{ source('market', 'candles_1h') }}
order by ts desc
limit 1
