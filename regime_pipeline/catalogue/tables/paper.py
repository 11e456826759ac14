"""Tables of paper positions; they stand in the schema of the signals."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Cadence, Table
from regime_pipeline.catalogue.tables.market import derived


def _paper(
    name: str, description: str, key: tuple[str, ...], values: tuple[str, ...], main: str
) -> Table:
    return derived(
        "signals",
        name,
        description,
        key,
        values,
        computed_in="research.paper_tables",
        cadence=Cadence.SPARSE,
        symbol_columns=(),
        main=main,
    )


TABLES = (
    _paper(
        "strategies",
        "Rules that are followed on paper and what they came to, one row per strategy and day, at 23:00. No "
        "order is ever placed.",
        ("strategy", "ts"),
        (
            *("strategy_spec", "inception_at", "paper_days", "sharpe", "sharpe_low", "sharpe_high"),
            *("sharpe_deflated", "max_drawdown", "traded_share_per_day", "exposure_mean"),
            *("fees_total_usd", "funding_total_usd", "hold_sharpe", "excess_bps_per_day"),
            *("excess_low_bps_per_day", "excess_high_bps_per_day", "book_fills", "assumed_fills"),
            "paper_state",
        ),
        "sharpe",
    ),
    _paper(
        "trade_intents",
        "Changes of a position that a strategy decided at the end of an hour, within all limits.",
        ("strategy", "symbol", "ts"),
        ("intent_side", "position_weight", "target_weight", "order_usd"),
        "order_usd",
    ),
    _paper(
        "trade_executions",
        "What a paper order met: the first book two to twelve minutes into the hour after its decision, "
        "walked to 25 bps; before books were stored an assumed fill.",
        ("strategy", "symbol", "ts"),
        (
            *("execution_id", "order_side", "order_base", "filled_base", "filled_share", "vwap"),
            *("mid_at_decision", "mid_at_fill", "paper_slippage_bps", "fees_usd", "fill_kind"),
            *("fill_reason", "book_at", "book_payload_id"),
        ),
        "paper_slippage_bps",
    ),
    _paper(
        "positions",
        "What a strategy holds on paper at the end of each hour.",
        ("strategy", "symbol", "ts"),
        ("position_base", "position_usd", "position_weight"),
        "position_usd",
    ),
    _paper(
        "equity",
        "What a strategy is worth on paper at the end of each hour, after fees and funding.",
        ("strategy", "ts"),
        (
            *("equity_usd", "cash_usd", "gross_weight", "net_weight", "drawdown", "fees_usd"),
            *("funding_paid_usd", "traded_usd", "limits_hit"),
        ),
        "equity_usd",
    ),
)
