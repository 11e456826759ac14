"""From parsed pages to rows of ``raw.<dataset>``: units, grid, window, running bars, keys, times.

Belongs here: everything that is done to the rows of one feed. A row that cannot be used gets a
``reason`` and stays. Does not belong here: rows of several feeds (``merging``), wire formats.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.datasets import DATASETS, HOURLY_GRID, MARKET_SYMBOL, Form
from regime_pipeline.providers.fetch.stream import INTERVAL, NO_SERIES, Stamping, Stream
from regime_pipeline.providers.fetch.tiers import tier
from regime_pipeline.providers.paging import Newest
from regime_pipeline.providers.readings import NAMES, Reading, joined
from regime_pipeline.providers.source import Feed
from regime_pipeline.providers.symbols import VenueSymbol, names_over
from regime_pipeline.providers.symbols import split as split_symbol
from regime_pipeline.providers.trades import hourly, hourly_closures, whole_hours
from regime_pipeline.windows import HOUR, Window

TIMEFRAME = "1h"
OBSERVED_WITHIN = timedelta(hours=2)
WIDEST_BAND_BPS = 50
TOO_LATE = "read too long after the hour to be its close"
PRICES = (
    "open", "high", "low", "close", "mark_price", "best_bid", "best_ask", "mid", "microprice", "price",
)  # fmt: skip
COINS = ("volume_base", "taker_buy_base", "taker_sell_base", "open_interest_base", "quantity_base")


def alike(streams: Sequence[Stream]) -> list[tuple[int, ...]]:
    """Numbers of the streams in groups whose rows are made alike, in one go.

    A frame costs the same for eight rows as for one: the symbols of a feed go together. Trades and
    closures are summed over the hours that a stream reached, and a feed with a shape of its own sees
    one reply's rows: those go alone.
    """
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, stream in enumerate(streams):
        feed = stream.feed
        gave = stream.is_complete if feed.summed else stream.gave_rows
        if feed.part in NO_SERIES or not gave:
            continue
        summed = feed.summed or DATASETS[feed.dataset].form is Form.SUMMED
        alone = number if feed.shape is not None or summed or feed.files is not None else None
        key = (stream.source.name, id(feed), stream.venue, stream.from_archive, alone)
        groups[(*key, stream.symbol is None)].append(number)
    return [tuple(numbers) for numbers in groups.values()]


@dataclass(frozen=True)
class Batch:
    """Streams of one feed whose rows are made together; their numbers are the rows' ``stream``."""

    streams: Mapping[int, Stream]

    @property
    def one(self) -> Stream:
        """Any of them, for what they have in common: source, feed, venue."""
        return next(iter(self.streams.values()))

    def per_row(self, frame: pd.DataFrame, tell: Callable[[Stream], Any]) -> pd.Series:
        """What a stream says of itself, at each of its rows."""
        told = {number: tell(stream) for number, stream in self.streams.items()}
        return frame["stream"].map(told)


def rows_of(
    batch: Batch, common: Stamping, contracts: Mapping[tuple[str, str], float]
) -> pd.DataFrame:
    """All pages of a batch as one frame with the table's columns, ``reason`` and ``stream``.

    ``contracts``: coins behind one contract by source and instrument.
    """
    one = batch.one
    # of single closures an answer without any says that there were none
    pages = [
        (n, p) for n, s in batch.streams.items() for p in s.pages if len(p.frame) or one.feed.summed
    ]
    frame = concat([p.frame for _, p in pages])
    page = np.repeat(np.arange(len(pages)), [len(p.frame) for _, p in pages])
    frame["payload_id"] = pd.array([p.reply.landed.payload_id for _, p in pages], dtype="str").take(
        page
    )
    frame["fetched_at"] = (
        pd.DatetimeIndex([p.reply.fetched_at for _, p in pages]).as_unit("us").take(page)
    )
    seen = [p.reply.seen_at if common.live_clock else p.reply.fetched_at for _, p in pages]
    frame["seen_at"] = pd.DatetimeIndex(seen).as_unit("us").take(page)
    frame["listing_complete"] = pd.array([p.complete for _, p in pages], dtype="boolean").take(page)
    frame["stream"] = np.array([n for n, _ in pages], dtype="int64").take(page)
    if common.live_clock:
        frame["server_at"] = pd.DatetimeIndex(
            [min(common.now, p.reply.http_date or common.now) for _, p in pages]
        ).as_unit("us").take(page)  # fmt: skip
    if one.feed.by_name:  # before any row is left out: what is listed is for the whole reply to say
        frame = _of_wanted_instruments(frame, one, common)
    if one.feed.snapshot:
        frame = _observed_now(frame, batch, common)
    if one.feed.shape is not None:
        _flag_other_symbols(frame, batch)
        frame = one.feed.shape(frame).assign(stream=next(iter(batch.streams)))
    if one.feed.by_coin:
        frame = _of_wanted_coins(frame, common)
    if common.item.grid is not None and common.item.grid.rounded:
        frame["ts"] = frame["ts"].dt.round("min")
    if one.feed.in_contracts:
        named = one.symbol is not None
        sizes = batch.per_row(
            frame,
            lambda s: contracts.get((s.source.name, s.symbol.name if named and s.symbol else "")),
        )
        _to_coins(frame, sizes.astype("float64"))
    frame = _in_form(frame, batch, common)
    if frame.empty:
        return frame
    _check_rows(frame, batch, common)
    _one_coin_each(frame, batch)
    _stamp(frame, batch, common)
    return frame


def concat(pages: Sequence[pd.DataFrame | Reading]) -> pd.DataFrame:
    """The rows of several pages of one feed, index new."""
    if readings := [p for p in pages if isinstance(p, Reading)]:
        return joined(readings)
    frame = pd.concat([p for p in pages if isinstance(p, pd.DataFrame)], ignore_index=True)
    frame.attrs = {}
    return frame


def _one_coin_each(frame: pd.DataFrame, batch: Batch) -> None:
    """Prices and amounts of multiplied contracts (1000PEPE) per coin, in place."""
    if batch.one.feed.summed:
        return  # dollars
    if batch.one.feed.by_name:
        multiplier = frame["multiplier"]
    else:
        multiplier = batch.per_row(frame, lambda s: s.symbol.multiplier if s.symbol else 1)
    if (multiplier == 1).all():
        return
    for column in PRICES:
        if column in frame:
            frame[column] /= multiplier
    for column in COINS:
        if column in frame:
            frame[column] *= multiplier
    if "metric" in frame:
        coins = frame["metric"].str.endswith("_base")
        frame["value"] = frame["value"].where(~coins, frame["value"] * multiplier)


def _in_form(frame: pd.DataFrame, batch: Batch, common: Stamping) -> pd.DataFrame:
    """The rows that the dataset is made of, those in scope: samples, sums or single events."""
    form = common.item.form
    if batch.one.feed.summed:
        ((number, stream),) = batch.streams.items()
        return _closures_summed(frame, stream, common).assign(stream=number)
    if form is Form.SAMPLED:
        return _sampled(frame, batch)
    if form is Form.SUMMED:
        ((number, stream),) = batch.streams.items()
        frame = _summed(frame, stream, common).assign(stream=number)
    frame = _in_scope(frame, batch.one.feed, common)
    return _identified(frame, live=batch.one.is_live) if form is Form.DIGESTED else frame


def _to_coins(frame: pd.DataFrame, sizes: pd.Series) -> None:
    """Amounts in contracts as coins and USD, in place; without the size a row can't be used."""
    _flag(frame, sizes.isna(), "the size of a contract is not known")
    known = sizes.notna()
    depths = [str(c) for c in frame.columns if str(c).startswith("depth_")]
    for column in depths:
        frame[column] = frame[column].where(~known, frame[column] * sizes)
    if "quantity_contracts" not in frame:
        return
    coins = frame["quantity_contracts"] * sizes
    frame["quantity_base"] = frame["quantity_base"].where(coins.isna(), coins)
    for value in ("value_quote", "liquidation_usd"):
        if value in frame:
            frame[value] = frame[value].where(coins.isna(), coins * frame["price"])


def _sampled(frame: pd.DataFrame, batch: Batch) -> pd.DataFrame:
    """Snapshots stamped with the instant of sampling, with their age then."""
    frame["ts"] = frame["seen_at"]
    age = (frame["seen_at"] - frame["book_ts"]).dt.total_seconds()
    # a venue's clock may run a little ahead of ours; a book without a time is as old as its reply
    frame["book_age_s"] = age.fillna(0.0).clip(lower=0.0)
    reach = frame["book_reach_bps"]
    frame["is_lower_bound"] = (reach < WIDEST_BAND_BPS).astype("boolean").mask(reach.isna())
    # a venue that doesn't repeat the instrument's name told of the one that it was asked for
    told = frame["venue_symbol"].notna().groupby(frame["stream"]).transform("any")
    asked = batch.per_row(frame, lambda s: s.symbol.name if s.symbol else None).astype("str")
    frame["venue_symbol"] = frame["venue_symbol"].astype("str").where(told, asked)
    return frame


def _summed(frame: pd.DataFrame, stream: Stream, common: Stamping) -> pd.DataFrame:
    """Trades as hours that were fetched from end to end; a failed page leaves none."""
    if stream.error is not None:
        return frame.head(0)
    names = frame["venue_symbol"].dropna()
    if stream.symbol is not None and (names != stream.symbol.name).any():
        other = names[names != stream.symbol.name].iloc[0]
        raise_for = f"symbol: {other!r:.40} among the trades"
        frame["reason"] = frame["reason"].fillna(raise_for)
    covered = stream.window
    if isinstance(stream.feed.paging, Newest):  # the newest trades, however far they reach back
        first = frame["ts"].min()
        begin = covered.end if first is pd.NaT else max(covered.start, first.to_pydatetime())
        covered = Window(min(begin, covered.end), covered.end)
    hours = hourly(frame, whole_hours(covered, common.now))
    if hours.empty:
        return frame.head(0)
    unplaced = int(frame["ts"].isna().sum())
    if unplaced:
        _flag(hours, pd.Series(True, index=hours.index), f"{unplaced} trades have no time")
    newest = frame.sort_values(["fetched_at", "payload_id"], kind="stable").iloc[-1]
    return hours.assign(**{c: newest[c] for c in ("fetched_at", "seen_at", "payload_id")})


def _closures_summed(frame: pd.DataFrame, stream: Stream, common: Stamping) -> pd.DataFrame:
    """Single closures as hours that were asked for from end to end, the quiet ones too."""
    if stream.feed.by_name:
        told = _told_names(stream)
        parts = [
            _summed_closures(frame[frame["symbol"] == s.canonical], stream, common).assign(
                symbol=s.canonical
            )
            for s in _present_names(stream, common)
            if s.name in told
        ]
        return pd.concat(parts, ignore_index=True) if parts else frame.head(0)
    _flag_other_symbols(frame, Batch({0: stream}))
    return _summed_closures(frame, stream, common)


def _summed_closures(frame: pd.DataFrame, stream: Stream, common: Stamping) -> pd.DataFrame:
    hours = hourly_closures(_identified(frame), whole_hours(stream.window, common.now))
    unplaced = int(frame["ts"].isna().sum())
    if unplaced:
        _flag(hours, pd.Series(True, index=hours.index), f"{unplaced} closures have no time")
    reply = max((p.reply for p in stream.pages), key=lambda r: (r.fetched_at, r.landed.payload_id))
    at = {
        "fetched_at": reply.fetched_at,
        "seen_at": reply.seen_at if common.live_clock else reply.fetched_at,
    }
    stamps = {name: pd.Timestamp(value).as_unit("us") for name, value in at.items()}
    return hours.assign(payload_id=reply.landed.payload_id, **stamps)


def _identified(frame: pd.DataFrame, *, live: bool = False) -> pd.DataFrame:
    """Events with a digest of what tells them apart.

    Equal ones of one millisecond are told apart by their number within a page. A page that follows
    begins at the time at which the one before ended, so that one of them holds all, and the same ones
    have the same digests whatever the pages were. Pages of a live stream repeat nothing: there the number
    is within the stream. A venue's own number is kept.
    """
    if "closure_id" in frame:
        return frame
    parts = (frame["ts"], frame["position_side"], frame["price"], frame["quantity_base"])
    texts = pd.Series(["|".join(map(str, row)) for row in zip(*parts, strict=True)], dtype="str")
    page = [frame[name].to_numpy() for name in ("stream", "payload_id")][: 1 if live else 2]
    number = texts.groupby([texts.to_numpy(), *page]).cumcount()
    texts = texts.where(number == 0, texts + "|" + number.astype("str"))
    frame["closure_id"] = pd.array(
        [hashlib.sha256(t.encode()).hexdigest()[:16] for t in texts], dtype="str"
    )
    return frame


def _observed_now(frame: pd.DataFrame, batch: Batch, common: Stamping) -> pd.DataFrame:
    """Rows of a reply about the present: under the hour in which it came.

    A reply that says its own time must be of that hour or the one before: a cache that stands still
    is no observation. A level of which the dataset has the close of each hour is read right after it,
    within the time that publishing one takes; later there is no row, and the log says so.
    """
    wrong = frame["seen_at"] != frame["fetched_at"]  # our clock is: the server's tells the hour
    now = frame["seen_at"].where(wrong, pd.Timestamp(common.now).as_unit("us"))
    hour = now.dt.ceil("h") - HOUR
    if common.item.is_bucketed:
        frame["ts"] = hour - HOUR
        late = now - hour > common.item.delay
        for number in frame.loc[late, "stream"].unique():
            stream = batch.streams[number]
            stream.note = stream.note or TOO_LATE
        return frame.loc[~late].reset_index(drop=True)
    if "ts" in frame or "told_at" in frame:
        told = frame["ts" if "ts" in frame else "told_at"]
        old = told.notna() & (told < hour - HOUR)
        _flag(frame, old, "ts: a stale reply, older than the hour before it was asked for")
        frame["ts"] = told.dt.floor("h").where(told.notna() & ~old, hour)
    else:
        frame["ts"] = hour
    return frame


def _of_wanted_instruments(frame: pd.DataFrame, stream: Stream, common: Stamping) -> pd.DataFrame:
    """The rows of the wanted symbols out of a list of all; a symbol that it lacks is told in the log."""
    present = _present_names(stream, common)
    names = frame["venue_symbol"]
    frame["symbol"] = names.map({p.name: p.canonical for p in present}).astype("str")
    frame["multiplier"] = names.map({p.name: p.multiplier for p in present})
    listed = {*names, *_told_names(stream)}
    absent = sorted(p.canonical for p in present if p.name not in listed)
    if absent:
        stream.note = f"not among the listed instruments: {', '.join(absent)}"
    return frame.loc[frame["symbol"].notna()].reset_index(drop=True)


def _present_names(stream: Stream, common: Stamping) -> list[VenueSymbol]:
    """What the venue called the wanted symbols at the end of the window."""
    feed = stream.feed
    return [
        names_over(s, feed.names or feed.venue, feed.market, stream.window)[-1][0]
        for s in common.symbols
    ]


def _told_names(stream: Stream) -> set[str]:
    """Instruments of which the pages tell everything, the quiet ones too."""
    return {n for p in stream.pages for n in p.frame.attrs.get(NAMES, ())}


def _of_wanted_coins(frame: pd.DataFrame, common: Stamping) -> pd.DataFrame:
    """The rows of the wanted symbols' coins, one reply each; the rest was not asked for."""
    symbols = {split_symbol(s)[0]: s for s in reversed(common.symbols)}
    frame["symbol"] = frame["coin"].map(symbols).astype("str")
    kept = frame.loc[frame["symbol"].notna()]
    return kept.drop_duplicates(["symbol", "fetched_at"]).reset_index(drop=True)


def _in_scope(frame: pd.DataFrame, feed: Feed, common: Stamping) -> pd.DataFrame:
    """Without rows outside the window, and without buckets that still run."""
    ts = frame["ts"]
    length = common.length(feed)
    outside = (ts < common.window.start) | (ts >= common.window.end)
    # what has closed is for the provider's clock to say: ours may be ahead of it
    now = frame.get("server_at", common.now)
    running = ts + length > now
    if "close_time" in frame:
        running |= frame["close_time"] > now
    if "is_closed" in frame:
        running |= ~frame["is_closed"].fillna(True).astype(bool)
    # a time that cannot be read stays, to be quarantined; one in the future is not a running bar
    return frame.loc[~(outside | running).fillna(False).to_numpy(bool)].reset_index(drop=True)


def _check_rows(frame: pd.DataFrame, batch: Batch, common: Stamping) -> None:
    """Adds reasons for rows off the grid, of another instrument or of another bar length."""
    ts = frame["ts"]
    grid = HOURLY_GRID if batch.one.feed.bucketed else common.item.grid
    if grid is not None:
        off = (ts - ts.dt.round(pd.Timedelta(grid.step))).abs()
        _flag(frame, off > grid.tolerance, grid.reason)
    _flag_other_symbols(frame, batch)
    if "close_time" in frame:
        length = frame["close_time"] - ts
        # a bar cut short by a halt of the venue is a bar; a series of short ones is another timeframe
        short = length * 2 <= INTERVAL
        _flag(frame, length > INTERVAL, "close_time: a longer bar than asked for")
        most = short.groupby(frame["stream"]).transform("mean") > 0.5
        _flag(frame, short & most, "close_time: a shorter bar than asked for")


def _flag_other_symbols(frame: pd.DataFrame, batch: Batch) -> None:
    if "venue_symbol" in frame and batch.one.symbol is not None:
        asked = batch.per_row(frame, lambda s: s.symbol.name if s.symbol else None).astype("str")
        other = (frame["venue_symbol"] != asked).fillna(True)
        _flag(frame, other, "symbol: another one than " + asked)


def _flag(frame: pd.DataFrame, mask: pd.Series, why: str | pd.Series) -> None:
    bad = mask.fillna(False).to_numpy(bool)
    if bad.any():
        old = frame.loc[bad, "reason"]
        new = why if isinstance(why, str) else why[bad]
        frame.loc[bad, "reason"] = (old + "; " + new).where(old.notna(), new)


def _stamp(frame: pd.DataFrame, batch: Batch, common: Stamping) -> None:
    """Adds keys, tier, and when each row could be known, in place.

    What was seen live was known when it was seen, and no bucket before its end.
    """
    one = batch.one
    length = common.length(one.feed)
    end = frame["ts"] + length
    known = frame["ts"] + common.item.lag + (INTERVAL if one.feed.bucketed else timedelta(0))
    if one.feed.snapshot:
        known = frame["seen_at"]
    seen = pd.Series(False, index=frame.index)
    if common.live_clock:
        seen = ((frame["seen_at"] - known).abs() <= OBSERVED_WITHIN).fillna(False)
    told = known.where(~seen, frame["seen_at"])
    frame["available_at"] = told.where(~(told < end), end)
    frame["pit_grade"] = pd.Series(
        np.where(seen, "observed", "assumed"), index=frame.index, dtype="str"
    )
    frame["source"] = one.source.name
    if one.feed.tells_all:
        tiers = {s: tier(one, common, s) for s in frame["symbol"].unique()}
        frame["source_tier"] = frame["symbol"].map(tiers)
    else:
        frame["source_tier"] = batch.per_row(frame, lambda s: tier(s, common))
    frame["venue"] = one.venue
    frame["market"] = one.feed.market
    if not one.feed.tells_all:
        frame["symbol"] = batch.per_row(frame, lambda s: s.canonical or MARKET_SYMBOL).astype("str")
    frame["timeframe"] = TIMEFRAME
    if common.item.by_kind:
        frame["sentiment_kind"] = one.feed.kind
        frame["sentiment_scope"] = "market" if one.symbol is None else "symbol"
