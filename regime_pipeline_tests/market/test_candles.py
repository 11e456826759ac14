from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import bar_floor, candles_1h, resample
from regime_pipeline.numerics.panel import HOUR_US, grid_start_us
from regime_pipeline.windows import Grid

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
VENUES = {"spot": {"BTC/USDT": "binance", "ETH/USDT": "binance_us"}}


def raw_row(ts: datetime, symbol: str = "BTC/USDT", **other: object) -> dict[str, object]:
    row: dict[str, object] = {
        "source": "binance",
        "venue": "binance",
        "market": "spot",
        "symbol": symbol,
        "timeframe": "1h",
        "ts": ts,
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume_base": 5.0,
        "volume_quote": 55.0,
        "taker_buy_base": 2.0,
        "taker_buy_quote": 22.0,
        "trade_count": 7,
        "source_tier": 1,
    }
    return row | other


def raw_frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows if rows else [raw_row(MONDAY)]).iloc[: len(rows)]


def grid(hours: int, symbols: tuple[str, ...] = ("BTC/USDT",), start: datetime = MONDAY) -> Grid:
    return Grid(start, start + timedelta(hours=hours), symbols)


def test_every_hour_of_every_symbol_is_a_row_and_an_unobserved_one_is_null() -> None:
    raw = raw_frame([raw_row(MONDAY), raw_row(MONDAY + timedelta(hours=2))])
    out = candles_1h(raw, grid=grid(3, ("BTC/USDT", "ETH/USDT")), venues=VENUES)
    assert len(out) == 6
    assert out["status"].tolist() == ["ok", "missing", "ok", "missing", "missing", "missing"]
    hole = out.iloc[1]
    assert hole["reason"] == "no_observation" and hole["venue"] == "binance"
    values = ["open", "high", "low", "close", "volume_base", "volume_quote", "taker_buy_base"]
    assert hole[values].isna().all() and pd.isna(hole["trade_count"])
    assert pd.isna(hole["source_tier"]) and pd.isna(out.iloc[0]["reason"])
    validate(out, table("market.candles_1h"))


def delisted(alive: int, dead: int, **last: object) -> pd.DataFrame:
    """Raw rows of a contract that trades, then goes on answering with flat bars, then perhaps trades."""
    moving = [raw_row(MONDAY + timedelta(hours=h), close=11.0 + h % 3 / 10) for h in range(alive)]
    flat = {"open": 11.0, "high": 11.0, "low": 11.0, "close": 11.0, "volume_base": 0.0}
    still = [raw_row(MONDAY + timedelta(hours=alive + h), **flat) for h in range(dead)]
    again = [raw_row(MONDAY + timedelta(hours=alive + dead), **flat | last)] if last else []
    return raw_frame(moving + still + again)


@pytest.mark.slow
def test_a_day_without_a_trade_or_a_move_ends_a_series_until_it_trades_again() -> None:
    raw = delisted(30, 100, volume_base=0.5)
    out = candles_1h(raw, grid=grid(131), venues=VENUES)
    assert out["status"].tolist() == ["ok"] * 53 + ["not_applicable"] * 77 + ["ok"]
    dead = out[out["status"] == "not_applicable"]
    assert dead["reason"].eq("halted").all() and dead["source_tier"].eq(1).all()
    assert dead[["open", "close", "volume_base", "trade_count"]].isna().all(axis=None)
    validate(out, table("market.candles_1h"))
    hours = [
        candles_1h(raw, grid=grid(1, start=MONDAY + timedelta(hours=h)), venues=VENUES)
        for h in range(50, 131)
    ]
    pd.testing.assert_frame_equal(
        pd.concat(hours, ignore_index=True), out.iloc[50:].reset_index(drop=True)
    )


@pytest.mark.parametrize("change", [{"high": 11.5}, {"close": 11.1}, {"volume_base": np.nan}])
def test_a_move_or_an_untold_volume_keeps_a_quiet_series_alive(change: dict) -> None:
    raw = delisted(0, 40)
    for name, value in change.items():
        raw.loc[30, name] = value
    out = candles_1h(raw, grid=grid(40), venues=VENUES)
    assert out["reason"].eq("halted").tolist() == [False] * 19 + [True] * 11 + [False] * 10


def test_hours_that_nobody_saw_are_no_evidence_of_a_halt() -> None:
    raw = delisted(0, 60).drop(index=[30, 31, 32, 33, 40])
    out = candles_1h(raw, grid=grid(60), venues=VENUES)
    assert out["reason"].iloc[30] == "no_observation"
    assert out["reason"].iloc[34] == "halted"  # 20 of 24 were seen
    assert out["reason"].iloc[41] != "halted"  # 19 were


def test_only_the_configured_venue_market_and_timeframe_count() -> None:
    at = MONDAY
    raw = raw_frame(
        [
            raw_row(at, venue="okx", source="okx", close=1.0),
            raw_row(at, market="perp", close=2.0),
            raw_row(at, timeframe="4h", close=3.0),
            raw_row(at, "ETH/USDT", close=4.0),  # configured elsewhere
            raw_row(at, "ETH/USDT", venue="binance_us", source="binance_us", close=10.5),
        ]
    )
    out = candles_1h(raw, grid=grid(1, ("BTC/USDT", "ETH/USDT")), venues=VENUES)
    assert out["status"].tolist() == ["missing", "ok"]
    assert out["close"].tolist()[1] == 10.5
    assert out["venue"].tolist() == ["binance", "binance_us"]


def test_the_better_tier_of_one_venue_stands_whatever_the_order_of_rows() -> None:
    rows = [
        raw_row(MONDAY, source="archive", source_tier=3, close=9.5),
        raw_row(MONDAY, source="binance", source_tier=1, close=10.5),
        raw_row(MONDAY, source="mirror", source_tier=1, close=11.5),
    ]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        out = candles_1h(raw_frame([rows[i] for i in order]), grid=grid(1), venues=VENUES)
        assert out["close"].tolist() == [10.5] and out["source_tier"].tolist() == [1]


def test_markets_stand_side_by_side_and_zero_volume_is_data() -> None:
    raw = raw_frame(
        [
            raw_row(MONDAY, volume_base=0.0),
            raw_row(MONDAY, market="perp", volume_base=np.nan),
        ]
    )
    venues = {"spot": {"BTC/USDT": "binance"}, "perp": {"BTC/USDT": "binance"}}
    out = candles_1h(raw, grid=grid(1), venues=venues)
    assert out["market"].tolist() == ["perp", "spot"]
    assert out["status"].tolist() == ["partial", "ok"]
    assert out["volume_base"].tolist()[1] == 0.0 and out["reason"].tolist()[0] == "no_volume"


def test_a_symbol_without_a_venue_is_not_applicable() -> None:
    out = candles_1h(raw_frame([raw_row(MONDAY)]), grid=grid(1), venues={"spot": {}})
    assert out["status"].tolist() == ["not_applicable"] and out["close"].isna().all()


def test_no_raw_rows_is_a_grid_of_missing_hours() -> None:
    out = candles_1h(raw_frame([]), grid=grid(5), venues=VENUES)
    assert out["status"].eq("missing").all() and len(out) == 5


def hourly(hours: int, start: datetime = MONDAY, drop: tuple[int, ...] = ()) -> pd.DataFrame:
    rows = []
    for i in range(hours):
        if i not in drop:
            price = 100.0 + i
            rows.append(
                raw_row(
                    start + timedelta(hours=i),
                    open=price,
                    high=price + 2,
                    low=price - 3,
                    close=price + 1,
                    volume_base=float(i + 1),
                )
            )
    return candles_1h(raw_frame(rows), grid=grid(hours, start=start), venues=VENUES)


def test_a_whole_bar_is_first_open_highest_lowest_last_close_and_summed_volume() -> None:
    bars = resample(hourly(24), grid=grid(24))
    four = bars[bars["timeframe"] == "4h"].iloc[1]
    assert four["ts"] == MONDAY + timedelta(hours=7)
    assert four["bar_open"] == MONDAY + timedelta(hours=4)
    assert four[["open", "high", "low", "close"]].tolist() == [104.0, 109.0, 101.0, 108.0]
    assert four["volume_base"] == 5 + 6 + 7 + 8 and four["children"] == 4
    assert four["status"] == "ok" and not four["is_filled"] and four["source_tier"] == 1
    day = bars[bars["timeframe"] == "1d"]
    assert day["ts"].tolist() == [pd.Timestamp(MONDAY + timedelta(hours=23))]
    assert (bars["timeframe"] == "1w").sum() == 0  # not closed inside the grid
    validate(bars, table("market.candles_resampled"))


@pytest.mark.parametrize(
    ("timeframe", "hours", "least"), [("4h", 4, 3), ("1d", 24, 20), ("1w", 168, 152)]
)
def test_a_bar_stands_with_enough_children_and_is_null_with_one_fewer(
    timeframe: str, hours: int, least: int
) -> None:
    gone = hours - least
    enough = resample(hourly(hours, drop=tuple(range(1, 1 + gone))), grid=grid(hours))
    bar = enough[enough["timeframe"] == timeframe].iloc[-1]
    assert bar["status"] == "partial" and bar["children"] == least
    kept = [i + 1.0 for i in range(hours) if not 1 <= i <= gone]
    assert bar["volume_base"] == pytest.approx(sum(kept) * hours / least, rel=1e-14)
    too_few = resample(hourly(hours, drop=tuple(range(1, 2 + gone))), grid=grid(hours))
    bar = too_few[too_few["timeframe"] == timeframe].iloc[-1]
    assert bar["status"] == "missing" and bar["reason"] == "too_few_children"
    assert bar[["open", "high", "low", "close", "volume_base"]].isna().all()
    assert bar["children"] == least - 1 and not bar["is_filled"]


def test_a_missing_last_child_fills_the_close_from_the_last_observed_one() -> None:
    bars = resample(hourly(24, drop=(3, 22, 23)), grid=grid(24))
    four, day = (bars[bars["timeframe"] == t].iloc[0] for t in ("4h", "1d"))
    assert four["is_filled"] and four["close"] == 103.0
    assert day["is_filled"] and day["close"] == 122.0
    middle = resample(hourly(24, drop=(1,)), grid=grid(24))
    assert not middle["is_filled"].any()


def test_a_missing_first_child_opens_with_the_first_observed_one() -> None:
    bars = resample(hourly(24, drop=(0,)), grid=grid(24))
    assert bars[bars["timeframe"] == "1d"].iloc[0]["open"] == 101.0


def test_weeks_start_on_monday() -> None:
    wednesday = MONDAY + timedelta(days=2)
    bars = resample(hourly(24 * 14, start=wednesday), grid=grid(24 * 14, start=wednesday))
    weeks = bars[bars["timeframe"] == "1w"]
    assert weeks["bar_open"].dt.dayofweek.eq(0).all() and weeks["bar_open"].dt.hour.eq(0).all()
    assert weeks["status"].tolist() == ["missing", "ok"]
    assert weeks["ts"].tolist()[1] == pd.Timestamp(MONDAY + timedelta(days=13, hours=23))
    hour = grid_start_us(grid(1, start=wednesday)) // HOUR_US
    assert hour - bar_floor(hour, "1w") == 48


@pytest.mark.slow
def test_a_bar_belongs_to_the_grid_that_holds_its_last_hour() -> None:
    candles = hourly(48)
    whole = resample(candles, grid=grid(48))
    ticks = [resample(candles, grid=grid(1, start=MONDAY + timedelta(hours=i))) for i in range(48)]
    joined = pd.concat([t for t in ticks if len(t)], ignore_index=True)
    joined = joined.sort_values(["market", "symbol", "timeframe", "ts"], ignore_index=True)
    pd.testing.assert_frame_equal(whole, joined, check_exact=True)


def test_sums_do_not_depend_on_how_many_symbols_there_are() -> None:
    rng = np.random.default_rng(0)
    symbols = tuple(f"C{i}/USDT" for i in range(5))
    rows = [
        raw_row(MONDAY + timedelta(hours=h), s, volume_base=float(rng.lognormal(0, 8)))
        for s in symbols
        for h in range(168)
        if rng.random() > 0.02
    ]
    venues = {"spot": dict.fromkeys(symbols, "binance")}
    together = resample(
        candles_1h(raw_frame(rows), grid=grid(168, symbols), venues=venues), grid=grid(168, symbols)
    )
    for symbol in symbols:
        one = (symbol,)
        alone = resample(
            candles_1h(raw_frame(rows), grid=grid(168, one), venues=venues), grid=grid(168, one)
        )
        part = together[together["symbol"] == symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, alone, check_exact=True)


def test_resampling_nothing_is_an_empty_frame_of_the_table() -> None:
    out = resample(hourly(2), grid=grid(2))
    assert len(out) == 0 and list(out.columns) == list(table("market.candles_resampled").content)
