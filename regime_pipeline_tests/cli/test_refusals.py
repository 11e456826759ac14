"""What cannot be served is one line that names cause and remedy, and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regime_pipeline.cli.database import _FORMS

FULL = Path("/dev/full")


def regime(*arguments: str, folder: Path, **values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "regime_pipeline.cli", *arguments],
        cwd=folder,
        env={**os.environ, **values},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ui", "--port", "99999"], "1 to 65535"),
        (["doctor"], "name a folder that this user may write"),
        (["report", "--out", "a file/page.html"], "--out"),
        (["report", "--out", "/proc/nowhere/page.html"], "name a folder that this user may write"),
        (["report", "--out", "."], "name a file in it"),
        (["scorecard"], "name a folder that this user may write"),
        (["scorecard", "--out", "/proc/nowhere"], "name a folder that this user may write"),
        (["db", "url", "--for", "excel"], "sqlalchemy, psql, jdbc"),
        (["db", "url", "--role", "root"], "pipeline"),
        (["run", "--source", "simulated", "--from", "01-02-2026"], "YYYY-MM-DD"),
        (["serve", "--host", "0.0.0.0"], "would send tokens in the clear"),
        (["serve", "--tls-cert", "chain.pem"], "belong together"),
        (["tokens", "create", "--name", "x", "--scopes", "all"], "read, export, mcp, metrics"),
    ],
)
def test_one_line_and_code_2(arguments: list[str], says: str, tmp_path: Path) -> None:
    home = tmp_path / "a file"
    home.write_text("")
    ended = regime(*arguments, folder=tmp_path, REGIME_HOME=str(home))
    assert ended.returncode == 2, ended.stderr
    (line,) = [x for x in ended.stderr.splitlines() if x.startswith("error: ")]
    assert says in line
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is full")
def test_fault_51_a_full_disk_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "regime_pipeline.cli", "settings"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: No space left")
    assert "free space there and run the same command again" in line


def test_a_url_is_written_for_the_program_that_reads_it() -> None:
    url = "postgresql+psycopg://regime_bi:p%40ss@127.0.0.1:5433/regime"
    assert _FORMS["sqlalchemy"](url) == url
    assert _FORMS["psql"](url) == "postgresql://regime_bi:p%40ss@127.0.0.1:5433/regime"
    jdbc = "jdbc:postgresql://127.0.0.1:5433/regime?user=regime_bi&password=p%40ss"
    assert _FORMS["jdbc"](url) == jdbc
