"""A small synthetic market as rows of every raw table that derived tables are made of.

Belongs here: the clean rows, and what "after t" and "garbage" mean for each raw table. The prices,
prints and sums are the synthetic tape's; books, trades and moods are drawn here, for the last days
only, because nothing looks far back at them. Does not belong here: computing anything from the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import numpy as np
import orjson
import pandas as pd

from regime_pipeline.catalogue import FIELDS, Kind, table
from regime_pipeline.catalogue.datasets import BY_TABLE
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.providers.trades import SIZE_BINS
from regime_pipeline.quality.evaluate import BLOCKING
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.series import Series
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import DAY, HOUR, Window, utc
from regime_pipeline_tests.proofs import options

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
END = utc("2024-10-04")  # a Friday: the running week is open
START = END - 440 * DAY
"""The longest lookback is 405 days; the rest are the days that tests look at."""
RECENT = END - 14 * DAY
"""From here on there are books, single trades, moods and transfers as thick as live ones."""
THIN = Window(END - 32 * DAY, RECENT)
"""Before that so many that whoever judges them by a month has one: a book an hour, no single trades."""

Frames = dict[str, pd.DataFrame]

MINUTE = timedelta(minutes=1)

_MARKETS = (("spot", "binance"), ("perp", "binance_futures"))
_SNAPSHOTS = 13


def settings() -> Settings:
    """Settings of the world; the derivatives come from the sources that are chosen with every key."""
    named = ("coinglass_api_key", "lunarcrush_api_key", "whale_alert_api_key", "sentiment_api_key")
    keys = dict.fromkeys(named, "a-key-of-somebody")
    return Settings(  # type: ignore[call-arg]
        symbols=SYMBOLS,
        start_date=START.date(),
        sentiment_api_url="http://127.0.0.1:9",
        _env_file=None,
        **keys,
    )


@cache
def clean(seed: int = 8, start: datetime = START, end: datetime = END) -> Frames:
    """Raw rows by table; never to be changed in place.

    The seed is one whose last days have correlation breaks, a lead, confirmed regimes and changes of
    volatility; funding runs with their reversals and a cascade are planted.
    """
    tape = SyntheticTape(seed, start, end, SYMBOLS)
    rng = np.random.default_rng(seed)
    rng_more = np.random.default_rng(seed + 2)
    rng_thin = np.random.default_rng(seed + 3)
    recent = Window(max(RECENT, start), end)
    made = {
        "raw.candles": _candles(tape),
        "raw.funding_rates": _funding(tape),
        "raw.funding_predictions": _predictions(recent, rng_more),
        "raw.liquidation_events": _orders(recent, rng_more),
        "raw.open_interest": _open_interest(tape),
        "raw.liquidations": _liquidations(tape),
        "raw.positioning": _positioning(tape, rng),
        "raw.fear_greed": _fear_greed(tape),
        "raw.order_book": _order_book(recent, rng),
        "raw.trade_flow": _trade_flow(recent, rng),
        "raw.sentiment": _sentiment(recent, rng),
        "raw.whale_transfers": _whales(recent, rng),
        "raw.coin_markets": _coin_markets(tape, recent),
        "raw.dashboard_signals": _ready_made(recent, rng_thin),
        "raw.derivatives_1d": _days(recent, rng_thin),
        "raw.volatility_index": options.index_rows(tape),
        "raw.option_chain": options.chain_rows(tape, recent),
    }
    if start < THIN.start and end == END:
        for name, rows in (
            ("raw.order_book", _order_book(THIN, rng_thin, snapshots=1)),
            ("raw.sentiment", _sentiment(THIN, rng_thin)),
            ("raw.whale_transfers", _whales(THIN, rng_thin, begin="t")),
        ):
            made[name] = pd.concat([rows, made[name]], ignore_index=True)
    holed = np.random.default_rng(seed + 1)
    rows = {name: _holed(_stored(name, rows), recent, holed) for name, rows in made.items()}
    return rows if end < END else _with_wrong_rows(rows)


WRONG_FROM = END - 4 * DAY
WRONG = {
    # what a check withholds: source, symbol, hour, columns and the factor they are off by
    "raw.candles": (
        ("binance", "BTC/USDT", "2024-10-01 07:00", ("high", "close"), 40.0),
        ("binance_futures", "SOL/USDT", "2024-09-29 23:00", ("low", "close"), 0.1),
        ("binance", "SOL/USDT", "2024-10-01 23:00", ("high", "close"), 5.0),
        ("binance", "ETH/USDT", "2024-07-15 10:00", ("high", "close"), 3.0),  # in the history
    ),
    "raw.funding_rates": (
        ("binance_futures", "ETH/USDT", "2024-10-01 16:00", ("funding_rate",), 1e4),
    ),
}


def _with_wrong_rows(frames: Frames) -> Frames:
    """Rows that are withheld: jumps nobody follows, an impossible print, rows stored too early.

    Two rows of every table with a time of arrival say that they were stored before their time.
    """
    out = {}
    for name, rows in frames.items():
        rows = rows.copy()
        for source, symbol, at, columns, factor in WRONG.get(name, ()):
            hit = (rows["source"] == source) & (rows["symbol"] == symbol)
            hit &= rows["ts"] == pd.Timestamp(at, tz="UTC")
            assert hit.sum() == 1, (name, at)
            for column in columns:
                rows.loc[hit, column] *= factor
        if name in BLOCKING:
            length = pd.Timedelta(BY_TABLE[name].length)
            arrived = np.maximum(rows["available_at"], rows["ts"] + length) + 2 * MINUTE
            late = np.flatnonzero((rows["ts"] >= WRONG_FROM).to_numpy())
            early = np.random.default_rng(len(rows)).choice(late, 2, replace=False)
            arrived.iloc[early] = (rows["ts"] + length - MINUTE).iloc[early]
            rows["ingested_at"] = arrived.dt.as_unit("us")
        out[name] = rows
    return out


def _holed(rows: pd.DataFrame, window: Window, rng: np.random.Generator) -> pd.DataFrame:
    """The rows without those of a few hours, so that rules about gaps have something to do."""
    hours = int((window.end - window.start) / HOUR)
    lost = window.start + pd.to_timedelta(rng.choice(hours, hours // 60, replace=False), unit="h")
    gone = rows["ts"].dt.floor("h").isin(lost.as_unit("us")) & (rows["ts"].dt.hour % 8 != 0)
    return rows[~gone].reset_index(drop=True)


def _stored(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with every column of the table, sorted by its key as the warehouse gives them."""
    item = table(name)
    for column in item.fields:
        if column not in rows:
            rows[column] = {"source_tier": 1, "pit_grade": "assumed"}.get(column)
    if rows["available_at"].isna().all():
        rows["available_at"] = rows["ts"] + HOUR
    frame = conform(rows[list(item.fields)], item)
    return frame.sort_values(list(item.key), ignore_index=True)


def _stamps(series: Series) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(series.ts.astype("datetime64[ms]"), tz="UTC").as_unit("us")


def _each(series: Callable[[str], Series | None], names: dict[str, str], **fixed: object):
    parts = []
    for symbol in SYMBOLS:
        found = series(symbol)
        assert found is not None
        values = {ours: getattr(found, theirs) for ours, theirs in names.items()}
        parts.append(pd.DataFrame({"symbol": symbol, "ts": _stamps(found), **values, **fixed}))
    return pd.concat(parts, ignore_index=True)


def _candles(tape: SyntheticTape) -> pd.DataFrame:
    names = ["open", "high", "low", "close", "volume_base", "volume_quote"]
    names += ["taker_buy_base", "taker_buy_quote", "trade_count"]
    return pd.concat(
        [
            _each(
                lambda s, m=market: tape.candles("binance", m, s),
                {n: n for n in names},
                source=source, venue="binance", market=market, timeframe="1h",
            )
            for market, source in _MARKETS
        ],
        ignore_index=True,
    )  # fmt: skip


def _funding(tape: SyntheticTape) -> pd.DataFrame:
    rows = _each(
        lambda s: tape.funding("binance", s),
        {"funding_rate": "rate", "mark_price": "mark_price"},
        source="binance_futures", venue="binance", market="perp", interval_hours=8,
    )  # fmt: skip
    rows["ts"] = rows["ts"].dt.round("min")
    # every nine days one print far above its month and one far below after it
    for number, symbol in enumerate(SYMBOLS):
        own = np.flatnonzero(rows["symbol"] == symbol)
        rows.loc[own[6 + 3 * number :: 27], "funding_rate"] = 0.003
        rows.loc[own[7 + 3 * number :: 27], "funding_rate"] = -0.0005
    return rows.assign(available_at=rows["ts"])


def _predictions(window: Window, rng: np.random.Generator) -> pd.DataFrame:
    """Running estimates, asked a few minutes past every hour, some exactly on it."""
    hours = pd.date_range(window.start, window.end, freq="h", inclusive="left").as_unit("us")
    parts = []
    for symbol in SYMBOLS:
        minutes = np.where(rng.uniform(size=len(hours)) < 0.1, 0, rng.integers(1, 9, len(hours)))
        seen = hours + pd.to_timedelta(minutes, unit="min")
        parts.append(
            pd.DataFrame(
                {
                    "source": "binance_futures", "venue": "binance", "market": "perp",
                    "symbol": symbol, "ts": hours, "available_at": seen.as_unit("us"),
                    "predicted_rate": rng.normal(1e-4, 1e-4, len(hours)),
                    "predicted_for": (hours.floor("8h") + 8 * HOUR).as_unit("us"),
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _orders(window: Window, rng: np.random.Generator) -> pd.DataFrame:
    """Single liquidation orders in bursts, enough of them for a fit within the two weeks."""
    seconds = (window.end - window.start).total_seconds()
    parts = []
    for symbol in SYMBOLS:
        for side in ("long", "short"):
            bursts = rng.uniform(0, seconds, 700)
            at = np.sort(np.concatenate([bursts, bursts[:500] + rng.exponential(120, 500)]))
            at = at[at < seconds]
            at[::30] -= at[::30] % 3600  # some exactly on the hour
            stamps = window.start + pd.to_timedelta(at.round(3), unit="s")
            parts.append(
                pd.DataFrame(
                    {
                        "source": "okx", "venue": "okx", "market": "perp", "symbol": symbol,
                        "ts": pd.DatetimeIndex(stamps).as_unit("us"),
                        "closure_id": [f"{side}{i:05d}" for i in range(len(at))],
                        "position_side": side, "price": rng.uniform(99, 101, len(at)).round(1),
                        "quantity_base": 1.0, "liquidation_usd": rng.exponential(2e4, len(at)),
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _open_interest(tape: SyntheticTape) -> pd.DataFrame:
    return _each(
        lambda s: tape.open_interest("binance", s),
        {"open_interest_base": "close", "open_interest_usd": "close_usd"},
        source="coinglass", venue="binance", market="perp",
    )  # fmt: skip


def _liquidations(tape: SyntheticTape) -> pd.DataFrame:
    rows = _each(
        lambda s: tape.liquidations("binance", s),
        {"long_liquidations_usd": "long_usd", "short_liquidations_usd": "short_usd"},
        source="coinglass", venue="binance", market="perp", timeframe="1h",
    )  # fmt: skip
    struck = rows["ts"].isin([pd.Timestamp(tape.span.end - 60 * HOUR + k * HOUR) for k in (0, 1)])
    rows.loc[struck, "long_liquidations_usd"] = 9e7
    return rows


def _positioning(tape: SyntheticTape, rng: np.random.Generator) -> pd.DataFrame:
    shares = {
        "global_account_long_frac": "global_account",
        "top_trader_account_long_frac": "top_account",
        "top_trader_position_long_frac": "top_position",
    }
    common = {"source": "binance_futures", "venue": "binance", "market": "perp"}
    parts = [
        _each(
            lambda s, m=metric: tape.positioning("binance", s, m),
            {"value": "long"}, metric=name, **common,
        )
        for name, metric in shares.items()
    ]  # fmt: skip
    for name in ("taker_buy_base", "taker_sell_base"):
        volume = parts[0].assign(metric=name)
        parts.append(volume.assign(value=rng.uniform(50, 100, len(volume)).round(3)))
    return pd.concat(parts, ignore_index=True)


def _fear_greed(tape: SyntheticTape) -> pd.DataFrame:
    found = tape.fear_greed()
    assert found is not None
    stamps = _stamps(found)
    return pd.DataFrame(
        {
            "source": "alternative_me", "ts": stamps, "fear_greed": found.value,
            "available_at": stamps + timedelta(minutes=15),
        }
    )  # fmt: skip


def _cells(window: Window) -> Iterator[tuple[dict[str, object], pd.DatetimeIndex]]:
    hours = pd.date_range(window.start, window.end, freq="h", inclusive="left").as_unit("us")
    for market, source in _MARKETS:
        for symbol in SYMBOLS:
            yield dict(source=source, venue="binance", market=market, symbol=symbol), hours


def _order_book(
    window: Window, rng: np.random.Generator, *, snapshots: int = _SNAPSHOTS
) -> pd.DataFrame:
    parts = []
    for cell, hours in _cells(window):
        # the first of an hour is sampled at its very start: at t, when the hour before is decided
        stamps = (
            hours.repeat(snapshots)
            + pd.to_timedelta(np.tile(np.arange(snapshots) * 270, len(hours)), unit="s")
        ).as_unit("us")
        n = len(stamps)
        mid = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, n)))
        spread = rng.uniform(0.5, 3, n)
        depth = rng.lognormal(13, 0.3, (6, n))
        names = [f"depth_{band}bps_{side}_usd" for band in (10, 25, 50) for side in ("bid", "ask")]
        parts.append(
            pd.DataFrame(
                {
                    **cell, "ts": stamps, "book_ts": stamps, "book_age_s": 1.0, "mid": mid,
                    "best_bid": mid * (1 - spread / 2e4), "best_ask": mid * (1 + spread / 2e4),
                    "microprice": mid, "spread_bps": spread,
                    **dict(zip(names, depth, strict=True)),
                    "imbalance": (depth[2] - depth[3]) / (depth[2] + depth[3]),
                    "bid_levels": 100, "ask_levels": 100, "book_reach_bps": 60.0,
                    "is_lower_bound": False, "available_at": stamps,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _trade_flow(window: Window, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for cell, hours in _cells(window):
        n = len(hours)
        counts = rng.poisson(np.exp(-0.15 * np.abs(np.arange(SIZE_BINS) - 40)) * 40, (n, SIZE_BINS))
        values = counts * 1.2 ** np.arange(SIZE_BINS) * rng.uniform(0.9, 1.1, (n, SIZE_BINS))
        buy, sell = rng.uniform(1, 2, n), rng.uniform(1, 2, n)
        parts.append(
            pd.DataFrame(
                {
                    **cell, "ts": hours, "taker_buy_base": buy, "taker_sell_base": sell,
                    "taker_buy_quote": buy * 100, "taker_sell_quote": sell * 100,
                    "taker_buy_count": 50, "taker_sell_count": 60,
                    "size_counts": [orjson.dumps(r.tolist()).decode() for r in counts],
                    "size_values": [orjson.dumps(r.tolist()).decode() for r in values],
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _sentiment(window: Window, rng: np.random.Generator) -> pd.DataFrame:
    hours = pd.date_range(window.start, window.end, freq="h", inclusive="left").as_unit("us")
    n = len(hours)
    parts = []
    for symbol in SYMBOLS:
        for source, kind, late in (("lunarcrush", "social", 60), ("sentiment", "trader", 3)):
            parts.append(
                pd.DataFrame(
                    {
                        "source": source, "sentiment_kind": kind, "symbol": symbol,
                        "item": "aggregate", "ts": hours,
                        "sentiment_score": rng.uniform(20, 80, n),
                        "mention_count": rng.integers(5, 500, n),
                        "source_confidence": rng.uniform(0.2, 0.9, n),
                        "available_at": hours + timedelta(minutes=late),
                    }
                )
            )  # fmt: skip
        written = hours + pd.to_timedelta(rng.integers(0, 3600, n), unit="s")
        written = written.where(rng.uniform(size=n) > 0.1, hours)  # some exactly on the hour
        parts.append(
            pd.DataFrame(
                {
                    "source": "sentiment", "sentiment_kind": "news", "symbol": symbol,
                    "item": [f"post {i}" for i in range(n)], "ts": written.as_unit("us"),
                    "sentiment_score": np.where(
                        rng.uniform(size=n) < 0.1, np.nan, rng.uniform(20, 80, n)
                    ),
                    "mention_count": 1, "source_confidence": rng.uniform(0.2, 0.9, n),
                    "available_at": written + pd.to_timedelta(rng.integers(0, 3, n), unit="h"),
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True).assign(sentiment_scope="symbol")


def _whales(window: Window, rng: np.random.Generator, *, begin: str = "") -> pd.DataFrame:
    n = int((window.end - window.start) / HOUR) * 6
    seconds = np.sort(rng.integers(0, int((window.end - window.start).total_seconds()), n))
    seconds[::20] -= seconds[::20] % 3600  # some blocks exactly on the hour
    stamps = pd.DatetimeIndex(window.start + pd.to_timedelta(seconds, unit="s")).as_unit("us")
    kinds = ["exchange", "unknown", "exchange", "unknown", "other"]
    return pd.DataFrame(
        {
            "source": "whale_alert", "blockchain": "chain", "ts": stamps,
            "transaction_hash": [f"{begin}{i:08x}" for i in range(n)], "transfer_id": "0",
            "coin": rng.choice(["BTC", "ETH", "SOL", "USDT", "WBTC", "DOGE"], n),
            "transaction_type": "transfer", "transfer_amount": 1.0,
            "transfer_usd": rng.lognormal(14, 1, n).round(2),
            "from_owner_type": rng.choice(kinds, n), "to_owner_type": rng.choice(kinds, n),
            "listing_complete": True,
            "available_at": stamps + pd.to_timedelta(rng.integers(0, 90, n), unit="min"),
        }
    )  # fmt: skip


def _coin_markets(tape: SyntheticTape, window: Window) -> pd.DataFrame:
    """A coin page an hour, asked some minutes past it: twenty times the hour's open interest."""
    rows = _open_interest(tape)
    rows = rows[(rows["ts"] >= window.start) & (rows["ts"] < window.end)]
    seen = rows["ts"] + pd.to_timedelta(rows["ts"].dt.hour % 7, unit="min")  # some exactly on it
    return pd.DataFrame(
        {
            "source": "coinglass", "symbol": rows["symbol"], "ts": rows["ts"],
            "market_cap_usd": 20 * rows["open_interest_usd"], "available_at": seen,
        }
    ).reset_index(drop=True)  # fmt: skip


def _days(window: Window, rng: np.random.Generator) -> pd.DataFrame:
    """Daily figures, which these settings make nothing of."""
    days = pd.date_range(window.start, window.end, freq="D", inclusive="left").as_unit("us")
    parts = [
        pd.DataFrame(
            {
                "source": "coinglass", "venue": "binance", "market": "perp", "symbol": symbol,
                "metric": "global_account_long_frac", "ts": days,
                "value": rng.uniform(0.4, 0.6, len(days)), "available_at": days + DAY,
            }
        )
        for symbol in SYMBOLS
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _ready_made(window: Window, rng: np.random.Generator) -> pd.DataFrame:
    """Scores of the outside service, some of them late by an hour."""
    hours = pd.date_range(window.start, window.end, freq="h", inclusive="left").as_unit("us")
    late = pd.to_timedelta(rng.integers(0, 80, len(hours)), unit="min")
    parts = [
        pd.DataFrame(
            {
                "source": "dashboard", "symbol": symbol, "component": name, "ts": hours,
                "signal_score": rng.uniform(0, 100, len(hours)), "signal_confidence": 0.5,
                "available_at": (hours + late).as_unit("us"),
            }
        )
        for symbol in SYMBOLS
        for name in ("momentum", "whale_act", "confluence")
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


# ------------------------------------------------------------------ what comes after t

Mask = Callable[[pd.DataFrame, pd.Timestamp], pd.Series]


def _bucket(rows: pd.DataFrame, t: pd.Timestamp) -> pd.Series:
    """A bar or bucket is known when it closes; the one that closes at t is known at t."""
    return rows["ts"] + HOUR > t


def _event(rows: pd.DataFrame, t: pd.Timestamp) -> pd.Series:
    """Something that happens at t enters the next row, not the one decided at t."""
    return rows["ts"] >= t


def _told(rows: pd.DataFrame, t: pd.Timestamp) -> pd.Series:
    return rows["available_at"] > t


def _mood(rows: pd.DataFrame, t: pd.Timestamp) -> pd.Series:
    """Readings belong to their hour, posts to the moment at which they could be read."""
    whole = rows["item"] == "aggregate"
    return _bucket(rows, t).where(whole, _told(rows, t))


AFTER: dict[str, Mask] = {
    "raw.candles": _bucket,
    "raw.funding_rates": _event,
    "raw.funding_predictions": _told,
    "raw.liquidation_events": _event,
    "raw.open_interest": _bucket,
    "raw.liquidations": _bucket,
    "raw.positioning": _bucket,
    "raw.fear_greed": _told,
    "raw.order_book": _event,
    "raw.trade_flow": _bucket,
    "raw.sentiment": _mood,
    "raw.whale_transfers": _told,
    "raw.coin_markets": _told,
    "raw.dashboard_signals": _told,
    "raw.derivatives_1d": _told,
    "raw.volatility_index": _bucket,
    "raw.option_chain": _told,
}
"""Per raw table, which rows nobody can know at t."""

GARBAGE = ("wild", "null", "deleted", "repeated")


def with_garbage_after(frames: Frames, t: pd.Timestamp, seed: int) -> Frames:
    """The frames with every row after ``t`` replaced; the rows before it are left alone.

    A quarter of the later rows each becomes wild numbers, nulls, nothing, or itself and a wild copy
    of it under the name of another provider.
    """
    rng = np.random.default_rng(seed)
    out = {}
    for name, frame in frames.items():
        after = AFTER[name](frame, t).to_numpy(bool)
        later = frame[after]
        fate = rng.integers(0, len(GARBAGE), len(later))
        parts = [
            frame[~after],
            _wild(later[fate == 0], name, rng),
            _null(later[fate == 1], name),
            later[fate == 3],
            _wild(later[fate == 3], name, rng).assign(source="another"),
        ]
        parts = [p for p in parts if len(p)]
        mixed = pd.concat(parts, ignore_index=True) if parts else empty(table(name))
        out[name] = mixed.sort_values(list(table(name).key), kind="stable", ignore_index=True)
    return out


def _numbers(name: str) -> list[str]:
    item = table(name)
    return [
        f
        for f in item.content
        if f not in item.key and f != "source_tier" and FIELDS[f].kind in (Kind.FLOAT, Kind.INTEGER)
    ]


def _wild(rows: pd.DataFrame, name: str, rng: np.random.Generator) -> pd.DataFrame:
    out = rows.copy()
    for column in _numbers(name):
        factor = np.exp(rng.normal(0, 4, len(out))) * rng.choice([1.0, 1.0, 1.0, -1.0], len(out))
        values = out[column].to_numpy("float64", na_value=np.nan) * factor
        if FIELDS[column].kind is Kind.INTEGER:
            values = np.clip(np.nan_to_num(np.abs(values)).round(), 0, 1e12)
            if column == "interval_hours":
                values = np.clip(values, 1, 24)
        out[column] = pd.Series(values, index=out.index).astype(out[column].dtype)
    return out


def _null(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    out = rows.copy()
    for column in _numbers(name):
        out[column] = out[column].mask(np.ones(len(out), bool))
    return out


# ------------------------------------------------------------------ what goes missing


@dataclass(frozen=True)
class Outage:
    """A provider that says nothing about a dataset for a day."""

    dataset: str
    source: str

    def __str__(self) -> str:
        return f"{self.dataset}<-{self.source}"

    def strike(self, frames: Frames, window: Window) -> Frames:
        """The frames without the provider's rows of the window."""
        rows = frames[self.dataset]
        gone = (rows["source"] == self.source) & rows["ts"].between(
            window.start, window.end, inclusive="left"
        )
        return frames | {self.dataset: rows[~gone].reset_index(drop=True)}


def outages() -> list[Outage]:
    """Every dataset of the world and each of its providers."""
    return [
        Outage(name, str(source))
        for name, rows in clean().items()
        for source in sorted(rows["source"].unique())
    ]
