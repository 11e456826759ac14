"""One year of the derived chain, 8 symbols, one run: pure compute against everything around it.

Compute is the time between an asset's inputs and its outputs, read from the run's own event log; the
rest is Dagster's bookkeeping and our storage. The run is over data that is already there, which is
what a backfill after a change of method is.
"""

from __future__ import annotations

from benchmarks.common import filled_pipeline, line, seconds

BUDGET_RATE = 20_000
BUDGET_RATIO = 3.0


def run() -> None:
    """One run after a warm-up (which fills the database and the compile cache)."""
    from regime_pipeline.orchestration.launch import run_selection
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.windows import DAY, Window, utc

    with filled_pipeline(days=366) as (settings, clock):
        last = utc(clock.now().date())
        window = Window(last - 365 * DAY, last)
        done: list = []
        total = seconds(
            lambda: done.append(
                run_selection(
                    settings=settings, clock=clock, window=window, symbols=settings.universe
                )
            )
        )
        (report,) = done
        if not report.succeeded:
            raise RuntimeError(str(report.runs[-1]))
        database = open_database(settings, origin="simulated")
        compute, steps = _compute_seconds(database, report.runs[-1].run_id)
        database.close()
        symbol_hours = 365 * 24 * len(settings.universe)
        line(
            "backfill",
            "365 d x 8 symbols, derived chain, one run",
            total_s=total,
            compute_s=compute,
            around_s=total - compute,
            ratio_around_to_compute=(total - compute) / compute,
            budget_ratio=BUDGET_RATIO,
            symbol_hours_per_compute_s=symbol_hours / compute,
            budget_rate=BUDGET_RATE,
        )
        for step, spent in sorted(steps.items(), key=lambda item: -item[1]):
            line("backfill", f"compute of {step}", compute_s=spent)


def _compute_seconds(database, run_id: str) -> tuple[float, dict[str, float]]:
    with database.connect() as conn:
        rows = conn.execute(
            "SELECT step_key, dagster_event_type, timestamp FROM dagster.event_logs "
            "WHERE run_id = %s AND step_key IS NOT NULL ORDER BY id",
            (run_id,),
        ).fetchall()
    began: dict[str, object] = {}
    spent: dict[str, float] = {}
    for step, kind, at in rows:
        if kind in ("STEP_START", "STEP_INPUT"):
            began[step] = at
        elif kind == "STEP_OUTPUT" and step not in spent:
            spent[step] = (at - began[step]).total_seconds()
    return sum(spent.values()), spent
