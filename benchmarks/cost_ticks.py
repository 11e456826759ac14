"""Hourly ticks of one build over a database that it filled: what each costs, as JSON on standard output.

Run as a file by ``cost`` (``python -P cost_ticks.py``), with ``PYTHONPATH`` naming the build: so it
uses only what every build has. The clock goes on by an hour before each tick, and the simulator with
it, since a tick over an hour that was fetched before is another thing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

HOUR = timedelta(hours=1)
TICK_TAG = "regime/tick"
"""What tells a tick from another run over its days, in builds that make a difference."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class FileClock:
    """A clock that stands at what a file says, for two processes that share one time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        """The instant in the file."""
        return datetime.fromisoformat(self._path.read_text())

    def set(self, at: datetime) -> None:
        """Move to another instant."""
        beside = self._path.with_suffix(".new")
        beside.write_text(at.isoformat())
        beside.replace(self._path)


def serve(path: Path, symbols: tuple[str, ...]) -> None:
    """The simulator at the file's time, until standard input ends; its environment is the first line."""
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.simulator.tape import SyntheticTape

    clock = FileClock(path)
    tape = SyntheticTape(symbols=symbols, end=clock.now() + 60 * 24 * HOUR)
    with SimulatorServer(tape, clock) as server:
        sys.stdout.write(json.dumps(server.environment()) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


def measure(path: Path, times: int, few: int, backfill: str) -> dict[str, Any]:
    """Median costs of ticks with dbt, without, of empty bodies, and of fewer symbols.

    Beside them ``backfill``: bytes in the event log of that run by asset and day.
    """
    import dagster as dg

    from benchmarks.tick import hollow
    from regime_pipeline.orchestration.build import all_assets, build_definitions
    from regime_pipeline.orchestration.instance import instance_for
    from regime_pipeline.orchestration.jobs import DERIVED, RAW, REPORTING
    from regime_pipeline.orchestration.partitions import range_tags, tick_window
    from regime_pipeline.orchestration.resources import Platform, platform_resource
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import open_database

    sys.path.append(str(Path(__file__).parent))
    from processes import adopt_orphans, difference_s, spent_s

    adopt_orphans()
    clock = FileClock(path)
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(path), "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    os.environ |= json.loads(server.stdout.readline())
    settings = Settings(_env_file=None)
    database = open_database(settings, origin="simulated")
    platform = Platform(settings, clock, database=database)

    def job_of(assets: Iterable, selection: dg.AssetSelection, **slots: tuple) -> dg.JobDefinition:
        tick = dg.define_asset_job("tick", selection, executor_def=dg.in_process_executor)
        return build_definitions(
            assets=list(assets),
            resources={"platform": platform_resource(platform)},
            jobs=[tick],
            schedules=(),
            sensors=(),
            **slots,
        ).resolve_job_def("tick")

    def tick(job: dg.JobDefinition, symbols: Iterable[str] = ()) -> dict[str, float]:
        """One tick at the clock's time; its costs."""
        config = {**QUIET}
        if symbols:
            config["resources"] = {"scope": {"config": {"symbols": list(symbols)}}}
        before = spent_s(without={server.pid})
        tags = {**range_tags(tick_window(clock.now())), TICK_TAG: "newest"}
        done = job.execute_in_process(instance=instance, tags=tags, run_config=config)
        if not done.success:
            raise RuntimeError("the tick failed")
        cost = difference_s(before, spent_s(without={server.pid}))
        with database.connect() as connection:
            cost["requests"] = one(
                connection,
                "SELECT coalesce(sum(request_count), 0) FROM ops.fetch_log WHERE run_id = %s",
                done.run_id,
            )
            # books are sampled every five minutes, with a tick or without
            cost["requests_beside_books"] = one(
                connection,
                "SELECT coalesce(sum(request_count), 0) FROM ops.fetch_log WHERE run_id = %s "
                "AND dataset <> 'order_book'",
                done.run_id,
            )
            cost["log_bytes"] = one(
                connection,
                "SELECT coalesce(sum(octet_length(event)), 0) FROM dagster.event_logs "
                "WHERE run_id = %s",
                done.run_id,
            )
        return cost

    def one(connection: Any, query: str, run_id: str) -> float:
        return float(connection.execute(query, (run_id,)).fetchone()[0])

    def next_hour() -> None:
        clock.set(clock.now() + HOUR)

    def medians(costs: list[dict[str, float]]) -> dict[str, float]:
        return {k: statistics.median(c[k] for c in costs) for k in costs[0]}

    found: dict[str, Any] = {}
    try:
        with instance_for(settings, database) as instance:
            for case, selection in (
                ("with dbt", RAW | DERIVED | REPORTING),
                ("without dbt", RAW | DERIVED),
            ):
                full = job_of(all_assets(), selection)
                keys = full.asset_layer.selected_asset_keys
                empty = job_of(hollow(all_assets(), keys), dg.AssetSelection.all(), checks=())
                costs: list[dict[str, float]] = []
                empties: list[dict[str, float]] = []
                for number in range(times + 1):  # the first of each imports and warms up
                    next_hour()
                    first = number == 0
                    costs += [tick(full)][first:]
                    empties += [tick(empty)][first:]
                found[case] = medians(costs)
                found[f"empty graph, {case}"] = medians(empties)
            narrowed = []
            for _ in range(times):
                next_hour()
                narrowed.append(tick(full, settings.universe[:few]))
            found["fewer symbols"] = medians(narrowed)
        with database.connect() as connection:
            found["backfill"] = one(
                connection,
                "SELECT sum(octet_length(event)) / count(*) FILTER "
                "(WHERE dagster_event_type = 'ASSET_MATERIALIZATION') "
                "FROM dagster.event_logs WHERE run_id = %s",
                backfill,
            )
    finally:
        platform.close()
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
    return found


def main() -> None:
    """Reads the arguments; measures, or serves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clock", type=Path, help="file with the instant at which to begin")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--few", type=int, default=1, help="symbols of the narrowed tick")
    parser.add_argument("--backfill", default="", help="run whose event log is measured")
    parser.add_argument("--serve", action="store_true")
    given = parser.parse_args()
    if given.serve:
        from regime_pipeline.settings import Settings

        serve(given.clock, Settings(_env_file=None).symbols)
        return
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the tick's own libraries print is not the result
    with result:
        json.dump(measure(given.clock, given.times, given.few, given.backfill), result)


if __name__ == "__main__":
    main()
