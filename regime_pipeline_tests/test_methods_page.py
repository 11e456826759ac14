"""The measured tables of the methods page are what the code gives."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

import regime_pipeline
from benchmarks import methods_tables as measured
from benchmarks import signal_history
from regime_pipeline.alerts.false_alarms import ADVERTISED
from regime_pipeline.evaluation.page import rate_text


def test_every_table_has_its_place_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "methods.md"
    text = measured.PAGE.read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    names = (
        "base-rates", "null-flips", "known-events", "history-flips", "reversal-check",
        "null-rates", "planted-events", "signal-labels", "signal-matrix",
    )  # fmt: skip
    measured.write({name: f"| {name} |" for name in names}, page)
    written = page.read_text(encoding="utf-8")
    assert all(written.count(f"| {name} |") == 1 for name in names)
    assert written.split("<!-- /base-rates -->")[1:] and len(written) < len(text)
    with pytest.raises(ValueError, match="no place"):
        measured.write({"something-else": ""}, page)


def test_the_page_states_every_advertised_false_alarm_rate() -> None:
    page = measured.PAGE.read_text(encoding="utf-8")
    for stated in ADVERTISED:
        if stated.detector not in measured.QUIET:
            cells = f"| `{stated.detector}` | `{stated.world}` | {rate_text(stated.per_day)} |"
            assert cells in page


@pytest.mark.slow
@pytest.mark.history
def test_the_page_says_what_the_recorded_history_gives(market_history: Path) -> None:
    page = measured.PAGE.read_text(encoding="utf-8")
    history = measured.recorded(market_history)
    events, volatility, hourly = measured.said(history)
    assert measured.known_events(events, volatility) in page
    assert measured.history_flips(volatility) in page
    assert measured.reversal_check(hourly, history) in page
    for body in signal_history.tables(signal_history.said(history, market_history)).values():
        assert body in page
    assert os.fspath(market_history) not in page


@pytest.mark.slow
def test_constant_volatility_flips_less_than_every_other_day() -> None:
    assert measured.null_flips(symbols=20, fat_tails=False) <= 0.5
    assert measured.null_flips(symbols=20) <= 0.5


DEFINED = ("features", "regimes", "correlation", "signals")
"""Packages whose tables are definitions of this project, and not the conforming of other people's rows."""


def test_every_definition_cites_a_section_that_the_page_has() -> None:
    page = measured.PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"^## (\d+)\. ", page, re.M)
    assert sections == [str(n + 1) for n in range(len(sections))]
    cited = set()
    for package in DEFINED:
        for path in sorted((Path(regime_pipeline.__file__).parent / package).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            doc = ast.get_docstring(ast.parse(text)) or ""
            found = re.findall(r"docs/methods\.md, section (\d+)\.", doc)
            assert found or "\n@derives(" not in text, f"{path.name} cites no section"
            assert set(found) <= set(sections), path.name
            cited |= set(found)
    assert cited >= {"2", "3", "4", "5", "6", "7"}
