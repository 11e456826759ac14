"""Which provider stands behind a series that several could tell, where nobody names one.

Belongs here: the table of choices, from what a configuration can ask. Does not belong here: reading the
configuration (``settings``, which asks once, when it is made), writing the choice down (``storage``).

A choice is made from the configuration alone, never from what data there happens to be: a provider
that is silent for a day is not another provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

AUTO = "auto"
"""Value of a setting that leaves the choice to this table."""
VENUE = "venue"
"""Value of ``open_interest_source``: what the perpetual's own venue tells, symbol by symbol."""
SOURCE_OF_PERP = MappingProxyType({"binance": "binance_futures"})
"""Providers of a perpetual's series that are not named as their venue."""
AGGREGATORS_VENUE = "binance"
"""The venue whose liquidations are asked of a provider that tells those of several."""

_BY_ROLE = MappingProxyType(
    {
        "liquidations": ("liquidation_source", "liquidation_venue"),
        "liquidation_orders": ("liquidation_order_source", None),
        "open_interest": ("open_interest_source", None),
    }
)
"""Role -> the settings that name its source and its venue."""
_KEYED = MappingProxyType(
    {
        "liquidation_source": "coinglass",
        "liquidation_order_source": "okx",
        "open_interest_source": "coinglass",
    }
)
_KEYLESS = MappingProxyType(
    {
        "liquidation_source": "okx",
        "liquidation_order_source": "okx",
        "open_interest_source": VENUE,
    }
)
_TELLS_ITSELF = frozenset({"okx", "bybit"})
"""Providers of liquidations that are the venue themselves: a quiet hour of theirs is a row with zeros."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What stands behind a role.

    Attributes:
        role: ``liquidations``, ``liquidation_orders``, ``open_interest``, ``social``.
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


def source_of_perp(venue: str) -> str:
    """The provider of the series of a venue's perpetuals."""
    return SOURCE_OF_PERP.get(venue, venue)


def chosen(named: Mapping[str, str], *, has_aggregator: bool) -> dict[str, str]:
    """The settings with every ``auto`` replaced.

    Args:
        named: the four settings as they were given.
        has_aggregator: whether Coinglass can be asked: it is configured, with its key.
    """
    # a running collector is a third column: it tells all that Bybit closes by force
    column = _KEYED if has_aggregator else _KEYLESS
    found = {field: column[field] if named[field] == AUTO else named[field] for field in column}
    venue = named["liquidation_venue"]
    source = found["liquidation_source"]
    if venue == AUTO:
        venue = source if source in _TELLS_ITSELF else AGGREGATORS_VENUE
    elif named["liquidation_source"] == AUTO and source in _TELLS_ITSELF and venue != source:
        found["liquidation_source"] = _KEYED["liquidation_source"]  # nobody else tells of it
    return found | {"liquidation_venue": venue}


def explained(
    named: Mapping[str, str],
    found: Mapping[str, str],
    *,
    variables: Mapping[str, str],
    why: str,
    open_interest: Mapping[str, str],
) -> tuple[Choice, ...]:
    """The choices with their reasons.

    Args:
        named: the settings as they were given.
        found: what :func:`chosen` made of them.
        variables: the variable of the environment that sets each.
        why: the reason of what was left to the table.
        open_interest: provider by symbol.
    """
    out = []
    for role, (field, venue) in _BY_ROLE.items():
        source = found[field]
        if role == "open_interest":
            source = ",".join(sorted(set(open_interest.values())))
        reason = why if named[field] == AUTO else f"{variables[field]} names it"
        out.append(Choice(role, source, found[venue] if venue else None, reason))
    return tuple(out)


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
