"""The OpenAPI document, the schema for agents' actions, and the catalogue: made from the endpoints.

Belongs here: describing. Nothing is described twice: names, units, bounds and texts are the catalogue's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regime_pipeline.api.endpoints import (
    BY_PATH,
    ENDPOINTS,
    EXPORT_PATH,
    VERSION,
    Endpoint,
)
from regime_pipeline.api.formats import MEDIA_TYPES
from regime_pipeline.api.params import (
    FILE_FORMATS,
    FORMATS,
    MOST_ROWS,
    USUAL_ROWS,
    known_parameters,
)
from regime_pipeline.api.problems import MEDIA_TYPE, TITLES
from regime_pipeline.api.why import WHY_PATH
from regime_pipeline.catalogue.json_types import JSON_TYPES
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.catalogue.model import Field, Mart

_INSTANT = {"format": "date-time", "examples": ["2026-03-01T00:00:00Z"]}
_COMMON: dict[str, tuple[str, dict[str, Any]]] = {
    "symbols": (
        "Symbols with commas between: BTC/USDT, BTC-USDT, BTCUSDT or BTC.",
        {"examples": ["BTC", "BTC,ETH"]},
    ),
    "from": ("First instant, ISO with zone.", _INSTANT),
    "to": ("First instant after the span, ISO with zone.", _INSTANT),
    "limit": (
        "Rows of a page.",
        {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": USUAL_ROWS},
    ),
    "cursor": ("`meta.next` of the page before, with its other parameters unchanged.", {}),
    "fields": ("Fields wanted, with commas between; all by default.", {}),
    "as_of": ("The answer as it was known at this instant.", _INSTANT),
    "format": ("Form of the answer.", {"enum": list(FORMATS), "default": "json"}),
}
ACTIONS = {
    "/overview": "marketState",
    "/hourly/{symbol}": "history",
    "/correlations": "correlations",
    "/signals": "signals",
    "/events": "events",
    WHY_PATH: "explain",
    "/health/data": "dataHealth",
    "/catalogue": "describe",
}
"""The addresses that agents' actions may call, with their operation ids: the first tools of agents."""
ACTION_ROWS = 20
"""Rows that an action may ask for: whoever calls them takes answers of at most 100,000 characters."""
_ACTION_TEXT = 300


def document(symbols: Sequence[str]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths[VERSION + endpoint.path] = {"get": _operation(endpoint, symbols)}
        for old in endpoint.old:
            paths[old] = {"get": _operation(endpoint, symbols) | {"deprecated": True}}
    paths |= _further(symbols)
    for path, operation in paths.items():
        operation["get"]["operationId"] = _id(path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "regime_pipeline",
            "version": "1",
            "description": "Crypto market regimes, signals, events and data quality. Null is unknown, "
            "never zero; look at meta.data_origin and meta.status first. Nothing here forecasts or "
            "advises, and no orders are placed.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
        },
    }


def action_schema(symbols: Sequence[str], public_url: str | None = None) -> dict[str, Any]:
    """The part of the document that agents' actions take, with shorter texts.

    Args:
        symbols: configured symbols.
        public_url: address under which agents reach the server.
    """
    whole = document(symbols)
    paths = {}
    for path, name in ACTIONS.items():
        operation = dict(whole["paths"][VERSION + path]["get"])
        operation["operationId"] = name
        operation["x-openai-isConsequential"] = False
        operation["responses"] = {"200": {"description": "meta and data"}}
        operation["parameters"] = [_of_action(p, path) for p in operation["parameters"]]
        paths[VERSION + path] = {"get": operation}
    whole["paths"] = paths
    whole["servers"] = [{"url": public_url or "/"}]
    bearer = {"type": "http", "scheme": "bearer"}
    whole["components"] = {"schemas": {}, "securitySchemes": {"token": bearer}}
    whole["security"] = [{"token": []}]
    return whole


def _of_action(parameter: dict[str, Any], path: str) -> dict[str, Any]:
    """A parameter as actions take it: they must say how much they want, so that it is never too long."""
    found = parameter | {"description": parameter.get("description", "")[:_ACTION_TEXT]}
    if parameter["name"] == "limit":
        bounds = {"maximum": ACTION_ROWS, "default": ACTION_ROWS}
        return found | {"required": True, "schema": parameter["schema"] | bounds}
    if parameter["name"] == "name" and path == "/catalogue":
        return found | {"required": True}
    return found


def catalogue(name: str | None = None) -> dict[str, Any]:
    """Every mart with its columns, and the endpoints that serve it.

    Args:
        name: a mart, a column, or ``mart.column``: only that. Of none of them there are no marts.
    """
    if name is not None:
        found = []
        for mart in catalogue()["marts"]:
            named = [
                c for c in mart["columns"] if name in (c["name"], f"{mart['name']}.{c['name']}")
            ]
            if mart["name"] == name:
                found.append(mart)
            elif named:
                found.append(mart | {"columns": named})
        return {"marts": found}
    served: dict[str, list[str]] = {}
    for endpoint in ENDPOINTS:
        served.setdefault(endpoint.mart, []).append(VERSION + endpoint.path)
    return {
        "marts": [
            {
                "name": mart.name,
                "description": mart.description,
                "key": mart.key,
                "time_column": mart.time_column,
                "endpoints": served.get(mart.name, []),
                "columns": [
                    {
                        "name": c.name,
                        "kind": c.kind.value,
                        "unit": c.unit,
                        "description": c.description,
                        "allowed": c.allowed,
                    }
                    for c in mart.columns
                ],
            }
            for mart in MARTS.values()
        ]
    }


def _id(path: str) -> str:
    words = path.strip("/").replace("{", "").replace("}", "").replace("-", "/").split("/")
    return "_".join(words)


def _problems() -> dict[str, Any]:
    """What is answered instead, by HTTP status."""
    return {
        str(status): {
            "description": title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for kind, (status, title) in TITLES.items()
        if kind not in ("no-orders", "internal")
    }


def _further(symbols: Sequence[str]) -> dict[str, Any]:
    """Addresses that are no pages of a mart: what a number is made of, files, the catalogue."""
    marts = list(MARTS)
    named = {
        "name": "mart",
        "in": "path",
        "required": True,
        "description": "As `meta.mart` of an answer says.",
        "schema": {"enum": marts},
    }
    any_object: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    files = {MEDIA_TYPES[shape]: {"schema": {"type": "string"}} for shape in FILE_FORMATS}
    why: list[dict[str, Any]] = [
        named,
        {
            "name": "symbol",
            "in": "path",
            "required": True,
            "description": "Of a pair A|B, of the whole market -.",
            "schema": {"type": "string", "examples": [s.replace("/", "-") for s in symbols[:3]]},
        },
        {
            "name": "ts",
            "in": "path",
            "required": True,
            "description": "The row's instant.",
            "schema": {"type": "string"} | _INSTANT,
        },
        {
            "name": "column",
            "in": "query",
            "description": "The number that is meant; the whole row by default.",
            "schema": {"type": "string"},
        },
    ]
    export: list[dict[str, Any]] = [
        named,
        *(
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"} | more}
            for name, (text, more) in _COMMON.items()
            if name not in ("limit", "cursor", "format")
        ),
        {"name": "format", "in": "query", "schema": {"enum": list(FILE_FORMATS)}},
    ]
    described: tuple[tuple[str, str, list[dict[str, Any]], dict[str, Any]], ...] = (
        (
            WHY_PATH,
            "What a published number is made of, down to providers' replies.",
            why,
            any_object,
        ),
        (EXPORT_PATH, "All rows of a span as a file.", export, files),
        (
            "/catalogue",
            "Every mart with its columns, or what one name means.",
            [
                {
                    "name": "name",
                    "in": "query",
                    "description": "A mart, a column, or mart.column; all marts by default.",
                    "schema": {"type": "string", "examples": ["volatility_1h.vol_ratio_gk"]},
                }
            ],
            any_object,
        ),
    )
    return {
        VERSION + path: {
            "get": {
                "summary": summary,
                "parameters": parameters,
                "responses": {"200": {"description": summary, "content": content}, **_problems()},
            }
        }
        for path, summary, parameters, content in described
    }


def _operation(endpoint: Endpoint, symbols: Sequence[str]) -> dict[str, Any]:
    answer = f"Answer_{endpoint.mart}" if endpoint.described else "Answer_not_built"
    ok = {
        "description": endpoint.summary,
        "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
    return {
        "summary": endpoint.summary,
        "parameters": [*_path_parameters(endpoint, symbols), *_parameters(endpoint)],
        "responses": {"200": ok, "304": {"description": "Unchanged"}, **_problems()},
    }


def _path_parameters(endpoint: Endpoint, symbols: Sequence[str]) -> list[dict[str, Any]]:
    out = []
    if "{symbol}" in endpoint.path:
        named = [s.replace("/", "-") for s in symbols]
        out.append(
            {
                "name": "symbol",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "examples": named[:3]},
            }
        )
    if "{event_id}" in endpoint.path:
        out.append(
            {"name": "event_id", "in": "path", "required": True, "schema": {"type": "string"}}
        )
    return out


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    filters = {f.name: f for f in endpoint.filter_columns}
    out = []
    for name in known_parameters(endpoint):
        if name in filters:
            field = filters[name]
            schema: dict[str, Any] = {"type": "string"}
            text = f"Values with commas between. {field.description}"
            if field.allowed:
                text += f" One of {', '.join(field.allowed)}."
        elif name in endpoint.instead:
            path = endpoint.instead[name]
            text = f"Given, the answer is that of {VERSION}{path}."
            field = next(f for f in BY_PATH[path].filter_columns if f.name == name)
            schema = {"type": "string", "enum": list(field.allowed or ())}
        elif name not in _COMMON:
            parts = [b for b in endpoint.beside if b.parameter == name]
            text = "; ".join(b.text for b in parts) + "."
            is_flag = [b.value for b in parts] == ["true"]
            values = ["true", "false"] if is_flag else [b.value for b in parts]
            schema = {"type": "string", "examples" if len(parts) > 1 else "enum": values}
        else:
            text, more = _COMMON[name]
            schema = {"type": "string"} | more
            if name == "fields" and endpoint.described is not None:
                schema["examples"] = [",".join(endpoint.described.names[:3])]
        out.append(
            {
                "name": name,
                "in": "query",
                "description": text[:700],
                "schema": schema,
            }
        )
    return out


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "instance", "request_id"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "instance": {"type": "string"},
                "request_id": {"type": "string"},
                "errors": {"type": "array", "items": {"type": "object"}},
            },
        },
        "Meta": meta_schema(),
        "Answer_not_built": _answer({"type": "object"}),
    }
    used = {e.mart for e in ENDPOINTS}
    for mart in MARTS.values():
        if mart.name in used:
            schemas[f"Row_{mart.name}"] = _row(mart)
            schemas[f"Answer_{mart.name}"] = _answer(
                {"$ref": f"#/components/schemas/Row_{mart.name}"}
            )
    return schemas


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["meta", "data"],
        "properties": {
            "meta": {"$ref": "#/components/schemas/Meta"},
            "data": {"type": "array", "items": row},
        },
    }


def meta_schema() -> dict[str, Any]:
    """JSON Schema of what every answer is about."""
    text = {"type": ["string", "null"]}
    instant = text | {"format": "date-time"}
    return {
        "type": "object",
        "required": ["data_origin", "mart", "status", "count", "warnings"],
        "properties": {
            "data_origin": {"enum": ["live", "simulated", "tape", "unknown"]},
            "mart": {"type": "string"},
            "mart_version": {"type": ["integer", "null"]},
            "description": text,
            "ts": instant,
            "known_at": instant,
            "age_s": {"type": ["integer", "null"], "minimum": 0, "x-unit": "s"},
            "as_of": instant,
            "status": {"enum": ["ok", "partial", "stale", "missing"]},
            "reason": text,
            "count": {"type": "integer", "minimum": 0},
            "coverage": {"type": ["object", "null"]},
            "next": text,
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
    }


def _row(mart: Mart) -> dict[str, Any]:
    properties = {c.name: _column(c) for c in mart.columns}
    properties["links"] = {"type": "object"}
    return {"type": "object", "description": mart.description, "properties": properties}


def _column(column: Field) -> dict[str, Any]:
    found = dict(JSON_TYPES[column.kind]) | {"description": column.description}
    if column.unit:
        found["x-unit"] = column.unit
    if column.allowed:
        found["enum"] = [*column.allowed, None]
    if column.minimum is not None:
        found["exclusiveMinimum" if column.exclusive_minimum else "minimum"] = column.minimum
    if column.maximum is not None:
        found["maximum"] = column.maximum
    return found
