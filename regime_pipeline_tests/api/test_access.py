"""On loopback everybody on this machine may ask; elsewhere a token is needed, for what it opens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from regime_pipeline.api.app import create_app
from regime_pipeline.api.auth import COOKIE, new_token
from regime_pipeline.api.guard import Access
from regime_pipeline.dashboard.routes import routes
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.tokens import Token, add, end_in, listed, revoke
from regime_pipeline.windows import SystemClock
from regime_pipeline_tests.api.conftest import serve
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS

pytestmark = pytest.mark.xdist_group("market")

NOW = SystemClock().now()


def made(database: Database, scopes: str = "read", *, days: int = 1) -> tuple[str, str]:
    """A stored token: its id and its text."""
    identity, text, digest = new_token()
    add(database, Token(identity, "test", scopes, NOW, NOW + timedelta(days=days), None), digest)
    return identity, text


@pytest.fixture(scope="module")
def guarded(served_market: Database) -> Iterator[str]:
    """The market behind tokens, asked under the name api.example too."""
    access = Access(frozenset({"api.example"}), True, frozenset({"https://pages.example"}))
    yield from serve(
        create_app(served_market.libpq, symbols=SYMBOLS, clock=CLOCK, access=access, more=routes)
    )


def get(address: str, path: str, token: str | None = None, **headers: str) -> httpx.Response:
    given = headers | ({"authorization": f"Bearer {token}"} if token else {})
    return httpx.get(f"{address}{path}", headers=given, trust_env=False, timeout=30)


def test_nothing_is_told_without_a_token(guarded: str) -> None:
    for path in ("/v1/overview", "/metrics", "/openapi.json", "/v1/stream", "/readyz"):
        answer = get(guarded, path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert get(guarded, "/livez").status_code == 200


@pytest.mark.slow
def test_a_token_opens_what_it_is_for_and_nothing_else(
    guarded: str, served_market: Database
) -> None:
    _, reads = made(served_market, "read")
    _, agent = made(served_market, "mcp,metrics")
    assert get(guarded, "/v1/overview", reads).status_code == 200
    assert get(guarded, "/metrics", reads).status_code == 403
    assert get(guarded, "/metrics", agent).status_code == 200
    assert get(guarded, "/v1/overview", agent).status_code == 403
    tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for token, status in ((agent, 200), (reads, 403)):
        told = {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"}
        answer = httpx.post(f"{guarded}/mcp", json=tools, headers=told, trust_env=False, timeout=30)
        assert answer.status_code == status


@pytest.mark.parametrize("token", ["x", "rgm_", "rgm_00000000_" + "a" * 43, "a" * 5000, "rgm_é_é"])
def test_what_is_no_token_opens_nothing(token: str, guarded: str) -> None:
    sent = {"authorization": f"Bearer {token}".encode()}
    answer = httpx.get(f"{guarded}/v1/overview", headers=sent, trust_env=False, timeout=30)
    assert answer.status_code == 401


def test_a_token_that_ended_or_was_taken_back_opens_nothing(
    guarded: str, served_market: Database
) -> None:
    _, ended = made(served_market, days=-1)
    identity, taken = made(served_market)
    revoke(served_market, identity, NOW)
    replaced, old = made(served_market)
    end_in(served_market, replaced, NOW, timedelta(hours=24))
    assert get(guarded, "/v1/overview", ended).status_code == 401
    assert get(guarded, "/v1/overview", taken).status_code == 401
    assert get(guarded, "/v1/overview", old).status_code == 200
    kept = next(t for t in listed(served_market) if t.identity == replaced)
    assert kept.expires_at == NOW + timedelta(hours=24)


def test_a_secret_is_stored_nowhere(served_market: Database) -> None:
    _, text = made(served_market)
    with served_market.connect() as connection:
        stored = connection.execute("select to_jsonb(t)::text from ops.api_tokens t").fetchall()
    assert not any(text.rpartition("_")[2] in row for (row,) in stored)


def test_a_person_signs_in_once_and_the_script_of_a_page_cannot_read_the_token(
    guarded: str, served_market: Database
) -> None:
    _, token = made(served_market)
    page = get(guarded, "/", accept="text/html")
    assert (page.status_code, page.headers["location"]) == (303, "/login")
    form = get(guarded, "/login")
    assert form.status_code == 200 and 'type="password"' in form.text
    with httpx.Client(base_url=guarded, trust_env=False, timeout=30) as client:
        refused = client.post("/login", data={"token": "rgm_00000000_no"})
        assert refused.status_code == 401
        assert COOKIE not in client.cookies
        answer = client.post("/login", data={"token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert client.get("/", headers={"accept": "text/html"}).status_code == 200


def test_only_pages_that_were_named_may_read_answers(guarded: str, served_market: Database) -> None:
    _, token = made(served_market)
    for origin, allowed in (("https://pages.example", True), ("https://evil.example", False)):
        headers = get(guarded, "/v1/overview", token, origin=origin, host="api.example").headers
        assert (headers.get("access-control-allow-origin") == origin) is allowed
