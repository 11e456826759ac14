"""Great Expectations suites over *stored* tables, and the Data Docs of their results.

Belongs here: what only shows in a table over time (completeness against the calendar, agreement of
venues, drift). Does not belong here: the shape and bounds of one frame (pandera, before each write),
contracts of reports (dbt tests), asset checks (``checks``). Suites are code. The library is imported
when a suite is run, never with the definitions.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from regime_pipeline.catalogue.fields.common import NOT_APPLICABLE
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.windows import DAY, HOUR, Grid, Window, floor_hour

DAYS = 7
"""Days of stored rows that a suite looks at, up to the last closed hour."""
COMPLETE_FRAC = 0.99
VENUE_GAP_FRAC = 0.005
DRIFT_RATIO = (0.3, 3.0)

NOT_YET = ("insufficient_history", NOT_APPLICABLE)
"""Statuses of rows of which nothing is expected."""


class ExpectationCrash(RuntimeError):
    """An expectation could not be evaluated; that says nothing about the data."""


@dataclass(frozen=True)
class Suite:
    """What a suite looks at and what it expects of it.

    Attributes:
        frame: the rows.
        expectations: what must hold.
        without: why there are no rows to judge though some are stored; None: none is stored.
    """

    frame: pd.DataFrame
    expectations: list[Any]
    without: str | None = None


Expectations = Callable[[Any, Platform, Window], Suite]


@dataclass(frozen=True)
class Declared:
    """A suite by name, the table that it is about, and what makes it; that says what is expected."""

    table: str
    name: str
    build: Expectations

    @property
    def description(self) -> str:
        """What is expected."""
        return (self.build.__doc__ or "").strip()


@dataclass(frozen=True)
class Judged:
    """What a suite found.

    Attributes:
        suite: which.
        window: the rows that were looked at.
        rows: how many.
        holds: every expectation does, or nothing could be judged for a good reason.
        reason: why nothing was judged; None: it was.
        expectations: each by name, whether it holds, and what was observed.
        page: its page in the Data Docs; None when nothing was judged.
    """

    suite: Declared
    window: Window
    rows: int
    holds: bool
    reason: str | None = None
    expectations: tuple[tuple[str, bool, str], ...] = ()
    page: Path | None = None


def _window(platform: Platform) -> Window:
    """The week up to the last closed hour; of data that nobody adds to, up to the newest stored one."""
    end = floor_hour(platform.clock.now())
    if platform.at_rest() is not None:
        with platform.database.connect() as connection:
            row = connection.execute("select max(ts) from market.candles_1h").fetchone()
        if row is not None and row[0] is not None:
            end = min(end, row[0] + HOUR)
    return Window(end - DAYS * DAY, end)


def _complete_candles(gx: Any, platform: Platform, window: Window) -> Suite:
    """Every hour of the calendar has its row, once, and nearly all of them were observed."""
    frame = platform.warehouse.read("market.candles_1h", window)
    hours = len(Grid.of(window, platform.settings.universe).hours)
    seen = frame["close"].notna().astype("float64")
    frame = frame.assign(is_observed=seen.mask(frame["status"] == NOT_APPLICABLE))
    e = gx.expectations
    return Suite(
        frame,
        [
            e.ExpectTableRowCountToEqual(value=2 * hours * len(platform.settings.universe)),
            e.ExpectCompoundColumnsToBeUnique(column_list=["market", "symbol", "ts"]),
            e.ExpectColumnMeanToBeBetween(column="is_observed", min_value=COMPLETE_FRAC),
        ],
    )


def _venues_agree(gx: Any, platform: Platform, window: Window) -> Suite:
    """Closes of the same market and hour differ little between venues."""
    raw = platform.warehouse.read("raw.candles", window, where={"timeframe": "1h"})
    key = ["market", "symbol", "ts"]
    middle = raw.groupby(key)["close"].transform("median")
    several = raw.groupby(key)["venue"].transform("nunique") > 1
    frame = raw.loc[several, [*key, "venue"]].assign(
        gap_frac=(raw.loc[several, "close"] / middle[several] - 1.0).abs()
    )
    e = gx.expectations
    return Suite(
        frame,
        [
            e.ExpectColumnValuesToBeBetween(
                column="gap_frac", max_value=VENUE_GAP_FRAC, mostly=COMPLETE_FRAC
            ),
        ],
        "nothing to compare: no market has a second venue" if len(raw) else None,
    )


def _volatility_in_range(gx: Any, platform: Platform, window: Window) -> Suite:
    """The ratio to its own baseline stays near 1 over a week, and most rows have a value.

    A symbol's first three weeks have no ratio and are not expected to have one.
    """
    stored = platform.warehouse.read("features.volatility_regimes", window)
    e = gx.expectations
    return Suite(
        stored[~stored["status"].isin(NOT_YET)],
        [
            e.ExpectColumnMedianToBeBetween(
                column="vol_ratio_gk", min_value=DRIFT_RATIO[0], max_value=DRIFT_RATIO[1]
            ),
            e.ExpectColumnValuesToNotBeNull(column="vol_regime_confirmed", mostly=COMPLETE_FRAC),
        ],
        "insufficient history: no row has a baseline yet" if len(stored) else None,
    )


def judge(platform: Platform, suites: Sequence[Declared], docs: Path) -> list[Judged]:
    """Run suites over the stored rows of the last week and write their Data Docs.

    Args:
        platform: the database and the clock.
        suites: which.
        docs: folder of the pages, made anew; ``index.html`` leads to them.

    Returns:
        A result a suite, in order. With no rows stored a suite does not hold and says so; with none that
        can be judged it holds and says why.

    Raises:
        ExpectationCrash: an expectation raised (an absent column, values that do not compare); the
            library reports that like bad data. Nothing is written.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx

    window = _window(platform)
    context = _context(gx, docs)
    outcomes: list[tuple[Declared, Suite, Any]] = []
    for declared in suites:
        suite = declared.build(gx, platform, window)
        outcome = None if suite.frame.empty else validated(context, declared, suite)
        outcomes.append((declared, suite, outcome))
    shutil.rmtree(docs, ignore_errors=True)  # pages of earlier results, which no index leads to
    context.build_data_docs()
    return [_told(context, window, *found) for found in outcomes]


def _told(
    context: Any, window: Window, declared: Declared, suite: Suite, outcome: Any | None
) -> Judged:
    if outcome is None:
        why = suite.without or "no rows are stored in the window"
        return Judged(declared, window, 0, suite.without is not None, why)
    told = tuple(
        (
            r.expectation_config.type if r.expectation_config else "unnamed",
            bool(r.success),
            str(r.result.get("observed_value", r.result.get("unexpected_count"))),
        )
        for r in outcome.results
    )
    (site,) = context.get_docs_sites_urls(resource_identifier=_page_of(outcome))
    page = Path(unquote(urlsplit(site["site_url"]).path))
    return Judged(declared, window, len(suite.frame), bool(outcome.success), None, told, page)


def _context(gx: Any, docs: Path) -> Any:
    """A context that is forgotten afterwards; only its pages stay."""
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.variables.data_docs_sites = {}
    context.add_data_docs_site(
        site_name="docs",
        site_config={
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(docs.resolve()),
            },
        },
    )
    context.data_sources.add_pandas("warehouse")
    return context


def validated(context: Any, declared: Declared, suite: Suite) -> Any:
    """The suite's result, kept in the context for its pages.

    Raises:
        ExpectationCrash: an expectation raised.
    """
    import great_expectations as gx

    name = f"{declared.table}.{declared.name}"
    batch = context.data_sources.get("warehouse").add_dataframe_asset(name)
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(
            name=name,
            data=batch.add_batch_definition_whole_dataframe("window"),
            suite=context.suites.add(
                gx.ExpectationSuite(name=name, expectations=suite.expectations)
            ),
        )
    )
    outcome = definition.run(batch_parameters={"dataframe": suite.frame})
    crashes = [
        f"{r.expectation_config.type if r.expectation_config else 'unnamed'}: {message}"
        for r in outcome.results
        for message in _exceptions(r.exception_info)
    ]
    if crashes:
        raise ExpectationCrash(f"{name}: {'; '.join(crashes)}")
    return outcome


def _exceptions(info: Any) -> Iterator[str]:
    """Messages of what was raised: one record, or one for each metric that was computed."""
    if not isinstance(info, dict):
        return
    if "raised_exception" in info:
        if info["raised_exception"]:
            yield str(info["exception_message"])
        return
    for one in info.values():
        yield from _exceptions(one)


def _page_of(outcome: Any) -> Any:
    """What the library names the page of a result by."""
    from great_expectations.core import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = outcome.meta["run_id"]
    return ValidationResultIdentifier(
        expectation_suite_identifier=ExpectationSuiteIdentifier(outcome.suite_name),
        run_id=run if isinstance(run, RunIdentifier) else RunIdentifier(**run),
        batch_identifier=outcome.batch_id,
    )


SUITES = (
    Declared("market.candles_1h", "complete_against_the_calendar", _complete_candles),
    Declared("raw.candles", "venues_agree", _venues_agree),
    Declared("features.volatility_regimes", "volatility_stays_in_range", _volatility_in_range),
)
"""Every suite."""
