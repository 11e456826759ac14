select dataset, source, venue, market, symbol, span_start, span_end, coverage_state, coverage_reason
from {{ source('ops', 'coverage_spans') }}
