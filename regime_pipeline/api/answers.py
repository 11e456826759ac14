"""Finished answers: a query read, put into the envelope, and kept while its mart stays the same.

Belongs here: from a query to an answer, for every door. Does not belong here: HTTP (``app``), tools of
agents (``tools``), pages (``dashboard``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request
from starlette.responses import Response

from regime_pipeline.api import envelope, formats, query
from regime_pipeline.api.cache import LEVEL, Answer, AnswerCache
from regime_pipeline.api.endpoints import BY_PATH, VERSION, Beside
from regime_pipeline.api.live import Feed
from regime_pipeline.api.params import MOST_ROWS, Query, address_of
from regime_pipeline.api.query import Page
from regime_pipeline.windows import Clock

MOST_QUESTIONS = 10_000
MOST_BESIDE = 10
"""Rows beside a page are at most so many times its own limit."""
PAST_S = 3600
"""An answer as of an instant that lies further back does not change any more."""


@dataclass(frozen=True, slots=True)
class Question:
    """What an address asks for: the key of its answer, its marts, the path of its route."""

    key: bytes
    marts: tuple[str, ...]
    route: str


@dataclass
class Served:
    """What a running server shares between requests.

    Attributes:
        pool: connections as ``regime_api``.
        symbols: configured symbols.
        clock: the present.
        cache: finished answers and pages.
        feed: what is told to those who listen, and which tables changed.
        counts: requests by path of the route and status, for ``/metrics``.
        parameters: thresholds by the digest that a method version ends with.
        questions: what an address that was answered asks for, so that it is not read again.
    """

    pool: AsyncConnectionPool
    symbols: tuple[str, ...]
    clock: Clock
    cache: AnswerCache
    feed: Feed
    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    questions: dict[tuple[str, bytes], Question] = field(default_factory=dict)


def known_answer(served: Served, path: str, query_string: bytes) -> tuple[Answer, str] | None:
    """The kept answer of an address that was answered before, and its route; None where there is none."""
    question = served.questions.get((path, query_string))
    if question is None:
        return None
    found = served.cache.kept(question.key, served.feed.stamp(question.marts))
    return None if found is None else (found, question.route)


def remember(served: Served, request: Request, asked: Query, route: str) -> None:
    """Keep what an address asks for; it means the same as long as the server runs."""
    if len(served.questions) >= MOST_QUESTIONS:
        served.questions.clear()
    address = (request.scope["path"], request.scope["query_string"])
    served.questions[address] = Question(asked.canonical, asked.marts, route)


async def reported(served: Served, asked: Query) -> tuple[dict[str, Any], Page]:
    """What an answer is about, and its rows.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    origin, newest = await served.feed.newest()
    page = await query.rows(served.pool, asked, newest)
    meta = envelope.meta(
        asked,
        page,
        origin=origin,
        newest=newest,
        now=served.clock.now(),
        version=served.feed.version(asked.endpoint.mart),
        newest_of_mart=served.feed.newest_of(asked.endpoint.mart),
    )
    return meta, page


async def answer_of(served: Served, asked: Query) -> Answer:
    """The finished answer of a query, kept while no table behind its mart changed.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    stamp = served.feed.stamp(asked.marts)
    return await served.cache.get(asked.canonical, stamp, lambda: _made(served, asked))


async def _made(served: Served, asked: Query) -> Answer:
    meta, page = await reported(served, asked)
    if asked.shape != "csv":
        more = await beside(served, asked, meta, page)
        return in_json(served, asked, meta, {"data": envelope.records(asked, page)} | more)
    body = formats.csv_bytes(asked.columns, [row[: len(asked.columns)] for row in page.rows])
    return _headed(served, asked, meta, body, body)


async def beside(served: Served, asked: Query, meta: dict[str, Any], page: Page) -> dict[str, Any]:
    """What was asked for beside the rows of a page, by its name in the answer.

    Args:
        served: what requests share.
        asked: what was asked.
        meta: of the answer; a part that is cut is told in its ``warnings``.
        page: the rows.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    found: dict[str, Any] = {}
    _, newest = await served.feed.newest()
    for part in asked.beside:
        if part.path is None:
            found[part.key] = envelope.heatmap(
                [dict(zip(page.names, row, strict=True)) for row in page.rows]
            )
            continue
        question = _beside(asked, part, page)
        more = await query.rows(served.pool, question, newest)
        records = envelope.records(question, more)
        time = (
            None if question.endpoint.described is None else question.endpoint.described.time_column
        )
        if time is not None and not part.of_page and records:
            records = [r for r in records if r[time] == records[0][time]]
        elif more.is_more:
            told = (
                f"`{part.key}` has its newest {len(records)} rows; ask {VERSION}{part.path} for all"
            )
            meta["warnings"] = [*meta["warnings"], told]
        found[part.key] = records
    return found


def _beside(asked: Query, part: Beside, page: Page) -> Query:
    """The rows that a part of an answer is: of the page's hours, or the newest ones."""
    target = BY_PATH[str(part.path)]
    mart, own = target.described, asked.endpoint.described
    start, end = asked.start, asked.end
    if part.of_page and own is not None and own.time_column is not None and page.rows:
        at = page.names.index(own.time_column)
        start = page.rows[-1][at]
        if asked.after is not None:  # newer hours belong to the pages before
            end = page.rows[0][at] + timedelta(hours=1)
    return Query(
        target,
        asked.symbols if target.symbol_columns else None,
        start if mart is not None and mart.time_column is not None and part.of_page else None,
        end,
        (),
        () if mart is None else mart.names,
        MOST_BESIDE * asked.limit if part.of_page else MOST_ROWS,
        None,
        asked.as_of,
        "json",
    )


def in_json(served: Served, asked: Query, meta: dict[str, Any], content: dict[str, Any]) -> Answer:
    """An answer whose ``meta`` comes first.

    Args:
        served: what requests share.
        asked: what was asked.
        meta: what it is about.
        content: ``data`` and whatever stands beside it.
    """
    rest = formats.json_bytes(content)
    body = b"".join((b'{"meta":', formats.json_bytes(meta), b",", memoryview(rest)[1:]))
    return _headed(served, asked, meta, body, rest)


def _headed(
    served: Served, asked: Query, meta: dict[str, Any], body: bytes, lasting: bytes
) -> Answer:
    """The bytes with their headers; the tag leaves out what only time changes."""
    about = {k: v for k, v in meta.items() if k not in ("age_s", "mart_version")}
    seen = hashlib.sha256(asked.canonical + formats.json_bytes(about))
    seen.update(lasting)
    age_s = 0.0 if asked.as_of is None else (served.clock.now() - asked.as_of).total_seconds()
    lasts = "private, max-age=86400, immutable" if age_s > PAST_S else "private, no-cache"
    headers = {
        "content-type": formats.MEDIA_TYPES[asked.shape],
        "cache-control": lasts,
        "regime-data-origin": meta["data_origin"],
        "regime-status": meta["status"],
        "vary": "accept-encoding, authorization",
    }
    if meta["next"]:
        headers["link"] = f'<{address_of(asked, meta["next"])}>; rel="next"'
    return finished(body, headers, f'W/"{seen.hexdigest()[:24]}"')


def finished(body: bytes, headers: Mapping[str, str], etag: str, level: int = LEVEL) -> Answer:
    """An answer that carries its tag."""
    return Answer(body, {**headers, "etag": etag}, etag, level)


def respond(request: Request, found: Answer, **more: str) -> Response:
    """A finished answer to one request: unchanged, packed or plain.

    Args:
        request: says what the asker has and takes.
        found: the answer.
        more: headers of this request.
    """
    status, head, body = sent(found, dict(request.scope["headers"]))
    answer = Response(body, status)
    answer.raw_headers = [*head, *((k.encode(), v.encode("latin-1")) for k, v in more.items())]
    return answer


def sent(
    found: Answer, given: Mapping[bytes, bytes]
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and bytes of a finished answer to a request with these headers."""
    held = given.get(b"if-none-match")
    if held is not None and found.etag in {t.strip() for t in held.decode("latin-1").split(",")}:
        return 304, [*found.head], b""
    body = found.body
    head = [*found.head]
    if b"gzip" in given.get(b"accept-encoding", b"") and found.packed is not None:
        body = found.packed
        head.append((b"content-encoding", b"gzip"))
    head.append((b"content-length", b"%d" % len(body)))
    return 200, head, body
