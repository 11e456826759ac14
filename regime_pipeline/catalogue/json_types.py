"""JSON Schema of the column types, for every document that describes rows to others.

Belongs here: one entry a kind. Does not belong here: a column's own bounds and words.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from regime_pipeline.catalogue.model import Kind

JSON_TYPES: Mapping[Kind, dict[str, Any]] = MappingProxyType(
    {
        Kind.TIMESTAMP: {"type": ["string", "null"], "format": "date-time"},
        Kind.FLOAT: {"type": ["number", "null"]},
        Kind.INTEGER: {"type": ["integer", "null"]},
        Kind.BOOLEAN: {"type": ["boolean", "null"]},
        Kind.TEXT: {"type": ["string", "null"]},
        Kind.JSON: {},
        Kind.FLOATS: {"type": ["array", "null"], "items": {"type": "number"}},
    }
)
