"""dbt inside this process: the project parsed once, built for a window, its results as Dagster events.

A process of its own would start and parse with every build, which costs more than building. Here the
parsed project is kept while its files and the database stay the same. dbt keeps its settings, adapters
and log in globals, so builds of one process take turns. Does not belong here: the assets
(``assets.reporting``), SQL (``dbt_project``).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_pipeline.orchestration.instance import environment

if TYPE_CHECKING:
    import dagster as dg
    from dbt.contracts.graph.manifest import Manifest

_QUIET = {"DAGSTER_DBT_CLI": "true", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
_WITHOUT_UNIT_TESTS = ("--exclude-resource-type", "unit_test")  # they look at no stored row
_SHOWN_ERRORS = 5

_turn = threading.Lock()
_parsed: dict[tuple[object, ...], Manifest] = {}


class DbtBuildError(RuntimeError):
    """A model or a test of error severity failed, or dbt could not start; the text is dbt's own."""


def build(
    context: dg.AssetExecutionContext,
    *,
    project: Path,
    digest: str,
    target: Path,
    variables: Mapping[str, str],
) -> Iterator[Any]:
    """Build what the run selects of a project, tests included.

    Args:
        context: of the step of a ``dbt_assets`` definition.
        project: folder of the dbt project.
        digest: of the project's content.
        target: folder for dbt's artefacts and log.
        variables: what profile and models read from the environment; those that name the window may
            differ from build to build, the others belong to the database.

    Yields:
        Outputs, check results and observations, as ``dagster_dbt`` makes them of dbt's own events.

    Raises:
        DbtBuildError: dbt failed; what it had built until then has been yielded.
    """
    from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context
    from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage
    from dagster_dbt.dagster_dbt_translator import DagsterDbtTranslator

    chosen = get_updated_cli_invocation_params_for_context(
        context, manifest={}, dagster_dbt_translator=DagsterDbtTranslator()
    )
    arguments = ["build", *chosen.selection_args, *_WITHOUT_UNIT_TESTS]
    if chosen.indirect_selection:
        arguments += ["--indirect-selection", chosen.indirect_selection]
    listener = _Events()
    with _turn, environment({**_QUIET, **variables}):
        manifest = _manifest(project, digest, target, variables)
        done = _invoke(arguments, project, target, manifest=manifest, listener=listener)
    for event in listener.events:
        yield from DbtCoreCliEventMessage(
            raw_event=event, event_history_metadata={}
        ).to_default_asset_events(
            manifest=chosen.manifest,
            dagster_dbt_translator=chosen.dagster_dbt_translator,
            context=context,
            target_path=target,
        )
    if not done.success:
        raise DbtBuildError("\n".join(listener.errors[:_SHOWN_ERRORS]) or str(done.exception))


def _manifest(project: Path, digest: str, target: Path, variables: Mapping[str, str]) -> Manifest:
    """The parsed project, for one build: compiling writes into it, so it is a copy each time."""
    place = {name: value for name, value in variables.items() if "WINDOW" not in name}
    key = (project, digest, target, *sorted(place.items()))
    if key not in _parsed:
        listener = _Events()
        done = _invoke(["parse"], project, target, listener=listener)
        if not done.success:
            raise DbtBuildError("\n".join(listener.errors[:_SHOWN_ERRORS]) or str(done.exception))
        _parsed.clear()  # an older project or database of this process is not asked for again
        _parsed[key] = done.result
    return _parsed[key].deepcopy()


def compiled(
    *, project: Path, target: Path, variables: Mapping[str, str], names: Collection[str]
) -> dict[str, str]:
    """The SQL that dbt makes of models for a build of everything, by model.

    Args:
        project: folder of the dbt project.
        target: folder for dbt's artefacts and log.
        variables: as for :func:`build`.
        names: the models.

    Raises:
        DbtBuildError: dbt failed.
    """
    listener = _Events()
    with _turn, environment({**_QUIET, **variables}):
        done = _invoke(["compile", "--full-refresh"], project, target, listener=listener)
    if not done.success:
        raise DbtBuildError("\n".join(listener.errors[:_SHOWN_ERRORS]) or str(done.exception))
    nodes = (result.node for result in done.result)
    return {n.name: str(n.compiled_code) for n in nodes if n.name in names}


class _Events:
    """Results of models and tests as plain data, and errors; dbt's messages go to standard output."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.errors: list[str] = []

    def __call__(self, message: Any) -> None:
        from dbt_common.events.functions import msg_to_dict

        level = message.info.level
        if level == "debug":
            return
        sys.stdout.write(message.info.msg + "\n")
        if message.info.name.startswith("Log"):  # LogModelResult, LogTestResult ...
            self.events.append(msg_to_dict(message))
        elif level == "error":  # why; that a model failed is said by its result
            self.errors.append(message.info.msg)


def _invoke(
    arguments: list[str],
    project: Path,
    target: Path,
    *,
    listener: _Events,
    manifest: Manifest | None = None,
) -> Any:
    """One dbt command; an interrupt that dbt caught goes on."""
    from dbt.cli.main import dbtRunner

    places = [
        *("--project-dir", os.fspath(project), "--profiles-dir", os.fspath(project)),
        *("--target-path", os.fspath(target), "--log-path", os.fspath(target)),
    ]
    options = ["--log-level", "none", "--log-level-file", "info", "--no-write-json"]
    done = dbtRunner(manifest=manifest, callbacks=[listener]).invoke(
        [*options, *arguments, *places]
    )
    if done.exception is not None and not isinstance(done.exception, Exception):
        raise done.exception
    return done
