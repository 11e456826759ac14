"""A column that keeps its value: a null never takes back what was known, another value restates it."""

from __future__ import annotations

import pandas as pd

from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, utc

NOW = FixedClock(utc("2024-06-01"))


def prints(*hours: int | None, rate: float = 1e-4) -> pd.DataFrame:
    """Funding prints every 4 h with these intervals in force."""
    count = len(hours)
    ts = pd.Series(pd.date_range("2024-05-01", periods=count, freq="4h", tz="UTC")).dt.as_unit("us")
    return pd.DataFrame(
        {
            "source": "binance_futures",
            "venue": "binance",
            "market": "perp",
            "symbol": "BTC/USDT",
            "ts": ts,
            "funding_rate": rate,
            "interval_hours": pd.array(hours, dtype="Int64"),
            "mark_price": [float("nan")] * count,
            "source_tier": pd.array([1] * count, dtype="Int64"),
            "available_at": ts,
            "pit_grade": "assumed",
        }
    )


def stored(database: Database) -> list[tuple[int | None, int]]:
    with database.connect() as connection:
        return connection.execute(
            "select interval_hours, revision from raw.funding_rates order by ts"
        ).fetchall()


def test_a_list_that_failed_takes_back_no_interval_and_makes_no_revision(
    database: Database,
) -> None:
    warehouse = Warehouse(database, NOW)
    warehouse.merge("raw.funding_rates", prints(4, 4, 4))
    result = warehouse.merge("raw.funding_rates", prints(None, None, None, None))
    assert (result.inserted, result.updated, result.unchanged) == (1, 0, 3)
    assert [hours for hours, _ in stored(database)] == [4, 4, 4, None]
    again = warehouse.merge("raw.funding_rates", prints(4, 4, 4, 4))
    assert (again.updated, again.unchanged) == (1, 3), "what was null is filled"
    revisions = [revision for _, revision in stored(database)]
    assert revisions[:3] == [revisions[0]] * 3


def test_a_restated_row_keeps_its_interval_and_another_interval_replaces_it(
    database: Database,
) -> None:
    warehouse = Warehouse(database, NOW)
    warehouse.merge("raw.funding_rates", prints(4, 4))
    assert warehouse.merge("raw.funding_rates", prints(None, 8, rate=2e-4)).updated == 2
    assert [hours for hours, _ in stored(database)] == [4, 8]
