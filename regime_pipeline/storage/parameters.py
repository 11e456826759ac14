"""The weights and thresholds that rows were made with, kept as rows themselves.

Belongs here: remembering them. Does not belong here: what they are (``thresholds``), using them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import orjson

from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database


def sections(settings: Settings) -> dict[str, dict[str, object]]:
    """Every section of the thresholds: its values, and the digest that ends the ``method_version``."""
    out: dict[str, dict[str, object]] = {}
    for name in type(settings.params).model_fields:
        section = getattr(settings.params, name)
        digest = hashlib.sha256(section.model_dump_json().encode()).hexdigest()[:8]
        out[name] = {"digest": digest, "values": section.model_dump(mode="json")}
    return out


def remember(database: Database, settings: Settings, at: datetime) -> None:
    """Keep the thresholds in ``ops.parameter_versions``; those that are there stay as they are."""
    text = orjson.dumps(sections(settings), option=orjson.OPT_SORT_KEYS).decode()
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO ops.parameter_versions (params_id, parameters, first_used_at) "
            "VALUES (%s, %s, %s) ON CONFLICT (params_id) DO NOTHING",
            (settings.params_id, text, at),
        )
