"""A pure function's own declaration: what it may say, and that the catalogue and it agree."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.derivation import (
    Given,
    derivation_of,
    derivations,
    derives,
    lookbacks,
    reach_of,
    reads,
)
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, Grid


def price(candles: pd.DataFrame, *, grid: Grid, venue: str, limit: float = 1.0) -> pd.DataFrame:
    return candles


def test_a_declared_function_stays_as_it_is_and_tells_what_it_reads() -> None:
    declared = derives(
        "market.candles_1h",
        candles=reads("raw.candles", "3d", where={"venue": Given("venue")}, columns=("ts",)),
        venue="spot_venue",
    )(price)
    assert declared is price
    what = derivation_of(price)
    assert what.of_run == ("grid",)
    assert what.settings == {"venue": "spot_venue"}
    assert what.step == "market__candles_1h"
    assert lookbacks(price) == {"raw.candles": "3d"}
    assert reach_of(price, "raw.candles") == 3 * DAY


@pytest.mark.parametrize(
    "parameters",
    [
        {"candles": reads("raw.candles")},  # the venue is not said
        {"candles": reads("raw.candles"), "venue": "spot_venue", "colour": "spot_venue"},
        {"venue": "spot_venue"},
    ],
)
def test_a_parameter_too_many_or_too_few_is_refused(parameters: dict) -> None:
    with pytest.raises(TypeError, match="no such parameters"):
        derives("market.candles_1h", **parameters)(price)


def test_tables_computed_together_need_a_name_and_a_table_is_read_once() -> None:
    with pytest.raises(ValueError, match="need a name for their step"):
        derives("market.funding", "market.fear_greed")
    with pytest.raises(ValueError, match="read by two parameters"):
        derives("market.candles_1h", candles=reads("raw.candles"), venue=reads("raw.candles"))(
            price
        )


def test_every_derived_table_is_declared_once_and_by_the_module_it_names() -> None:
    told = [name for what in derivations() for name in what.tables]
    assert sorted(told) == sorted(n for n, t in TABLES.items() if t.computed_in)
    assert [what.tables[0] for what in derivations()] == sorted(
        (what.tables[0] for what in derivations()), key=list(TABLES).index
    )


def test_a_table_that_names_the_wrong_module_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace
    from types import MappingProxyType

    from regime_pipeline.catalogue import derivation

    wrong = replace(TABLES["market.funding"], computed_in="market.candles")
    changed = MappingProxyType({**TABLES, "market.funding": wrong})
    monkeypatch.setattr(derivation, "TABLES", changed)
    with pytest.raises(LookupError, match=r"market\.candles computes"):
        derivations()


def test_every_declaration_names_tables_columns_and_settings_that_exist() -> None:
    settings = Settings()
    for what in derivations():
        for path in what.settings.values():
            found: object = settings
            for part in path.split("."):
                found = getattr(found, part)
        for one in what.inputs.values():
            item = TABLES[one.table]
            assert set(one.columns or ()) | set(one.where) <= set(item.fields), what.step
            assert reach_of(what.function, one.table) >= 0 * HOUR
            for value in one.where.values():
                assert not isinstance(value, Given) or value.parameter in what.settings


def test_declaring_needs_no_data_library() -> None:
    code = (
        "import sys, regime_pipeline.catalogue.derivation;"
        "print(sorted({'pandas', 'numpy', 'dagster'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
