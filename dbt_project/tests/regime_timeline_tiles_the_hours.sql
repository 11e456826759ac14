{# In a row of spells each begins where the one before ends: none overlap, no hour is left out. #}
select *
from (
    select
        kind, symbol, from_ts, to_ts,
        lead(from_ts) over (partition by kind, symbol order by from_ts) as next_from_ts
    from {{ ref('regime_timeline') }}
    where from_ts <= {{ window_end() }} and through_ts >= {{ window_start() }}
) as spells
where next_from_ts is not null and to_ts is distinct from next_from_ts
