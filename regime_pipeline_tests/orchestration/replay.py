"""A replay of hourly ticks over real HTTP, in which sources can be made to fail for a while.

The simulator and the platform share one clock that is moved by hand. A tick is what the hourly
schedule asks for, as far as the raw layer goes: one run over the day of the last closed hour up to
today. The gap sensor is the real one, and what it requests is run as it asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from regime_pipeline.catalogue import TABLES
from regime_pipeline.orchestration import sensors
from regime_pipeline.orchestration.assets import raw
from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.orchestration.partitions import run_window, tick_window
from regime_pipeline.orchestration.resources import Platform, Scope, platform_resource
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.storage.database import Database
from regime_pipeline_tests.orchestration.conftest import run_assets, settings_for

ASSETS = {asset.key.path[1]: asset for asset in raw.ASSETS}
KINDS: Mapping[str, Fault] = {
    "error": Fault(status=500),
    "cut": Fault(cut_after=10),
    "reset": Fault(reset_after=0),
    "page": Fault(html=True),
    "geo": Fault(status=451),
    "throttle": Fault(status=429),
}
"""Ways to fail, by name; each is told in ``ops.fetch_log`` by its own class."""


class Hand:
    """A clock that is moved by hand, and that the code takes for one that runs."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


class Replay:
    """One database that is filled tick by tick."""

    def __init__(
        self,
        database: Database,
        home: Path,
        simulator: SimulatorServer,
        clock: Hand,
        *,
        symbols: Sequence[str],
        datasets: Iterable[str] = tuple(ASSETS),
        **settings: Any,
    ) -> None:
        self.clock = clock
        self.simulator = simulator
        made = settings_for(
            database,
            home,
            http_attempts=1,
            **{**simulator.settings_overrides(), "binance_archive_url": None, **settings},
        ).model_copy(update={"symbols": tuple(symbols)})
        self.platform = Platform(made, clock, database)
        self.datasets = tuple(datasets)
        self._definitions: dg.Definitions | None = None

    def tick(self, down: Mapping[str, Fault] = {}) -> dg.ExecuteInProcessResult:
        """One hourly run while the sources in ``down`` fail."""
        with self.failing(down):
            assets = [ASSETS[name] for name in self.datasets]
            return run_assets(self.platform, assets, tick_window(self.clock.now()))

    def failing(self, down: Mapping[str, Fault]) -> Any:
        """Within this, the sources fail; breakers that opened before have had their time."""
        return _Down(self, down)

    def sense(self) -> list[dg.RunRequest]:
        """What the gap sensor asks for now of this replay's datasets."""
        if self._definitions is None:
            self._definitions = build_definitions(
                assets=pipeline_assets(), resources={"platform": platform_resource(self.platform)}
            )
        with dg.build_sensor_context(
            resources={"platform": platform_resource(self.platform)}, definitions=self._definitions
        ) as context:
            asked = sensors.gaps.evaluate_tick(context).run_requests
        return [r for r in asked if any(k.path[1] in self.datasets for k in r.asset_selection)]

    def fill(self, requests: Iterable[dg.RunRequest]) -> list[dg.ExecuteInProcessResult]:
        """Run what the sensor asked for."""
        out = []
        for request in requests:
            scope = request.run_config["resources"]["scope"]["config"]
            names = [key.path[1] for key in request.asset_selection]
            assets = [ASSETS[name] for name in names if name in self.datasets]
            with self.failing({}):
                out.append(
                    run_assets(
                        self.platform, assets, run_window(request.tags), scope=Scope(**scope)
                    )
                )
        return out

    def rows(self, dataset: str) -> pd.DataFrame:
        """The content of a raw table, by key."""
        item = TABLES[f"raw.{dataset}"]
        return self.platform.warehouse.read(item.full_name, columns=list(item.content))

    def hashes(self, datasets: Iterable[str]) -> dict[str, str]:
        """Content hash by dataset."""
        return {n: self.platform.warehouse.content_hash(f"raw.{n}") for n in datasets}

    def coverage(self) -> pd.DataFrame:
        """``ops.coverage`` of this replay's datasets: a row a series and hour."""
        with self.platform.database.connect() as connection:
            found = connection.execute(
                "select dataset, source, venue, market, symbol, ts, expected, stored, "
                "coverage_state, coverage_reason, is_forward_only from ops.coverage "
                "where dataset = any(%s)",
                (list(self.datasets),),
            )
            names = [c.name for c in found.description or ()]
            return pd.DataFrame(found.fetchall(), columns=names)


class _Down:
    def __init__(self, replay: Replay, down: Mapping[str, Fault]) -> None:
        self._replay, self._down = replay, down

    def __enter__(self) -> None:
        with self._replay.platform.database.connect() as connection:
            connection.execute("truncate ops.breaker_state")
        self._replay.platform.__dict__.pop("gate", None)
        faults = self._replay.simulator.app.state.faults
        faults.update({f"/{source}/": fault for source, fault in self._down.items()})

    def __exit__(self, *_: object) -> None:
        self._replay.simulator.app.state.faults.clear()


def missed_lines(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What the checks of a run say about missed hours, by dataset."""
    return {
        c.asset_key.path[1]: str(c.description)
        for c in result.get_asset_check_evaluations()
        if c.check_name == raw.HOURS_CHECK and not c.passed
    }


def missed_sources(result: dg.ExecuteInProcessResult) -> set[str]:
    """Sources that the checks of a run name as having missed hours."""
    found = set()
    for check in result.get_asset_check_evaluations():
        rows = check.metadata.get("missed, by source")
        if check.check_name == raw.HOURS_CHECK and rows is not None:
            found |= {str(record.data["source"]) for record in rows.records}
    return found
