"""Markup: the templates, and what all of them can call.

Belongs here: making HTML of what a page shows. Does not belong here: what it shows (``pages``), addresses
(``routes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from regime_pipeline.api.why import address_of
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.wording import formats
from regime_pipeline.wording.labels import label_of

_templates = Environment(
    loader=PackageLoader("regime_pipeline.dashboard"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def rendered(template: str, **content: Any) -> str:
    """A template with its content as HTML."""
    return _templates.get_template(template).render(**content)


def part(template: str, macro: str, *content: Any) -> str:
    """What one macro of a template makes of its arguments, as HTML."""
    made = getattr(_templates.get_template(template).module, macro)
    return str(made(*content))


def _why_address(mart: str, row: Mapping[str, Any], column: str) -> str:
    """Where a number is explained; of a mart whose rows have no address, what its column means."""
    address = address_of(MARTS[mart], row)
    return f"/glossary#{mart}.{column}" if address is None else f"{address}?column={column}"


def _unit(mart: str, column: str) -> str | None:
    """The unit of a column, as the catalogue says."""
    return next((c.unit for c in MARTS[mart].columns if c.name == column), None)


def _slug(symbol: str) -> str:
    return symbol.replace("/", "-")


def _heat(value: float | None) -> str:
    return "none" if value is None else f"h{max(0, min(9, int(abs(value) * 10)))}"


def _tilt(score: float | None) -> str:
    """To which side of 50 a score leans, as a class of the stylesheet."""
    if score is None:
        return "none"
    return "above" if score >= 55 else "below" if score <= 45 else "even"


def _instant(at: datetime | None) -> str:
    return formats.UNKNOWN if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"


_templates.globals.update(
    f=formats,
    label_of=label_of,
    slug=_slug,
    heat=_heat,
    tilt=_tilt,
    unit_of=_unit,
    why_address=_why_address,
)
_templates.filters |= {"instant": _instant, "format": formats.filled}
