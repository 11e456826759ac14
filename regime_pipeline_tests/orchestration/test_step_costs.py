"""A run writes down what each of its steps cost, however it ends."""

from __future__ import annotations

import dagster as dg

from regime_pipeline.orchestration.assets.raw import ASSETS as RAW_ASSETS
from regime_pipeline.orchestration.derived import asset_key, asset_of
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.windows import SystemClock, Window, utc
from regime_pipeline_tests.orchestration.conftest import raw_candles, run_assets

WINDOW = Window(utc("2024-03-07"), utc("2024-03-08"))


@dg.asset(key=["features", "fails"], required_resource_keys={"platform"})
def fails(context) -> None:  # type: ignore[no-untyped-def]
    if context.retry_number == 0:
        raise dg.RetryRequested(max_retries=1)
    raise ZeroDivisionError("for the test")


@dg.asset(key=["features", "waits"], deps=[fails])
def waits() -> None: ...


def steps(database: Database, run_id: str) -> dict[str, dict]:
    query = "select * from reporting.run_performance where run_id = %(run_id)s"
    return {r["step"]: r for r in rows(database, query, run_id=run_id)}


def test_each_step_tells_time_rows_attempts_and_how_it_ended(platform: Platform) -> None:
    platform.warehouse.merge("raw.candles", raw_candles(WINDOW.start, WINDOW.end))
    made = asset_of("market.candles_1h")
    fetched = next(a for a in RAW_ASSETS if asset_key("raw.candles") in a.keys)
    chain = [*fetched.to_source_assets(), made, fails, waits]
    began = SystemClock().now()
    done = run_assets(platform, chain, WINDOW, raise_on_error=False)
    found = steps(platform.database, done.run_id)
    name = made.node_def.name
    assert {n: (r["step_outcome"], r["attempt_count"]) for n, r in found.items()} == {
        name: ("succeeded", 1),
        "features__fails": ("failed", 2),
    }
    good, bad = found[name], found["features__fails"]
    counts = {"written_count": good["written_count"], "changed_count": good["changed_count"]}
    assert counts["written_count"] == counts["changed_count"] > 24
    assert good["by_table"] == {"market.candles_1h": counts}
    assert good["cpu_s"] > 0
    assert began <= good["started_at"] <= SystemClock().now()
    assert 0 < good["duration_s"] < (SystemClock().now() - began).total_seconds()
    assert (bad["error_class"], bad["written_count"], bad["by_table"]) == (
        "ZeroDivisionError", None, None,
    )  # fmt: skip
