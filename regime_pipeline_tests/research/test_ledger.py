"""The ledger of trials in a real database: written first, never shorter, and read by every verdict."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from regime_pipeline.orchestration import variants
from regime_pipeline.orchestration.assets.research import own_trials
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.reporting import research
from regime_pipeline.research.trials import SIGNALS
from regime_pipeline.settings import Settings
from regime_pipeline.storage import trials as ledger
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.errors import StorageError
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, FixedClock
from regime_pipeline_tests.alerts.test_context import insert
from regime_pipeline_tests.research import worlds

CLOCK = FixedClock(worlds.END + timedelta(minutes=5))


def platform(database: Database, origin: str = "tape") -> Platform:
    settings = Settings(
        symbols=worlds.names(2), start_date="2024-03-01", origin=origin, _env_file=None
    )  # type: ignore[call-arg]
    return Platform(settings, CLOCK, database)


def stored(database: Database) -> None:
    """Ninety days of two coins; momentum knows a little of the next hour."""
    world = worlds.world(90, symbols=2, edge={"momentum": 0.2})
    for name, frame in world.frames().items():
        if name in ("trials", "trial_days"):
            continue
        schema = {"candles_1h": "market", "order_book_1h": "market"}.get(name, "signals")
        schema = "features" if name in ("volatility_regimes", "price_structure") else schema
        extra: dict[str, object] = {"status": "ok"}
        extra |= {"n_snapshots": 12} if name == "order_book_1h" else {}
        for symbol, rows in frame.groupby("symbol"):
            insert(database, f"{schema}.{name}", rows.assign(symbol=symbol, **extra))


def test_the_first_asker_is_noted_and_a_thousand_more_add_no_trial(warehouse: Warehouse) -> None:
    own = own_trials(Settings(_env_file=None))  # type: ignore[call-arg]
    assert len(own) == len(SIGNALS)
    first = ledger.note(warehouse, own, code_version="a/1", now=CLOCK.at)
    assert first == len(SIGNALS)
    later = CLOCK.at + DAY
    assert ledger.note(warehouse, own[:1] * 1_000, code_version="a/2", now=later) == 0
    found = research.trials_of(warehouse.database)
    assert len(found) == len(SIGNALS)
    (row,) = research.trials_of(warehouse.database, own[0].family)
    assert (row["run_count"], row["first_run_at"]) == (1_001, CLOCK.at)
    assert row["trial_code_version"] == "a/1"


def test_a_dropped_trial_stays_and_says_why(warehouse: Warehouse) -> None:
    (trial, *_) = own_trials(Settings(_env_file=None))  # type: ignore[call-arg]
    ledger.note(warehouse, [trial], code_version="a/1", now=CLOCK.at)
    assert ledger.drop(warehouse, trial.trial_id, "too slow")
    assert not ledger.drop(warehouse, "none", "too slow")
    (row,) = research.trials_of(warehouse.database)
    assert row["dropped_reason"] == "too slow"
    assert "dropped: too slow" in next(iter(research.trial_lines([row])))


def test_a_variant_that_dies_before_its_number_is_in_the_ledger(database: Database) -> None:
    at = platform(database)
    trial = variants.variant(at, "momentum", symbols=at.settings.universe, headline_h=1, sign=-1)
    with database.connect() as connection:
        connection.execute("alter table features.volatility_regimes rename to away")
    try:
        with pytest.raises(StorageError, match="volatility_regimes"):
            variants.judge(at, trial, worlds.END - DAY)
    finally:
        with database.connect() as connection:
            connection.execute("alter table features.away rename to volatility_regimes")
    (row,) = research.trials_of(database)
    assert row["trial_id"] == trial.trial_id and row["trial_spec"]["sign"] == -1


@pytest.mark.slow
def test_a_variant_is_judged_kept_by_day_and_counted_from_then_on(database: Database) -> None:
    stored(database)
    at, day = platform(database), worlds.END - DAY
    trial = variants.variant(at, "momentum", symbols=at.settings.universe, headline_h=1, sign=-1)
    rows = research.as_stored(variants.judge(at, trial, day), day + timedelta(hours=23))
    turned = research.headlines(rows)[0]
    assert (turned["verdict"], turned["trials_n"]) == ("INVERTED", 1)
    days = at.warehouse.read("signals.trial_days")
    assert set(days["trial_id"]) == {trial.trial_id} and len(days) >= 89
    twin = variants.variant(at, "momentum", symbols=at.settings.universe, headline_h=1, sign=1)
    again = research.headlines(research.as_stored(variants.judge(at, twin, day), day))[0]
    assert again["trials_n"] == 2 and again["trials_eff"] == pytest.approx(1.0, abs=0.01)
    assert any("INVERTED" in line for line in research.passport_lines(rows))
    assert pd.notna(again["ic"]) and again["ic"] == pytest.approx(-turned["ic"])


def test_what_is_made_up_is_no_trial(database: Database) -> None:
    at = platform(database, "simulated")
    trial = variants.variant(at, "momentum", symbols=at.settings.universe, headline_h=1, sign=1)
    variants.judge(at, trial, worlds.END - DAY)
    assert research.trials_of(database) == []
    assert list(research.trial_lines([])) == ["nothing was tried yet on real history"]
