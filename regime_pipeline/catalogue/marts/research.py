"""What signals have been worth, and what was tried to find out.

Belongs here: what their rows and columns mean. Does not belong here: how the numbers are made
(``research``).
"""

from __future__ import annotations

from regime_pipeline.catalogue.marts.common import HIDDEN, TAIL, as_table, columns, renamed
from regime_pipeline.catalogue.model import Mart
from regime_pipeline.catalogue.registry import TABLES

_SHOWN = (
    *("ic", "ic_se", "ic_hours", "ic_hours_eff"),
    *("hit_rate", "hit_rate_low", "hit_rate_high", "n_hits"),
    *("quantile_spread_bps", "quantile_spread_low_bps", "quantile_spread_high_bps"),
    *("cost_bps", "cost_kind", "net_spread_bps", "is_tradable", "turnover_per_day"),
    *("score_half_life_h", "ic_half_life_h", "redundancy_r2", "nearest_signal"),
    *("trials_eff", "crit", "verdict", "verdict_reason", "evidence"),
)

_COSTS = tuple(
    f for f in TABLES["signals.execution_quality"].fields if f not in HIDDEN | {"ingested_at"}
)
_LAST = ("status", "reason", "source_tier", "method_version")

MARTS = (
    as_table(
        "passports",
        "signals.passports",
        "What every score has been worth over the 730 days to the end of each day, one row per signal, "
        "horizon, view (all symbols, a regime, a symbol, across symbols) and day. Read `verdict` first; of "
        "every hundred signals of pure noise at most five are ever called VALID.",
    ),
    Mart(
        "signal_performance",
        "What every score has been worth over all symbols together, one row per signal, horizon, volatility "
        "regime (`*`: all) and day: the passports without symbols. The past, no promise.",
        ("signal", "horizon_h", "regime", "ts"),
        (
            *columns("signal", "horizon_h"),
            renamed("regime", "passport_regime"),
            *columns("ts", *_SHOWN),
            *TAIL,
        ),
        query="select p.signal, p.horizon_h, p.passport_regime as regime, p.ts, "
        + ", ".join(f"p.{c}" for c in _SHOWN)
        + ", p.status, p.reason, p.source_tier, p.method_version, p.ts + interval '1 hour' as known_at, "
        "p.ingested_at from {signals.passports} as p where p.passport_kind = 'pooled'",
        required=frozenset({"verdict", "status"}),
    ),
    Mart(
        "execution_quality",
        "What trading each symbol's perpetual would have cost, one row per symbol and hour, beside what the "
        "futures score is worth by its newest passport. Analysis only: nothing places an order.",
        ("symbol", "ts"),
        (
            *columns(*(f for f in _COSTS if f not in _LAST), "signal_edge_bps", "signal_tradable"),
            *TAIL,
        ),
        query="select "
        + ", ".join(f"e.{c}" for c in _COSTS if c not in _LAST)
        + ", p.quantile_spread_bps / 2 as signal_edge_bps, "
        "case p.verdict when 'UNPROVEN' then null "
        "else p.verdict = 'VALID' and abs(p.quantile_spread_bps) / 2 > e.cost_10k_bps end "
        "as signal_tradable, e.status, e.reason, e.source_tier, e.method_version, "
        "e.ts + interval '1 hour' as known_at, e.ingested_at "
        "from {signals.execution_quality} as e left join lateral ("
        "select n.verdict, n.quantile_spread_bps from {signals.passports} as n "
        "where n.signal = 'futures' and n.horizon_h = 4 and n.passport_kind = 'pooled' "
        "and n.symbol = '*' and n.passport_regime = '*' and n.ts < e.ts "
        "order by n.ts desc limit 1) as p on true",
        required=frozenset({"status"}),
    ),
    as_table(
        "calibrators",
        "signals.calibrators",
        "The curve from each score to a probability, its skill over the base rate in months that no fit "
        "knew, and whether it may be shown; one row per signal, side and day. Read `is_calibrated` first.",
    ),
    as_table(
        "reliability",
        "signals.reliability",
        "How often it came true what each score's probability said, by bins; one row per signal, side, bin "
        "and day.",
    ),
    as_table(
        "consensus_1h",
        "signals.consensus",
        "What regime, futures score, confluence and momentum say together, one row per symbol and hour. A "
        "description, no advice.",
    ),
    as_table(
        "paper_strategies",
        "signals.strategies",
        "Rules that are followed on paper and what they came to, one row per strategy and day. The past of "
        "rules, no promise; no order is ever placed.",
    ),
    as_table(
        "paper_intents",
        "signals.trade_intents",
        "Each change of a position that a strategy decided at the end of an hour, within all limits; what "
        "became of it is in paper_executions.",
    ),
    as_table(
        "paper_positions",
        "signals.positions",
        "What each strategy holds on paper, one row per strategy, symbol and hour.",
    ),
    as_table(
        "paper_executions",
        "signals.trade_executions",
        "What each paper order met: size, mean price, slippage, fee, and whether by a book or assumed.",
    ),
    as_table(
        "paper_equity",
        "signals.equity",
        "What each strategy is worth on paper, one row per strategy and hour.",
    ),
    Mart(
        "trials",
        "The ledger of trials: every distinct specification whose statistic against later returns was "
        "computed on real history, one row each, dropped ones too.",
        ("trial_id",),
        (
            *columns("trial_id", "trial_family", "trial_kind", "trial_spec", "trial_origin"),
            *columns("headline_h", "trial_code_version", "first_run_at"),
            *columns("run_count", "dropped_reason"),
        ),
        query="select t.trial_id, t.trial_family, t.trial_kind, t.trial_spec, t.trial_origin, "
        "t.headline_h, t.trial_code_version, t.first_run_at, t.run_count, t.dropped_reason "
        "from {signals.trials} as t",
        time_column=None,
        why_no_past="each trial says when it was first made; how often it was since is counted up in place",
    ),
)
