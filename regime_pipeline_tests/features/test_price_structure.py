from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.fields.features import STRUCTURE_EVENTS
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.price_structure import price_structure
from regime_pipeline.windows import HOUR, Grid, hours_between, utc
from regime_pipeline_tests.synthetic import filled, long, same_bytes

END = utc("2024-06-10T12:00")
BTC = ("BTC/USDT",)


def quiet(count: int = 120) -> list[list[float]]:
    """Bars of range 2 around 100 without a pivot: each reaches as far as the one before."""
    return [[100.0, 101.0, 99.0, 100.0] for _ in range(count)]


def candles(bars: list[list[float]] | np.ndarray) -> pd.DataFrame:
    values = np.asarray(bars, dtype="float64")
    hours = hours_between(END - len(values) * HOUR, END)
    columns = dict(zip(("open", "high", "low", "close"), values.T, strict=True))
    seen = np.where(np.isfinite(values[:, 0]), 1.0, np.nan)
    return filled("market.candles_1h", long(BTC, hours, market="perp", source_tier=seen, **columns))


def last(bars: list[list[float]] | np.ndarray, rows: int = 1) -> pd.DataFrame:
    out = price_structure(candles(bars), grid=Grid(END - rows * HOUR, END, BTC))
    validate(out, table("features.price_structure"))
    assert len(out) == rows
    return out


def upside_down(bars: list[list[float]]) -> list[list[float]]:
    return [[200 - o, 200 - low, 200 - h, 200 - c] for o, h, low, c in bars]


RISE = [100.0, 103.0, 99.5, 100.5]
"""Its high is the pivot."""
CALM = [100.5, 101.0, 99.5, 100.0]
FALL = [100.5, 101.0, 99.0, 99.5]
"""The last falling bar before the break."""
BREAK = [100.0, 105.0, 100.0, 104.5]
BROKEN = [*quiet(), RISE, CALM, CALM, FALL, BREAK]
CASES = {
    "change_of_character": BROKEN,
    "order_block": BROKEN,
    "order_block_touch": [*BROKEN, [104.0, 104.5, 100.9, 103.0]],
    "fair_value_gap": [*quiet(), [100, 101, 99, 100.5], [100.5, 103, 100.5, 103], [103, 104, 102, 103.5]],
    "liquidity_sweep": [*quiet(), [100, 101, 95, 100], CALM, CALM, CALM, [100, 100.5, 94, 99.8]],
    "engulfing": [*quiet(), [100.5, 101, 99.4, 99.5], [99.4, 101, 99.3, 100.8]],
    "hammer": [*quiet(110), *[[100 - k, 100.5 - k, 98.5 - k, 99 - k] for k in range(9)],
               [91, 91.6, 87, 91.5]],
    "doji": [*quiet(110), *[[100 - k, 100.5 - k, 98.5 - k, 99 - k] for k in range(9)],
             [91, 92.5, 89.5, 91.1]],
    "three_soldiers": [*quiet(), [99, 100.2, 99, 100], [100, 101.2, 99.9, 101], [101, 102.2, 101, 102]],
    "inside_break": [*quiet(), [100, 103, 97, 100], [100, 101, 99, 100], [100, 103.6, 99.5, 103.5]],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_form_is_seen_rising_and_upside_down_falling(name: str) -> None:
    assert last(CASES[name]).iloc[0][name] == 1
    assert last(upside_down(CASES[name])).iloc[0][name] == -1


def test_a_second_break_to_the_same_side_is_one_of_structure() -> None:
    calm = [[104, 104.6, 103.4, 104.2]] * 3
    again = [*BROKEN, [104.5, 107, 104, 105], *calm, [104.2, 108, 104, 107.5]]
    row = last(again).iloc[0]
    assert (row["break_of_structure"], row["change_of_character"]) == (1, 0)
    assert row["pivot_high"] == 107


def test_a_break_happens_once_and_equal_highs_give_no_pivot() -> None:
    assert last([*BROKEN, [104.5, 106, 104, 105.5]]).iloc[0]["change_of_character"] == 0
    equal = [*quiet(), RISE, RISE, CALM, CALM, FALL, BREAK]
    row = last(equal).iloc[0]
    assert row["change_of_character"] == 0 and pd.isna(row["pivot_high"])


def test_the_bar_that_confirms_a_pivot_cannot_break_it() -> None:
    early = [*quiet(), RISE, CALM, CALM, [100.0, 102.9, 100.0, 102.9]]
    assert last(early).iloc[0]["pivot_high"] == 103
    assert last([*quiet(), RISE, CALM, CALM, BREAK]).iloc[0]["change_of_character"] == 0


def test_a_zone_ends_with_a_close_below_it() -> None:
    row = last(BROKEN).iloc[0]
    assert (row["bullish_block_low"], row["bullish_block_high"]) == (99.0, 101.0)
    gone = last([*BROKEN, [104, 104.5, 98, 98.5]]).iloc[0]
    assert pd.isna(gone["bullish_block_low"]) and gone["order_block_touch"] == 0


def test_rows_never_depend_on_where_the_computation_began_nor_on_the_future() -> None:
    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(rng.standard_t(4, 760) * 0.006))
    open_ = np.roll(close, 1)
    open_[0] = close[0]
    high = np.maximum(open_, close) * np.exp(rng.exponential(0.003, 760))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.003, 760))
    frame = candles(np.column_stack([open_, high, low, close]))
    frame.loc[[300, 700], ["open", "high", "low", "close", "source_tier"]] = None
    grid = Grid(END - 150 * HOUR, END, BTC)
    whole = price_structure(frame, grid=grid)
    assert (whole[list(STRUCTURE_EVENTS)].abs().sum() > 0).sum() >= 10
    cut = END - 60 * HOUR
    reach = reach_of(price_structure, "market.candles_1h")
    late = price_structure(frame[frame["ts"] >= cut - reach], grid=Grid(cut, END, BTC))
    same_bytes(late, whole[whole["ts"] >= cut])
    early = price_structure(frame[frame["ts"] < cut], grid=Grid(grid.start, cut, BTC))
    same_bytes(early, whole[whole["ts"] < cut])


def test_a_lost_bar_is_null_and_a_young_coin_waits_for_its_ranges() -> None:
    bars = np.array(quiet(600))
    bars[-1] = np.nan
    row = last(bars).iloc[0]
    assert (row["status"], row["reason"]) == ("missing", "no_observation")
    assert pd.isna(row["doji"])
    young = last(quiet(80)).iloc[0]
    assert (young["status"], young["reason"]) == (
        "insufficient_history",
        "fewer_than_90_of_100_bars",
    )
    assert last(quiet(600)).iloc[0]["status"] == "ok"
