"""What deploys it names commands, options, variables and files that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from regime_pipeline.cli.app import app
from regime_pipeline.settings import Settings, environment_names

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("regime-*"))
OF_THE_FILES = {"REGIME_DB_PASSWORD", "REGIME_DB_HOST", "REGIME_PASSWORD_HASH"} | {
    "REGIME_WEB_HOST",
    "REGIME_UI_HOST",
}


def understood(words: list[str]) -> None:
    """Parse a command line of `regime` as the program does, and run nothing."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="regime")
    while hasattr(command, "get_command") and words:  # typer brings a click of its own along
        name, *words = words
        command = command.get_command(context, name)
        assert command is not None, name
    command.make_context("regime", list(words), parent=context)


def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def commands() -> Iterator[list[str]]:
    for unit in UNITS:
        for line in re.findall(r"^Exec\w+=\S+/regime (.+)$", unit.read_text(), re.MULTILINE):
            yield line.split()
    for service in services().values():
        if service["image"] == "regime":
            yield [str(word) for word in service["command"]]
    for words in re.findall(r"CMD (\[.*\])", (DEPLOY / "Dockerfile").read_text()):
        yield [word for word in yaml.safe_load(words) if word != "regime"]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_is_one_of_ours(words: list[str]) -> None:
    understood(words)


def test_a_command_that_there_is_not_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        understood(["serve", "--no-such-option"])


def test_every_variable_is_a_setting_or_explained_in_the_files() -> None:
    known = {name for field in Settings.model_fields for name in environment_names(field)}
    for path in (*UNITS, DEPLOY / "Dockerfile", DEPLOY / "compose.yaml", DEPLOY / "Caddyfile"):
        named = set(re.findall(r"\bREGIME_[A-Z_]+", path.read_text()))
        assert named <= known | OF_THE_FILES, path.name


def test_the_image_copies_what_there_is() -> None:
    (copied,) = re.findall(r"cp -r (.+) /opt/regime/app/", (DEPLOY / "Dockerfile").read_text())
    assert [name for name in copied.split() if not (ROOT / name).exists()] == []


def test_only_the_proxy_is_reached_from_outside() -> None:
    for name, service in services().items():
        assert ("ports" in service) == (name == "postgres"), name
        if name != "postgres":
            assert service["network_mode"] == "service:postgres", name
    assert services()["postgres"]["ports"] == ["80:80", "443:443"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze")
    done = subprocess.run(
        [program, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    said = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert said == []
