"""Symbols: canonical ``BASE/QUOTE`` names and what each venue calls the same instrument.

Belongs here: naming, renamings, and contracts that trade a multiple of the coin. Does not belong here: which
instruments exist; a venue says so itself when it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from regime_pipeline.settings import SYMBOL_PATTERN
from regime_pipeline.windows import Window

_BINANCE = {
    "1000BONK", "1000CAT", "1000CHEEMS", "1000FLOKI", "1000LUNC", "1000PEPE", "1000RATS", "1000SATS",
    "1000SHIB", "1000XEC", "1000000MOG", "1MBABYDOGE",
}  # fmt: skip
_BINANCE_SPOT = {"1000CAT", "1000CHEEMS", "1000SATS", "1MBABYDOGE"}
_BYBIT = {
    "1000BONK", "1000CAT", "1000000CHEEMS", "1000FLOKI", "1000LUNC", "1000PEPE", "1000RATS",
    "10000SATS", "SHIB1000", "1000XEC", "1000000MOG", "1000000BABYDOGE",
}  # fmt: skip
_HYPERLIQUID = {"kBONK", "kDOGS", "kFLOKI", "kLUNC", "kNEIRO", "kPEPE", "kSHIB"}
_TIMES = {"1000": 1_000, "10000": 10_000, "1000000": 1_000_000, "1M": 1_000_000, "k": 1_000}
_NAME = re.compile(r"(1000000|10000|1000|1M|k)?([A-Z][A-Z0-9]*?)(1000000|10000|1000)?")


def _by_coin(names: set[str]) -> MappingProxyType[str, tuple[str, int]]:
    """Coin -> the name of its multiple and how many coins that is, from names such as 1000PEPE."""
    found = {}
    for name in names:
        match = _NAME.fullmatch(name)
        assert match is not None
        before, coin, behind = match.groups()
        found[coin] = (name, _TIMES[before or behind])
    return MappingProxyType(found)


MULTIPLIED = MappingProxyType(
    {
        ("binance", "spot"): _by_coin(_BINANCE_SPOT),
        ("binance", "perp"): _by_coin(_BINANCE),
        ("bybit", "perp"): _by_coin(_BYBIT),
        ("hyperliquid", "perp"): _by_coin(_HYPERLIQUID),
    }
)
"""(venue, market) -> coin -> (name of the instrument's base, coins behind one unit of it).

Low-priced coins trade by the multiple in some markets, and by another one in others."""

_RENAMINGS = (
    # (before, after, an instant between the end of trading under the old name and the begin under the
    # new one on Binance; elsewhere the days of the change are the same to within some days, and an
    # hour that the venue had under the other name then stays missing)
    ("RNDR", "RENDER", datetime(2024, 7, 24, tzinfo=UTC)),
    ("MATIC", "POL", datetime(2024, 9, 12, tzinfo=UTC)),
    ("KLAY", "KAIA", datetime(2024, 10, 30, tzinfo=UTC)),
    ("FTM", "S", datetime(2025, 1, 15, tzinfo=UTC)),
    ("EOS", "A", datetime(2025, 5, 27, tzinfo=UTC)),
)
RENAMED = MappingProxyType(
    {
        (venue, after): (before, until)
        for venue in ("binance", "okx", "bybit")
        for before, after, until in _RENAMINGS
    }
)
"""(venue, base coin) -> what the venue called it before, and until when.

A coin has one canonical symbol, of its present name, over all of its history. Only a renaming one for
one belongs here: where holders got another number of coins, the old series is another series, and
ends."""


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


def _joined(symbol: str, venue: str, market: str, quotes: tuple[str, ...]) -> VenueSymbol:
    """Base and quote as one word, the base by its multiple where the market trades that."""
    base, quote = split(symbol)
    known: Mapping[str, tuple[str, int]] = (
        MULTIPLIED.get((venue, market), {}) if quote in quotes else {}
    )
    name, times = known.get(base, (base, 1))
    return VenueSymbol(symbol, f"{name}{quote}", times)


def _plain(symbol: str) -> VenueSymbol:
    return _joined(symbol, "", "", ())


def _binance_spot(symbol: str) -> VenueSymbol:
    return _joined(symbol, "binance", "spot", ("USDT", "USDC", "FDUSD", "TRY"))


def _binance_perp(symbol: str) -> VenueSymbol:
    return _joined(symbol, "binance", "perp", ("USDT", "USDC"))


def _bybit_perp(symbol: str) -> VenueSymbol:
    return _joined(symbol, "bybit", "perp", ("USDT",))


def _okx_spot(symbol: str) -> VenueSymbol:
    return VenueSymbol(symbol, "-".join(split(symbol)))


def _okx_perp(symbol: str) -> VenueSymbol:
    return VenueSymbol(symbol, "-".join((*split(symbol), "SWAP")))


def _coin(symbol: str) -> VenueSymbol:
    return VenueSymbol(symbol, split(symbol)[0])


def _hyperliquid_perp(symbol: str) -> VenueSymbol:
    """The coin's name; perpetuals are settled in USDC whatever dollar the symbol is quoted in."""
    base, _ = split(symbol)
    name, times = MULTIPLIED["hyperliquid", "perp"].get(base, (base, 1))
    return VenueSymbol(symbol, name, times)


def _deribit_perp(symbol: str) -> VenueSymbol:
    return VenueSymbol(symbol, f"{split(symbol)[0]}-PERPETUAL")


_NAMING: dict[tuple[str, str], Callable[[str], VenueSymbol]] = {
    ("binance", "spot"): _binance_spot,
    ("binance", "index"): _plain,
    ("binance", "perp"): _binance_perp,
    ("binance_us", "spot"): _plain,
    ("bybit", "spot"): _plain,
    ("bybit", "perp"): _bybit_perp,
    ("okx", "spot"): _okx_spot,
    ("okx", "perp"): _okx_perp,
    ("hyperliquid", "perp"): _hyperliquid_perp,
    ("deribit", "perp"): _deribit_perp,
    ("deribit", "index"): _coin,
    ("deribit", "option"): _coin,
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
