"""What a launch did: its runs, the rows it wrote, what each source gave, what it got nothing for.

Belongs here: the report as data and as lines. Does not belong here: running anything (``launch``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from regime_pipeline.orchestration.emptiness import GotNothing
from regime_pipeline.windows import Window

if TYPE_CHECKING:
    from regime_pipeline.storage.merge import WriteResult


@dataclass(frozen=True)
class Outcome:
    """One Dagster run."""

    title: str
    job: str
    run_id: str
    window: Window
    succeeded: bool
    seconds: float
    error: str | None = None


@dataclass
class RunReport:
    """What a launch did."""

    window: Window
    symbols: tuple[str, ...]
    runs: list[Outcome] = field(default_factory=list)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    deliveries: dict[str, int] = field(default_factory=dict)
    got_nothing: list[GotNothing] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether every run did, and none of them in vain."""
        return self.ran and not self.got_nothing

    @property
    def ran(self) -> bool:
        """Whether every run ended well, whatever came of it."""
        return all(run.succeeded for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "from": self.window.start.isoformat(),
            "to": self.window.end.isoformat(),
            "symbols": list(self.symbols),
            "succeeded": self.succeeded,
            "seconds": round(self.seconds, 2),
            "runs": [
                {
                    "title": r.title,
                    "job": r.job,
                    "run_id": r.run_id,
                    "from": r.window.start.isoformat(),
                    "to": r.window.end.isoformat(),
                    "succeeded": r.succeeded,
                    "seconds": round(r.seconds, 2),
                    "error": r.error,
                }
                for r in self.runs
            ],
            "tables": self.tables,
            "sources": self.sources,
            "deliveries": self.deliveries,
            "got_nothing": [asdict(nothing) for nothing in self.got_nothing],
        }

    def lines(self) -> list[str]:
        """A few lines for a person."""
        out = [
            f"{'ok  ' if r.succeeded else 'FAIL'} {r.title}: {r.window.start:%Y-%m-%d} .. "
            f"{r.window.end:%Y-%m-%d}, {r.seconds:.1f} s, run {r.run_id[:8]}"
            + (f"\n     {r.error}" if r.error else "")
            for r in self.runs
        ]
        for name, counts in self.tables.items():
            changed = counts["inserted"] + counts["updated"] + counts["deleted"]
            out.append(f"     {name}: {counts['rows']} rows, {changed} changed")
        return out

    def count(self, name: str, rows: int, result: WriteResult) -> None:
        """Add a write."""
        sums = self.tables.setdefault(
            name, dict.fromkeys(("rows", "inserted", "updated", "unchanged", "deleted"), 0)
        )
        sums["rows"] += rows
        for what in ("inserted", "updated", "unchanged", "deleted"):
            sums[what] += getattr(result, what)

    def add(self, part: RunReport) -> None:
        """Add what a part of the launch did in a process of its own."""
        self.runs += part.runs
        for name, counts in part.tables.items():
            sums = self.tables.setdefault(name, dict.fromkeys(counts, 0))
            for what, number in counts.items():
                sums[what] += number


def by_source(log: pd.DataFrame) -> list[dict[str, Any]]:
    """What each source gave of each dataset, by rows of ``ops.fetch_log``."""
    out = []
    for (dataset, source), rows in log.groupby(["dataset", "source"], sort=True):
        failed = rows[rows["fetch_status"] == "failed"]
        out.append(
            {
                "dataset": dataset,
                "source": source,
                "statuses": {
                    str(k): int(v)
                    for k, v in rows["fetch_status"].value_counts().sort_index().items()
                },
                "rows": int(rows["rows_stored"].fillna(0).sum()),
                "quarantined": int(rows["rows_quarantined"].fillna(0).sum()),
                "requests": int(rows["request_count"].fillna(0).sum()),
                "error": None if failed.empty else str(failed["error_message"].iloc[0]),
            }
        )
    return out
