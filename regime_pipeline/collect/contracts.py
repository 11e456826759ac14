"""Coins behind the contracts of venues whose streams count in contracts.

Belongs here: asking a venue's list of instruments once. Does not belong here: what is multiplied
(``providers.fetch``).
"""

from __future__ import annotations

from collections.abc import Sequence

from regime_pipeline.collect.plan import Line
from regime_pipeline.providers.fetch.sources import base_url
from regime_pipeline.providers.fetch.stream import CONTRACTS, Page, Stream
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock, Window


def sizes_of(
    lines: Sequence[Line], settings: Settings, client: HttpClient, clock: Clock
) -> list[Stream]:
    """The lists of instruments of all sources that have one, as streams of a fetch.

    Raises:
        ProviderError: a venue does not answer.
    """
    now = clock.now()
    found: list[Stream] = []
    for source in {line.source.name: line.source for line in lines}.values():
        feed = next((f for f in source.feeds if f.part == CONTRACTS), None)
        if feed is None:
            continue
        context, parse = feed.context, feed.endpoint.parse
        reply = client.get(
            source.name,
            base_url(settings, source),
            feed.endpoint.path,
            {"instType": "SWAP"},
            parse=lambda body, parse=parse, context=context: parse(body, context),  # type: ignore[misc]
            errors=source.errors,
            weight=feed.endpoint.weight,
        )
        stream = Stream(source, feed, None, Window(now, now), feed.venue)
        stream.pages.append(Page(reply.parsed, reply))
        found.append(stream)
    return found
