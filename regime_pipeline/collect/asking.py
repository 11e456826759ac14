"""What the collector asks over HTTP: what contracts are worth, whole books, newest trades, the time.

Belongs here: single requests by the shared client, with its limits and breakers. Does not belong here: what
is made of the answers (``decode``, ``book``), when they are asked (``collector``, ``session``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import pandas as pd

from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.present import ODD_SHAPES
from regime_pipeline.collect.recent import RECENT, Params, Recent, missed
from regime_pipeline.collect.venues import CLOCKS
from regime_pipeline.collect.watch import Newest
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.fetch.sources import base_url
from regime_pipeline.providers.fetch.stream import CONTRACTS, Page, Stream
from regime_pipeline.providers.http import HttpClient, Reply
from regime_pipeline.providers.readings import Context, Parser, Reading
from regime_pipeline.providers.source import Feed, Source
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Window


class Asker:
    """Asks the venues of some connections, one request after the other.

    Args:
        settings: addresses.
        client: makes the requests.
    """

    def __init__(self, settings: Settings, client: HttpClient) -> None:
        self._settings, self._client = settings, client

    def sizes(self, lines: Sequence[Line], now: datetime) -> list[Stream]:
        """The lists of instruments of all sources that have one, as streams of a fetch.

        Raises:
            ProviderError: a venue does not answer.
        """
        found: list[Stream] = []
        for source in {line.source.name: line.source for line in lines}.values():
            feed = next((f for f in source.feeds if f.part == CONTRACTS), None)
            if feed is None:
                continue
            context, parse = feed.context, feed.endpoint.parse

            def read(
                body: bytes, parse: Parser = parse, context: Context = context
            ) -> pd.DataFrame | Reading:
                return parse(body, context)

            reply = self._ask(source, feed, {"instType": "SWAP"}, read)
            stream = Stream(source, feed, None, Window(now, now), feed.venue)
            stream.pages.append(Page(reply.parsed, reply))
            found.append(stream)
        return found

    def book(self, line: Line, topic: str) -> Any:
        """The reply that tells the whole book of a topic, decoded.

        Raises:
            ProviderError: the venue does not answer, or not so.
        """
        subscription = line.subscriptions[topic]
        mine = subscription.channel.feeds[0]
        feed = next(
            f for f in line.source.feeds
            if (f.dataset, f.market, f.venue) == (mine.dataset, mine.market, mine.venue)
        )  # fmt: skip
        return self._ask(line.source, feed, feed.params(subscription.symbols[0]), _decoded).parsed

    def newest_trade(self, line: Line, topic: str, heard: bytes) -> Newest | None:
        """The newest trade of a topic's instrument, at the venue's time; None: it tells of none.

        Args:
            line: the connection.
            topic: of any kind.
            heard: the last message of the topic; only of trades it tells whether the trade was heard.

        Raises:
            ProviderError: the venue does not answer, or not so.
        """
        rules, get, name, market = self._trades(line, topic)
        try:
            rows = rules.rows(get({**rules.about(name, market), "limit": "1"}))
            if not rows:
                return None
            row = rows[-1]
            has_trades = line.subscriptions[topic].channel.has_trades and bool(heard)
            known = rules.heard(orjson.loads(heard)) if has_trades else None
            return Newest(rules.at_ms(row) * 1_000_000, rules.identity(row) == known)
        except ODD_SHAPES as error:
            raise ContractViolation("the reply tells no trade") from error

    def trades_since(self, line: Line, topic: str, known: bytes) -> list[bytes] | None:
        """The trades after those of a message, as messages of the topic; None: not all are told.

        Raises:
            ProviderError: the venue does not answer, or not so.
        """
        rules, get, name, market = self._trades(line, topic)
        try:
            rows = missed(rules, get, name, market, rules.heard(orjson.loads(known)))
            if rows is None:
                return None
            return [orjson.dumps(message) for message in rules.messages(topic, rows)]
        except ODD_SHAPES as error:
            raise ContractViolation("the reply tells no trade") from error

    def _trades(self, line: Line, topic: str) -> tuple[Recent, Callable[[Params], Any], str, str]:
        rules, subscription = RECENT[line.source.name], line.subscriptions[topic]
        market = subscription.channel.feeds[0].market

        def get(params: Params) -> Any:
            weight = rules.weights.get(market, 1)
            return self._get(line.source, rules.paths[market], params, _decoded, weight).parsed

        return rules, get, subscription.symbols[0].name, market

    def clock_offset_s(self, source: Source, now_ns: Callable[[], int]) -> float:
        """A venue's clock minus ours, as of the middle of one request.

        Raises:
            ProviderError: the venue does not answer, or not so.
        """
        path, read = CLOCKS[source.name]
        before = now_ns()
        reply = self._get(source, path, {}, _decoded)
        middle = (before + now_ns()) / 2e9
        try:
            return read(reply.parsed) - middle
        except ODD_SHAPES as error:
            raise ContractViolation("the reply tells no time") from error

    def _ask(
        self,
        source: Source,
        feed: Feed,
        params: Mapping[str, str],
        parse: Callable[[bytes], Any],
    ) -> Reply[Any]:
        return self._get(source, feed.endpoint.path, params, parse, feed.endpoint.weight)

    def _get(
        self,
        source: Source,
        path: str,
        params: Mapping[str, str],
        parse: Callable[[bytes], Any],
        weight: int = 1,
    ) -> Reply[Any]:
        return self._client.get(
            source.name,
            base_url(self._settings, source),
            path,
            params,
            parse=parse,
            errors=source.errors,
            weight=weight,
        )


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ContractViolation("the reply is no JSON") from error
