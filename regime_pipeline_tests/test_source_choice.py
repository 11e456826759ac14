"""Which provider stands behind a series where nobody names one."""

from __future__ import annotations

from typing import Any

import pytest

from regime_pipeline.orchestration.freshness import fingerprint
from regime_pipeline.settings import Settings, changed
from regime_pipeline.source_choice import versioned
from regime_pipeline.storage import resolved
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import HOUR, utc

KEY = {"coinglass_api_key": "a-key-of-somebody"}


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "liquidations", "interest"),
    [
        ({}, ("okx", "okx"), "binance_futures"),
        ({"perp_venue": "bybit"}, ("okx", "okx"), "bybit"),
        (KEY, ("coinglass", "binance"), "coinglass"),
        (KEY | {"sources": ("okx", "binance_futures")}, ("okx", "okx"), "binance_futures"),
        ({"liquidation_source": "coinglass"}, ("coinglass", "binance"), "binance_futures"),
        ({"liquidation_venue": "aggregate"}, ("coinglass", "aggregate"), "binance_futures"),
        (KEY | {"open_interest_source": "venue"}, ("coinglass", "binance"), "binance_futures"),
        (KEY | {"liquidation_source": "okx"}, ("okx", "okx"), "coinglass"),
    ],
)
def test_the_choice_follows_from_what_can_be_asked(
    given: dict[str, Any], liquidations: tuple[str, str], interest: str
) -> None:
    found = settings(**given)
    assert (found.liquidation_source, found.liquidation_venue) == liquidations
    assert set(found.open_interest_sources.values()) == {interest}
    assert found.liquidation_order_source == "okx"
    assert fingerprint(found, ()) == fingerprint(settings(**given), ())


def test_where_the_collector_runs_without_a_key_closures_are_those_that_bybit_streams() -> None:
    found = settings(collect="on")
    assert (found.liquidation_source, found.liquidation_venue) == ("bybit", "bybit")
    assert found.liquidation_order_source == "bybit"
    assert set(found.open_interest_sources.values()) == {"binance_futures"}
    assert "collector is on" in {c.role: c.why for c in found.choices}["liquidations"]
    assert versioned("liquidations/3", found.liquidation_source) == "liquidations/3@bybit"
    assert fingerprint(found, ()) != fingerprint(settings(), ())
    assert settings(collect="on", collect_venues="okx").liquidation_source == "okx"
    assert settings(collect="on", collect_channels="bars,trades").liquidation_source == "okx"
    assert settings(collect="on", **KEY).liquidation_source == "coinglass"


def test_auto_said_aloud_is_auto_also_after_other_settings_change() -> None:
    named = settings(liquidation_source="auto", open_interest_source="auto")
    assert named.liquidation_source == "okx"
    keyed = changed(named, KEY)
    assert (keyed.liquidation_source, keyed.open_interest_source) == ("coinglass", "coinglass")
    kept = changed(settings(liquidation_source="okx"), KEY)
    assert kept.liquidation_source == "okx"
    assert {c.role: c.why for c in kept.choices}["liquidations"] == "REGIME_LIQUIDATION_SOURCE set"


def test_each_choice_changes_the_fingerprint_of_derived_rows() -> None:
    kinds = [{}, KEY, {"liquidation_order_source": "bybit"}, {"open_interest_source": "okx"}]
    assert len({fingerprint(settings(**given), ()) for given in kinds}) == len(kinds)


def test_moods_are_wired_where_their_source_can_be_asked() -> None:
    assert settings().social_source is None
    keyed = settings(lunarcrush_api_key="a-key-of-somebody")
    assert keyed.social_source == "lunarcrush"
    assert changed(keyed, {"sources": "binance,okx"}).social_source is None


def test_a_start_notes_only_what_it_finds_changed(database: Database) -> None:
    noon = utc("2024-03-01T12:00")
    for hours, given in ((0, {}), (1, {}), (2, KEY)):
        resolved.note(database, settings(**given).choices, noon + hours * HOUR)
    newest = {choice.role: (choice.source, at) for choice, at in resolved.newest(database)}
    assert newest["liquidations"] == ("coinglass", noon + 2 * HOUR)
    assert newest["social"] == (None, noon)
    with database.connect() as connection:
        rows = connection.execute(
            "select source, venue, why from ops.resolved_sources "
            "where role = 'liquidations' order by resolved_at"
        ).fetchall()
    assert [row[:2] for row in rows] == [("okx", "okx"), ("coinglass", "binance")]
    assert rows[1][2] == "COINGLASS_API_KEY is set"
