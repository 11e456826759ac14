-- the newest hour that the pipeline owed, observed or not
select max(ts) as ts
from {{ source('market', 'candles_1h') }}
