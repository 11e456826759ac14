"""Pages from templates: one HTML file that needs nothing else.

Belongs here: the Jinja environment that every page shares (escaping, filters, the frame with style
sheet and navigation), writing the file. Does not belong here: what a page says (``page``,
``evaluation.page``), how it looks (``templates/``).

Every text is escaped by the environment; only charts, which are SVG that this package draws, are not.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from regime_pipeline.wording import formats
from regime_pipeline.wording.labels import label_of
from regime_pipeline.wording.palette import by_system

_PACKAGE = "regime_pipeline.reporting"


@cache
def environment(package: str = _PACKAGE) -> Environment:
    """The environment for the templates of a package, which may extend those of this one."""
    packages = dict.fromkeys((package, _PACKAGE))
    made = Environment(
        loader=ChoiceLoader([PackageLoader(p) for p in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "age": formats.age_text,
        "anchor": anchor,
        "format": formats.filled,
        "colour": lambda value: label_of(value).colour,
        "hours": formats.hours_text,
        "percent": formats.percent_text,
        "price": formats.price_text,
        "rate": formats.rate_text,
        "share": formats.share_text,
        "stamp": formats.stamp,
        "thousands": "{:,}".format,
        "usd": formats.usd_text,
        "word": lambda value: label_of(value).word,
        "words": formats.words,
    }
    made.tests["known"] = formats.known
    css = by_system() + (files(_PACKAGE) / "templates" / "report.css").read_text("utf-8")
    made.globals |= {"UNKNOWN": formats.UNKNOWN, "css": css, "tint": tint}
    return made


def render_template(name: str, *, package: str = _PACKAGE, **values: Any) -> str:
    """The page that a template makes of the values."""
    return environment(package).get_template(name).render(**values)


def write_page(path: Path, text: str) -> Path:
    """Write a page and return its path; its folder is made, an older file is replaced at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path


def anchor(symbol: str) -> str:
    """The id of a symbol's place on the page."""
    return "s-" + "".join(c if c.isalnum() else "-" for c in symbol)


def tint(value: float, largest: float) -> str:
    """A background by sign and size, as a CSS declaration; ``largest`` is where it is deepest."""
    share = max(-1.0, min(1.0, value / largest)) if largest else 0.0
    colour = "shorts" if share >= 0 else "longs"
    return f"background:color-mix(in srgb, var(--{colour}) {abs(share) * 70:.0f}%, transparent)"
