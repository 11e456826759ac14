"""Every endpoint answers what SQL says, in one form, and refuses what it does not understand."""

from __future__ import annotations

import base64
import csv
import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from regime_pipeline.api.endpoints import ENDPOINTS, VERSION, Endpoint
from regime_pipeline.api.openapi import document
from regime_pipeline.catalogue.marts import MARTS, WITH_PAST
from regime_pipeline.storage.database import Database
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, WINDOW

pytestmark = pytest.mark.xdist_group("market")  # one market, not one a worker

BUILT = [e for e in ENDPOINTS if e.described is not None]


def path_of(endpoint: Endpoint, event_id: str = "none") -> str:
    return VERSION + endpoint.path.format(symbol="BTC-USDT", event_id=event_id)


def same(value: object) -> object:
    """A value of SQL as it stands in JSON."""
    if isinstance(value, datetime):
        at = value.astimezone(UTC)
        return at.isoformat().replace("+00:00", "Z")
    return value


@pytest.mark.parametrize("endpoint", BUILT, ids=lambda e: e.path)
def test_an_endpoint_gives_the_rows_of_its_mart_newest_first(
    endpoint: Endpoint, client: httpx.Client, served_market: Database
) -> None:
    with served_market.connect() as connection:
        event = connection.execute(
            "select event_id from reporting.market_events order by known_at desc, event_id limit 1"
        ).fetchone()
        answer = client.get(path_of(endpoint, event[0]), params={"limit": 1000})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        mart = MARTS[endpoint.mart]
        where = "true"
        if "{symbol}" in endpoint.path and "symbol" in mart.names:
            where = "symbol = 'BTC/USDT'"
        if "{event_id}" in endpoint.path:
            where = f"event_id = '{event[0]}'"
        key = ", ".join(f'"{k}"' for k in mart.key)
        order = f'"{mart.time_column}" desc, {key}' if mart.time_column else key
        rows = connection.execute(
            f"select {key} from {mart.full_name} where {where} order by {order} limit 1000"
        ).fetchall()
    found = [tuple(r[k] for k in mart.key) for r in body["data"]]
    assert found == [tuple(same(v) for v in row) for row in rows]
    assert body["meta"]["mart"] == endpoint.mart
    assert body["meta"]["data_origin"] in ("live", "simulated", "tape")
    for row in body["data"]:
        assert set(row) - {"links"} == set(mart.names)


@pytest.mark.parametrize(
    ("endpoint", "old"), [(e, o) for e in ENDPOINTS for o in e.old], ids=lambda v: str(v)[:40]
)
def test_every_old_path_answers_and_names_its_successor(
    endpoint: Endpoint, old: str, client: httpx.Client
) -> None:
    answer = client.get(old.format(symbol="BTC"))
    assert answer.status_code == 200, answer.text
    assert (
        f'<{VERSION}{endpoint.path.format(symbol="BTC")}>; rel="successor-version"'
        in (answer.headers["link"])
    )
    assert answer.json()["meta"]["mart"] == endpoint.mart


def test_old_paths_answer_in_their_own_words(client: httpx.Client, served_market: Database) -> None:
    state = client.get("/v1/overview/BTC").json()["data"][0]
    one = client.get("/signals/BTC", params={"debug": "true"}).json()
    assert one["price"] == state["price"] is not None
    assert one["fundingRate"] == state["funding_rate_8h"]
    assert one["signal"] == state["futures_signal"]
    assert {"timestamp", "openInterest", "socialScore", "reason", "score"} <= set(one)
    live = client.get("/api/live/market-data/BTC").json()
    assert live["bid"] is None and live["timestamp"] == state["ts"]
    combined = client.get("/api/features").json()["data"][0]
    assert combined["volatility"]["regime"] == combined["vol_regime_confirmed"]
    pairs = client.get("/api/correlation").json()["correlations"]
    assert set(pairs) == {"BTC/USDT|ETH/USDT", "BTC/USDT|SOL/USDT", "ETH/USDT|SOL/USDT"}
    sums = client.get("/coinglass/liquidations/BTC", params={"include_orders": "true"}).json()
    assert set(sums["24h"]) == {"long_usd", "short_usd"}
    assert isinstance(sums["orders"], list)
    bars = client.get("/coinglass/open-interest/BTC", params={"interval": "h4"}).json()["data"]
    assert {b["interval"] for b in bars} <= {"4h"}
    assert all(b["time"] == b["ts"] for b in bars)
    coins = client.get("/coinglass/supported-coins").json()["coins"]
    assert coins == sorted(coins)
    assert client.get("/debug/premium/BTC").json()["data"]


def test_an_old_path_gives_the_fields_that_are_asked_for_and_what_stood_at_its_top(
    client: httpx.Client,
) -> None:
    for path in ("/coinglass/supported-coins", "/coinglass/exchanges", "/api/correlation",
                 "/coinglass/liquidations/BTC", "/api/correlation/heatmap-data"):  # fmt: skip
        whole = client.get(path).json()
        part = client.get(path, params={"fields": "status"} if "status" in whole["data"][0] else {})
        assert part.status_code == 200, part.text
        assert set(part.json()) == set(whole)
    named = client.get("/coinglass/supported-coins?fields=venue&limit=1").json()
    assert set(named["data"][0]) - {"links"} == {"venue"} and named["coins"]


def test_every_old_path_with_names_of_its_own_is_answered() -> None:
    from regime_pipeline.api.legacy import OLD

    answered = {old: e for e in ENDPOINTS for old in e.old}
    assert set(OLD) <= set(answered)
    for path, old in OLD.items():
        mart = answered[path].described
        known = set() if mart is None else set(mart.names)
        known |= set(MARTS["market_overview"].names) if old.state else set()
        unknown = {c for c in old.fields.values() if c is not None} - known
        assert not unknown, path
        assert {n for n in old.parameters.values() if n} <= set(answered[path].filters)


def test_every_filter_is_a_column_of_its_mart() -> None:
    for endpoint in BUILT:
        assert set(endpoint.filters) <= set(MARTS[endpoint.mart].names), endpoint.path


def test_generating_signals_leads_to_them_and_no_order_is_placed(client: httpx.Client) -> None:
    assert client.post("/api/intelligent/signals/generate").headers["location"] == "/v1/signals"
    refused = client.post("/api/live/execute-trade", json={})
    assert refused.status_code == 501
    assert "no orders" in refused.json()["title"]


def test_a_mart_that_is_not_built_says_so_and_is_no_empty_market(client: httpx.Client) -> None:
    missing = [e for e in ENDPOINTS if e.described is None]
    for endpoint in missing:
        meta = client.get(path_of(endpoint)).json()["meta"]
        assert (meta["status"], meta["reason"]) == ("missing", "mart_not_built")


@pytest.mark.parametrize("named", ["BTC/USDT", "BTC-USDT", "btcusdt", "BTC"])
def test_a_symbol_may_be_written_in_four_ways(named: str, client: httpx.Client) -> None:
    rows = client.get("/v1/overview", params={"symbols": named}).json()["data"]
    assert [r["symbol"] for r in rows] == ["BTC/USDT"]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("bogus=1", "bogus"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=5&limit=6", "limit"),
        ("from=2024-06-05", "from"),
        ("from=yesterday", "from"),
        ("from=2024-06-05T00:00:00Z&to=2024-06-05T00:00:00Z", "to"),
        ("symbols=NOPE", "symbols"),
        ("fields=price,nope", "fields"),
        ("as_of=2099-01-01T00:00:00Z", "as_of"),
        ("cursor=abc", "cursor"),
        ("format=xml", "format"),
        ("vol_regime_confirmed=CALM", "vol_regime_confirmed"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_guessed(
    asked: str, named: str, client: httpx.Client
) -> None:
    answer = client.get(f"/v1/volatility?{asked}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["parameter"] == named


def test_pages_of_any_size_join_to_the_whole(client: httpx.Client) -> None:
    asked = {"symbols": "BTC,ETH", "from": "2024-07-10T00:00:00Z", "fields": "symbol,ts"}
    whole = client.get("/v1/volatility", params=asked | {"limit": 1000}).json()["data"]
    parts: list[dict] = []
    more = dict(asked, limit="97")
    while True:
        body = client.get("/v1/volatility", params=more).json()
        parts += body["data"]
        if body["meta"]["next"] is None:
            break
        more["cursor"] = body["meta"]["next"]
    assert parts == whole
    assert len(whole) == 2 * 24 * 6
    refused = client.get("/v1/volatility", params={"cursor": more["cursor"], "symbols": "SOL"})
    assert "another question" in refused.json()["detail"]


@pytest.mark.parametrize("shape", ["json", "csv"])
def test_the_header_link_leads_to_the_next_page_by_itself(shape: str, client: httpx.Client) -> None:
    asked = {"symbols": "BTC,ETH", "from": "2024-07-14T00:00:00Z", "fields": "symbol,ts",
             "vol_regime_confirmed": "STABLE,HIGH_VOL", "limit": 7, "format": shape}  # fmt: skip
    address = str(client.build_request("GET", "/v1/volatility", params=asked).url)
    found: list[str] = []
    while True:
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        if shape == "json":
            found += [f"{r['symbol']},{r['ts']}" for r in answer.json()["data"]]
        else:
            found += answer.text.splitlines()[1:]
        if "next" not in answer.links:
            break
        address = str(answer.url.join(answer.links["next"]["url"]))
    whole = client.get("/v1/volatility", params=asked | {"limit": 1000, "format": "json"}).json()
    assert found == [f"{r['symbol']},{r['ts']}" for r in whole["data"]]
    assert len(found) > 7


def test_more_is_answered_beside_the_rows_when_it_is_asked_for(
    client: httpx.Client, served_market: Database
) -> None:
    sums = client.get("/v1/liquidations/BTC", params={"include": "orders,map", "limit": 8}).json()
    oldest = min(r["ts"] for r in sums["data"])
    for name, path in (("orders", "orders"), ("map", "levels")):
        rows = client.get(f"/v1/liquidations/BTC/{path}", params={"limit": 80, "from": oldest})
        assert sums[name] == rows.json()["data"], name
    scores = client.get("/v1/signals", params={"debug": "true", "limit": 3}).json()
    hours = {(r["symbol"], r["ts"]) for r in scores["data"]}
    assert {(r["symbol"], r["ts"]) for r in scores["factors"]} == hours
    matrix = client.get("/v1/signals/matrix", params={"performance": "true"}).json()
    with served_market.connect() as connection:
        worth = connection.execute(
            "select count(*) from reporting.signal_performance "
            "where ts = (select max(ts) from reporting.signal_performance)"
        ).fetchone()
    assert len(matrix["performance"]) == worth[0] > 0
    heat = client.get("/v1/signals/correlations", params={"shape": "heatmap"}).json()["heatmap"]
    assert heat["labels"] == ["momentum", "technical"]
    assert heat["matrix"] == [[None, 0.7], [0.7, None]]
    sources = client.get("/v1/sources/BTC", params={"include": "coverage,coins,prices"}).json()
    assert {"coverage", "coins", "prices"} <= set(sources)
    assert {r["symbol"] for r in sources["coverage"]} <= {"BTC/USDT"}
    bars = client.get("/v1/funding/BTC", params={"interval": "8h", "limit": 5}).json()
    assert bars == client.get("/v1/funding/BTC/bars?interval=8h&limit=5").json()
    assert bars["meta"]["mart"] == "funding_ohlc"
    plain = client.get("/v1/signals", params={"limit": 3}).json()
    assert "factors" not in plain
    for refused in ("/v1/signals?debug=maybe", "/v1/liquidations/BTC?include=gossip",
                    "/v1/liquidations/BTC?include=map&format=csv",
                    "/v1/signals/correlations?shape=heatmap&fields=symbol"):  # fmt: skip
        assert client.get(refused).status_code == 422, refused


def test_pages_over_several_months_join_to_the_whole(client: httpx.Client) -> None:
    asked = {"fields": "symbol,ts", "limit": 900}  # the first look goes back a month
    found: list[dict] = []
    while True:
        body = client.get("/v1/volatility", params=asked).json()
        found += body["data"]
        if body["meta"]["next"] is None:
            break
        asked["cursor"] = body["meta"]["next"]
    hours = (WINDOW.end - WINDOW.start) // timedelta(hours=1)
    assert len({(r["symbol"], r["ts"]) for r in found}) == len(found) == len(SYMBOLS) * hours
    assert [r["ts"] for r in found] == sorted((r["ts"] for r in found), reverse=True)


@pytest.mark.parametrize("instant", ["2024-07-01T00:00:00", "None", "0001-01-01T00:00:00+00:00"])
def test_a_cursor_that_somebody_made_up_is_refused_or_leads_nowhere(
    instant: str, client: httpx.Client
) -> None:
    real = client.get("/v1/volatility", params={"limit": 1}).json()["meta"]["next"]
    digest, (_, symbol) = json.loads(base64.urlsafe_b64decode(real + "=" * (-len(real) % 4)))
    text = json.dumps([digest, [instant, symbol]]).encode()
    made_up = base64.urlsafe_b64encode(text).decode().rstrip("=")
    answer = client.get("/v1/volatility", params={"limit": 1, "cursor": made_up})
    assert answer.status_code == 422 or answer.json()["data"] == []


def test_the_past_is_answered_as_it_was_known_then(
    client: httpx.Client, served_market: Database
) -> None:
    at = CLOCK.now() - timedelta(hours=1)
    earlier = client.get("/v1/volatility", params={"as_of": at.isoformat()}).json()
    assert earlier["data"] == []  # everything was stored at once, later
    now = client.get("/v1/volatility", params={"as_of": CLOCK.now().isoformat(), "limit": 3})
    assert len(now.json()["data"]) == 3
    state = client.get("/v1/overview", params={"as_of": CLOCK.now().isoformat()}).json()["data"]
    assert state == client.get("/v1/overview").json()["data"]
    refused = client.get("/v1/quality", params={"as_of": at.isoformat()})
    assert refused.status_code == 422
    assert "judged again" in refused.json()["detail"]


def test_every_mart_has_a_past_or_says_why_not() -> None:
    for mart in MARTS.values():
        assert (mart in WITH_PAST) != (mart.why_no_past is not None), mart.name


def test_an_unchanged_answer_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/v1/cascades", params={"limit": 5})
    again = client.get(
        "/v1/cascades", params={"limit": 5}, headers={"if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/v1/cascades", params={"limit": 6})
    assert other.headers["etag"] != first.headers["etag"]


def test_csv_holds_the_same_rows(client: httpx.Client) -> None:
    asked = {"symbols": "ETH", "limit": 20, "fields": "symbol,ts,price"}
    told = client.get("/v1/overview", params={"format": "csv", "symbols": "ETH"})
    assert told.headers["content-type"].startswith("text/csv")
    plain = client.get("/v1/hourly/ETH", params={k: v for k, v in asked.items() if k != "symbols"})
    text = client.get(
        "/v1/hourly/ETH", params={"format": "csv", "limit": 20, "fields": asked["fields"]}
    ).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [r["ts"] for r in rows] == [r["ts"] for r in plain.json()["data"]]
    assert [r["price"] for r in rows] == [
        "" if r["price"] is None else str(r["price"]) for r in plain.json()["data"]
    ]


def test_a_number_leads_to_where_it_comes_from(client: httpx.Client) -> None:
    row = client.get("/v1/volatility", params={"symbols": "BTC", "limit": 1}).json()["data"][0]
    found = client.get(row["links"]["why"], params={"column": "vol_ratio_gk"}).json()
    assert found["value"] == row["vol_ratio_gk"]
    assert found["meaning"]
    assert found["inputs"] or found["reason"]
    assert found["meta"]["data_origin"] in ("live", "simulated", "tape")
    assert client.get("/v1/why/volatility_1h/BTC/1999-01-01T00:00:00Z").status_code == 404


def test_a_method_is_told_with_the_thresholds_that_it_was_computed_with() -> None:
    from regime_pipeline.api.why import parameters_of
    from regime_pipeline.settings import Params, VolatilityParams, method_version
    from regime_pipeline.thresholds import by_digest

    ours = method_version("volatility/1", Params().volatility)
    other = method_version("volatility/1", VolatilityParams(confirmations=5))
    rows = [{"method_version": m} for m in (ours, other, "candles/1", None, ours)]
    known, unknown = parameters_of(rows, by_digest(Params()))
    assert known["method_version"] == ours
    said = {t["name"]: t["value"] for t in known["thresholds"]}
    assert said["volatility.confirmations"] == Params().volatility.confirmations
    assert unknown == {"method_version": other, "thresholds": None}


def test_the_document_describes_every_endpoint_and_every_column(client: httpx.Client) -> None:
    told = client.get("/openapi.json").json()
    assert told["openapi"] == "3.1.0"
    assert told == json.loads(json.dumps(document(SYMBOLS)))
    for endpoint in ENDPOINTS:
        assert VERSION + endpoint.path in told["paths"]
    for endpoint in BUILT:
        columns = told["components"]["schemas"][f"Row_{endpoint.mart}"]["properties"]
        assert set(columns) - {"links"} == set(MARTS[endpoint.mart].names)
    ids = [p["get"]["operationId"] for p in told["paths"].values()]
    assert len(set(ids)) == len(ids)
    assert len(client.get("/gpt/action-schema").content) < 100_000


def test_actions_of_assistants_are_eight_and_their_answers_short_enough(
    client: httpx.Client,
) -> None:
    told = client.get("/gpt/action-schema").json()
    operations = {path: found["get"] for path, found in told["paths"].items()}
    assert len(operations) == 8
    row = client.get("/v1/volatility", params={"symbols": "BTC", "limit": 1}).json()["data"][0]
    known = {"{mart}": "volatility_1h", "{symbol}": "BTC", "{ts}": row["ts"]}
    for path, operation in operations.items():
        asked = {}
        for parameter in operation["parameters"]:
            assert len(parameter["description"]) <= 300
            if parameter["name"] == "limit":
                assert parameter["required"]
                asked["limit"] = parameter["schema"]["maximum"]
            if parameter["name"] == "name":
                asked["name"] = "hourly"
        address = path
        for name, value in known.items():
            address = address.replace(name, value)
        answer = client.get(address, params=asked)
        assert answer.status_code == 200, answer.text
        assert len(answer.text) < 100_000, path


def test_one_name_of_the_catalogue_is_told_alone(client: httpx.Client) -> None:
    (mart,) = client.get("/v1/catalogue?name=volatility_1h.vol_ratio_gk").json()["marts"]
    assert [c["name"] for c in mart["columns"]] == ["vol_ratio_gk"]
    everywhere = client.get("/v1/catalogue", params={"name": "vol_ratio_gk"}).json()["marts"]
    assert {"volatility_1h", "market_overview"} <= {m["name"] for m in everywhere}
    assert client.get("/v1/catalogue?name=gossip").status_code == 404
    assert client.get("/v1/catalogue?mart=hourly").status_code == 422


def test_a_mart_that_lags_behind_the_others_is_stale() -> None:
    from regime_pipeline.api import envelope, params
    from regime_pipeline.api.endpoints import BY_PATH
    from regime_pipeline.api.query import Page

    now = CLOCK.now()
    newest = now.replace(minute=0) - timedelta(hours=1)
    page = Page(("symbol", "ts", "known_at"), [("BTC/USDT", newest, newest)], is_more=False)
    for path, hours, status in (("/volatility", 1, "ok"), ("/volatility", 5, "stale"),
                                ("/correlations/matrix", 5, "ok")):  # fmt: skip
        asked = params.read(BY_PATH[path], [], {}, known=SYMBOLS, now=now)
        meta = envelope.meta(asked, page, origin="live", newest=newest, now=now,
                             newest_of_mart=now - timedelta(hours=hours))  # fmt: skip
        assert meta["status"] == status, (path, hours)


def test_every_answer_carries_the_guards_and_a_name(client: httpx.Client) -> None:
    for path in ("/v1/overview", "/nope", "/", "/livez"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert len(headers["x-request-id"]) == 16
    assert "access-control-allow-origin" not in client.get("/v1/overview").headers


def test_a_body_of_unknown_length_is_refused(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b"token=" + b"x" * 100

    assert client.post("/login", content=endless()).status_code == 413
    assert client.post("/mcp", content=(b"x" * 40_000 for _ in range(2))).status_code == 413


def test_a_foreign_host_name_is_not_served(client: httpx.Client) -> None:
    answer = client.get("/v1/overview", headers={"host": "evil.example"})
    assert answer.status_code == 421


def test_too_many_requests_are_told_when_to_come_again(served_market: Database) -> None:
    from regime_pipeline.api.limits import PER_SECOND, Buckets

    at = [0.0]
    buckets = Buckets(lambda: at[0])
    assert [buckets.take("one") for _ in range(60)] == [0.0] * 60
    assert buckets.take("one") == pytest.approx(1 / PER_SECOND)
    assert buckets.take("other") == 0.0
    at[0] = 1.0
    assert [buckets.take("one") > 0 for _ in range(21)] == [False] * 20 + [True]


def test_health_names_what_is_wrong(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["checks"]["database"] == "ok"
    assert ready["checks"]["schema"] == "ok"
    figures = client.get("/metrics").text
    for name in ("requests_total", "streams", "is_listening", "cache_hits_total"):
        assert f"regime_api_{name}" in figures
    assert 'regime_mart_version{mart="volatility_1h"}' in figures


@pytest.mark.slow
def test_fault_93_a_database_that_is_gone_is_a_problem_and_no_empty_answer() -> None:
    from regime_pipeline.api.app import create_app
    from regime_pipeline_tests.api.conftest import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    app = create_app(f"postgresql://nobody@127.0.0.1:{port}/none", symbols=SYMBOLS, clock=CLOCK)
    for address in serve(app):
        answer = httpx.get(f"{address}/v1/overview", trust_env=False, timeout=20)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert httpx.get(f"{address}/livez", trust_env=False).status_code == 200
        assert httpx.get(f"{address}/readyz", trust_env=False, timeout=20).status_code == 503
        break


def test_the_server_process_needs_none_of_the_heavy_libraries() -> None:
    told = (
        "import sys, regime_pipeline.dashboard.__main__; "
        "print([m for m in ('pandas','numpy','pyarrow','dagster','dbt','pandera','sqlalchemy',"
        "'regime_pipeline.reporting') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_stream_says_that_it_listens(address: str) -> None:
    with (
        httpx.Client(base_url=address, trust_env=False, timeout=20) as client,
        client.stream("GET", "/v1/stream") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        first = next(line for line in answer.iter_lines() if line.startswith("event:"))
    assert first == "event: resync"


def test_the_window_of_a_history_is_half_open(client: httpx.Client) -> None:
    begin, end = WINDOW.start, WINDOW.start + timedelta(hours=5)
    asked = {"from": begin.isoformat(), "to": end.isoformat(), "fields": "ts"}
    rows = client.get("/v1/hourly/BTC", params=asked).json()["data"]
    assert [r["ts"] for r in rows] == [
        (begin + timedelta(hours=n)).isoformat().replace("+00:00", "Z") for n in (4, 3, 2, 1, 0)
    ]
