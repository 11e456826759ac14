"""The paths of replaced services: their parameters and field names over today's columns.

Belongs here: one row an old path, old field -> column. What nothing here knows is null, never made up. Does
not belong here: which endpoint answers an old path (``endpoints``), reading rows (``query``).

An old answer has ``meta`` and ``data`` as every other one, its rows with the old names beside today's, and
at its top what the old service had there. An old name that is a column of another meaning today stands at
the top only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from regime_pipeline.api.envelope import heatmap

Row = Mapping[str, Any]
Rows = Sequence[Row]

_INTERVALS = {"h1": "1h", "h4": "4h", "h8": "8h", "h12": "12h", "d1": "1d"}


@dataclass(frozen=True)
class Old:
    """What an old path had.

    Attributes:
        fields: old name -> column, None where nothing here knows it; dots make objects.
        is_one: whether the fields of the newest row stood at the top.
        top: makes what else stood there.
        parameters: old parameter -> today's, None where it changes nothing.
        state: whether columns of the symbol's row in ``market_overview`` are looked up too.
        include: old parameter that asks for more -> what of today's ``include`` that is.
        always: what of today's ``include`` every answer has.
    """

    fields: Mapping[str, str | None] = field(default_factory=dict)
    is_one: bool = False
    top: Callable[[Rows], dict[str, Any]] | None = None
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    state: bool = False
    include: Mapping[str, str] = field(default_factory=dict)
    always: tuple[str, ...] = ()


def _correlations(rows: Rows) -> dict[str, Any]:
    newest = {f"{r['symbol_a']}|{r['symbol_b']}": r for r in reversed(rows)}
    return {
        "correlations": {pair: r["corr_7d"] for pair, r in newest.items()},
        "correlation_breaks": [
            {"pair": pair, "break_severity": None, "break_kind": r["break_kind"]}
            for pair, r in newest.items()
            if r["is_break"]
        ],
        "leading_asset": None,
        "lagging_assets": None,
    }


def _windows(rows: Rows) -> dict[str, Any]:
    newest = rows[0]["ts"] if rows else None
    return {
        f"{r['window_h']}h": {"long_usd": r["long_usd"], "short_usd": r["short_usd"]}
        for r in rows
        if r["ts"] == newest
    }


def _coins(rows: Rows) -> dict[str, Any]:
    return {"coins": sorted({r["base"] for r in rows})}


def _exchanges(rows: Rows) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["venue"], []).append(row["symbol"])
    return {"exchanges": {venue: sorted(set(pairs)) for venue, pairs in found.items()}}


def _reason(rows: Rows) -> dict[str, Any]:
    factors = rows[0].get("top_factors") if rows else None
    return {"reason": None if not factors else " | ".join(map(_worded, factors))}


def _worded(factor: Any) -> str:
    return " ".join(map(str, factor.values())) if isinstance(factor, dict) else str(factor)


_STATE = {
    "timestamp": "ts",
    "fundingRate": "funding_rate_8h",
    "openInterest": "open_interest_usd",
}
_COIN = {
    "timestamp": "ts",
    "price": "price_usd",
    "marketCap": "market_cap_usd",
    "openInterestUsd": "open_interest_usd",
    "openInterestQty": "open_interest_base",
    "fundingRateOiWeighted": "funding_rate_oi_weighted",
    "fundingRateVolumeWeighted": "funding_rate_volume_weighted",
    "oiMarketCapRatio": "oi_to_market_cap_frac",
    "oiVolumeRatio": "oi_to_volume_frac",
    **{
        f"priceChange{span}": f"price_change_{span}_frac"
        for span in ("5m", "15m", "30m", "1h", "4h", "12h", "24h")
    },
}
_BAR = {"time": "ts"}
_BY_INTERVAL = {"interval": "interval"}
_LIVE = {"timestamp": "ts", "volume": None, "bid": None, "ask": None, "spread": None}
_SIGNAL = {
    "timestamp": "ts",
    "signal": "futures_signal",
    "health_score": None,
    "ensemble_votes": None,
    "confidence_breakdown": None,
}

OLD: Mapping[str, Old] = MappingProxyType(
    {
        "/api/features": Old(
            {
                "timestamp": "ts",
                "cascades.severity": "cascade_severity",
                "cascades.long_liquidations_usd": "long_liquidations_1h_usd",
                "cascades.short_liquidations_usd": "short_liquidations_1h_usd",
                "funding.anomaly": "funding_is_anomaly",
                "funding.funding_rate": "funding_rate_8h",
                "funding.z_score": "funding_z",
                "funding.extreme_level": "funding_level",
                "volatility.regime": "vol_regime_confirmed",
                "volatility.vol_ratio": "vol_ratio",
                "regimes.primary": "primary_regime",
                "regimes.confidence": None,
                "correlations.break_detected": "correlation_break_with",
            },
        ),
        "/api/cascades": Old({"timestamp": "ts"}),
        "/api/volatility": Old({"timestamp": "ts"}),
        "/api/correlation": Old({"timestamp": "ts"}, top=_correlations),
        "/api/correlation/asset-correlations": Old({"timestamp": "ts"}, top=_correlations),
        "/api/correlation/heatmap-data": Old(top=heatmap),
        "/api/live/market-data": Old(_LIVE),
        "/api/live/market-data/{symbol}": Old(_LIVE, is_one=True),
        "/api/intelligent/signals/latest": Old(_SIGNAL),
        "/api/intelligent/signals/{symbol}": Old(_SIGNAL),
        "/signals/{symbol}": Old(
            {
                **_STATE,
                "symbol": "symbol",
                "price": "price",
                "socialScore": "social_factor",
                "signal": "futures_signal",
                "score": "futures_score",
                "confidence": "confidence_level",
            },
            is_one=True,
            top=_reason,
            state=True,
        ),
        "/market/{symbol}": Old(
            {**_STATE, "symbol": "symbol", "price": "price", "socialScore": None}, is_one=True
        ),
        "/debug/premium/{symbol}": Old(always=("coverage", "coins", "prices")),
        "/coinglass/markets": Old(_COIN),
        "/coinglass/markets/{symbol}": Old(_COIN, is_one=True),
        "/coinglass/perpetual-market/{symbol}": Old(_COIN, is_one=True),
        "/coinglass/liquidations/{symbol}": Old(
            {"timestamp": "ts"},
            top=_windows,
            include={"include_orders": "orders", "include_map": "map"},
        ),
        "/coinglass/long-short-ratio/{symbol}": Old(_BAR, parameters=_BY_INTERVAL),
        "/coinglass/funding-rate/{symbol}": Old(_BAR, parameters=_BY_INTERVAL),
        "/coinglass/open-interest/{symbol}": Old(_BAR, parameters=_BY_INTERVAL),
        "/coinglass/supported-coins": Old(top=_coins),
        "/coinglass/exchanges": Old(top=_exchanges),
        "/coinglass/dashboard/{symbol}": Old(
            {
                "timestamp": "ts",
                "market.price": "price",
                "market.priceChange1h": "price_change_1h_pct",
                "market.priceChange24h": "price_change_24h_pct",
                "liquidations.long24hUsd": "long_liquidations_24h_usd",
                "liquidations.short24hUsd": "short_liquidations_24h_usd",
                "longShortRatio": None,
                "openInterest.usd": "open_interest_usd",
                "openInterest.change24hPct": "open_interest_usd_change_24h_pct",
                "funding.rate": "funding_rate_8h",
            },
            is_one=True,
        ),
    }
)


def translated(old: Old, given: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Today's parameters of an old request.

    Args:
        old: the path.
        given: its parameters in order.
    """
    out, included = [], [*old.always]
    for name, value in given:
        if name in old.include and value.lower() in ("true", "false"):
            included += [old.include[name]] if value.lower() == "true" else []
        elif name in old.parameters:
            new = old.parameters[name]
            if new is not None:
                out.append((new, _INTERVALS.get(value, value)))
        else:
            out.append((name, value))
    if included and "csv" not in (v for k, v in out if k == "format"):
        out.append(("include", ",".join(included)))
    return out


def with_old_names(
    old: Old, rows: Sequence[dict[str, Any]], state: Row | None, columns: Sequence[str]
) -> dict[str, Any]:
    """``data`` and what stands at the top of an old answer.

    Args:
        old: the path.
        rows: whole records of today's answer, newest first.
        state: the symbol's row in ``market_overview``, where the path looks it up.
        columns: today's names that are asked for.
    """
    known = [{**(state or {}), **row} for row in rows]
    shown = {*columns, "links"}
    data = [
        {
            **{k: v for k, v in row.items() if k in shown},
            **{k: v for k, v in _nested(old, whole).items() if k not in row},
        }
        for row, whole in zip(rows, known, strict=True)
    ]
    top = old.top(known) if old.top is not None else {}
    if old.is_one:
        top = {**_nested(old, known[0] if known else {}), **top}
    return {"data": data} | top


def _nested(old: Old, row: Row) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, column in old.fields.items():
        *parents, last = name.split(".")
        place = out
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = None if column is None else row.get(column)
    return out
