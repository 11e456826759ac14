"""``regime why`` refuses what has no answer before it opens a database, and addresses for BI tools."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from regime_pipeline.cli import database
from regime_pipeline.cli.app import app
from regime_pipeline.cli.options import UsageError

URL = "postgresql+psycopg://regime_bi:pa%40ss@127.0.0.1:5433/regime"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nonsense", "BTC/USDT", "2024-07-15T23:00", "price"], "nonsense"),
        (["hourly", "BTC/USDT", "2024-07-15T23:00", "prise"], "prise"),
        (["hourly", "BTC/USDT", "yesterday", "price"], "yesterday"),
    ],
)
def test_what_has_no_answer_is_named(arguments: list[str], named: str) -> None:
    done = CliRunner().invoke(app, ["why", *arguments])
    assert isinstance(done.exception, UsageError)
    assert named in str(done.exception)


def test_each_tool_gets_the_address_as_it_takes_it() -> None:
    told = {name: form(URL) for name, form in database._FORMS.items()}
    assert told["superset"] == "postgresql+psycopg2://regime_bi:pa%40ss@127.0.0.1:5433/regime"
    details = json.loads(told["metabase"])["details"]
    assert (details["host"], details["port"], details["dbname"]) == ("127.0.0.1", 5433, "regime")
    assert (details["user"], details["password"]) == ("regime_bi", "pa@ss")
    source = json.loads(told["grafana"])["datasources"][0]
    assert source["url"] == "127.0.0.1:5433"
    assert source["secureJsonData"] == {"password": "pa@ss"}
    assert source["jsonData"]["database"] == "regime"
