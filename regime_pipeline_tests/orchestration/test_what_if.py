"""Events of the past again: the ledger's own under the same thresholds, brute force's under others."""

from __future__ import annotations

import socket

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from regime_pipeline.alerts.events import market_events
from regime_pipeline.alerts.routing import Quiet
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.orchestration import quality
from regime_pipeline.orchestration.derived import asset_of
from regime_pipeline.orchestration.partitions import DAILY
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.orchestration.what_if import (
    SAME_EVENT,
    TOLD,
    Replay,
    replay,
    touched,
    with_thresholds,
)
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, FixedClock, Grid, Window, utc
from regime_pipeline_tests.alerts.test_context import insert
from regime_pipeline_tests.orchestration.conftest import NOW, raw_candles, run_assets
from regime_pipeline_tests.recordings import MARKET_HISTORY, absent

SYMBOLS = ("BTC/USDT", "ETH/USDT")
WINDOW = Window(utc("2024-03-20"), utc("2024-04-01"))
CLOCK = FixedClock(WINDOW.end)
HIGHER = {"REGIME_PARAMS__VOLATILITY__BORDERS": "[1.0, 2.2, 3.0]"}


def market(database: Database) -> Warehouse:
    """Sixty days of two symbols whose volatility comes and goes, and what was announced of them."""
    rng = np.random.default_rng(5)
    ts = pd.date_range(end=WINDOW.end - pd.Timedelta("1h"), periods=60 * 24, freq="h")
    for symbol in SYMBOLS:
        scale = 0.004 * (1 + 3 * (np.sin(np.arange(len(ts)) / 30) > 0.8))
        close = 100 * np.exp(np.cumsum(rng.normal(0, scale)))
        opened = np.roll(close, 1)
        opened[0] = 100.0
        spread = 1 + np.abs(rng.normal(0, scale))
        frame = pd.DataFrame({"ts": ts, "open": opened, "close": close})
        frame["high"] = np.maximum(opened, close) * spread
        frame["low"] = np.minimum(opened, close) / spread
        insert(
            database,
            "market.candles_1h",
            frame.assign(
                market="spot", symbol=symbol, status="ok", volume_base=1.0, volume_quote=1.0
            ),
        )
    warehouse = Warehouse(database, CLOCK)
    candles = warehouse.read("market.candles_1h")
    grid = Grid(ts[0].to_pydatetime(), WINDOW.end, SYMBOLS)
    rows = volatility_regimes(candles, grid=grid, params=Settings(_env_file=None).params.volatility)
    warehouse.merge(
        "features.volatility_regimes", rows, window=Window(grid.start, grid.end), run_id="test"
    )
    found = market_events(volatility_regimes=rows)
    found = found[found["ts"] >= WINDOW.start]
    warehouse.merge("alerts.market_events", found, window=WINDOW, mode="insert", run_id="test")
    return warehouse


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(_env_file=None, home=tmp_path, symbols=SYMBOLS)


def test_the_same_thresholds_give_the_ledger_and_execute_nothing(database, settings):
    market(database)
    found = replay(settings, settings, database, CLOCK, WINDOW)
    assert found.executed == ()
    assert len(found.same) > 10
    assert [len(f) for f in (found.new, found.gone, found.changed)] == [0, 0, 0]
    nights = found.by_night(Quiet.of("22:00-07:00"))
    assert (nights["before"] == nights["after"]).all()


RECORDED = Window(utc("2024-06-20"), utc("2024-08-20"))


@pytest.mark.slow
@pytest.mark.skipif(not MARKET_HISTORY.is_dir(), reason=absent(MARKET_HISTORY))
def test_sixty_recorded_days_replayed_are_the_ledger_of_their_daily_runs(
    database, settings, monkeypatch
):
    """Under other thresholds than the stored tables have, so that all of it is computed again."""
    clock = FixedClock(RECORDED.end)
    warehouse = Warehouse(database, clock)
    bars = pd.read_parquet(MARKET_HISTORY / "candles_1h.parquet")
    bars["symbol"] = bars["symbol"].str.replace("USDT", "/USDT")
    begin = RECORDED.start - pd.Timedelta("60D")
    bars = bars[
        bars["symbol"].isin(SYMBOLS) & (bars["venue"] == "binance") & (bars["market"] == "spot")
        & (bars["ts"] >= begin) & (bars["ts"] < RECORDED.end)
    ]  # fmt: skip
    insert(
        database,
        "market.candles_1h",
        bars.drop(columns="venue").rename(columns={"volume": "volume_base"}).assign(status="ok"),
    )
    candles = warehouse.read("market.candles_1h")
    whole = Grid(begin, RECORDED.end, SYMBOLS)
    stored = volatility_regimes(candles, grid=whole, params=settings.params.volatility)
    warehouse.merge("features.volatility_regimes", stored)
    changed = with_thresholds(settings, HIGHER)
    for day in RECORDED.days():  # each run knows what was there at its end, and no more
        end = day + DAY
        known = candles[candles["ts"] < pd.Timestamp(end)]
        rows = volatility_regimes(
            known, grid=Grid(begin, end, SYMBOLS), params=changed.params.volatility
        )
        found = market_events(volatility_regimes=rows)
        found = found[(found["ts"] >= day) & (found["ts"] < end)].reset_index(drop=True)
        warehouse.merge(
            "alerts.market_events", found, window=Window(day, end), mode="insert", run_id="test"
        )
    allow_only_this_machine(monkeypatch)
    found = replay(settings, changed, database, clock, RECORDED)
    assert found.executed == ("features.volatility_regimes",)
    assert [len(f) for f in (found.new, found.gone, found.changed)] == [0, 0, 0]
    assert len(found.same) > 20


def allow_only_this_machine(monkeypatch) -> None:
    """From now on no socket connects to another host."""
    reached = socket.socket.connect

    def local_only(self: socket.socket, address: object) -> None:
        assert not isinstance(address, tuple) or address[0] == "127.0.0.1"
        reached(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


def test_other_thresholds_give_what_brute_force_gives_and_write_and_send_nothing(
    database, settings, monkeypatch
):
    warehouse = market(database)
    before = warehouse.read("alerts.market_events")
    changed = with_thresholds(settings, HIGHER)
    allow_only_this_machine(monkeypatch)
    found = replay(settings, changed, database, CLOCK, WINDOW)
    assert found.executed == ("features.volatility_regimes",)
    first = warehouse.read("market.candles_1h")["ts"].min().to_pydatetime()
    rows = volatility_regimes(
        warehouse.read("market.candles_1h"),
        grid=Grid(first, WINDOW.end, SYMBOLS),
        params=changed.params.volatility,
    )
    expected = market_events(volatility_regimes=rows)
    expected = expected[expected["ts"] >= WINDOW.start].reset_index(drop=True)
    ours = pd.concat([found.same, found.changed, found.new])[[*SAME_EVENT, *TOLD]]
    pd.testing.assert_frame_equal(
        ours.sort_values(SAME_EVENT, ignore_index=True),
        expected[[*SAME_EVENT, *TOLD]].sort_values(SAME_EVENT, ignore_index=True),
    )
    assert len(found.gone) + len(found.changed) + len(found.new) > 0
    pd.testing.assert_frame_equal(warehouse.read("alerts.market_events"), before)
    with database.connect() as conn:
        assert conn.execute("SELECT count(*) FROM alerts.outbox").fetchone() == (0,)


@pytest.mark.parametrize(
    ("variable", "executed"),
    [
        ("CASCADES__MIN_EVENTS_FOR_DOMINANCE=7", ["features.liquidation_cascades"]),
        ("FUNDING__ANOMALY_Z_THRESHOLD=2.5", ["features.funding_prints"]),
        ("VOLATILITY__CONFIRMATIONS=5", ["features.volatility_regimes"]),
        ("TIMEFRAMES__CONFIRM_AGREEMENT=4", ["regimes.timeframe_regimes"]),
        (
            "CORRELATION__P_BREAK_MAX=0.01",
            ["correlation.asset_correlations", "correlation.correlation_breaks"],
        ),
        ("FUTURES__LONG_THRESHOLD=70", []),
    ],
)
def test_only_what_a_threshold_touches_is_computed(settings, variable, executed):
    assert touched(settings, settings) == ()
    name, value = variable.split("=")
    changed = with_thresholds(settings, {f"REGIME_PARAMS__{name}": value})
    assert [t for what in touched(settings, changed) for t in what.tables] == executed


@pytest.mark.slow
def test_another_quality_threshold_lets_other_hours_in_and_the_events_that_they_make(platform):
    """An hour that stands half as high again is withheld, or taken for a market that went mad."""
    candles = raw_candles(NOW - 40 * DAY, NOW)
    hour = candles["ts"] == pd.Timestamp(NOW - 30 * pd.Timedelta("1h"))
    hit = (candles["symbol"] == "BTC/USDT") & (candles["market"] == "spot") & hour
    candles.loc[hit, ["open", "high", "low", "close"]] *= 1.5
    platform.warehouse.merge("raw.candles", candles)
    days = Window(NOW - 40 * DAY, NOW)
    week = Window(NOW - 7 * DAY, NOW)

    def run(settings: Settings) -> pd.DataFrame:
        raw = dg.AssetSpec(["raw", "candles"], partitions_def=DAILY)
        given = dg.AssetsDefinition(specs=[raw.with_io_manager_key("warehouse_io")])
        chain = [asset_of("market.candles_1h"), asset_of("features.volatility_regimes")]
        ran = Platform(settings, platform.clock, platform.database)
        run_assets(ran, [given, quality.quality_blocks, *chain], days)
        rows = platform.warehouse.read("features.volatility_regimes", week)
        return market_events(volatility_regimes=rows)

    ledger = run(platform.settings)
    platform.warehouse.merge("alerts.market_events", ledger, mode="insert", window=week)
    changes = (
        {"REGIME_PARAMS__QUALITY__JUMP_FRAC": "0.9"},
        {"REGIME_PARAMS__QUALITY__DRIFT_PSI": "9"},
    )
    other, same = (with_thresholds(platform.settings, texts) for texts in changes)
    found = replay(platform.settings, other, platform.database, platform.clock, week)
    assert {"market.candles_1h", "features.volatility_regimes"} < set(found.executed)
    expected = run(other)
    ours = pd.concat([found.same, found.changed, found.new])[[*SAME_EVENT, *TOLD]]
    pd.testing.assert_frame_equal(
        ours.sort_values(SAME_EVENT, ignore_index=True),
        expected[[*SAME_EVENT, *TOLD]].sort_values(SAME_EVENT, ignore_index=True),
    )
    assert len(found.new) > 0
    unchanged = replay(platform.settings, same, platform.database, platform.clock, week)
    assert unchanged.executed == ()  # nothing else is withheld


def test_an_unknown_threshold_is_told(settings):
    with pytest.raises(KeyError, match="REGIME_PARAMS__VOLATILITY__BORDES"):
        with_thresholds(settings, {"REGIME_PARAMS__VOLATILITY__BORDES": "1"})
    with pytest.raises(ValueError, match="confirmations"):
        with_thresholds(settings, {"REGIME_PARAMS__VOLATILITY__CONFIRMATIONS": "0"})


def test_nights_are_called_after_the_day_on_which_they_end():
    def at(*known: str) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "known_at": [pd.Timestamp(k) for k in known],
                "event_type": "LIQUIDATION_CASCADE",
                "alert_severity": "WARNING",
                "kind": "start",
            }
        )

    none = at().iloc[:0]
    told = Replay(
        (), none, none, none, none,
        (at("2024-03-01T23:00Z", "2024-03-02T06:59Z", "2024-03-02T12:00Z"), at("2024-03-03T01:00Z")),
    )  # fmt: skip
    found = told.by_night(Quiet.of("22:00-07:00"))
    assert found.to_dict("index") == {
        "2024-03-02": {"before": 2, "after": 0},
        "2024-03-03": {"before": 0, "after": 1},
    }
