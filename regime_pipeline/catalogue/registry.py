"""All fields and tables, gathered and checked against each other once at import."""

from __future__ import annotations

from types import MappingProxyType

from regime_pipeline.catalogue import fields as _fields
from regime_pipeline.catalogue import tables as _tables
from regime_pipeline.catalogue.model import Field, Table


def _gather() -> tuple[dict[str, Field], dict[str, Table]]:
    fields: dict[str, Field] = {}
    for group in _fields.GROUPS:
        for field in group:
            if field.name in fields:
                raise ValueError(f"field described twice: {field.name}")
            fields[field.name] = field
    tables: dict[str, Table] = {}
    for table_group in _tables.GROUPS:
        for item in table_group:
            unknown = [f for f in item.fields if f not in fields]
            if unknown or item.full_name in tables or len(set(item.fields)) != len(item.fields):
                raise ValueError(f"{item.full_name}: undescribed or repeated columns {unknown}")
            named = {*item.key, *item.required, *item.bookkeeping, item.main or item.key[0]}
            missing = named - set(item.fields)
            if missing:
                raise ValueError(f"{item.full_name}: {sorted(missing)} are no columns of it")
            tables[item.full_name] = item
    return fields, tables


_F, _T = _gather()
FIELDS = MappingProxyType(_F)
"""Every column of the system by name."""
TABLES = MappingProxyType(_T)
"""Every stored table by ``schema.name``."""


def table(full_name: str) -> Table:
    """The table called ``schema.name``.

    Raises:
        KeyError: there is no such table; the message lists the near ones.
    """
    try:
        return TABLES[full_name]
    except KeyError:
        near = [t for t in TABLES if t.split(".")[-1][:5] == full_name.split(".")[-1][:5]]
        raise KeyError(f"no table {full_name!r} in the catalogue; near: {near}") from None
