"""The relations of the schema ``reporting``, each described once: key, columns, grain, what it reads.

A mart is a view over stored tables, made and kept by the migration of a database, or a table that a
model of the dbt project of its name fills. From the descriptions come the views, the functions that
answer as of a moment, comments, the contracts and tests of dbt (``models/marts/marts.yml``) and the page
of marts. Does not belong here: SQL of dbt models, stored tables (``catalogue.tables``).
"""

from __future__ import annotations

from types import MappingProxyType

from regime_pipeline.catalogue.marts import (
    askable,
    events,
    health,
    live,
    models,
    research,
    series,
    state,
)
from regime_pipeline.catalogue.model import Cadence, Mart
from regime_pipeline.catalogue.registry import TABLES


def _gather() -> dict[str, Mart]:
    marts: dict[str, Mart] = {}
    described = (
        *state.MARTS,
        *series.MARTS,
        *research.MARTS,
        *models.MARTS,
        *events.MARTS,
        *health.MARTS,
        *live.MARTS,
    )
    lists = (askable.listed(described), health.versions(described), *health.restated())
    for mart in (*described, *lists):
        named = {*mart.key, *mart.required, *mart.present, *mart.present.values()}
        named |= {c for of in mart.indexes for c in of} | {mart.time_column or mart.key[0]}
        if mart.name in marts or len(set(mart.names)) != len(mart.names):
            raise ValueError(f"{mart.full_name}: described twice, or a column is")
        if named - set(mart.names):
            raise ValueError(
                f"{mart.full_name}: {sorted(named - set(mart.names))} are no columns of it"
            )
        marts[mart.name] = mart
    return marts


MARTS = MappingProxyType(_gather())
"""Every mart by name."""
VIEWS = tuple(m for m in MARTS.values() if m.query is not None)
"""Marts that are views over stored tables."""
BUILT = tuple(m for m in MARTS.values() if m.query is None)
"""Marts that dbt builds."""
TRAVELLING = tuple(
    m for m in VIEWS if m.reads and all(t in TABLES and TABLES[t].partitioned for t in m.reads)
)
"""Views over tables that keep replaced versions, so that any past answer can be given again."""
HOURLY = tuple(
    m
    for m in VIEWS
    if m.reads and all(t in TABLES and TABLES[t].cadence is Cadence.HOURLY for t in m.reads)
)
"""Views that owe a row of every closed hour."""
DATED = tuple(m for m in VIEWS if m.past is not None)
"""Views whose rows say themselves when each thing was known."""
WITH_PAST = (*TRAVELLING, *DATED, *(m for m in BUILT if m.has_past))
"""Marts that can be asked for as they were known at an instant, by ``reporting.<mart>_as_of``."""
READ_BY_VIEWS = frozenset(t for m in VIEWS for t in m.reads)
"""Stored tables whose changes change a view."""
READ_IN_ORDER = tuple(
    dict.fromkeys(
        (name, m.time_column)
        for m in VIEWS
        for name in m.reads
        if m.time_column is not None and name in TABLES and m.time_column in TABLES[name].fields
    )
)
"""Stored tables and the column by which a view over them is read, newest rows first."""
