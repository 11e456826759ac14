from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import empty, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.metrics import metrics_1h
from regime_pipeline.windows import DAY, HOUR, Grid, hours_between, utc
from regime_pipeline_tests.synthetic import filled, long, same_bytes

END = utc("2024-06-10T12:00")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
READ = {
    "candles_1h": "market.candles_1h",
    "open_interest": "market.open_interest",
    "liquidations_1h": "market.liquidations_1h",
    "positioning_1h": "market.positioning_1h",
    "order_book_1h": "market.order_book_1h",
    "raw_coin_markets": "raw.coin_markets",
    "raw_funding": "raw.funding_rates",
    "raw_open_interest": "raw.open_interest",
    "raw_candles": "raw.candles",
}


def rows(full_name: str, hours: int, **columns: object) -> pd.DataFrame:
    stamps = hours_between(END - hours * HOUR, END)
    frame = long(SYMBOLS, stamps, **columns)
    return filled(full_name, frame.assign(source_tier=1, pit_grade="observed").reindex(
        columns=[c for c in table(full_name).fields if c in {*frame, "source_tier", "pit_grade"}]
    ))  # fmt: skip


def world(hours: int = 200) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(1)
    shape = (hours, len(SYMBOLS))
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=0))
    coins = 1e4 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=0))
    return {
        "candles_1h": rows(
            "market.candles_1h",
            hours,
            market="perp",
            close=close,
            volume_quote=rng.lognormal(10, 1, shape),
        ),
        "open_interest": rows(
            "market.open_interest", hours, open_interest_base=coins, open_interest_usd=coins * close
        ),
        "liquidations_1h": rows(
            "market.liquidations_1h",
            hours,
            long_liquidations_usd=rng.lognormal(8, 1, shape),
            short_liquidations_usd=rng.lognormal(8, 1, shape),
            is_lower_bound=False,
        ),
        "positioning_1h": rows("market.positioning_1h", hours, global_account_long_frac=0.716),
        "raw_coin_markets": rows(
            "raw.coin_markets", hours, source="coinglass", market_cap_usd=1e9
        ).assign(available_at=lambda f: f["ts"] + pd.Timedelta(minutes=3)),
    }


def venue(name: str, rate: float, usd: float, volume: float, interval: int) -> dict:
    """Raw rows of one venue: prints of a constant rate, open interest and volume."""
    common = {"venue": name, "market": "perp", "source": name}
    prints = rows("raw.funding_rates", 96, funding_rate=rate, interval_hours=interval, **common)
    return {
        "raw_funding": prints[prints["ts"].dt.hour % interval == 0],
        "raw_open_interest": rows("raw.open_interest", 2, open_interest_usd=usd, **common),
        "raw_candles": rows(
            "raw.candles", 26, timeframe="1h", close=1.0, volume_quote=volume, **common
        ),
    }


def made(given: dict[str, pd.DataFrame], hours: int = 1) -> pd.DataFrame:
    grid = Grid(END - hours * HOUR, END, SYMBOLS)
    frames = {n: given.get(n, empty(table(full))) for n, full in READ.items()}
    out = metrics_1h(**frames, grid=grid)
    validate(out, table("market.metrics_1h"))
    return out


def test_changes_ranges_sums_and_ratios_of_an_hour() -> None:
    given = world()
    row = made(given).iloc[0]
    own = {n: f[f["symbol"] == "BTC/USDT"].set_index("ts") for n, f in given.items()}
    close = own["candles_1h"]["close"]
    for name, hours in {"1h": 1, "24h": 24, "7d": 168}.items():
        expected = close.iloc[-1] / close.iloc[-1 - hours] - 1
        assert row[f"price_change_{name}_frac"] == pytest.approx(expected)
    coins = own["open_interest"]["open_interest_base"].iloc[-25:]
    assert row["open_interest_24h_open_base"] == coins.iloc[0]
    assert row["open_interest_24h_high_base"] == coins.max()
    assert row["open_interest_24h_low_base"] == coins.min()
    forced = own["liquidations_1h"]["long_liquidations_usd"]
    for hours in (1, 4, 12, 24):
        assert row[f"long_liquidations_{hours}h_usd"] == pytest.approx(forced.iloc[-hours:].sum())
    assert row["long_short_ratio_accounts"] == pytest.approx(2.52, abs=0.002)
    assert row["oi_to_market_cap_frac"] == pytest.approx(row["open_interest_usd"] / 1e9)
    volume = own["candles_1h"]["volume_quote"].iloc[-24:].sum()
    assert row["oi_to_volume_frac"] == pytest.approx(row["open_interest_usd"] / volume)
    assert (row["status"], row["reason"]) == ("partial", "no_funding")


def test_changes_under_an_hour_are_those_of_the_book_and_say_why_they_are_not_there() -> None:
    given = world()
    books = rows("market.order_book_1h", 2, market="perp", price_change_5m_frac=0.002)
    books["price_changes_reason"] = "no_snapshot_15m_before,no_snapshot_30m_before"
    row = made(given | {"order_book_1h": books}).iloc[0]
    assert row["price_change_5m_frac"] == 0.002
    assert row["price_changes_reason"] == "no_snapshot_15m_before,no_snapshot_30m_before"
    bare = made(given).iloc[0]
    assert bare[["price_change_5m_frac", "price_change_30m_frac"]].isna().all()
    assert bare["price_changes_reason"] == "no_row"


def test_funding_over_venues_is_weighed_per_eight_hours() -> None:
    parts = [venue("binance", 1e-4, 3e6, 100.0, 8), venue("okx", 2e-4, 1e6, 300.0, 4)]
    given = world() | {
        n: pd.concat([p[n] for p in parts], ignore_index=True)
        for n in ("raw_funding", "raw_open_interest", "raw_candles")
    }
    row = made(given).iloc[0]
    assert row["funding_oi_weighted_8h"] == pytest.approx((3 * 1e-4 + 4e-4) / 4)
    assert row["funding_volume_weighted_8h"] == pytest.approx((1e-4 + 3 * 4e-4) / 4)
    assert row["funding_venues"] == 2
    assert row["status"] == "ok"


def test_a_venue_whose_print_is_overdue_is_no_rate_in_force() -> None:
    given = world() | venue("binance", 1e-4, 1e6, 1.0, 8)
    old = given["raw_funding"]["ts"] < pd.Timestamp(END - 13 * HOUR)
    row = made(given | {"raw_funding": given["raw_funding"][old]}).iloc[0]
    assert pd.isna(row["funding_volume_weighted_8h"]) and pd.isna(row["funding_venues"])
    assert row["reason"] == "no_funding"


def test_lost_hours_make_sums_null_only_beyond_a_sixth() -> None:
    given = world()
    stamps = given["liquidations_1h"]["ts"]
    lost = stamps.isin(pd.DatetimeIndex([END - k * HOUR for k in (2, 3, 4, 5)], tz="UTC"))
    row = made(given | {"liquidations_1h": given["liquidations_1h"][~lost]}).iloc[0]
    assert pd.notna(row["long_liquidations_1h_usd"])
    assert pd.isna(row["long_liquidations_4h_usd"]) and pd.isna(row["long_liquidations_12h_usd"])
    assert row["liquidation_hours_24h"] == 20
    own = given["liquidations_1h"][~lost & stamps.ge(pd.Timestamp(END - DAY))]
    total = own.loc[own["symbol"] == "BTC/USDT", "long_liquidations_usd"].sum()
    assert row["long_liquidations_24h_usd"] == pytest.approx(total * 24 / 20)


def test_an_hour_with_nothing_is_missing_and_names_what_is_not_there() -> None:
    row = made({}).iloc[0]
    assert row["status"] == "missing"
    assert row["reason"] == "no_close,no_open_interest,no_liquidations,no_funding"


def test_a_capitalisation_counts_in_the_hour_in_which_it_was_seen() -> None:
    given = world()
    late = given["raw_coin_markets"].assign(
        available_at=lambda f: f["ts"] + timedelta(minutes=61),
        market_cap_usd=lambda f: f["ts"].dt.hour * 1e9 + 1,
    )
    out = made(given | {"raw_coin_markets": late}, hours=3)
    seen = out[out["symbol"] == "BTC/USDT"]
    assert seen["market_cap_usd"].tolist() == [(h - 1) * 1e9 + 1 for h in seen["ts"].dt.hour]


def test_rows_do_not_depend_on_where_the_computation_began() -> None:
    given = world()
    whole, late = made(given, hours=20), made(given, hours=3)
    same_bytes(late, whole[whole["ts"] >= pd.Timestamp(END - 3 * HOUR)])
