"""Dagster's run, event and schedule storage on pooled connections, with planned events in batches.

The stock storage opens a connection for every event and writes the planned materialization of each
partition on its own: a range of 365 days costs seconds per asset before anything runs. Here all three
storages of a process share one small pool, and planned events of a batch are one insert. What is
stored is the same, which a test compares. Batching is on only with ``DAGSTER_EVENT_BATCH_SIZE``.

It leans on private methods, so batching is used with the versions it was written against and stock
code otherwise. Does not belong here: where the database is (``instance``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import dagster
import dagster_postgres
from dagster import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Engine, create_engine

WRITTEN_AGAINST = ("1.13.27", "0.29.27")
BATCHED = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}

_LOG = logging.getLogger(__name__)


def known_versions() -> bool:
    """Whether the installed Dagster is the one whose private methods are used here."""
    return (dagster.__version__, dagster_postgres.__version__) == WRITTEN_AGAINST


def pooled_engine(url: str) -> Engine:
    """A small pool in autocommit mode, each connection checked before use."""
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=2,
        max_overflow=8,
        pool_pre_ping=True,
        pool_recycle=1800,
    )


class PooledEventLogStorage(PostgresEventLogStorage):
    """The stock event log on a pool; a batch of asset events is one insert whatever its types."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that belong together; see the base class."""
        kinds = {event.get_dagster_event().event_type for event in events}
        if not events or not kinds <= BATCHED or not known_versions():
            super().store_event_batch(events)
            return
        statement = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
        with self._connect() as conn:
            ids = [int(row[0]) for row in conn.execute(statement)]
        about_assets = [
            (event, event_id)
            for event, event_id in zip(events, ids, strict=True)
            if event.dagster_event_type != DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        ]
        if about_assets:
            # the asset's own row shows its last event only, so one write per asset will do
            newest = {event.get_dagster_event().asset_key: (event, i) for event, i in about_assets}
            with self.index_transaction() as conn:
                self._store_asset_event_tags(
                    conn, [e for e, _ in about_assets], [i for _, i in about_assets]
                )
                for key in sorted(newest, key=str):  # one order for all writers: no deadlock
                    self._store_asset_event(conn, *newest[key])
        for event, event_id in zip(events, ids, strict=True):
            if event.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                self.store_asset_check_event(event, event_id)


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
        self._run_storage = PostgresRunStorage(postgres_url, should_autocreate_tables)
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
        super().dispose()
        self._pool.dispose()
