"""A dashboard service with ready-made signal scores for the eleven components.

Request shape: ``{address}/api/signals/{BTCUSDT}`` with ``Authorization: Bearer``. The reply is an object
with a time and the components, under ``signals`` or ``components`` or bare: each a number, or an object
with ``score`` (0-100), ``confidence`` (0-1) and ``direction``. The scores are kept beside ours, as they are.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.catalogue.fields.common import COMPONENTS
from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document
from regime_pipeline.providers.errors import PAID, ContractViolation
from regime_pipeline.providers.paging import Newest
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.source import BEARER, Endpoint, Feed, Probe, Source
from regime_pipeline.providers.symbols import VenueSymbol
from regime_pipeline.windows import HOUR

PROVIDER = "dashboard"
_WORDS = {
    "bullish": "bullish", "bearish": "bearish", "neutral": "neutral", "long": "bullish",
    "short": "bearish", "buy": "bullish", "sell": "bearish",
}  # fmt: skip


def parse_signals(body: bytes, ctx: Context) -> pd.DataFrame:
    """One row per component that the reply has; components it leaves out have no row.

    Returns:
        ts, component, signal_score 0-100, signal_confidence, signal_direction, reason.

    Raises:
        ContractViolation: no object, no time, or signals without one of the eleven components. An
            empty object of signals is no signals.
    """
    loaded = document(body)
    if isinstance(loaded, dict) and isinstance(loaded.get("data"), dict):
        loaded = loaded["data"]
    if not isinstance(loaded, dict):
        raise ContractViolation("the reply is no object of signals")
    at = next((loaded[n] for n in ("timestamp", "time", "ts") if loaded.get(n) is not None), None)
    if at is None:
        raise ContractViolation("the reply has no time 'timestamp'")
    group = next(
        (loaded[n] for n in ("signals", "components") if isinstance(loaded.get(n), dict)), loaded
    )
    listed: list[object] = [
        {"at": at, "component": name, **_parts(group[name])}  # type: ignore[index]
        for name in COMPONENTS
        if isinstance(group, dict) and group.get(name) is not None
    ]
    if not listed and group != {}:
        raise ContractViolation("the reply has none of the eleven components")
    columns = Columns.objects(listed, ("at", "component", "score"), ("confidence", "direction"))
    score = columns.number("score")
    trust = columns.number("confidence", optional=True)
    columns.fail_where((score < 0) | (score > 100), "score: outside 0 to 100")
    columns.fail_where((trust < 0) | (trust > 1), "confidence: outside 0 to 1")
    said = [
        _WORDS.get(v.strip().lower()) if isinstance(v, str) else None
        for v in columns.raw("direction")
    ]
    fields: dict[str, object] = {
        "ts": columns.iso("at", ctx),
        "component": columns.text("component"),
        "signal_score": score,
        "signal_confidence": trust,
        "signal_direction": pd.Series(said, dtype="str"),
    }
    if isinstance(loaded.get("symbol"), str):
        fields["venue_symbol"] = pd.Series(
            [str(loaded["symbol"]).upper().replace("/", "")[:40]] * len(listed), dtype="str"
        )
    return columns.frame(fields)


def _parts(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        return {"score": value, "confidence": None, "direction": None}
    return {n: value.get(n) for n in ("score", "confidence", "direction")}


SIGNALS = Endpoint(PROVIDER, "signals", "/api/signals/{symbol}", parse_signals)
ENDPOINTS = (SIGNALS,)


def _path(symbol: VenueSymbol) -> str:
    return f"/api/signals/{symbol.name}"


FEEDS = (
    Feed(
        dataset="dashboard_signals",
        endpoint=SIGNALS,
        market="index",
        venue=PROVIDER,
        names="binance",
        paging=Newest(),
        params=lambda _: {},
        path=_path,
        reach=HOUR,
        snapshot=True,
    ),
)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        key=BEARER,
        errors=PAID,
        probe=Probe("/api/signals/BTCUSDT"),
        deadline_setting="dashboard_timeout",
        whole_url=True,
    ),
)
