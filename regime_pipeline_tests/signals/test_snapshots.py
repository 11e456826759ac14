from __future__ import annotations

from datetime import datetime

import pandas as pd

from regime_pipeline.catalogue.frames import empty, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.catalogue.tables.signals import SNAPSHOT_BLOCKS
from regime_pipeline.signals.snapshots import snapshots
from regime_pipeline.windows import HOUR, Grid, hours_between, utc
from regime_pipeline_tests.synthetic import filled, long

END = utc("2024-06-10T12:00")
BTC = ("BTC/USDT",)


def block(name: str, hours: int, **columns: object) -> pd.DataFrame:
    full = SNAPSHOT_BLOCKS[name][0]
    frame = long(BTC, hours_between(END - hours * HOUR, END), **columns)
    return filled(full, frame)


def world(hours: int = 60) -> dict[str, pd.DataFrame]:
    given = {name: block(name, hours) for name in SNAPSHOT_BLOCKS}
    given["market"] = block("market", hours, close=42.0, price_change_24h_frac=0.1)
    given["volatility"] = block("volatility", hours, vol_regime_confirmed="EXTREME")
    given["futures"] = block(
        "futures", hours, futures_score=70.0, futures_signal="LONG", top_factors='[{"factor":"x"}]'
    )
    given["funding"] = block("funding", hours, print_ts=pd.Timestamp("2024-06-10T08:00", tz="UTC"))
    given["fear_greed"] = index(utc("2024-06-10"), 61.0)
    return given


def index(day: datetime, value: float) -> pd.DataFrame:
    row = pd.DataFrame({"ts": [pd.Timestamp(day)], "fear_greed": [value]})
    return filled("market.fear_greed", row.assign(available_at=row["ts"] + 0.25 * HOUR))


def made(given: dict[str, pd.DataFrame], hours: int = 1) -> pd.DataFrame:
    out = snapshots(**given, grid=Grid(END - hours * HOUR, END, BTC))
    validate(out, table("signals.snapshots"))
    assert len(out) == hours
    return out


def test_the_values_of_an_hour_stand_side_by_side() -> None:
    row = made(world()).iloc[0]
    assert (row["close"], row["vol_regime_confirmed"], row["futures_signal"]) == (
        42,
        "EXTREME",
        "LONG",
    )
    assert row["top_factors"] == '[{"factor":"x"}]'
    assert row["print_ts"] == pd.Timestamp("2024-06-10T08:00", tz="UTC")
    assert row["fear_greed"] == 61
    assert row["fear_greed_block_age_h"] == 11
    assert row["market_block_age_h"] == 0
    assert (row["status"], row["reason"]) == ("ok", None) or pd.isna(row["reason"])


def test_a_block_without_a_value_is_null_with_its_age_and_reason_and_nothing_is_carried() -> None:
    given = world()
    lost = given["market"]["ts"] >= pd.Timestamp(END - 5 * HOUR)
    given["market"].loc[lost, ["close", "price_change_24h_frac"]] = None
    given["market"].loc[lost, "status"] = "missing"
    given["market"].loc[lost, "reason"] = "no_close"
    row = made(given).iloc[0]
    assert pd.isna(row["close"]) and pd.isna(row["price_change_24h_frac"])
    assert (row["market_block_status"], row["market_block_reason"]) == ("missing", "no_close")
    assert row["market_block_age_h"] == 5
    assert (row["status"], row["reason"]) == ("partial", "market")


def test_a_table_without_any_row_says_so() -> None:
    given = {name: empty(table(full)) for name, (full, _) in SNAPSHOT_BLOCKS.items()}
    row = made(given | {"fear_greed": empty(table("market.fear_greed"))}, hours=2).iloc[0]
    assert row["status"] == "missing"
    assert row["futures_block_reason"] == "no_row"
    assert pd.isna(row["futures_block_age_h"]) and pd.isna(row["print_ts"])
    assert row["fear_greed_block_reason"] == "not_published"


def test_an_index_is_stale_after_36_hours() -> None:
    given = world() | {"fear_greed": index(utc("2024-06-08"), 20.0)}
    row = made(given).iloc[0]
    assert pd.isna(row["fear_greed"])
    assert (row["fear_greed_block_status"], row["fear_greed_block_age_h"]) == ("stale", 59)
