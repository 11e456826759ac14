"""Answers that are no answer, in every way of paging: none of them makes an hour the venue's own.

One parser of a real venue reads them all; the five ways of paging are five series of one source. A small
market answers on the loopback, soundly or badly, the same once more an hour later, and coverage says what
became of the hours.
"""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.coverage.answers import epoch_hours
from regime_pipeline.coverage.hours import KEY, hour_of, hour_spans
from regime_pipeline.coverage.rules import Series
from regime_pipeline.providers.bybit.series import FEEDS, OPEN_INTEREST
from regime_pipeline.providers.fetch.asking import Counter, SourceRun, run_all
from regime_pipeline.providers.fetch.merging import assemble
from regime_pipeline.providers.fetch.records import log_row, typed
from regime_pipeline.providers.fetch.stream import Stamping, streams_of
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.providers.paging import Backward, Cursor, Forward, Newest, Numbered, Paging
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, utc
from regime_pipeline_tests.providers.loopback import Asked, Loopback, http

START = utc("2024-05-02")
WINDOW = Window(START, START + DAY)
ASKED_AT = (START + 2 * DAY + HOUR, START + 2 * DAY + 2 * HOUR)
HISTORY = [START + n * HOUR for n in range(-24, 48)]
LIMIT = 10

WALKS: dict[str, Paging] = {
    "forward": Forward(limit=LIMIT, start="from", end="to"),
    "backward": Backward(limit=LIMIT, start="startTime", end="endTime", inclusive=True),
    "cursor": Cursor(limit=LIMIT, start="startTime", end="endTime", newest_first=True),
    "numbered": Numbered(limit=LIMIT),
    "newest": Newest(),
}
SERIES = [Series("bybit", walk, "perp", "BTC/USDT") for walk in WALKS]
Row = dict[str, Any]
Ask = Callable[..., dict[str, pd.DataFrame]]


def ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def row(at: datetime) -> Row:
    return {"timestamp": ms(at), "singleOpenInterest": "5.5"}


def reply(rows: list[Any], cursor: str = "", symbol: str = "BTCUSDT") -> bytes:
    result = {"category": "linear", "symbol": symbol, "list": rows, "nextPageCursor": cursor}
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result}).encode()


@dataclass
class Market:
    """A venue with a row for every hour but those it lacks, which pages as it is asked."""

    hours: list[datetime] = field(default_factory=lambda: list(HISTORY))

    def page(self, query: dict[str, str]) -> tuple[list[Row], str]:
        """Rows and the cursor; newest first, but for whoever asks "from" a time."""
        ahead = "from" in query
        first = int(query.get("from" if ahead else "startTime", 0))
        last = int(query.get("to" if ahead else "endTime", 10**14))
        found = [row(h) for h in self.hours if first <= int(ms(h)) <= last]
        if ahead:
            return found[:LIMIT], ""
        skip = (int(query.get("page", 1)) - 1) * LIMIT + int(query.get("cursor", 0))
        size = LIMIT if "limit" in query else len(found)
        rest = found[::-1][skip:]
        return rest[:size], str(skip + size) if len(rest) > size else ""


Bad = Callable[[Market, Asked], bytes]


def changed(change: Callable[[Row], Any]) -> Bad:
    """Sound pages whose rows are changed."""

    def answer(market: Market, asked: Asked) -> bytes:
        rows, cursor = market.page(asked.query)
        return http(reply([change(r) for r in rows], cursor))

    return answer


def shifted(by: timedelta) -> Bad:
    """Rows about another time."""
    return changed(
        lambda r: {**r, "timestamp": str(int(r["timestamp"]) + int(by / timedelta(milliseconds=1)))}
    )


def always(body: bytes, **more: Any) -> Bad:
    return lambda _market, _asked: http(body, **more)


def cut_after_four(market: Market, asked: Asked) -> bytes:
    """The first rows of a walk and nothing behind them."""
    query = asked.query
    later = (
        query.get("page", "1") != "1"
        or "cursor" in query
        or int(query.get("from", 0)) > int(ms(START))
        or int(query.get("endTime", 10**14)) < int(ms(WINDOW.end)) - 1
    )
    return http(reply([] if later else market.page(query)[0][:4]))


def newest_whatever_was_asked(market: Market, asked: Asked) -> bytes:
    return http(reply([row(h) for h in market.hours[::-1][:LIMIT]]))


def the_same_page_again(market: Market, asked: Asked) -> bytes:
    rows = [row(h) for h in HISTORY[24 : 24 + LIMIT]]
    return http(reply(rows[::-1], "5"))


NOON = ms(START + 12 * HOUR)
one_row_is_a_text = changed(lambda r: "maintenance" if r["timestamp"] == NOON else r)


def cut_connection(market: Market, asked: Asked) -> bytes:
    body = reply(market.page(asked.query)[0])
    return http(body[: len(body) // 2], length=len(body), headers={"Connection": "close"})


SOUND = reply([row(h) for h in HISTORY[24:34]])
KINDS: dict[str, Bad] = {
    "server error": always(b"oops", status="500 Internal Server Error"),
    "no such page": always(b"<html>no such page</html>", status="404 Not Found"),
    "page for people": always(b"<html>be right back</html>"),
    "empty body": always(b""),
    "null": always(b"null"),
    "empty object": always(b"{}"),
    "empty array": always(b"[]"),
    "cut document": always(SOUND[: len(SOUND) // 2]),
    "cut connection": cut_connection,
    "packed rubbish": always(b"no gzip", headers={"Content-Encoding": "gzip"}),
    "packed twice": always(gzip.compress(SOUND)),
    "error envelope": always(b'{"retCode":10016,"retMsg":"Server error.","result":{}}'),
    "no result": always(b'{"retCode":0,"retMsg":"OK"}'),
    "no rows": always(reply([])),
    "renamed field": changed(lambda r: {"timestamp": r["timestamp"], "oi": "5.5"}),
    "values that are no numbers": changed(lambda r: {**r, "singleOpenInterest": "NaN"}),
    "values below zero": changed(lambda r: {**r, "singleOpenInterest": "-1"}),
    "a row that is a text": one_row_is_a_text,
    "times that are no times": changed(lambda r: {**r, "timestamp": "yesterday"}),
    "times off the grid": shifted(timedelta(minutes=28)),
    "another symbol": lambda m, a: http(reply(*m.page(a.query), symbol="ETHUSDT")),
    "weeks old": shifted(timedelta(days=-35)),
    "of the future": shifted(timedelta(days=35)),
    "the newest, whatever was asked": newest_whatever_was_asked,
    "the same page again": the_same_page_again,
    "cut after four rows": cut_after_four,
}


class Venue:
    """One server for all cases: answers as it is told to."""

    def __init__(self) -> None:
        self.market = Market()
        self.bad: Bad | None = None

    def __call__(self, asked: Asked, peer: socket.socket) -> bytes | None:
        if self.bad is not None:
            sent = self.bad(self.market, asked)
            if b"Connection: close" not in sent:
                return sent
            peer.sendall(sent)
            return None
        rows, cursor = self.market.page(asked.query)
        return http(reply(rows, cursor))


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Lets every walk be answered so many times, and gives the stretches of its hours."""
    venue, home = Venue(), tmp_path_factory.mktemp("asked")
    with Loopback(venue) as server:
        settings = Settings(
            _env_file=None, home=home, bybit_api_url=server.url, http_attempts=1  # type: ignore[call-arg]
        )  # fmt: skip
        landing = LandingStore(str(home / "landing"))
        with HttpClient(settings, landing, FixedClock(ASKED_AT[0])) as client:
            yield partial(asked_walks, venue, settings, client)


def asked_walks(
    venue: Venue,
    settings: Settings,
    client: HttpClient,
    times: int = 2,
    bad: Bad | None = None,
    lacks: int = 0,
) -> dict[str, pd.DataFrame]:
    """The stretches of a day by walk, after a venue has answered so many times."""
    venue.bad = bad
    venue.market = Market([h for n, h in enumerate(HISTORY) if not 30 <= n < 30 + lacks])
    like = next(f for f in FEEDS if f.endpoint is OPEN_INTEREST)
    feeds = tuple(
        replace(like, paging=paging, venue=walk, names="bybit") for walk, paging in WALKS.items()
    )
    source = replace(SOURCES["bybit"], feeds=feeds)
    now, symbols = ASKED_AT[0], ("BTC/USDT",)
    run = SourceRun(source, settings, client, FixedClock(now), now)
    streams = list(streams_of("open_interest", source, settings, WINDOW, symbols, now))
    run_all({"bybit": run}, streams, Counter(None), 1)
    common = Stamping("open_interest", settings, WINDOW, now, False, symbols)
    frame, quarantined = assemble("open_interest", streams, common)
    log = typed([log_row(s, common, str) for s in streams], "ops.fetch_log")
    every = [log.assign(run_id=str(at), fetched_at=pd.Timestamp(at)) for at in ASKED_AT[:times]]
    ends = [Window(at, at + HOUR) for at in (HISTORY[0], HISTORY[-1])]
    lived = pd.DataFrame([(*s.key, *hours(w)) for s in SERIES for w in ends], columns=SPANS)
    first, last = hours(WINDOW)
    found = hour_spans(
        SERIES,
        first,
        last,
        stored=rows_as_spans(frame),
        lived=lived,
        refused=rows_as_spans(quarantined).rename(columns={"start": "hour"}),
        log=pd.concat(every, ignore_index=True),
        begins=np.ones((len(SERIES), last - first), bool),
        now=ASKED_AT[-1],
    )
    return dict(iter(found.groupby("venue")))


SPANS = [*KEY, "start", "end"]


def hours(window: Window) -> tuple[int, int]:
    return int(hour_of(window.start)), int(hour_of(window.end))


def rows_as_spans(frame: pd.DataFrame) -> pd.DataFrame:
    known = frame[frame["ts"].notna()]
    start = np.floor(epoch_hours(known["ts"])).astype(int)
    return known.assign(start=start, end=start + 1).reindex(columns=[*SPANS, "reason"])


def states(found: pd.DataFrame) -> dict[str, int]:
    count = (found["end"] - found["start"]).groupby(found["coverage_state"]).sum()
    return {str(state): int(n) for state, n in count.items()}


def test_a_hole_between_rows_is_the_venues_when_it_was_seen_twice(ask: Ask) -> None:
    hole = {"stored": 21, "missed": 3}
    for told, wanted in (
        (ask(), {"stored": 24}),
        (ask(times=1, lacks=3), hole),
        (ask(times=2, lacks=3), {"stored": 21, "venue_had_none": 3}),
    ):
        assert {walk: states(spans) for walk, spans in told.items()} == dict.fromkeys(WALKS, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_fault_14_no_hour_is_the_venues_after_bad_answers(kind: str, ask: Ask) -> None:
    found = ask(bad=KINDS[kind])
    told = {walk: states(spans) for walk, spans in found.items()}
    assert told.keys() == WALKS.keys()
    assert {w: t for w, t in told.items() if not t.keys() <= {"missed", "stored"}} == {}
    assert {w: t for w, t in told.items() if not t.get("missed")} == {}
    for spans in found.values():
        open_ = spans[spans["coverage_state"] == "missed"]
        assert (open_["coverage_reason"] != "nobody asked").all(), open_
