"""The PostgreSQL schemas of the project, in the order of the data. No table is described here."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Layer = Literal["raw", "computed", "told", "ops", "shown", "reports"]


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema, which is also the group of its tables' Dagster assets.

    Attributes:
        name: PostgreSQL's name.
        description: what its tables hold, for people.
        owner: the team that answers for its tables, as Dagster shows it.
        layer: ``raw`` holds what providers said; ``computed`` what the pure package of the same name
            makes of it; ``told`` events and their delivery; ``ops`` the bookkeeping; ``shown``
            what the live collector keeps for two days; ``reports`` what dbt builds.
    """

    name: str
    description: str
    owner: str
    layer: Layer


_ALL = (
    Schema(
        "raw",
        "What providers said, typed, one row per observation and source.",
        "team:data-engineering",
        "raw",
    ),
    Schema(
        "market",
        "One conformed series per market and symbol.",
        "team:data-engineering",
        "computed",
    ),
    Schema(
        "features",
        "Cascades, funding statistics, volatility regimes.",
        "team:quant",
        "computed",
    ),
    Schema(
        "regimes",
        "Regime labels over four timeframes and their agreement.",
        "team:quant",
        "computed",
    ),
    Schema("correlation", "Pairwise correlations and their breaks.", "team:quant", "computed"),
    Schema("signals", "Signal components and the futures score.", "team:quant", "computed"),
    Schema("alerts", "Market events and their delivery.", "team:trading-desk", "told"),
    Schema("ops", "What was asked, what came, what was refused.", "team:data-engineering", "ops"),
    Schema(
        "live",
        "Prices and books of this moment, for people who look; never an input.",
        "team:data-engineering",
        "shown",
    ),
    Schema("reporting", "What analysts and BI tools read.", "team:analytics", "reports"),
)

SCHEMAS = MappingProxyType({s.name: s for s in _ALL})
"""Every schema the project owns, by name; ``reporting`` is filled by dbt."""
COMPUTED = tuple(s.name for s in _ALL if s.layer == "computed")
"""Schemas that a pure package of the same name computes."""
DERIVED_SCHEMAS = tuple(s.name for s in _ALL if s.layer in ("computed", "told", "ops"))
"""Schemas whose tables the pipeline itself makes from raw rows."""
