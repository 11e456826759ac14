"""Alembic environment of the project's schemas; driven by ``storage.migrate``."""
