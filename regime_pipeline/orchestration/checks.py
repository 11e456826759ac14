"""Great Expectations suites over *stored* tables, as asset checks on a daily schedule.

Belongs here: what only shows in a table over time (completeness against the calendar, agreement of
venues, drift). Does not belong here: the shape and bounds of one frame (pandera, before each write),
contracts of reports (dbt tests). Suites are code; each run writes its result page below
``home/quality``. The library is imported when a check runs, never with the definitions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pandas as pd

from regime_pipeline.catalogue.fields.common import NOT_APPLICABLE
from regime_pipeline.orchestration.derived import asset_key
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.windows import DAY, Grid, Window, floor_hour

if TYPE_CHECKING:
    import great_expectations as gx

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


def _window(platform: Platform) -> Window:
    end = floor_hour(platform.clock.now())
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
            e.ExpectColumnQuantileValuesToBeBetween(
                column="gap_frac",
                quantile_ranges={"quantiles": [0.99], "value_ranges": [[None, VENUE_GAP_FRAC]]},
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


def gx_check(full_name: str, name: str, build: Expectations) -> dg.AssetChecksDefinition:
    """An asset check that runs one suite over the stored rows of the last week.

    A crash of the check, or of one expectation, raises; only an expectation that does not hold is a
    failed check. With no rows stored the check fails and says so; with none that can be judged it
    passes and says why.
    """

    @dg.asset_check(
        asset=asset_key(full_name),
        name=name,
        blocking=False,
        description=(build.__doc__ or "").strip(),
        required_resource_keys={"platform"},
    )
    def check(context):  # type: ignore[no-untyped-def]
        platform: Platform = context.resources.platform
        window = _window(platform)
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx

        suite = build(gx, platform, window)
        about = {"window": f"{window.start:%Y-%m-%d %H:%M} .. {window.end:%Y-%m-%d %H:%M}"}
        if suite.frame.empty:
            why = suite.without or "no rows are stored in the window"
            return _result(suite.without is not None, {**about, "reason": why})
        outcome = validated(gx, name, suite)
        rows = [
            dg.TableRecord(
                {
                    "expectation": r.expectation_config.type if r.expectation_config else "unnamed",
                    "holds": bool(r.success),
                    "observed": str(
                        r.result.get("observed_value", r.result.get("unexpected_count"))
                    ),
                }
            )
            for r in outcome.results
        ]
        page = platform.settings.home / "quality" / f"{full_name}.{name}.html"
        _write_page(outcome, page)
        return _result(
            bool(outcome.success),
            {
                **about,
                "rows": len(suite.frame),
                "expectations": dg.MetadataValue.table(rows),
                "page": dg.MetadataValue.path(str(page.resolve())),
            },
        )

    return check


def _result(passed: bool, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata
    )


def validated(gx: Any, name: str, suite: Suite) -> gx.core.ExpectationSuiteValidationResult:
    """The suite's result.

    Raises:
        ExpectationCrash: an expectation raised (an absent column, values that do not compare); the
            library reports that like bad data.
    """
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("warehouse").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("window").get_batch(
        batch_parameters={"dataframe": suite.frame}
    )
    outcome = batch.validate(gx.ExpectationSuite(name=name, expectations=suite.expectations))
    crashes = [
        f"{r.expectation_config.type if r.expectation_config else 'unnamed'}: {message}"
        for r in outcome.results
        for message in _exceptions(r.exception_info)
    ]
    if crashes:
        raise ExpectationCrash(f"{name}: {'; '.join(crashes)}")
    return outcome


def _exceptions(info: Any) -> list[str]:
    """Messages of what was raised: one record, or one for each metric that was computed."""
    if not isinstance(info, dict):
        return []
    if "raised_exception" in info:
        return [str(info["exception_message"])] if info["raised_exception"] else []
    return [message for one in info.values() for message in _exceptions(one)]


def _write_page(outcome: Any, page: Any) -> None:
    """The suite's result as the page that Great Expectations renders for people."""
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    for found in outcome.results:
        found.result = _python_numbers(found.result)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(outcome)))


def _python_numbers(value: Any) -> Any:
    """Results as the renderer takes them: it refuses numpy's numbers."""
    if isinstance(value, dict):
        return {k: _python_numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_python_numbers(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


CHECKS = (
    gx_check("market.candles_1h", "complete_against_the_calendar", _complete_candles),
    gx_check("raw.candles", "venues_agree", _venues_agree),
    gx_check("features.volatility_regimes", "volatility_stays_in_range", _volatility_in_range),
)
"""Every suite."""
