from __future__ import annotations

import pandas as pd

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.signals.dashboard_comparison import dashboard_comparison
from regime_pipeline.windows import HOUR, Grid, hours_between, utc
from regime_pipeline_tests.synthetic import filled, long, rows_of

END = utc("2024-06-10T12:00")
BTC = ("BTC/USDT",)
LAST = pd.Timestamp(END - HOUR)


def told(**rows: tuple[str, float, str]) -> pd.DataFrame:
    listed = [
        {"component": name, "signal_score": score, "ts": LAST.floor("h"), "available_at": at}
        for name, score, at in rows.values()
    ]
    return rows_of(
        "raw.dashboard_signals",
        [r | {"available_at": pd.Timestamp(r["available_at"], tz="UTC")} for r in listed],
        source="dashboard",
        symbol="BTC/USDT",
        pit_grade="observed",
    )


def compared(raw: pd.DataFrame) -> pd.DataFrame:
    hours = hours_between(END - 3 * HOUR, END)
    ours = filled("signals.components", long(BTC, hours, momentum_score=60.0))
    both = filled("signals.confluence", long(BTC, hours, confluence_score=55.0))
    out = dashboard_comparison(raw, ours, both, grid=Grid(END - 3 * HOUR, END, BTC))
    validate(out, table("signals.dashboard_comparison"))
    return out.set_index("component")


def test_scores_stand_beside_ours_with_the_difference() -> None:
    out = compared(
        told(
            a=("momentum", 72.0, "2024-06-10T11:05"),
            b=("confluence", 40.0, "2024-06-10T11:05"),
            c=("whale_act", 90.0, "2024-06-10T11:05"),
        )
    )
    assert out.loc["momentum", ["own_score", "score_difference"]].tolist() == [60.0, 12.0]
    assert out.loc["confluence", "score_difference"] == -15.0
    assert pd.isna(out.loc["whale_act", "score_difference"])
    assert out.loc["whale_act", ["status", "reason"]].tolist() == ["partial", "own_score_missing"]
    assert set(out["ts"]) == {LAST}


def test_a_score_counts_from_the_hour_in_which_it_could_be_known() -> None:
    out = compared(
        told(a=("momentum", 72.0, "2024-06-10T10:59"), b=("volume", 50.0, "2024-06-10T12:01"))
    )
    assert out.loc["momentum", "ts"] == LAST - pd.Timedelta(hours=1)
    assert "volume" not in out.index


def test_without_a_service_there_are_no_rows() -> None:
    assert compared(told()).empty
