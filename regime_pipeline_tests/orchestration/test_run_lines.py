"""What runs and libraries say is one JSON object a line, with the ids of the run and without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from regime_pipeline.net import logs
from regime_pipeline.net.redact import MASK, Redactor
from regime_pipeline.windows import DAY, SystemClock

SECRET = "s3cret-canary-0815"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    logs.install(tmp_path / "logs", Redactor([SECRET]))
    yield tmp_path / "logs"
    logs.remove()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


@dg.op
def talks(context) -> None:  # type: ignore[no-untyped-def]
    context.log.debug("a detail")
    context.log.info(f"asked with {SECRET}\nand a second line")
    logging.getLogger("some.library").warning("slow")


@dg.op
def fails() -> None:
    raise ValueError(f"no answer to {SECRET}")


@dg.job(executor_def=dg.in_process_executor)
def talking() -> None:
    talks()


@dg.job(executor_def=dg.in_process_executor)
def failing() -> None:
    fails()


def test_every_line_of_a_run_is_json_with_its_ids(
    folder: Path, instance: dg.DagsterInstance
) -> None:
    with logs.bound(run_id="of the caller"):
        run = talking.execute_in_process(instance=instance, run_config=QUIET)
    found = lines(folder)
    of_run = [line for line in found if line.get("run_id") == run.run_id]
    texts = [line["text"] for line in of_run]
    assert f"asked with {MASK} and a second line" in texts
    assert any("Started execution" in t for t in texts)
    assert any("Finished execution" in t for t in texts)
    assert not any("a detail" in t for t in texts)
    assert {line["job"] for line in of_run} == {"talking"}
    (said,) = [line for line in of_run if line["logger"] == "run"]
    assert (said["step"], said["level"]) == ("talks", "INFO")
    (library,) = [line for line in found if line["logger"] == "some.library"]
    assert library["run_id"] == "of the caller"
    assert SECRET not in json.dumps(found)


def test_a_failed_step_tells_why_and_no_secret(folder: Path, instance: dg.DagsterInstance) -> None:
    run = failing.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)
    errors = [line for line in lines(folder) if line["level"] == "ERROR"]
    assert {line["run_id"] for line in errors} == {run.run_id}
    assert any("ValueError" in line.get("error", "") for line in errors)
    assert SECRET not in json.dumps(errors)


def test_any_text_is_one_short_line(tmp_path: Path) -> None:
    handler = logs.JsonLines(
        tmp_path, Redactor([SECRET])
    )  # alone: what captures lines takes no such text
    for text in ("a\n\x1b[31mred\0", "x" * 100_000, "\ud800 half", "%s %d"):
        handler.emit(logging.LogRecord("odd", logging.WARNING, "", 0, text, None, None))
    error = ValueError("deep " * 20_000)
    told = (ValueError, error, None)
    handler.emit(logging.LogRecord("odd", logging.ERROR, "", 0, "it failed", None, told))
    (path,) = tmp_path.glob("*.jsonl")
    raw = path.read_bytes().splitlines()
    assert len(raw) == 5
    assert max(map(len, raw)) < logs.LONGEST_BYTES
    assert all("\x1b" not in json.loads(line)["text"] for line in raw)
    assert path.stat().st_mode & 0o077 == 0


def test_files_of_old_days_go_and_other_files_stay(tmp_path: Path) -> None:
    now = SystemClock().now()
    young, old = (tmp_path / f"{now - n * DAY:%Y-%m-%d}.jsonl" for n in (30, 31))
    others = [tmp_path / name for name in ("run.log", "2024-99-99.jsonl")]
    for path in (young, old, *others):
        path.touch()
    assert logs.remove_old(tmp_path, now, 30) == 1
    assert {young, *others} == set(tmp_path.iterdir())
    assert logs.remove_old(tmp_path, now + timedelta(days=1), 30) == 1
