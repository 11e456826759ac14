"""Every page can be read without a script, says what it does not know, and leads on."""

from __future__ import annotations

import re
import shutil
import time

import httpx
import pytest

from regime_pipeline.storage.database import Database
from regime_pipeline_tests.api.test_live import changed

pytestmark = pytest.mark.xdist_group("market")  # one market with the tests of the API

PAGES = ("/", "/realtime", "/symbol/BTC-USDT", "/pair/BTC-USDT/ETH-USDT", "/research",
         "/signal/momentum", "/signal/whale_act", "/paper/follow_futures",
         "/data-health", "/docs", "/glossary")  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_without_a_script(path: str, client: httpx.Client) -> None:
    answer = client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200
    assert "<h1" in answer.text
    assert not re.search(r"<script(?![^>]*(src=|application/json))", answer.text)
    assert 'style="' not in answer.text  # the page's own policy would refuse it


def test_numbers_of_the_overview_are_those_of_sql(
    client: httpx.Client, served_market: Database
) -> None:
    from regime_pipeline.wording.formats import price_text

    page = client.get("/").text
    with served_market.connect() as connection:
        rows = connection.execute(
            "select symbol, price from reporting.market_overview where price is not null"
        ).fetchall()
    assert rows
    for symbol, price in rows:
        assert symbol in page
        assert price_text(price) in page


@pytest.mark.slow
def test_every_internal_link_of_a_page_leads_somewhere(client: httpx.Client) -> None:
    seen = set()
    for path in ("/", "/symbol/BTC-USDT", "/pair/BTC-USDT/ETH-USDT", "/data-health"):
        page = client.get(path).text
        seen |= {m.replace("&amp;", "&") for m in re.findall(r'href="(/[^"]*)"', page)}
    broken = {}
    of_a_kind: dict[str, list[str]] = {}
    for link in sorted(seen):
        # numbers lead to explanations by the hundred: one of each mart and column
        kind = re.sub(r"[A-Z]+-USDT|\d{4}-[^?]*|[0-9a-f]{20,}", "", link)
        of_a_kind.setdefault(kind, []).append(link)
    for links in of_a_kind.values():
        link = links[0]
        answer = client.get(link, follow_redirects=True)
        while answer.status_code == 429:
            answer = client.get(link, follow_redirects=True)
        if answer.status_code != 200:
            broken[link] = answer.status_code
    assert len(seen) > 20
    assert broken == {}


def test_a_number_leads_to_what_is_behind_it_in_one_click(client: httpx.Client) -> None:
    page = client.get("/").text
    link = re.search(r'href="(/why/market_overview/[^"]*column=price)"', page)
    assert link is not None
    why = client.get(link[1]).text
    assert "select * from reporting.why(" in why
    assert "regime why market_overview" in why
    pairs = client.get("/pair/BTC-USDT/ETH-USDT").text
    link = re.search(r'href="(/why/correlation_pairs_1h/[^"]*)"', pairs)
    assert link is not None
    assert client.get(link[1]).status_code == 200


def test_a_signal_has_a_page_with_its_verdict_and_what_it_rests_on(client: httpx.Client) -> None:
    shown = client.get("/research").text
    assert 'href="/signal/momentum"' in shown and "-1.25" in shown and "5300" in shown
    page = client.get("/signal/momentum").text
    assert "VALID" in page and "+0.120" in page and "[+0.081, +0.159]" in page
    assert "across symbols" in page and "BTC/USDT" in page
    assert "<td>yes</td>" in page and "<td>no skill over base rate</td>" in page
    unknown = client.get("/signal/whale_act").text
    assert "UNPROVEN" in unknown and "no pairs of score and return" in unknown
    assert client.get("/signal/nonsense").status_code == 404


def test_what_is_followed_on_paper_has_a_page_with_its_equity_holdings_and_fills(
    client: httpx.Client,
) -> None:
    assert 'href="/paper/follow_futures"' in client.get("/research").text
    page = client.get("/paper/follow_futures").text
    assert "Equity, USD" in page and "no order is ever placed" in page
    assert "/why/paper_positions/BTC-USDT/" in page and "no book" in page
    assert "/glossary#paper_strategies.sharpe" in page
    assert client.get("/paper/nonsense").status_code == 404


def test_a_symbol_shows_voters_costs_and_what_models_forecast(client: httpx.Client) -> None:
    page = client.get("/symbol/BTC-USDT").text
    for mart in ("consensus_1h", "execution_quality", "model_predictions"):
        assert f"/why/{mart}/BTC-USDT/" in page, mart
    assert "no skill over baseline" in page


def test_a_probability_is_shown_beside_how_often_it_came_true(client: httpx.Client) -> None:
    assert "Reliability of probabilities" in client.get("/research").text
    page = client.get("/signal/momentum").text
    assert "40.0 %" in page and "43.0 %" in page and "39.1 % to 46.9 %" in page


def test_data_health_tells_of_coverage_runs_and_what_waits(client: httpx.Client) -> None:
    page = client.get("/data-health").text
    assert "79 %" in page and "h missed" in page
    assert "hourly tick" in page and "4.0 s" in page
    assert "No delivery of the newest events waits" in page


def test_short_addresses_lead_to_pages(client: httpx.Client) -> None:
    pair = client.get("/pair/BTC-ETH")
    assert (pair.status_code, pair.headers["location"]) == (308, "/pair/BTC/ETH")
    kind = client.get("/v1/overview?bogus=1").json()["type"]
    place = client.get(kind).headers["location"]
    assert f'id="{place.partition("#")[2]}"' in client.get("/docs").text


def test_an_event_shows_what_is_behind_it(client: httpx.Client) -> None:
    event = client.get("/v1/events", params={"limit": 1}).json()["data"][0]
    page = client.get(f"/event/{event['event_id']}").text
    assert event["title"] in page
    assert "What followed" in page


def test_what_does_not_exist_is_a_page_too(client: httpx.Client) -> None:
    for path in ("/symbol/NOPE", "/event/none", "/pair/BTC/BTC", "/symbol/BTC?from=x"):
        answer = client.get(path)
        assert answer.status_code in (404, 422)
        assert "Back to Now" in answer.text


def test_the_theme_is_kept_and_leads_back_to_this_host_only(client: httpx.Client) -> None:
    answer = client.get("/theme", params={"to": "light", "back": "//evil.example/x"})
    assert answer.headers["location"] == "/x"
    page = client.get("/", headers={"cookie": answer.headers["set-cookie"].split(";")[0]})
    assert 'data-theme="light"' in page.text


def further(address: str) -> list[str]:
    """An event's page and a number's."""
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        event = client.get("/v1/events", params={"limit": 1}).json()["data"][0]
        row = client.get("/v1/volatility", params={"limit": 1}).json()["data"][0]
    why = row["links"]["why"].removeprefix("/v1")
    return [f"/event/{event['event_id']}", f"{why}?column=vol_ratio_gk"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
def test_ten_tabs_of_one_browser_follow_a_commit_by_one_stream(
    address: str, served_market: Database
) -> None:
    from playwright.sync_api import sync_playwright

    count = (
        "() => { window.renewed = 0; const asked = window.fetch; "
        "window.fetch = (...given) => { window.renewed += 1; return asked(...given); }; }"
    )
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context()
        tabs = [context.new_page() for _ in range(10)]
        for tab in tabs:
            tab.goto(f"{address}/realtime", wait_until="load")
            tab.evaluate(count)
        for tab in tabs:
            tab.wait_for_selector("#dot.on", timeout=60_000)
        figures = httpx.get(f"{address}/metrics", trust_env=False).text
        assert re.search(r"regime_api_streams (\d+)", figures)[1] == "1"  # type: ignore[index]
        changed(served_market)
        for tab in tabs:
            end = time.monotonic() + 60
            while not tab.evaluate("window.renewed"):  # the page's policy refuses to wait by eval
                assert time.monotonic() < end
                tab.wait_for_timeout(100)
        # a page that was drawn anew listens as before, and offers how to follow
        tabs[0].wait_for_selector("#dot.on", timeout=60_000)
        assert tabs[0].is_visible("#update")
        browser.close()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
def test_pages_have_no_barrier_and_no_error_in_a_real_browser(address: str) -> None:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    faults: list[str] = []
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for theme in ("dark", "light"):
            for width in (1280, 390):
                context = browser.new_context(viewport={"width": width, "height": 900})
                context.add_cookies([{"name": "theme", "value": theme, "url": address}])
                page = context.new_page()
                where = ["", ""]
                page.on(
                    "console",
                    lambda m, w=where: (
                        faults.append(f"{w}: {m.text}") if m.type == "error" else None
                    ),
                )
                page.on(
                    "request",
                    lambda r, w=where: (
                        None
                        if r.url.startswith((address, "data:"))
                        else faults.append(f"{w} {r.url}")
                    ),
                )
                for path in (*PAGES, "/login", *further(address)):
                    where[:] = [path, f"{theme} {width}"]
                    page.goto(address + path, wait_until="load")
                    if page.evaluate("document.documentElement.scrollWidth") > width:
                        faults.append(f"{where}: scrolls sideways")
                    for found in Axe().run(page).response["violations"]:
                        nodes = [n["target"] for n in found["nodes"]][:3]
                        faults.append(f"{where}: {found['id']} {nodes}")
                context.close()
        browser.close()
    assert not faults, "\n".join(faults)
