"""What forecasting models have been worth, for people: verdicts, the registry, in lines.

Belongs here: reading ``reporting.ml_model_performance`` and ``reporting.models`` and putting them into lines.
Does not belong here: fits and forecasts (``research``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from regime_pipeline.reporting.research import EVERY
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.wording.formats import UNKNOWN

_PERFORMANCE = """
    select p.*, m.model_target, m.trained_to, m.model_rows
    from reporting.ml_model_performance as p
    left join reporting.models as m on m.model = p.model and m.model_version = p.model_version
        and m.ts < p.ts
    where p.ts = (select max(n.ts) from reporting.ml_model_performance as n where n.ts < %(before)s)
        and (%(model)s::text is null or p.model = %(model)s)
    order by p.model, p.symbol, p.regime"""


def models_of(
    database: Database, before: datetime, model: str | None = None
) -> list[dict[str, Any]]:
    """The rows of the newest day whose last hour lies before an instant; none: nothing is judged yet.

    Args:
        database: what is stored.
        before: the instant.
        model: of this one only.
    """
    return rows(database, _PERFORMANCE, before=before, model=model)


def whole(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of some rows, those of all symbols and regimes together, each with its verdict in words."""
    shown = (r for r in found if r["symbol"] == EVERY and r["regime"] == EVERY)
    return [r | {"verdict": verdict(r), "shown_skill": skill_text(r)} for r in shown]


def verdict(row: dict[str, Any]) -> str:
    """Whether a model is published, in words."""
    if row["is_published"]:
        return "published"
    why = row["publication_reason"] or row["reason"] or UNKNOWN
    return "not published: " + why.replace("_", " ")


def skill_text(row: dict[str, Any]) -> str:
    """Skill with its bounds, as ``+24.7 % [+13.0, +36.4]``; that of a probability is small."""
    if row["skill"] is None:
        return UNKNOWN
    digits = 2 if row["model_target"] == "direction_1h" else 1
    value, low, high = (
        f"{100 * row[name]:+.{digits}f}" for name in ("skill", "skill_low", "skill_high")
    )
    return f"{value} % [{low}, {high}]"


def summary_lines(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line a model, and for each target that no published model has, that it has none."""
    shown = whole(found)
    if not shown:
        yield (
            "no model has been judged yet; months are trained and days judged by the nightly run, other ones "
            "by `regime backfill --select signals/models,signals/model_performance`"
        )
        return
    yield f"to the end of {shown[0]['ts']:%Y-%m-%d}, skill over the forecast that needs no model, 365 days"
    for row in shown:
        moved = ", drifted" if row["has_drifted"] else ""
        yield (
            f"{row['model']:<20}{row['model_role']:<12}{skill_text(row):<30}"
            f"{row['scored_rows_eff']:>7.0f} rows eff.  {row['verdict']}{moved}"
        )
    for target in dict.fromkeys(r["model_target"] for r in shown if r["model_target"]):
        own = [r for r in shown if r["model_target"] == target]
        if not any(r["is_published"] for r in own):
            best = max(own, key=lambda r: -1.0 if r["skill"] is None else r["skill"])
            yield f"{target}: {skill_text(best)}: no model is published"


def model_lines(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One model in full: verdict, losses, drift, its interval by symbol and regime."""
    for row in whole(found):
        yield f"{row['model']} ({row['model_role']}), to the end of {row['ts']:%Y-%m-%d}: {row['verdict']}"
        for name, text in _facts(row):
            yield f"    {name:<28}{text}"
    for row in found:
        if (row["symbol"], row["regime"]) != (EVERY, EVERY):
            name = row["symbol"] if row["regime"] == EVERY else row["regime"]
            yield f"    {name:<28}{skill_text(row):<30}interval of 90 % held {_coverage(row)}"


def _facts(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "skill over the baseline", skill_text(row)
    yield "loss, of the baseline", f"{_number(row['model_loss'])}, {_number(row['baseline_loss'])}"
    yield "forecasts, independent ones", f"{row['scored_rows']}, {row['scored_rows_eff']:.0f}"
    if row["trained_to"] is not None:
        trained = f"{row['model_rows']} rows to {row['trained_to']:%Y-%m-%d %H:%M}"
        yield "fit in force", f"{row['model_version']}, {trained}"
    yield (
        "stability of its inputs",
        f"{_number(row['psi'])} of {row['psi_feature'] or UNKNOWN}, limit {_number(row['psi_limit'])}",
    )
    yield "losses crept up", _number(row["loss_cusum"])
    if row["coverage_90"] is not None:
        yield "interval of 90 % held", _coverage(row)


def _coverage(row: dict[str, Any]) -> str:
    if row["coverage_90"] is None:
        return UNKNOWN
    low, high = row["coverage_90_low"], row["coverage_90_high"]
    bounds = "" if low is None or high is None else f" [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * row['coverage_90']:.1f} %{bounds}"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4g}"
