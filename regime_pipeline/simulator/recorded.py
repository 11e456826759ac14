"""Recorded history in a folder of Parquet files, as a tape.

Belongs here: reading the folder format. Does not belong here: filling holes (they stay holes),
mixing daily files into hourly series (another coverage, another level; they are served by the day
only), wire formats.

The folder: ``candles_1h.parquet`` (venue, market, symbol, ts, open, high, low, close, volume; coins,
but contracts for OKX perpetuals) is required. ``funding.parquet`` (venue, symbol, ts, funding_rate),
``derivatives_1h.parquet`` (Binance perpetuals: taker buys, trades, open interest, liquidations,
account shares) and ``fear_greed_1d.parquet`` (ts, fng) are optional, and so are days by coin, as an
aggregator has them: ``long_short_ratio_1d`` (lsr_global, lsr_top_accounts, lsr_top_positions: long over
short at Binance), ``open_interest_1d`` (oi_total_close, USD), ``liquidations_1d`` (liq_long_usd,
liq_short_usd) and ``orderbook_depth_1d`` (bids_usd, asks_usd, range_pct). Other files are not read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from regime_pipeline.simulator.errors import NotATapeError
from regime_pipeline.simulator.series import (
    HOUR_MS,
    Candles,
    Depth,
    FearGreed,
    Funding,
    Liquidations,
    OpenInterest,
    Series,
    Shares,
    canonical,
    contract_size,
)
from regime_pipeline.windows import Window

_CANDLES = "candles_1h.parquet"
_FUNDING = "funding.parquet"
_DERIVATIVES = "derivatives_1h.parquet"
_FEAR_GREED = "fear_greed_1d.parquet"
_RATIO_DAYS = "long_short_ratio_1d.parquet"
_INTEREST_DAYS = "open_interest_1d.parquet"
_LIQUIDATION_DAYS = "liquidations_1d.parquet"
_DEPTH_DAYS = "orderbook_depth_1d.parquet"
_RATIOS = {
    "global_account": "lsr_global",
    "top_account": "lsr_top_accounts",
    "top_position": "lsr_top_positions",
}
_DEPTH_PCT = 1.0
_PRICES = ("open", "high", "low", "close")
_NEEDED = {
    _CANDLES: ("venue", "market", "symbol", "ts", *_PRICES, "volume"),
    _FUNDING: ("venue", "symbol", "ts", "funding_rate"),
    _DERIVATIVES: ("symbol", "ts"),
    _FEAR_GREED: ("ts", "fng"),
    _RATIO_DAYS: ("symbol", "ts", *_RATIOS.values()),
    _INTEREST_DAYS: ("symbol", "ts", "oi_total_close"),
    _LIQUIDATION_DAYS: ("symbol", "ts", "liq_long_usd", "liq_short_usd"),
    _DEPTH_DAYS: ("symbol", "ts", "bids_usd", "asks_usd", "range_pct"),
}

Columns = dict[str, np.ndarray]


class ParquetTape:
    """Recorded history in a folder (see the module's text), read when first asked for.

    What the folder does not hold is answered with None; quote volumes are not recorded and stay
    NaN, taker buys and trade counts of Binance perpetuals come from ``derivatives_1h`` where it
    has them. An hour whose liquidation figure is null is absent from the liquidation series.

    Args:
        folder: the folder.

    Raises:
        NotATapeError: no such folder, no candles in it, or a file without its columns.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise NotATapeError(f"{self._folder} is no folder, so it holds no tape")
        if not (self._folder / _CANDLES).is_file():
            raise NotATapeError(f"{self._folder} holds no tape: {_CANDLES} is missing")
        for name, needed in _NEEDED.items():
            self._check(name, needed)

    def _check(self, name: str, needed: Iterable[str]) -> None:
        path = self._folder / name
        if not path.is_file():
            return
        try:
            present = pq.read_schema(path).names
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise NotATapeError(f"{path} is no readable Parquet file: {reason}") from error
        missing = [column for column in needed if column not in present]
        if missing:
            raise NotATapeError(f"{path} lacks {', '.join(missing)}")

    @property
    def text(self) -> str:
        """The folder's path, which names this tape in another process."""
        return str(self._folder.resolve())

    @cached_property
    def _candles(self) -> dict[tuple[str, str, str], Columns]:
        by_text = self._split(_CANDLES, ("venue", "market", "symbol"))
        result = {}
        for (venue, market, text), columns in by_text.items():
            symbol = canonical(text)
            if symbol is not None:
                result[venue, market, symbol] = columns
        if not result:
            raise NotATapeError(f"{self._folder / _CANDLES} holds no candle of a known pair")
        return result

    @cached_property
    def _funding(self) -> dict[tuple[str, str], Columns]:
        found = self._split(_FUNDING, ("venue", "symbol"))
        return {(venue, s): c for (venue, text), c in found.items() if (s := canonical(text))}

    @cached_property
    def _derivatives(self) -> dict[str, Columns]:
        found = self._split(_DERIVATIVES, ("symbol",))
        return {s: c for (text,), c in found.items() if (s := canonical(text))}

    def _split(self, name: str, keys: tuple[str, ...]) -> dict[tuple[str, ...], Columns]:
        """A file as one dict of arrays per key, ascending, the last of equal times kept."""
        path = self._folder / name
        if not path.is_file():
            return {}
        table = pq.read_table(path)
        ts = _milliseconds(table)
        if not len(ts):
            return {}
        codes = np.zeros(len(ts), dtype=np.int64)
        levels: list[list[str]] = []
        for key in keys:
            encoded = pc.dictionary_encode(table[key].cast(pa.large_string())).combine_chunks()
            levels.append(encoded.dictionary.to_pylist())
            codes = codes * len(levels[-1]) + encoded.indices.to_numpy(zero_copy_only=False)
        order = np.lexsort((ts, codes))
        codes, ts = codes[order], ts[order]
        last_of_equal = np.append((np.diff(codes) != 0) | (np.diff(ts) != 0), True)
        order, codes, ts = order[last_of_equal], codes[last_of_equal], ts[last_of_equal]
        values = {
            column: np.asarray(table[column].cast(pa.float64()), dtype=np.float64)[order]
            for column in table.column_names
            if column not in (*keys, "ts") and _is_number(table[column].type)
        }
        bounds = np.append(np.flatnonzero(np.diff(codes, prepend=-1)), len(codes))
        result = {}
        for begin, end in itertools.pairwise(bounds):
            code, parts = int(codes[begin]), []
            for level in reversed(levels):
                code, place = divmod(code, len(level))
                parts.append(level[place])
            part = slice(begin, end)
            result[tuple(reversed(parts))] = {"ts": ts[part]} | {
                column: array[part] for column, array in values.items()
            }
        return result

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol of any venue, sorted."""
        return tuple(sorted({symbol for _, _, symbol in self._candles}))

    @property
    def span(self) -> Window:
        """From the first bar's open to the last bar's close."""
        first = min(int(c["ts"][0]) for c in self._candles.values())
        last = max(int(c["ts"][-1]) for c in self._candles.values()) + HOUR_MS
        return Window(
            datetime.fromtimestamp(first / 1000, UTC), datetime.fromtimestamp(last / 1000, UTC)
        )

    def listed(self, venue: str, market: str) -> tuple[str, ...]:
        """Symbols for which the venue has candles."""
        return tuple(sorted(s for v, m, s in self._candles if (v, m) == (venue, market)))

    def candles(self, venue: str, market: str, symbol: str) -> Candles | None:
        """Hourly bars, holes left as they are."""
        columns = self._candles.get((venue, market, symbol))
        if columns is None:
            return None
        ts = columns["ts"]
        volume = columns["volume"]
        if venue == "okx" and market == "perp":
            volume = volume * contract_size(symbol)
        nothing = np.full(len(ts), np.nan)
        taker, trades = columns.get("taker_buy_base", nothing), columns.get("trade_count", nothing)
        extra = self._derivatives.get(symbol) if (venue, market) == ("binance", "perp") else None
        if extra is not None:
            taker = _placed(ts, extra, "taker_buy_volume", taker)
            trades = _placed(ts, extra, "trades", trades)
            # the two files were captured apart: a taker volume above the whole says nothing
            taker = np.where(taker > volume, np.nan, taker)
        return Candles(
            ts=ts,
            **{name: columns[name] for name in _PRICES},
            volume_base=volume,
            volume_quote=columns.get("volume_quote", nothing),
            taker_buy_base=taker,
            taker_buy_quote=columns.get("taker_buy_quote", nothing),
            trade_count=trades,
        )

    def funding(self, venue: str, symbol: str) -> Funding | None:
        """Settled prints; mark prices and predictions are not recorded."""
        columns = self._funding.get((venue, symbol))
        if columns is None:
            return None
        keep = ~np.isnan(columns["funding_rate"])
        nothing = np.full(int(keep.sum()), np.nan)
        return Funding(columns["ts"][keep], columns["funding_rate"][keep], nothing, nothing)

    def open_interest(self, venue: str, symbol: str) -> OpenInterest | None:
        """Hourly open interest of Binance; the file says USD at the close only."""
        columns = self._derivative(venue, symbol, ("oi_open", "oi_high", "oi_low", "oi_close"))
        if columns is None:
            return None
        keep = ~np.isnan(columns["oi_close"])
        base = {n: columns[f"oi_{n}"][keep] for n in _PRICES}
        usd = columns.get("oi_close_usd", np.full(len(keep), np.nan))[keep]
        price = usd / base["close"]
        return OpenInterest(
            ts=columns["ts"][keep],
            **base,
            **{f"{n}_usd": usd if n == "close" else base[n] * price for n in _PRICES},
        )

    def positioning(self, venue: str, symbol: str, metric: str) -> Shares | None:
        """Binance's share of long accounts; top traders are not recorded."""
        columns = self._derivative(venue, symbol, ("long_pct",))
        if columns is None or metric != "global_account":
            return None
        keep = ~np.isnan(columns["long_pct"])
        return Shares(columns["ts"][keep], columns["long_pct"][keep] / 100.0)

    def liquidations(self, venue: str, symbol: str) -> Liquidations | None:
        """Binance's liquidations; an hour without a figure is absent."""
        columns = self._derivative(venue, symbol, ("liq_long_usd", "liq_short_usd"))
        if columns is None:
            return None
        long, short = columns["liq_long_usd"], columns["liq_short_usd"]
        keep = ~(np.isnan(long) | np.isnan(short))
        return Liquidations(columns["ts"][keep], long[keep], short[keep])

    def volatility_index(self, symbol: str) -> None:
        """None: no option was recorded."""

    @property
    def has_days(self) -> bool:
        """Whether any of the daily files is there."""
        names = (_RATIO_DAYS, _INTEREST_DAYS, _LIQUIDATION_DAYS, _DEPTH_DAYS)
        return any((self._folder / name).is_file() for name in names)

    @cached_property
    def _days(self) -> dict[str, dict[str, Columns]]:
        """Daily file -> coin -> its columns."""
        names = (_RATIO_DAYS, _INTEREST_DAYS, _LIQUIDATION_DAYS, _DEPTH_DAYS)
        return {n: {coin: c for (coin,), c in self._split(n, ("symbol",)).items()} for n in names}

    def days(self, kind: str, symbol: str, metric: str = "") -> Series | None:
        """Recorded days of the symbol's coin; a day without a figure is absent.

        Of open interest there are dollars, under no metric; none of ``coin``.
        """
        file = {
            "positioning": _RATIO_DAYS,
            "open_interest": _INTEREST_DAYS,
            "liquidations": _LIQUIDATION_DAYS,
            "depth": _DEPTH_DAYS,
        }.get(kind, "")
        columns = self._days.get(file, {}).get(symbol.split("/")[0])
        if columns is None or (kind == "open_interest" and metric):
            return None
        ts = columns["ts"]
        made: Series
        if kind == "positioning":
            ratio = columns[_RATIOS[metric]]
            made, known = Shares(ts, ratio / (1.0 + ratio)), ratio
        elif kind == "open_interest":
            usd, nothing = columns["oi_total_close"], np.full(len(ts), np.nan)
            coins = dict.fromkeys(_PRICES, nothing)
            made, known = OpenInterest(ts, **coins, **{f"{n}_usd": usd for n in _PRICES}), usd
        elif kind == "liquidations":
            long, short = columns["liq_long_usd"], columns["liq_short_usd"]
            made, known = Liquidations(ts, long, short), long + short
        else:
            bids, asks = columns["bids_usd"], columns["asks_usd"]
            near = np.where(columns["range_pct"] == _DEPTH_PCT, bids + asks, np.nan)
            made, known = Depth(ts, bids, asks), near
        return made.rows(~np.isnan(known))

    def fear_greed(self) -> FearGreed | None:
        """The daily index as recorded; missing days stay missing."""
        columns = self._split(_FEAR_GREED, ()).get(())
        if columns is None:
            return None
        return FearGreed(columns["ts"], columns["fng"])

    @property
    def has_trades(self) -> bool:
        """No: neither books nor single trades are recorded."""
        return False

    def order_book(self, venue: str, market: str, symbol: str, at_ms: int, price: float) -> None:
        """None: books are not recorded."""

    def trades(self, venue: str, market: str, symbol: str, hour_ms: int) -> None:
        """None: single trades are not recorded."""

    def closures(self, venue: str, symbol: str, hour_ms: int) -> None:
        """None: single closures are not read."""

    def mood(self, symbol: str, kind: str) -> None:
        """Nobody recorded moods."""

    def transfers(self) -> None:
        """Nobody recorded transfers."""

    def _derivative(self, venue: str, symbol: str, needed: tuple[str, ...]) -> Columns | None:
        columns = self._derivatives.get(symbol) if venue == "binance" else None
        if columns is None or any(name not in columns for name in needed):
            return None
        return columns


def _milliseconds(table: pa.Table) -> np.ndarray:
    ts = table["ts"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
    return np.asarray(ts, dtype=np.int64)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _placed(ts: np.ndarray, other: Columns, name: str, otherwise: np.ndarray) -> np.ndarray:
    """Values of another file at the times of this one."""
    if name not in other:
        return otherwise
    place = np.searchsorted(other["ts"], ts)
    inside = np.minimum(place, len(other["ts"]) - 1)
    return np.where(other["ts"][inside] == ts, other[name][inside], otherwise)
