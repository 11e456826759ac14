"""Alembic's entry: runs on the connection that ``storage.migrate`` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from regime_pipeline.catalogue.sql import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="schema_version",
    version_table_schema="ops",
    include_schemas=True,
    transactional_ddl=True,
)
context.run_migrations()
