"""The data-quality layer as assets and checks: what is withheld, what was found, what people see.

``ops/quality_blocks`` comes before the market series and tells them which raw rows to leave out;
``ops/quality_checks`` and ``ops/quality_scores`` come after them. Nothing stops a run: a blocking check
of Dagster would hold back every symbol, and only within one run. Belongs here: reading what the checks
look at, and showing what they said. Does not belong here: the checks (``regime_pipeline.quality``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd
from psycopg import sql

from regime_pipeline.catalogue import TABLES, table
from regime_pipeline.catalogue.datasets import BY_TABLE, DATASETS
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.coverage.asked import ANSWERED
from regime_pipeline.coverage.rules import MARKET_SYMBOL, series_of
from regime_pipeline.coverage.words import LACKING, MISSED
from regime_pipeline.market.candles import BAR_INPUTS
from regime_pipeline.orchestration.derived import IO_MANAGER, asset_key, common, parameter
from regime_pipeline.orchestration.metadata import add_run_metadata
from regime_pipeline.orchestration.partitions import (
    COMPUTE,
    DAILY,
    as_window,
    day_key,
    owed,
    run_window,
)
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.quality import evaluate
from regime_pipeline.quality.model import BLOCK, BY_ID, CHECKS, SERIES, WHOLE_TABLE
from regime_pipeline.quality.records import CONTRACT_FAILURES, RESTATED, ahead_s
from regime_pipeline.quality.withholding import BLOCKS
from regime_pipeline.settings import Settings
from regime_pipeline.storage.query import rows as rows_of
from regime_pipeline.windows import DAY, HOUR, Window

CHECKED, SCORED = "ops.quality_checks", "ops.quality_scores"
CHECK_NAME = "data_quality"
LONG_FRAMES = ["4h", "1d", "1w"]
WEEK = timedelta(days=7)
SHOWN = 30
"""Failing rows in the table of a check's page."""
DAYS_TOLD, MOST_OLDER = 7, 30
"""Last days of a run whose verdicts are told, and how many earlier ones that fail: each is an event."""
CHECKED_TABLES = tuple(sorted({t for c in CHECKS for t in c.tables}))


# --- reading --------------------------------------------------------------------------------------


def _read(platform: Platform, name: str, window: Window, columns: Iterable[str]) -> pd.DataFrame:
    """Rows of the configured symbols; of candles, hours only; with the provider's clock if in doubt."""
    item = TABLES[name]

    def read(names: Iterable[str]) -> pd.DataFrame:
        return platform.warehouse.read(
            name,
            window,
            symbols=platform.settings.universe if item.symbol_columns else None,
            columns=list(dict.fromkeys(names)),
            where={"timeframe": "1h"} if "timeframe" in item.key else None,
        )

    rows = read(columns)
    if "ingested_at" not in rows:
        return rows
    doubtful = ahead_s(rows, name) > platform.settings.params.quality.future_s
    if not doubtful.any():
        return rows
    rows = read(
        [*columns, "payload_id"]
    )  # its 64 letters a row are dear, and hardly ever asked for
    doubtful = ahead_s(rows, name) > platform.settings.params.quality.future_s
    ids = sorted(rows.loc[doubtful, "payload_id"].dropna().unique())
    kept = platform.warehouse.read(
        "ops.payloads", columns=["payload_id", "http_date"], where={"payload_id": ids}
    )
    served = kept.groupby("payload_id")["http_date"].max()
    told = served.reindex(rows["payload_id"]).set_axis(rows.index)  # a reply may not be kept
    return rows.assign(served_at=told.where(doubtful))


def read_blocking(platform: Platform, window: Window) -> dict[str, pd.DataFrame]:
    """Raw rows that the withholding checks look at, with the history that they need."""
    out = {}
    for name, history in evaluate.BLOCKING.items():
        rows = _read(platform, name, window.widened(history), evaluate.COLUMNS[name])
        if len(rows):
            out[name] = rows
    return out


def blocks(platform: Platform, window: Window) -> pd.DataFrame:
    """Raw rows of the window that are withheld under the platform's thresholds."""
    return evaluate.withheld(
        read_blocking(platform, window), window, platform.settings.params.quality
    )


def read_evidence(platform: Platform, window: Window) -> evaluate.Evidence:
    """Everything that the checks of a window look at."""
    warehouse = platform.warehouse
    tables = {}
    for name, columns in evaluate.COLUMNS.items():
        history = evaluate.HISTORY.get(name, evaluate.calendar.DAYS_BEFORE)
        rows = _read(platform, name, window.widened(history), columns)
        if len(rows):
            tables[name] = rows
    names = [*SERIES, "timeframe", "ts", *BAR_INPUTS]
    long_bars = warehouse.read(
        "raw.candles", window, columns=names, where={"timeframe": LONG_FRAMES}
    )
    children = pd.DataFrame()
    if len(long_bars):
        reach = Window(window.start, window.end + WEEK)
        children = warehouse.read("raw.candles", reach, columns=names, where={"timeframe": "1h"})
    recorded = Window(window.start, platform.clock.now() + DAY)  # no record is older than its rows
    versions = {}
    for name, (prices, volumes) in RESTATED.items():
        found = warehouse.versions(name, window, (*prices, *volumes, "ingested_at"))
        if len(found):
            versions[name] = found
    return evaluate.Evidence(
        tables=tables,
        long_bars=long_bars,
        bar_children=children,
        quarantine=warehouse.read(
            "ops.quarantine", recorded, where={"table_name": list(BY_ID["DQ01"].tables)}
        ),
        contract_failures=_open_failures(platform, window, recorded),
        versions=versions,
        silent={name: _silent(platform, name, window) for name in BY_ID["DQ15"].tables},
        turns=_turns(platform.settings),
    )


def _turns(settings: Settings) -> dict[str, pd.DataFrame]:
    """Series that a tick asks every few hours only, by table: ``SERIES`` and ``every_h``."""
    out = {}
    for item in DATASETS.values():
        if item.others_every is not None:
            series = series_of(settings, item.name, settings.universe)
            rows = [(*s.key, s.every // HOUR) for s in series if s.every > HOUR]
            out[item.table] = pd.DataFrame(rows, columns=[*SERIES, "every_h"])
    return out


def _silent(platform: Platform, name: str, window: Window) -> pd.DataFrame:
    """Series that lack rows in the window although rows of them are expected, with what came before."""
    item = TABLES[name]
    keys = [k for k in SERIES if k in item.fields]
    reach = timedelta(days=BY_TABLE[name].silent_days)
    condition = sql.SQL(" and ").join(
        sql.SQL("r.{key} is not distinct from s.{key}").format(key=sql.Identifier(k)) for k in keys
    )
    if "timeframe" in item.key:
        condition += sql.SQL(" and r.timeframe = '1h'")
    found = rows_of(
        platform.database,
        sql.SQL(
            "select {keys}, s.span_start as expected_from, s.span_end as expected_to, r.ts, "
            "r.source_tier from ops.coverage_spans as s cross join lateral (select max(ts) as ts, "
            "min(source_tier) as source_tier from {table} as r where {same} and r.ts < %(before)s) as r "
            "where s.dataset = %(dataset)s and s.coverage_state = any(%(states)s) "
            "and s.span_end > %(start)s and s.span_start < %(end)s and s.symbol = any(%(symbols)s)"
        ).format(
            keys=sql.SQL(", ").join(sql.Identifier("s", k) for k in keys),
            table=sql.Identifier(item.schema, item.name),
            same=condition,
        ),
        dataset=item.name,
        states=[MISSED, LACKING],
        before=window.start - reach,
        start=window.start,
        end=window.end,
        symbols=[*platform.settings.universe, MARKET_SYMBOL],
    )
    frame = pd.DataFrame(
        found, columns=[*keys, "expected_from", "expected_to", "ts", "source_tier"]
    )
    for column in ("expected_from", "expected_to", "ts"):
        frame[column] = pd.to_datetime(frame[column], utc=True).dt.as_unit("us")
    return frame


def _open_failures(platform: Platform, window: Window, recorded: Window) -> pd.DataFrame:
    """Fetches of the window whose reply could not be read and that nothing has answered since."""
    bad = platform.warehouse.read(
        "ops.fetch_log", recorded, where={"error_class": list(CONTRACT_FAILURES)}
    )
    bad = bad[(bad["window_end"] > window.start) & (bad["window_start"] < window.end)]
    if bad.empty:
        return bad
    good = platform.warehouse.read(
        "ops.fetch_log",
        recorded,
        where={"fetch_status": list(ANSWERED), "dataset": sorted(bad["dataset"].unique())},
    )
    same = ["dataset", "source", "venue", "market", "symbol", "endpoint_path"]
    times = ["window_start", "window_end", "fetched_at"]
    both = (
        bad[[*same, *times, "fetch_id"]]
        .fillna({c: "" for c in same})
        .merge(
            good[[*same, *times]].fillna({c: "" for c in same}), on=same, suffixes=("", "_later")
        )
    )
    mended = both[
        (both["fetched_at_later"] >= both["fetched_at"])
        & (both["window_start_later"] <= both["window_start"])
        & (both["window_end_later"] >= both["window_end"])
    ]
    return bad[~bad["fetch_id"].isin(mended["fetch_id"])]


# --- assets ---------------------------------------------------------------------------------------


def _window(context: dg.AssetExecutionContext, name: str) -> tuple[Platform, Window]:
    platform: Platform = context.resources.platform
    window = as_window(context.partition_time_window)
    return platform, owed(window, platform.until(context.run_id), full_table_name=name)


@dg.asset(
    key=asset_key(BLOCKS),
    deps=[asset_key(name) for name in evaluate.BLOCKING],
    io_manager_key=IO_MANAGER,
    required_resource_keys={"platform"},
    partitions_def=DAILY,
    backfill_policy=COMPUTE,
    **common(table(BLOCKS)),
)
def quality_blocks(context):  # type: ignore[no-untyped-def]
    """Raw rows that are withheld."""
    platform, window = _window(context, BLOCKS)
    if window.is_empty:
        return empty(table(BLOCKS))
    rows = blocks(platform, window)
    if len(rows):
        ids = rows["check_id"].value_counts().sort_index()
        add_run_metadata(
            context,
            {
                "withheld rows by check": dg.MetadataValue.json(
                    {str(k): int(v) for k, v in ids.items()}
                )
            },
        )
    return rows


@dg.multi_asset(
    name="ops__quality",
    outs={
        parameter(name): dg.AssetOut(
            key=asset_key(name), io_manager_key=IO_MANAGER, **common(table(name))
        )
        for name in (CHECKED, SCORED)
    },
    deps=[asset_key(name) for name in (*CHECKED_TABLES, BLOCKS)],
    required_resource_keys={"platform"},
    partitions_def=DAILY,
    backfill_policy=COMPUTE,
)
def quality_results(context):  # type: ignore[no-untyped-def]
    """Findings and scores of all checks; both outputs are always made together."""
    platform, window = _window(context, CHECKED)
    if window.is_empty:
        return empty(table(CHECKED)), empty(table(SCORED))
    return evaluate.findings(
        read_evidence(platform, window),
        window,
        platform.clock.now(),
        platform.settings.params.quality,
    )


ASSETS = (quality_blocks, quality_results)
"""The quality assets."""


# --- what people see ------------------------------------------------------------------------------


def results_of(found: pd.DataFrame, full_name: str) -> dg.AssetCheckResult | None:
    """The stored findings of a table as one asset check; None when nothing could be judged.

    Args:
        found: rows of ``ops.quality_checks``, any tables and days.
        full_name: the table.
    """
    mine = found[found["table_name"] == full_name]
    whole = mine[mine["series"] == WHOLE_TABLE]
    if not (whole["check_outcome"] != "not_applicable").any():
        return None
    failed = mine[mine["check_outcome"] == "failed"]
    blocked = (failed["check_severity"] == BLOCK).any()
    ids = sorted(failed["check_id"].unique())
    shown = failed.sort_values(["check_severity", "check_id", "ts", "series"]).head(SHOWN)
    metadata: dict[str, Any] = {
        "failing checks": ", ".join(f"{i} {BY_ID[i].title}" for i in ids) or "none",
        "checks applied": int((whole["check_outcome"] != "not_applicable").sum()),
        "not applicable": int((whole["check_outcome"] == "not_applicable").sum()),
        "rows withheld": int(whole["n_withheld"].sum()),
    }
    if len(shown):
        metadata["failing rows"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "check": row["check_id"],
                        "severity": row["check_severity"],
                        "day": f"{row['ts']:%Y-%m-%d}",
                        "series": row["series"],
                        "failed": f"{row['n_failed']} of {row['n_judged']}",
                        "rows": _text(row["failing_keys"]),
                        "what to do": BY_ID[row["check_id"]].advice,
                    }
                )
                for row in shown.to_dict("records")
            ]
        )
    return dg.AssetCheckResult(
        asset_key=asset_key(full_name),
        check_name=CHECK_NAME,
        passed=not ids,
        severity=dg.AssetCheckSeverity.ERROR if blocked else dg.AssetCheckSeverity.WARN,
        description=metadata["failing checks"] if ids else None,
        metadata=metadata,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


@dg.multi_asset_check(
    name="data_quality_checks",
    specs=[
        dg.AssetCheckSpec(
            CHECK_NAME,
            asset=asset_key(name),
            partitions_def=DAILY,
            additional_deps=[asset_key(CHECKED)],
            description="Data-quality checks of each day, a verdict a day: "
            + "; ".join(f"{c.check_id} {c.title}" for c in CHECKS if name in c.tables)
            + ". ERROR when one of severity BLOCK fails; what it withholds, and only that, is not "
            f"published. A long run tells its last {DAYS_TOLD} days and those that fail; the mart "
            "`quality_scores` has all of them.",
        )
        for name in CHECKED_TABLES
    ],
    can_subset=True,
    required_resource_keys={"platform"},
)
def data_quality(context) -> Iterator[dg.AssetCheckResult]:  # type: ignore[no-untyped-def]
    """Shows what is stored for the run's days; computes nothing.

    A result that is returned would concern the run as a whole, on no day of it: each verdict is put on
    its own day instead. What could not be judged is no pass and gets no verdict: an observation of the
    run's last day says why. A run that fetches or derives without judging shows nothing: what is stored
    is about older rows.
    """
    made = context.job_def.asset_layer.executable_asset_keys
    if made and asset_key(CHECKED) not in made:
        return
    platform: Platform = context.resources.platform
    window = run_window(context.run.tags)
    found = platform.warehouse.read(CHECKED, window)
    for key in sorted(context.selected_asset_check_keys, key=str):
        name = ".".join(key.asset_key.path)
        told = verdicts(found, name, window)
        for verdict in told:
            context.op_execution_context.log_event(verdict)
        if not told:
            context.op_execution_context.log_event(unjudged(found, name, window))
    yield from ()


def verdicts(found: pd.DataFrame, full_name: str, window: Window) -> list[dg.AssetCheckEvaluation]:
    """The verdicts of a table on the days of a run, oldest first.

    Args:
        found: rows of ``ops.quality_checks``.
        full_name: the table.
        window: the run's days; of a long run the last ones are told, and before them the newest that fail.
    """
    mine = found[found["table_name"] == full_name]
    recent = pd.Timestamp(window.end - DAYS_TOLD * DAY)
    days = pd.DatetimeIndex(mine["ts"]).unique().sort_values()
    failed = pd.DatetimeIndex(mine.loc[mine["check_outcome"] == "failed", "ts"]).unique()
    older = days[(days < recent) & days.isin(failed)][-MOST_OLDER:]
    out = []
    for day in older.append(days[days >= recent]):
        rows = mine[mine["ts"] == day]
        result = results_of(rows, full_name)
        if result is not None:
            out.append(
                dg.AssetCheckEvaluation(
                    asset_key=asset_key(full_name),
                    check_name=CHECK_NAME,
                    passed=result.passed,
                    metadata=result.metadata,
                    severity=result.severity,
                    description=result.description,
                    blocking=False,
                    partition=day_key(pd.Timestamp(str(day))),
                )
            )
    return out


def unjudged(found: pd.DataFrame, full_name: str, window: Window) -> dg.AssetObservation:
    """Why no check could judge a table in a run's days."""
    mine = found[(found["table_name"] == full_name) & found["reason"].notna()]
    why = "; ".join(sorted(mine["reason"].unique())) or "no row of these days is stored"
    return dg.AssetObservation(
        asset_key(full_name),
        description=f"{CHECK_NAME} judged nothing",
        partition=day_key(window.days()[-1]),
        metadata={"why": why},
    )


CHECK_KEYS = tuple(data_quality.check_keys)
"""The checks that show the stored findings."""
