"""No row knows what comes after it (docs/faults.md, 46): garbage after t changes no byte decided by t."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.windows import DAY, HOUR, Window, floor_day
from regime_pipeline_tests.proofs import base, chain, world

pytestmark = [
    pytest.mark.xdist_group("proofs"),
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # logs and roots of garbage
]

TRIPLES = 200
INSTANTS, PARTS = 48, 4
EDGES = (
    "2024-09-28 16:00",  # a print settles, a 4h bar closes
    "2024-09-29 13:00",
    "2024-09-30 00:00",  # the week closes, a print settles; the index of the day comes out at 00:15
    "2024-10-02 00:00",  # inside a break of correlations
    "2024-10-02 15:30",  # off the grid: the newest decided row is that of 14:00
)
"""Instants at which something happens at exactly t, and one within an hour."""

NEVER_FILLED = {
    "correlation.correlation_matrices": {"corr_clipped"},
    "signals.passports": {"icir"},
    "signals.execution_quality": {"slippage_1m_bps"},
    "signals.trade_executions": {"book_payload_id"},
    "signals.model_predictions": {
        *("p_up", "interval_50_frac", "interval_80_frac", "interval_90_frac", "interval_95_frac"),
    },
    "market.derivatives_1d": set(table("market.derivatives_1d").content) - {"reason"},
}
"""Columns that are null in this world: under 20 coins, under 5, models of no skill, factors made of
hours, books that hold no
million and came in no reply."""


def instants(count: int, seed: int) -> list[pd.Timestamp]:
    """The edges, and random hours of the last days; some just after an hour that nobody observed."""
    rng = np.random.default_rng(seed)
    days = (world.END - base.LAST_DAYS.start) // HOUR
    drawn = base.LAST_DAYS.start + pd.to_timedelta(
        rng.choice(np.arange(72, days - 6), count, replace=False), unit="h"
    )
    return [pd.Timestamp(t, tz="UTC") for t in EDGES] + list(drawn[len(EDGES) :])


def triples(times: list[pd.Timestamp], seed: int) -> list[tuple[str, str, pd.Timestamp]]:
    """Random (table, symbol, t), every table and every instant among them."""
    rng = np.random.default_rng(seed)
    tables = chain.derived_tables()
    return [
        (
            tables[i % len(tables)],
            str(rng.choice(world.SYMBOLS)),
            times[(i // len(tables) + i) % len(times)],
        )
        for i in range(TRIPLES)
    ]


def of_symbol(name: str, rows: pd.DataFrame, symbol: str) -> pd.DataFrame:
    columns = [c for c in table(name).symbol_columns if c in rows]
    return rows[(rows[columns] == symbol).any(axis=1)] if columns else rows


def test_the_world_holds_every_raw_table_that_anything_is_made_of() -> None:
    assert set(world.clean()) == set(chain.raw_inputs()) == set(world.AFTER)


@pytest.mark.slow
def test_the_world_fills_every_column_of_every_table_in_the_days_looked_at() -> None:
    frames = base.computed()
    for name in chain.derived_tables():
        rows = frames[name]
        rows = rows[rows["ts"] >= pd.Timestamp(base.LAST_DAYS.start)]
        empty = {
            c
            for c in table(name).content
            if not (c == "reason" or c.endswith("_reason")) and not rows[c].notna().any()
        }
        assert empty == NEVER_FILLED.get(name, set()), name


@pytest.mark.slow
@pytest.mark.parametrize("seed", [pytest.param(k, id=t) for k, t in enumerate(EDGES)])
def test_fault_46_garbage_after_t_changes_no_byte_decided_by_t(seed: int) -> None:
    times = instants(5, seed=1)
    drawn = triples(times, seed=2)
    assert {name for name, _, _ in drawn} == set(chain.derived_tables())
    assert {t for _, _, t in drawn} == set(times)
    assert {symbol for _, symbol, _ in drawn} == set(world.SYMBOLS)
    t = times[seed]
    found = base.seen_of_the_future(t, seed=seed)
    for name, symbol, at in drawn:
        hit = [s for s in found if s.table == name and len(of_symbol(name, s.rows, symbol))]
        assert at != t or not hit, f"{name}, {symbol}, {t}: {[str(s) for s in hit]}"
    # the triples are a sample; nothing else may change either
    assert not found, f"{t}: {[str(s) for s in found]}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [pytest.param(k, marks=pytest.mark.xdist_group(f"proofs-{k}")) for k in range(PARTS)]
)
def test_fault_46_no_table_and_no_symbol_knows_what_comes_after_any_of_48_instants(
    part: int,
) -> None:
    """Every table of every symbol at every instant: some 5 000 triples, and no fewer than 200."""
    rng = np.random.default_rng(100 + part)
    hours = np.arange(72, (world.END - base.LAST_DAYS.start) // HOUR - 6)
    instants_of_part = rng.choice(hours, INSTANTS // PARTS, replace=False)
    assert len(chain.derived_tables()) * len(world.SYMBOLS) * INSTANTS > TRIPLES
    for hour in instants_of_part:
        t = pd.Timestamp(base.LAST_DAYS.start + int(hour) * HOUR)
        day = floor_day(t.to_pydatetime())
        found = base.seen_of_the_future(
            t, seed=int(hour), window=Window(day - DAY, min(day + 2 * DAY, world.END))
        )
        assert not found, f"{t}: {[str(s) for s in found]}"
