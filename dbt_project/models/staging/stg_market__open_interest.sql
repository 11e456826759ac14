select symbol, ts, open_interest_base, open_interest_usd, status, reason, source_tier, method_version, ingested_at
from {{ source('market', 'open_interest') }}
