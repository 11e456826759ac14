"""Reading with history and writing a window, against a real database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import derivation_of, derives, reads
from regime_pipeline.catalogue.frames import ContractError, empty
from regime_pipeline.catalogue.registry import table as find_table
from regime_pipeline.orchestration.derived import asset_of, derived
from regime_pipeline.orchestration.history import declared_inputs
from regime_pipeline.orchestration.metadata import RUN_COUNTS
from regime_pipeline.orchestration.resources import Platform, Scope
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.orchestration.conftest import (
    SYMBOLS,
    raw_candles,
    raw_funding,
    run_assets,
    settings_for,
)

START = utc("2024-03-01")


def days(first: str, last: str) -> Window:
    return Window(utc(first), utc(last) + DAY)


def source(name: str) -> dg.AssetSpec:
    return dg.AssetSpec(dg.AssetKey(name.split(".")))


def probe(seen: list[tuple[Window, pd.DataFrame]], *, shift: timedelta = timedelta(0)):
    """An asset of market.funding that notes what it is given and hands all of it on."""

    @derives("market.funding", raw=reads("raw.funding_rates", "2d"))
    def body(raw: pd.DataFrame, *, window: Window) -> pd.DataFrame:
        seen.append((window, raw))
        rows = raw[["symbol", "ts", "venue", "funding_rate", "interval_hours"]]
        return rows.assign(
            ts=rows["ts"] + shift,
            rate_8h=rows["funding_rate"],
            rate_annual=None,
            mark_price=None,
            status="ok",
            reason=None,
            source_tier=1,
            method_version="probe/1",
        )

    return derived(derivation_of(body))


def upstream(name: str = "raw/funding_rates") -> dg.AssetsDefinition:
    from regime_pipeline.orchestration.assets.raw import ASSETS

    found = {a.key.to_user_string(): a for a in ASSETS}[name]
    return found.to_source_asset() if hasattr(found, "to_source_asset") else found


def test_inputs_reach_back_by_the_declared_lookback_and_never_past_the_window(
    platform: Platform,
) -> None:
    platform.warehouse.merge("raw.funding_rates", raw_funding(START, START + 10 * DAY))
    seen: list[tuple[Window, pd.DataFrame]] = []
    run_assets(platform, [upstream(), probe(seen)], days("2024-03-04", "2024-03-05"))
    ((window, frame),) = seen
    assert window == days("2024-03-04", "2024-03-05")
    assert frame["ts"].min() == pd.Timestamp("2024-03-02", tz="UTC")
    assert frame["ts"].max() == pd.Timestamp("2024-03-05 16:00", tz="UTC")


def test_an_input_can_be_all_that_is_stored_of_every_symbol_in_a_few_columns(
    platform: Platform,
) -> None:
    platform.warehouse.merge("raw.funding_rates", raw_funding(START, START + 10 * DAY))
    seen: list[pd.DataFrame] = []
    table, columns = "raw.funding_rates", ("symbol", "ts", "venue", "funding_rate")

    @derives("market.funding", raw=reads(table, "1d", all_stored=True, columns=columns))
    def body(raw: pd.DataFrame) -> pd.DataFrame:
        seen.append(raw)
        return empty(find_table("market.funding"))

    asset = derived(derivation_of(body))

    scope = Scope(symbols=["ETH/USDT"])
    run_assets(platform, [upstream(), asset], days("2024-03-04", "2024-03-05"), scope=scope)
    (frame,) = seen
    assert tuple(frame.columns) == columns
    assert frame["ts"].min() == pd.Timestamp(START)
    assert frame["ts"].max() == pd.Timestamp("2024-03-05 16:00", tz="UTC")
    assert set(frame["symbol"]) == set(SYMBOLS)
    # what a run has to provide is the lookback, not everything
    assert declared_inputs([asset])["market.funding"] == {table: DAY, "ops.quality_blocks": DAY}


def test_outputs_are_trimmed_to_the_window(platform: Platform) -> None:
    platform.warehouse.merge("raw.funding_rates", raw_funding(START, START + 10 * DAY))
    run_assets(platform, [upstream(), probe([])], days("2024-03-04", "2024-03-05"))
    stored = platform.warehouse.read("market.funding")
    assert len(stored) == len(SYMBOLS) * 6
    assert stored["ts"].min() == pd.Timestamp("2024-03-04", tz="UTC")
    assert stored["run_id"].notna().all()


def test_a_row_after_the_window_fails_the_run_and_stores_nothing(platform: Platform) -> None:
    platform.warehouse.merge("raw.funding_rates", raw_funding(START, START + 10 * DAY))
    with pytest.raises(ContractError, match="at or after the window's end"):
        run_assets(
            platform,
            [upstream(), probe([], shift=timedelta(days=1))],
            days("2024-03-04", "2024-03-05"),
        )
    assert platform.warehouse.read("market.funding").empty


@pytest.mark.slow
def test_the_window_ends_where_now_is(platform: Platform) -> None:
    platform.clock = FixedClock(utc("2024-03-05 08:30"))
    platform.warehouse.merge("raw.funding_rates", raw_funding(START, START + 10 * DAY))
    seen: list[tuple[Window, pd.DataFrame]] = []
    run_assets(platform, [upstream(), probe(seen)], days("2024-03-05", "2024-03-06"))
    ((window, frame),) = seen
    assert window.end == utc("2024-03-05 08:30")
    assert frame["ts"].max() == pd.Timestamp("2024-03-05 08:00", tz="UTC")


@pytest.mark.slow
def test_a_replaced_window_loses_rows_that_are_no_longer_owed(platform: Platform) -> None:
    platform.warehouse.merge("raw.funding_rates", raw_funding(START, START + 10 * DAY))
    assets = [upstream(), probe([])]
    run_assets(platform, assets, days("2024-03-04", "2024-03-04"))
    with platform.database.connect() as connection:
        connection.execute("delete from raw.funding_rates where ts = '2024-03-04 08:00+00'")
    result = run_assets(platform, assets, days("2024-03-04", "2024-03-04"))
    assert len(platform.warehouse.read("market.funding")) == len(SYMBOLS) * 2
    (event,) = [
        e for e in result.get_asset_materialization_events() if e.asset_key.path[0] == "market"
    ]
    metadata = event.materialization.metadata
    assert metadata[RUN_COUNTS].value["rows deleted"] == len(SYMBOLS)
    assert metadata["dagster/partition_row_count"].value == len(SYMBOLS) * 2
    assert "data:image/svg+xml;base64," in metadata["plot"].value


@pytest.mark.slow
def test_a_run_over_days_gives_dagster_the_rows_of_its_last_day_to_draw(platform: Platform) -> None:
    platform.warehouse.merge("raw.funding_rates", raw_funding(START, START + 10 * DAY))
    result = run_assets(platform, [upstream(), probe([])], days("2024-03-02", "2024-03-04"))
    event = [
        e for e in result.get_asset_materialization_events() if e.asset_key.path[0] == "market"
    ]
    metadata = event[-1].materialization.metadata
    assert metadata["dagster/partition_row_count"].value == len(SYMBOLS) * 3
    assert metadata[RUN_COUNTS].value["rows"] == len(SYMBOLS) * 9
    drawn = [
        name
        for name, v in metadata.items()
        if isinstance(v, (dg.IntMetadataValue, dg.FloatMetadataValue))
    ]
    assert drawn == ["dagster/partition_row_count"]
    caption = metadata["plot"].value.partition("]")[0]
    assert f"1 of {len(SYMBOLS)} series" in caption
    assert "2024-03-02 00:00 .. 2024-03-04 16:00 UTC" in caption


def test_a_narrowed_run_writes_its_symbols_only(platform: Platform) -> None:
    platform.warehouse.merge("raw.funding_rates", raw_funding(START, START + 10 * DAY))
    assets = [upstream(), probe([])]
    window = days("2024-03-04", "2024-03-04")
    run_assets(platform, assets, window, scope=Scope(symbols=["ETH/USDT"]))
    assert set(platform.warehouse.read("market.funding")["symbol"]) == {"ETH/USDT"}
    run_assets(platform, assets, window)
    run_assets(platform, assets, window, scope=Scope(symbols=["ETH/USDT"]))
    assert set(platform.warehouse.read("market.funding")["symbol"]) == set(SYMBOLS)


def test_an_unknown_symbol_stops_the_run(platform: Platform) -> None:
    result = run_assets(
        platform,
        [upstream(), probe([])],
        days("2024-03-04", "2024-03-04"),
        scope=Scope(symbols=["DOGE/USDT"]),
        raise_on_error=False,
    )
    assert not result.success


TABLES = ("market.candles_1h", "market.candles_resampled", "features.volatility_regimes")
CHAIN = [asset_of(name) for name in TABLES]


def hashes(platform: Platform) -> dict[str, str]:
    return {name: platform.warehouse.content_hash(name) for name in TABLES}


@pytest.mark.slow
def test_one_range_equals_day_by_day_equals_hourly_ticks(
    postgres: TestServer, tmp_path: Path
) -> None:
    """The same bytes however the time was cut; hours that had not closed were never written."""
    window = days("2024-03-03", "2024-03-05")
    raws = raw_candles(START - 12 * DAY, window.end)
    found = []
    for how in ("range", "days", "ticks"):
        with postgres.database() as database:
            platform = Platform(
                settings_for(database, tmp_path), FixedClock(utc("2024-03-10")), database
            )
            platform.warehouse.merge("raw.candles", raws)
            assets = [upstream("raw/candles"), *CHAIN]
            before = Window(START - 12 * DAY, window.start)
            run_assets(platform, [upstream("raw/candles"), CHAIN[0]], before)
            if how == "range":
                run_assets(platform, assets, window)
            elif how == "days":
                for day in window.days():
                    run_assets(platform, assets, Window(day, day + DAY))
            else:
                at = window.start
                while at <= window.end:
                    platform.warehouse.clock = platform.clock = FixedClock(
                        at + timedelta(minutes=2)
                    )
                    first = max(window.start, (at - HOUR).replace(hour=0))
                    if first < min(at, window.end):
                        run_assets(platform, assets, Window(first, min(at, window.end)))
                    at += 8 * HOUR  # a tick after each midnight is among them, as in life
                platform.clock = FixedClock(window.end + HOUR)
                run_assets(platform, assets, Window(window.end - DAY, window.end))
            found.append(hashes(platform))
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_a_narrowed_correlation_run_reads_the_whole_universe(platform: Platform) -> None:
    """The false-discovery rate of a pair needs all pairs, whoever is asked for."""
    window = days("2024-03-03", "2024-03-03")
    platform.warehouse.merge("raw.candles", raw_candles(START - 50 * DAY, window.end))
    chain = [upstream("raw/candles"), CHAIN[0]]
    run_assets(platform, chain, Window(START - 50 * DAY, window.end))
    pairs = asset_of("correlation.asset_correlations")
    assets = [CHAIN[0].to_source_asset(), pairs]
    run_assets(platform, assets, window)
    whole = platform.warehouse.read("correlation.asset_correlations")
    with platform.database.connect() as connection:
        connection.execute("truncate correlation.asset_correlations")
    run_assets(platform, assets, window, scope=Scope(symbols=["BTC/USDT", "SOL/USDT"]))
    narrowed = platform.warehouse.read("correlation.asset_correlations")
    pair = (whole["symbol_a"] == "BTC/USDT") & (whole["symbol_b"] == "SOL/USDT")
    pd.testing.assert_frame_equal(
        narrowed.drop(columns=["run_id", "ingested_at"]),
        whole[pair].reset_index(drop=True).drop(columns=["run_id", "ingested_at"]),
    )
    assert len(narrowed) == 24
    assert narrowed["corr_7d"].notna().all()
