"""Fetching from aggregators and services: against the simulator, and against servers that misbehave."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr, ValidationError

from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.catalogue.derivation import derivations
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.registry import SOURCES, sources_of
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock, Window, utc
from regime_pipeline_tests.providers.loopback import Asked, Loopback, http

NOW = utc("2024-08-06T00:30")
OPTIONAL = sorted(name for name, of in DATASETS.items() if of.is_optional)
DAY = timedelta(days=1)
SYMBOLS = ("BTC/USDT", "ETH/USDT")
MINE = (
    "coinapi", "lunarcrush", "whale_alert", "sentiment", "liquidation_service", "news", "dashboard",
)  # fmt: skip
KEYED = (*MINE, "coinglass")
LAST_DAY = Window(NOW - DAY, NOW)


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(start=utc("2024-07-01"), end=utc("2024-09-01"), symbols=SYMBOLS)
    with SimulatorServer(tape, FixedClock(NOW)) as server:
        yield server


@pytest.fixture
def got(make_settings, make_client, simulator) -> Callable[..., FetchResult]:
    def run(dataset: str, window: Window = LAST_DAY, **changes: object) -> FetchResult:
        over = {**simulator.settings_overrides(), "http_deadline_s": 20.0, **changes}
        settings = make_settings(**over)
        return fetch(
            dataset, window, settings=settings, client=make_client(settings),
            clock=FixedClock(NOW), symbols=SYMBOLS,
        )  # fmt: skip

    return run


def only(source: str, **more: object) -> dict[str, object]:
    """Settings that ask one source, with the canary as its key."""
    found = SOURCES[source]
    assert found.key_setting is not None
    return {"sources": (source,), found.key_setting: SecretStr(CANARY), **more}


CANARY = "canary/zq3k+SECRET=91x"


# --- what comes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", [d for d in OPTIONAL if DATASETS[d].wanted_where is None])
def test_every_source_of_a_dataset_gives_rows_that_keep_the_contract(dataset: str, got) -> None:
    serving = sources_of(dataset)  # those that are off by default too
    result = got(dataset, sources=serving)
    assert result.log["fetch_status"].eq("ok").all(), result.log[["source", "error_message"]]
    assert len(result.quarantined) == 0
    assert set(result.frame["source"]) == set(serving)
    validate(result.frame.drop(columns=[]), table(f"raw.{dataset}"))
    assert not result.frame.duplicated(list(table(f"raw.{dataset}").key)).any()


def test_days_are_asked_for_where_factors_are_made_of_them_and_come_when_they_have_ended(
    got,
) -> None:
    window = Window(NOW - timedelta(days=4), NOW)
    left = got("derivatives_1d", window)
    assert left.frame.empty
    assert (left.log["request_count"] == 0).all()
    assert left.log["error_message"].str.contains("REGIME_FACTOR_INTERVAL is 1d").all()
    found = got("derivatives_1d", window, factor_interval="1d")
    assert set(found.log["fetch_status"]) == {"ok", "empty"}  # nobody recorded books of this world
    assert found.quarantined.empty
    validate(found.frame, table("raw.derivatives_1d"))
    assert set(found.frame["metric"]) == {
        "global_account_long_frac",
        "top_trader_account_long_frac",
        "top_trader_position_long_frac",
        "open_interest_usd",
        "long_liquidations_usd",
        "short_liquidations_usd",
    }
    ends = found.frame["ts"] + timedelta(days=1)
    assert ends.max() <= NOW
    assert (found.frame["available_at"] == ends + timedelta(minutes=5)).all()


def test_estimated_liquidations_are_asked_for_only_on_request_and_stand_in_a_table_of_their_own(
    got,
) -> None:
    hour = Window(NOW.replace(minute=0) - timedelta(hours=1), NOW)
    left = got("liquidation_levels", hour)
    assert left.frame.empty and (left.log["request_count"] == 0).all()
    assert left.log["error_message"].str.contains("REGIME_LIQUIDATION_LEVELS is map").all()
    small = got("liquidation_levels", hour, liquidation_levels="map")
    assert small.log["error_message"].str.contains("Upgrade plan").all()
    key = SecretStr("simulated-key-professional")
    found = got("liquidation_levels", hour, liquidation_levels="map", coinglass_api_key=key)
    assert found.log["fetch_status"].eq("ok").all(), found.log["error_message"].tolist()
    assert found.quarantined.empty
    validate(found.frame, table("raw.liquidation_levels"))
    key = list(table("raw.liquidation_levels").key)
    assert not found.frame.duplicated(key).any()
    assert set(found.frame["symbol"]) == set(SYMBOLS)
    assert found.frame["ts"].nunique() == 1
    assert (found.frame["level_usd"] >= 0).all() and found.frame["leverage"].notna().any()
    read = {one.table for made in derivations() for one in made.inputs.values()}
    assert "raw.liquidation_levels" not in read  # nothing is made of estimates


@pytest.mark.slow
def test_tiers_name_the_provider_of_each_series(got) -> None:
    moods = got("sentiment").frame.groupby(["source", "sentiment_kind"])["source_tier"].unique()
    assert {k: list(v) for k, v in moods.items()} == {
        ("lunarcrush", "social"): [1],
        ("news", "news"): [2],
        ("sentiment", "news"): [1],
        ("sentiment", "social"): [2],
        ("sentiment", "trader"): [1],
    }
    shares = got("positioning").frame
    assert shares.loc[shares["source"] == "coinglass", "source_tier"].eq(2).all()
    index = got("fear_greed").frame.groupby("source")["source_tier"].max().to_dict()
    assert index == {"alternative_me": 1, "coinglass": 2}


def test_relayed_shares_equal_the_venue_s_own(got) -> None:
    """Row 45: percent and fraction agree to the rounding of percent."""
    shares = got("positioning").frame
    own = shares[shares["venue"] == "binance"].pivot_table(
        index=["symbol", "metric", "ts"], columns="source", values="value"
    )
    both = own.dropna()
    assert len(both) > 100
    assert (both["binance_futures"] - both["coinglass"]).abs().max() < 1e-4


def test_liquidation_service_sums_to_what_the_aggregator_says(got) -> None:
    rows = got("liquidations").frame
    rows = rows[rows["venue"] == "aggregate"]
    both = rows.pivot_table(
        index=["symbol", "ts"], columns="source",
        values=["long_liquidations_usd", "short_liquidations_usd"],
    ).dropna()  # fmt: skip
    assert len(both) > 20
    for side in ("long", "short"):
        one = both[f"{side}_liquidations_usd"]
        assert (one["coinglass"] - one["liquidation_service"]).abs().max() < 1.0


def test_posts_that_name_no_coin_are_about_the_market(got) -> None:
    rows = got("sentiment").frame
    market = rows[rows["sentiment_scope"] == "market"]
    assert set(market["symbol"]) == {"*"}
    assert set(rows.loc[rows["sentiment_scope"] == "symbol", "symbol"]) == set(SYMBOLS)


def test_the_present_is_not_asked_for_in_past_windows(got, simulator) -> None:
    """A series that is told forward only is no gap that somebody could fill."""
    before = dict(simulator.app.state.requests)
    past = Window(NOW - 5 * DAY, NOW - 2 * DAY)
    for dataset in ("coin_markets", "dashboard_signals"):
        result = got(dataset, past)
        assert result.frame.empty
        assert set(result.log["fetch_status"]) == {"partial"}
        assert result.log["error_message"].str.contains("only the latest value").all()
        assert result.log["request_count"].eq(0).all()
    assert dict(simulator.app.state.requests) == before


def test_bars_of_an_aggregator_never_become_the_first_teller(got) -> None:
    rows = got("candles").frame
    assert rows.loc[rows["source"] == "coinapi", "source_tier"].eq(2).all()
    spot = rows[(rows["venue"] == "binance") & (rows["market"] == "spot")]
    both = spot.pivot_table(index=["symbol", "ts"], columns="source", values="close").dropna()
    assert (both["binance"] == both["coinapi"]).all()


def test_lower_plan_gives_a_plan_limit_and_the_other_sources_stand(got) -> None:
    result = got("liquidations", coinglass_api_key="simulated-key-hobbyist")
    log = result.log.set_index("source")
    assert set(log.loc[["coinglass"], "error_class"]) == {"PlanLimit"}
    assert set(result.frame["source"]) == {"liquidation_service"}


# --- what is off ---------------------------------------------------------------------------------


def test_source_without_key_or_address_is_off_with_the_reason(make_settings, make_client) -> None:
    """Row 90: nothing is sent, least of all `Bearer None`."""
    with Loopback(lambda asked, _: http(b"{}")) as server:
        urls = {SOURCES[s].url_setting: server.url for s in KEYED}
        settings = make_settings(**{**urls, "sentiment_api_url": None, "sources": KEYED})
        for dataset in (d for d in OPTIONAL if set(sources_of(d)) & set(KEYED)):
            result = fetch(
                dataset, LAST_DAY, settings=settings, client=make_client(settings),
                clock=FixedClock(NOW), symbols=SYMBOLS,
            )  # fmt: skip
            assert set(result.log["fetch_status"]) == {"skipped"}
            assert set(result.log["error_class"]) == {"NotConfigured"}
            assert result.log["error_message"].str.match(r"off: no [A-Z_]+ is set").all()
            assert result.frame.empty
        assert server.asked == []


def test_optional_dataset_without_any_configured_source_is_empty(
    make_settings, make_client
) -> None:
    settings = make_settings(sources=("binance",))
    result = fetch(
        "sentiment", LAST_DAY, settings=settings, client=make_client(settings),
        clock=FixedClock(NOW), symbols=SYMBOLS,
    )  # fmt: skip
    assert result.frame.empty
    assert result.log.empty


@pytest.mark.parametrize(
    "text",
    ["changeme", "CHANGE_ME", "your_key_here", "your-api-key", "<key>", "${KEY}", "xxxx", "None",
     "todo", "insert-key", "key-goes-here", "***"],
)  # fmt: skip
@pytest.mark.parametrize(
    "name",
    ["COINGLASS_API_KEY", "COINAPI_KEY", "LUNARCRUSH_API_KEY", "WHALE_ALERT_API_KEY",
     "SENTIMENT_API_KEY", "LIQUIDATION_API_KEY", "NEWS_API_TOKEN", "DASHBOARD_API_KEY"],
)  # fmt: skip
def test_placeholder_keys_are_refused_everywhere(name: str, text: str, monkeypatch) -> None:
    """Row 90."""
    monkeypatch.setenv(name, text)
    with pytest.raises(ValidationError, match="placeholder"):
        Settings(_env_file=None)  # type: ignore[call-arg]


@pytest.mark.parametrize("text", ["abc\r\n", " abc", "a\nb", "clé"])
def test_keys_with_stray_characters_are_refused(text: str, monkeypatch) -> None:
    """Row 90: a key file with Windows line ends makes no header."""
    monkeypatch.setenv("DASHBOARD_API_KEY", text)
    with pytest.raises(ValidationError):
        Settings(_env_file=None)  # type: ignore[call-arg]


def test_blank_keys_and_addresses_are_unset(monkeypatch) -> None:
    for name in ("WHALE_ALERT_API_KEY", "DASHBOARD_URL", "SENTIMENT_API_URL"):
        monkeypatch.setenv(name, "  ")
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert settings.whale_alert_api_key is None
    assert settings.dashboard_url is None
    assert settings.sentiment_api_url is None


# --- request shapes ------------------------------------------------------------------------------


def asked_of(
    source: str, make_settings, make_client, body: object = None, **more: object
) -> list[Asked]:
    reply = http(json.dumps({} if body is None else body).encode())
    with Loopback(lambda asked, _: reply) as server:
        over = only(
            source, **{SOURCES[source].url_setting: server.url + str(more.pop("suffix", ""))}
        )
        settings = make_settings(**over, http_attempts=1)
        for dataset in sorted({f.dataset for f in SOURCES[source].feeds}):
            fetch(
                dataset, LAST_DAY, settings=settings, client=make_client(settings),
                clock=FixedClock(NOW), symbols=("BTC/USDT",),
            )  # fmt: skip
        return list(server.asked)


def test_requests_have_the_shape_the_services_document(make_settings, make_client) -> None:
    asked = asked_of("sentiment", make_settings, make_client, suffix="/v1")
    assert {a.path for a in asked} == {"/v1/social", "/v1/news", "/v1/trader"}
    social = next(a for a in asked if a.path.endswith("social"))
    assert social.query == {
        "symbol": "BTCUSDT",
        "timeframe": "24h",
        "sources": "twitter,reddit,telegram",
    }
    assert social.headers["authorization"] == f"Bearer {CANARY}"

    [first, *_] = asked_of("whale_alert", make_settings, make_client, suffix="/v1")
    assert first.path == "/v1/transactions"
    assert first.headers["x-wa-api-key"] == CANARY
    assert first.query["min_value"] == "1000000"
    assert len(first.query["start"]) == len(first.query["end"]) == 10

    moods = asked_of("lunarcrush", make_settings, make_client)
    assert "/public/coins/BTC/time-series/v2" in {a.path for a in moods}
    assert moods[0].headers["authorization"] == f"Bearer {CANARY}"

    rates = asked_of("coinapi", make_settings, make_client)
    paths = {a.path for a in rates}
    assert paths == {"/v1/exchangerate/BTC/USDT/history", "/v1/ohlcv/BINANCE_SPOT_BTC_USDT/history"}
    assert rates[0].headers["x-coinapi-key"] == CANARY
    assert rates[0].query["time_start"].endswith(".0000000Z")

    [signals] = asked_of("dashboard", make_settings, make_client)
    assert signals.path == "/api/signals/BTCUSDT"
    [events] = asked_of("liquidation_service", make_settings, make_client)
    assert (events.path, events.query["symbol"]) == ("/liquidations", "BTCUSDT")


def test_dashboard_has_a_deadline_of_its_own(make_settings, make_client) -> None:
    def silent(_: Asked, peer: socket.socket) -> None:
        peer.recv(1)

    with Loopback(silent) as server:
        settings = make_settings(
            **only("dashboard", dashboard_url=server.url), dashboard_timeout=0.2, http_attempts=1,
            http_deadline_s=30.0,
        )  # fmt: skip
        result = fetch(
            "dashboard_signals", LAST_DAY, settings=settings, client=make_client(settings),
            clock=FixedClock(NOW), symbols=("BTC/USDT",),
        )  # fmt: skip
    assert result.log["error_class"].tolist() == ["DeadlineExceeded"]
    assert result.log["duration_s"].max() < 3


# --- paging --------------------------------------------------------------------------------------


def transfer(number: int) -> dict[str, object]:
    return {
        "blockchain": "bitcoin", "symbol": "btc", "id": str(number), "hash": f"h{number}",
        "timestamp": int((NOW - timedelta(hours=2)).timestamp()) + number, "amount": 1,
        "amount_usd": 2e6, "from": {"owner_type": "unknown"}, "to": {"owner_type": "exchange"},
    }  # fmt: skip


def whales(answer, make_settings, make_client) -> FetchResult:
    with Loopback(answer) as server:
        settings = make_settings(**only("whale_alert", whale_alert_api_url=server.url))
        return fetch(
            "whale_transfers", Window(NOW - timedelta(hours=12), NOW), settings=settings,
            client=make_client(settings), clock=FixedClock(NOW), symbols=SYMBOLS,
        )  # fmt: skip


def test_cursor_pages_are_followed_to_the_end_with_the_same_parameters(
    make_settings, make_client
) -> None:
    """Row 18: pages that overlap give each transfer once."""
    seen: list[dict[str, str]] = []

    def answer(asked: Asked, _: object) -> bytes:
        seen.append(asked.query)
        place = int(asked.query.get("cursor", "0"))
        start = max(0, place - 5)
        rows = [transfer(n) for n in range(start, min(start + 100, 230))]
        body = {
            "result": "success",
            "cursor": str(start + 100),
            "count": len(rows),
            "transactions": rows,
        }
        return http(json.dumps(body).encode())

    result = whales(answer, make_settings, make_client)
    assert sorted(result.frame["transfer_id"].astype(int)) == list(range(230))
    assert result.frame["listing_complete"].all()
    assert len({(q["start"], q["end"], q["min_value"], q["limit"]) for q in seen}) == 1
    assert result.log["fetch_status"].tolist() == ["ok"]


@pytest.mark.parametrize("fault", ["repeats", "breaks"])
def test_listing_that_does_not_end_is_marked_cut(fault: str, make_settings, make_client) -> None:
    """Row 18: what came is kept, and says that it is not all."""
    calls = 0

    def answer(asked: Asked, _: object) -> bytes:
        nonlocal calls
        calls += 1
        if fault == "breaks" and calls > 2:
            return http(b'{"result":"error","message":"usage limit reached"}', status="429 Slow")
        start = 100 * (calls - 1)
        rows = [transfer(n) for n in range(start, start + 100)]
        body = {
            "result": "success",
            "cursor": "same" if fault == "repeats" else str(calls),
            "transactions": rows,
        }
        return http(json.dumps(body).encode())

    result = whales(answer, make_settings, make_client)
    assert len(result.frame) == 200
    assert not result.frame["listing_complete"].any()
    assert result.log["fetch_status"].tolist() == ["failed"]


def test_next_link_is_never_followed(make_settings, make_client) -> None:
    """It names another host and carries the token; pages are asked for by number, here."""
    at = (NOW - timedelta(hours=1)).isoformat()
    with Loopback(lambda asked, _: http(b"{}")) as elsewhere:
        pages: list[str] = []

        def answer(asked: Asked, _: object) -> bytes:
            pages.append(asked.query["page"])
            more = asked.query["page"] == "1"
            body = {"results": [{"id": len(pages), "title": "t", "published_at": at}],
                    "next": f"{elsewhere.url}/?auth_token={CANARY}" if more else None}  # fmt: skip
            return http(json.dumps(body).encode())

        with Loopback(answer) as server:
            settings = make_settings(**only("news", news_api_url=server.url))
            result = fetch(
                "sentiment", LAST_DAY, settings=settings, client=make_client(settings),
                clock=FixedClock(NOW), symbols=("BTC/USDT",),
            )  # fmt: skip
        assert elsewhere.asked == []
    assert sorted(pages) == ["1", "1", "2", "2"]
    assert result.log["fetch_status"].eq("ok").all()


def test_stale_dashboard_reply_is_no_observation(make_settings, make_client) -> None:
    """Row 19: an old body with a fresh date."""
    for hours, good in ((0.6, True), (3, False)):
        at = (NOW - timedelta(hours=hours)).isoformat()
        body = json.dumps({"timestamp": at, "signals": {"momentum": 50}}).encode()
        with Loopback(lambda asked, _, body=body: http(body)) as server:
            settings = make_settings(**only("dashboard", dashboard_url=server.url))
            result = fetch(
                "dashboard_signals", LAST_DAY, settings=settings, client=make_client(settings),
                clock=FixedClock(NOW), symbols=("BTC/USDT",),
            )  # fmt: skip
        assert (len(result.frame), len(result.quarantined)) == ((1, 0) if good else (0, 1))


def test_reply_about_another_symbol_is_refused(make_settings, make_client) -> None:
    """Row 40."""
    body = json.dumps({"symbol": "ETHUSDT", "sentiment_score": 50, "mention_count": 3}).encode()
    with Loopback(lambda asked, _: http(body)) as server:
        settings = make_settings(**only("sentiment", sentiment_api_url=server.url))
        result = fetch(
            "sentiment", LAST_DAY, settings=settings, client=make_client(settings),
            clock=FixedClock(NOW), symbols=("BTC/USDT",),
        )  # fmt: skip
    assert result.frame.empty
    assert result.quarantined["reason"].str.contains("another one than BTCUSDT").all()


# --- canaries ------------------------------------------------------------------------------------


def _echo(asked: Asked) -> bytes:
    return f"{asked.target} {asked.headers}".encode()


FAULTS: dict[str, Callable[[Asked, socket.socket], bytes | None]] = {
    "401 echo": lambda a, _: http(b'{"error":"key ' + CANARY.encode() + b' is wrong"}', status="401 No"),
    "403 echo": lambda a, _: http(_echo(a), status="403 No"),
    "429": lambda a, _: http(_echo(a), status="429 Slow", headers={"Retry-After": "999"}),
    "500 echo": lambda a, _: http(_echo(a), status="500 Broken"),
    "html echo": lambda a, _: http(b"<html>" + _echo(a)),
    "envelope echo": lambda a, _: http(
        json.dumps({"code": "400", "msg": a.target, "error": str(a.headers), "result": "error"}).encode()
    ),
    "redirect": lambda a, _: http(b"", status="302 Go", headers={"Location": "/x?k=" + CANARY}),
    "cut": lambda a, _: http(b'{"data":[', length=500),
    "reset": lambda a, peer: None,
    "echoed in data": lambda a, _: http(
        json.dumps({"code": "0", "data": [], "results": [], "next": f"https://e/?auth_token={CANARY}",
                    "signals": {}, "timestamp": 1722902400, "note": CANARY}).encode()
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("source", KEYED)
@pytest.mark.parametrize("fault", list(FAULTS))
def test_no_key_leaks_on_any_error_path(
    source: str, fault: str, make_settings, make_client, caplog, tmp_path, monkeypatch
) -> None:
    """Row 89: in no log row, no log line, no text or cause of an exception, no stored body."""
    caplog.set_level(logging.DEBUG)
    raised: list[str] = []
    from regime_pipeline.providers.http import HttpClient

    real = HttpClient.get

    def watched(self, *args: object, **kwargs: object) -> object:
        try:
            return real(self, *args, **kwargs)  # type: ignore[arg-type]
        except Exception as error:
            raised.append("".join(traceback.format_exception(error)) + repr(error))
            raise

    monkeypatch.setattr(HttpClient, "get", watched)
    with Loopback(FAULTS[fault]) as server:
        settings = make_settings(
            **only(source, **{SOURCES[source].url_setting: server.url}),
            http_attempts=1,
            http_deadline_s=0.5,
            dashboard_timeout=0.5,
        )
        dataset = SOURCES[source].feeds[0].dataset
        result = fetch(
            dataset, LAST_DAY, settings=settings, client=make_client(settings),
            clock=FixedClock(NOW), symbols=("BTC/USDT",),
        )  # fmt: skip
        assert server.asked, "the key was never sent, so nothing was tried"
    told = [result.log.to_json(), result.payloads.to_json(), result.quarantined.to_json(),
            result.frame.to_json(), caplog.text, repr(settings), *raised]  # fmt: skip
    bodies = [p.read_bytes() for p in (tmp_path / "landing").rglob("*") if p.is_file()]
    for text in told:
        for form in (CANARY, "canary", "zq3k"):
            assert form not in text
    import zstandard

    for body in bodies:
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        assert b"zq3k" not in plain
