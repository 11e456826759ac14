"""Providers: transport, wire formats, request plans, landing store; no storage and no Dagster.

``fetch.fetch`` is the one way in for datasets, ``registry.PARSERS`` for single payloads.
"""

from __future__ import annotations
