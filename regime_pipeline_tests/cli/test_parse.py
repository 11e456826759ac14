"""`regime parse`: recorded bodies in, rows or the typed error out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KLINE = [1722816000000, "1", "2", "0.5", "1.5", "10", 1722819599999, "15", 7, "4", "6", "0"]


def regime(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "regime_pipeline.cli", "parse", *args],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )


@pytest.fixture
def bodies(tmp_path: Path) -> tuple[str, str]:
    good, bad = tmp_path / "a__1.json", tmp_path / "a__2.json"
    good.write_text(json.dumps([KLINE, [*KLINE[:4], None, *KLINE[5:]]]))
    bad.write_text('{"code":-1121,"msg":"Invalid symbol."}')
    return str(good), str(bad)


def test_json_is_one_object_a_file(bodies: tuple[str, str]) -> None:
    done = regime("binance/api_v3_klines", *bodies, "--json")
    assert done.returncode == 0, done.stderr
    good, bad = map(json.loads, done.stdout.splitlines())
    assert list(good) == list(bad) == ["file", "rows", "error", "row_count"]
    assert (good["file"], good["error"], good["row_count"]) == (bodies[0], None, 2)
    assert good["rows"][0]["ts"] == "2024-08-05T00:00:00+00:00"
    assert (good["rows"][0]["close"], good["rows"][1]["close"]) == (1.5, None)
    assert good["rows"][0]["reason"] is None
    assert "close" in good["rows"][1]["reason"]
    assert bad["error"] == {"class": "UnknownSymbol", "message": "code -1121: Invalid symbol."}
    assert (bad["rows"], bad["row_count"]) == ([], 0)


@pytest.mark.slow
def test_people_see_rows_and_errors(bodies: tuple[str, str]) -> None:
    done = regime("binance/api_v3_klines", *bodies)
    assert done.returncode == 0
    assert "2 rows, 1 refused" in done.stdout
    assert "UnknownSymbol: code -1121" in done.stdout


@pytest.mark.slow
def test_unknown_endpoint_is_one_line_and_exit_2(bodies: tuple[str, str]) -> None:
    done = regime("binance/api_v3_kline", bodies[0])
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "binance/api_v3_klines" in done.stderr


@pytest.mark.slow
def test_absent_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = regime("binance/api_v3_klines", str(tmp_path / "none.json"))
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
