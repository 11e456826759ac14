"""SQLAlchemy tables derived from the catalogue: types, keys, NOT NULL, finite and bound CHECKs.

``METADATA`` is what migrations are compared with; it holds each table and, for windowed tables, its
``_revisions`` twin, which keeps replaced versions with their validity interval.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Text,
)
from sqlalchemy import (
    Table as SqlTable,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from regime_pipeline.catalogue.marts import READ_IN_ORDER
from regime_pipeline.catalogue.model import Field, Kind, Table
from regime_pipeline.catalogue.registry import FIELDS, TABLES

SQL_TYPES: dict[Kind, TypeEngine] = {
    Kind.TIMESTAMP: DateTime(timezone=True),
    Kind.FLOAT: Float(53),
    Kind.INTEGER: BigInteger(),
    Kind.BOOLEAN: Boolean(),
    Kind.TEXT: Text(),
    Kind.JSON: postgresql.JSONB(),
    Kind.FLOATS: postgresql.JSONB(),
}

SQL_NAMES: dict[Kind, str] = {
    **{kind: type_.compile(postgresql.dialect()).lower() for kind, type_ in SQL_TYPES.items()},
    Kind.FLOAT: "double precision",
}
"""The same types as PostgreSQL shows them."""


def _checks(field: Field) -> list[str]:
    """Conditions that keep NaN and infinity out too: in PostgreSQL ``NaN > 0`` is true."""
    name = f'"{field.name}"'
    out: list[str] = []
    if field.kind is Kind.FLOAT:
        low = "'-Infinity'" if field.minimum is None else repr(float(field.minimum))
        high = "'Infinity'" if field.maximum is None else repr(float(field.maximum))
        left = ">" if field.minimum is None or field.exclusive_minimum else ">="
        right = "<" if field.maximum is None else "<="
        out.append(f"{name} {left} {low} AND {name} {right} {high}")
    elif field.kind is Kind.INTEGER:
        if field.minimum is not None:
            out.append(f"{name} >= {int(field.minimum)}")
        if field.maximum is not None:
            out.append(f"{name} <= {int(field.maximum)}")
    if field.allowed is not None:
        values = ", ".join("'" + v.replace("'", "''") + "'" for v in field.allowed)
        out.append(f"{name} IN ({values})")
    return out


def _columns(table: Table) -> list[Column]:
    return [
        Column(
            name,
            SQL_TYPES[FIELDS[name].kind],
            nullable=name not in table.key and name not in table.required,
            comment=FIELDS[name].description,
        )
        for name in table.fields
    ]


def _constraints(table: Table) -> list[CheckConstraint]:
    out = [
        CheckConstraint(text, name=f"{table.name}_{name}_ck{i}")
        for name in table.fields
        for i, text in enumerate(_checks(FIELDS[name]))
    ]
    out += [
        CheckConstraint(rule, name=f"{table.name}_rule{i}") for i, rule in enumerate(table.rules)
    ]
    return out


def _indexes(table: Table) -> list[tuple[str, ...]]:
    """Those that the table names, and those by which reports show its newest rows of all symbols."""
    asked = [(column,) for name, column in READ_IN_ORDER if name == table.full_name]
    return [*table.indexes, *(of for of in asked if of not in table.indexes)]


def _build() -> MetaData:
    metadata = MetaData()
    for table in TABLES.values():
        options: dict[str, Any] = (
            {"postgresql_partition_by": f"RANGE ({table.time_column})"} if table.partitioned else {}
        )
        SqlTable(
            table.name,
            metadata,
            *_columns(table),
            PrimaryKeyConstraint(*table.key, name=f"{table.name}_pk"),
            *_constraints(table),
            *[Index(f"{table.name}_{'_'.join(of)}_ix", *of) for of in _indexes(table)],
            schema=table.schema,
            comment=table.description,
            **options,
        )
        if table.partitioned:
            SqlTable(
                f"{table.name}_revisions",
                metadata,
                *[
                    Column(c.name, c.type, nullable=c.name not in (*table.key, "revision"))
                    for c in _columns(table)
                ],
                Column(
                    "superseded_at",
                    DateTime(timezone=True),
                    nullable=False,
                    comment="When the version stopped being the newest; it began at ingested_at.",
                ),
                PrimaryKeyConstraint(*table.key, "revision", name=f"{table.name}_revisions_pk"),
                schema=table.schema,
                comment=f"Replaced versions of {table.full_name}.",
            )
    return metadata


METADATA = _build()
"""All tables of the catalogue as SQLAlchemy knows them."""


def sql_table(table: Table) -> SqlTable:
    """The SQLAlchemy table of a catalogue table."""
    return METADATA.tables[table.full_name]
