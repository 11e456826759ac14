"""The jobs. All run in one process: an hour of data costs less than starting a process per step."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import dagster as dg

from regime_pipeline.catalogue.schemas import DERIVED_SCHEMAS
from regime_pipeline.orchestration.checks import CHECKS
from regime_pipeline.orchestration.derived import asset_key
from regime_pipeline.orchestration.partitions import TICK_TAG
from regime_pipeline.orchestration.quality import CHECK_KEYS
from regime_pipeline.orchestration.quality import CHECKED as JUDGED
from regime_pipeline.orchestration.retention import retention

# The tick fetches and derives in one run over two days at most; policies play no part in it.
warnings.filterwarnings("ignore", message=".*varying BackfillPolicies.*", category=UserWarning)

SUITES = dg.AssetSelection.checks(*(key for check in CHECKS for key in check.check_keys))
"""Suites over stored tables: they look at a week, so they run daily and not with every tick."""
FINDINGS = dg.AssetSelection.checks(*CHECK_KEYS)
"""The data-quality findings of a run's days, shown on each table's page; they follow the assets that
find them."""
CHECKED = dg.AssetSelection.assets(["ops", "quality_checks"], ["ops", "quality_scores"])
RAW = (
    dg.AssetSelection.groups("raw")
    - dg.AssetSelection.assets(["raw", "legacy_signals"])  # filled by its own command
    - SUITES
    - FINDINGS
)
REPORTING = dg.AssetSelection.groups("reporting")
PREDICTIONS = "signals.model_predictions"
NIGHTLY_TABLES = (
    *("signals.trials", "signals.trial_days", "signals.passports"),
    *("signals.calibrators", "signals.reliability"),
    *("signals.strategies", "signals.trade_intents", "signals.trade_executions"),
    *("signals.positions", "signals.equity"),
    *("signals.model_performance", PREDICTIONS),
)
"""What looks at years of hours for one row a day: made each night, and with no tick or range of days."""
TRAINED_TABLES = ("signals.models",)
"""What is made once a month, in partitions of months."""
APART_TABLES = (*TRAINED_TABLES, *NIGHTLY_TABLES)
"""Derived tables that no range of days makes by itself."""
TRAINED = dg.AssetSelection.assets(*map(asset_key, TRAINED_TABLES))
NIGHTLY = dg.AssetSelection.assets(*map(asset_key, NIGHTLY_TABLES))
DERIVED = dg.AssetSelection.groups(*DERIVED_SCHEMAS) - SUITES - NIGHTLY - TRAINED | FINDINGS

hourly_tick = dg.define_asset_job(
    "hourly_tick",
    selection=RAW | DERIVED | REPORTING | dg.AssetSelection.assets(asset_key(PREDICTIONS)),
    description="Everything for the newest hours: fetch, derive, events, reports.",
    executor_def=dg.in_process_executor,
    tags={"dagster/priority": "10", TICK_TAG: "newest"},
)
raw_fetch = dg.define_asset_job(
    "raw_fetch",
    selection=RAW,
    description="Ask the providers; config narrows symbols and sources.",
    executor_def=dg.in_process_executor,
)
book_samples = dg.define_asset_job(
    "book_samples",
    selection=dg.AssetSelection.assets(dg.AssetKey(["raw", "order_book"])) - FINDINGS,
    description="One snapshot of every order book; an hour wants twelve, and none can be had later.",
    executor_def=dg.in_process_executor,
)
derived_chain = dg.define_asset_job(
    "derived_chain",
    selection=DERIVED,
    description="Market series, features, regimes, correlations, signals and events from what is "
    "stored: one run for any range.",
    executor_def=dg.in_process_executor,
)
reporting = dg.define_asset_job(
    "reporting",
    selection=REPORTING,
    description="The reporting tables (dbt) and their tests.",
    executor_def=dg.in_process_executor,
)
recompute = dg.define_asset_job(
    "recompute",
    selection=DERIVED | REPORTING,
    description="What depends on restated raw rows: the sensor restated_rows names tables and days.",
    executor_def=dg.in_process_executor,
)
research = dg.define_asset_job(
    "research",
    selection=NIGHTLY,
    description="Passports, calibrators, and the performance of models to the end of a day.",
    executor_def=dg.in_process_executor,
)
training = dg.define_asset_job(
    "training",
    selection=TRAINED,
    description="Forecasting models, fitted at the ends of months: one run for any range of them.",
    executor_def=dg.in_process_executor,
)

quality = dg.define_asset_job(
    "quality",
    selection=SUITES | CHECKED | FINDINGS,
    description="Great Expectations suites over the last week of stored rows, and its data-quality "
    "findings anew: restatements and refusals come late.",
    executor_def=dg.in_process_executor,
)

JOBS = (
    quality,
    hourly_tick,
    raw_fetch,
    book_samples,
    derived_chain,
    reporting,
    recompute,
    research,
    training,
    retention,
)


def part_of(job: dg.JobDefinition, assets: Iterable[dg.AssetKey]) -> dg.JobDefinition:
    """A resolved job narrowed to some of its assets, with those of its checks that these can answer.

    Left to itself Dagster adds every check that there is on an asset: the suites over a week with
    each fetch, and findings that nobody judged, which the UI then shows as skipped. Assets that one step
    makes come together, as the step cannot be run for one of them.
    """
    graph = job.asset_layer.asset_graph
    chosen = {one for key in assets for one in graph.get(key).execution_set_asset_keys}
    is_judged = asset_key(JUDGED) in chosen
    checks = {
        key
        for key in graph.asset_check_keys
        if (is_judged if key in CHECK_KEYS else key.asset_key in chosen)
    }
    return job.get_subset(asset_selection=chosen, asset_check_selection=checks)
