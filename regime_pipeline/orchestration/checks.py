"""The suites over stored tables as asset checks; they look at a week, so they run daily.

Belongs here: showing what a suite found. Does not belong here: what is expected (``suites``), findings
of each day (``quality``).
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from regime_pipeline.orchestration.derived import asset_key
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.orchestration.suites import SUITES, Declared, Judged, judge


def gx_check(suite: Declared) -> dg.AssetChecksDefinition:
    """An asset check that runs one suite over the stored rows of the last week.

    Its verdict is one for the week and on no day. A crash of the suite, or of one expectation, raises;
    only an expectation that does not hold is a failed check.
    """

    @dg.asset_check(
        asset=asset_key(suite.table),
        name=suite.name,
        blocking=False,
        description=suite.description,
        required_resource_keys={"platform"},
    )
    def check(context):  # type: ignore[no-untyped-def]
        platform: Platform = context.resources.platform
        pages = platform.settings.home / "quality" / f"{suite.table}.{suite.name}"
        (found,) = judge(platform, [suite], pages)
        return dg.AssetCheckResult(
            passed=found.holds, severity=dg.AssetCheckSeverity.WARN, metadata=_shown(found)
        )

    return check


def _shown(found: Judged) -> dict[str, Any]:
    window = found.window
    about = {"window": f"{window.start:%Y-%m-%d %H:%M} .. {window.end:%Y-%m-%d %H:%M}"}
    if found.reason is not None:
        return {**about, "reason": found.reason}
    rows = [
        dg.TableRecord({"expectation": name, "holds": holds, "observed": observed})
        for name, holds, observed in found.expectations
    ]
    return {
        **about,
        "rows": found.rows,
        "expectations": dg.MetadataValue.table(rows),
        "page": dg.MetadataValue.path(str(found.page)),
    }


CHECKS = tuple(gx_check(suite) for suite in SUITES)
"""The check of every suite."""
