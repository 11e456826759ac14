"""The running funding estimate: what an hour could know, its interval, and what it never touches."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import conform, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.funding_anomalies import funding_anomalies, funding_prints
from regime_pipeline.market.funding import funding, funding_predicted_1h
from regime_pipeline.settings import FundingParams
from regime_pipeline.windows import HOUR, Grid, Window, utc
from regime_pipeline_tests.signals.worlds import prints_of, raw_prints
from regime_pipeline_tests.synthetic import same_bytes

DAY = utc("2024-03-05")
BTC, DOT = "BTC/USDT", "DOT/USDT"
VENUES = {BTC: "binance", DOT: "okx"}
MINUTE = timedelta(minutes=1)


def seen(hour: float, rate: float, **more: object) -> dict[str, object]:
    """An estimate that came at ``hour`` of the day, about the next settlement of three a day."""
    at = DAY + hour * HOUR
    coming = DAY + (int(hour) // 8 + 1) * 8 * HOUR
    row: dict[str, object] = {
        "source": "binance_futures",
        "venue": "binance",
        "market": "perp",
        "symbol": BTC,
        "ts": DAY + int(hour) * HOUR,
        "predicted_rate": rate,
        "predicted_for": coming,
        "interval_hours": None,
        "source_tier": 1,
        "available_at": at,
        "pit_grade": "observed",
    }
    return row | more


def raw_of(*rows: dict[str, object]) -> pd.DataFrame:
    spec = table("raw.funding_predictions")
    return conform(pd.DataFrame(rows, columns=[*spec.content, "available_at", "pit_grade"]), spec)


PRINTS = funding(
    raw_prints([DAY - n * 8 * HOUR for n in range(6, -1, -1)], [1e-4] * 7),
    window=Window(DAY - 9 * 24 * HOUR, DAY + HOUR),
    venues=VENUES,
)


def hours(raw: pd.DataFrame, first: int = 0, count: int = 12) -> pd.DataFrame:
    grid = Grid.of(Window(DAY + first * HOUR, DAY + (first + count) * HOUR), (BTC, DOT))
    out = funding_predicted_1h(raw, PRINTS, grid=grid, venues=VENUES)
    validate(out, table("market.funding_predicted_1h"))
    return out


def row(out: pd.DataFrame, hour: int, symbol: str = BTC) -> pd.Series:
    return out.set_index(["symbol", "ts"]).loc[(symbol, pd.Timestamp(DAY + hour * HOUR))]


def test_an_hour_shows_what_was_seen_before_its_end_and_never_what_came_after() -> None:
    out = hours(raw_of(seen(2.05, 1e-4), seen(3.05, 2e-4)))
    # row 02 decides at 03:00, row 03 at 04:00
    assert row(out, 2)["predicted_rate"] == 1e-4
    assert row(out, 2)["predicted_asof"] == pd.Timestamp(DAY + 2.05 * HOUR)
    assert row(out, 3)["predicted_rate"] == 2e-4
    assert row(out, 1)["reason"] == "no_estimate_seen"
    assert row(out, 1)["status"] == "missing"


def test_an_estimate_seen_on_the_hour_belongs_to_the_next_row() -> None:
    out = hours(raw_of(seen(3.0, 1e-4)))
    assert pd.isna(row(out, 2)["predicted_rate"])
    assert row(out, 3)["predicted_rate"] == 1e-4


def test_two_hours_without_a_new_one_leave_nothing() -> None:
    out = hours(raw_of(seen(2.5, 1e-4)))
    assert out[out["symbol"] == BTC]["predicted_rate"].notna().tolist() == [
        h in (2, 3) for h in range(12)
    ]


def test_an_estimate_ends_with_its_settlement() -> None:
    out = hours(raw_of(seen(7.05, 1e-4)))
    # row 07 decides at 08:00, when the 08:00 print is not known yet; row 08 decides at 09:00
    assert row(out, 7)["predicted_rate"] == 1e-4
    assert pd.isna(row(out, 8)["predicted_rate"])
    assert row(out, 8)["reason"] == "settled_since"
    assert pd.isna(row(out, 8)["predicted_asof"])


def test_the_interval_is_the_told_one_else_that_of_the_newest_print_else_unknown() -> None:
    told = row(hours(raw_of(seen(2.05, 1e-4, interval_hours=4))), 2)
    assert told["predicted_rate_8h"] == 2e-4
    borrowed = row(hours(raw_of(seen(2.05, 1e-4))), 2)
    assert (borrowed["interval_hours"], borrowed["predicted_rate_8h"]) == (8, 1e-4)
    other = row(hours(raw_of(seen(2.05, 1e-4, symbol=DOT, venue="okx", source="okx"))), 2, DOT)
    assert (other["status"], other["reason"]) == ("partial", "interval_unknown")
    assert other["predicted_rate"] == 1e-4
    assert pd.isna(other["predicted_rate_8h"])


def test_only_the_configured_venue_counts() -> None:
    out = hours(raw_of(seen(2.05, 1e-4, venue="okx", source="okx")))
    assert out["predicted_rate"].isna().all()


def test_chunks_and_later_observations_change_nothing() -> None:
    rng = np.random.default_rng(3)
    rows = [
        seen(h + 0.05, float(r)) for h, r in zip(range(12), rng.normal(size=12) * 1e-4, strict=True)
    ]
    whole = hours(raw_of(*rows))
    parts = []
    for first, count in ((0, 1), (1, 5), (6, 6)):
        known = [
            r for r in rows if DAY + (first - 2) * HOUR <= r["ts"] < DAY + (first + count) * HOUR
        ]
        parts.append(hours(raw_of(*known), first, count))
    pieces = pd.concat(parts).sort_values(["symbol", "ts"], ignore_index=True)
    same_bytes(pieces, whole)
    garbage = [r | {"predicted_rate": 0.9} if r["ts"] >= DAY + 6 * HOUR else r for r in rows]
    changed = hours(raw_of(*garbage))
    kept = (whole["ts"] < pd.Timestamp(DAY + 6 * HOUR)).to_numpy()
    same_bytes(changed[kept].reset_index(drop=True), whole[kept].reset_index(drop=True))
    assert changed["predicted_rate"].max() == 0.9


def test_the_estimate_stands_beside_the_settled_print_and_moves_no_statistic() -> None:
    rng = np.random.default_rng(4)
    prints = funding_prints(
        prints_of((rng.normal(size=95) * 1e-4).tolist(), end=DAY + 8 * HOUR),
        window=Window(utc("2019-01-01"), utc("2030-01-01")),
        symbols=(BTC,),
        params=FundingParams(),
    )
    grid = Grid.of(Window(DAY, DAY + 12 * HOUR), (BTC,))
    raw = raw_of(seen(2.05, 0.5))
    estimates = funding_predicted_1h(raw, PRINTS, grid=grid, venues=VENUES)
    plain = funding_anomalies(prints, grid=grid, params=FundingParams())
    beside = funding_anomalies(prints, None, estimates, grid=grid, params=FundingParams())
    validate(beside, table("features.funding_anomalies"))
    own = [c for c in plain if not c.startswith("predicted_")]
    same_bytes(plain[own], beside[own])
    assert beside["predicted_rate"].tolist()[2] == 0.5
    assert beside["predicted_reason"].isna().tolist()[2]
    assert set(plain["predicted_reason"]) == {"no_estimate_seen"}
    assert beside["status"].eq("ok").any()
    assert pytest.approx(0.5) == beside["predicted_rate_8h"].iloc[2]
