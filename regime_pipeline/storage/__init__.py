"""PostgreSQL: the embedded server, databases and their identity, schema versions, tables, roles.

Everything that reads or writes rows goes through :class:`~regime_pipeline.storage.warehouse.Warehouse`.
Does not belong here: what rows mean, when to write them, and anything of Dagster.
"""
