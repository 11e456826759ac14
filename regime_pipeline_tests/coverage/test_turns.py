"""Which series an hourly tick asks each time: those that something reads, and stand-ins for them."""

from __future__ import annotations

from regime_pipeline.coverage.rules import series_of
from regime_pipeline.settings import Settings
from regime_pipeline.windows import HOUR

BTC = ("BTC/USDT",)


def hourly(dataset: str, **settings: object) -> set[tuple[str, str]]:
    """(source, venue) of the series of BTC/USDT that are asked at every tick."""
    made = Settings(_env_file=None, **settings)
    series = series_of(made, dataset, BTC)
    assert all(s.every in (HOUR, 12 * HOUR) for s in series)
    return {(s.source, s.venue) for s in series if s.every == HOUR}


def test_positioning_of_the_venue_behind_a_symbol_is_asked_each_hour() -> None:
    assert hourly("positioning") == {("binance_futures", "binance")}
    assert hourly("positioning", perp_venue="okx") == {("okx", "okx")}


def test_where_the_venue_is_no_source_all_others_are_asked_each_hour() -> None:
    found = hourly("positioning", sources=("okx", "bybit"))
    assert found == {("okx", "okx"), ("bybit", "bybit")}


def test_candles_of_all_venues_are_asked_each_hour_since_checks_compare_them() -> None:
    key = {"coinapi_api_key": "0a1b-2c3d-4e5f"}
    assert {venue for _, venue in hourly("candles", **key)} == {"binance", "okx", "bybit"}
    assert "coinapi" not in {source for source, _ in hourly("candles", **key)}


def test_what_is_told_of_the_present_alone_is_asked_each_hour() -> None:
    assert len(hourly("funding_predictions")) == 3
