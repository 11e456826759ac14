"""Questions about stored tables that the summary, the report and ``regime status`` share.

Every function takes the database and returns plain rows or a frame; SQL counts, Python shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from psycopg import sql

from regime_pipeline.catalogue import TABLES, Cadence, Table
from regime_pipeline.catalogue.fields.common import NOT_APPLICABLE, USABLE
from regime_pipeline.quality.model import BY_ID
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import exists, rows
from regime_pipeline.windows import DAY, HOUR, Window, floor_day
from regime_pipeline.wording.labels import SEVERITIES

OVERVIEW = "reporting.market_overview"
LATELY = 3 * DAY
"""How long an event stands among the newest, where the most severe come first."""
TRADED_OVER = 30 * DAY
RECORDED_FROM: Mapping[str, str] = MappingProxyType(
    {
        "market.funding_predicted_1h": "funding_predictions",
        "market.order_book_1h": "order_book",
        "market.trade_flow_1h": "trade_flow",
        "market.sentiment_1h": "sentiment",
    }
)
"""Hourly tables made of what can only be recorded while it happens, with their raw dataset."""


def identity(database: Database) -> dict[str, Any]:
    """Origin and detail of the data."""
    found = rows(database, "select origin, detail from ops.database_identity")
    return found[0] if found else {"origin": "unknown", "detail": None}


def overview(database: Database, symbols: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of the newest state in the order of ``symbols``; none when dbt has not built it yet."""
    if not exists(database, OVERVIEW):
        return []
    return rows(
        database,
        "select * from reporting.market_overview where symbol = any(%(symbols)s) "
        "order by array_position(%(symbols)s, symbol)",
        symbols=list(symbols),
    )


def by_traded_value(database: Database, window: Window, declared: Sequence[str]) -> tuple[str, ...]:
    """The symbols, the most traded in the last 30 days of the window first.

    Spot and perpetuals are summed in quote currency; ties, and symbols without candles, keep the order
    in which they were declared.
    """
    found = rows(
        database,
        "select symbol, sum(volume_quote::numeric) as traded from market.candles_1h "
        "where ts >= %(start)s and ts < %(end)s and symbol = any(%(symbols)s) "
        "and volume_quote is not null group by 1",  # exact: the order of the rows must not decide
        start=max(window.start, window.end - TRADED_OVER),
        end=window.end,
        symbols=list(declared),
    )
    traded = {r["symbol"]: r["traded"] for r in found}
    return tuple(sorted(declared, key=lambda symbol: -traded.get(symbol, 0)))


def events(
    database: Database, window: Window, symbols: tuple[str, ...], limit: int | None = None
) -> list[dict[str, Any]]:
    """Market events of the window: its last days by severity, then what was known before, newest first."""
    return rows(
        database,
        "select ts, known_at, event_type, instrument, kind, alert_severity, level, title, source_tier "
        "from alerts.market_events "
        "where ts >= %(start)s and ts < %(end)s "
        "and string_to_array(instrument, '|') <@ %(symbols)s "
        "order by known_at >= %(lately)s desc, "
        "case when known_at >= %(lately)s then array_position(%(severities)s, alert_severity) end, "
        "known_at desc, array_position(%(severities)s, alert_severity), event_id limit %(limit)s",
        start=window.start,
        end=window.end,
        lately=window.end - LATELY,
        severities=list(SEVERITIES),
        symbols=list(symbols),
        limit=limit,
    )


def hourly_tables() -> list[Table]:
    """Derived tables that owe a row per symbol and hour."""
    return [
        t
        for t in TABLES.values()
        if t.cadence is Cadence.HOURLY and t.symbol_columns == ("symbol",)
    ]


def _split(table: Table, of: str = "") -> list[tuple[str, sql.Composable]]:
    """The name shown for a table, or one per market of it, and the condition that selects it."""
    if "market" not in table.key:
        return [(table.full_name, sql.SQL("true"))]
    return [
        (f"{table.full_name} {m}", sql.SQL(f"{of}market = {{}}").format(sql.Literal(m)))
        for m in ("spot", "perp")
    ]


def coverage(database: Database, window: Window, symbols: tuple[str, ...]) -> pd.DataFrame:
    """How many hours of each table and UTC day are usable.

    Returns:
        One row per table and day: ``table_name, day, owed, ok, partial, unusable, absent,
        unexpected``. Hours that nobody computed (``absent``) are told apart from rows whose value is
        null; hours that nobody could have (``unexpected``: they can only be recorded while they
        happen, and were not; or nothing applies, as to a halted market) are not owed.
    """
    parts = []
    for item in hourly_tables():
        for name, condition in _split(item):
            parts.append(
                sql.SQL(
                    "select {name}::text as table_name, date_trunc('day', ts, 'UTC') as day, status, "
                    "count(*) as n from {table} where ts >= %(start)s and ts < %(end)s "
                    "and symbol = any(%(symbols)s) and {condition} group by 2, 3"
                ).format(
                    name=sql.Literal(name),
                    table=sql.Identifier(item.schema, item.name),
                    condition=condition,
                )
            )
    counted = rows(
        database,
        sql.SQL(" union all ").join(parts),
        start=window.start,
        end=window.end,
        symbols=list(symbols),
    )
    names = [name for item in hourly_tables() for name, _ in _split(item)]
    grid = pd.MultiIndex.from_product(
        [names, pd.DatetimeIndex(window.days(), tz="UTC")], names=["table_name", "day"]
    )
    found = pd.DataFrame(counted, columns=["table_name", "day", "status", "n"])
    found["day"] = pd.to_datetime(found["day"], utc=True)
    kept = (*USABLE, NOT_APPLICABLE)
    what = found["status"].where(found["status"].isin(kept), "unusable")
    wide = (
        found.assign(what=what)
        .pivot_table(index=["table_name", "day"], columns="what", values="n", aggfunc="sum")
        .reindex(index=grid, columns=["ok", "partial", "unusable", NOT_APPLICABLE])
        .fillna(0)
        .astype(int)
    )
    days = wide.index.get_level_values("day")
    hours = np.array([_hours_of(day.to_pydatetime(), window) * len(symbols) for day in days])
    wide["unexpected"] = _unexpected(database, window, symbols).reindex(wide.index, fill_value=0)
    wide["unexpected"] += wide.pop(NOT_APPLICABLE)
    wide.insert(0, "owed", hours - wide["unexpected"])
    rest = (wide["owed"] - wide["ok"] - wide["partial"]).clip(lower=0)
    wide["absent"] = (rest - wide["unusable"]).clip(lower=0)
    wide["unusable"] = rest - wide["absent"]
    return wide.reset_index()


def _unexpected(database: Database, window: Window, symbols: tuple[str, ...]) -> pd.Series:
    """Hours without a usable value that no source could be asked for, by table and day."""
    parts = []
    for full_name, dataset in RECORDED_FROM.items():
        by_market = "market" in TABLES[full_name].key
        same = "and r.market = u.market" if by_market else ""
        for name, condition in _split(TABLES[full_name], "u."):
            parts.append(
                sql.SQL(
                    "select {name}::text as table_name, date_trunc('day', u.ts, 'UTC') as day, "
                    "count(distinct (u.symbol, u.ts)) as n from unexpected as u "
                    "left join {table} as r on r.symbol = u.symbol and r.ts = u.ts {same} "
                    "where u.dataset = {dataset} and {condition} "
                    "and (r.status is null or r.status <> all(%(counted)s)) group by 1, 2"
                ).format(
                    name=sql.Literal(name),
                    table=sql.Identifier(*full_name.split(".")),
                    dataset=sql.Literal(dataset),
                    same=sql.SQL(same),
                    condition=condition,
                )
            )
    found = rows(
        database,
        sql.SQL(
            "with unexpected as (select dataset, market, symbol, ts from ops.coverage "
            "where dataset = any(%(datasets)s) and symbol = any(%(symbols)s) and ts >= %(start)s "
            "and ts < %(end)s group by 1, 2, 3, 4 having not bool_or(expected)) "
        )
        + sql.SQL(" union all ").join(parts),
        datasets=list(RECORDED_FROM.values()),
        symbols=list(symbols),
        counted=[*USABLE, NOT_APPLICABLE],
        start=window.start,
        end=window.end,
    )
    index = pd.MultiIndex.from_arrays(
        [[r["table_name"] for r in found], pd.to_datetime([r["day"] for r in found], utc=True)]
    )
    return pd.Series([int(r["n"]) for r in found], index=index, dtype="int64")


def _hours_of(day: datetime, window: Window) -> int:
    return int((min(day + DAY, window.end) - max(day, window.start)) / HOUR)


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How one provider does for one dataset.

    Attributes:
        rows: stored rows in the window.
        newest: newest stored row in the window.
        lag_h: hours from it to now; None without rows.
        last_success: when the source last answered.
        failing: fetches whose window no later success covers.
        error_classes: classes of those failures.
        message: one of their messages; None while nothing fails.
        note: what a source said of an answer that was partial, or of a question that was not asked.
        quarantined: rows refused, ever.
        state: ok, failing, partial, empty or skipped.
    """

    dataset: str
    source: str
    rows: int
    newest: datetime | None
    lag_h: float | None
    last_success: datetime | None
    failing: int
    error_classes: tuple[str, ...]
    message: str | None
    note: str | None
    quarantined: int
    state: str


_FETCHES = """
select
    f.dataset, f.source,
    max(f.fetched_at) filter (where f.fetch_status in ('ok', 'empty', 'partial')) as last_success,
    count(*) filter (where open.failure) as failing,
    array_agg(distinct f.error_class) filter (where open.failure and f.error_class is not null) as classes,
    (array_agg(f.error_message order by f.fetched_at desc) filter (where open.failure))[1] as message,
    array_agg(distinct f.fetch_status) as statuses,
    (array_agg(f.error_message order by f.fetched_at desc)
        filter (where (f.fetch_status in ('partial', 'skipped') or f.error_class = 'UnknownSymbol')
            and f.error_message is not null))[1] as note
from ops.fetch_log as f
cross join lateral (
    select f.fetch_status = 'failed' and f.error_class is distinct from 'UnknownSymbol' and not exists (
        select 1 from ops.fetch_log as g
        where g.dataset = f.dataset and g.source = f.source and g.fetched_at >= f.fetched_at
            and g.venue is not distinct from f.venue and g.market is not distinct from f.market
            and g.symbol is not distinct from f.symbol
            and g.endpoint_path is not distinct from f.endpoint_path
            and g.window_start <= f.window_start and g.window_end >= f.window_end
            and g.fetch_status <> 'failed'
    ) as failure
) as open
where f.window_end > %(start)s and f.window_start < %(end)s
group by f.dataset, f.source
"""


def _state(failing: int, statuses: Sequence[str], has_rows: bool) -> str:
    """One word for a source: the worst that still holds, and empty only when nothing came."""
    if failing:
        return "failing"
    if "partial" in statuses:
        return "partial"
    if "ok" in statuses or has_rows:
        return "ok"
    return "skipped" if set(statuses) == {"skipped"} else "empty"


def source_health(database: Database, window: Window, now: datetime) -> list[SourceHealth]:
    """Every dataset and source that was asked for the window, or has rows in it."""
    stored = {
        (r["dataset"], r["source"]): r
        for r in rows(
            database,
            sql.SQL(" union all ").join(
                sql.SQL(
                    "select {dataset}::text as dataset, source, count(*) as n, max(ts) as newest "
                    "from {table} where ts >= %(start)s and ts < %(end)s group by source"
                ).format(dataset=sql.Literal(t.name), table=sql.Identifier(t.schema, t.name))
                for t in TABLES.values()
                if t.schema == "raw"
            ),
            start=window.start,
            end=window.end,
        )
    }
    asked = {
        (r["dataset"].removeprefix("raw."), r["source"]): r
        for r in rows(database, _FETCHES, start=window.start, end=window.end)
    }
    refused = {
        (r["table_name"].removeprefix("raw."), r["source"]): r["n"]
        for r in rows(
            database,
            "select table_name, source, count(*) as n from ops.quarantine group by 1, 2",
        )
    }
    out = []
    for dataset, source in sorted({*stored, *asked, *refused}, key=lambda k: (k[0], k[1] or "")):
        kept = stored.get((dataset, source), {})
        log = asked.get((dataset, source), {})
        newest = kept.get("newest")
        failing = int(log.get("failing") or 0)
        state = _state(failing, log.get("statuses") or (), bool(kept))
        out.append(
            SourceHealth(
                dataset=dataset,
                source=source or "unknown",
                rows=int(kept.get("n") or 0),
                newest=newest,
                lag_h=None if newest is None else round((now - newest) / HOUR, 2),
                last_success=log.get("last_success"),
                failing=failing,
                error_classes=tuple(log.get("classes") or ()),
                message=log.get("message"),
                note=log.get("note"),
                quarantined=int(refused.get((dataset, source), 0)),
                state=state,
            )
        )
    return out


def stored_window(database: Database) -> Window | None:
    """Days from the first to the newest hour of the conformed candles; None when there are none."""
    found = rows(database, "select min(ts) as first, max(ts) as last from market.candles_1h")[0]
    if found["first"] is None:
        return None
    return Window(floor_day(found["first"]), floor_day(found["last"]) + DAY)


def first_stored_day(database: Database) -> datetime | None:
    """The first day on which every table has its rows; None when nothing is stored.

    Before anything is derived that is the first day of the fetched candles.

    The history that a run's days look back to lies before it, in the tables that they read. Nothing
    looks far back into the futures scores, so they begin where the earliest run did.
    """
    first = rows(
        database,
        "select coalesce((select min(ts) from signals.futures_scores), "
        "(select min(ts) from raw.candles)) as first",
    )[0]["first"]
    return None if first is None else floor_day(first)


def event_counts(database: Database, window: Window, symbols: tuple[str, ...]) -> dict[str, int]:
    """Market events of the window by type."""
    found = rows(
        database,
        "select event_type, count(*) as n from alerts.market_events "
        "where ts >= %(start)s and ts < %(end)s and string_to_array(instrument, '|') <@ %(symbols)s "
        "group by 1 order by 1",
        start=window.start,
        end=window.end,
        symbols=list(symbols),
    )
    return {r["event_type"]: int(r["n"]) for r in found}


def row_counts(database: Database, window: Window) -> tuple[dict[str, int], dict[str, int]]:
    """Rows of every table that is placed in time and of the reporting tables.

    Returns:
        All rows by table, as ``count(*)`` gives them, and those of the window (a reporting table is
        counted whole in both).
    """
    parts = [
        sql.SQL(
            "select {name}::text as name, count(*) as n, "
            "count(*) filter (where {time} >= %(start)s and {time} < %(end)s) as inside from {table}"
        ).format(
            name=sql.Literal(t.full_name),
            table=sql.Identifier(t.schema, t.name),
            time=sql.Identifier(t.time_column),
        )
        for t in TABLES.values()
        if t.schema != "ops" and t.partitioned
    ]
    found = rows(database, sql.SQL(" union all ").join(parts), start=window.start, end=window.end)
    out = {r["name"]: int(r["n"]) for r in found}
    inside = {r["name"]: int(r["inside"]) for r in found}
    for name in (OVERVIEW, "reporting.regime_timeline"):
        if exists(database, name):
            counted = sql.SQL("select count(*) as n from {}").format(
                sql.Identifier(*name.split("."))
            )
            out[name] = inside[name] = int(rows(database, counted)[0]["n"])
    return out, inside


def newest_by_table(database: Database) -> dict[str, datetime | None]:
    """The newest row of every table that is placed in time."""
    parts = [
        sql.SQL("select {name}::text as name, max({time}) as newest from {table}").format(
            name=sql.Literal(t.full_name),
            table=sql.Identifier(t.schema, t.name),
            time=sql.Identifier(t.time_column),
        )
        for t in _in_time()
    ]
    found = {r["name"]: r["newest"] for r in rows(database, sql.SQL(" union all ").join(parts))}
    return {t.full_name: found[t.full_name] for t in _in_time()}


def _in_time() -> list[Table]:
    return [t for t in TABLES.values() if t.partitioned and t.schema != "ops"]


def delivery_counts(database: Database) -> dict[str, int]:
    """Rows of the outbox by state."""
    found = rows(
        database, "select state, count(*) as n from alerts.outbox group by 1 order by 2 desc, 1"
    )
    return {r["state"]: int(r["n"]) for r in found}


def alerts(database: Database, limit: int) -> list[dict[str, Any]]:
    """The newest events, market and operational, each with what became of its deliveries."""
    return rows(
        database,
        "select e.*, coalesce((select string_agg(o.endpoint || ': ' || o.state || "
        "coalesce(' (' || o.reason || ')', ''), ', ' order by o.endpoint) from alerts.outbox as o "
        "where o.event_id = e.event_id), 'no endpoint') as delivery from ("
        "select event_id, ts, known_at, event_type, instrument, kind, alert_severity, level, title "
        "from alerts.market_events union all "
        "select event_id, known_at, known_at, event_type, null, null, alert_severity, null, title "
        "from alerts.system_events) as e order by e.known_at desc, e.event_id limit %(limit)s",
        limit=limit,
    )


def system_events(database: Database, window: Window, limit: int) -> list[dict[str, Any]]:
    """Operational events that were known in the window, newest first."""
    return rows(
        database,
        "select known_at, alert_severity, title, details from alerts.system_events "
        "where known_at >= %(start)s and known_at < %(end)s order by known_at desc, event_id "
        "limit %(limit)s",
        start=window.start,
        end=window.end,
        limit=limit,
    )


@dataclass(frozen=True, slots=True)
class TableQuality:
    """The data-quality score of a table's newest judged day, and what failed, in words.

    Attributes:
        score: 0 .. 100; None when nothing could be judged.
        failing: ``DQ05 a price jumped ...``, one per failed check.
        blocks: whether one of them is a BLOCK.
        withheld: rows kept from being published.
    """

    table: str
    day: datetime
    score: float | None
    failing: tuple[str, ...]
    blocks: bool
    withheld: int


def quality_scores(database: Database, window: Window | None = None) -> list[TableQuality]:
    """Scores of every table and day of a window; without one of the newest day judged."""
    found = rows(
        database,
        "select table_name, ts, quality_score, failing_checks, n_block, n_withheld "
        "from ops.quality_scores where (ts >= %(start)s and ts < %(end)s) "
        "or (%(start)s::timestamptz is null and ts = "
        "(select max(ts) from ops.quality_scores where n_checks > 0)) order by ts, table_name",
        start=window and window.start,
        end=window and window.end,
    )
    return [
        TableQuality(
            r["table_name"],
            r["ts"],
            r["quality_score"],
            tuple(f"{i} {BY_ID[i].title}" for i in (r["failing_checks"] or "").split(",") if i),
            bool(r["n_block"]),
            int(r["n_withheld"]),
        )
        for r in found
    ]


def quality_findings(database: Database, window: Window) -> list[dict[str, Any]]:
    """Checks of the days of a window that failed or could not be applied, whole tables first."""
    return rows(
        database,
        "select table_name, check_id, ts, series, check_severity, check_outcome, measured_value, "
        "tolerance, n_judged, n_failed, n_withheld, failing_keys, penalty, reason "
        "from ops.quality_checks where ts >= %(start)s and ts < %(end)s "
        "order by ts, table_name, check_id, series",
        start=window.start,
        end=window.end,
    )
