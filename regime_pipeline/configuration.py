"""Every setting as a row: its variables, unit, default and meaning, and where its value came from.

Belongs here: reading :class:`~regime_pipeline.settings.Settings` as a list, for ``regime settings``,
``docs/settings.md`` and ``.env.example``, and variables that nothing reads. Does not belong here: what a
setting is (``settings``, ``connections``). After a change there ``python -m
regime_pipeline.configuration`` writes the two files again; a test tells when that was forgotten.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import DotEnvSettingsSource

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.settings import Settings, environment_names

ROOT = Path(__file__).resolve().parents[1]
PAGE_PATH = ROOT / "docs" / "settings.md"
EXAMPLE_PATH = ROOT / ".env.example"

GENERAL, PROVIDERS, REQUESTS, ALERTS = "General", "Providers", "Requests", "Alerts"
GROUPS = (GENERAL, ALERTS, PROVIDERS, REQUESTS)
"""Groups in the order of the page; the thresholds of ``Params`` follow, a group each."""
RECEIVERS = "WEBHOOKS_..."
"""Stands for all variables that name receivers of alerts: their endings are the types of events."""

_UNITS = {
    "s": "s", "hours": "h", "days": "d", "bytes": "bytes", "usd": "USD", "frac": "fraction",
    "pct": "%", "8h": "fraction per 8 h", "mads": "MAD", "ratio": "ratio", "drop": "fraction",
    "multipliers": "factor", "caps": "fraction", "elsewhere": "fraction", "borders": "ratio",
    "z": "standard deviations",
}  # fmt: skip
_SPACED = re.compile(r",(?=\S)")
_ELSEWHERE = ("REGIME_CRASH_AT", "REGIME_MARKET_HISTORY", "REGIME_PAYLOADS")
_ELSEWHERE_PREFIXES = ("REGIME_PG_", "REGIME_DAGSTER_", "REGIME_WINDOW_", "REGIME_TEST_")
"""Variables that are no settings: commands set them for the programs they start, tests read them."""


@dataclass(frozen=True)
class Setting:
    """One thing that can be set.

    Attributes:
        path: field of the settings, nested ones with dots.
        variables: names it is read by, the one to write first.
        group: heading it stands under.
        unit: of its value; null where it is a name, a text or a count.
        default: as it would be written; null when unset by default.
        about: what it decides.
        is_secret: its value is never shown.
    """

    path: str
    variables: tuple[str, ...]
    group: str
    unit: str | None
    default: str | None
    about: str
    is_secret: bool


@dataclass(frozen=True)
class Value:
    """A setting as it stands.

    Attributes:
        setting: what it is.
        value: as it would be written; ``set`` for a secret; null when unset.
        origin: ``environment``, ``file`` or ``default``.
        variable: the variable it was read from; null for a default.
    """

    setting: Setting
    value: str | None
    origin: str
    variable: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        mine = {"value": self.value, "origin": self.origin, "read_from": self.variable}
        return asdict(self.setting) | mine


@dataclass(frozen=True)
class Unknown:
    """A variable that looks like a setting and is none.

    Attributes:
        variable: its name.
        origin: ``environment`` or ``file``.
        nearest: the setting that was probably meant; null when none is near.
    """

    variable: str
    origin: str
    nearest: str | None

    @property
    def line(self) -> str:
        """One line for a person."""
        meant = f"; {self.nearest} was meant?" if self.nearest else ""
        return f"{self.variable} ({self.origin}) is no setting and has no effect{meant}"


def declared() -> list[Setting]:
    """All settings, in the order of their groups."""
    rows: list[Setting] = []
    for name, field in Settings.model_fields.items():
        if name == "params":
            rows += list(_thresholds())
        elif name == "webhooks":
            rows.append(Setting(name, (RECEIVERS,), ALERTS, None, None, _about(field), True))
        else:
            rows.append(_row(name, environment_names(name), _group(name), field))
    order = (*GROUPS, *dict.fromkeys(r.group for r in rows if r.group not in GROUPS))
    return sorted(rows, key=lambda row: order.index(row.group))


def _thresholds() -> Iterator[Setting]:
    sections = Settings.model_fields["params"].default
    for section in type(sections).model_fields:
        model = type(getattr(sections, section))
        group = f"Thresholds: {(model.__doc__ or section).partition('.')[0]}"
        for name, field in model.model_fields.items():
            variable = f"REGIME_PARAMS__{section}__{name}".upper()
            yield _row(f"params.{section}.{name}", (variable,), group, field)


def _group(name: str) -> str:
    if any(name in (row.url_setting, row.key_setting) for row in CONNECTIONS.values()):
        return PROVIDERS
    if name.startswith("webhook"):
        return ALERTS
    return REQUESTS if name.startswith(("http_", "dashboard_")) else GENERAL


def _row(path: str, variables: tuple[str, ...], group: str, field: FieldInfo) -> Setting:
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    if unit is None:
        words = path.rpartition(".")[2].split("_")
        unit = next((_UNITS[w] for w in reversed(words) if w in _UNITS), None)
    default = field.get_default(call_default_factory=True, validated_data={})
    is_secret = "SecretStr" in str(field.annotation)
    return Setting(
        path, variables, group, None if unit is None else str(unit), written(default),
        _about(field), is_secret,
    )  # fmt: skip


def _about(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def written(value: object) -> str | None:
    """A value as it is written in the environment; secrets are ``set``, null is null."""
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return "set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and all(isinstance(v, str) for v in value):
        return ",".join(value)
    if isinstance(value, (tuple, dict)):
        return json.dumps(value)
    return str(value)


def values(
    settings: Settings, environment: Mapping[str, str], file: Mapping[str, str | None]
) -> list[Value]:
    """Every setting with its value and where that came from.

    Args:
        settings: as they were read.
        environment: variables of the process; they win over the file.
        file: variables of the ``.env`` file.
    """
    places = {
        "environment": {k.upper() for k in environment},
        "file": {k.upper() for k, v in file.items() if v is not None},
    }
    return [_value(row, settings, places) for row in declared()]


def _value(row: Setting, settings: Settings, places: Mapping[str, set[str]]) -> Value:
    if row.variables == (RECEIVERS,):
        given = sorted(settings.webhooks)
        where = next((o for o, names in places.items() if names & set(given)), "default")
        return Value(row, ", ".join(given) or None, where, None)
    value: Any = settings
    for part in row.path.split("."):
        value = getattr(value, part)
    text = written(value)
    for origin, names in places.items():
        for variable in (*row.variables, *_parents(row)):
            if variable in names and (variable in row.variables or text != row.default):
                return Value(row, text, origin, variable)
    return Value(row, text, "default", None)


def _parents(row: Setting) -> tuple[str, ...]:
    """Variables that set a whole section of thresholds at once, as JSON."""
    parts = row.variables[0].split("__")
    return tuple("__".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))


def unknown(environment: Mapping[str, str], file: Mapping[str, str | None]) -> list[Unknown]:
    """Variables ``REGIME_...`` that nothing reads, each with the nearest one that is read."""
    rows = declared()
    known = {v for row in rows for v in (*row.variables, *_parents(row))}
    found = {name.upper(): "file" for name in file} | {
        name.upper(): "environment" for name in environment
    }
    out = []
    for name, origin in sorted(found.items()):
        is_other = name in _ELSEWHERE or name.startswith(_ELSEWHERE_PREFIXES)
        if not name.startswith("REGIME_") or name in known or is_other or _is_inside(name, rows):
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        out.append(Unknown(name, origin, near[0] if near else None))
    return out


def _is_inside(name: str, rows: list[Setting]) -> bool:
    """Whether it sets one entry of a mapping, as ``REGIME_PARAMS__FUTURES__WEIGHTS_PCT__FUNDING``."""
    mappings = [v for row in rows if (row.default or "").startswith("{") for v in row.variables]
    return any(name.startswith(f"{variable}__") for variable in mappings)


def file_variables(path: Path | None = None) -> Mapping[str, str | None]:
    """The variables of a file, by default the ``.env`` that settings are read from; none without one."""
    return DotEnvSettingsSource(
        Settings, env_file=path or Settings.model_config["env_file"]
    ).env_vars


def as_they_stand(settings: Settings) -> tuple[list[Value], list[Unknown]]:
    """Values and unknown variables of this process and the ``.env`` of its folder."""
    file = file_variables()
    return values(settings, os.environ, file), unknown(os.environ, file)


def page() -> str:
    """``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "<!-- Generated from regime_pipeline/settings.py; edit that and run `make docs`. -->",
        "",
        "A variable of the environment, or a line in a file `.env` in the folder where the command is "
        "run; the environment wins. `.env.example` is a file to begin with. `regime settings` prints "
        "what is in force, where each value came from, and variables that nothing reads. Names may be "
        "written in lower case. Lists are written with commas, mappings as JSON. Nothing has to be "
        "set.",
    ]
    group = ""
    for row in declared():
        if row.group != group:
            group = row.group
            head = ["| variable | default | unit | what it decides |", "|---|---|---|---|"]
            lines += ["", f"## {group}", "", *head]
        names = "<br>".join(f"`{v}`" for v in row.variables)
        cells = (
            names,
            "" if row.default is None else f"`{_SPACED.sub(', ', row.default)}`",
            row.unit or "",
            row.about + (" (secret)" if row.is_secret else ""),
        )
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def example() -> str:
    """``.env.example``: every setting as a comment with its default."""
    lines = [
        "# Copy to .env and take the mark away from what you set. Generated by `make docs`; what each",
        "# means, with units: docs/settings.md. What is in force: regime settings",
    ]
    group = ""
    for row in declared():
        if row.group != group:
            group = row.group
            lines += ["", f"# {group}"]
        name = "WEBHOOKS_ALL" if row.variables == (RECEIVERS,) else row.variables[0]
        default = row.default or ""
        quoted = f"'{default}'" if default.startswith(("{", "[")) else default
        lines.append(f"# {name}={quoted}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE_PATH.write_text(page(), encoding="utf-8")
    EXAMPLE_PATH.write_text(example(), encoding="utf-8")
