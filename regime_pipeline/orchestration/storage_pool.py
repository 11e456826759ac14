"""Dagster's run, event and schedule storage on pooled connections, with asset events in batches.

The stock storage opens a connection for every event and writes the planned materialization of each
partition on its own: a range of 365 days costs seconds per asset before anything runs. Here all three
storages of a process share one small pool, and events of a batch are one insert. Batching is on only
with ``DAGSTER_EVENT_BATCH_SIZE``.

What readers can ask is the same as with the stock storage, which a test compares, but for this:

* Every event is stored without what it says twice (:func:`lean`). That a step got its inputs and handed
  its output over is no event (:func:`is_told`): its end says so, and what its inputs are stands in the
  asset's definition. An input that its type check refuses is one.
* A materialization doesn't repeat its run as "code version" and its inputs' runs as versions: whether a
  day is older than its inputs is seen by the times of the two.
* Of a long range only the last days are planned one by one; what ran and failed is told by the run.
* A check that is only planned gets no row for each day; its row comes with its result.
* A run that a launch executes by itself belongs to the code location (:func:`run_of_location`).

It leans on private methods, so batching is used with the versions it was written against and stock
code otherwise. Does not belong here: where the database is (``instance``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import dagster
import dagster_postgres
import psycopg2
from dagster import DagsterEventType, DagsterRun
from dagster._core.definitions.data_version import CODE_VERSION_TAG
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.events import AssetCheckEvaluationPlanned, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import DagsterPostgresException, pg_url_from_config
from sqlalchemy import Engine, create_engine
from sqlalchemy import event as engine_events
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from regime_pipeline.orchestration import run_lines
from regime_pipeline.orchestration.instance import LOCATION
from regime_pipeline.orchestration.processes import PROCESS_TAG

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

CONNECTION_LOST = (OperationalError, InterfaceError, DagsterPostgresException)
"""What Dagster's storage raises when its database is gone."""
WRITTEN_AGAINST = ("1.13.27", "0.29.27")
BATCHED = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
FOUND_BY_HANDLE = {
    DagsterEventType.STEP_START,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SKIPPED,
    DagsterEventType.STEP_UP_FOR_RETRY,
    DagsterEventType.STEP_RESTARTED,
}
"""Events by whose step handle a retried run finds what is left to do."""
PLANNED_DAYS = 2
"""Days of an asset that are planned one by one, the last ones of a batch; an hourly tick covers as many."""
_PROVENANCE = ("dagster/input_", "dagster/code_version")
"""Beginnings of tags; without all of them Dagster compares times, with some of them it would see inputs that
are new. They stay where the code has a version of its own: without them another version marks nothing."""

_LOG = logging.getLogger(__name__)


def known_versions() -> bool:
    """Whether the installed Dagster is the one whose private methods are used here."""
    return (dagster.__version__, dagster_postgres.__version__) == WRITTEN_AGAINST


IDLE_S = 5.0
"""A connection that lay idle for longer is checked before use; its server may be gone."""


def pooled_engine(url: str) -> Engine:
    """A small pool in autocommit mode; a connection that lay idle is checked before use."""
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=2,
        max_overflow=8,
        pool_recycle=1800,
    )
    engine_events.listen(engine, "checkin", _returned)
    engine_events.listen(engine, "checkout", _taken)
    return engine


def _returned(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _taken(
    connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    since = record.info.get("idle_since")
    if since is None or time.monotonic() - since < IDLE_S:
        return
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute("select 1")
    except psycopg2.Error as error:
        raise DisconnectionError(str(error)) from error  # the pool opens another one


def is_told(entry: EventLogEntry) -> bool:
    """Whether an event says what no other one of its step does."""
    if entry.dagster_event_type == DagsterEventType.STEP_INPUT:
        return not entry.get_dagster_event().step_input_data.type_check_data.success
    return entry.dagster_event_type not in {
        DagsterEventType.LOADED_INPUT,
        DagsterEventType.HANDLED_OUTPUT,
    }


def lean(entry: EventLogEntry) -> EventLogEntry:
    """An event without what it says twice: its step as tags and handles, its message, its runs."""
    if not entry.is_dagster_event:
        return entry
    event = entry.get_dagster_event()
    event = event._replace(logging_tags={})
    if event.event_type not in FOUND_BY_HANDLE:
        event = event._replace(step_handle=None, node_handle=None)
    data = event.event_specific_data
    if isinstance(data, StepMaterializationData):
        made = data.materialization
        tags = made.tags or {}
        if tags.get(CODE_VERSION_TAG, entry.run_id) == entry.run_id:  # the run stands for a version
            tags = {k: v for k, v in tags.items() if not k.startswith(_PROVENANCE)}
        data = data._replace(materialization=made._replace(tags=tags))
    elif isinstance(data, AssetCheckEvaluationPlanned):
        # without its days, which the run's own tags name
        data = AssetCheckEvaluationPlanned(asset_key=data.asset_key, check_name=data.check_name)
    event = event._replace(event_specific_data=data)
    said_once = entry.user_message if event.message is None else ""
    return entry._replace(dagster_event=event, user_message=said_once)


def _lean_batch(events: Sequence[EventLogEntry]) -> list[EventLogEntry]:
    """A batch of asset events, lean, without the plans of all but an asset's last days."""
    newest: dict[object, int] = {}
    out = []
    for entry in reversed(events):
        if entry.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            key = entry.get_dagster_event().asset_key
            newest[key] = newest.get(key, 0) + 1
            if newest[key] > PLANNED_DAYS:
                continue
        out.append(lean(entry))
    return out[::-1]


class PooledEventLogStorage(PostgresEventLogStorage):
    """The stock event log on a pool; a batch of asset events is one insert whatever its types."""

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event; see the base class."""
        run_lines.write(event)
        if not known_versions():
            super().store_event(event)
        elif is_told(event):
            # past PostgreSQL's own: it notifies a channel that nobody listens to any more
            super(PostgresEventLogStorage, self).store_event(lean(event))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that belong together; see the base class."""
        for event in events:
            run_lines.write(event)
        kinds = {e.get_dagster_event().event_type for e in events}
        if not events or not kinds <= BATCHED or not known_versions():
            super().store_event_batch(events)
            return
        events = _lean_batch(events)
        statement = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
        with self._connect() as conn:
            ids = [int(row[0]) for row in conn.execute(statement)]
        about_assets = [
            (entry, event_id)
            for entry, event_id in zip(events, ids, strict=True)
            if entry.dagster_event_type != DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        ]
        if about_assets:
            # the asset's own row shows its last event only, so one write per asset will do
            newest = {e.get_dagster_event().asset_key: (e, i) for e, i in about_assets}
            with self.index_transaction() as conn:
                self._store_asset_event_tags(
                    conn, [e for e, _ in about_assets], [i for _, i in about_assets]
                )
                for key in sorted(newest, key=str):  # one order for all writers: no deadlock
                    self._store_asset_event(conn, *newest[key])

    def store_asset_check_event(self, event: EventLogEntry, event_id: int | None) -> None:
        """Store a check's result; a plan is in the log already, and many are never carried out."""
        if event.dagster_event_type != DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            super().store_asset_check_event(event, event_id)


def run_of_location(run: DagsterRun) -> DagsterRun:
    """A run that a launch executes itself, as one of the code location that the pages load.

    Without an origin the timeline and the page of its job leave it out.
    """
    if run.remote_job_origin is not None or PROCESS_TAG not in run.tags:
        return run
    location = RegisteredCodeLocationOrigin(LOCATION)
    repository = RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME)
    return run.with_job_origin(RemoteJobOrigin(repository, run.job_name))


class PooledRunStorage(PostgresRunStorage):
    """The stock run storage, with runs of launches among those of the code location."""

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        """Add a run; see the base class."""
        return super().add_run(run_of_location(dagster_run))


class PooledStorage(DagsterPostgresStorage):
    """All of Dagster's storages over one pool; named in ``dagster.yaml``."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        if not known_versions():
            _LOG.warning(
                "dagster %s with dagster-postgres %s: event batching is off, it was written "
                "against %s and %s",
                dagster.__version__,
                dagster_postgres.__version__,
                *WRITTEN_AGAINST,
            )
        self.postgres_url = postgres_url
        self.should_autocreate_tables = should_autocreate_tables
        self._inst_data = inst_data
        self._run_storage = PooledRunStorage(postgres_url, should_autocreate_tables)
        self._event_log_storage = PooledEventLogStorage(postgres_url, should_autocreate_tables)
        self._schedule_storage = PostgresScheduleStorage(postgres_url, should_autocreate_tables)
        self._pool = pooled_engine(postgres_url)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine.dispose()
            storage._engine = self._pool
        super(DagsterPostgresStorage, self).__init__()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledStorage:
        """Built from ``dagster.yaml``: the same fields as the stock class."""
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
        )

    def dispose(self) -> None:
        """Close the pool with the storages."""
        super().dispose()  # type: ignore[misc]  # the mixin is always before a storage
        self._pool.dispose()
