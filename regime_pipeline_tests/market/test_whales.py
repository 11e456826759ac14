"""Flows of large holders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_pipeline.catalogue.frames import conform, empty, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.whales import whale_flow_1h
from regime_pipeline.windows import Grid, Window, utc

SYMBOLS = ("BTC/USDT", "ETH/USDT")
START = pd.Timestamp("2024-01-02", tz="UTC")


def grid(hours: int = 24, start: int = 0) -> Grid:
    first = START + pd.Timedelta(hours=start)
    return Grid.of(Window(utc(str(first)), utc(str(START + pd.Timedelta(hours=hours)))), SYMBOLS)


def move(
    hour: float, usd: float, ends: str = "unknown>exchange", coin: str = "BTC", **more: object
) -> dict[str, object]:
    at = (START + pd.Timedelta(hours=hour)).round("s")
    sender, receiver = ends.split(">")
    name = f"{hour}{usd}{ends}{coin}"
    return {
        "source": "whale_alert", "blockchain": "b", "transaction_hash": name, "transfer_id": "1",
        "ts": at, "coin": coin, "transaction_type": "transfer", "transfer_amount": 1.0,
        "transfer_usd": usd, "from_address": None, "from_owner": None, "from_owner_type": sender,
        "to_address": None, "to_owner": None, "to_owner_type": receiver, "listing_complete": True,
        "source_tier": 1, "available_at": at + pd.Timedelta(minutes=10), "pit_grade": "assumed",
        **more,
    }  # fmt: skip


def watching(hours: range) -> list[dict[str, object]]:
    """Transfers that count nowhere but show that the provider was listing."""
    return [move(h + 0.2, 1e6, "unknown>unknown", "DOGE") for h in hours]


def raw(rows: list[dict[str, object]]) -> pd.DataFrame:
    which = table("raw.whale_transfers")
    return conform(pd.DataFrame(rows), which) if rows else empty(which)


def flow(rows: list[dict[str, object]], of: Grid | None = None) -> pd.DataFrame:
    frame = whale_flow_1h(raw(rows), grid=of or grid(), source="whale_alert")
    which = table("market.whale_flow_1h")
    validate(frame, which)
    assert list(frame.columns) == list(which.content)
    return frame


def last(rows: list[dict[str, object]], symbol: str = "BTC/USDT") -> pd.Series:
    frame = flow(rows)
    return frame[frame["symbol"] == symbol].iloc[-1]


ALL_DAY = watching(range(24))


def test_inflow_less_outflow_is_the_net_flow() -> None:
    found = last(
        [*ALL_DAY, move(3, 5e6), move(4, 2e6, "exchange>unknown"), move(5, 1e6, coin="ETH")]
    )
    assert list(found[["inflow_usd", "outflow_usd", "net_flow_usd"]]) == [5e6, 2e6, 3e6]
    assert (found["transfer_count"], found["status"], found["coverage"]) == (2, "ok", 1.0)


def test_moves_between_exchanges_and_mints_count_nowhere() -> None:
    rows = [
        move(3, 5e6, "exchange>exchange"),
        move(3, 6e6, "unknown>unknown"),
        move(3, 7e6, "other>exchange", transaction_type="mint"),
    ]
    found = last([*ALL_DAY, *rows])
    assert (found["net_flow_usd"], found["transfer_count"], found["status"]) == (0, 0, "ok")


def test_stablecoins_have_a_column_of_their_own_with_the_sign_reversed() -> None:
    rows = [move(3, 9e6, coin="USDT"), move(4, 4e6, "exchange>unknown", coin="USDC")]
    for symbol in SYMBOLS:
        found = last([*ALL_DAY, *rows], symbol)
        assert found["stablecoin_net_flow_usd"] == -5e6  # buying power came in
        assert (found["net_flow_usd"], found["stablecoin_transfer_count"]) == (0, 2)


def test_wrapped_coins_count_as_the_coin() -> None:
    assert last([*ALL_DAY, move(3, 5e6, coin="WETH")], "ETH/USDT")["inflow_usd"] == 5e6


def test_flow_leaves_the_window_after_24_hours() -> None:
    rows = [*watching(range(-24, 48)), move(3, 5e6)]
    frame = flow(rows, grid(48))
    btc = frame[frame["symbol"] == "BTC/USDT"]["inflow_usd"].to_numpy()
    assert btc[2:4].tolist() == [0, 5e6]
    assert btc[26:28].tolist() == [5e6, 0]


def test_transfer_counts_from_the_hour_in_which_it_could_be_known() -> None:
    """Two minutes before the hour ends it was not listed yet."""
    frame = flow([*watching(range(-24, 24)), move(3 + 58 / 60, 5e6)])
    assert frame[frame["symbol"] == "BTC/USDT"]["inflow_usd"].to_numpy()[3:5].tolist() == [0, 5e6]


def test_listing_that_was_cut_short_makes_its_day_partial() -> None:
    found = last([*ALL_DAY, move(3, 5e6, listing_complete=False)])
    assert (found["status"], found["reason"]) == ("partial", "truncated_listing")
    assert found["inflow_usd"] == 5e6


def test_nobody_watching_is_null_and_not_zero() -> None:
    found = last([])
    assert (found["status"], found["reason"], found["coverage"]) == ("missing", "not_observed", 0)
    assert np.isnan(found["net_flow_usd"])
    few = last(watching(range(5, 24)))
    assert (few["status"], few["reason"]) == ("missing", "few_hours_observed")
    assert np.isnan(few["net_flow_usd"]) and pd.isna(few["transfer_count"])


def test_up_to_four_lost_hours_are_partial_and_scaled_for() -> None:
    found = last([*watching(range(4, 24)), move(5, 5e6), move(6, 2e6, "exchange>unknown")])
    assert (found["status"], found["reason"]) == ("partial", "hours_not_observed")
    assert found[["inflow_usd", "outflow_usd", "net_flow_usd"]].tolist() == pytest.approx(
        [6e6, 2.4e6, 3.6e6]
    )
    assert (found["transfer_count"], found["coverage"]) == (2, pytest.approx(20 / 24))


def test_another_provider_is_not_mixed_in() -> None:
    assert last([*ALL_DAY, move(3, 5e6, source="coinglass")])["inflow_usd"] == 0


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(cut=st.integers(1, 35), seed=st.integers(0, 99))
def test_rows_depend_neither_on_order_nor_on_where_the_computation_began(
    cut: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        move(float(rng.uniform(-24, 36)), float(rng.uniform(1e6, 9e7)),
             str(rng.choice(["unknown>exchange", "exchange>unknown", "exchange>exchange"])),
             str(rng.choice(["BTC", "ETH", "USDT"])))
        for _ in range(60)
    ]  # fmt: skip
    whole = flow(rows, grid(36))
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    parts = pd.concat([flow(shuffled, grid(cut)), flow(shuffled, grid(36, cut))])
    pd.testing.assert_frame_equal(whole, parts.sort_values(["symbol", "ts"], ignore_index=True))
