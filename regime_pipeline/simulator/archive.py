"""Binance's bulk archive made from a tape: zips and their checksum files, served or written to disk.

Belongs here: paths and file formats of ``data.binance.vision``, as they are today: spot klines
without a header row, everything else with one; spot times in µs since 2025. Does not belong here:
where values come from.

The tape is hourly, so the five-minute snapshots of ``metrics`` run evenly through each hour and reach
its close with the last one. A file appears some hours after its day or month has ended.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.context import World
from regime_pipeline.simulator.render import fixed, rows_of, whole
from regime_pipeline.simulator.series import HOUR_MS, joined
from regime_pipeline.simulator.tape import Tape
from regime_pipeline.windows import DAY, Window, utc

CHECKSUM = ".CHECKSUM"
PUBLISHED_AFTER_MS = 8 * HOUR_MS
MICROSECONDS_SINCE_MS = 1_735_689_600_000  # 2025-01-01
_LABELLED_BY_START_MS = 1_782_345_600_000  # 2026-06-25: labels of metrics begin their five minutes
_STEP_MS = 300_000
_SNAPSHOTS = 12

_PATH = re.compile(
    r"data/(?P<folder>spot|futures/um)/(?P<span>monthly|daily)/(?P<kind>klines|fundingRate|metrics)"
    r"/(?P<symbol>[A-Z0-9]{2,30})/(?:1h/)?(?P<name>[A-Za-z0-9-]{1,80})\.zip"
)
_LABEL = re.compile(r"-(?P<year>20\d\d)-(?P<month>\d\d)(?:-(?P<day>\d\d))?$")
_KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)
_FUNDING_HEADER = "calc_time,funding_interval_hours,last_funding_rate"
_METRICS_HEADER = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,"
    "count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,"
    "sum_taker_long_short_vol_ratio"
)
_MISSING = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
    b"<Message>The specified key does not exist.</Message></Error>"
)


def routes(world: World) -> list[Route]:
    """The routes below ``/archive``."""

    async def answer(request: Request) -> Response:
        path = str(request.path_params["path"])
        body = archive_file(world.tape, path.removesuffix(CHECKSUM), world.now_ms())
        if body is None:
            return Response(_MISSING, 404, media_type="application/xml")
        if path.endswith(CHECKSUM):
            return Response(
                checksum_file(body, path.removesuffix(CHECKSUM)), media_type="binary/octet-stream"
            )
        return Response(body, media_type="application/zip")

    return [Route("/{path:path}", answer)]


def checksum_file(body: bytes, path: str) -> bytes:
    """What the checksum file beside a zip says."""
    return f"{hashlib.sha256(body).hexdigest()}  {path.rsplit('/', 1)[1]}\n".encode()


def packed(csv: str, name: str) -> bytes:
    """A CSV as the zip that holds it; the same text gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        member = zipfile.ZipInfo(f"{name}.csv", date_time=(2020, 1, 1, 0, 0, 0))
        member.compress_type = zipfile.ZIP_DEFLATED
        file.writestr(member, csv)
    return out.getvalue()


def archive_file(tape: Tape, path: str, now_ms: int) -> bytes | None:
    """The bytes of a zip by its path, or None when there is none (yet)."""
    found = _PATH.fullmatch(path)
    label = _LABEL.search(found["name"]) if found else None
    if found is None or label is None or (label["day"] is None) == (found["span"] == "daily"):
        return None
    kind, text, folder = found["kind"], found["symbol"], found["folder"]
    expected = f"{text}-{'1h' if kind == 'klines' else kind}{label.group(0)}"
    has = {"klines": ("monthly", "daily"), "fundingRate": ("monthly",), "metrics": ("daily",)}
    if found["name"] != expected or found["span"] not in has[kind]:
        return None
    market = "spot" if folder == "spot" else "perp"
    symbol = {joined(s): s for s in tape.listed("binance", market)}.get(text)
    try:
        start = utc(f"{label['year']}-{label['month']}-{label['day'] or '01'}")
    except ValueError:
        return None
    if symbol is None or (kind != "klines" and market == "spot"):
        return None
    end = start + DAY if label["day"] else (start + 31 * DAY).replace(day=1)
    if _ms(end) + PUBLISHED_AFTER_MS > now_ms:
        return None
    make: Callable[..., str | None] = {
        "klines": _klines,
        "fundingRate": _funding,
        "metrics": _metrics,
    }[kind]
    csv = make(tape, market, symbol, _ms(start), _ms(end))
    return None if csv is None else packed(csv, found["name"])


def paths(tape: Tape, window: Window, symbols: Iterable[str] | None = None) -> Iterator[str]:
    """Paths of every file that may be about a window."""
    wanted = set(symbols or tape.symbols)
    days = window.days()
    labels = {"daily": [f"{d:%Y-%m-%d}" for d in days]}
    labels["monthly"] = sorted({f"{d:%Y-%m}" for d in days})
    for folder, market in (("spot", "spot"), ("futures/um", "perp")):
        for text in (joined(s) for s in tape.listed("binance", market) if s in wanted):
            for span in ("monthly", "daily"):
                for label in labels[span]:
                    head = f"data/{folder}/{span}"
                    yield f"{head}/klines/{text}/1h/{text}-1h-{label}.zip"
                    if market == "perp":
                        kind = "fundingRate" if span == "monthly" else "metrics"
                        yield f"{head}/{kind}/{text}/{text}-{kind}-{label}.zip"


# --- CSVs ----------------------------------------------------------------------------------------


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _cut(series: Any, start: int, end: int) -> Any:
    first, stop = np.searchsorted(series.ts, [start, end])
    return series.rows(slice(int(first), int(stop)))


def _lines(header: str | None, rows: Any) -> str:
    texts = rows.to_pylist()
    return "\n".join([*([header] if header else []), *texts]) + "\n"


def _klines(tape: Tape, market: str, symbol: str, start: int, end: int) -> str | None:
    series = tape.candles("binance", market, symbol)
    part = None if series is None else _cut(series, start, end)
    if part is None or not len(part):
        return None
    scale = 1000 if market == "spot" and start >= MICROSECONDS_SINCE_MS else 1
    rows = rows_of(
        whole(part.ts * scale), ",", fixed(part.open, 8), ",", fixed(part.high, 8), ",",
        fixed(part.low, 8), ",", fixed(part.close, 8), ",", fixed(part.volume_base, 8), ",",
        whole((part.ts + HOUR_MS) * scale - 1), ",", fixed(part.volume_quote, 8), ",",
        whole(part.trade_count, unknown=""), ",", fixed(part.taker_buy_base, 8), ",",
        fixed(part.taker_buy_quote, 8), ",0",
    )  # fmt: skip
    return _lines(None if market == "spot" else _KLINE_HEADER, rows)


def _funding(tape: Tape, _: str, symbol: str, start: int, end: int) -> str | None:
    series = tape.funding("binance", symbol)
    if series is None or len(series) < 2:
        return None
    hours = np.diff(series.ts) / HOUR_MS
    hours = np.round(np.concatenate([hours[:1], hours]))
    first, stop = (int(i) for i in np.searchsorted(series.ts, [start, end]))
    if first == stop:
        return None
    part = series.rows(slice(first, stop))
    usual = np.where(np.isin(hours, (1, 2, 4, 8)), hours, 8.0)[first:stop]
    return _lines(
        _FUNDING_HEADER, rows_of(whole(part.ts), ",", whole(usual), ",", fixed(part.rate, 8))
    )


def _metrics(tape: Tape, _: str, symbol: str, start: int, end: int) -> str | None:
    interest = tape.open_interest("binance", symbol)
    series = {
        m: tape.positioning("binance", symbol, m)
        for m in ("top_account", "top_position", "global_account")
    }
    hours = np.arange(start, end, HOUR_MS)
    share = (np.arange(_SNAPSHOTS) + 1) / _SNAPSHOTS
    known = np.zeros(len(hours), dtype=bool)
    coins = np.full((len(hours), _SNAPSHOTS), np.nan)
    usd = coins.copy()
    if interest is not None:
        part = _cut(interest, start, end)
        place = (part.ts - start) // HOUR_MS
        known[place] = True
        for out, name in ((coins, ""), (usd, "_usd")):
            opened, closed = getattr(part, f"open{name}"), getattr(part, f"close{name}")
            out[place] = opened[:, None] + (closed - opened)[:, None] * share
            out[place, -1] = closed
    ratios = []
    for found in series.values():
        ratio = np.full((len(hours), _SNAPSHOTS), np.nan)
        if found is not None:
            part = _cut(found, start, end)
            place = (part.ts - start) // HOUR_MS
            known[place] = True
            ratio[place] = (part.long / (1.0 - part.long))[:, None]
        ratios.append(ratio)
    if not known.any():
        return None
    stamps = (hours[:, None] + _STEP_MS * (np.arange(_SNAPSHOTS) + 1))[known].ravel()
    if start >= _LABELLED_BY_START_MS:
        stamps -= _STEP_MS
    times = [str(t).replace("T", " ") for t in stamps.astype("M8[ms]").astype("M8[s]")]

    def flat(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values[known].ravel())

    rows = rows_of(
        pa.array(times), f",{joined(symbol)},", fixed(flat(coins), 8), ",", fixed(flat(usd), 8), ",",
        fixed(flat(ratios[0]), 8), ",", fixed(flat(ratios[1]), 8), ",",
        fixed(flat(ratios[2]), 8), ",",
    )  # fmt: skip
    return _lines(_METRICS_HEADER, rows)


ROUTES = {"binance_archive": routes}
