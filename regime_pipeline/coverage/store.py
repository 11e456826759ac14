"""``ops.coverage_spans``: kept up to date for the days that a run touched, and read again.

One dataset at a time in one transaction under its own lock: the log rows and stored hours of the
window are read, the states follow from them (``hours``), and only stretches that differ are
written, so that the same facts told twice change no row. Does not belong here: the rules
(``rules``), asking again (``gaps``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql

from regime_pipeline.catalogue import TABLES, Table
from regime_pipeline.catalogue.datasets import DATASETS, MARKET_SYMBOL, Expected
from regime_pipeline.coverage.answers import epoch_hours
from regime_pipeline.coverage.hours import (
    KEY,
    SPAN,
    hour_of,
    hour_spans,
    matched,
    no_spans,
    replaced,
    typed,
)
from regime_pipeline.coverage.rules import (
    KEPT_DAYS,
    OWED_DAYS,
    Series,
    series_of,
)
from regime_pipeline.settings import Settings
from regime_pipeline.storage import locks
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, Window, at_hour, floor_day, floor_hour

_LOG = (
    "source", "venue", "market", "symbol", "run_id", "window_start", "window_end", "fetch_status",
    "error_class", "request_count", "fetched_at", "endpoint_path", "rows_stored", "rows_quarantined",
    "first_row_at", "last_row_at",
)  # fmt: skip


@dataclass(frozen=True)
class Refreshed:
    """What a refresh found and did.

    Attributes:
        spans: stretches of the window and the day before, cut to them: ``KEY``, ``start``, ``end``
            (instants), ``coverage_state``, ``coverage_reason``, ``is_forward_only``.
        written: stretches that are new or longer or shorter than before.
        removed: stretches that are no more.
    """

    spans: pd.DataFrame
    written: int = 0
    removed: int = 0


def refresh(
    warehouse: Warehouse,
    settings: Settings,
    now: datetime,
    dataset: str,
    window: Window,
    *,
    owed: Window | None = None,
) -> Refreshed:
    """Bring the coverage of a dataset up to date for the days of a window.

    The day before the window is judged again as far as it was judged before: its last hours may have
    been within their grace.

    Args:
        warehouse: the tables.
        settings: which series there should be.
        now: decides what is not due yet; hours after it are not judged.
        dataset: raw table without its schema.
        window: the days that a run touched; cut at the last full hour.
        owed: hours that every series owes even if nobody has ever asked for it.

    Raises:
        StorageError: the database refused, or was away for too long.
    """
    end = min(window.end, floor_hour(now))
    if end <= window.start:
        return Refreshed(_shown(no_spans(), window))
    looked = Window(floor_day(window.start), end)
    series = series_of(settings, dataset, settings.universe)
    item = TABLES[f"raw.{dataset}"]

    def work(connection: psycopg.Connection) -> Refreshed:
        connection.execute("select pg_advisory_xact_lock(%s)", (locks.key("coverage", dataset),))
        old = _read(connection, dataset)
        after = _judged(connection, item, looked, series, old, owed, now)
        written, removed = _write(connection, dataset, old, after)
        return Refreshed(_shown(after, Window(looked.start - DAY, looked.end)), written, removed)

    found: Refreshed = warehouse.transact(work)
    return found


def catch_up(warehouse: Warehouse, settings: Settings, now: datetime, dataset: str) -> Refreshed:
    """Judge the last days of a dataset, and those since the last that were judged.

    So that hours which no run has touched (nothing ran, or a source is new) are told as well.
    """
    owed = Window(floor_day(now) - OWED_DAYS * DAY, now)

    def reached(connection: psycopg.Connection) -> datetime | None:
        row = connection.execute(
            "select max(span_end) from ops.coverage_spans where dataset = %s", (dataset,)
        ).fetchone()
        return row[0] if row else None

    known = warehouse.transact(reached) or owed.start
    start = max(floor_day(now) - KEPT_DAYS * DAY, min(owed.start, known))
    return refresh(warehouse, settings, now, dataset, Window(start, now), owed=owed)


def _judged(
    connection: psycopg.Connection,
    item: Table,
    looked: Window,
    series: list[Series],
    old: pd.DataFrame,
    owed: Window | None,
    now: datetime,
) -> pd.DataFrame:
    """The dataset's stretches with those of the window and the day before it judged anew."""
    dataset = item.name
    window = Window(looked.start - DAY, looked.end)
    first, last = int(hour_of(window.start)), int(hour_of(window.end))
    log = _log(connection, dataset, window, series)
    stored = _stored(connection, item, window, series)
    # rows of sources that are no longer configured stay what they are
    unknown = (matched(stored, series) < 0) & ~stored["source"].isin([s.source for s in series])
    strange = stored.loc[unknown, list(KEY)].drop_duplicates()
    series = series + [
        Series(
            str(source),
            str(venue),
            str(market),
            str(symbol),
            rule=DATASETS[dataset].expected,
            off="not among the configured sources",
        )
        for source, venue, market, symbol in strange.itertuples(index=False)
    ]
    refused = _refused(connection, item, window)
    begins = _begins(series, (first, last), int(hour_of(looked.start)), old, stored, log, owed)
    new = hour_spans(
        series,
        first,
        last,
        stored=stored,
        log=log,
        refused=refused,
        lived=old.loc[old["coverage_state"] == "stored", [*KEY, "start", "end"]],
        begins=begins,
        now=now,
    )
    return replaced(old, new, series, (first, last))


def _begins(
    series: Sequence[Series],
    hours: tuple[int, int],
    looked_from: int,
    old: pd.DataFrame,
    stored: pd.DataFrame,
    log: pd.DataFrame,
    owed: Window | None,
) -> np.ndarray:
    """Which hours are judged: series x hours, from the first that was asked for on."""
    first, last = hours
    begin = np.full(len(series), np.iinfo(np.int64).max)
    if owed is not None:
        begin[:] = int(hour_of(owed.start))
    for frame, start in (
        (old, old["start"].to_numpy(np.int64)),
        (stored, stored["start"].to_numpy(np.int64)),
        (log, np.floor(epoch_hours(log["window_start"])).astype(np.int64)),
    ):
        number = matched(frame, series)
        np.minimum.at(begin, number[number >= 0], start[number >= 0])
    hour = np.arange(first, last)
    judged = hour[None, :] >= begin[:, None]
    before = np.zeros((len(series), last - first), bool)
    number = matched(old, series)
    known = (
        (number >= 0) & (old["end"] > first).to_numpy(bool) & (old["start"] < last).to_numpy(bool)
    )
    steps = np.zeros((len(series), last - first + 1), np.int32)
    if known.any():
        start = np.clip(old["start"].to_numpy(np.int64)[known] - first, 0, last - first)
        end = np.clip(old["end"].to_numpy(np.int64)[known] - first, 0, last - first)
        np.add.at(steps, (number[known], start), 1)
        np.add.at(steps, (number[known], end), -1)
        before = np.cumsum(steps, axis=1)[:, :-1] > 0
    return judged & ((hour[None, :] >= looked_from) | before)


# --- reading ------------------------------------------------------------------------------------


def _read(connection: psycopg.Connection, dataset: str) -> pd.DataFrame:
    rows = connection.execute(
        "select source, venue, market, symbol, span_start, span_end, coverage_state, "
        "coverage_reason, is_forward_only from ops.coverage_spans where dataset = %s",
        (dataset,),
    ).fetchall()
    frame = pd.DataFrame(rows, columns=list(SPAN))
    for column in ("start", "end"):
        frame[column] = epoch_hours(frame[column]).astype(np.int64)
    return typed(frame)


def log_rows(connection: psycopg.Connection, dataset: str, window: Window) -> pd.DataFrame:
    """Rows of the fetch log about a dataset that touch a window; the columns that coverage reads."""
    query = sql.SQL(
        "select {} from ops.fetch_log where dataset = {} and window_end > {} and window_start < {}"
    ).format(
        sql.SQL(", ").join(sql.Identifier(c) for c in _LOG),
        sql.Literal(dataset),
        sql.Literal(window.start),
        sql.Literal(window.end),
    )
    log = pd.DataFrame(connection.execute(query).fetchall(), columns=list(_LOG))
    log["error_class"] = log["error_class"].astype(object)
    return log


def _log(
    connection: psycopg.Connection, dataset: str, window: Window, series: Sequence[Series]
) -> pd.DataFrame:
    """Rows of the fetch log that touch a window, each under the series that it is about."""
    log = log_rows(connection, dataset, window)
    return _about_series(_archive_as_venues(log), dataset, series)


def _archive_as_venues(log: pd.DataFrame) -> pd.DataFrame:
    """Answers of the archive under the names of the sources whose rows it has."""
    from regime_pipeline.providers.binance.archive import ARCHIVE_FEEDS
    from regime_pipeline.providers.registry import ARCHIVE

    theirs = log["source"] == ARCHIVE
    if not theirs.any():
        return log
    names = {(a.feed.venue, a.feed.market): a.source for a in ARCHIVE_FEEDS}
    log = log[~theirs | (log["fetch_status"] == "ok")].reset_index(drop=True)
    theirs = log["source"] == ARCHIVE
    pairs = zip(log.loc[theirs, "venue"], log.loc[theirs, "market"], strict=True)
    log.loc[theirs, "source"] = [names.get(pair, ARCHIVE) for pair in pairs]
    log.loc[theirs, "run_id"] = log.loc[theirs, "run_id"].fillna("") + "/archive"
    return log


def _about_series(log: pd.DataFrame, dataset: str, series: Sequence[Series]) -> pd.DataFrame:
    """Log rows without a symbol under each symbol that they are about."""
    whole = log["symbol"].isna()
    if not whole.any():
        return log
    if not TABLES[f"raw.{dataset}"].symbol_columns:
        return log.assign(symbol=MARKET_SYMBOL)
    spread = pd.DataFrame(
        [(*s.key, s.by_coin, s.is_forward_only) for s in series],
        columns=[*KEY, "by_coin", "is_forward_only"],
    )
    each = log[whole].drop(columns="symbol").merge(spread, on=["source", "venue", "market"])
    # of the lists that complete other feeds only a failure is told, and only where it costs rows
    failed = each["is_forward_only"] & (each["fetch_status"] == "failed")
    each = each[each["by_coin"] | failed][list(log.columns)]
    parts = [p for p in (log[~whole], each) if len(p)]
    return pd.concat(parts, ignore_index=True) if parts else log.head(0)


def _stored(
    connection: psycopg.Connection, item: Table, window: Window, series: Sequence[Series]
) -> pd.DataFrame:
    """Hours (for daily datasets: the hours of days) with rows, as stretches by series."""
    empty = pd.DataFrame(columns=[*KEY, "start", "end"])
    empty[["start", "end"]] = empty[["start", "end"]].astype(np.int64)
    if series and all(s.rule == Expected.ANSWERS for s in series):
        return empty
    step = 24 if DATASETS[item.name].expected is Expected.DAILY else 1
    named = [c for c in KEY if c in item.key]
    query = sql.SQL(
        "select {names}, min(n), max(n) + 1 from (select {names}, n, "
        "n - row_number() over (partition by {names} order by n) as island from ("
        "select distinct {names}, floor(extract(epoch from ts) / {seconds})::bigint as n "
        "from {table} where ts >= {start} and ts < {end}) d) e group by {names}, island"
    ).format(
        names=sql.SQL(", ").join(sql.Identifier(c) for c in named),
        seconds=sql.Literal(3600 * step),
        table=sql.Identifier(item.schema, item.name),
        start=sql.Literal(floor_day(window.start) if step > 1 else window.start),
        end=sql.Literal(window.end),
    )
    rows = pd.DataFrame(connection.execute(query).fetchall(), columns=[*named, "start", "end"])
    if rows.empty:
        return empty
    rows[["start", "end"]] = rows[["start", "end"]].astype(np.int64) * step
    if "symbol" not in named:
        rows["symbol"] = MARKET_SYMBOL
    missing = [c for c in ("venue", "market") if c not in named]
    if missing:  # such a dataset has one venue and market a source
        of = {s.source: s for s in series}
        rows = rows[rows["source"].isin(list(of))]
        for column in missing:
            rows[column] = [getattr(of[name], column) for name in rows["source"]]
    return rows[[*KEY, "start", "end"]].reset_index(drop=True)


def _refused(connection: psycopg.Connection, item: Table, window: Window) -> pd.DataFrame:
    """Hours of a window of which a row was refused: ``KEY``, ``hour``, ``reason``, the newest last.

    A row whose time or series cannot be read tells of no hour.
    """
    query = (
        "select q.row_data->>'source', coalesce(q.row_data->>'venue', ''), "
        "coalesce(q.row_data->>'market', ''), coalesce(q.row_data->>'symbol', %(market)s), "
        "q.row_data->>'ts', q.reason from ops.quarantine q where q.table_name = %(table)s "
        "and q.row_data->>'ts' >= %(start)s and q.row_data->>'ts' < %(end)s "
        "and q.row_data->>'source' is not null order by q.created_at"
    )
    values = {
        "market": MARKET_SYMBOL,
        "table": item.full_name,
        "start": f"{window.start:%Y-%m-%d}",
        "end": f"{window.end + DAY:%Y-%m-%d}",
    }
    rows = pd.DataFrame(
        connection.execute(query, values).fetchall(), columns=[*KEY, "ts", "reason"]
    )
    stamps = pd.to_datetime(rows.pop("ts"), utc=True, errors="coerce", format="ISO8601")
    rows["hour"] = np.floor(epoch_hours(stamps.fillna(pd.Timestamp(0, tz="UTC")))).astype(np.int64)
    return rows


# --- writing ------------------------------------------------------------------------------------


def _write(
    connection: psycopg.Connection, dataset: str, old: pd.DataFrame, new: pd.DataFrame
) -> tuple[int, int]:
    """Write the stretches that differ: (written, removed)."""
    both = old.assign(_old=1).merge(new.assign(_new=1), how="outer", on=list(SPAN))
    gone, fresh = both[both["_new"].isna()], both[both["_old"].isna()]
    if len(gone):
        connection.execute(
            "delete from ops.coverage_spans t using unnest(%s::text[], %s::text[], %s::text[], "
            "%s::text[], %s::timestamptz[]) as g(source, venue, market, symbol, span_start) "
            "where t.dataset = %s and (t.source, t.venue, t.market, t.symbol, t.span_start) = "
            "(g.source, g.venue, g.market, g.symbol, g.span_start)",
            (*(gone[c].tolist() for c in KEY), _instants(gone["start"]), dataset),
        )
    if len(fresh):
        reasons = [None if pd.isna(r) else r for r in fresh["coverage_reason"]]
        connection.execute(
            "insert into ops.coverage_spans (dataset, source, venue, market, symbol, span_start, "
            "span_end, coverage_state, coverage_reason, is_forward_only) select %s, * from unnest("
            "%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], "
            "%s::text[], %s::text[], %s::boolean[])",
            (
                dataset,
                *(fresh[c].tolist() for c in KEY),
                _instants(fresh["start"]),
                _instants(fresh["end"]),
                fresh["coverage_state"].tolist(),
                reasons,
                [bool(v) for v in fresh["is_forward_only"]],
            ),
        )
    return len(fresh), len(gone)


def _instants(hours: pd.Series) -> list[datetime]:
    return [at_hour(int(h)) for h in hours]


def _shown(spans: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Stretches cut to a window, with instants."""
    first, last = hour_of(window.start), hour_of(window.end)
    inside = spans[(spans["end"] > first) & (spans["start"] < last)].reset_index(drop=True)
    start = np.maximum(inside["start"].to_numpy(float), first)
    end = np.minimum(inside["end"].to_numpy(float), last)
    return inside.assign(
        start=pd.to_datetime(start * 3600, unit="s", utc=True),
        end=pd.to_datetime(end * 3600, unit="s", utc=True),
    )


# --- asking what was found ------------------------------------------------------------------------


def spans_of(warehouse: Warehouse, window: Window, *, state: str | None = None) -> pd.DataFrame:
    """Stored stretches of all datasets that touch a window, cut to it.

    Returns:
        ``dataset``, ``KEY``, ``start``, ``end`` (instants), ``coverage_state``, ``coverage_reason``,
        ``is_forward_only``; sorted by key and start.
    """

    def work(connection: psycopg.Connection) -> list[tuple[object, ...]]:
        return connection.execute(
            "select dataset, source, venue, market, symbol, greatest(span_start, %(start)s), "
            "least(span_end, %(end)s), coverage_state, coverage_reason, is_forward_only "
            "from ops.coverage_spans where span_end > %(start)s and span_start < %(end)s "
            "and (%(state)s::text is null or coverage_state = %(state)s) order by 1, 2, 3, 4, 5, 6",
            {"start": window.start, "end": window.end, "state": state},
        ).fetchall()

    return pd.DataFrame(warehouse.transact(work), columns=["dataset", *SPAN])
