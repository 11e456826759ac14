"""Raw rows that look wrong: a check beside the raw assets, and one system alert a day per source.

Belongs here: reading what the judgement needs (the day before, the usual band) and telling. Does not
belong here: judging (``market.plausibility``).
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import pandas as pd
from psycopg import sql

from regime_pipeline.catalogue import Table
from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.market import plausibility
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.windows import DAY, HOUR, Window

CHECK = "looks_plausible"
BAND_DAYS = 30
RECENT = 2 * DAY
"""Rows older than this are history: what is wrong with them alarms nobody."""
SHOWN = 20


def suspicious(platform: Platform, item: Table, window: Window, rows: pd.DataFrame) -> pd.DataFrame:
    """Findings about freshly stored rows, columns ``plausibility.FINDING``.

    Args:
        platform: the tables.
        item: the raw table.
        window: what was fetched.
        rows: what came.
    """
    dataset = DATASETS[item.name]
    if not dataset.is_watched or rows.empty:
        return plausibility.no_findings()
    if dataset.is_price:
        of_item = list(rows.columns.intersection(list(item.fields)))
        before = platform.warehouse.read(
            item.full_name,
            Window(window.start - plausibility.FLAT_HOURS * HOUR, window.start),
            columns=of_item,
        )
        both = pd.concat([f for f in (before, rows[of_item]) if len(f)], ignore_index=True)
        found = [plausibility.disagreements(rows), plausibility.flat_lines(both)]
        found = [f for f in found if len(f)]
        return pd.concat(found, ignore_index=True) if found else plausibility.no_findings()
    columns = dataset.magnitudes
    return plausibility.unit_steps(rows, _bands(platform, item, window, columns), columns)


def _bands(
    platform: Platform, item: Table, window: Window, columns: tuple[str, ...]
) -> pd.DataFrame:
    """Percentiles of the absolute values of the 30 days before a window, per series and column."""
    parts = [
        sql.SQL(
            "select source, venue, market, symbol, {name}::text, "
            "percentile_cont(0.01) within group (order by abs({column})), "
            "percentile_cont(0.99) within group (order by abs({column})), count({column}) "
            "from {table} where ts >= {start} and ts < {end} group by 1, 2, 3, 4"
        ).format(
            name=sql.Literal(column),
            column=sql.Identifier(column),
            table=sql.Identifier(item.schema, item.name),
            start=sql.Literal(window.start - BAND_DAYS * DAY),
            end=sql.Literal(window.start),
        )
        for column in columns
    ]
    found = platform.warehouse.transact(
        lambda connection: connection.execute(sql.SQL(" union all ").join(parts)).fetchall()
    )
    names = ["source", "venue", "market", "symbol", "column", "low", "high", "count"]
    return pd.DataFrame(found, columns=names).astype({"low": "float64", "high": "float64"})


def plausible_check(found: pd.DataFrame) -> dg.AssetCheckResult:
    """The check's result: names sources, what is wrong with them and for how many hours."""
    rows = found.head(SHOWN).to_dict("records")
    metadata: dict[str, Any] = {"findings": len(found), "hours": int(found["hours"].sum())}
    if rows:
        metadata["by source"] = dg.MetadataValue.table(
            [dg.TableRecord({str(k): str(v) for k, v in row.items()}) for row in rows]
        )
    words = "; ".join(
        f"{r['source']} {r['symbol']} {r['kind']} for {r['hours']} h ({r['detail']})"
        for r in rows[:3]
    )
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=found.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=words or None,
        metadata=metadata,
    )


def tell(platform: Platform, dataset: str, found: pd.DataFrame) -> int:
    """One system alert a day per source and kind of trouble; how many were new.

    What is wrong with history is in the check only.
    """
    now = platform.clock.now()
    last = found["first"] + pd.to_timedelta(found["hours"].astype("int64"), unit="h")
    recent = found[(last >= now - RECENT).to_numpy(bool)]
    if recent.empty:
        return 0
    from regime_pipeline.alerts.kinds import REPLY_SUSPECT
    from regime_pipeline.alerts.outbox import enqueue_system

    told = 0
    for source, kind in sorted(set(recent[["source", "kind"]].itertuples(index=False))):
        told += enqueue_system(
            platform.database,
            settings=platform.settings,
            clock=platform.clock,
            kind=REPLY_SUSPECT,
            title=f"{dataset}: {source} {kind}",
            details={
                "dataset": dataset,
                "source": source,
                "kind": kind,
                "day": now.date().isoformat(),
                "next": f"the check {CHECK} of raw/{dataset}",
            },
        )
    return told
