"""Sentiment, whale transfers, coin snapshots, ready-made signals, and the proxies named apart."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

OWNER_TYPES = ("exchange", "unknown", "other")


def _percent(name: str, what: str) -> Field:
    return Field(name, Kind.FLOAT, what, "score 0-100", 0, 100)


FIELDS = (
    # sentiment
    Field(
        "sentiment_scope",
        Kind.TEXT,
        "What the reading is about: one coin, or the market as a whole (symbol is then `*`).",
        allowed=("symbol", "market"),
    ),
    Field("sentiment_kind", Kind.TEXT, "Whose mood it is.", allowed=("social", "news", "trader")),
    Field(
        "item",
        Kind.TEXT,
        "`aggregate` for a reading over many posts, else the provider's id of the one post.",
    ),
    _percent(
        "sentiment_score",
        "Mood, 50 is neutral; null when the provider gives no verdict. In signals.components our "
        "component made of all kinds of mood.",
    ),
    Field("mention_count", Kind.FLOAT, "Posts behind the reading.", "posts", 0),
    Field("interaction_count", Kind.FLOAT, "Reactions to those posts.", "interactions", 0),
    Field(
        "source_confidence",
        Kind.FLOAT,
        "The provider's own trust in its reading.",
        "fraction",
        0,
        1,
    ),
    Field("headline", Kind.TEXT, "Title of a single post, one line."),
    *(
        field
        for kind in ("social", "news", "trader")
        for field in (
            _percent(
                f"{kind}_score", f"Mood of {kind} sources, from the one provider named for them."
            ),
            Field(f"{kind}_mentions", Kind.FLOAT, f"Posts behind the {kind} score.", "posts", 0),
            Field(
                f"{kind}_confidence",
                Kind.FLOAT,
                f"The provider's trust in the {kind} score.",
                "fraction",
                0,
                1,
            ),
        )
    ),
    Field("kinds_present", Kind.INTEGER, "Kinds of sentiment with a score.", "kinds", 0, 3),
    # whale transfers
    Field("blockchain", Kind.TEXT, "Chain that the transfer is on."),
    Field("transaction_hash", Kind.TEXT, "Hash of the transaction; it may hold several transfers."),
    Field(
        "transfer_id",
        Kind.TEXT,
        "The provider's id of the transfer; where it gives none, a digest of its ends and amount.",
    ),
    Field("coin", Kind.TEXT, "Coin moved, upper case, as the provider names it."),
    Field("transaction_type", Kind.TEXT, "transfer, mint, burn, lock ... as the provider says."),
    Field("transfer_amount", Kind.FLOAT, "Amount moved.", "coins", 0),
    Field("transfer_usd", Kind.FLOAT, "Value moved at the time.", "USD", 0, 1e12),
    Field("from_address", Kind.TEXT, "Sending address."),
    Field("from_owner", Kind.TEXT, "Whose address it is, as labelled now; labels are corrected."),
    Field("from_owner_type", Kind.TEXT, "Kind of the sender.", allowed=OWNER_TYPES),
    Field("to_address", Kind.TEXT, "Receiving address."),
    Field("to_owner", Kind.TEXT, "Whose address it is, as labelled now; labels are corrected."),
    Field("to_owner_type", Kind.TEXT, "Kind of the receiver.", allowed=OWNER_TYPES),
    Field(
        "listing_complete",
        Kind.BOOLEAN,
        "Whether the listing that the row is from was read to its end.",
    ),
    Field("inflow_usd", Kind.FLOAT, "Coins moved onto exchanges in the last 24 h.", "USD", 0),
    Field("outflow_usd", Kind.FLOAT, "Coins taken off exchanges in the last 24 h.", "USD", 0),
    Field(
        "net_flow_usd",
        Kind.FLOAT,
        "Inflow less outflow of the last 24 h: above 0 is coins offered for sale.",
        "USD",
    ),
    Field(
        "stablecoin_net_flow_usd",
        Kind.FLOAT,
        "Outflow less inflow of all stablecoins in the last 24 h. The sign is the reverse of the "
        "coin's, because stablecoins on exchanges buy: above 0 is buying power withdrawn.",
        "USD",
    ),
    Field("transfer_count", Kind.INTEGER, "Transfers in inflow and outflow.", "transfers", 0),
    Field(
        "stablecoin_transfer_count",
        Kind.INTEGER,
        "Stablecoin transfers in the stablecoin flow.",
        "transfers",
        0,
    ),
    # reference prices and snapshots of coins
    Field(
        "reference_price",
        Kind.FLOAT,
        "Volume-weighted rate over many venues and 24 h at the bucket's end: it lags the last price.",
        "quote",
        0,
        exclusive_minimum=True,
    ),
    Field("price_usd", Kind.FLOAT, "Price shown.", "USD", 0, exclusive_minimum=True),
    Field("market_cap_usd", Kind.FLOAT, "Market capitalisation.", "USD", 0),
    Field("volume_24h_usd", Kind.FLOAT, "Volume of the last 24 h.", "USD", 0),
    Field("price_change_24h_frac", Kind.FLOAT, "Price change over 24 h.", "fraction", -1),
    Field(
        "funding_rate_volume_weighted",
        Kind.FLOAT,
        "Running funding rate over exchanges, weighted by volume.",
        "fraction per interval",
        -1,
        1,
    ),
    Field(
        "funding_rate_oi_weighted",
        Kind.FLOAT,
        "Running funding rate over exchanges, weighted by open interest.",
        "fraction per interval",
        -1,
        1,
    ),
    Field("long_short_ratio_24h", Kind.FLOAT, "Longs over shorts of 24 h taker volume.", None, 0),
    Field("long_liquidations_24h_usd", Kind.FLOAT, "Longs closed by force in 24 h.", "USD", 0),
    Field("short_liquidations_24h_usd", Kind.FLOAT, "Shorts closed by force in 24 h.", "USD", 0),
    Field("market_cap_rank", Kind.INTEGER, "Rank by capitalisation.", None, 1),
    Field("galaxy_score", Kind.FLOAT, "LunarCrush Galaxy Score.", "score 0-100", 0, 100),
    Field("alt_rank", Kind.INTEGER, "LunarCrush AltRank, 1 is best.", None, 1),
    Field("social_dominance_frac", Kind.FLOAT, "Share of all crypto talk.", "fraction", 0, 1),
    Field("social_volume_24h", Kind.FLOAT, "Posts of the last 24 h.", "posts", 0),
    # listed contracts
    Field("venue_symbol", Kind.TEXT, "What the venue calls the instrument."),
    Field("listing_status", Kind.TEXT, "State of the listing in the venue's own word."),
    Field("listed_from", Kind.TIMESTAMP, "UTC begin of trading, as the venue tells it."),
    Field("listed_to", Kind.TIMESTAMP, "UTC end of trading; null: none is announced."),
    # estimated liquidations
    Field("level_model", Kind.TEXT, "Model of the provider behind the estimate.", allowed=("map",)),
    Field("level_id", Kind.TEXT, "Price and leverage as the provider gave them."),
    Field(
        "price_level",
        Kind.FLOAT,
        "Price at which it would happen.",
        "quote",
        0,
        exclusive_minimum=True,
    ),
    Field(
        "leverage", Kind.FLOAT, "Leverage of the positions; null where it is not told.", "times", 0
    ),
    Field("level_usd", Kind.FLOAT, "Positions that would be closed by force there.", "USD", 0),
    # ready-made signals
    _percent("signal_score", "The service's own score; ours are in schema signals."),
    Field("signal_confidence", Kind.FLOAT, "The service's own confidence.", "fraction", 0, 1),
    Field(
        "signal_direction",
        Kind.TEXT,
        "The service's own verdict.",
        allowed=("bullish", "bearish", "neutral"),
    ),
    # proxies
    Field(
        "volume_spike_ratio",
        Kind.FLOAT,
        "Volume of the hour over the median of the same hour of day in the 28 days before. "
        "A proxy for large-holder activity without a direction; not whale data.",
        "ratio",
        0,
    ),
    Field(
        "funding_crowding_z",
        Kind.FLOAT,
        "Last settled 8 h funding against its own prior 30 days: median and scaled MAD, floored.",
        "sd",
    ),
    Field(
        "estimated_long_liquidations_usd",
        Kind.FLOAT,
        "What crowded longs lose on a falling hour: open interest x fall x Phi(crowding z). An "
        "estimate from funding, not observed liquidations.",
        "USD",
        0,
    ),
    Field(
        "estimated_short_liquidations_usd",
        Kind.FLOAT,
        "What crowded shorts lose on a rising hour: open interest x rise x Phi(-crowding z). An "
        "estimate from funding, not observed liquidations.",
        "USD",
        0,
    ),
    Field(
        "market_fear_greed",
        Kind.FLOAT,
        "The market-wide index usable in the hour, to stand beside a coin's sentiment.",
        "index 0-100",
        0,
        100,
    ),
)
