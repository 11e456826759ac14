"""Alembic's entry: runs on the connection that ``storage.migrate`` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="ops",
    include_schemas=True,
    transactional_ddl=True,
)
context.run_migrations()
