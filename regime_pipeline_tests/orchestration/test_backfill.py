"""A range backfill as the UI launches it, carried out by the real daemon and code server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from regime_pipeline.orchestration.instance import (
    ROOT,
    dagster_environment,
    environment,
    instance_for,
    venv_program,
)
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, Window, utc
from regime_pipeline_tests.orchestration.conftest import SYMBOLS, raw_candles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DAYS = [f"2024-03-{d:02}" for d in range(1, 8)]
DERIVED = [
    *("market/candles_1h", "market/candles_resampled", "market/funding", "market/open_interest"),
    *("market/liquidations_1h", "market/positioning_1h", "market/fear_greed"),
    *("features/liquidation_cascades", "features/funding_prints", "features/funding_anomalies"),
    *("features/volatility_regimes", "regimes/timeframe_regimes"),
    *("correlation/asset_correlations", "correlation/correlation_breaks"),
    *("signals/components", "signals/futures_scores", "alerts/market_events"),
]
MUTATION = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message stack }
  }
}
"""


def variables(settings: Settings, database: Database) -> dict[str, str]:
    return {
        **dagster_environment(settings, database),
        "REGIME_DATABASE_URL": database.url,
        "REGIME_HOME": str(settings.home.resolve()),
        "REGIME_SYMBOLS": ",".join(SYMBOLS),
        "REGIME_CLOCK": "2024-03-20",  # no ticks, no gaps
    }


def launch(assets: list[str]) -> str:
    """What the UI sends when a range is materialized from the asset graph."""
    params = {
        "assetSelection": [{"path": a.split("/")} for a in assets],
        "partitionNames": DAYS,
        "tags": [],
    }
    done = subprocess.run(
        [
            venv_program("dagster-graphql"),
            *("-w", str(ROOT / "workspace.yaml")),
            *("-t", MUTATION, "-v", json.dumps({"params": params})),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout[done.stdout.index("{") :] if "{" in done.stdout else ""
    assert said, done.stdout + done.stderr
    answer = json.JSONDecoder().raw_decode(said)[0]["data"]["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return answer["backfillId"]


@contextmanager
def daemon(log: Path) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def finished(instance: dg.DagsterInstance, backfill: str, log: Path) -> list[dg.DagsterRun]:
    limit = time.monotonic() + 240
    while time.monotonic() < limit:
        found = instance.get_backfill(backfill)
        if found.status.value.startswith(("COMPLETED", "FAILED", "CANCELED")):
            return list(instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill})))
        time.sleep(1.0)
    raise AssertionError(f"the backfill did not end:\n{log.read_text()[-3000:]}")


def test_a_backfill_of_the_derived_chain_is_one_run(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    window = Window(utc(DAYS[0]), utc(DAYS[-1]) + DAY)
    warehouse = Warehouse(database)
    warehouse.merge("raw.candles", raw_candles(window.start, window.end))
    log = tmp_path / "daemon.log"
    with (
        environment(variables(settings, database)),
        instance_for(settings, database) as instance,
    ):
        backfill = launch(DERIVED)
        with daemon(log):
            runs = finished(instance, backfill, log)
        assert [r.status for r in runs] == [dg.DagsterRunStatus.SUCCESS], log.read_text()[-3000:]
        (run,) = runs
        assert run.tags["dagster/asset_partition_range_start"] == DAYS[0]
        assert run.tags["dagster/asset_partition_range_end"] == DAYS[-1]
        for asset in DERIVED:
            done = instance.get_materialized_partitions(dg.AssetKey(asset.split("/")))
            assert sorted(done) == DAYS, asset
    hours = 24 * len(DAYS) * len(SYMBOLS)
    counts = warehouse.counts()
    assert counts["features.volatility_regimes"] == hours
    assert counts["signals.futures_scores"] == hours
    assert set(warehouse.read("features.volatility_regimes")["run_id"]) == {run.run_id}
