"""Raw datasets: one asset per table, filled from every configured source.

What one source fails to give never fails the asset: the others' rows are stored, the failure is a row
in ``ops.fetch_log`` and a failed check that names it. Only a dataset that no configured source serves
fails the run. Rows are stored before their log row is, so the log never promises more than there is.
What that means for each hour is then told by ``ops.coverage``, and by a check that names sources and
hours that we missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd

from regime_pipeline.catalogue import TABLES, Table
from regime_pipeline.catalogue.datasets import BY_TABLE, DATASETS
from regime_pipeline.coverage import store as coverage_store
from regime_pipeline.coverage.asked import Demand, was_made
from regime_pipeline.coverage.asking import Ask, asked_window, to_ask, to_ask_instead
from regime_pipeline.coverage.words import HoursSummary, hours_summary
from regime_pipeline.market.plausibility import no_findings
from regime_pipeline.orchestration import drift, suspicion
from regime_pipeline.orchestration.derived import IO_MANAGER, asset_key, common
from regime_pipeline.orchestration.metadata import (
    add_run_metadata,
    fetch_rows,
    row_changes,
    run_counts,
    sparkline,
)
from regime_pipeline.orchestration.partitions import DAILY, FETCH, TICK_TAG, as_window
from regime_pipeline.orchestration.resources import Platform, Progress, Scope
from regime_pipeline.windows import Window

if TYPE_CHECKING:
    from regime_pipeline.providers.fetch.fetch import FetchResult

CHECK = "sources_answered"
HOURS_CHECK = "no_hour_missed"
SHOWN_FAILURES = 20

_RETRY = dg.RetryPolicy(
    max_retries=2, delay=20, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)


def raw_asset(item: Table) -> dg.AssetsDefinition:
    """The asset of one raw table."""
    described = common(item)
    described["kinds"] = {"api", "postgres"}

    @dg.asset(
        key=asset_key(item.full_name),
        io_manager_key=IO_MANAGER,
        required_resource_keys={"platform", "scope"},
        partitions_def=DAILY,
        backfill_policy=FETCH,
        retry_policy=_RETRY,
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=asset_key(item.full_name),
                description="Every source that serves the dataset answered for the whole window.",
            ),
            dg.AssetCheckSpec(
                HOURS_CHECK,
                asset=asset_key(item.full_name),
                description="No hour of the window or the day before is missed by our fault; what "
                "the venue lacks and what cannot be had is counted apart.",
            ),
            *_plausibility_spec(item),
        ],
        **described,
    )
    def fetch_raw(context):  # type: ignore[no-untyped-def]
        platform: Platform = context.resources.platform
        until = platform.until(context.run_id)
        if DATASETS[item.name].forward_only is not None:  # what is seen later is there never again
            until = max(until, platform.clock.now())
        window = as_window(context.partition_time_window).clipped(until)
        is_tick = TICK_TAG in context.run.tags
        scope = context.resources.scope
        result = fetched(context.run_id, platform, scope, item, window, is_tick=is_tick)
        add_run_metadata(context, result.metadata or {})
        return dg.MaterializeResult(check_results=result.check_results)

    return fetch_raw


def _plausibility_spec(item: Table) -> list[dg.AssetCheckSpec]:
    if not DATASETS[item.name].is_watched:
        return []
    return [
        dg.AssetCheckSpec(
            suspicion.CHECK,
            asset=asset_key(item.full_name),
            description="Sources do not contradict each other, no line stands still without volume, "
            "amounts are of their usual magnitude.",
        )
    ]


def fetched(
    run_id: str,
    platform: Platform,
    scope: Scope,
    item: Table,
    window: Window,
    *,
    is_tick: bool = False,
) -> dg.MaterializeResult:
    """Ask for a window of a raw table, store what came, and tell how it went.

    Args:
        run_id: kept in the bookkeeping of every row.
        platform: warehouse, settings and clock.
        scope: what the request is narrowed to.
        item: the table.
        window: the days, up to now.
        is_tick: only hours that coverage does not have, see ``coverage.newest``.

    Raises:
        dg.Failure: no configured source serves the table, or real prices would reach other data.
    """
    real = platform.real_providers(scope.sources)
    if real:
        raise dg.Failure(
            description=f"this database holds {platform.settings.origin} data; real prices of "
            f"{', '.join(real)} have no place in it (start the simulator, or use live data)",
            allow_retries=False,
        )
    work = _Fetching(run_id, platform, scope, item)
    work.ask(calls_of(platform, scope, item.name, window, is_tick=is_tick))
    asked = asked_window(item.name, window, platform.clock.now())
    covered = work.covered(asked)
    if is_tick:
        left = to_ask_instead(
            item.name,
            asked,
            settings=platform.settings,
            spans=covered.spans,
            symbols=platform.symbols(scope.symbols),
            sources=scope.sources,
        )
        if left:
            work.ask(left)
            covered = work.covered(asked)
    _tell_refusals(platform, work.log)
    if work.replies:
        fields = drift.new_fields(platform, pd.concat(work.replies, ignore_index=True))
        drift.tell(platform, item.name, fields)
    checks = []
    if DATASETS[item.name].is_watched:
        some = [f for f in work.strange if len(f)]
        findings = pd.concat(some, ignore_index=True) if some else no_findings()
        suspicion.tell(platform, item.name, findings)
        checks.append(suspicion.plausible_check(findings))
    checks.append(_hours_check(hours_summary(covered.spans.assign(dataset=item.name))))
    return _result(item, window, work.log, work.sample, work.counts, work.quarantined_count, checks)


class _Fetching:
    """The calls of one run for one table: what came is stored, and counted here."""

    def __init__(self, run_id: str, platform: Platform, scope: Scope, item: Table) -> None:
        self._run_id = run_id
        self._platform = platform
        self._scope = scope
        self._item = item
        self.log = pd.DataFrame()
        self.sample = pd.DataFrame()
        self.counts = {
            "inserted": 0, "updated": 0, "unchanged": 0, "deleted": 0, "refused_lower_tier": 0
        }  # fmt: skip
        self.quarantined_count = 0
        self.strange: list[pd.DataFrame] = []
        self.replies: list[pd.DataFrame] = []

    def ask(self, calls: Sequence[Demand]) -> None:
        """Make the calls, one after the other; what one of them gives is stored before the next.

        Raises:
            dg.Failure: no configured source serves the table.
        """
        from regime_pipeline.providers.errors import NoSourceError
        from regime_pipeline.providers.fetch.fetch import fetch

        platform, item = self._platform, self._item
        client = platform.http()
        for done, call in enumerate(calls):
            try:
                got = fetch(
                    item.name,
                    call.window,
                    settings=platform.settings,
                    client=client,
                    clock=platform.clock,
                    symbols=call.symbols,
                    sources=call.sources or None,
                    series=call.series,
                    stored=_stored(platform, self._scope, item, call),
                    progress=_Bar(platform.progress, f"fetch {item.name}", done, len(calls)),
                )
            except NoSourceError as error:
                raise dg.Failure(description=str(error), allow_retries=False) from error
            self._store(call, got)
        if calls:  # a source that is off makes no request and so no progress
            platform.progress(f"fetch {item.name}", 100 * len(calls), 100 * len(calls))

    def _store(self, call: Demand, got: FetchResult) -> None:
        name, run_id = self._item.full_name, self._run_id
        warehouse = self._platform.warehouse
        result = warehouse.merge(name, got.frame, mode="upsert", run_id=run_id)
        self._platform.written(name, len(got.frame), result)
        self.strange.append(
            suspicion.suspicious(self._platform, self._item, call.window, got.frame)
        )
        for what in self.counts:
            self.counts[what] += getattr(result, what)
        self.quarantined_count += len(got.quarantined)
        warehouse.quarantine(name, got.quarantined, source=None, run_id=run_id)
        warehouse.record("ops.payloads", got.payloads, run_id=run_id)
        self.replies.append(got.payloads)
        warehouse.record("ops.fetch_log", got.log, run_id=run_id)
        self._platform.work.requests += int(got.log["request_count"].fillna(0).sum())
        self.log = got.log if self.log.empty else pd.concat([self.log, got.log], ignore_index=True)
        self.sample = got.frame if len(got.frame) else self.sample

    def covered(self, window: Window) -> coverage_store.Refreshed:
        """What became of each hour of a window, judged anew."""
        platform = self._platform
        return coverage_store.refresh(
            platform.warehouse, platform.settings, platform.clock.now(), self._item.name, window
        )


REFUSALS = ("AuthError", "Banned", "GeoBlocked")
"""Failures that stay until a person does something or a ban ends."""


def _tell_refusals(platform: Platform, log: pd.DataFrame) -> None:
    """One system alert a day per source that shut us out; a key is named by its fingerprint only."""
    if log.empty:
        return
    asked = log["error_class"].isin(REFUSALS) & was_made(log)
    if not asked.any():
        return
    from regime_pipeline.alerts.kinds import SOURCE_REFUSES
    from regime_pipeline.alerts.outbox import enqueue_system
    from regime_pipeline.providers.limits.gate import key_fingerprints

    keys = key_fingerprints(platform.settings)
    for source, kind in sorted(
        set(log.loc[asked, ["source", "error_class"]].itertuples(index=False))
    ):
        enqueue_system(
            platform.database,
            settings=platform.settings,
            clock=platform.clock,
            kind=SOURCE_REFUSES,
            title=f"{source} refuses us: {kind}",
            details={
                "source": source,
                "error_class": kind,
                "key_fingerprint": keys.get(source) if kind == "AuthError" else None,
                "day": platform.clock.now().date().isoformat(),
                "next": "regime doctor",
            },
        )


class _Bar:
    """Requests of all sources and pieces of a dataset as one bar in percent of a piece."""

    def __init__(self, tell: Progress, label: str, done: int, pieces_: int) -> None:
        self._tell, self._label, self._done, self._pieces = tell, label, done, pieces_
        self._of: dict[str, tuple[int, int]] = {}

    def __call__(self, source: str, done: int, total: int) -> None:
        self._of[source] = (done, total)
        share = sum(d for d, _ in self._of.values()) / max(1, sum(t for _, t in self._of.values()))
        self._tell(self._label, round(100 * (self._done + share)), 100 * self._pieces)


def calls_of(
    platform: Platform, scope: Scope, dataset: str, window: Window, *, is_tick: bool = False
) -> list[Demand]:
    """What a run asks for, see :func:`coverage.asking.to_ask`."""
    ask = Ask.NEW_HOURS if is_tick else Ask.EVERYTHING
    ask = Ask.OPEN_DAYS if scope.only_missing else ask
    return to_ask(
        dataset,
        window,
        warehouse=platform.warehouse,
        settings=platform.settings,
        now=platform.clock.now(),
        symbols=platform.symbols(scope.symbols),
        sources=scope.sources,
        ask=ask,
    )


def _stored(platform: Platform, scope: Scope, item: Table, call: Demand) -> pd.DataFrame | None:
    """Keys of what is stored, for an archive that is to be asked for the rest; else None."""
    from regime_pipeline.providers.registry import ARCHIVE, is_left_out

    asked = call.sources or platform.settings.sources
    if not scope.only_missing or ARCHIVE not in asked or is_left_out(platform.settings, ARCHIVE):
        return None
    return platform.warehouse.read(
        item.full_name, call.window, symbols=call.symbols if item.symbol_columns else None,
        columns=list(item.key),
    )  # fmt: skip


def _result(
    item: Table,
    window: Window,
    log: pd.DataFrame,
    sample: pd.DataFrame,
    counts: dict[str, int],
    quarantined: int,
    checks: list[dg.AssetCheckResult],
) -> dg.MaterializeResult:
    failed = log
    if len(log):  # a symbol that a source does not list is no failure: coverage says so
        listed = log["error_class"] != "UnknownSymbol"
        failed = log[(log["fetch_status"] == "failed") & listed.fillna(True)]
    off = log[log["fetch_status"] == "skipped"] if len(log) else log
    names = sorted(failed["source"].unique()) if len(failed) else []
    metadata: dict[str, Any] = {
        "window": f"{window.start:%Y-%m-%d %H:%M} .. {window.end:%Y-%m-%d %H:%M} UTC",
        **run_counts(
            row_changes(*(counts[k] for k in ("inserted", "updated", "unchanged")))
            | {
                "rows refused (lower tier)": counts["refused_lower_tier"],
                "rows quarantined": quarantined,
                "requests": int(log["request_count"].fillna(0).sum()) if len(log) else 0,
            }
        ),
        "failed sources": ", ".join(names) or "none",
        "sources that are off": "; ".join(_told_off(off)) or "none",
    }
    table = fetch_rows(log)
    if table is not None:
        metadata["by source"] = table
    plot = sparkline(item, sample) if len(sample) else None
    if plot is not None:
        metadata["plot"] = dg.MetadataValue.md(plot)
    check: dict[str, Any] = {"failed sources": ", ".join(names) or "none"}
    if len(failed):
        check["failures"] = dg.MetadataValue.table(
            [
                dg.TableRecord({str(k): str(v) for k, v in row.items()})
                for row in failed[["source", "symbol", "error_class", "error_message"]]
                .drop_duplicates()
                .head(SHOWN_FAILURES)
                .to_dict("records")
            ]
        )
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name=CHECK,
                passed=not names,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"no complete answer from {', '.join(names)}" if names else None,
                metadata=check,
            ),
            *checks,
        ],
    )


def _hours_check(told: HoursSummary) -> dg.AssetCheckResult:
    """Names the sources and hours that we missed, and counts what became of all others."""
    metadata: dict[str, Any] = dict(told.counts)
    for title, rows in told.tables.items():
        metadata[title] = dg.MetadataValue.table([dg.TableRecord(row) for row in rows])
    return dg.AssetCheckResult(
        check_name=HOURS_CHECK,
        passed=told.missed is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=told.missed,
        metadata=metadata,
    )


def _told_off(log: pd.DataFrame) -> list[str]:
    """``source (why)`` of every source that was not asked."""
    if not len(log):
        return []
    pairs = log[["source", "error_message"]].drop_duplicates().sort_values("source")
    return [f"{source} ({why})" for source, why in pairs.itertuples(index=False)]


ASSETS = tuple(raw_asset(TABLES[name]) for name in BY_TABLE)
