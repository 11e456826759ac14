"""The read API over the reporting marts: endpoints as data, one contract for all of them.

Belongs here: HTTP, parameters, the envelope, problems, formats, the OpenAPI document, tools for agents.
Everything is read as the role ``regime_api``. Does not belong here: SQL of marts (``catalogue.marts``,
the dbt project), pages for people (``dashboard``). Light: no pandas, pyarrow, dagster or dbt.
"""
