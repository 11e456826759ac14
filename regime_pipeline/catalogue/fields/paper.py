"""Columns of paper positions. No order is ever placed."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

FIELDS = (
    Field("strategy", Kind.TEXT, "Name of the rules that are followed on paper."),
    Field("strategy_spec", Kind.JSON, "The rules; a change of any is another strategy."),
    Field("inception_at", Kind.TIMESTAMP, "First hour of the strategy."),
    Field("paper_days", Kind.INTEGER, "Days behind the statistics.", "d", 0),
    Field("sharpe", Kind.FLOAT, "A year's Sharpe ratio from daily returns.", source="Lo (2002)"),
    Field("sharpe_low", Kind.FLOAT, "Lower 95 % bound of sharpe, blocks of 14 days."),
    Field("sharpe_high", Kind.FLOAT, "Upper 95 % bound of sharpe."),
    Field(
        "sharpe_deflated",
        Kind.FLOAT,
        "Chance that it is above what the best of all strategies gives by luck.",
        "fraction",
        0,
        1,
        source="Bailey & Lopez de Prado (2014)",
    ),
    Field("max_drawdown", Kind.FLOAT, "Largest fall of equity from a peak.", "fraction", 0, 1),
    Field("traded_share_per_day", Kind.FLOAT, "Value traded in a day over equity.", "fraction", 0),
    Field("exposure_mean", Kind.FLOAT, "Mean sum of sizes of weights.", "fraction", 0),
    Field("fees_total_usd", Kind.FLOAT, "Fees since inception.", "USD", 0),
    Field("funding_total_usd", Kind.FLOAT, "Funding paid since inception.", "USD"),
    Field("hold_sharpe", Kind.FLOAT, "Sharpe ratio of holding all symbols in equal parts."),
    Field(
        "excess_bps_per_day",
        Kind.FLOAT,
        "Mean daily return less that of holding at the same deviation.",
        "bps",
    ),
    Field("excess_low_bps_per_day", Kind.FLOAT, "Lower 95 % bound of excess_bps_per_day.", "bps"),
    Field("excess_high_bps_per_day", Kind.FLOAT, "Upper 95 % bound of excess_bps_per_day.", "bps"),
    Field("book_fills", Kind.INTEGER, "Fills by a recorded book since inception.", "fills", 0),
    Field("assumed_fills", Kind.INTEGER, "Fills that were assumed since inception.", "fills", 0),
    Field("paper_state", Kind.JSON, "State from which the next hour goes on."),
    Field("intent_side", Kind.INTEGER, "Side that the signal names: 1, -1 or 0.", None, -1, 1),
    Field("position_weight", Kind.FLOAT, "Value of the position over equity.", "fraction"),
    Field("target_weight", Kind.FLOAT, "Weight that is wanted, within all limits.", "fraction"),
    Field("order_usd", Kind.FLOAT, "Value of the paper order, negative sells.", "USD"),
    Field("execution_id", Kind.TEXT, "Digest of strategy, symbol, hour and rules."),
    Field("order_side", Kind.TEXT, "Side of the paper order.", allowed=("BUY", "SELL")),
    Field("order_base", Kind.FLOAT, "Size of the paper order.", "base", 0),
    Field("filled_base", Kind.FLOAT, "Filled part of it.", "base", 0),
    Field(
        "filled_share", Kind.FLOAT, "Filled share of it; the rest is cancelled.", "fraction", 0, 1
    ),
    Field("vwap", Kind.FLOAT, "Mean price of the fill.", "quote", 0, exclusive_minimum=True),
    Field(
        "mid_at_decision",
        Kind.FLOAT,
        "Price at the decision: the close of the hour before.",
        "quote",
        0,
        exclusive_minimum=True,
    ),
    Field(
        "mid_at_fill",
        Kind.FLOAT,
        "Mid of the book that it met; the price at the decision where the fill is assumed.",
        "quote",
        0,
        exclusive_minimum=True,
    ),
    Field(
        "paper_slippage_bps", Kind.FLOAT, "Distance of vwap from mid_at_fill, against it.", "bps"
    ),
    Field("fees_usd", Kind.FLOAT, "Fees of the row.", "USD", 0),
    Field(
        "fill_kind",
        Kind.TEXT,
        "levels: those of the first book two to twelve minutes after the decision; sums: the depth of that "
        "book spread evenly, where the bytes of its levels are gone; assumed: half the spread that bars "
        "imply, before books were stored. Null: not filled.",
        allowed=("levels", "sums", "assumed"),
    ),
    Field(
        "fill_reason",
        Kind.TEXT,
        "Why it is not filled in whole.",
        allowed=("no_book", "book_too_shallow", "no_spread_to_assume"),
    ),
    Field("book_at", Kind.TIMESTAMP, "When the book was sampled."),
    Field("book_payload_id", Kind.TEXT, "Reply that the book came in."),
    Field("position_base", Kind.FLOAT, "Held at the end of the hour, negative is short.", "base"),
    Field("position_usd", Kind.FLOAT, "Its value at the newest known price.", "USD"),
    Field("equity_usd", Kind.FLOAT, "Cash and positions at the end of the hour.", "USD"),
    Field("cash_usd", Kind.FLOAT, "Cash at the end of the hour.", "USD"),
    Field("gross_weight", Kind.FLOAT, "Sum of sizes of weights.", "fraction", 0),
    Field("net_weight", Kind.FLOAT, "Sum of weights.", "fraction"),
    Field(
        "drawdown",
        Kind.FLOAT,
        "Fall from the peak since inception or the last stop.",
        "fraction",
        0,
    ),
    Field("funding_paid_usd", Kind.FLOAT, "Funding of the hour, negative is received.", "USD"),
    Field("traded_usd", Kind.FLOAT, "Value that changed hands in the hour.", "USD", 0),
    Field("limits_hit", Kind.TEXT, "Limits that held positions back, by comma."),
)
