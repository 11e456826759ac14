"""Binance's bulk archives (data.binance.vision): which files there are, and how one is read. Pure.

A file is a zip with one CSV, and beside it ``<name>.CHECKSUM`` with its sha256. Klines come by month
and by day, funding by month, metrics by day. Older CSVs have no header row, newer ones do. Times are
ms, in spot klines since 2025 µs; metrics write theirs out.

``metrics`` are snapshots every five minutes. Up to the file of 2026-06-24 a label is the instant of the
snapshot, and a day's file has those after its midnight up to and including the next one; from the file
of 2026-06-25 on a label is the start of the five minutes at whose end the snapshot was taken. Labels
may be some seconds late. The hourly bucket takes the last snapshot of its last
quarter of an hour, so that its value is its close; without one there is no bucket. Long-short *ratios*
become shares, r / (1 + r). Their taker ratio is a quotient of five minutes from which no volume of an
hour can be had, and is not used; taker volumes come from the klines, which count the same trades.

Source: the README of ``binance/binance-public-data`` and the archive itself.
"""

from __future__ import annotations

import csv
import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO, StringIO
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from regime_pipeline.providers.decode import EARLIEST_S, Columns
from regime_pipeline.providers.errors import (
    ChecksumMismatch,
    ContractViolation,
    EmptyNotAllowed,
    Malformed,
    TooLarge,
)
from regime_pipeline.providers.paging import Newest
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.windows import DAY, HOUR, Window, floor_day, utc

PROVIDER = "binance_archive"
MAX_CSV_BYTES = 32 * 2**20
DAILY_DELAY = DAY
"""A day's file is there a day after the day has ended."""
MONTHLY_DELAY = 5 * DAY
MONTH_FROM_DAYS = 3
"""So many missing days of a month are worth the month's file instead of theirs."""
SNAPSHOT = timedelta(minutes=5)
LABELLED_BY_START = utc("2026-06-25")
"""From the file of this day on, metrics are labelled five minutes before their instant."""
LATE_LABEL = timedelta(minutes=1)
"""A label that is off the five minutes by no more is about them."""
CLOSING = timedelta(minutes=15)
"""How old the snapshot may be that stands for the close of an hour."""

_KLINE_FIELDS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_FUNDING_FIELDS = ("calc_time", "funding_interval_hours", "last_funding_rate")
_METRIC_FIELDS = (
    "create_time",
    "symbol",
    "sum_open_interest",
    "sum_open_interest_value",
    "count_toptrader_long_short_ratio",
    "sum_toptrader_long_short_ratio",
    "count_long_short_ratio",
    "sum_taker_long_short_vol_ratio",
)
_SHARES = {
    "count_long_short_ratio": "global_account_long_frac",
    "count_toptrader_long_short_ratio": "top_trader_account_long_frac",
    "sum_toptrader_long_short_ratio": "top_trader_position_long_frac",
}
_OTHER_NAMES = {
    "quote_asset_volume": "quote_volume",
    "number_of_trades": "count",
    "taker_buy_base_asset_volume": "taker_buy_volume",
    "taker_buy_quote_asset_volume": "taker_buy_quote_volume",
}


# --- zip and checksum ----------------------------------------------------------------------------


def checksum_of(body: bytes, name: str) -> str:
    """The sha256 that a ``.CHECKSUM`` file gives for ``name``.

    Raises:
        Malformed: it does not read as one.
        ContractViolation: it is about another file.
    """
    match = re.fullmatch(rb"\s*([0-9a-fA-F]{64})[ \t]+\*?(\S{1,200})\s*", body[:1024])
    if match is None:
        raise Malformed("the checksum file is none")
    told = match.group(2).decode("utf-8", "replace")
    if told != name:
        raise ContractViolation(f"the checksum file is about {told[:80]!r}, not {name}")
    return match.group(1).decode().lower()


def verify(body: bytes, digest: str) -> None:
    """Says nothing when the bytes are the ones that the checksum is about.

    Raises:
        ChecksumMismatch: they are not.
    """
    if hashlib.sha256(body).hexdigest() != digest:
        raise ChecksumMismatch(f"the file is not the one that its checksum {digest[:12]}… is about")


def only_member(body: bytes) -> bytes:
    """The one CSV of a zip, in memory and bounded; nothing is ever unpacked to a path.

    Raises:
        Malformed: it is no sound zip.
        ContractViolation: it has another number of members, a name with a path, or is encrypted.
        TooLarge: the CSV is larger than :data:`MAX_CSV_BYTES`, whatever the zip says about it.
    """
    try:
        with zipfile.ZipFile(BytesIO(body)) as packed:
            members = packed.infolist()
            if len(members) != 1:
                raise ContractViolation(f"the zip has {len(members)} members, one was expected")
            (member,) = members
            name = member.filename
            if PurePosixPath(name).name != name or "\\" in name or not name.endswith(".csv"):
                raise ContractViolation(f"the zip's member is called {name[:80]!r}")
            if member.flag_bits & 1:
                raise ContractViolation("the zip is encrypted")
            if member.file_size > MAX_CSV_BYTES:
                raise TooLarge(f"the CSV is larger than {MAX_CSV_BYTES} bytes")
            with packed.open(member) as file:
                out = file.read(MAX_CSV_BYTES + 1)
                if len(out) <= MAX_CSV_BYTES:
                    file.read(1)  # reaching the end checks the sum
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        ValueError,
        OverflowError,
    ) as error:
        raise Malformed(f"the file is no sound zip: {type(error).__name__}") from None
    if len(out) > MAX_CSV_BYTES:
        raise TooLarge(f"the CSV is larger than {MAX_CSV_BYTES} bytes")
    return out


# --- CSV -----------------------------------------------------------------------------------------


def _table(body: bytes, fields: tuple[str, ...]) -> Columns:
    """The CSV inside a zip as raw columns, by header where it has one, else by position."""
    try:
        text = only_member(body).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(f"the CSV is not UTF-8: {error.reason}") from None
    try:
        read = csv.reader(StringIO(text, newline=""), strict=True)
        rows = [row for row in read if len(row) > 1 or (row and row[0].strip())]
    except csv.Error as error:
        raise Malformed(f"the file holds no CSV: {error}") from None
    if rows and rows[0][0].strip()[:1].isalpha():
        named = [n.strip().lower() for n in rows.pop(0)]
        named = [_OTHER_NAMES.get(n, n) for n in named]
        lacking = [f for f in fields if f not in named and f != "ignore"]
        if lacking:
            raise ContractViolation(f"the CSV's header lacks {lacking}")
        if tuple(named[: len(fields)]) != fields:
            order = [named.index(f) if f in named else 0 for f in fields]
            rows = [[r[i] for i in order] if len(r) >= len(named) else [] for r in rows]
    if not rows:
        raise EmptyNotAllowed("the CSV has no rows")
    return Columns.arrays(list(rows), fields)


def parse_klines(body: bytes, ctx: Context) -> pd.DataFrame:
    """Klines as candles.

    Returns:
        ts, the columns of ``raw.candles``, ``close_time`` (exclusive end of the bar), reason.
    """
    columns = _table(body, _KLINE_FIELDS)
    ts = columns.time("open_time", ctx)
    close = columns.time("close_time", Context()).floor("ms") + timedelta(milliseconds=1)
    columns.fail_where(np.asarray(close <= ts), "close_time: not after the open")
    return columns.frame(
        {
            "ts": ts,
            "open": columns.number("open"),
            "high": columns.number("high"),
            "low": columns.number("low"),
            "close": columns.number("close"),
            "volume_base": columns.number("volume"),
            "volume_quote": columns.number("quote_volume", optional=True),
            "taker_buy_base": columns.number("taker_buy_volume", optional=True),
            "taker_buy_quote": columns.number("taker_buy_quote_volume", optional=True),
            "trade_count": columns.integer("count", optional=True),
            "close_time": close,
        }
    )


def parse_taker_volumes(body: bytes, ctx: Context) -> pd.DataFrame:
    """Taker volumes of a perpetual's klines, two rows an hour: ts, metric, value (coins), reason.

    A bar whose taker side is blank gives no rows.
    """
    bars = parse_klines(body, ctx)
    known = bars.loc[bars["taker_buy_base"].notna() | bars["reason"].notna()]
    sides = {
        "taker_buy_base": known["taker_buy_base"],
        "taker_sell_base": known["volume_base"] - known["taker_buy_base"],
    }
    parts = []
    for metric, value in sides.items():
        part = known[["ts", "close_time", "reason"]].assign(value=value)
        part.insert(1, "metric", pd.Series(metric, index=known.index, dtype="str"))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def parse_funding(body: bytes, ctx: Context) -> pd.DataFrame:
    """Settled funding prints: ts (ms jitter left in), funding_rate (fraction), interval_hours, reason.

    The archive has no mark price.
    """
    columns = _table(body, _FUNDING_FIELDS)
    ts = columns.time("calc_time", ctx)
    return columns.frame(
        {
            "ts": ts,
            "funding_rate": columns.number("last_funding_rate"),
            "interval_hours": columns.integer("funding_interval_hours", optional=True),
            "mark_price": np.full(columns.count, np.nan),
        }
    )


def _snapshots(body: bytes, ctx: Context) -> tuple[Columns, pd.Series]:
    columns = _table(body, _METRIC_FIELDS)
    texts = columns.text("create_time")
    # one column of one format: vectorised, and anything else is no time
    at = pd.to_datetime(texts, format="%Y-%m-%d %H:%M:%S", errors="coerce", utc=True).dt.as_unit(
        "us"
    )
    odd = (at.isna() | (at < pd.Timestamp(EARLIEST_S, unit="s", tz="UTC"))).to_numpy(bool)
    columns.fail_where(odd, "create_time: no time written YYYY-MM-DD HH:MM:SS")
    late = (at >= pd.Timestamp(ctx.latest_s, unit="s", tz="UTC")).to_numpy(bool)
    columns.fail_where(late, "create_time: lies in the future")
    at = at.mask(odd | late)
    label = at.dt.round(SNAPSHOT)
    at = label.where((at - label).abs() <= LATE_LABEL, at)
    # the first label tells what a file's labels mean: the days overlap in one
    return columns, at + SNAPSHOT if at.min() >= LABELLED_BY_START else at


def _closes(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """The last snapshot with a value of each hour's last :data:`CLOSING`, and rows that are bad.

    ``at`` becomes ``ts``, the start of the hour that the snapshot closes.
    """
    bad = frame.loc[frame["reason"].notna()]
    good = frame.loc[frame["reason"].isna() & frame[value].notna()]
    end = good["at"].dt.ceil("h")
    good = good.assign(ts=end - HOUR).loc[end - good["at"] < CLOSING]
    last = good.sort_values("at", kind="stable").drop_duplicates("ts", keep="last")
    out = pd.concat([last, bad.assign(ts=bad["at"])], ignore_index=True)
    return out.drop(columns="at").sort_values("ts", kind="stable", ignore_index=True)


def parse_metrics_open_interest(body: bytes, ctx: Context) -> pd.DataFrame:
    """Hourly open interest at its close: ts, coins, USD, venue_symbol, reason."""
    columns, at = _snapshots(body, ctx)
    frame = columns.frame(
        {
            "at": at,
            "open_interest_base": columns.number("sum_open_interest", optional=True),
            "open_interest_usd": columns.number("sum_open_interest_value", optional=True),
            "venue_symbol": columns.text("symbol"),
        }
    )
    return _closes(frame, "open_interest_base")


def parse_metrics_positioning(body: bytes, ctx: Context) -> pd.DataFrame:
    """Hourly long shares at their close: ts, metric, value (fraction), venue_symbol, reason."""
    columns, at = _snapshots(body, ctx)
    names = columns.text("symbol")
    base = columns.frame({"at": at, "venue_symbol": names})
    bad = base.loc[base["reason"].notna()]
    parts = [_closes(bad.assign(value=np.nan), "value").assign(metric=None)] if len(bad) else []
    sound = base["reason"].isna()
    for field, metric in _SHARES.items():
        own = columns.apart()
        ratio = own.amount(field, optional=True)
        share = ratio / (1.0 + np.where(ratio < 0, np.nan, ratio))
        frame = own.frame({"at": at, "venue_symbol": names, "value": share})
        part = _closes(frame.loc[sound], "value")
        parts.append(part.assign(metric=pd.Series(metric, index=part.index, dtype="str")))
    out = pd.concat(parts, ignore_index=True)
    out["metric"] = out["metric"].astype("str")
    return out[["ts", "metric", "value", "venue_symbol", "reason"]]


# --- which files ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArchiveFeed:
    """One series of the archive.

    Attributes:
        feed: dataset, parser, market and venue, in the words of the other providers.
        source: provider whose observation it is: rows carry its name, with a lower tier.
        folder: market's folder.
        kind: series' folder.
        monthly: whether there are files by month.
        daily: whether there are files by day.
        since: before it there are none.
        metric: metric that tells whether an hour of ``positioning`` is there already.
    """

    feed: Feed
    source: str
    folder: str
    kind: str
    monthly: bool
    daily: bool
    since: datetime
    metric: str | None = None

    def path(self, symbol: str, start: datetime, *, month: bool) -> str:
        """Path of a file below the archive's root."""
        span = "monthly" if month else "daily"
        label = f"{start:%Y-%m}" if month else f"{start:%Y-%m-%d}"
        if self.kind == "klines":
            return f"data/{self.folder}/{span}/klines/{symbol}/1h/{symbol}-1h-{label}.zip"
        return f"data/{self.folder}/{span}/{self.kind}/{symbol}/{symbol}-{self.kind}-{label}.zip"

    def reach(self, window: Window, now: datetime) -> Window:
        """The part of a window for which files should be there by now."""
        until = floor_day(now - DAILY_DELAY) if self.daily else _month(now - MONTHLY_DELAY)
        start = max(window.start, self.since)
        return Window(start, max(start, min(window.end, until)))


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file, and the time that it is about."""

    path: str
    period: Window


def _month(at: datetime) -> datetime:
    return floor_day(at).replace(day=1)


def _next_month(start: datetime) -> datetime:
    return _month(start + 31 * DAY)


def files(
    feed: ArchiveFeed, symbol: str, days: Iterable[datetime], now: datetime
) -> list[ArchiveFile]:
    """The fewest files that hold the days, newest first."""
    by_month: dict[datetime, list[datetime]] = {}
    for day in days:
        by_month.setdefault(_month(day), []).append(day)
    out: list[ArchiveFile] = []
    for month, wanted in by_month.items():
        end = _next_month(month)
        there = feed.monthly and end + MONTHLY_DELAY <= now
        if there and (len(wanted) >= MONTH_FROM_DAYS or not feed.daily):
            out.append(ArchiveFile(feed.path(symbol, month, month=True), Window(month, end)))
        elif feed.daily:
            out += [
                ArchiveFile(feed.path(symbol, day, month=False), Window(day, day + DAY))
                for day in wanted
            ]
    return sorted(out, key=lambda f: f.period.start, reverse=True)


def missing_days(
    present: pd.DatetimeIndex | pd.Series, window: Window, *, hourly: bool
) -> list[datetime]:
    """Days of a window that lack an hour, or (not hourly) have no row at all.

    Args:
        present: times of the rows that are there.
        window: hours in question.
        hourly: whether a row an hour is owed.
    """
    if window.is_empty:
        return []
    stamps = pd.DatetimeIndex(present)
    if hourly:
        owed = pd.date_range(window.start, window.end, freq="1h", inclusive="left", tz="UTC")
        open_hours = owed.as_unit("us").difference(stamps.as_unit("us"))
        return [d.to_pydatetime() for d in open_hours.floor("D").unique()]
    full = set(stamps.floor("D"))
    return [d for d in window.days() if pd.Timestamp(d) not in full]


def _endpoint(name: str, parse: Parser) -> Endpoint:
    return Endpoint(PROVIDER, name, f"/data/{name}", parse, 1)


KLINES = _endpoint("klines", parse_klines)
TAKERS = _endpoint("klines_takers", parse_taker_volumes)
FUNDING = _endpoint("fundingRate", parse_funding)
METRICS_OPEN_INTEREST = _endpoint("metrics_open_interest", parse_metrics_open_interest)
METRICS_POSITIONING = _endpoint("metrics_positioning", parse_metrics_positioning)
ENDPOINTS = (KLINES, TAKERS, FUNDING, METRICS_OPEN_INTEREST, METRICS_POSITIONING)

_SINCE: Mapping[str, datetime] = {
    "spot": utc("2017-08-01"),
    "futures/um": utc("2019-09-01"),
    "metrics": utc("2020-09-01"),
}


def _series(
    dataset: str, endpoint: Endpoint, market: str, kind: str, metric: str | None = None
) -> ArchiveFeed:
    folder = "spot" if market == "spot" else "futures/um"
    return ArchiveFeed(
        feed=Feed(
            dataset=dataset,
            endpoint=endpoint,
            market=market,
            venue="binance",
            paging=Newest(),
            params=lambda _: {},
        ),
        source="binance" if market == "spot" else "binance_futures",
        folder=folder,
        kind=kind,
        monthly=kind != "metrics",
        daily=kind != "fundingRate",
        since=_SINCE.get(kind, _SINCE[folder]),
        metric=metric,
    )


ARCHIVE_FEEDS = (
    _series("candles", KLINES, "spot", "klines"),
    _series("candles", KLINES, "perp", "klines"),
    _series("funding_rates", FUNDING, "perp", "fundingRate"),
    _series("open_interest", METRICS_OPEN_INTEREST, "perp", "metrics"),
    _series(
        "positioning", METRICS_POSITIONING, "perp", "metrics", metric="global_account_long_frac"
    ),
    _series("positioning", TAKERS, "perp", "klines", metric="taker_buy_base"),
)
FEEDS = tuple(a.feed for a in ARCHIVE_FEEDS)


def reach(dataset: str, window: Window, now: datetime) -> Window | None:
    """The part of a window for which the archive should have files of a dataset; None without any."""
    parts = [a.reach(window, now) for a in ARCHIVE_FEEDS if a.feed.dataset == dataset]
    parts = [p for p in parts if not p.is_empty]
    return Window(min(p.start for p in parts), max(p.end for p in parts)) if parts else None
