"""What the live collector sees at this moment, as people read it. Empty where none runs."""

from __future__ import annotations

from regime_pipeline.catalogue.marts.common import columns
from regime_pipeline.catalogue.model import Mart

_SERIES = ("source", "venue", "market", "symbol")
_PRICE = (
    "best_bid", "best_ask", "mid", "latest_mark_price", "latest_index_price", "age_s", "live_quality",
)  # fmt: skip

MARTS = (
    Mart(
        "live_prices",
        "The newest price of each series that the live collector hears, no more than an hour older than "
        "the newest of all: look at `ts` and `live_quality` before you believe one. Never an input of "
        "anything else.",
        _SERIES,
        columns(*_SERIES, "ts", *_PRICE),
        query=f"select distinct on ({', '.join('p.' + c for c in _SERIES)}) "
        f"{', '.join('p.' + c for c in (*_SERIES, 'ts', *_PRICE))} from {{live.prices_5s}} as p "
        "where p.ts > (select max(n.ts) from {live.prices_5s} as n) - interval '1 hour' "
        f"order by {', '.join('p.' + c for c in _SERIES)}, p.ts desc",
        time_column=None,
        why_no_past="it shows this moment; candles_1h and hourly tell of past ones",
    ),
)
