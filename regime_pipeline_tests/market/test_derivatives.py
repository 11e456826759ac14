"""Open interest, liquidations and positioning on the full grid."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.derivatives import liquidations_1h, open_interest, positioning_1h
from regime_pipeline.windows import Grid, Window, utc

START = utc("2024-03-01")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
VENUES = dict.fromkeys(SYMBOLS, "binance")
SOURCES = dict.fromkeys(SYMBOLS, "coinglass")
GRID = Grid.of(Window(START, START + timedelta(hours=6)), SYMBOLS)


def _at(hour: int) -> pd.Timestamp:
    return pd.Timestamp(START + timedelta(hours=hour))


def _rows(rows: list[dict[str, object]], **common: object) -> pd.DataFrame:
    defaults = {"source": "coinglass", "venue": "binance", "market": "perp", "source_tier": 2}
    frame = pd.DataFrame([{**defaults, **common, **row} for row in rows])
    frame["ts"] = frame["ts"].dt.as_unit("us")
    return frame


def _oi(hours: list[int], symbol: str = "BTC/USDT", **values: object) -> list[dict[str, object]]:
    base = {"open_interest_base": 10.0, "open_interest_usd": 600_000.0}
    return [{"symbol": symbol, "ts": _at(h), **base, **values} for h in hours]


def _bars(close: float = 60_000.0, *, tier: int = 1) -> pd.DataFrame:
    rows = [{"symbol": s, "ts": _at(h), "close": close} for s in SYMBOLS for h in range(-1, 6)]
    perp = _rows(rows, source_tier=tier)
    return pd.concat([perp, perp.assign(market="spot", close=1.0)], ignore_index=True)


def _interest(raw: pd.DataFrame, bars: pd.DataFrame | None = None) -> pd.DataFrame:
    frame = open_interest(
        raw, _bars() if bars is None else bars, grid=GRID, venues=VENUES, sources=SOURCES
    )
    validate(frame, table("market.open_interest"))
    assert list(frame.columns) == list(table("market.open_interest").content)
    assert len(frame) == 12
    return frame[frame["symbol"] == "BTC/USDT"].reset_index(drop=True)


def test_open_interest_comes_from_the_named_source_and_venue_only() -> None:
    raw = _rows(
        [
            *_oi([0, 1, 2, 3, 4, 5]),
            *_oi([0, 1, 2, 3, 4, 5], source="binance_futures", open_interest_base=11.0),
            *_oi([0, 1, 2, 3, 4, 5], venue="okx", open_interest_base=12.0),
            *_oi([0, 1, 2, 3, 4, 5], market="spot", open_interest_base=13.0),
        ]
    )
    btc = _interest(raw)
    assert btc["open_interest_base"].eq(10.0).all()
    assert btc["source"].eq("coinglass").all()
    assert btc["status"].eq("ok").all()
    assert btc["reason"].isna().all()
    assert not btc["is_filled"].any()


def test_an_absent_unit_is_derived_from_the_perpetual_close_and_said_so() -> None:
    raw = _rows(
        [
            *_oi([0], open_interest_base=np.nan),
            *_oi([1], open_interest_usd=np.nan),
            *_oi([2, 3, 4, 5]),
        ]
    )
    btc = _interest(raw, _bars(50_000.0, tier=3))
    assert btc.loc[0, "open_interest_base"] == pytest.approx(12.0)
    assert btc.loc[1, "open_interest_usd"] == pytest.approx(500_000.0)
    assert btc["status"].tolist() == ["partial"] * 2 + ["ok"] * 4
    assert btc["reason"].iloc[:2].tolist() == ["base_from_close", "usd_from_close"]
    assert btc["source_tier"].tolist() == [3, 3, 2, 2, 2, 2]


def test_without_a_close_the_other_unit_stays_null() -> None:
    bars = _bars()
    btc = _interest(_rows(_oi([0, 1], open_interest_base=np.nan)), bars[bars["ts"] != _at(0)])
    assert btc.loc[0, "open_interest_usd"] == 600_000.0
    assert pd.isna(btc.loc[0, "open_interest_base"])
    assert btc.loc[0, ["status", "reason"]].tolist() == ["partial", "no_close"]


def test_a_gap_of_one_hour_is_carried_and_a_longer_one_is_null() -> None:
    btc = _interest(_rows([*_oi([-1]), *_oi([1], open_interest_base=20.0), *_oi([5])]))
    assert btc["is_filled"].tolist() == [True, False, True, False, False, False]
    assert btc.loc[[0, 2], "open_interest_base"].tolist() == [10.0, 20.0]
    assert btc.loc[0, ["status", "reason"]].tolist() == ["partial", "carried_one_hour"]
    assert btc.loc[[3, 4], "open_interest_base"].isna().all()
    assert btc.loc[[3, 4], "status"].eq("missing").all()
    assert btc.loc[[3, 4], "reason"].eq("no_observation").all()
    assert btc.loc[[3, 4], "source_tier"].isna().all()
    assert btc["venue"].eq("binance").all()


def _liq(hours: list[int], longs: float = 100.0, **values: object) -> list[dict[str, object]]:
    return [
        {
            "symbol": "BTC/USDT",
            "ts": _at(h),
            "timeframe": "1h",
            "long_liquidations_usd": longs,
            "short_liquidations_usd": 50.0,
            **values,
        }
        for h in hours
    ]


def _forced(raw: pd.DataFrame, oi: pd.DataFrame, venue: str = "binance") -> pd.DataFrame:
    frame = liquidations_1h(raw, oi, grid=GRID, source="coinglass", venue=venue)
    which = table("market.liquidations_1h")
    validate(frame, which)
    assert list(frame.columns) == list(which.content)
    assert len(frame) == 12
    return frame[frame["symbol"] == "BTC/USDT"].reset_index(drop=True)


def test_an_omitted_hour_is_zero_only_where_the_provider_was_watching() -> None:
    oi = _rows([*_oi([0, 1]), *_oi([2], source="binance_futures"), *_oi([3], symbol="ETH/USDT")])
    other = _liq([1, 2, 3, 4], symbol="SOL/USDT")  # outside the grid, but heard of
    btc = _forced(_rows([*_liq([0, 5]), *other]), oi)
    assert btc["total_liquidation_usd"].iloc[[0, 1, 5]].tolist() == [150.0, 0.0, 150.0]
    assert btc.loc[1, ["long_liquidations_usd", "short_liquidations_usd"]].tolist() == [0.0, 0.0]
    assert btc["status"].tolist() == ["ok", "ok", "missing", "missing", "missing", "ok"]
    assert btc["reason"].dropna().unique().tolist() == ["not_observed"]
    assert btc["coverage"].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    assert btc.loc[2:4, "total_liquidation_usd"].isna().all()


def test_an_hour_that_a_venue_itself_has_no_row_of_was_not_observed_and_a_quiet_one_is_zeros() -> (
    None
):
    oi = _rows(_oi(list(range(6))), source="okx", venue="okx")
    quiet = _liq([1], 0.0, short_liquidations_usd=0.0)
    raw = _rows([*_liq([0, 5]), *quiet, *_liq([2], symbol="ETH/USDT")], source="okx", venue="okx")
    frame = liquidations_1h(raw, oi, grid=GRID, source="okx", venue="okx")
    validate(frame, table("market.liquidations_1h"))
    btc = frame[frame["symbol"] == "BTC/USDT"].reset_index(drop=True)
    assert btc["total_liquidation_usd"].iloc[[0, 1, 5]].tolist() == [150.0, 0.0, 150.0]
    assert btc.loc[2:4, "total_liquidation_usd"].isna().all()
    assert btc.loc[2:4, "reason"].eq("not_observed").all()
    assert set(frame["method_version"]) == {"liquidations/3@okx"}


@pytest.mark.parametrize(
    ("venue", "completeness"), [("binance", "partial"), ("okx", "partial"), ("bybit", "complete")]
)
def test_each_observed_hour_says_whether_its_venue_tells_all(venue: str, completeness: str) -> None:
    btc = _forced(_rows(_liq([0, 1]), venue=venue), _rows(_oi([0, 1])), venue)
    assert btc["completeness"].iloc[:2].tolist() == [completeness] * 2
    assert btc["is_lower_bound"].iloc[:2].eq(completeness == "partial").all()
    assert btc["completeness"].iloc[2:].isna().all()
    assert set(btc["method_version"]) == {f"liquidations/3@coinglass:{venue}"}


def test_open_interest_of_each_symbol_is_that_of_its_own_provider() -> None:
    venues = {"BTC/USDT": "binance", "ETH/USDT": "okx"}
    sources = {"BTC/USDT": "binance_futures", "ETH/USDT": "okx"}
    raw = _rows(
        [
            *_oi([0], source="binance_futures"),
            *_oi([0], source="coinglass", open_interest_base=11.0),
            *_oi([0], "ETH/USDT", source="okx", venue="okx", open_interest_base=12.0),
            *_oi([0], "ETH/USDT", source="binance_futures", open_interest_base=13.0),
        ]
    )
    frame = open_interest(raw, _bars(), grid=GRID, venues=venues, sources=sources)
    first = frame[frame["ts"] == _at(0)].set_index("symbol")
    assert first["open_interest_base"].to_dict() == {"BTC/USDT": 10.0, "ETH/USDT": 12.0}
    assert first["source"].to_dict() == sources
    assert first["method_version"].to_dict() == {
        s: f"open_interest/2@{source}" for s, source in sources.items()
    }


def test_an_hour_in_which_no_coin_was_reported_is_an_outage_and_not_silence() -> None:
    oi = _rows(_oi(list(range(6))))
    eth = _liq([1], symbol="ETH/USDT")
    btc = _forced(_rows([*_liq([0, 5]), *eth]), oi)
    assert btc["status"].tolist() == ["ok", "ok", "missing", "missing", "missing", "ok"]
    assert btc["reason"].dropna().unique().tolist() == ["no_coin_reported"]
    assert btc.loc[1, "total_liquidation_usd"] == 0.0
    assert btc.loc[2:4, "total_liquidation_usd"].isna().all()


def test_a_row_of_open_interest_without_a_number_proves_nothing() -> None:
    oi = _rows(_oi([0], open_interest_base=np.nan, open_interest_usd=np.nan))
    assert _forced(_rows(_liq([5])), oi).loc[0, "status"] == "missing"


def test_open_interest_of_another_venue_proves_only_aggregates() -> None:
    oi = _rows(_oi([0], venue="okx"))
    assert _forced(_rows(_liq([5])), oi).loc[0, "status"] == "missing"
    heard = [*_liq([5], venue="aggregate"), *_liq([0], venue="aggregate", symbol="SOL/USDT")]
    whole = _forced(_rows(heard), oi, venue="aggregate")
    assert whole.loc[0, "total_liquidation_usd"] == 0.0


@pytest.mark.parametrize(
    ("venue", "lower"), [("binance", True), ("aggregate", True), ("bybit", False)]
)
def test_venues_that_publish_a_part_give_lower_bounds(venue: str, lower: bool) -> None:
    heard = [*_liq([0], venue=venue), *_liq([3], venue=venue, symbol="SOL/USDT")]
    btc = _forced(_rows(heard), _rows(_oi([3], venue=venue)), venue=venue)
    assert btc.loc[0, "is_lower_bound"] == lower
    assert btc.loc[3, "is_lower_bound"] == lower
    assert pd.isna(btc.loc[1, "is_lower_bound"])


def test_longer_buckets_and_other_sources_are_no_part_of_the_series() -> None:
    raw = _rows(
        [*_liq([0], timeframe="4h", longs=1e9), *_liq([0, 1], source="okx", longs=1e9), *_liq([1])]
    )
    btc = _forced(raw, _rows(_oi([4])))
    assert btc.loc[0, "status"] == "missing"
    assert btc.loc[1, "long_liquidations_usd"] == 100.0


def _metric(hours: list[int], metric: str, value: float, **more: object) -> list[dict[str, object]]:
    return [
        {"symbol": "BTC/USDT", "ts": _at(h), "metric": metric, "value": value, **more}
        for h in hours
    ]


def _positions(raw: pd.DataFrame, **keywords: str) -> pd.DataFrame:
    frame = positioning_1h(raw, grid=GRID, venues=VENUES, **keywords)  # type: ignore[arg-type]
    which = table("market.positioning_1h")
    validate(frame, which)
    assert list(frame.columns) == list(which.content)
    return frame[frame["symbol"] == "BTC/USDT"].reset_index(drop=True)


def test_metrics_become_columns_of_one_venue_and_gaps_stay_gaps() -> None:
    metrics = (
        "global_account_long_frac",
        "top_trader_account_long_frac",
        "top_trader_position_long_frac",
        "taker_buy_base",
        "taker_sell_base",
    )
    raw = _rows(
        [
            *(r for i, m in enumerate(metrics) for r in _metric([0], m, 0.1 * (i + 1))),
            *_metric([1], "global_account_long_frac", 0.6),
            *_metric([0, 1, 2], "global_account_long_frac", 0.9, venue="okx"),
        ]
    )
    btc = _positions(raw)
    assert btc.loc[0, list(metrics)].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert btc["status"].tolist() == ["ok", "partial", *["missing"] * 4]
    assert btc.loc[1, "global_account_long_frac"] == 0.6
    assert btc.loc[1, "reason"] == ",".join(f"without_{m}" for m in metrics[1:])
    assert btc.loc[2, "reason"] == "not_observed"
    assert btc.loc[2:, list(metrics)].isna().all(axis=None)


def test_a_relayed_number_counts_where_the_venue_no_longer_keeps_its_own() -> None:
    name = "global_account_long_frac"
    raw = _rows(
        [
            *_metric([0, 1], name, 0.61, source="coinglass", source_tier=2),
            *_metric([1, 2], name, 0.62, source="binance_futures", source_tier=1),
        ]
    )
    btc = _positions(raw)
    assert btc[name].iloc[:3].tolist() == [0.61, 0.62, 0.62]
    assert btc["source_tier"].iloc[:3].tolist() == [2, 1, 1]
    strict = _positions(raw, source="coinglass")
    assert strict[name].iloc[:2].tolist() == [0.61, 0.61]
    assert strict.loc[2, "status"] == "missing"


def test_hours_do_not_depend_on_the_window_they_are_computed_in() -> None:
    raw = _rows([*_oi([-1, 1, 5]), *_oi([3], open_interest_usd=np.nan)])
    forced = _rows(_liq([0, 4]))
    whole = open_interest(raw, _bars(), grid=GRID, venues=VENUES, sources=SOURCES)
    whole_liq = liquidations_1h(forced, raw, grid=GRID, source="coinglass", venue="binance")
    parts, parts_liq = [], []
    for h in range(6):
        grid = Grid.of(Window(START + timedelta(hours=h), START + timedelta(hours=h + 1)), SYMBOLS)
        seen = raw[(raw["ts"] >= _at(h - 1)) & (raw["ts"] <= _at(h))]
        parts.append(open_interest(seen, _bars(), grid=grid, venues=VENUES, sources=SOURCES))
        parts_liq.append(
            liquidations_1h(forced, seen, grid=grid, source="coinglass", venue="binance")
        )
    for one, pieces in ((whole, parts), (whole_liq, parts_liq)):
        joined = pd.concat(pieces).sort_values(["symbol", "ts"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(joined, one, check_exact=True)


def test_empty_inputs_give_a_grid_of_missing_hours() -> None:
    raw = _rows([*_oi([0]), *_liq([0])]).head(0)
    frame = open_interest(raw, _bars(), grid=GRID, venues=VENUES, sources=SOURCES)
    assert frame["status"].eq("missing").all()
    liq = liquidations_1h(raw, raw, grid=GRID, source="coinglass", venue="binance")
    assert liq["status"].eq("missing").all()
    assert len(liq) == 12
