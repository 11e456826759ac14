"""Documents derived from the catalogue: what dbt reads of sources and models, the data dictionary.

Belongs here: turning fields and tables into text that other people and tools read. The text is
checked in, and a test fails when it differs from what the catalogue gives; after a change of the
catalogue run ``python -m regime_pipeline.catalogue.documents``. Nothing is described here that is
not a field or a table, apart from how old a source may be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from regime_pipeline.catalogue.dbt_contracts import (
    MARTS_PATH,
    READ,
    STAGING_PATH,
    marts_yaml,
    quoted,
    staging_yaml,
)
from regime_pipeline.catalogue.fields.signals import FACTORS
from regime_pipeline.catalogue.marts import MARTS, WITH_PAST
from regime_pipeline.catalogue.model import Field, Table, meaning
from regime_pipeline.catalogue.registry import FIELDS, TABLES, table
from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.catalogue.sql import SQL_NAMES

ROOT = Path(__file__).resolve().parents[2]
DBT_PROJECT = ROOT / "dbt_project"
SOURCES_PATH = DBT_PROJECT / "models" / "sources" / "sources.yml"
"""Where dbt reads its sources."""
MARTS_PAGE_PATH = ROOT / "docs" / "marts.md"
"""Where people read what every mart is."""
DICTIONARY_PATH = ROOT / "docs" / "data-dictionary.md"
"""Where people read what every column means."""

FRESHNESS: dict[str, tuple[int, int]] = {
    "market.candles_1h": (3, 24),
    "market.liquidations_1h": (3, 24),
    "market.open_interest": (3, 24),
    "market.funding": (12, 24),
}
"""Hours after which ``dbt source freshness`` warns and fails, for the tables that drive the rest."""

_GENERATED = "Generated from regime_pipeline/catalogue; edit that and run `make docs`."


def _by_schema(names: Iterable[str] = TABLES) -> dict[str, list[Table]]:
    groups: dict[str, list[Table]] = {}
    for item in (TABLES[name] for name in names):
        groups.setdefault(item.schema, []).append(item)
    return groups


def _source_table(item: Table) -> list[str]:
    lines = [
        f"      - name: {item.name}",
        f"        description: {quoted(item.description)}",
        "        config:",
        "          meta:",
        f"            dagster: {{asset_key: [{item.schema}, {item.name}]}}",
        f"            primary_key: [{', '.join(item.key)}]",
    ]
    if item.full_name in FRESHNESS:
        warn, fail = FRESHNESS[item.full_name]
        lines += [
            f"          loaded_at_field: {item.time_column} + interval '1 hour'",
            "          freshness:",
            f"            warn_after: {{count: {warn}, period: hour}}",
            f"            error_after: {{count: {fail}, period: hour}}",
            f"            filter: {item.time_column} > current_timestamp - interval '14 days'",
        ]
    lines.append("        columns:")
    for name in item.fields:
        field = FIELDS[name]
        lines += [
            f"          - name: {name}",
            f"            data_type: {SQL_NAMES[field.kind]}",
            f"            description: {quoted(meaning(field))}",
        ]
    return lines


def tables_read(project: Path = DBT_PROJECT) -> list[str]:
    """The tables of the catalogue that models read or whose age dbt watches, in catalogue order.

    Raises:
        KeyError: a model reads a table that the catalogue doesn't have.
    """
    read = {
        ".".join(found)
        for path in sorted((project / "models").rglob("*.sql"))
        for found in READ.findall(path.read_text(encoding="utf-8"))
    }
    for name in read:
        table(name)
    return [name for name in TABLES if name in read or name in FRESHNESS]


def sources_yaml() -> str:
    """``sources.yml`` of the dbt project: one source per schema, the tables that its models read.

    Every table carries the Dagster asset key ``[schema, name]``, so that lineage joins.
    """
    lines = [f"# {_GENERATED}", "version: 2", "", "sources:"]
    for schema, tables in _by_schema(tables_read()).items():
        lines += [
            f"  - name: {schema}",
            f"    schema: {schema}",
            f"    description: {quoted(SCHEMAS[schema].description)}",
            "    tables:",
        ]
        for item in tables:
            lines += _source_table(item)
    return "\n".join(lines) + "\n"


def _bounds(field: Field) -> str:
    if field.allowed:
        return ", ".join(f"`{v}`" for v in field.allowed)
    if field.minimum is None and field.maximum is None:
        return ""
    low = "" if field.minimum is None else f"{field.minimum:g}"
    high = "" if field.maximum is None else f"{field.maximum:g}"
    if not high:
        return f"{'>' if field.exclusive_minimum else '≥'} {low}"
    if not low:
        return f"≤ {high}"
    return f"{low} … {high}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _dictionary_table(item: Table) -> list[str]:
    lines = [
        f"### `{item.full_name}`",
        "",
        item.description,
        "",
        f"Key: {', '.join(f'`{k}`' for k in item.key)}. Time column: `{item.time_column}`."
        + (" Monthly partitions." if item.partitioned else "")
        + (
            f" Replaced versions are kept in `{item.full_name}_revisions`."
            if item.partitioned
            else ""
        ),
        "",
        "| column | type | null | unit | values | meaning |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    named = (FIELDS[name] for name in item.fields)
    return [*lines, *_dictionary_columns(named, {*item.key, *item.required}), ""]


def _dictionary_columns(fields: Iterable[Field], never_null: Collection[str]) -> list[str]:
    lines = []
    for field in fields:
        text = field.description + (f" ({field.source})" if field.source else "")
        cells = (
            f"`{field.name}`",
            SQL_NAMES[field.kind].replace("timestamp with time zone", "timestamptz"),
            "" if field.name in never_null else "yes",
            field.unit or "",
            _bounds(field),
            text,
        )
        lines.append("| " + " | ".join(_cell(c) for c in cells) + " |")
    return lines


def marts_page() -> str:
    """The marts in Markdown: what each answers, its key, where it comes from, its columns."""
    lines = [
        "# Marts",
        "",
        f"<!-- {_GENERATED} -->",
        "",
        "Every relation of the schema `reporting`; [reporting.md](reporting.md) says how to ask. `as of`: "
        "`reporting.<mart>_as_of(t)` gives what it said at the instant `t`.",
        "",
        "| mart | one row per | as of | made from |",
        "| --- | --- | --- | --- |",
    ]
    for mart in MARTS.values():
        reads = ", ".join(f"`{t}`" for t in mart.reads[:3]) + (
            " ..." if len(mart.reads) > 3 else ""
        )
        cells = (
            f"[`{mart.name}`](#{mart.name})",
            ", ".join(mart.key),
            "yes" if mart in WITH_PAST else f"no: {mart.why_no_past}",
            f"view of {reads or 'the catalogue'}" if mart.query else f"dbt model `{mart.name}`",
        )
        lines.append("| " + " | ".join(_cell(c) for c in cells) + " |")
    for mart in MARTS.values():
        lines += [
            "",
            f"## {mart.name}",
            "",
            mart.description,
            "",
            "| column | type | null | unit | values | meaning |",
            "| --- | --- | --- | --- | --- | --- |",
            *_dictionary_columns(mart.columns, {*mart.key, *mart.required}),
        ]
    return "\n".join(lines) + "\n"


def data_dictionary() -> str:
    """The data dictionary in Markdown: every schema, table and column."""
    lines = [
        "# Data dictionary",
        "",
        f"<!-- {_GENERATED} -->",
        "",
        "Every table that the pipeline writes. The schema `reporting` is made of them: "
        "[marts.md](marts.md) lists it, [reporting.md](reporting.md) explains it.",
        "",
        "Conventions: `ts` is the UTC open of a bar or the time of an event; a row decides at "
        "`ts + 1h`. What is not known is null, with `status` and `reason` beside it; 0 always means "
        "an observed zero. The statuses `ok` and `partial` can be used, all others mean that the "
        "row's main value is null. `source_tier` is the worst origin among the inputs, "
        "`method_version` names the definition and its thresholds. `ingested_at`, `revision` and "
        "`run_id` say when and how a version of a row came.",
        "",
        f"Factors of the futures score, in table order: {', '.join(FACTORS)}.",
        "",
    ]
    groups = _by_schema()
    for schema, tables in groups.items():
        names = ", ".join(f"[`{t.name}`](#{t.schema}{t.name})" for t in tables)
        lines.append(f"- **{schema}**: {names}")
    lines.append("")
    for schema, tables in groups.items():
        lines += [f"## {schema}", "", SCHEMAS[schema].description, ""]
        for item in tables:
            lines += _dictionary_table(item)
    return "\n".join(lines).rstrip("\n") + "\n"


def write_sources(path: Path = SOURCES_PATH) -> None:
    """Write dbt's ``sources.yml``."""
    path.write_text(sources_yaml(), encoding="utf-8")


def write_data_dictionary(path: Path = DICTIONARY_PATH) -> None:
    """Write the data dictionary."""
    path.write_text(data_dictionary(), encoding="utf-8")


def write_marts(path: Path = MARTS_PATH) -> None:
    """Write dbt's ``marts.yml``."""
    path.write_text(marts_yaml(_GENERATED), encoding="utf-8")


def write_staging(path: Path = STAGING_PATH) -> None:
    """Write dbt's ``staging.yml``."""
    path.write_text(staging_yaml(_GENERATED), encoding="utf-8")


def write_marts_page(path: Path = MARTS_PAGE_PATH) -> None:
    """Write the page of marts."""
    path.write_text(marts_page(), encoding="utf-8")


if __name__ == "__main__":
    write_sources()
    write_marts_page()
    write_marts()
    write_staging()
    write_data_dictionary()
