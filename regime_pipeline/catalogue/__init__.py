"""The only description of columns and tables; everything else that describes them is derived.

``fields`` says once what a column is (type, unit, bounds, meaning, source); ``tables`` says which
columns make a table, its key, its layer and its time column; ``datasets`` says what a raw dataset is in
time and whose value is its primary one. From fields and tables come the pandera schema
checked before every write (``frames``), the SQLAlchemy tables and their CHECKs (``sql``), Dagster
column metadata (``orchestration``), dbt ``sources.yml`` and the data dictionary (``documents``).
"""

from __future__ import annotations

from regime_pipeline.catalogue.model import Cadence, Field, Kind, Table
from regime_pipeline.catalogue.registry import FIELDS, TABLES, table

__all__ = ["FIELDS", "TABLES", "Cadence", "Field", "Kind", "Table", "table"]
