"""Series that are asked a few times a day are judged by their own turn, not by the hour."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from regime_pipeline.quality.calendar import completeness, freshness
from regime_pipeline.quality.model import SERIES, Judged
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import HOUR, Window, utc

DAY = utc("2024-05-02")
NOW = DAY + 20 * HOUR
OTHER = ("other", "elsewhere", "perp", "BTC/USDT")
TURNS = pd.DataFrame([(*OTHER, 12)], columns=[*SERIES, "every_h"])


def rows(hours: int) -> pd.DataFrame:
    ts = pd.date_range(DAY, periods=hours, freq="h").as_unit("us")
    return pd.DataFrame({**dict(zip(SERIES, OTHER, strict=True)), "ts": ts, "source_tier": 2})


def complete(hours: int, turns: pd.DataFrame | None) -> Judged:
    day = Window(DAY, DAY + 24 * HOUR)
    return completeness(rows(hours), "raw.open_interest", day, NOW, QualityParams(), turns)


def fresh(hours: int, turns: pd.DataFrame | None) -> Judged:
    day = Window(DAY, DAY + 24 * HOUR)
    return freshness(rows(hours), "raw.open_interest", day, NOW, turns=turns)


@pytest.mark.parametrize("check", [complete, fresh])
def test_hours_that_are_yet_to_be_asked_for_are_not_missing(
    check: Callable[[int, pd.DataFrame | None], Judged],
) -> None:
    assert check(10, None).verdicts.failed.all()
    assert not check(10, TURNS).verdicts.failed.any()


@pytest.mark.parametrize("check", [complete, fresh])
def test_a_turn_that_brought_nothing_is_missed(
    check: Callable[[int, pd.DataFrame | None], Judged],
) -> None:
    assert check(4, TURNS).verdicts.failed.all()
