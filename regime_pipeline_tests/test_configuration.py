"""Every setting is listed, described and documented; a value says where it came from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from regime_pipeline import configuration
from regime_pipeline.configuration import EXAMPLE_PATH, PAGE_PATH, declared, unknown, values
from regime_pipeline.settings import Settings

FORGOTTEN = "run `make docs`"


def test_the_pages_are_current() -> None:
    assert PAGE_PATH.read_text(encoding="utf-8") == configuration.page(), FORGOTTEN
    assert EXAMPLE_PATH.read_text(encoding="utf-8") == configuration.example(), FORGOTTEN


@pytest.mark.parametrize("row", declared(), ids=lambda row: row.path)
def test_every_setting_says_what_it_decides(row: configuration.Setting) -> None:
    assert row.about
    assert row.variables


def test_the_example_with_every_mark_taken_away_is_what_holds_without_it(tmp_path: Path) -> None:
    lines = [x.removeprefix("# ") for x in EXAMPLE_PATH.read_text(encoding="utf-8").splitlines()]
    given = [x for x in lines if "=" in x and x.split("=")[0].isupper() and x.split("=")[1]]
    assert len(given) > 70
    file = tmp_path / ".env"
    file.write_text("\n".join(given))
    assert Settings(_env_file=file) == Settings(_env_file=None)


def test_a_value_names_the_place_and_the_variable_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "regime_http_attempts=2\nREGIME_HOME=/tmp/file\nWEBHOOKS_ALL=http://127.0.0.1:9/\n"
    )
    monkeypatch.setenv("REGIME_HOME", "/tmp/environment")
    monkeypatch.setenv("REGIME_PARAMS__FUNDING", '{"rearm_z": 1.25}')
    monkeypatch.setenv("COINAPI_API_KEY", "0123456789abcdef")
    settings = Settings(_env_file=file)
    assert isinstance(settings.coinapi_key, SecretStr)
    found = {
        v.setting.path: (v.value, v.origin, v.variable)
        for v in values(settings, os.environ, configuration.file_variables(file))
    }
    assert found["home"] == ("/tmp/environment", "environment", "REGIME_HOME")
    assert found["http_attempts"] == ("2", "file", "REGIME_HTTP_ATTEMPTS")
    assert found["params.funding.rearm_z"] == ("1.25", "environment", "REGIME_PARAMS__FUNDING")
    assert found["params.funding.anomaly_z_threshold"] == ("2.0", "default", None)
    assert found["coinapi_key"] == ("set", "environment", "COINAPI_API_KEY")
    assert found["webhooks"] == ("WEBHOOKS_ALL", "file", None)
    assert found["database_url"] == (None, "default", None)


def test_a_variable_that_nothing_reads_is_named_with_the_one_that_was_meant() -> None:
    given = {
        "REGIME_SYMBOL": "BTC/USDT",
        "regime_homes": "x",
        "REGIME_ENTIRELY_ELSE_QQ": "1",
        "REGIME_HOME": "x",
        "REGIME_PARAMS__FUTURES__WEIGHTS_PCT__FUNDING": "15",
        "REGIME_DAGSTER_DIR": "x",
        "PATH": "x",
    }
    found = {u.variable: u.nearest for u in unknown(given, {"REGIME_STRAT_DATE": "2024-01-01"})}
    assert found == {
        "REGIME_SYMBOL": "REGIME_SYMBOLS",
        "REGIME_HOMES": "REGIME_HOME",
        "REGIME_ENTIRELY_ELSE_QQ": None,
        "REGIME_STRAT_DATE": "REGIME_START_DATE",
    }


def test_the_command_shows_no_secret_and_names_what_has_no_effect(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "regime_pipeline.cli", "settings", "--set"],
        env={
            **os.environ,
            "REGIME_HOME": "/tmp/somewhere",
            "REGIME_SYMBOL": "BTC/USDT",
            "COINGLASS_API_KEY": "0123456789abcdef",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "REGIME_HOME = /tmp/somewhere   [environment; default .regime]" in ended.stdout
    assert "COINGLASS_API_KEY = set" in ended.stdout
    assert "0123456789abcdef" not in ended.stdout + ended.stderr
    assert "REGIME_SYMBOL (environment) is no setting" in ended.stderr
    assert "REGIME_SYMBOLS was meant?" in ended.stderr
