"""Tapes: what happened in the market, hour by hour, whoever asks for it in whatever format.

Belongs here: the protocol every tape fulfils and the way to name one in text. The two tapes are
:class:`SyntheticTape` (a synthetic market with planted events) and :class:`ParquetTape` (recorded
history in a folder). Does not belong here: wire formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from regime_pipeline.simulator.microstructure import Book, Closures, Trades
from regime_pipeline.simulator.plan import PlantedEvent
from regime_pipeline.simulator.recorded import NotATapeError, ParquetTape
from regime_pipeline.simulator.series import (
    Candles,
    FearGreed,
    Funding,
    Liquidations,
    Mood,
    OpenInterest,
    Series,
    Shares,
    Transfers,
)
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import Window, utc

__all__ = [
    "Candles",
    "FearGreed",
    "Funding",
    "Liquidations",
    "Mood",
    "NotATapeError",
    "OpenInterest",
    "ParquetTape",
    "PlantedEvent",
    "Shares",
    "SyntheticTape",
    "Tape",
    "Transfers",
    "tape_from_text",
]


@runtime_checkable
class Tape(Protocol):
    """Hourly market history of several venues.

    Symbols are canonical (``BTC/USDT``), venues ``binance``, ``binance_us``, ``okx``,
    ``bybit``, markets ``spot`` and ``perp``. A method answers None where the tape holds no such
    series; whether the venue lists the symbol at all is what :meth:`listed` says.
    """

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol of any venue, sorted."""
        ...

    @property
    def span(self) -> Window:
        """From the first bar's open to the last bar's close."""
        ...

    @property
    def text(self) -> str:
        """The tape's name, which :func:`tape_from_text` understands in another process."""
        ...

    def listed(self, venue: str, market: str) -> tuple[str, ...]:
        """Symbols that a venue lists, sorted."""
        ...

    def candles(self, venue: str, market: str, symbol: str) -> Candles | None:
        """Hourly bars."""
        ...

    def funding(self, venue: str, symbol: str) -> Funding | None:
        """Settled funding prints of the perpetual."""
        ...

    def open_interest(self, venue: str, symbol: str) -> OpenInterest | None:
        """Hourly open interest of the perpetual."""
        ...

    def positioning(self, venue: str, symbol: str, metric: str) -> Shares | None:
        """Long share; metric ``global_account``, ``top_account`` or ``top_position``."""
        ...

    def liquidations(self, venue: str, symbol: str) -> Liquidations | None:
        """Hourly liquidations; quiet hours are absent."""
        ...

    def volatility_index(self, symbol: str) -> Candles | None:
        """Hourly bars of implied volatility 30 days ahead, percent a year, volumes unknown."""
        ...

    @property
    def has_days(self) -> bool:
        """Whether days of derivatives were recorded as days, beside the hours or without them."""
        ...

    def days(self, kind: str, symbol: str, metric: str = "") -> Series | None:
        """Such days of a symbol, ``ts`` the day's start: what cannot be had from the hours.

        Kind ``open_interest``, ``liquidations`` and ``depth`` over several venues, ``positioning`` of
        Binance by metric.
        """
        ...

    def fear_greed(self) -> FearGreed | None:
        """The daily index."""
        ...

    @property
    def has_trades(self) -> bool:
        """Whether the tape holds single trades and books at all."""
        ...

    def order_book(
        self, venue: str, market: str, symbol: str, at_ms: int, price: float
    ) -> Book | None:
        """The book at an instant, around the price of then."""
        ...

    def trades(self, venue: str, market: str, symbol: str, hour_ms: int) -> Trades | None:
        """All trades of the hour that starts at ``hour_ms``."""
        ...

    def closures(self, venue: str, symbol: str, hour_ms: int) -> Closures | None:
        """All forced closures of the hour that starts at ``hour_ms``."""
        ...

    def mood(self, symbol: str, kind: str) -> Mood | None:
        """Hourly mood of a coin; kind ``social``, ``news`` or ``trader``."""
        ...

    def transfers(self) -> Transfers | None:
        """Large transfers of all coins, stablecoins among them."""
        ...


def tape_from_text(text: str) -> Tape:
    """A tape from its name: ``synthetic[:seed][,start=DAY][,end=DAY][,symbols=A/B+C/D]`` or a folder.

    Raises:
        NotATapeError: the folder holds no tape, or an option is not understood.
    """
    head, *options = text.split(",")
    kind, _, seed = head.partition(":")
    if kind != "synthetic":
        return ParquetTape(Path(text))
    wanted: dict[str, object] = {}
    try:
        if seed:
            wanted["seed"] = int(seed)
        for option in options:
            name, _, value = option.partition("=")
            if name in ("start", "end"):
                wanted[name] = utc(value)
            elif name == "symbols":
                wanted[name] = tuple(value.split("+"))
            else:
                raise ValueError(f"no such option: {name!r}")
    except ValueError as error:
        raise NotATapeError(f"{text!r} names no tape: {error}") from error
    return SyntheticTape(**wanted)  # type: ignore[arg-type]
