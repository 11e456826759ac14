"""CoinAPI v1, as its interface answers.

Belongs here: paths, times with seven decimals, the key check. Does not belong here: where values come
from. Rates are volume-weighted over 24 h of Binance's spot bars; periods without a bar are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.context import BadParameterError, Query, World, reply
from regime_pipeline.simulator.render import Feed
from regime_pipeline.simulator.series import DAY_MS, HOUR_MS, Candles

_PERIODS = {"1HRS": HOUR_MS, "4HRS": 4 * HOUR_MS, "1DAY": DAY_MS}
_NO_KEY = (
    "You didn't specify API key or it is incorrectly formatted. You should do it in: query string "
    "parameter `apikey`,  in http header named `X-CoinAPI-Key`"
)
Answer = Callable[[Request, Query], object]


class _Absent(Exception):
    """Nothing under that name."""


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""
    desk = Desk(world)

    def guarded(answer: Answer) -> Callable[[Request], Response]:
        async def handle(request: Request) -> Response:
            query = Query.of(request)
            if not (request.headers.get("x-coinapi-key", "").strip() or query.get("apikey")):
                return reply({"error": _NO_KEY}, status=401)
            headers = {
                "x-ratelimit-limit": "100000",
                "x-ratelimit-used": str(world.used("coinapi", 1)),
            }
            try:
                return reply(answer(request, query), headers=headers)
            except _Absent:
                return reply({"error": "No data"}, status=550, headers=headers)
            except (BadParameterError, ValueError) as bad:
                return reply({"error": f"Invalid parameter: {bad}"}, status=400, headers=headers)

        return handle  # type: ignore[return-value]

    paths: dict[str, Answer] = {
        "/v1/assets": desk.assets,
        "/v1/exchangerate/{base}/{quote}/history": desk.rate_history,
        "/v1/exchangerate/{base}/{quote}": desk.rate,
        "/v1/exchangerate/{base}": desk.rates,
        "/v1/ohlcv/{symbol_id}/history": desk.bars,
        "/v1/ohlcv/{symbol_id}/latest": desk.latest,
    }
    found = [Route(path, guarded(answer)) for path, answer in paths.items()]
    return [*found, Route("/{rest:path}", _not_found)]


async def _not_found(_: Request) -> Response:
    return reply({"error": "Not found"}, status=404)


def _time(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z"


def _asked(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    at = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return int(at.timestamp() * 1000) + (1 if text[19:].strip("Z.0") else 0)


class Desk:
    """Answers the requests."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _feed(self, symbol: str, step: int = HOUR_MS) -> Feed:
        feed = self._world.feed("candles", "binance", "spot", symbol, step)
        if feed is None:
            raise _Absent
        return feed

    def _vwap(self, symbol: str) -> np.ndarray:
        """24 h volume-weighted price at the end of each bar."""
        bars: Candles = self._feed(symbol).closed

        def made() -> np.ndarray:
            base = np.nan_to_num(bars.volume_base) + 1e-12
            middle = (bars.high + bars.low + bars.close) / 3.0
            sums = [np.convolve(x, np.ones(24))[: len(x)] for x in (middle * base, base)]
            return np.round(sums[0] / sums[1], 10)

        return self._world.digits(("coinapi", symbol), made)  # type: ignore[no-any-return]

    def _part(self, feed: Feed, query: Query, step: int, *, newest: bool) -> slice:
        now = self._world.now_ms()
        limit = query.whole("limit", 100)
        low = _asked(query, "time_start", 0)
        high = _asked(query, "time_end", now + step)
        first, stop, _ = feed.page(now, low, high, limit, newest=newest, running=False)
        return slice(first, stop)

    def _step(self, query: Query) -> int:
        period = query.needed("period_id")
        if period not in _PERIODS:
            raise BadParameterError("period_id")
        return _PERIODS[period]

    def _newest(self, symbol: str) -> tuple[int, float]:
        feed = self._feed(symbol)
        stop = int(np.searchsorted(feed.closed.ts, self._world.now_ms() - HOUR_MS, side="right"))
        if not stop:
            raise _Absent
        return int(feed.closed.ts[stop - 1]) + HOUR_MS, float(self._vwap(symbol)[stop - 1])

    def rate(self, request: Request, _: Query) -> object:
        """The present rate of a pair."""
        base, quote = (request.path_params[n].upper() for n in ("base", "quote"))
        at, rate = self._newest(f"{base}/{quote}")
        return {"time": _time(at), "asset_id_base": base, "asset_id_quote": quote, "rate": rate}

    def rates(self, request: Request, _: Query) -> object:
        """The present rates of a coin."""
        base = request.path_params["base"].upper()
        rates = []
        for symbol in self._world.tape.listed("binance", "spot"):
            if symbol.startswith(f"{base}/"):
                at, rate = self._newest(symbol)
                rates.append(
                    {"time": _time(at), "asset_id_quote": symbol.split("/")[1], "rate": rate}
                )
        return {"asset_id_base": base, "rates": rates}

    def rate_history(self, request: Request, query: Query) -> object:
        """Rates of a pair by period, oldest first."""
        symbol = "/".join(request.path_params[n].upper() for n in ("base", "quote"))
        if self._step(query) != HOUR_MS:
            raise BadParameterError("period_id")
        feed, vwap = self._feed(symbol), self._vwap(symbol)
        part = self._part(feed, query, HOUR_MS, newest=False)
        return [
            {
                "time_period_start": _time(int(ts)),
                "time_period_end": _time(int(ts) + HOUR_MS),
                "rate_open": float(rate),
                "rate_high": float(rate),
                "rate_low": float(rate),
                "rate_close": float(rate),
            }
            for ts, rate in zip(feed.closed.ts[part], vwap[part], strict=True)
        ]

    def _bars(self, request: Request, query: Query, *, newest: bool) -> list[object]:
        parts = request.path_params["symbol_id"].split("_")
        if len(parts) != 4 or parts[:2] != ["BINANCE", "SPOT"]:
            raise _Absent
        step = self._step(query)
        feed = self._feed("/".join(parts[2:]), step)
        bars: Candles = feed.closed.rows(self._part(feed, query, step, newest=newest))
        return [
            {
                "time_period_start": _time(int(bars.ts[i])),
                "time_period_end": _time(int(bars.ts[i]) + step),
                "time_open": _time(int(bars.ts[i]) + 1000),
                "time_close": _time(int(bars.ts[i]) + step - 1000),
                "price_open": float(bars.open[i]),
                "price_high": float(bars.high[i]),
                "price_low": float(bars.low[i]),
                "price_close": float(bars.close[i]),
                "volume_traded": float(bars.volume_base[i]),
                "trades_count": int(np.nan_to_num(bars.trade_count[i])),
            }
            for i in range(len(bars))
            if bars.volume_base[i] > 0
        ]

    def bars(self, request: Request, query: Query) -> object:
        """Bars, oldest first."""
        return self._bars(request, query, newest=False)

    def latest(self, request: Request, query: Query) -> object:
        """Bars, newest first."""
        return self._bars(request, query, newest=True)[::-1]

    def assets(self, _request: Request, _: Query) -> object:
        """What is known of each coin."""
        out = []
        for symbol in self._world.tape.listed("binance", "spot"):
            at, rate = self._newest(symbol)
            out.append(
                {
                    "asset_id": symbol.split("/")[0],
                    "name": symbol.split("/")[0].title(),
                    "type_is_crypto": 1,
                    "price_usd": rate,
                    "data_trade_end": _time(at),
                }
            )
        return out


ROUTES = {"coinapi": routes}
