"""The simulator speaks all of it: every registered endpoint answers what its own parser reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.registry import ENDPOINTS, PARSERS
from regime_pipeline_tests.recordings import recorded
from regime_pipeline_tests.simulator.asking import NOT_ASKED, NOW, PARAMETERS, ask

NO_ROWS = {
    "binance_futures/fapi_v1_fundingInfo": "lists what was adjusted; nothing was",
    "coinglass/futures_orderbook_aggregated-ask-bids-history": "days that were recorded; none were",
}
ERROR_RECORDED = {"binance_futures/fapi_v1_ticker_24hr"}


def test_nothing_registered_is_left_out() -> None:
    assert set(PARAMETERS) | set(NOT_ASKED) == set(ENDPOINTS)
    assert not set(PARAMETERS) & set(NOT_ASKED)


@pytest.mark.parametrize("key", list(PARAMETERS))
def test_every_endpoint_answers_what_its_own_parser_reads(key: str, web: TestClient) -> None:
    reply = ask(web, key)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    frame = PARSERS[key](reply.content, Context(now=NOW, market="perp"))
    assert frame["reason"].isna().all(), frame["reason"].dropna().tolist()
    if key in NO_ROWS:
        assert frame.empty
        return
    assert len(frame) > 0
    assert not frame.drop(columns="reason").isna().all().all()


@pytest.mark.parametrize("key", recorded(k for k in PARAMETERS if k not in ERROR_RECORDED))
def test_recorded_members_are_all_there(key: str, web: TestClient, payloads_dir: Path) -> None:
    """The envelope of a recorded reply and of a simulated one have the same members."""
    ours = ask(web, key).json()
    theirs = json.loads((payloads_dir / f"{key}__1.json").read_bytes())
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert set(theirs) - {"msg"} <= set(ours)
