select
    symbol, ts, long_liquidations_usd, short_liquidations_usd, total_liquidation_usd,
    is_lower_bound, status, reason, source_tier, method_version, ingested_at
from {{ source('market', 'liquidations_1h') }}
