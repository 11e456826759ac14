"""What holds for everything that is registered: any bytes, and pages in any disorder.

Both walk the registry, so that a new endpoint is tested by being there.
"""

# ruff: noqa: E501 - wire literals stay on one line

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regime_pipeline.catalogue.registry import table
from regime_pipeline.providers.errors import ProviderError, RateLimited
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.paging import Backward, Forward, Newest, Paging
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.registry import ARCHIVE, ENDPOINTS, MESSAGES, PARSERS, SOURCES
from regime_pipeline.providers.source import Feed
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock, Window, utc
from regime_pipeline_tests.recordings import recorded

NOW = utc("2024-08-06T00:30")
KEYS = sorted(PARSERS)
READERS = {**{k: e.parse for k, e in ENDPOINTS.items()}, **MESSAGES}
MARKETS = (None, "spot", "perp")
QUICK = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))

TIMELESS = ("ws_depthUpdate", "_delta", "_snapshot", "ws_books", "ws_books_update")
"""Messages of books, whose time may be left out."""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "-", "1,5", "NaN", "1e400", "0", "BTCUSDT", "2024-08-05T00:00:00Z"]),
    st.sampled_from([0, 1722816000000, 1722816000, "1722816000000"]),
)
MEMBERS = (
    "code", "retCode", "msg", "data", "result", "list", "error", "metadata", "time", "timestamp",
    "symbol", "s", "b", "a", "bids", "asks", "ts", "E", "k", "o", "arg", "topic", "details", "count",
    "cursor", "transactions", "results", "signals", "op", "success", "event", "lastUpdateId",
)  # fmt: skip
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=10), st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=8)
    ),
    max_leaves=25,
)


def judged(key: str, body: bytes, market: str | None = "perp") -> pd.DataFrame | None:
    """Rows, or None for a typed error, by the parser itself and not by the guard around it."""
    ctx = Context(now=datetime(2024, 9, 1, tzinfo=UTC), market=market)
    try:
        frame = READERS[key](body, ctx) if key in READERS else PARSERS[key](body, ctx)
    except ProviderError as error:
        assert error.error_class
        return None
    assert isinstance(frame, pd.DataFrame)
    assert "reason" in frame
    assert not np.isinf(frame.select_dtypes("float64").to_numpy()).any()
    if "ts" in frame and not key.endswith(TIMELESS):
        assert (frame["ts"].notna() | frame["reason"].notna()).all()
    return frame


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
@QUICK
@given(body=st.one_of(st.binary(max_size=200), JSONS.map(lambda d: json.dumps(d).encode())))
def test_fault_16_every_registered_parser_gives_rows_or_a_typed_error(
    key: str, body: bytes
) -> None:
    judged(key, body)


def every_place(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else ()
    items = enumerate(node[:3]) if isinstance(node, list) else items
    return [path, *(p for name, inner in items for p in every_place(inner, (*path, name)))]


@pytest.mark.slow
@pytest.mark.parametrize("key", recorded(KEYS))
def test_fault_16_recorded_bodies_with_something_else_anywhere(
    key: str, payloads_dir: Path
) -> None:
    """Row 16: one value of another kind, one member left out, at a sample of all places."""
    file = payloads_dir / f"{key}__1.json"
    whole = json.loads(file.read_bytes())
    rng = random.Random(7)
    places = every_place(whole)
    for path in rng.sample(places, min(6, len(places))):
        for other in (None, {}, [[]], "x", -1):
            document = json.loads(file.read_bytes())
            node = document
            for name in path[:-1]:
                node = node[name]
            if path:
                node[path[-1]] = other
            judged(key, orjson.dumps(document if path else other))
        if path and isinstance(path[-1], str):
            del node[path[-1]]
            judged(key, orjson.dumps(document))


def as_texts(node: Any) -> Any:
    """Numbers as texts, as some providers and versions write them."""
    if isinstance(node, dict):
        return {k: as_texts(v) for k, v in node.items()}
    if isinstance(node, list):
        return [as_texts(v) for v in node]
    number = isinstance(node, int | float) and not isinstance(node, bool)
    return json.dumps(node) if number else node


def widened(node: Any) -> Any:
    """A member more in every object."""
    if isinstance(node, dict):
        return {**{k: widened(v) for k, v in node.items()}, "newlyAdded": {"x": [1]}}
    return [widened(v) for v in node] if isinstance(node, list) else node


KEYED_BY_MEMBER = {
    "coinglass/futures_supported-exchange-pairs",
    "coinglass/futures_liquidation_map",
    "okx/rubik_stat_trading-data_support-coin",
}
"""Replies whose members are names of things: one more is one thing more."""
FLAGS = {"lunarcrush/topic_v1"}
"""Counts by network: a network of another shape is a bad row."""


@pytest.mark.slow
@pytest.mark.parametrize("key", recorded(k for k in KEYS if not k.startswith("errors/")))
def test_fault_38_more_members_and_numbers_as_texts_change_no_value(
    key: str, payloads_dir: Path
) -> None:
    file = payloads_dir / f"{key}__1.json"
    document = json.loads(file.read_bytes())
    plain = judged(key, orjson.dumps(document))
    if plain is None:
        return
    if key not in KEYED_BY_MEMBER | FLAGS:
        more = judged(key, orjson.dumps(widened(document)))
        assert more is not None
        pd.testing.assert_frame_equal(more, plain)
    body = document if not isinstance(document, dict) else dict(document)
    if isinstance(body, dict):  # the code of an envelope is no value
        body = {
            k: v if k in ("code", "retCode", "ret_code") else as_texts(v) for k, v in body.items()
        }
    else:
        body = as_texts(body)
    texts = judged(key, orjson.dumps(body))
    assert texts is not None
    if texts["reason"].isna().all():
        pd.testing.assert_frame_equal(texts, plain)


# --- one bad row among good ones -----------------------------------------------------------------

DOCUMENTS = {
    "coinglass/index_fear-greed-history": "a block of parallel arrays",
    "hyperliquid/info_l2Book": "a book",
    "okx/market_books": "a book",
    "okx/ws_books": "a book",
    "okx/ws_books_snapshot": "a book",
    "okx/ws_books_update": "a book",
}
"""Replies whose list holds whole documents, which are whole or none."""
ODD: tuple[Any, ...] = (None, "", "x", "-1", -1, "NaN", True, {}, [[]], 10**30, "GONE")


def row_lists(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of the lists of objects or of lists, the first of each level."""
    if isinstance(node, list):
        if node and isinstance(node[0], dict | list):
            yield path
        yield from row_lists(node[0], (*path, 0)) if node else ()
    elif isinstance(node, dict):
        for name, inner in node.items():
            yield from row_lists(inner, (*path, name))


def spoiled(key: str, document: Any, path: tuple[Any, ...], name: Any, odd: Any) -> bytes:
    """The document with three equal rows, of which the second has something odd in a place."""
    whole = json.loads(orjson.dumps(document))
    rows = whole
    for step in path:
        rows = rows[step]
    rows[:] = [json.loads(orjson.dumps(rows[0])) for _ in range(3)]
    if name is None and odd is not None:
        rows[1] = odd
    elif name is not None and odd == "GONE" and isinstance(rows[1], dict):
        del rows[1][name]
    elif name is not None:
        rows[1][name] = odd
    return json.dumps(whole).encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    "key",
    recorded(k for k in KEYS if not k.startswith("errors/") and k not in DOCUMENTS),
)
def test_fault_24_one_odd_value_costs_its_own_row_and_no_other(
    key: str, payloads_dir: Path
) -> None:
    """Rows 23, 24 and 39: whatever stands in one place of one row, its neighbours stay as they are."""
    document = json.loads((payloads_dir / f"{key}__1.json").read_bytes())
    for path in row_lists(document):
        plain = judged(key, spoiled(key, document, path, None, None))
        if plain is None or len(plain) == 0 or len(plain) % 3 or plain["reason"].notna().any():
            continue  # no list of rows: levels of a book, parallel arrays, a message's parts
        first = plain.drop_duplicates().reset_index(drop=True)
        row = document
        for step in (*path, 0):
            row = row[step]
        places = list(row) if isinstance(row, dict) else list(range(len(row)))
        # each place meets a third of the odd values, its neighbours the others
        odds = ((name, odd) for i, name in enumerate(places) for odd in ODD[i % 3 :: 3])
        cases = [(None, 5), (None, "x"), *odds]
        for name, odd in cases:
            got = judged(key, spoiled(key, document, path, name, odd))
            assert got is not None, (path, name, odd)
            good = got[got["reason"].isna()]
            kept = good.merge(first, how="inner", on=list(first.columns))
            assert len(kept) >= 2 * len(plain) // 3, (path, name, odd)


@pytest.mark.parametrize(
    ("key", "body", "why"),
    [
        ("binance/api_v3_klines", [[1722816000000, "2", "1", "0.5", "1", "9", 1722819599999, "9", 7, "4", "6", "0"]], "high, low"),
        ("binance/api_v3_klines", [[1722816000000, "1", "2", "0", "1", "9", 1722819599999, "9", 7, "4", "6", "0"]], "low: not above zero"),
        ("binance_futures/fapi_v1_klines", [[1722816000000, "1", "2", "1", "1", "-9", 1722819599999, "9", 7, "4", "6", "0"]], "volume: below zero"),
        ("okx/market_candles", {"code": "0", "msg": "", "data": [["1722816000000", "1", "2", "1.5", "2", "1", "1", "1", "1"]]}, "high, low"),
        ("bybit/v5_market_kline", {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "symbol": "BTCUSDT", "list": [["1722816000000", "-1", "2", "-1", "2", "1", "1"]]}}, "open: not above zero"),
        ("binance_futures/fapi_v1_fundingRate", [{"symbol": None, "fundingTime": 1722816000000, "fundingRate": "0.0001"}], "symbol"),
        ("alternative_me/fng", {"name": "x", "data": [{"value": "101", "timestamp": "1722816000"}], "metadata": {"error": None}}, "outside 0 to 100"),
        ("coinglass/futures_liquidation_history", {"code": "0", "data": [{"time": 1722816000000, "long_liquidation_usd": "-5", "short_liquidation_usd": "1"}]}, "below zero"),
    ],
)  # fmt: skip
def test_fault_24_impossible_values_are_told_by_the_parser(key: str, body: Any, why: str) -> None:
    frame = judged(key, orjson.dumps(body))
    assert frame is not None
    (reason,) = frame["reason"]
    assert why in reason


def test_a_delivery_contract_has_no_coming_funding_and_is_a_row_like_any_other() -> None:
    plain = {"markPrice": "61000.1", "indexPrice": "61001", "estimatedSettlePrice": "61001.2",
             "interestRate": "0.0001", "time": 1722816000000}  # fmt: skip
    body = [
        {"symbol": "1000PEPEUSDT", "lastFundingRate": "0.0001", "nextFundingTime": 1722844800000, **plain},
        {"symbol": "BTCUSDT_240927", "lastFundingRate": "", "nextFundingTime": 0, **plain, "interestRate": ""},
    ]  # fmt: skip
    frame = judged("binance_futures/fapi_v1_premiumIndex", orjson.dumps(body))
    assert frame is not None and frame["reason"].isna().all()
    assert frame["next_funding_at"].isna().tolist() == [False, True]
    assert frame["predicted_funding_rate"].isna().tolist() == [False, True]
    event = {"e": "markPriceUpdate", "E": 1722816000000, "s": "BTCUSDT_240927", "p": "61000.1",
             "i": "", "P": "61000", "r": "", "T": 0}  # fmt: skip
    told = judged("binance_futures/ws_markPriceUpdate", orjson.dumps(event))
    assert told is not None and told["reason"].isna().all()


@pytest.mark.parametrize("never", ["", "0", "0.0", 0])
def test_an_option_that_was_never_traded_is_a_row_without_a_last_price(never: Any) -> None:
    row = {"symbol": "BTC-27DEC24-60000-C", "lastPrice": never, "markPrice": "61.1"}
    body = {"retCode": 0, "retMsg": "OK", "result": {"category": "option", "list": [row]}}
    told = judged("bybit/v5_market_tickers", orjson.dumps(body))
    assert told is not None and told["reason"].isna().all()
    assert told["last_price"].isna().all() and told["mark_price"].tolist() == [61.1]
    row = {"instId": "BTC-USD-240927-60000-C", "last": never, "ts": "1722816000000", "askPx": "0.1"}
    told = judged("okx/market_tickers", orjson.dumps({"code": "0", "msg": "", "data": [row]}))
    assert told is not None and told["reason"].isna().all()
    assert told["last_price"].isna().all()


def test_a_code_written_as_text_is_the_same_code() -> None:
    body: dict[str, Any] = {"retCode": "0", "retMsg": "OK", "result": {"list": []}}
    told = judged("bybit/v5_market_kline", orjson.dumps(body))
    assert told is not None and told.empty
    with pytest.raises(RateLimited):
        PARSERS["bybit/v5_market_kline"](orjson.dumps(body | {"retCode": "10006", "result": {}}))


# --- disorder ------------------------------------------------------------------------------------

CAP = 7
SYMBOLS = ("BTC/USDT",)
SPAN = Window(NOW - timedelta(hours=50), NOW)
DENSE = {"candles", "funding_rates", "open_interest", "positioning", "reference_prices"}
"""Where a page that begins too early still ends later than the one before."""
SPANS = {"trade_flow": Window(NOW - timedelta(hours=3), NOW)}


def is_paged(feed: Feed) -> bool:
    return not isinstance(feed.paging, Newest)


PAGED = sorted({f.dataset for s in SOURCES.values() for f in s.feeds if is_paged(f)})


@dataclass
class Disorder:
    """A client whose pages are short, overlap, repeat rows and come in any order."""

    client: HttpClient
    seed: int
    overlapping: bool
    hit: set[str] = field(default_factory=set)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get(
        self, provider: str, base: str, path: str, params: Mapping[str, str], **more: Any
    ) -> Any:
        paging = self._paging(provider, path, params)
        if paging is None:
            return self.client.get(provider, base, path, params, **more)
        rng = random.Random(f"{self.seed} {path} {sorted(params.items())}")
        parse = more.pop("parse")
        self.hit.add(f"{provider} {path}")

        def disordered(body: bytes) -> Any:
            # a row that comes twice is another one where two may be equal
            single = "transactions" in path or "liquidation" in path
            return parse(shuffled(body, rng, repeats=not single))

        asked = self._overlapping(dict(params), paging)
        return self.client.get(provider, base, path, asked, parse=disordered, **more)

    @staticmethod
    def _paging(provider: str, path: str, params: Mapping[str, str]) -> Paging | None:
        for feed in SOURCES[provider].feeds:
            if feed.endpoint.question is not None and not feed.endpoint.name.endswith(
                params["type"]
            ):
                continue  # one path answers several questions
            shape = feed.endpoint.path.split("{")[0]
            if is_paged(feed) and (path == feed.endpoint.path or path.startswith(shape)):
                return feed.paging
        return None

    def _overlapping(self, params: dict[str, str], paging: Paging) -> dict[str, str]:
        # the other walks end where a page is not full, which a page made short would be
        if not self.overlapping or not isinstance(paging, Forward | Backward) or paging.overlap:
            return params
        if paging.limit_name in params:
            params[paging.limit_name] = str(CAP)
        moved, by = (paging.start, -2) if isinstance(paging, Forward) else (paging.end, 2)
        if moved in params and params[moved].isdecimal() and len(params[moved]) == 13:
            params[moved] = str(
                int(params[moved]) + by * int(paging.shortest.total_seconds() * 1000)
            )
        return params


def shuffled(body: bytes, rng: random.Random, *, repeats: bool) -> bytes:
    """The rows of a reply in another order, some of them twice."""
    document = orjson.loads(body)
    rows = max(lists_of(document), key=len, default=[])
    if rows and repeats:
        rows += rng.choices(rows, k=2)
    rng.shuffle(rows)
    return orjson.dumps(document)


def lists_of(node: Any) -> Iterator[list[Any]]:
    """Lists of objects or of lists, the rows of a reply among them."""
    if isinstance(node, list):
        if node and isinstance(node[0], dict | list):
            yield node
    elif isinstance(node, dict):
        for inner in node.values():
            yield from lists_of(inner)


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(start=utc("2024-07-01"), end=utc("2024-09-01"), symbols=SYMBOLS)
    with SimulatorServer(tape, FixedClock(NOW)) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "venue"), [*((d, "binance") for d in PAGED), ("trade_flow", "okx")]
)
def test_fault_29_pages_in_any_disorder_give_the_rows_of_clean_ones(
    dataset: str, venue: str, make_settings, make_client, simulator: SimulatorServer
) -> None:
    """Rows 18, 28 and 29, for every paged endpoint of every source.

    Trades are asked of the primary venue alone, the other datasets of every one.
    """
    configured = make_settings(
        **simulator.settings_overrides(),
        sources=tuple(name for name in SOURCES if name != "binance_us"),
        http_deadline_s=30.0,
        spot_venue=venue,
        perp_venue=venue,
        single_trades=True,
        factor_interval="1d",
        liquidation_source="okx",  # whose single closures are summed for nobody else
    )

    def asked(client: Any) -> FetchResult:
        return fetch(
            dataset, SPANS.get(dataset, SPAN), settings=configured, client=client,
            clock=FixedClock(NOW), symbols=SYMBOLS,
        )  # fmt: skip

    clean = asked(make_client(configured))
    disorder = Disorder(make_client(configured), seed=11, overlapping=dataset in DENSE)
    messy = asked(disorder)
    # a feed that has no pages may say why it gave nothing: its folder is not set, it was read too late
    paged = {f.endpoint.told_path for s in SOURCES.values() for f in s.feeds if is_paged(f)}
    said = messy.log.loc[messy.log["endpoint_path"].isin(paged), "error_message"]
    assert said.isna().all(), set(said.dropna())
    assert messy.log["error_class"].isna().all(), set(messy.log["error_message"].dropna())
    content = list(table(f"raw.{dataset}").content)
    pd.testing.assert_frame_equal(messy.frame[content], clean.frame[content])
    assert len(clean.frame) > 0
    assert len(messy.quarantined) == len(clean.quarantined) == 0
    expected = {
        f.endpoint.path.split("{")[0]
        for name in configured.sources
        for f in SOURCES[name].feeds
        if f.dataset == dataset and is_paged(f) and f.older_than is None and name != ARCHIVE
        and (not f.only_primary or f.venue == venue)
    }  # fmt: skip
    assert not {p for p in expected if not any(p in h for h in disorder.hit)}
