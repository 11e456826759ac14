"""Resources: the project's own objects, handed to assets as they are.

``platform`` gives settings, clock, warehouse and HTTP client; they are made from the environment when
a run first needs them, once per process, and closed at its end. ``scope`` is what a person can narrow
a run to in the launchpad. Tests and the CLI put their own platform in place with
:func:`platform_resource`. Does not belong here: what is done with them.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from regime_pipeline.net import logs
from regime_pipeline.orchestration import run_lines
from regime_pipeline.orchestration.processes import keep_out_ended_runs
from regime_pipeline.orchestration.step_costs import Work, hear
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock, FixedClock, clock_from_text

if TYPE_CHECKING:
    from regime_pipeline.collect.stored_books import StoredBooks
    from regime_pipeline.market.book_levels import Levels, Sampled
    from regime_pipeline.providers.http import HttpClient
    from regime_pipeline.providers.limits.gate import HostGate
    from regime_pipeline.storage.database import Database
    from regime_pipeline.storage.merge import WriteResult
    from regime_pipeline.storage.warehouse import Warehouse

Progress = Callable[[str, int, int], None]
"""Told ``(what, done, total)`` while work goes on."""
Written = Callable[[str, int, "WriteResult"], None]
"""Told ``(table, rows, counts)`` after each write."""


REMEMBERED_RUNS = 16
"""A process executes one run at a time, and samples books beside it."""


class Platform:
    """What a run works with. Connections are made when first used.

    Args:
        settings: everything that can be configured.
        clock: what now is; None reads it from the settings.
        database: an open database; None opens the one of the settings.
        progress: told how far long work has come; None tells nobody.
        written: told ``(table, rows, counts)`` after each write; None tells nobody.
        ends_at: the instant at which the rows of every run end; None: each run's own, see
            :meth:`until`.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        database: Database | None = None,
        progress: Progress | None = None,
        written: Written | None = None,
        ends_at: datetime | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or clock_from_text(settings.clock)
        self.progress: Progress = progress or (lambda *_: None)
        self._written: Written = written or (lambda *_: None)
        self.work = Work()
        self._ends_at = ends_at
        self._ends_of_runs: dict[str, datetime] = {}
        self._database = database
        self._lock = threading.RLock()
        self._kept_parameters: str | None = None
        self._http: HttpClient | None = None
        self._http_of: tuple[Settings, Clock] | None = None

    @cached_property
    def database(self) -> Database:
        """The database of the settings' kind of data; opening it notes the chosen sources in it."""
        with self._lock:
            if self._database is None:
                from regime_pipeline.storage import resolved
                from regime_pipeline.storage.database import open_database

                self._database = open_database(self.settings, origin=self.settings.origin)
                resolved.note(self._database, self.settings.choices, self.clock.now())
            return self._database

    @cached_property
    def warehouse(self) -> Warehouse:
        """Tables of the database."""
        from regime_pipeline.storage.warehouse import Warehouse

        return Warehouse(
            self.database, self.clock, fence=keep_out_ended_runs, landing=self.settings.landing
        )

    def until(self, run_id: str | None) -> datetime:
        """The instant at which the rows of a run end, the same for all of its steps.

        It is what the clock said when the run asked first. A run that goes on past a full hour thus
        derives no hour that it has not fetched.

        Args:
            run_id: the run; None, outside of one, is now.
        """
        with self._lock:
            if self._ends_at is not None:
                return self._ends_at
            now = self.clock.now()
            if run_id is None:
                return now
            if run_id not in self._ends_of_runs:
                self._ends_of_runs[run_id] = now
                while len(self._ends_of_runs) > REMEMBERED_RUNS:
                    self._ends_of_runs.pop(next(iter(self._ends_of_runs)))
            return self._ends_of_runs[run_id]

    def written(self, table: str, rows: int, result: WriteResult) -> None:
        """Count a write, and tell whoever wants to know of it."""
        self.work.wrote(table, rows, result)
        self._written(table, rows, result)

    def keep_parameters(self) -> None:
        """Store the weights and thresholds that rows are about to be made with, once."""
        from regime_pipeline.storage.parameters import remember

        with self._lock:
            if self._kept_parameters != self.settings.params_id:
                remember(self.database, self.settings, self.clock.now())
                self._kept_parameters = self.settings.params_id

    def http(self) -> HttpClient:
        """The client that keeps every response in the landing store, behind the shared gate.

        One for all assets of a run, so that connections are made once; closed with the platform.
        """
        from regime_pipeline.providers.http import HttpClient
        from regime_pipeline.providers.landing import LandingStore

        with self._lock:
            made_of = (self.settings, self.clock)
            if self._http is None or self._http_of != made_of:
                self._close_http()
                store = LandingStore.of(self.settings)
                self._http = HttpClient(self.settings, store, self.clock, gate=self.gate)
                self._http_of = made_of
            return self._http

    def _close_http(self) -> None:
        with self._lock:
            if self._http is not None:
                self._http.close()
            self._http = None

    @cached_property
    def gate(self) -> HostGate:
        """Rate budgets and breakers, shared by all processes with this database."""
        from regime_pipeline.providers.limits.gate import gate_for
        from regime_pipeline.providers.limits.store import PostgresStore

        return gate_for(self.settings, PostgresStore(self.database.connect))

    @cached_property
    def _stored_books(self) -> StoredBooks:
        from regime_pipeline.collect.stored_books import StoredBooks
        from regime_pipeline.providers.landing import LandingStore

        folder = Path(self.settings.home) / "collect"
        return StoredBooks(self.database, LandingStore.of(self.settings), folder)

    def levels_of(self, book: Sampled) -> Levels | None:
        """The levels of a sampled book, from the bytes that were landed; None where they are gone."""
        return self._stored_books.levels(book)

    def symbols(self, asked: Sequence[str]) -> tuple[str, ...]:
        """The symbols of a run: those asked for, or the configured universe.

        Raises:
            ValueError: one is not configured.
        """
        unknown = sorted(set(asked) - set(self.settings.universe))
        if unknown:
            raise ValueError(f"not among the configured symbols: {', '.join(unknown)}")
        return tuple(sorted(set(asked))) or self.settings.universe

    def real_providers(self, sources: Sequence[str] = ()) -> list[str]:
        """Sources that are not on this machine although the database holds no live data.

        Whoever opens the UI on simulated or replayed data must not fill it with real prices.
        """
        if self.settings.origin == "live":
            return []
        from urllib.parse import urlsplit

        from regime_pipeline.alerts.endpoints import is_loopback_host
        from regime_pipeline.providers.fetch.sources import base_url
        from regime_pipeline.providers.registry import SOURCES

        return [
            name
            for name in sources or self.settings.sources
            if name in SOURCES
            and base_url(self.settings, SOURCES[name])
            and not is_loopback_host(
                urlsplit(base_url(self.settings, SOURCES[name])).hostname or ""
            )
        ]

    def at_rest(self) -> str | None:
        """Why nothing should be fetched by itself, or None where time goes on."""
        if isinstance(self.clock, FixedClock):
            return f"time stands still at {self.clock.now():%Y-%m-%d %H:%M} UTC"
        if self.settings.origin == "tape":
            return "this database holds replayed history"
        if self.real_providers():
            return "this database holds simulated data and no simulator is running"
        return None

    def close(self) -> None:
        """Close the connections; the platform opens them again when used again."""
        self._close_http()
        if "database" in self.__dict__:
            self.database.close()


_process: Platform | None = None
_process_lock = threading.Lock()


def process_platform() -> Platform:
    """This process's platform, made from the environment; made anew when that has changed."""
    global _process
    settings = Settings()
    with _process_lock:
        if _process is None or _process.settings != settings:
            if _process is not None:
                _process.close()
            _process = Platform(settings)
            run_lines.install(settings)
        return _process


@atexit.register
def _close() -> None:
    if _process is not None:
        _process.close()


@dg.resource(description="Settings, clock, warehouse and HTTP client, from the environment.")
def environment_platform(context: dg.InitResourceContext) -> Platform:
    """The platform of the process, as the plain object; takes no config."""
    if context.run_id:
        logs.bind(run_id=context.run_id)
    platform = process_platform()
    hear(context, platform)
    return platform


def platform_resource(platform: Platform) -> dg.ResourceDefinition:
    """A given platform as the resource, for runs inside this process."""

    @dg.resource(description="Settings, clock, warehouse and HTTP client of the caller.")
    def given(context: dg.InitResourceContext) -> Platform:
        hear(context, platform)
        return platform

    return given


class Scope(dg.ConfigurableResource):
    """What a run is narrowed to: ``resources: {scope: {config: {symbols: [BTC/USDT]}}}``."""

    symbols: list[str] = Field(
        default_factory=list, description="Only these symbols are written; empty: all configured."
    )
    sources: list[str] = Field(
        default_factory=list, description="Only these providers are asked; empty: all configured."
    )
    only_missing: bool = Field(
        default=False, description="Skip days that were fetched completely after they had closed."
    )
