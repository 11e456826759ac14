"""How good the data are: sources, coverage, quality, versions, restatements.

Belongs here: what their rows and columns mean, and the query of those that are views. Does not belong
here: judging (``quality``), asking (``coverage``).
"""

from __future__ import annotations

from collections.abc import Sequence

from regime_pipeline.catalogue.marts.common import columns, renamed
from regime_pipeline.catalogue.model import Field, Kind, Mart
from regime_pipeline.catalogue.registry import TABLES

_SOURCE_HEALTH = """
    with newest as (
        select max(l.fetched_at) as instant
        from {ops.fetch_log} as l
    ),
    asked as (
        select
            f.source, f.dataset,
            max(f.fetched_at) filter (where f.fetch_status in ('ok', 'empty', 'partial')) as last_ok_at,
            max(f.fetched_at) filter (where f.fetch_status = 'failed') as last_error_at,
            (array_agg(f.error_class order by f.fetched_at desc)
                filter (where f.fetch_status = 'failed'))[1] as error_class,
            coalesce(sum(f.rows_stored) filter (
                where f.fetched_at > newest.instant - interval '24 hours'), 0)::bigint as rows_24h
        from {ops.fetch_log} as f
        cross join newest
        where f.fetched_at > newest.instant - interval '8 days'
        group by f.source, f.dataset
    ),
    spans as (
        select
            c.source, c.dataset,
            max(c.span_end) filter (where c.coverage_state = 'stored') - interval '1 hour' as newest_ts,
            sum(extract(epoch from c.span_end - greatest(
                c.span_start, newest.instant - interval '8 days')) / 3600) filter (
                where c.coverage_state = 'missed'
                    and c.span_end > newest.instant - interval '8 days'
            ) as missed_hours
        from {ops.coverage_spans} as c
        cross join newest
        group by c.source, c.dataset
    ),
    breakers as (
        select
            b.source,
            (array_agg(b.breaker_state order by
                array_position(array['open', 'half_open', 'closed'], b.breaker_state)))[1]
                as breaker_state
        from {ops.breaker_state} as b
        group by b.source
    )
    select
        source, dataset, asked.last_ok_at, asked.last_error_at, asked.error_class,
        breakers.breaker_state, coalesce(asked.rows_24h, 0) as rows_24h,
        coalesce(round(spans.missed_hours), 0)::bigint as missed_hours, spans.newest_ts,
        case
            when breakers.breaker_state = 'open' then 'stale'
            when asked.last_ok_at is null then 'missing'
            when asked.last_error_at > asked.last_ok_at then 'stale'
            when spans.missed_hours >= 1 then 'partial'
            else 'ok'
        end as status,
        case
            when breakers.breaker_state = 'open' then 'left_alone_after_failures'
            when asked.source is null then 'not_asked_in_8_days'
            when asked.last_ok_at is null then 'no_answer_in_8_days'
            when asked.last_error_at > asked.last_ok_at then 'last_request_failed'
            when spans.missed_hours >= 1 then 'missed_hours'
        end as reason
    from asked
    full join spans using (source, dataset)
    left join breakers using (source)"""

_DATA_HEALTH = """
    with newest as (
        select max(s.span_end) as instant
        from {ops.coverage_spans} as s
        where s.coverage_state = 'stored'
    ),
    spans as (
        select
            c.dataset, c.coverage_state, c.span_end,
            extract(epoch from least(c.span_end, newest.instant) - greatest(
                c.span_start, newest.instant - interval '7 days')) / 3600 as hours
        from {ops.coverage_spans} as c
        cross join newest
    ),
    covered as (
        select
            s.dataset,
            max(s.span_end) filter (where s.coverage_state = 'stored') - interval '1 hour' as newest_ts,
            sum(s.hours) filter (where s.hours > 0 and s.coverage_state = 'stored') as stored,
            sum(s.hours) filter (where s.hours > 0 and s.coverage_state = 'missed') as missed
        from spans as s
        group by s.dataset
    ),
    scored as (
        select distinct on (q.table_name)
            q.table_name, q.ts, q.quality_score, q.failing_checks, q.n_withheld
        from {ops.quality_scores} as q
        order by q.table_name, q.ts desc
    )
    select
        dataset, covered.newest_ts,
        coalesce(round(covered.stored), 0)::bigint as stored_hours_7d,
        coalesce(round(covered.missed), 0)::bigint as missed_hours_7d,
        scored.ts as quality_day, scored.quality_score, scored.failing_checks, scored.n_withheld,
        case
            when covered.newest_ts is null then 'missing'
            when covered.missed >= 1 then 'partial'
            else 'ok'
        end as status,
        case
            when covered.newest_ts is null then 'nothing_stored'
            when covered.missed >= 1 then 'missed_hours'
        end as reason
    from covered
    left join scored on scored.table_name = 'raw.' || dataset"""

_RUN_PERFORMANCE = """
    select
        s.run_id, s.step, s.job_name, s.started_at, s.duration_s, s.cpu_s, s.step_outcome,
        s.error_class, s.attempt_count, s.request_count, s.written_count, s.changed_count, s.by_table
    from {ops.run_steps} as s"""

_INSTRUMENTS = """
    with stored as (
        select
            c.venue, c.market, c.symbol, min(c.span_start) as first_ts,
            max(c.span_end) - interval '1 hour' as newest_ts
        from {ops.coverage_spans} as c
        where c.dataset = 'candles' and c.coverage_state = 'stored'
        group by c.venue, c.market, c.symbol
    ),
    listings as (
        select distinct on (i.venue, i.market, i.symbol)
            i.venue, i.market, i.symbol, i.venue_symbol, i.listing_status, i.listed_from, i.listed_to
        from {raw.instruments} as i
        order by i.venue, i.market, i.symbol, i.ts desc
    )
    select
        s.venue, s.market, s.symbol, split_part(s.symbol, '/', 1) as base,
        split_part(s.symbol, '/', 2) as quote, s.first_ts, s.newest_ts,
        l.venue_symbol, l.listing_status, l.listed_from, l.listed_to,
        case when l.symbol is null then 'partial' else 'ok' end as status,
        case
            when l.symbol is not null then null
            when s.market = 'perp' then 'no_listing_stored'
            else 'venue_tells_no_dates'
        end as reason
    from stored as s
    left join listings as l on l.venue = s.venue and l.market = s.market and l.symbol = s.symbol"""

_VENUES = """
    select
        c.venue,
        to_jsonb(array_agg(distinct c.market order by c.market)) as markets,
        to_jsonb(array_agg(distinct c.symbol order by c.symbol)) as symbols,
        to_jsonb(array_agg(distinct c.dataset order by c.dataset)) as datasets,
        min(c.span_start) as first_ts, max(c.span_end) - interval '1 hour' as newest_ts
    from {ops.coverage_spans} as c
    where c.coverage_state = 'stored'
    group by c.venue"""

_JUDGED_NOW = (
    "it says how the stored hours stand now: an hour that was filled later is not missing in it; "
    "ops.fetch_log says what was asked and answered when"
)

MARTS = (
    Mart(
        "data_health",
        "One row per raw dataset: how far it reaches, what the seven days to the newest stored hour lack, "
        "and the data quality score of its newest judged day. Whoever trusts a number looks here first.",
        ("dataset",),
        (
            *columns("dataset"),
            Field("newest_ts", Kind.TIMESTAMP, "UTC open of the newest stored hour of any series."),
            Field("stored_hours_7d", Kind.INTEGER, "Stored hours, summed over series.", unit="h"),
            Field("missed_hours_7d", Kind.INTEGER, "Missed hours, summed over series.", unit="h"),
            Field("quality_day", Kind.TIMESTAMP, "UTC day of the quality score."),
            *columns("quality_score", "failing_checks", "n_withheld", "status", "reason"),
        ),
        query=_DATA_HEALTH,
        time_column=None,
        why_no_past=_JUDGED_NOW,
    ),
    Mart(
        "source_health",
        "One row per source and dataset: when it last answered and failed within the eight days to the "
        "newest question, whether it is left alone, what it brought.",
        ("source", "dataset"),
        (
            *columns("source", "dataset"),
            Field("last_ok_at", Kind.TIMESTAMP, "Last answer; null: none in eight days."),
            Field("last_error_at", Kind.TIMESTAMP, "Last failure; null: none in eight days."),
            renamed("error_class", "error_class", "Class of the last failure."),
            *columns("breaker_state"),
            Field("rows_24h", Kind.INTEGER, "Rows stored in the last 24 hours.", minimum=0),
            Field(
                "missed_hours", Kind.INTEGER, "Hours missed in eight days, all series.", unit="h"
            ),
            Field("newest_ts", Kind.TIMESTAMP, "UTC open of the newest stored hour of any series."),
            *columns("status", "reason"),
        ),
        query=_SOURCE_HEALTH,
        time_column=None,
        why_no_past=_JUDGED_NOW,
    ),
    Mart(
        "instruments",
        "One row per venue, market and symbol whose candles are kept: from when until when there are any, "
        "and since when the venue lists the contract. It says nothing of what the venue lists beside it.",
        ("venue", "market", "symbol"),
        (
            *columns("venue", "market", "symbol"),
            Field("base", Kind.TEXT, "Coin that is priced."),
            Field("quote", Kind.TEXT, "Currency of the price."),
            Field("first_ts", Kind.TIMESTAMP, "UTC open of the first stored hour."),
            Field("newest_ts", Kind.TIMESTAMP, "UTC open of the newest stored hour."),
            *columns("venue_symbol", "listing_status", "listed_from", "listed_to"),
            *columns("status", "reason"),
        ),
        query=_INSTRUMENTS,
        time_column=None,
        why_no_past=_JUDGED_NOW,
    ),
    Mart(
        "venues",
        "One row per venue of which rows are stored: its markets, symbols and datasets, the first and the "
        "newest hour. An aggregator that sums over venues stands for itself.",
        ("venue",),
        (
            *columns("venue"),
            Field("markets", Kind.JSON, "Markets that are stored, as spot and perp."),
            Field("symbols", Kind.JSON, "Symbols that are stored; `*`: of the whole market."),
            Field("datasets", Kind.JSON, "What is stored of it."),
            Field("first_ts", Kind.TIMESTAMP, "UTC open of the first stored hour."),
            Field("newest_ts", Kind.TIMESTAMP, "UTC open of the newest stored hour."),
        ),
        query=_VENUES,
        time_column=None,
        why_no_past=_JUDGED_NOW,
    ),
    Mart(
        "coverage_daily",
        "What became of the hours of each raw series, one row per series and UTC day; the symbol `*` "
        "is a series about the whole market.",
        ("dataset", "source", "venue", "market", "symbol", "day"),
        (
            *columns("dataset", "source", "venue", "market", "symbol"),
            Field("day", Kind.TIMESTAMP, "UTC day."),
            Field(
                "expected",
                Kind.INTEGER,
                "Hours for which a row or an answer is expected.",
                "h",
                0,
                24,
            ),
            Field("stored", Kind.INTEGER, "Hours that are there.", "h", 0, 24),
            Field(
                "missed",
                Kind.INTEGER,
                "Hours that nobody asked for, or the source failed.",
                "h",
                0,
                24,
            ),
            Field(
                "venue_had_none", Kind.INTEGER, "Hours for which the source has no row.", "h", 0, 24
            ),
            Field(
                "other",
                Kind.INTEGER,
                "Hours that are not to be had, or not yet: see reason.",
                "h",
                0,
                24,
            ),
            Field("reason", Kind.TEXT, "Why hours are not there, each reason once; null: all are."),
        ),
        time_column="day",
        rules={"stored_is_expected": "expected = stored + missed + venue_had_none"},
        extent=("'-infinity'::timestamptz", "r.day + interval '1 day'"),
        indexes=(("day",),),
        why_no_past=_JUDGED_NOW,
    ),
    Mart(
        "run_performance",
        "What each step of each run cost, one row a step that began: time, processor seconds, rows, "
        "requests, how it ended. Rows of a run are there once it has ended, and go with Dagster's own runs.",
        ("run_id", "step"),
        columns(*TABLES["ops.run_steps"].fields),
        query=_RUN_PERFORMANCE,
        time_column="started_at",
        why_no_past="runs are told once they have ended, and go with Dagster's own",
    ),
    Mart(
        "quality_scores",
        "Data-quality score of each table and UTC day, as of the last verdicts.",
        ("table_name", "day"),
        (
            *columns("table_name"),
            Field("day", Kind.TIMESTAMP, "UTC day."),
            *columns(
                "quality_score",
                "failing_checks",
                "n_checks",
                "n_not_applicable",
                "n_warn",
                "n_block",
                "n_withheld",
            ),
        ),
        query="select q.table_name, q.ts as day, q.quality_score, q.failing_checks, q.n_checks, "
        "q.n_not_applicable, q.n_warn, q.n_block, q.n_withheld from {ops.quality_scores} as q",
        time_column="day",
        why_no_past="a day is judged again when its rows change, and its last verdict alone counts",
    ),
)


_OWN_WRITERS = {
    "ops.coverage_spans",
    "ops.breaker_state",
    "alerts.outbox",
    "alerts.webhook_logs",
}
"""Tables that are not written as batches of rows, so that nothing raises their version."""


def versions(marts: Sequence[Mart]) -> Mart:
    """The mart with the version of every mart, itself left out."""
    below = ", ".join(f"('{m.name}', '{t}')" for m in marts for t in (m.reads or (m.full_name,)))
    unversioned = ", ".join(f"'{t}'" for t in sorted(_OWN_WRITERS))
    return Mart(
        "versions",
        "One row per mart with a version that is raised only when its rows changed. Who keeps an answer "
        "keeps this number with it. `LISTEN regime_tables` is told the name of each table that changed.",
        ("mart",),
        (
            Field("mart", Kind.TEXT, "Name of the mart."),
            Field(
                "version",
                Kind.INTEGER,
                "Raised when rows changed, 0 before the first; null where none is kept, because the mart "
                "changes with every request that is made or event that is sent.",
            ),
            renamed("newest_ts", "newest_ts"),
            renamed("changed_at", "changed_at", "When rows of the mart last changed."),
            renamed("rows_changed", "rows_changed"),
            renamed("run_id", "run_id", "Run that changed them last; null for what dbt builds."),
            Field("data_origin", Kind.TEXT, "What the database holds: live, simulated or tape."),
        ),
        query=f"""
            select
                m.mart,
                case
                    when bool_or(m.table_name in ({unversioned})) then null
                    else coalesce(sum(v.version), 0)::bigint
                end as version,
                max(v.newest_ts) as newest_ts, max(v.changed_at) as changed_at,
                (array_agg(v.rows_changed order by v.changed_at desc nulls last))[1] as rows_changed,
                (array_agg(v.run_id order by v.changed_at desc nulls last))[1] as run_id,
                (select i.origin from {{ops.database_identity}} as i) as data_origin
            from (values {below}) as m (mart, table_name)
            left join {{ops.table_versions}} as v using (table_name)
            group by m.mart""",
        time_column=None,
        why_no_past="a version tells whether what is read now is still what was read",
    )


def restatements() -> Mart:
    """The mart with every version that was replaced, of all tables that keep them."""
    parts = []
    for name, item in TABLES.items():
        if not item.partitioned:
            continue
        symbol = " || '|' || ".join(f"r.{c}" for c in item.symbol_columns) or "null::text"
        key = ", ".join(f"'{c}', r.{c}" for c in item.key if c != item.time_column)
        parts.append(
            f"select '{name}' as table_name, {symbol} as symbol, r.{item.time_column} as ts, "
            f"jsonb_build_object({key}) as row_key, r.revision, r.ingested_at as valid_from, "
            "r.superseded_at as restated_at, r.run_id, "
            f"to_jsonb(r) - array['revision', 'ingested_at', 'superseded_at', 'run_id'] as was "
            f"from {{{name}_revisions}} as r"
        )
    return Mart(
        "restatements",
        "Every version of a stored row that was replaced or removed, one row per version: which row, from "
        "when until when it was believed, and what it said. What a mart said then is "
        "`<mart>_as_of(valid_from)`; what it says now is the mart.",
        ("table_name", "row_key", "ts", "revision"),
        (
            renamed("table_name", "table_name", "Table of the row, `schema.name`."),
            Field("symbol", Kind.TEXT, "Its symbol, or A|B for a pair; null for the whole market."),
            renamed("ts", "ts"),
            Field("row_key", Kind.JSON, "The row's key beside its time."),
            renamed("revision", "revision", "Number of the replaced version, from 0."),
            Field("valid_from", Kind.TIMESTAMP, "When the version was stored."),
            Field("restated_at", Kind.TIMESTAMP, "When it stopped being the newest."),
            renamed("run_id", "run_id", "Run that had stored it."),
            Field("was", Kind.JSON, "Everything that the version said."),
        ),
        query=" union all ".join(parts),
        time_column="restated_at",
        past="select r.* from reporting.restatements as r where r.restated_at <= $1",
    )


def restated_announcements() -> Mart:
    """The mart with what restatements changed about announcements of events."""
    parts = []
    for name, item in TABLES.items():
        if not item.partitioned or "event_kind" not in item.fields:
            continue
        symbol = " || '|' || ".join(f"r.{c}" for c in item.symbol_columns)
        # not the bare column: of a symbol that is asked for PostgreSQL would plan a look-up in every month
        # of every table, which costs four times the question itself
        same = " and ".join(
            f"t.{c} = r.{c}" + (" || ''" if c in item.symbol_columns else "") for c in item.key
        )
        parts.append(
            f"select '{name}' as table_name, {symbol} as symbol, r.ts, r.revision, "
            "r.event_kind as announced_then, t.event_kind as announced_now, "
            "r.ingested_at as valid_from, r.superseded_at as restated_at "
            f"from {{{name}_revisions}} as r left join {{{name}}} as t on {same} "
            "where r.event_kind is distinct from t.event_kind"
        )
    return Mart(
        "restated_announcements",
        "Rows that announced another market event when they were stored than they do now, one row per "
        "replaced version: alerts that would not be sent today, and those that would. Events that were "
        "sent are never edited; market_events has them.",
        ("table_name", "symbol", "ts", "revision"),
        (
            renamed("table_name", "table_name", "Table of the row, `schema.name`."),
            Field("symbol", Kind.TEXT, "Its symbol, or A|B for a pair."),
            renamed("ts", "ts"),
            renamed("revision", "revision", "Number of the replaced version, from 0."),
            renamed(
                "announced_then", "event_kind", "What that version announced; null for nothing."
            ),
            renamed("announced_now", "event_kind", "What the row announces now; null for nothing."),
            Field("valid_from", Kind.TIMESTAMP, "When the version was stored."),
            Field("restated_at", Kind.TIMESTAMP, "When it stopped being the newest."),
        ),
        query=" union all ".join(parts),
        time_column="restated_at",
        why_no_past="it compares what was announced with what is announced now",
    )


def restated() -> tuple[Mart, ...]:
    """The marts about replaced versions of rows."""
    return restatements(), restated_announcements()
