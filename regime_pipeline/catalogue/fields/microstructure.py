"""Order books, single trades and forced closures."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind


def _depth(band: int, side: str) -> Field:
    return Field(
        f"depth_{band}bps_{side}_usd",
        Kind.FLOAT,
        f"Resting value on the {side} side within {band} bps of the mid; of the levels sent only.",
        "USD",
        0,
    )


FIELDS = (
    Field("book_ts", Kind.TIMESTAMP, "The venue's time of the book; null where it sends none."),
    Field("best_bid", Kind.FLOAT, "Highest price bid.", "quote", 0, exclusive_minimum=True),
    Field("best_ask", Kind.FLOAT, "Lowest price asked.", "quote", 0, exclusive_minimum=True),
    Field(
        "mid", Kind.FLOAT, "Half way between the best prices.", "quote", 0, exclusive_minimum=True
    ),
    Field(
        "microprice",
        Kind.FLOAT,
        "Best prices weighted by the size on the other side.",
        "quote",
        0,
        exclusive_minimum=True,
        source="Stoikov (2018), The micro-price",
    ),
    Field("spread_bps", Kind.FLOAT, "1e4 (best ask - best bid) / mid.", "bps", 0),
    *(_depth(band, side) for band in (10, 25, 50) for side in ("bid", "ask")),
    Field(
        "imbalance",
        Kind.FLOAT,
        "(bid - ask) / (bid + ask) of the value within 25 bps.",
        "fraction",
        -1,
        1,
    ),
    Field("bid_levels", Kind.INTEGER, "Price levels on the bid side that were sent.", "levels", 0),
    Field("ask_levels", Kind.INTEGER, "Price levels on the ask side that were sent.", "levels", 0),
    Field(
        "book_reach_bps",
        Kind.FLOAT,
        "Distance from the mid to the last level of the nearer side; depths beyond are lower bounds.",
        "bps",
        0,
    ),
    Field(
        "book_age_s",
        Kind.FLOAT,
        "Sampling instant minus the venue's time of the book; 0 where it sends none.",
        "s",
        0,
    ),
    Field(
        "latest_mark_price",
        Kind.FLOAT,
        "Newest mark price of the venue; null on spot.",
        "quote",
        0,
        exclusive_minimum=True,
    ),
    Field(
        "latest_index_price",
        Kind.FLOAT,
        "Newest index price behind the mark; null where it is not told.",
        "quote",
        0,
        exclusive_minimum=True,
    ),
    Field("age_s", Kind.FLOAT, "How long before `ts` the newest message came.", "s", 0),
    Field(
        "live_quality",
        Kind.TEXT,
        "How far the row can be trusted. ok; stale: nothing came for 15 s; crossed: the best bid is not "
        "below the best ask; off_market: the mid is further than 1 % from the median of three venues or "
        "more.",
        allowed=("ok", "stale", "crossed", "off_market"),
    ),
    Field(
        "top_levels",
        Kind.JSON,
        "The twenty best levels of each side as the venue counts sizes: {bids: [[price, size]], asks}.",
    ),
    Field("n_snapshots", Kind.INTEGER, "Valid snapshots behind the hour's means.", "snapshots", 0),
    Field("taker_sell_quote", Kind.FLOAT, "Value sold by takers.", "quote", 0),
    Field("taker_buy_count", Kind.INTEGER, "Trades in which the taker bought.", "trades", 0),
    Field("taker_sell_count", Kind.INTEGER, "Trades in which the taker sold.", "trades", 0),
    Field(
        "size_counts",
        Kind.FLOATS,
        "Trades per bin of their value: quarter octaves from 1 USD, 96 bins.",
        "trades",
    ),
    Field("size_values", Kind.FLOATS, "Traded value per bin of size_counts.", "quote"),
    Field(
        "flow_source",
        Kind.TEXT,
        "What the hour is made of: single trades, or the taker volumes of the candle.",
        allowed=("trades", "candles"),
    ),
    Field(
        "flow_imbalance",
        Kind.FLOAT,
        "(bought - sold) / (bought + sold) by takers, in quote currency where known, else in coins.",
        "fraction",
        -1,
        1,
    ),
    Field(
        "large_trade_quote",
        Kind.FLOAT,
        "Value of trades larger than 99 % of those of the 24 h before the hour.",
        "quote",
        0,
    ),
    Field("large_share", Kind.FLOAT, "Large trades in the hour's traded value.", "fraction", 0, 1),
    Field(
        "closure_id",
        Kind.TEXT,
        "The venue's number of the event, else a digest of what identifies it.",
    ),
    Field(
        "position_side",
        Kind.TEXT,
        "Side of the position that was closed by force.",
        allowed=("long", "short"),
    ),
    Field(
        "closure_method",
        Kind.TEXT,
        "How it was closed, where a venue tells: through the book, or taken over by a vault.",
        allowed=("market", "backstop"),
    ),
    Field("price", Kind.FLOAT, "Price of the event.", "quote", 0, exclusive_minimum=True),
    Field("quantity_base", Kind.FLOAT, "Amount of the event, base coin.", "base", 0),
    Field("liquidation_usd", Kind.FLOAT, "Value closed by force.", "USD", 0),
)
