"""YAML of the dbt project: contracts and tests of the marts, descriptions of the staging models.

Belongs here: turning ``catalogue.marts`` and the columns that staging models select into dbt's YAML. The
text is checked in, a test fails when it differs; after a change of a mart or a staging model run
``make docs``. Does not belong here: what is said neither of a mart nor of a column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from regime_pipeline.catalogue.fields.common import USABLE
from regime_pipeline.catalogue.marts import BUILT, MARTS
from regime_pipeline.catalogue.model import Field, Kind, Mart, meaning
from regime_pipeline.catalogue.registry import FIELDS
from regime_pipeline.catalogue.sql import SQL_NAMES

MODELS = Path(__file__).resolve().parents[2] / "dbt_project" / "models"
MARTS_PATH = MODELS / "marts" / "marts.yml"
"""Where dbt reads what its marts are."""
STAGING_PATH = MODELS / "staging" / "staging.yml"
"""Where dbt reads what its staging models are."""
READ = re.compile(r"source\(\s*['\"](\w+)['\"]\s*,\s*['\"](\w+)['\"]\s*\)")
"""A stored table that a model reads: schema and name."""

_SELECTED = re.compile(r"^select\s(.*?)\sfrom\s", re.DOTALL | re.MULTILINE)
_ADDED = {
    "other": replace(FIELDS["symbol_b"], name="other", description="The other symbol of the pair."),
    "unit": next(c for c in MARTS["open_interest_ohlc"].columns if c.name == "unit"),
}
"""Columns that a staging model makes, and no stored table has."""

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


def staging_yaml(generated: str, folder: Path = STAGING_PATH.parent) -> str:
    """The text of ``staging.yml``: each staging model, its columns as the catalogue describes them.

    Args:
        generated: the first line's remark.
        folder: the models; the comment that one opens with is its description.

    Raises:
        KeyError: a model selects a column that nothing describes.
        ValueError: what a model selects cannot be told from its text.
    """
    lines = [f"# {generated}", "version: 2", "", "models:"]
    for path in sorted(folder.glob("*.sql")):
        lines += _staged(path)
    return "\n".join(lines) + "\n"


def _staged(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    selected, read = _SELECTED.search(text), READ.search(text)
    if selected is None or read is None:
        raise ValueError(f"{path.name} selects no columns of a source")
    said = " ".join(n.removeprefix("--").strip() for n in text.splitlines() if n.startswith("--"))
    table = ".".join(read.groups())
    about = f"{said[:1].upper()}{said[1:]}." if said else "What marts read of it, row by row."
    yield f"  - name: {path.stem}"
    yield f"    description: {quoted(f'`{table}`. {about}')}"
    yield "    columns:"
    for part in selected[1].split(","):
        name = part.split()[-1].rpartition(".")[2]
        column = _ADDED.get(name) or FIELDS[name]
        yield f"      - name: {name}"
        yield f"        data_type: {SQL_NAMES[column.kind]}"
        yield f"        description: {quoted(meaning(column))}"


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
