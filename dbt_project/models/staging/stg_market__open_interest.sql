select symbol, ts, open_interest_base, open_interest_usd, status, reason, source_tier
from {{ source('market', 'open_interest') }}
