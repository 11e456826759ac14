"""One row a raw dataset: complete, coherent, and the differences that are meant are said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from regime_pipeline.catalogue.datasets import (
    BY_TABLE,
    DATASETS,
    FLAGGED_AFTER,
    MISSED_AFTER,
    Dataset,
    Expected,
    Form,
    RowKind,
    dataset,
)
from regime_pipeline.catalogue.registry import TABLES, table
from regime_pipeline.providers.registry import SOURCES, datasets
from regime_pipeline.quality.model import BY_ID
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR

EACH = pytest.mark.parametrize("item", DATASETS.values(), ids=list(DATASETS))


def test_every_raw_table_but_the_one_filled_from_files_is_a_dataset_in_the_same_order() -> None:
    raw = [name for name, of in TABLES.items() if of.schema == "raw"]
    assert list(BY_TABLE) == [name for name in raw if name != "raw.legacy_signals"]


def test_every_dataset_that_a_source_serves_is_described() -> None:
    assert set(datasets()) == set(DATASETS)


def test_an_unknown_dataset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown dataset 'candels'; there are candles, "):
        dataset("candels")


@EACH
def test_only_buckets_have_a_length_and_stand_on_the_hourly_grid(item: Dataset) -> None:
    assert (item.length > timedelta(0)) == item.is_bucketed
    if item.is_bucketed:
        assert item.grid is not None and item.grid.step == item.length


@EACH
def test_named_settings_exist_and_name_sources_that_serve_the_dataset(item: Dataset) -> None:
    settings = Settings()
    for name in (*item.primary_settings, item.primary_venue_setting):
        assert name is None or hasattr(settings, name)
    named = [getattr(settings, name) for name in item.primary_settings[:1]]
    sources = {s for one in named for s in (one.values() if isinstance(one, dict) else [one])}
    sources |= {item.primary} - {None}
    for source in sources:
        assert item.name in {f.dataset for f in SOURCES[source].feeds}


@EACH
def test_columns_that_properties_speak_of_are_in_the_table(item: Dataset) -> None:
    fields = set(table(item.table).fields)
    assert set(item.magnitudes) <= fields
    assert item.by_kind == ({"sentiment_kind", "sentiment_scope"} <= fields)
    assert item.by_venue <= ({"venue", "market", "symbol"} <= fields)
    assert (item.form is Form.DIGESTED) == ("closure_id" in fields)


@EACH
def test_a_row_is_only_late_when_a_healthy_one_could_be_there(item: Dataset) -> None:
    """Between two rows of a healthy series the newest one's age stays below each limit."""
    gap = {Expected.HOURLY: HOUR, Expected.DAILY: DAY}.get(item.expected, timedelta(0))
    gap = 8 * HOUR if item.name == "funding_rates" else gap
    if item.slo is not None and item.form is not Form.SAMPLED:  # sampled every few minutes
        assert item.slo > gap + item.delay - item.length
    assert item.reported_within > gap + item.lag


def test_an_hour_is_flagged_in_the_report_before_it_is_asked_for_again() -> None:
    assert timedelta(0) < FLAGGED_AFTER < MISSED_AFTER


def test_hourly_expectation_and_completeness_are_two_questions() -> None:
    """An hour without a trade or a closure has no row, and no one is to blame."""
    hourly = {n for n, d in DATASETS.items() if d.expected is Expected.HOURLY}
    continuous = {n for n, d in DATASETS.items() if d.is_continuous}
    assert continuous == {
        "candles", "open_interest", "positioning", "reference_prices", "volatility_index",
    }  # fmt: skip
    assert continuous < hourly
    assert all(DATASETS[n].forward_only is None for n in continuous)
    assert set(BY_ID["DQ03"].tables) == {f"raw.{n}" for n in continuous}


def test_an_index_may_miss_a_day_for_its_readers_but_not_at_its_provider() -> None:
    index = DATASETS["fear_greed"]
    assert index.slo is not None
    assert DAY + index.lag < index.reported_within < index.slo <= 2 * DAY


def test_funding_is_stale_at_one_age_for_checks_and_for_the_doctor() -> None:
    funding = DATASETS["funding_rates"]
    assert funding.slo == funding.reported_within == 9 * HOUR


def test_what_is_estimated_or_scored_elsewhere_or_a_day_or_a_chain_is_not_judged() -> None:
    unjudged = {n for n, d in DATASETS.items() if not d.is_judged}
    assert unjudged == {
        "funding_predictions", "dashboard_signals", "derivatives_1d", "option_chain",
        "liquidation_levels", "instruments",
    }  # fmt: skip
    assert all(DATASETS[n].kind is RowKind.SNAPSHOT for n in unjudged - {"derivatives_1d"})
    assert DATASETS["derivatives_1d"].length == DAY
    assert set(BY_ID["DQ01"].tables) == set(BY_TABLE) - {f"raw.{n}" for n in unjudged}
