"""What is typed is understood in one way or refused; settings of a command change no environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from regime_pipeline.cli.app import app
from regime_pipeline.cli.doors import server_variables
from regime_pipeline.cli.options import (
    UsageError,
    check_port,
    parse_day,
    parse_symbols,
    parse_window,
)
from regime_pipeline.cli.origins import child_environment
from regime_pipeline.dashboard.__main__ import VARIABLE
from regime_pipeline.settings import Settings, changed, environment_name
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, Window, utc

NOW = utc("2026-02-10T09:30")


def test_a_day_is_read_as_written() -> None:
    assert parse_day("2026-02-01", "--from") == utc("2026-02-01")


@pytest.mark.parametrize(
    "text",
    ["01-02-2026", "01/02/2026", "20260201", "2026-2-1", "2026-02", "2026-W06-1", "2026-02-01T00:00",
     "2026-02-30", "yesterday", ""],
)  # fmt: skip
def test_a_day_in_any_other_form_is_refused_with_the_form_that_works(text: str) -> None:
    with pytest.raises(UsageError, match=r"--from .*YYYY-MM-DD"):
        parse_day(text, "--from")


def test_the_window_ends_with_the_last_day_or_now() -> None:
    settings = Settings()
    past = parse_window("2026-02-01", "2026-02-03", now=NOW, settings=settings)
    assert past == Window(utc("2026-02-01"), utc("2026-02-04"))
    today = parse_window("2026-02-01", None, now=NOW, settings=settings)
    assert today.end == NOW


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        ("2026-02-04", "2026-02-03", "lies after"),
        ("2019-08-31", "2026-02-03", "REGIME_START_DATE"),
        ("2026-02-11", "2026-02-12", "in the future"),
    ],
)
def test_a_window_that_cannot_be_is_refused(first: str, last: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_window(first, last, now=NOW, settings=Settings())


def test_symbols_are_sorted_and_unknown_ones_named() -> None:
    settings = Settings()
    assert parse_symbols(" eth/usdt,BTC/USDT ", settings) == ("BTC/USDT", "ETH/USDT")
    assert parse_symbols(None, settings) == settings.universe
    with pytest.raises(UsageError, match=r"NOPE/USDT.*REGIME_SYMBOLS"):
        parse_symbols("NOPE/USDT", settings)


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match="1 to 65535"):
        check_port(port)


def test_overrides_win_over_the_environment_and_leave_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BINANCE_API_URL", "https://configured.example")
    monkeypatch.setenv("REGIME_SYMBOLS", "SOL/USDT")
    before = dict(os.environ)
    overrides = {"binance_api_url": "http://127.0.0.1:1/binance", "origin": "simulated"}
    settings = changed(changed(Settings(), overrides), {"clock": "2026-01-01T00:00:00+00:00"})
    assert settings.binance_api_url == "http://127.0.0.1:1/binance"
    assert settings.origin == "simulated"
    assert settings.symbols == ("SOL/USDT",)
    assert dict(os.environ) == before
    child = child_environment(overrides)
    assert child["BINANCE_API_URL"] == "http://127.0.0.1:1/binance"
    assert child["REGIME_ORIGIN"] == "simulated"
    assert child["REGIME_SYMBOLS"] == "SOL/USDT"


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_is_set_by_the_variable_that_carries_its_name(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that no field takes is refused in the field's name, so the variable reached it."""
    default = Settings.model_fields[field].default
    monkeypatch.setenv(environment_name(field), "probe\n")
    try:
        found = getattr(Settings(), field)
    except ValueError:
        return
    assert found != default


def test_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output.strip() == f"regime {version('regime-pipeline')}"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_what_only_prints_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        f"sys.argv = ['regime', *{arguments!r}]\n"
        "from regime_pipeline.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'pandas', 'numpy', 'dagster', 'sqlalchemy', 'psycopg', 'httpx', 'numba'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_days_come_by_the_clock_without_pandas() -> None:
    program = (
        "import sys\n"
        "from regime_pipeline.windows import SystemClock, Window, utc\n"
        "Window(utc('2026-01-01'), SystemClock().now())\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert utc("2026-01-02") - utc("2026-01-01") == DAY


def test_what_is_served_is_the_database_that_was_opened() -> None:
    # simulated data have a database of their own beside the one that the URL names
    settings = Settings(
        _env_file=None, database_url="postgresql://me@127.0.0.1:1/mine", origin="simulated"
    )
    opened = Database("postgresql+psycopg://me@127.0.0.1:1/mine_simulated")
    told = json.loads(server_variables(settings, opened)[VARIABLE])
    assert told["conninfo"] == "postgresql://me@127.0.0.1:1/mine_simulated"
