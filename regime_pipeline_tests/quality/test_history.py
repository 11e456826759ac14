"""What the checks say about recorded markets: nothing is withheld that is right, every known oddity is found.

The recordings hold three series of eight coins for 2023 and 2024, and two months of derivatives of
three coins with the crash of 2024-08-05 in them. Rows count as stored two minutes after they closed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.quality.evaluate import COLUMNS, withheld
from regime_pipeline.quality.model import BLOCK, WHOLE_TABLE
from regime_pipeline.settings import QualityParams
from regime_pipeline.simulator.recorded import ParquetTape
from regime_pipeline.simulator.series import Series, canonical
from regime_pipeline.windows import Window, utc
from regime_pipeline_tests.quality.chunks import as_read, whole_and_by_day
from regime_pipeline_tests.quality.worlds import failed, judged

pytestmark = [pytest.mark.history, pytest.mark.xdist_group("quality-history")]

YEAR = Window(utc("2024-01-01"), utc("2025-01-01"))
RECORDED = Window(utc("2024-06-20"), utc("2024-08-19"))
"""Whole days for which the derivatives are recorded."""
SERIES = (
    ("binance", "binance", "spot", 1),
    ("binance_futures", "binance", "perp", 1),
    ("okx", "okx", "perp", 2),
)
HOUR = pd.Timedelta(hours=1)
Tables = dict[str, pd.DataFrame]


def rows(found: Series | None, names: dict[str, str], **fixed: object) -> pd.DataFrame:
    if found is None:
        return pd.DataFrame()
    stamps = pd.DatetimeIndex(found.ts.astype("datetime64[ms]"), tz="UTC").as_unit("us")
    return pd.DataFrame(
        {"ts": stamps, **{ours: getattr(found, theirs) for ours, theirs in names.items()}, **fixed}
    )


def stored(name: str, parts: list[pd.DataFrame], length: pd.Timedelta = HOUR) -> pd.DataFrame:
    frame = pd.concat([p for p in parts if len(p)], ignore_index=True)
    arrived = (frame["ts"] + length + pd.Timedelta(minutes=2)).dt.as_unit("us")
    frame = frame.assign(ingested_at=arrived, payload_id=np.arange(len(frame)).astype("str"))
    return frame[list(COLUMNS[name])]


def orders(path: Path) -> pd.DataFrame:
    """Single closures; a SELL order closes a long."""
    told = pd.read_parquet(path)
    told = told.assign(symbol=[canonical(s) for s in told["symbol"]])
    told = told[told["symbol"].notna()]
    return pd.DataFrame(
        {
            "ts": told["ts"].dt.as_unit("us"), "symbol": told["symbol"],
            "position_side": told["side"].map({"SELL": "long", "BUY": "short"}),
            "price": told["price"], "quantity_base": told["filled_qty"],
            "liquidation_usd": told["usd"],
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(market_history: Path) -> Tables:
    tape = ParquetTape(market_history)
    perp = {"source": "binance_futures", "venue": "binance", "market": "perp", "source_tier": 1}
    candles = [
        rows(
            tape.candles(venue, market, symbol),
            {"close": "close", "volume_base": "volume_base"},
            source=source, venue=venue, market=market, symbol=symbol, timeframe="1h",
            source_tier=tier,
        )
        for source, venue, market, tier in SERIES
        for symbol in tape.listed(venue, market)
    ]  # fmt: skip

    def each(series, names: dict[str, str], **fixed: object) -> list[pd.DataFrame]:
        return [rows(series("binance", s), names, symbol=s, **perp, **fixed) for s in tape.symbols]

    def shares(venue: str, symbol: str):
        return tape.positioning(venue, symbol, "global_account")

    sides = {"long_liquidations_usd": "long_usd", "short_liquidations_usd": "short_usd"}
    closed = each(tape.liquidations, sides, timeframe="1h")
    return {
        "raw.candles": stored("raw.candles", candles),
        "raw.funding_rates": stored(
            "raw.funding_rates",
            each(tape.funding, {"funding_rate": "rate"}, interval_hours=pd.NA),
            0 * HOUR,
        ),
        "raw.open_interest": stored(
            "raw.open_interest", each(tape.open_interest, {"open_interest_usd": "close_usd"})
        ),
        "raw.positioning": stored(
            "raw.positioning", each(shares, {}, metric="global_account_long_frac")
        ),
        "raw.liquidations": stored("raw.liquidations", closed),
        "raw.liquidation_events": stored(
            "raw.liquidation_events",
            [orders(market_history / "liquidation_events_binance.parquet").assign(**perp)],
            0 * HOUR,
        ),
    }


@pytest.fixture(scope="module")
def year(recorded: Tables) -> pd.DataFrame:
    return judged(dict(as_read(recorded, YEAR).tables), window=YEAR)


def series_of(checks: pd.DataFrame, check_id: str) -> pd.DataFrame:
    """Failing series by day."""
    return checks[
        (checks["check_id"] == check_id)
        & (checks["check_outcome"] == "failed")
        & (checks["series"] != WHOLE_TABLE)
    ]


def test_no_recorded_row_of_two_years_is_withheld(recorded: Tables) -> None:
    both = Window(utc("2023-01-01"), YEAR.end)
    assert withheld(recorded, both, QualityParams()).empty


@pytest.mark.slow
def test_every_check_with_something_to_look_at_passes_most_days(year: pd.DataFrame) -> None:
    inside = year[(year["series"] == WHOLE_TABLE) & year["ts"].between(*RECORDED_DAYS)]
    applied = inside[inside["check_outcome"] != "not_applicable"]
    share = (applied["check_outcome"] == "passed").groupby(applied["check_id"]).mean()
    assert set(share.index) == {
        *("DQ01", "DQ02", "DQ03", "DQ04", "DQ05", "DQ06", "DQ07", "DQ08"),
        *("DQ10", "DQ11", "DQ13", "DQ14", "DQ15"),
    }
    assert share.min() > 0.95


RECORDED_DAYS = (pd.Timestamp(RECORDED.start), pd.Timestamp(RECORDED.end) - pd.Timedelta(days=1))


@pytest.mark.slow
def test_a_block_of_2024_is_a_recording_that_ended_or_lost_an_hour_in_six(
    year: pd.DataFrame,
) -> None:
    """Crashes of a fifth in an hour, halved volumes and thin nights are no errors, and no BLOCK."""
    blocks = year[(year["check_severity"] == BLOCK) & (year["check_outcome"] == "failed")]
    blocks = blocks[blocks["series"] != WHOLE_TABLE]
    assert set(blocks["check_id"]) == {"DQ03", "DQ15"}
    derivatives = blocks["table_name"] != "raw.funding_rates"
    assert set(blocks.loc[derivatives, "symbol"]) == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
    # four shares of long accounts are missing on one day; the rest is after the end
    early = blocks[derivatives & (blocks["ts"] < pd.Timestamp(RECORDED.end))]
    assert early[["check_id", "table_name", "symbol"]].to_numpy().tolist() == [
        ["DQ03", "raw.positioning", "SOL/USDT"]
    ]
    assert early["ts"].tolist() == [pd.Timestamp("2024-07-19", tz="UTC")]
    prints = blocks[~derivatives]
    assert set(prints["symbol"]) == {"BNB/USDT"}  # whose prints end on 2024-12-04
    assert prints["ts"].min() == pd.Timestamp("2024-12-05", tz="UTC")


def test_lost_hours_of_the_recordings_are_named(year: pd.DataFrame, recorded: Tables) -> None:
    lost = series_of(year, "DQ03")
    lost = lost[lost["ts"].between(*RECORDED_DAYS)]
    assert {(t, s) for t, s in zip(lost["table_name"], lost["symbol"], strict=True)} == {
        ("raw.open_interest", "SOL/USDT"),
        *(("raw.positioning", s) for s in ("BTC/USDT", "ETH/USDT", "SOL/USDT")),
    }
    assert set(lost["ts"].dt.date.astype(str)) == {"2024-07-19"}
    march = Window(utc("2023-03-20"), utc("2023-03-28"))
    halt = series_of(judged(dict(as_read(recorded, march).tables), window=march), "DQ03")
    assert len(halt) == 8 and set(halt["market"]) == {"spot"}  # a halt of the venue, for all coins
    assert set(halt["ts"].dt.date.astype(str)) == {"2023-03-24"}
    assert set(halt["measured_value"]) == {23 / 24}


def test_two_venues_parted_in_one_hour_of_2024(year: pd.DataFrame) -> None:
    apart = series_of(year, "DQ07")
    assert sorted(apart["symbol"]) == ["ETH/USDT", "LINK/USDT"]
    assert all("2024-10-28T21:00:00Z" in keys for keys in apart["failing_keys"])


def test_levels_and_distributions_warn_on_few_days_of_a_year(year: pd.DataFrame) -> None:
    told = series_of(year, "DQ13")
    assert set(told["table_name"]) == {"raw.candles"}
    assert 0 < len(told) <= 40  # of 366 days x 16 series
    crash = told[told["ts"] == pd.Timestamp("2024-08-05", tz="UTC")]
    assert crash["failing_keys"].str.contains("level").all() and len(crash)


def test_recorded_closures_add_up_and_one_that_does_not_is_found(
    year: pd.DataFrame, recorded: Tables
) -> None:
    checks = year[(year["check_id"] == "DQ11") & (year["series"] == WHOLE_TABLE)]
    events = checks[checks["table_name"] == "raw.liquidation_events"]
    assert events.loc[events["n_judged"] > 0, "check_outcome"].tolist() == ["passed", "passed"]
    orders = recorded["raw.liquidation_events"]
    wrong = orders["liquidation_usd"].where(orders.index != 100, orders["liquidation_usd"] * 1.02)
    tables = {**recorded, "raw.liquidation_events": orders.assign(liquidation_usd=wrong)}
    days = Window(utc("2024-08-17"), utc("2024-08-19"))
    found = failed(judged(dict(as_read(tables, days).tables), window=days))
    assert found["DQ11", "raw.liquidation_events"]["n_failed"].tolist() == [1]


def test_a_decimal_point_that_slips_is_withheld_in_every_series_and_the_crash_is_not(
    recorded: Tables,
) -> None:
    """The worst hour of the year, 2024-08-05 01:00, with one wrong close in each series in turn."""
    at = pd.Timestamp("2024-08-05 01:00", tz="UTC")
    window = Window(utc("2024-08-05"), utc("2024-08-06"))
    rows_of = recorded["raw.candles"]
    near = rows_of[rows_of["ts"].between(at - 32 * pd.Timedelta(days=1), at + HOUR * 22)]
    for source in ("binance", "binance_futures", "okx"):
        hit = (near["source"] == source) & (near["symbol"] == "SOL/USDT") & (near["ts"] == at)
        wrong = near.assign(close=near["close"].where(~hit, near["close"] / 10))
        held = withheld({"raw.candles": wrong}, window, QualityParams())
        assert held[["check_id", "source", "symbol", "ts"]].to_numpy().tolist() == [
            ["DQ05", source, "SOL/USDT", at]
        ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "days",
    [("2024-02-15", "2024-02-20"), ("2024-08-03", "2024-08-07"), ("2024-08-17", "2024-08-23")],
)
def test_verdicts_about_recorded_days_are_the_same_alone_and_in_a_range(
    recorded: Tables, days: tuple[str, str]
) -> None:
    window = Window(utc(days[0]), utc(days[1]))
    whole, parts = whole_and_by_day(recorded, window, window.end)
    pd.testing.assert_frame_equal(whole, parts)
