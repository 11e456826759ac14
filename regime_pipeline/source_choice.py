"""Which provider stands behind a series that several could tell, where nobody names one.

Belongs here: the table of choices, from what a configuration can ask. Does not belong here: reading the
configuration (``settings``, which asks once, when it is made), writing the choice down (``storage``).

A choice is made from the configuration alone, never from what data there happens to be: a provider
that is silent for a day is not another provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar

from regime_pipeline.connections import CONNECTIONS

AUTO = "auto"
"""Value of a setting that leaves the choice to this table."""
VENUE = "venue"
"""Value of ``open_interest_source``: what the perpetual's own venue tells, symbol by symbol."""
SOURCE_OF_PERP = MappingProxyType({"binance": "binance_futures"})
"""Providers of a perpetual's series that are not named as their venue."""

_AGGREGATOR = "coinglass"
_AGGREGATORS_VENUE = "binance"
"""The venue whose liquidations are asked of a provider that tells those of several."""
_TELLS_ITSELF = frozenset({"okx", "bybit", "hyperliquid"})
"""Providers of liquidations that are the venue themselves: a quiet hour of theirs is a row with zeros."""
_KEYED = MappingProxyType(
    {
        "liquidation_source": _AGGREGATOR,
        "liquidation_order_source": "okx",
        "open_interest_source": _AGGREGATOR,
    }
)
_COLLECTED = MappingProxyType(
    {
        "liquidation_source": "bybit",
        "liquidation_order_source": "bybit",
        "open_interest_source": VENUE,
    }
)
"""Without a key where the live collector runs: Bybit's stream tells every forced closure."""
_KEYLESS = MappingProxyType(
    {
        "liquidation_source": "okx",
        "liquidation_order_source": "okx",
        "open_interest_source": VENUE,
    }
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What stands behind a role.

    Attributes:
        role: ``liquidations``, ``liquidation_orders``, ``open_interest``,
            ``daily_figures``, ``social``.
        source: provider; several, separated by commas, where it depends on the symbol; None: nobody.
        venue: the exchange that it tells of; None: the one that the settings put behind a symbol.
        why: one line for a person.
    """

    role: str
    source: str | None
    venue: str | None
    why: str

    @property
    def text(self) -> str:
        """Source, venue and reason as one line."""
        of = f" of {self.venue}" if self.venue and self.venue != self.source else ""
        return f"{self.source or 'nobody'}{of} ({self.why})"


class ChosenSources:
    """What the settings tell of the providers that were chosen."""

    if TYPE_CHECKING:
        sources: tuple[str, ...]
        liquidation_source: str
        liquidation_venue: str
        liquidation_order_source: str
        open_interest_source: str
        factor_interval: Literal["1h", "1d"]
        sentiment_source_by_kind: dict[str, str]

        @property
        def model_fields_set(self) -> set[str]: ...  # noqa: D102
        @property
        def perp_venues(self) -> dict[str, str]: ...  # noqa: D102
        @property
        def collected(self) -> tuple[str, ...]: ...  # noqa: D102

    def can_ask(self, provider: str) -> bool:
        """Whether a provider is configured, with its address and its key."""
        row = CONNECTIONS.get(provider)
        if row is None or provider not in self.sources:
            return False
        needed = (row.url_setting, row.key_setting)
        return all(getattr(self, name) is not None for name in needed if name)

    @property
    def open_interest_sources(self) -> dict[str, str]:
        """Symbol to the provider of its open interest."""
        if self.open_interest_source == VENUE:
            return {s: source_of_perp(v) for s, v in self.perp_venues.items()}
        return dict.fromkeys(self.perp_venues, self.open_interest_source)

    @property
    def daily_source(self) -> str:
        """The provider of the daily figures behind factors that are made of days."""
        return _AGGREGATOR

    @property
    def social_source(self) -> str | None:
        """The provider of social moods; None where none is configured that can be asked."""
        name = self.sentiment_source_by_kind.get("social", "")
        return name if self.can_ask(name) else None

    @property
    def quiet_hours_source(self) -> str | None:
        """Provider whose open interest tells quiet hours of ``liquidation_source``; None: no need."""
        return witness_of(self.liquidation_source)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What stands behind the series that several providers could tell, and why."""
        key = CONNECTIONS[_AGGREGATOR].key_env[0]
        left = f"{key} is set" if self.can_ask(_AGGREGATOR) else f"{key} is not set, or unused"
        if self.liquidation_source == "bybit":
            left += "; the live collector is on"

        def why(*fields: str) -> str:
            named = [f"REGIME_{f.upper()}" for f in fields if f in self.model_fields_set]
            return f"{' and '.join(named)} set" if named else left

        social = self.social_source
        days = self.daily_source if self.factor_interval == "1d" else None
        interest = ",".join(sorted(set(self.open_interest_sources.values())))
        orders = self.liquidation_order_source
        return (
            Choice(
                "liquidations",
                self.liquidation_source,
                self.liquidation_venue,
                why("liquidation_source", "liquidation_venue"),
            ),
            Choice("liquidation_orders", orders, None, why("liquidation_order_source")),
            Choice("open_interest", interest, None, why("open_interest_source")),
            Choice("daily_figures", days, None, f"factors are made of {self.factor_interval}"),
            Choice("social", social, None, "can be asked" if social else "no source can be asked"),
        )


_Chooser = TypeVar("_Chooser", bound=ChosenSources)


def source_of_perp(venue: str) -> str:
    """The provider of the series of a venue's perpetuals."""
    return SOURCE_OF_PERP.get(venue, venue)


def chosen(settings: ChosenSources) -> dict[str, str]:
    """The fields that were left to this table, with its choice."""
    unkeyed = _COLLECTED if "bybit" in settings.collected else _KEYLESS
    column = _KEYED if settings.can_ask(_AGGREGATOR) else unkeyed
    named = {field: getattr(settings, field) for field in column}
    found = {field: column[field] for field, value in named.items() if value == AUTO}
    source = found.get("liquidation_source", settings.liquidation_source)
    if settings.liquidation_venue == AUTO:
        venue = source if source in _TELLS_ITSELF else _AGGREGATORS_VENUE
        return found | {"liquidation_venue": venue}
    if source in _TELLS_ITSELF - {settings.liquidation_venue} and "liquidation_source" in found:
        found["liquidation_source"] = _AGGREGATOR  # nobody else tells of the venue that is named
    return found


def choose(settings: _Chooser) -> _Chooser:
    """The settings with every ``auto`` replaced; a field so filled counts as one that nobody named."""
    for field, value in chosen(settings).items():
        object.__setattr__(settings, field, value)
        settings.model_fields_set.discard(field)
    return settings


def witness_of(source: str) -> str | None:
    """The provider whose open interest tells a quiet hour of its liquidations from a missed one.

    None for one whose quiet hours are stored as such.
    """
    return None if source in _TELLS_ITSELF else source


def versioned(method: str, source: str, venue: str | None = None) -> str:
    """A method's version with the series behind it: ``liquidations/3@okx``.

    An aggregator's venue is named too, as in ``liquidations/3@coinglass:binance``.
    """
    series = source if venue in (None, source) else f"{source}:{venue}"
    return f"{method}@{series}"
