"""What a provider is: a :class:`Source` with its feeds and endpoints, as its own module declares it.

A :class:`Feed` says that a source serves a dataset from an endpoint, and its paging how that endpoint
walks through time. Belongs here: the words in which a provider describes itself. Does not belong here:
any one provider (its module or folder), the ways of paging (``paging``), doing any of it (``fetch``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson
import pandas as pd
from pydantic import SecretStr

from regime_pipeline.connections import Connection
from regime_pipeline.providers.errors import GENERIC, ErrorRules
from regime_pipeline.providers.limits.budgets import UNKNOWN, Rates
from regime_pipeline.providers.paging import Newest, Paging, Pushed
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.symbols import VenueSymbol, split
from regime_pipeline.settings import Settings

Params = Callable[[VenueSymbol], Mapping[str, str]]
Files = Callable[[Settings, datetime], bytes]
"""The bytes of one hour out of a configured folder, or the :class:`ProviderError` that says why not."""
Question = Callable[[Mapping[str, str]], object]
"""Makes the JSON document of a request that is posted out of its parameters."""


def posted(question: Question | None, params: Mapping[str, str]) -> bytes | None:
    """The body of a request that is posted; None for one that is not."""
    return None if question is None else orjson.dumps(question(params))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a provider: where it is, how its replies are read, what a request costs.

    ``name`` is the path with its fixed prefix removed and slashes made underscores, as recorded
    payloads are named. ``question`` makes a JSON document of the parameters, for a path that reads
    its question from the body of a POST; None: a GET with the parameters in the query.
    """

    provider: str
    name: str
    path: str
    parse: Parser
    weight: int = 1
    question: Question | None = None

    @property
    def told_path(self) -> str:
        """The path as records name it: with what is asked where one path answers several questions."""
        return self.path if self.question is None else f"/{self.name.replace('_', '/')}"


@dataclass(frozen=True, slots=True)
class Feed:
    """A source serves a dataset from an endpoint.

    Attributes:
        dataset: raw table without its schema.
        endpoint: where the rows come from.
        market: market type of the rows.
        venue: exchange that the rows are about.
        paging: how to walk.
        params: fixed query parameters of a symbol.
        context: what the parser must know.
        retention: how far back the provider is said to keep rows (None: all of them).
        newest: reaches only this far back, an older stretch is served by another feed.
        older_than: serves only what is older than this.
        kind: what the rows are one kind of, where a dataset keeps kinds apart (sentiment).
        part: feeds of one dataset whose columns complete each other carry different parts;
            ``intervals`` is no series but the funding intervals in force, ``contracts`` the coins
            behind a contract.
        path: path of a symbol, where the endpoint has it in the path.
        reach: asked only for the last stretch of this length; what is older was never to be had from
            it and is logged so. With ``snapshot`` that is the present alone.
        snapshot: a reply is about the present; its rows get the hour in which it came.
        bucketed: rows are hourly buckets, whatever the dataset's other feeds give.
        by_coin: rows name coins (``coin``); those of the wanted symbols are kept.
        by_name: one reply lists every instrument of the venue by its name (``venue_symbol``); those of
            the wanted symbols are kept.
        shape: turns all parsed rows of the stream into rows of the dataset.
        files: reads one closed hour of the folder that the field ``folder`` of the settings names, instead of
            asking anybody: every hour is a reply of its own, there whole or not at all, and the past can be
            had whatever the dataset's other feeds keep.
        folder: see ``files``; nothing is read as long as it is unset.
        coins: base coins that the venue has such a series of, so that no other is asked for; empty:
            only the venue knows.
        per_symbol: False for a series without symbols.
        names: venue whose symbol names the endpoint uses (``coin`` for the base coin).
        only_primary: asked only for symbols whose primary series of the market is on this venue.
        live_only: tells the present state: asked once, and only by a window that reaches now.
        optional: the provider may have taken the endpoint away; that is a note, not a failure.
        in_candles: the venue's candles tell the taker's volumes too, so that single trades, a page for
            every few minutes of them, are asked for only when the settings say so.
        in_contracts: amounts are contracts, whose size a feed with part ``contracts`` tells.
        summed: rows are single closures, of which the hourly sums of the dataset are made: of hours that
            were asked for from end to end, the quiet ones too. Asked only where the settings take the
            dataset from here.
    """

    dataset: str
    endpoint: Endpoint
    market: str
    venue: str
    paging: Paging
    params: Params
    context: Context = field(default_factory=Context)
    retention: timedelta | None = None
    newest: timedelta | None = None
    older_than: timedelta | None = None
    part: str = ""
    per_symbol: bool = True
    names: str = ""
    only_primary: bool = False
    live_only: bool = False
    optional: bool = False
    in_contracts: bool = False
    summed: bool = False
    in_candles: bool = False
    kind: str = ""
    path: Callable[[VenueSymbol], str] | None = None
    reach: timedelta | None = None
    snapshot: bool = False
    bucketed: bool = False
    by_coin: bool = False
    by_name: bool = False
    shape: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    coins: tuple[str, ...] = ()
    files: Files | None = None
    folder: str = ""

    @property
    def is_only_streamed(self) -> bool:
        """Whether no request serves the rows that the live collector brings."""
        return isinstance(self.paging, Pushed)

    @property
    def tells_all(self) -> bool:
        """Whether one reply tells all symbols, each row its own."""
        return self.by_coin or self.by_name

    def is_about(self, symbol: str) -> bool:
        """Whether the venue may have the series of a canonical symbol."""
        return not self.coins or split(symbol)[0] in self.coins


def streamed(
    provider: str,
    message: str,
    dataset: str,
    parse: Parser,
    *,
    market: str,
    venue: str,
    summed: bool = False,
    in_contracts: bool = False,
) -> Feed:
    """A feed of the live collector: messages of one kind that become rows of a dataset.

    Args:
        provider: whose stream.
        message: name of its recorded messages, as ``ws_aggTrade``.
        dataset: raw table without its schema.
        parse: parser of the messages.
        market: market type of the rows.
        venue: exchange that the rows are about.
        summed: hourly sums are made of single closures.
        in_contracts: amounts are contracts.
    """
    return Feed(
        dataset=dataset,
        endpoint=Endpoint(provider, message, f"/ws/{message.removeprefix('ws_')}", parse),
        market=market,
        venue=venue,
        paging=Pushed(),
        params=lambda _: {},
        context=Context(market=market),
        summed=summed,
        in_contracts=in_contracts,
    )


def state_of_all(
    dataset: str,
    endpoint: Endpoint,
    venue: str,
    params: Mapping[str, str],
    *,
    context: Context | None = None,
    shape: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> Feed:
    """A feed of what a venue shows of all its perpetuals at the moment: one request, about the present.

    Args:
        dataset: raw table without its schema.
        endpoint: lists every contract with its ``venue_symbol``.
        venue: exchange.
        params: what makes the endpoint list all of them.
        context: what the parser must know.
        shape: turns parsed rows into rows of the dataset.
    """
    return Feed(
        dataset=dataset,
        endpoint=endpoint,
        market="perp",
        venue=venue,
        paging=Newest(),
        params=lambda _: params,
        context=context or Context(),
        live_only=True,
        snapshot=True,
        per_symbol=False,
        by_name=True,
        shape=shape,
    )


@dataclass(frozen=True, slots=True)
class KeyCarrier:
    """Where a request carries the key.

    Attributes:
        header: the header that carries it.
        prefix: what stands before the key in the header.
        param: the query parameter, for a provider that takes it nowhere else.
    """

    header: str | None = None
    prefix: str = ""
    param: str | None = None


BEARER = KeyCarrier(header="Authorization", prefix="Bearer ")
"""The key as a bearer token."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The cheapest request that shows a provider alive.

    Attributes:
        path: what is asked for.
        params: query parameters.
        is_json: the answer is a JSON document; else any page is one, and so is "no such file".
        question: as of an :class:`Endpoint`.
    """

    path: str = "/"
    params: Mapping[str, str] = field(default_factory=dict)
    is_json: bool = True
    question: Question | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A provider: everything that is known of it, but for what its address and variables are.

    Attributes:
        connection: its address and key as settings; see :mod:`regime_pipeline.connections`.
        feeds: what it serves.
        endpoints: every endpoint that has a parser.
        streamed: feeds of the live collector, that no request serves.
        messages: parsers of what is read without being asked for at a path: stream messages, and
            recordings of endpoints under other names.
        key: how a request carries the key, for a provider that is asked with one.
        rates: what it grants.
        errors: how it reports failures.
        error_bodies: recorded error bodies by name, without the provider's: documented ones.
        probe: what the doctor asks.
        plans: plans by the requests per minute that its headers report.
        if_blocked: what to do where it refuses our location.
        deadline_setting: field of the settings with the time its requests may take.
        whole_url: its paths are appended to the address exactly as it is configured.
        relays: passes on what venues publish themselves, so that it is never a primary source of it.
    """

    connection: Connection
    feeds: tuple[Feed, ...]
    endpoints: tuple[Endpoint, ...]
    streamed: tuple[Feed, ...] = ()
    messages: Mapping[str, Parser] = field(default_factory=dict)
    key: KeyCarrier | None = None
    rates: Rates = UNKNOWN
    errors: ErrorRules = GENERIC
    error_bodies: tuple[str, ...] = ()
    probe: Probe = Probe()
    plans: Mapping[int, str] = field(default_factory=dict)
    if_blocked: str = ""
    deadline_setting: str | None = None
    whole_url: bool = False
    relays: bool = False

    def __post_init__(self) -> None:
        """Refuses a source whose parts contradict each other.

        Raises:
            ValueError: a key that nothing carries, or a carrier without a key.
        """
        if (self.key is None) is not (self.key_setting is None):
            raise ValueError(f"{self.name}: a key needs both a variable and a carrier")
        strangers = {e.name for e in self.endpoints if e.provider != self.name}
        if strangers:
            raise ValueError(f"{self.name}: endpoints of another provider: {sorted(strangers)}")

    @property
    def name(self) -> str:
        """Name in ``Settings.sources`` and in the ``source`` column."""
        return self.connection.name

    @property
    def url_setting(self) -> str:
        """Field of the settings that holds its base URL."""
        return self.connection.url_setting

    @property
    def key_setting(self) -> str | None:
        """Field of the settings that holds its key, when it needs one."""
        return self.connection.key_setting

    @property
    def url_variable(self) -> str:
        """The variable that sets its base URL."""
        return self.connection.url_env[0]

    @property
    def key_variable(self) -> str | None:
        """The variable that sets its key, when it needs one."""
        return self.connection.key_env[0] if self.connection.key_env else None

    def at_address_of(self, other: Source) -> Source:
        """This source, asked at the address that is set for another one."""
        reached = replace(
            self.connection,
            url_env=other.connection.url_env,
            url_field=other.connection.url_setting,
        )
        return replace(self, connection=reached)

    def keyed(self, settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
        """The headers and the query parameters that carry the configured key, if there is one."""
        key: SecretStr | None = getattr(settings, self.key_setting) if self.key_setting else None
        if key is None or self.key is None:
            return {}, {}
        secret = key.get_secret_value()
        headers = {self.key.header: self.key.prefix + secret} if self.key.header else {}
        return headers, {self.key.param: secret} if self.key.param else {}
