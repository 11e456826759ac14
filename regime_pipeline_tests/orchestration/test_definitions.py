"""The code location as a whole: what is there, what it shares, how light its import is."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest
import yaml

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.catalogue.derivation import derivations
from regime_pipeline.orchestration.assets.raw import CHECK
from regime_pipeline.orchestration.build import all_assets, build_definitions, pipeline_assets
from regime_pipeline.orchestration.history import declared_inputs
from regime_pipeline.orchestration.instance import LOCATION, ROOT
from regime_pipeline.orchestration.jobs import part_of
from regime_pipeline.orchestration.metadata import spec_metadata
from regime_pipeline.orchestration.partitions import COMPUTE, DAILY, EVERY_HOUR, FETCH, MONTHLY
from regime_pipeline.settings import Settings
from regime_pipeline.windows import parse_lookback

pytestmark = pytest.mark.xdist_group("definitions")  # one module fixture, not one a worker

FINDINGS = {"ops.quality_blocks", "ops.quality_checks", "ops.quality_scores"}
NOT_ASSETS = {
    "alerts.acknowledgements", "alerts.delivery_attempts", "alerts.delivery_starts",
    "alerts.endpoints", "alerts.event_contexts", "alerts.outbox", "alerts.system_events",
}  # fmt: skip


RAW_TABLES = sum(t.schema == "raw" for t in TABLES.values())


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions()


def test_definitions_are_loadable(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_every_data_table_has_exactly_one_asset_and_every_asset_a_table() -> None:
    keys = [".".join(k.path) for a in pipeline_assets() for k in a.keys]
    assert len(keys) == len(set(keys))
    of_runs = {n for n, t in TABLES.items() if t.schema not in ("ops", "live")}
    assert set(keys) == of_runs - NOT_ASSETS | FINDINGS


def test_the_chain_shares_one_partitions_object_and_one_policy() -> None:
    for asset in pipeline_assets():
        if asset.keys == {dg.AssetKey(["raw", "legacy_signals"])}:
            assert asset.partitions_def is None  # files are about any time
            continue
        raw = next(iter(asset.keys)).path[0] == "raw"
        trained = asset.keys == {dg.AssetKey(["signals", "models"])}  # at the ends of months
        assert asset.partitions_def is (MONTHLY if trained else DAILY), asset.key
        assert asset.backfill_policy is (FETCH if raw else COMPUTE), asset.keys


def test_reports_are_partitioned_like_the_chain(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in ("market_overview", "regime_timeline"):
        node = graph.get(dg.AssetKey(["reporting", name]))
        assert node.partitions_def == DAILY
        assert node.backfill_policy == COMPUTE
        assert node.group_name == "reporting"
    upstream = graph.get(dg.AssetKey(["reporting", "market_overview"])).parent_keys
    assert dg.AssetKey(["market", "candles_1h"]) in upstream


def test_dbt_tests_are_asset_checks(definitions: dg.Definitions) -> None:
    checks = definitions.resolve_asset_graph().asset_check_keys
    assert sum(c.asset_key.path[0] == "reporting" for c in checks) >= 5
    raw = len(DATASETS)
    assert sum(c.name == CHECK for c in checks) == raw


def test_people_find_descriptions_owners_and_columns(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for asset in pipeline_assets():
        for key in asset.keys:
            node, item = graph.get(key), TABLES[".".join(key.path)]
            assert node.description == item.description
            assert node.group_name == item.schema
            assert node.owners
            columns = node.metadata["dagster/column_schema"]
            columns = getattr(columns, "value", columns).columns
            assert [c.name for c in columns] == list(item.fields)
            assert all(c.description for c in columns)


def test_a_table_can_be_derived_alone_with_those_that_its_step_makes(
    definitions: dg.Definitions,
) -> None:
    job = definitions.resolve_job_def("derived_chain")
    graph = job.asset_layer.asset_graph
    together = [
        graph.get(key).execution_set_asset_keys for key in job.asset_layer.executable_asset_keys
    ]
    step = max(together, key=lambda keys: (len(keys), sorted(keys)))
    assert len(step) > 1
    assert part_of(job, [min(step)]).asset_layer.selected_asset_keys == step


def test_raw_columns_lead_on_to_the_places_of_providers_replies() -> None:
    metadata = spec_metadata(TABLES["raw.candles"])
    of_close = metadata["dagster/column_lineage"].deps_by_column["close"]
    endpoint = dg.AssetKey(["binance", "api_v3_klines"])
    assert dg.TableColumnDep(endpoint, "[][4]") in of_close
    assert "dagster/column_lineage" not in spec_metadata(TABLES["market.candles_1h"])


def test_what_every_tick_makes_is_late_when_it_does_not(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in ("raw/candles", "features/volatility_regimes", "reporting/hourly"):
        assert graph.get(dg.AssetKey(name.split("/"))).freshness_policy == EVERY_HOUR
    assert graph.get(dg.AssetKey(["raw", "legacy_signals"])).freshness_policy is None
    still = all_assets(Settings(_env_file=None, clock="2024-03-01"))
    assert not any(spec.freshness_policy for asset in still for spec in asset.specs)


def test_every_declared_function_has_its_asset_with_the_inputs_it_declares() -> None:
    found = declared_inputs(pipeline_assets())
    for what in derivations():
        declared = {i.table: parse_lookback(i.lookback) for i in what.inputs.values()}
        raw = [back for name, back in declared.items() if name.startswith("raw.")]
        for target in what.tables:
            given = dict(found[target])
            assert given.pop("ops.quality_blocks", None) == (max(raw) if raw else None), target
            assert given == declared, target


def test_every_jobs_steps_cover_their_layers(definitions: dg.Definitions) -> None:
    count = {
        name: len(definitions.resolve_job_def(name).graph.nodes)
        for name in ("hourly_tick", "raw_fetch", "derived_chain", "reporting", "research")
    }
    nightly = count.pop("research")
    fetched = len(DATASETS)
    assert count["raw_fetch"] == fetched
    assert count["reporting"] == 1
    assert nightly == 7  # passports, their ledger, probabilities, models judged, paper: once a day
    said = 1  # by models, each hour
    assert count["hourly_tick"] == sum(count.values()) - count["hourly_tick"] + said


def test_books_are_sampled_twelve_times_an_hour(definitions: dg.Definitions) -> None:
    (schedule,) = (s for s in definitions.schedules or () if s.name == "books")
    assert schedule.cron_schedule == "*/5 * * * *"
    nodes = definitions.resolve_job_def("book_samples").graph.nodes
    assert [n.name for n in nodes] == ["raw__order_book"]


def test_slots_can_be_replaced() -> None:
    slim = build_definitions(assets=pipeline_assets()[:1], jobs=(), schedules=(), sensors=())
    graph = slim.resolve_asset_graph()
    assert {k.to_user_string() for k in graph.get_all_asset_keys()} == {"raw/candles"}


@pytest.mark.slow
def test_the_code_location_imports_nothing_heavy() -> None:
    heavy = ("numba", "matplotlib", "great_expectations", "sklearn", "statsmodels", "scipy.stats")
    code = (
        "import sys, regime_pipeline.definitions as d;"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_workspace_names_the_code_location() -> None:
    found = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert found == [
        {
            "python_module": {
                "module_name": "regime_pipeline.definitions",
                "location_name": LOCATION,
                "working_directory": ".",
            }
        }
    ]
