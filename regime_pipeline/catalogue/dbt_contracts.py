"""``marts.yml`` of the dbt project: contracts, tests and descriptions of the marts that dbt builds.

Belongs here: turning ``catalogue.marts`` into dbt's YAML. The text is checked in, a test fails when it
differs; after a change of a mart run ``make docs``. Does not belong here: what is not said of a mart.
"""

from __future__ import annotations

from pathlib import Path

from regime_pipeline.catalogue.fields.common import USABLE
from regime_pipeline.catalogue.marts import BUILT
from regime_pipeline.catalogue.model import Field, Kind, Mart, meaning
from regime_pipeline.catalogue.sql import SQL_NAMES

MARTS_PATH = Path(__file__).resolve().parents[2] / "dbt_project" / "models" / "marts" / "marts.yml"
"""Where dbt reads what its marts are."""

_NOT_SYNTHETIC = (
    "source_tier < 9 or (select i.origin from ops.database_identity as i) = 'simulated'"
)
"""Generated numbers are never taken for the market's."""


def quoted(text: str) -> str:
    """A YAML double-quoted scalar; texts hold no ``{{``, which dbt would render."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def rules(mart: Mart) -> dict[str, str]:
    """Conditions that hold in every row of a mart, by name; unknown counts as held.

    They follow from the values that columns may have, from the statuses beside them, and from the
    mart's own rules.
    """
    usable = ", ".join(f"'{s}'" for s in USABLE)
    out: dict[str, str] = {}
    for column in mart.columns:
        if column.allowed:
            values = ", ".join(f"'{v}'" for v in column.allowed)
            out[f"{column.name}_is_known"] = f"{_named(column.name)} in ({values})"
        bounds = _bounds(column)
        if bounds:
            out[f"{column.name}_in_bounds"] = bounds
    for value, status in mart.present.items():
        out[f"{value}_iff_{status}"] = (
            f"case when {status} = 'ok' then {value} is not null "
            f"when {status} in ({usable}) then true else {value} is null end"
        )
    if "source_tier" in mart.names:
        out["synthetic_only_where_simulated"] = _NOT_SYNTHETIC
    return out | dict(mart.rules)


def marts_yaml(generated: str) -> str:
    """The file's text; ``generated`` is its first line's remark."""
    lines = [f"# {generated}", "version: 2", "", "models:"]
    for mart in BUILT:
        lines += _model(mart)
    return "\n".join(lines) + "\n"


def _named(column: str) -> str:
    return f'"{column}"' if column == "interval" else column


def _bounds(column: Field) -> str:
    low, high = column.minimum, column.maximum
    parts = [] if low is None else [f"{column.name} >= {low:g}"]
    parts += [] if high is None else [f"{column.name} <= {high:g}"]
    if column.kind is Kind.FLOAT and parts and high is None:
        parts.append(f"{column.name} < 'Infinity'")  # NaN is larger than every number
    return " and ".join(parts)


def _model(mart: Mart) -> list[str]:
    lines = [
        f"  - name: {mart.name}",
        f"    description: {quoted(mart.description)}",
        "    config:",
        "      meta:",
        f"        dagster: {{asset_key: [reporting, {mart.name}]}}",
    ]
    if mart.has_past:
        lines.append("        has_past: true")
    if mart.indexes:
        lines.append("      indexes:")
        lines += [f"        - {{columns: [{', '.join(of)}]}}" for of in mart.indexes]
    lines += [
        "    constraints:",
        f"      - {{type: primary_key, columns: [{', '.join(mart.key)}]}}",
        "    data_tests:",
        "      - keeps_its_rules:",
        f"          name: {mart.name}_keeps_its_rules",
        "          arguments:",
        f"            key: [{', '.join(mart.key)}]",
        "            rules:",
    ]
    lines += [f"              {name}: {quoted(text)}" for name, text in rules(mart).items()]
    if mart.time_column:
        lines.append(f"            time_column: {mart.time_column}")
    lines.append("    columns:")
    for column in mart.columns:
        lines += [
            f"      - name: {column.name}",
            f"        data_type: {SQL_NAMES[column.kind]}",
            f"        description: {quoted(meaning(column))}",
        ]
        if column.name in mart.key or column.name in mart.required:
            lines.append("        constraints: [{type: not_null}]")
    return lines
