select ts, available_at, fear_greed, status, source_tier
from {{ source('market', 'fear_greed') }}
