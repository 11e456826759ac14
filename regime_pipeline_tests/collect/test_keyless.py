"""Without any key: what the collector heard makes cascades and scores, with the run that everybody starts."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from regime_pipeline.orchestration.launch import run_pipeline
from regime_pipeline.settings import Settings, changed
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.windows import DAY, HOUR, Window
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.collect.virtual import START, Day, pass_time

SYMBOLS = Settings(_env_file=None).universe[:8]
KEYLESS = "binance,binance_futures,bybit,okx,alternative_me"
HISTORY, HEARD = 45 * DAY, 26 * HOUR
STEP, TURN = timedelta(minutes=2), timedelta(hours=2)


async def _listen(day: Day, until: datetime) -> None:
    """Closures alone are heard; nobody disturbs the collector."""
    day.begin()
    for link in day.links:
        await link.open()
    while day.clock.at < until:
        await pass_time(day.venue, day.links, min(until, day.clock.at + TURN), STEP)
        day.turn()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_without_keys_has_complete_cascades_of_what_the_collector_heard(
    postgres: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in os.environ if n.startswith(("REGIME_", "WEBHOOKS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)  # where nobody's .env lies
    end = START + HEARD
    with postgres.database() as database:
        day = Day(database, tmp_path, SYMBOLS, named=("liquidations",), before=HISTORY)
        asyncio.run(_listen(day, end + timedelta(minutes=6)))
        with SimulatorServer(day.tape, day.clock) as simulator:
            for name, value in {
                "REGIME_DATABASE_URL": database.url,
                "REGIME_HOME": str(tmp_path),
                "REGIME_SYMBOLS": ",".join(SYMBOLS),
                "REGIME_SOURCES": KEYLESS,
                "REGIME_COLLECT": "on",
                "REGIME_START_DATE": f"{START - HISTORY + 5 * DAY:%Y-%m-%d}",
                "REGIME_CLOCK": day.clock.now().isoformat(),
            }.items():
                monkeypatch.setenv(name, value)
            done = run_pipeline(
                settings=changed(Settings(_env_file=None), simulator.settings_overrides()),
                clock=day.clock,
                window=Window(START, START + 2 * DAY),
                symbols=SYMBOLS,
                reports=False,
            )
        assert done.succeeded, done.lines()
        heard = Window(START, end)
        cascades = day.warehouse.read("features.liquidation_cascades", heard)
        assert len(cascades) == len(SYMBOLS) * HEARD // HOUR
        assert set(cascades["completeness"]) == {"complete"}
        for column in ("total_liquidation_usd", "severity", "liq_to_oi_bps"):
            assert cascades[column].notna().all(), column
        # whether a sum is large needs 336 hours of them, and says so until then
        assert set(cascades["reason"]) == {"no_percentile_history"}
        interest = day.warehouse.read("market.open_interest", heard)
        assert interest["open_interest_usd"].notna().mean() >= 0.99
        scores = day.warehouse.read("signals.futures_scores", Window(end - HOUR, end))
        assert set(scores["symbol"]) == set(SYMBOLS)
        assert scores["coverage_pct"].min() >= 70
        assert scores["futures_score"].notna().all()
