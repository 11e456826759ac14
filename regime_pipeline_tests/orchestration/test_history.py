"""How far back inputs must reach, through the whole graph."""

from __future__ import annotations

from regime_pipeline.orchestration.build import pipeline_assets
from regime_pipeline.orchestration.history import (
    declared_inputs,
    grouped,
    primary_sources,
    required_starts,
)
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, Window, utc

START, FIRST = utc("2024-06-20"), utc("2019-09-01")
INPUTS = {
    "features.a": {"market.x": 45 * DAY, "features.b": 3 * DAY},
    "features.b": {"market.y": 10 * DAY},
    "market.x": {"raw.x": 1 * DAY},
    "market.y": {"raw.x": 2 * HOUR},
}


def test_lookbacks_add_up_along_every_path() -> None:
    assert required_starts(INPUTS, ["features.a"], START, first=FIRST) == {
        "features.a": START,
        "features.b": START - 3 * DAY,
        "market.x": START - 45 * DAY,
        "market.y": START - 13 * DAY,
        "raw.x": START - 46 * DAY,
    }


def test_nothing_reaches_before_the_first_partition() -> None:
    starts = required_starts(INPUTS, ["features.a"], START, first=START - 5 * DAY)
    assert min(starts.values()) == START - 5 * DAY


def test_readers_come_after_what_they_read() -> None:
    starts = required_starts(INPUTS, ["features.a"], START, first=FIRST)
    groups = grouped(starts, START, [n for n in starts if not n.startswith("raw.")])
    assert groups == [
        (Window(START - 45 * DAY, START), ["market.x"]),
        (Window(START - 13 * DAY, START), ["market.y"]),
        (Window(START - 3 * DAY, START), ["features.b"]),
    ]


def test_the_real_graph_reaches_back_as_far_as_its_slowest_statistic() -> None:
    from regime_pipeline.catalogue.derivation import reach_of
    from regime_pipeline.regimes.timeframe_regimes import timeframe_regimes

    inputs = declared_inputs(pipeline_assets())
    starts = required_starts(inputs, ["regimes.timeframe_regimes"], START, first=FIRST)
    back = reach_of(timeframe_regimes, "market.candles_1h")
    assert starts["market.candles_1h"] == START - back
    assert starts["raw.candles"] <= starts["market.candles_1h"]


def test_history_is_asked_from_the_sources_that_series_are_made_of() -> None:
    settings = Settings(spot_venue="okx", perp_venue="binance")
    assert set(primary_sources("candles", settings)) == {"okx", "binance_futures"}
    assert primary_sources("liquidations", settings) == ("okx",)
    assert primary_sources("open_interest", settings) == ("binance_futures",)
    keyed = Settings(perp_venue="binance", coinglass_api_key="a-key-of-somebody")
    assert primary_sources("liquidations", keyed) == ("coinglass",)
    assert primary_sources("open_interest", keyed) == ("coinglass",)
    mixed = Settings(perp_venue_by_symbol={"BTC/USDT": "okx"}, liquidation_source="coinglass")
    # the open interest of coinglass tells its quiet hours from missed ones
    assert set(primary_sources("open_interest", mixed)) == {"okx", "binance_futures", "coinglass"}
    assert primary_sources("fear_greed", settings) == settings.sources
