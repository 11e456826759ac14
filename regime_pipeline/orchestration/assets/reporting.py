"""Reporting tables: the dbt project as partitioned assets, its tests as asset checks.

The run's window reaches the models through ``REGIME_WINDOW_START`` and ``REGIME_WINDOW_END``, not
through dbt vars, because changed vars make dbt parse everything again. The manifest that Dagster needs
to know the models is parsed once per content of the project and kept under ``home``. Does not belong
here: SQL (``dbt_project``).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.orchestration import dbt_build, dbt_profile
from regime_pipeline.orchestration.instance import ROOT, venv_program
from regime_pipeline.orchestration.metadata import column_lineage
from regime_pipeline.orchestration.partitions import COMPUTE, DAILY, as_window, owed
from regime_pipeline.settings import Settings

if TYPE_CHECKING:
    from regime_pipeline.orchestration.resources import Platform
    from regime_pipeline.windows import Window

PROJECT = ROOT / "dbt_project"
POOL = "dbt"
_GENERATED = {"target", "logs", "dbt_packages"}
_KEPT_MANIFESTS = 3

log = logging.getLogger(__name__)


class ReportingProjectError(RuntimeError):
    """The dbt project is absent or does not parse; the text says what dbt said."""


def project_digest(project: Path) -> str:
    """A digest of everything that a manifest depends on: the project's files and dbt's version."""
    digest = hashlib.sha256(importlib.metadata.version("dbt-core").encode())
    for path in sorted(project.rglob("*")):
        relative = path.relative_to(project)
        if path.is_file() and relative.parts[0] not in _GENERATED:
            digest.update(f"{relative}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def manifest_path(project: Path = PROJECT, home: Path | None = None) -> Path:
    """The parsed manifest of the project as it is now; parses it when it has changed.

    Two processes may do so at once: each parses in a folder of its own and moves the result.

    Raises:
        ReportingProjectError: there is no project, or dbt refuses it.
    """
    if not (project / "dbt_project.yml").is_file():
        raise ReportingProjectError(f"no dbt project at {project}; the checkout is incomplete")
    folder = (home or Settings().home).resolve() / "dbt"
    found = folder / f"manifest-{project_digest(project)}.json"
    if found.is_file():
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _dbt_parse(project, Path(scratch))
        shutil.copyfile(Path(scratch) / "manifest.json", Path(scratch) / "ready.json")
        (Path(scratch) / "ready.json").replace(found)
    older = sorted(folder.glob("manifest-*.json"), key=lambda p: p.stat().st_mtime)
    for path in older[:-_KEPT_MANIFESTS]:
        path.unlink(missing_ok=True)
    return found


def _dbt_parse(project: Path, target: Path) -> None:
    log.info("parsing %s, which has changed", project)
    done = subprocess.run(
        [
            *(venv_program("dbt"), "--quiet", "parse", "--no-partial-parse"),
            *("--project-dir", str(project), "--profiles-dir", str(project)),
            *("--target-path", str(target), "--log-path", str(target)),
        ],
        cwd=project,
        env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise ReportingProjectError(f"dbt cannot parse {project}:\n{said}")


class ReportingTranslator(DagsterDbtTranslator):
    """Asset keys ``[schema, model]``, one group, owners like the other layers."""

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: Any
    ) -> dg.AssetSpec:
        """The default spec with our key, group, owners and layer."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = manifest["nodes"].get(unique_id) or manifest["sources"].get(unique_id, {})
        if node.get("resource_type") != "model":
            return spec
        schema = node.get("config", {}).get("schema") or node["schema"]
        return spec.replace_attributes(
            key=dg.AssetKey([schema, node["name"]]),
            group_name="reporting",
            owners=[SCHEMAS["reporting"].owner],
            tags={**spec.tags, "layer": "reporting"},
            metadata={**spec.metadata, **column_lineage(node["name"])},
        )


def dbt_environment(platform: Platform, window: Window) -> dict[str, str]:
    """What the dbt profile and the models read: the database and the window."""
    return dbt_profile.environment(platform.database, window)


def reporting_assets() -> dg.AssetsDefinition:
    """The dbt models as one step; built in a function so that nothing is parsed at import."""

    @dbt_assets(
        manifest=manifest_path(),
        name="reporting__models",
        partitions_def=DAILY,
        backfill_policy=COMPUTE,
        dagster_dbt_translator=ReportingTranslator(),
        required_resource_keys={"platform"},
        pool=POOL,
    )
    def reporting(context):  # type: ignore[no-untyped-def]
        platform: Platform = context.resources.platform
        window = owed(as_window(context.partition_time_window), platform.until(context.run_id))
        target = platform.settings.home.resolve() / "dbt" / f"target-{platform.settings.origin}"
        yield from dbt_build.build(
            context,
            project=PROJECT,
            digest=project_digest(PROJECT),
            target=target,
            variables=dbt_environment(platform, window),
        )

    return reporting
