"""Options and what they say of the volatility to come."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

TENORS_D = (7, 30, 90, 180)
"""Days ahead at which the term structure is read."""


def _bar(side: str, what: str) -> Field:
    return Field(
        f"volatility_{side}_pct",
        Kind.FLOAT,
        f"{what} of the index in the bar.",
        "percent a year",
        5,
        400,
    )


FIELDS = (
    _bar("open", "First value"),
    _bar("high", "Highest value"),
    _bar("low", "Lowest value"),
    _bar("close", "Last value"),
    Field("option_name", Kind.TEXT, "The venue's name of the option."),
    Field("quoted_at", Kind.TIMESTAMP, "The venue's time of the quote."),
    Field("expiry_at", Kind.TIMESTAMP, "When the option expires."),
    Field("strike", Kind.FLOAT, "Strike price.", "USD", 0, exclusive_minimum=True),
    Field("option_type", Kind.TEXT, "Right to buy or to sell.", allowed=("call", "put")),
    Field(
        "underlying_price",
        Kind.FLOAT,
        "Price of the future of the option's expiry, traded or implied.",
        "USD",
        0,
        exclusive_minimum=True,
    ),
    Field(
        "mark_iv_pct",
        Kind.FLOAT,
        "Implied volatility at the mark price.",
        "percent a year",
        0,
        exclusive_minimum=True,
    ),
    Field("option_mark_base", Kind.FLOAT, "The venue's mark price of the option.", "base", 0),
    Field("option_bid_base", Kind.FLOAT, "Best bid; null without one.", "base", 0),
    Field("option_ask_base", Kind.FLOAT, "Best ask; null without one.", "base", 0),
    Field("volume_24h_base", Kind.FLOAT, "Contracts of one coin traded in 24 h.", "base", 0),
    Field(
        "dvol",
        Kind.FLOAT,
        "The venue's index of implied volatility 30 days ahead, at the hour's close.",
        "percent a year",
        5,
        400,
    ),
    Field(
        "variance_30d_realized",
        Kind.FLOAT,
        "Variance of the 30 whole days before, annualised.",
        "1/a",
        0,
    ),
    Field(
        "variance_30d_har",
        Kind.FLOAT,
        "Variance of the 30 days to come as a HAR regression expects it, annualised.",
        "1/a",
        0,
        source="Corsi (2009), A Simple Approximate Long-Memory Model of Realized Volatility",
    ),
    Field(
        "variance_premium",
        Kind.FLOAT,
        "(dvol / 100)^2 minus variance_30d_har: what is paid above the variance expected.",
        "1/a",
        source="Bollerslev, Tauchen, Zhou (2009), Expected Stock Returns and Variance Risk Premia",
    ),
    Field(
        "variance_premium_realized",
        Kind.FLOAT,
        "(dvol / 100)^2 minus variance_30d_realized.",
        "1/a",
    ),
    *(
        Field(
            f"atm_iv_{days}d",
            Kind.FLOAT,
            f"Implied volatility at the forward price, {days} days ahead.",
            "percent a year",
            0,
            exclusive_minimum=True,
        )
        for days in TENORS_D
    ),
    Field(
        "skew_25d_30d",
        Kind.FLOAT,
        "Implied volatility of the 25-delta put minus that of the 25-delta call, 30 days ahead.",
        "percentage points",
    ),
    Field("n_expiries", Kind.INTEGER, "Expiries with enough strikes on both sides.", "expiries", 0),
)
