"""Agents ask twenty questions and get what SQL says, with how old and how good it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from regime_pipeline.api import tools
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.storage.database import Database
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, WINDOW

pytestmark = pytest.mark.xdist_group("market")  # one market with the tests of the API

Sql = Callable[..., list[Any]]
LAST = (WINDOW.end - timedelta(hours=1)).isoformat()


def asked(address: str, calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """The results of tool calls by the library's own client, over HTTP."""
    from mcp.client.client import Client

    async def ask() -> list[Any]:
        async with Client(f"{address}/mcp") as client:
            return [await client.call_tool(name, given) for name, given in calls]

    return asyncio.run(ask())


def text(value: object) -> object:
    """A value of SQL as it stands in JSON."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def column(name: str) -> Callable[[dict[str, Any]], list[Any]]:
    return lambda answer: [row[name] for row in answer["data"]]


QUESTIONS: list[tuple[str, str, dict[str, Any], Callable[[dict[str, Any]], Any], str]] = [
    ("what do symbols cost", "market_state", {}, column("price"),
     "select price from reporting.market_overview order by symbol"),
    ("what does BTC cost", "market_state", {"symbols": ["BTC"]}, column("price"),
     "select price from reporting.market_overview where symbol = 'BTC/USDT'"),
    ("which volatility regimes", "market_state", {"symbols": ["ETH", "SOL"]},
     column("vol_regime_confirmed"), "select vol_regime_confirmed from reporting.market_overview "
     "where symbol in ('ETH/USDT', 'SOL/USDT') order by symbol"),
    ("volatility of BTC, ten hours", "history", {"symbol": "BTC", "what": "volatility", "limit": 10},
     column("vol_ratio_gk"), "select vol_ratio_gk from reporting.volatility_1h "
     "where symbol = 'BTC/USDT' order by ts desc limit 10"),
    ("cascades of ETH", "history", {"symbol": "ETH/USDT", "what": "cascades", "limit": 20},
     column("severity"), "select severity from reporting.cascades_1h where symbol = 'ETH/USDT' "
     "order by ts desc limit 20"),
    ("funding of SOL", "history", {"symbol": "sol", "what": "funding", "limit": 8},
     column("funding_rate"), "select funding_rate from reporting.funding_1h "
     "where symbol = 'SOL/USDT' order by ts desc limit 8"),
    ("regimes of BTC in a span", "history",
     {"symbol": "BTC", "what": "regimes", "from": (WINDOW.end - timedelta(hours=6)).isoformat(),
      "to": WINDOW.end.isoformat()}, column("primary_regime"),
     f"select primary_regime from reporting.regimes_1h where symbol = 'BTC/USDT' and "
     f"ts >= '{(WINDOW.end - timedelta(hours=6)).isoformat()}' and ts < '{WINDOW.end.isoformat()}' "
     "order by ts desc"),
    ("open interest of BTC", "history", {"symbol": "BTC", "what": "open_interest", "limit": 5},
     column("close"), "select close from reporting.open_interest_ohlc where symbol = 'BTC/USDT' "
     "order by ts desc, symbol, venue, unit, interval limit 5"),
    ("positioning of ETH", "history", {"symbol": "ETH", "what": "positioning", "limit": 5},
     column("close"), "select close from reporting.positioning_ohlc where symbol = 'ETH/USDT' "
     "order by ts desc, symbol, venue, metric, interval limit 5"),
    ("components of BTC", "history", {"symbol": "BTC", "what": "components", "limit": 11},
     column("score"), "select score from reporting.signal_components_1h where symbol = 'BTC/USDT' "
     "order by ts desc, symbol, component limit 11"),
    ("scores of BTC", "history", {"symbol": "BTC", "what": "scores", "limit": 7}, column("futures_score"),
     "select futures_score from reporting.futures_scores_1h where symbol = 'BTC/USDT' "
     "order by ts desc limit 7"),
    ("correlation of BTC and ETH", "correlations", {"kind": "pairs", "symbols": ["BTC", "ETH"]},
     lambda a: a["data"][0]["corr_7d"], "select corr_7d from reporting.correlation_pairs_1h where "
     "symbol_a = 'BTC/USDT' and symbol_b = 'ETH/USDT' order by ts desc limit 1"),
    ("the matrix of the last day", "correlations", {"kind": "matrix"},
     column("corr_7d"), "select corr_7d from reporting.correlation_matrix_1d "
     "order by ts desc, symbol_a, symbol_b limit 100"),
    ("broken correlations", "correlations", {"kind": "breaks"}, column("from_ts"),
     "select from_ts from reporting.correlation_breaks "
     "order by from_ts desc, symbol_a, symbol_b limit 100"),
    ("who leads", "correlations", {"kind": "lead_lag", "symbols": ["BTC"]},
     column("ts"), "select ts from reporting.lead_lag_1d "
     "where 'BTC/USDT' in (symbol_a, symbol_b) order by ts desc, symbol_a, symbol_b limit 100"),
    ("signals now", "signals", {}, column("futures_score"),
     "select futures_score from reporting.futures_scores_1h where ts = "
     "(select max(ts) from reporting.futures_scores_1h) order by symbol"),
    ("factors behind BTC's signal", "signals", {"symbols": ["BTC"], "debug": True},
     lambda a: [f["factor"] for f in a["factors"]],
     "select factor from reporting.futures_factors_1h where symbol = 'BTC/USDT' and ts = "
     "(select max(ts) from reporting.futures_factors_1h) order by factor"),
    ("what momentum was worth", "passports", {"signal": "momentum"}, column("verdict"),
     "select verdict from reporting.passports where signal = 'momentum' and "
     "passport_kind = 'pooled' and passport_regime = '*' order by ts desc, horizon_h"),
    ("whether a direction is forecast", "models", {"kind": "worth", "model": "direction_1h"},
     column("is_published"), "select is_published from reporting.ml_model_performance "
     "where model = 'direction_1h' and regime = '*' order by ts desc, symbol"),
    ("whether a probability may be shown", "probabilities", {"kind": "skill"},
     column("is_calibrated"), "select is_calibrated from reporting.calibrators "
     "order by ts desc, signal, horizon_h, calibration_side limit 100"),
    ("what a rule on paper is worth", "paper", {"kind": "equity", "strategy": "follow_futures"},
     column("equity_usd"), "select equity_usd from reporting.paper_equity "
     "where strategy = 'follow_futures' order by ts desc limit 100"),
    ("what voters say of BTC", "history", {"symbol": "BTC", "what": "consensus", "limit": 3},
     column("consensus"), "select consensus from reporting.consensus_1h "
     "where symbol = 'BTC/USDT' order by ts desc limit 3"),
    ("what runs cost", "data_health", {"include": ["runs"]},
     lambda a: [r["cpu_s"] for r in a["runs"]],
     "select cpu_s from reporting.run_performance order by started_at desc, run_id, step limit 100"),
    ("events of BTC", "events", {"symbols": ["BTC"]}, column("event_id"),
     "select event_id from reporting.market_events where instrument = 'BTC/USDT' "
     "order by known_at desc, event_id limit 100"),
    ("how far data reach", "data_health", {}, column("newest_ts"),
     "select newest_ts from reporting.data_health order by dataset"),
    ("what a column means", "describe", {"name": "volatility_1h.vol_ratio_gk"},
     lambda a: a["data"][0]["description"], "select col_description("
     "'reporting.volatility_1h'::regclass, (select attnum from pg_attribute where attrelid = "
     "'reporting.volatility_1h'::regclass and attname = 'vol_ratio_gk'))"),
]  # fmt: skip


@pytest.mark.slow
def test_twenty_six_questions_are_answered_as_by_sql(address: str, served_market: Database) -> None:
    results = asked(address, [(tool, given) for _, tool, given, _, _ in QUESTIONS])
    wrong = {}
    with served_market.connect() as connection:
        for (question, _, _, taken, sql), result in zip(QUESTIONS, results, strict=True):
            if result.is_error:
                wrong[question] = result.content[0].text
                continue
            answer = result.structured_content
            found = [text(row[0]) for row in connection.execute(sql).fetchall()]
            got = taken(answer)
            if question == "what a column means":
                assert got in found[0]
                continue
            got = got if isinstance(got, list) else [got]
            if "cut to" in " ".join(answer["meta"]["warnings"]):
                found = found[: len(got)]
            if got != found:
                wrong[question] = (got, found)
            for name in ("data_origin", "ts", "age_s", "status", "source_tier", "method_versions"):
                assert name in answer["meta"], (question, name)
            assert len(result.content[0].text) <= tools.MOST_CHARACTERS, question
    assert len(QUESTIONS) == 26
    assert wrong == {}


def test_an_answer_that_would_be_long_is_cut_and_leads_on(address: str) -> None:
    (first,) = asked(address, [("history", {"symbol": "BTC", "what": "cascades", "limit": 500})])
    meta = first.structured_content["meta"]
    assert len(first.content[0].text) <= tools.MOST_CHARACTERS
    assert "cut to" in meta["warnings"][-1]
    rows = first.structured_content["data"]
    again, = asked(address, [("history", {"symbol": "BTC", "what": "cascades", "limit": 500,
                                          "cursor": meta["next"]})])  # fmt: skip
    assert again.structured_content["data"][0]["ts"] < rows[-1]["ts"]


def test_no_tool_answers_at_length_whatever_is_asked(address: str) -> None:
    results = asked(address, [
        ("signals", {"debug": True}), ("describe", {}), ("describe", {"name": "hourly"}),
        ("data_health", {"include": ["coverage", "quality", "runs"]}), ("models", {"kind": "forecasts"}),
        ("explain", {"mart": "market_overview", "symbol": "BTC", "ts": LAST, "column": "futures_score"}),
    ])  # fmt: skip
    for result in results:
        assert not result.is_error
        assert len(result.content[0].text) <= tools.MOST_CHARACTERS
    whole, health = results[0].structured_content, results[3].structured_content
    assert {r["symbol"] for r in whole["data"]} == set(SYMBOLS)
    assert {r["symbol"] for r in whole["factors"]} == set(SYMBOLS)
    assert "`coverage` is cut to" in " ".join(health["meta"]["warnings"])


def test_the_past_is_told_as_it_was_known(address: str) -> None:
    before, now = asked(
        address,
        [
            ("market_state", {"as_of": (CLOCK.now() - timedelta(hours=1)).isoformat()}),
            ("market_state", {"as_of": CLOCK.now().isoformat(), "symbols": ["BTC"]}),
        ],
    )
    assert before.structured_content["data"] == []  # everything was stored at once, later
    (state,) = now.structured_content["data"]
    assert state["symbol"] == "BTC/USDT"
    assert state["price"] is not None and state["vol_regime_confirmed"] is not None
    assert now.structured_content["meta"]["as_of"] is not None


def test_a_number_is_explained(address: str) -> None:
    given = {"mart": "volatility_1h", "symbol": "BTC", "ts": LAST, "column": "vol_ratio_gk"}
    (result,) = asked(address, [("explain", given)])
    (found,) = result.structured_content["data"]
    assert found["meaning"]
    assert found["sql"].startswith("select")


@pytest.mark.parametrize(
    ("tool", "given", "named"),
    [
        ("market_state", {"symbol": "BTC"}, "symbol"),
        ("history", {"symbol": "BTC"}, "what"),
        ("history", {"symbol": "BTC", "what": "gossip"}, "what"),
        ("history", {"symbol": "BTC", "what": "volatility", "limit": 5000}, "limit"),
        ("market_state", {"symbols": ["NOPE"]}, "symbols"),
        ("market_state", {"as_of": "yesterday"}, "as_of"),
        ("signals", {"debug": "yes"}, "debug"),
        ("paper", {"kind": "orders"}, "kind"),
        ("data_health", {"include": ["gossip"]}, "include"),
        ("events", {"symbols": ["NOPE"]}, "symbols"),
    ],
)
def test_a_wrong_argument_is_named(
    tool: str, given: dict[str, Any], named: str, client: httpx.Client
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": given}}  # fmt: skip
    answer = client.post(
        "/mcp", json=body, headers={"accept": "application/json, text/event-stream"}
    )
    result = answer.json()["result"]
    assert result["isError"]
    assert named in result["content"][0]["text"]


def test_every_tool_says_that_it_only_reads_and_plain_http_is_enough(client: httpx.Client) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = client.post(
        "/mcp", json=body, headers={"accept": "application/json, text/event-stream"}
    )
    listed = answer.json()["result"]["tools"]
    assert [t["name"] for t in listed] == list(tools.TOOLS)
    for tool in listed:
        hints = tool["annotations"]
        assert hints["readOnlyHint"] and hints["idempotentHint"] and not hints["openWorldHint"]
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["outputSchema"]["required"] == ["meta", "data"]
    assert {*tools.HISTORIES.values(), *tools.CORRELATIONS.values(), *tools.PAPER.values()} <= {
        p for p, e in tools.BY_PATH.items() if e.mart in MARTS
    }


def test_a_page_of_another_host_cannot_ask(client: httpx.Client) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = client.post("/mcp", json=body, headers={"origin": "https://evil.example"})
    assert answer.status_code == 421
    assert client.post("/mcp", content=b"x" * 70_000).status_code == 413


@pytest.mark.slow
def test_a_client_is_served_on_standard_input_and_output(served_market: Database) -> None:
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters

    code = (
        "import asyncio\n"
        "from regime_pipeline.api.app import made_served\n"
        "from regime_pipeline.api.mcp import on_stdio\n"
        "from regime_pipeline.windows import clock_from_text\n"
        f"served = made_served({served_market.libpq!r}, symbols={SYMBOLS!r}, "
        f"clock=clock_from_text({CLOCK.now().isoformat()!r}))\n"
        "asyncio.run(on_stdio(served))\n"
    )

    async def ask() -> Any:
        async with Client(
            StdioServerParameters(command=sys.executable, args=["-c", code])
        ) as client:
            return await client.call_tool("market_state", {"symbols": ["BTC"]})

    answer = asyncio.run(ask()).structured_content
    assert [row["symbol"] for row in answer["data"]] == ["BTC/USDT"]
