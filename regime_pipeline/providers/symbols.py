"""Symbols: canonical ``BASE/QUOTE`` names and what each venue calls the same instrument.

Belongs here: naming, renamings, and contracts that trade a multiple of the coin. Does not belong here: which
instruments exist; a venue says so itself when it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from regime_pipeline.settings import SYMBOL_PATTERN
from regime_pipeline.windows import Window

MULTIPLIED = MappingProxyType(
    {
        # low-priced coins whose USDT perpetual trades a multiple of the coin (Binance USD-M)
        ("binance", "perp"): MappingProxyType(
            {
                "BONK": 1_000,
                "CAT": 1_000,
                "CHEEMS": 1_000,
                "FLOKI": 1_000,
                "LUNC": 1_000,
                "PEPE": 1_000,
                "RATS": 1_000,
                "SATS": 1_000,
                "SHIB": 1_000,
                "XEC": 1_000,
                "MOG": 1_000_000,
            }
        ),
        # Bybit's linear contracts: other multiples for some coins, one with the number behind
        ("bybit", "perp"): MappingProxyType(
            {
                "BONK": 1_000,
                "CAT": 1_000,
                "CHEEMS": 1_000_000,
                "FLOKI": 1_000,
                "LUNC": 1_000,
                "PEPE": 1_000,
                "RATS": 1_000,
                "SATS": 10_000,
                "SHIB": 1_000,
                "XEC": 1_000,
                "MOG": 1_000_000,
            }
        ),
    }
)
"""(venue, market) -> base coin -> coins per contract unit."""

RENAMED = MappingProxyType(
    {
        # trading under the old name ended on 2024-09-10 (contracts a day before) and began under the
        # new one on 2024-09-13, one for one: any instant in between divides the two exactly
        ("binance", "POL"): ("MATIC", datetime(2024, 9, 12, tzinfo=UTC)),
    }
)
"""(venue, base coin) -> what the venue called it before, and until when.

A coin has one canonical symbol, of its present name, over all of its history. Only a renaming one for
one belongs here: where holders got another number of coins, the old series is another series, and
ends."""

_NUMBER_BEHIND = frozenset({"SHIB"})  # Bybit's SHIB1000USDT
_PREFIX = MappingProxyType({1_000: "1000", 10_000: "10000", 1_000_000: "1000000"})


@dataclass(frozen=True, slots=True)
class VenueSymbol:
    """One instrument under the name a venue gives it.

    ``multiplier`` coins stand behind one unit of it: prices are divided and amounts multiplied by it
    to be about the coin.
    """

    canonical: str
    name: str
    multiplier: int = 1


def split(symbol: str) -> tuple[str, str]:
    """Base and quote of a canonical symbol.

    Raises:
        ValueError: it is not written ``BASE/QUOTE``.
    """
    if not SYMBOL_PATTERN.match(symbol):
        raise ValueError(f"symbols are written BASE/QUOTE, as BTC/USDT; got {symbol!r:.60}")
    base, quote = symbol.split("/")
    return base, quote


def _binance_spot(symbol: str) -> VenueSymbol:
    return VenueSymbol(symbol, "".join(split(symbol)))


def _binance_perp(symbol: str) -> VenueSymbol:
    base, quote = split(symbol)
    times = MULTIPLIED["binance", "perp"].get(base, 1) if quote in ("USDT", "USDC") else 1
    return VenueSymbol(symbol, f"{_PREFIX.get(times, '')}{base}{quote}", times)


def _bybit_perp(symbol: str) -> VenueSymbol:
    base, quote = split(symbol)
    times = MULTIPLIED["bybit", "perp"].get(base, 1) if quote == "USDT" else 1
    number = _PREFIX.get(times, "")
    name = f"{base}{number}" if base in _NUMBER_BEHIND else f"{number}{base}"
    return VenueSymbol(symbol, f"{name}{quote}", times)


def _okx_spot(symbol: str) -> VenueSymbol:
    return VenueSymbol(symbol, "-".join(split(symbol)))


def _okx_perp(symbol: str) -> VenueSymbol:
    return VenueSymbol(symbol, "-".join((*split(symbol), "SWAP")))


def _coin(symbol: str) -> VenueSymbol:
    return VenueSymbol(symbol, split(symbol)[0])


_NAMING: dict[tuple[str, str], Callable[[str], VenueSymbol]] = {
    ("binance", "spot"): _binance_spot,
    ("binance", "index"): _binance_spot,
    ("binance", "perp"): _binance_perp,
    ("binance_us", "spot"): _binance_spot,
    ("bybit", "spot"): _binance_spot,
    ("bybit", "perp"): _bybit_perp,
    ("okx", "spot"): _okx_spot,
    ("okx", "perp"): _okx_perp,
    ("coin", "perp"): _coin,
    ("coin", "index"): _coin,
}


def to_venue(symbol: str, venue: str, market: str) -> VenueSymbol:
    """What ``venue`` calls ``symbol`` on ``market`` (``coin`` as venue: the base coin).

    Raises:
        ValueError: the symbol is not canonical, or nothing is known about the venue's names.
    """
    try:
        naming = _NAMING[venue, market]
    except KeyError:
        raise ValueError(f"no symbol names known for {venue} {market}") from None
    return naming(symbol)


def names_over(
    symbol: str, venue: str, market: str, window: Window
) -> list[tuple[VenueSymbol, Window]]:
    """What a venue called a symbol in each part of a window, from old to new.

    Parts are never empty, but for an empty window, which has the present name.

    Raises:
        ValueError: as :func:`to_venue`.
    """
    present = to_venue(symbol, venue, market)
    base, quote = split(symbol)
    before, until = RENAMED.get((venue, base), (base, window.start))
    if until <= window.start:
        return [(present, window)]
    past = replace(to_venue(f"{before}/{quote}", venue, market), canonical=symbol)
    if until >= window.end:
        return [(past, window)]
    return [(past, Window(window.start, until)), (present, Window(until, window.end))]


_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD", "EUR", "BTC", "ETH", "BNB")
_SWAP = re.compile(r"^([A-Z0-9]+)-([A-Z0-9]+)(-SWAP)?$")
_PRESENT = {(venue, old): new for (venue, new), (old, _) in RENAMED.items()}
_BEHIND = re.compile(r"^([A-Z][A-Z0-9]*?)(1000000|10000|1000)$")
_TIMES = re.compile(r"^(1000000|10000|1000)([A-Z][A-Z0-9]*)$")


def to_canonical(name: str, venue: str, market: str) -> str:
    """The canonical symbol behind a venue's name, the inverse of :func:`to_venue`.

    Raises:
        ValueError: the name does not read as an instrument of that venue.
    """
    if venue == "okx":
        match = _SWAP.match(name)
        if match is None or (match.group(3) is not None) != (market == "perp"):
            raise ValueError(f"no {market} instrument of okx: {name!r:.60}")
        return f"{match.group(1)}/{match.group(2)}"
    for quote in _QUOTES:
        base = name.removesuffix(quote)
        if base and base != name and re.fullmatch(r"[A-Z0-9]{1,27}", base):
            times = _TIMES.match(base)
            if times and times.group(2) in MULTIPLIED.get((venue, market), {}):
                base = times.group(2)
            behind = _BEHIND.match(base)
            if behind and venue == "bybit" and behind.group(1) in _NUMBER_BEHIND:
                base = behind.group(1)
            base = _PRESENT.get((venue, base), base)
            return f"{base}/{quote}"
    raise ValueError(f"no {market} instrument of {venue}: {name!r:.60}")
