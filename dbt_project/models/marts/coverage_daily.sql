{{ config(
    materialized='incremental',
    incremental_strategy='replace_span',
    unique_key=['dataset', 'source', 'venue', 'market', 'symbol', 'day'],
    on_schema_change='append_new_columns',
    meta={'span': {'column': 'day', 'whole_days': true}, 'newest': 'day'},
) }}

with days as (
    select
        s.*, d.day,
        (extract(epoch from least(s.span_end, d.day + interval '1 day') - greatest(s.span_start, d.day))
            / 3600)::bigint as hours
    from {{ ref('stg_ops__coverage_spans') }} as s
    cross join lateral generate_series(
        {{ whole_days("greatest(s.span_start, " ~ span_start(this) ~ ")") }},
        least(s.span_end, {{ span_end() }}) - interval '1 microsecond',
        interval '1 day'
    ) as d (day)
    where s.span_end > {{ span_start(this) }} and s.span_start < {{ span_end() }}
)

select
    d.dataset,
    d.source,
    d.venue,
    d.market,
    d.symbol,
    d.day,
    coalesce(sum(d.hours) filter (where d.coverage_state in ('stored', 'missed', 'venue_had_none')), 0)::bigint
        as expected,
    {% for state in ('stored', 'missed', 'venue_had_none') -%}
    coalesce(sum(d.hours) filter (where d.coverage_state = '{{ state }}'), 0)::bigint as {{ state }},
    {% endfor -%}
    coalesce(sum(d.hours) filter (where d.coverage_state not in ('stored', 'missed', 'venue_had_none')), 0)::bigint
        as other,
    string_agg(distinct d.coverage_state || coalesce(': ' || d.coverage_reason, ''), '; ')
        filter (where d.coverage_state <> 'stored') as reason
from days as d
group by d.dataset, d.source, d.venue, d.market, d.symbol, d.day
