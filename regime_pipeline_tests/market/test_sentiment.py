"""The daily Fear & Greed series."""

from __future__ import annotations

import pandas as pd

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.sentiment import fear_greed
from regime_pipeline.windows import Window, utc


def _raw(*rows: tuple[str, float], source: str = "alternative_me") -> pd.DataFrame:
    ts = pd.to_datetime([r[0] for r in rows], utc=True).as_unit("us")
    return pd.DataFrame(
        {
            "source": source,
            "ts": ts,
            "fear_greed": [r[1] for r in rows],
            "classification": "Fear",
            "source_tier": pd.array([1] * len(rows), dtype="Int64"),
            "available_at": ts + pd.Timedelta(hours=1),
        }
    )


def test_one_row_per_day_and_a_day_without_a_value_is_null() -> None:
    raw = _raw(("2024-01-01", 30), ("2024-01-03", 0), ("2024-01-04", 55))
    frame = fear_greed(raw, window=Window(utc("2024-01-01"), utc("2024-01-04")))
    which = table("market.fear_greed")
    validate(frame, which)
    assert list(frame.columns) == list(which.content)
    assert frame["fear_greed"].fillna(-1).tolist() == [30.0, -1.0, 0.0]
    assert frame["status"].tolist() == ["ok", "missing", "ok"]
    assert frame["reason"].tolist()[1] == "not_observed"
    assert frame["reason"].isna().tolist() == [True, False, True]
    assert frame["available_at"].isna().tolist() == [False, True, False]
    assert frame.loc[2, "available_at"] == pd.Timestamp("2024-01-03 01:00", tz="UTC")
    assert frame["source_tier"].isna().tolist() == [False, True, False]


def test_another_provider_never_fills_in() -> None:
    raw = pd.concat([_raw(("2024-01-01", 30)), _raw(("2024-01-02", 31), source="coinglass")])
    window = Window(utc("2024-01-01"), utc("2024-01-03"))
    assert fear_greed(raw, window=window)["fear_greed"].isna().tolist() == [False, True]
    theirs = fear_greed(raw, window=window, source="coinglass")
    assert theirs["fear_greed"].isna().tolist() == [True, False]


def test_a_value_off_midnight_belongs_to_its_day_and_the_newest_counts() -> None:
    raw = _raw(("2024-01-01 00:00", 30), ("2024-01-01 08:00", 35))
    frame = fear_greed(raw, window=Window(utc("2024-01-01"), utc("2024-01-02")))
    assert frame["fear_greed"].tolist() == [35.0]
    assert frame["ts"].iloc[0] == pd.Timestamp("2024-01-01", tz="UTC")


def test_only_days_whose_midnight_lies_in_the_window_are_owed() -> None:
    raw = _raw(("2024-01-01", 30), ("2024-01-02", 31))
    frame = fear_greed(raw, window=Window(utc("2024-01-01 05:00"), utc("2024-01-02 05:00")))
    assert frame["ts"].dt.day.tolist() == [2]
    assert fear_greed(raw, window=Window(utc("2024-01-02"), utc("2024-01-02"))).empty
    nothing = fear_greed(raw.head(0), window=Window(utc("2024-01-01"), utc("2024-01-03")))
    assert nothing["status"].eq("missing").all()
    assert len(nothing) == 2
