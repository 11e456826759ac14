"""The synthetic market: the same past for everyone, sane bars, and its planted events in the data."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import fields
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from regime_pipeline.simulator.tape import SyntheticTape, Tape, tape_from_text
from regime_pipeline.windows import utc

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def year() -> SyntheticTape:
    return SyntheticTape(start=utc("2024-01-01"), end=utc("2025-01-01"))


def every_series(tape: Tape, symbol: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for venue, market in (
        ("binance", "spot"),
        ("binance", "perp"),
        ("okx", "spot"),
        ("okx", "perp"),
    ):
        found[f"{venue} {market}"] = tape.candles(venue, market, symbol)
    for venue in ("binance", "okx"):
        found[f"{venue} funding"] = tape.funding(venue, symbol)
        found[f"{venue} oi"] = tape.open_interest(venue, symbol)
        found[f"{venue} liquidations"] = tape.liquidations(venue, symbol)
        for metric in ("global_account", "top_account", "top_position"):
            found[f"{venue} {metric}"] = tape.positioning(venue, symbol, metric)
    found["mood"] = tape.fear_greed()
    assert all(series is not None for series in found.values())
    return found


def test_the_past_depends_on_neither_the_end_nor_the_start_nor_other_symbols(
    year: SyntheticTape,
) -> None:
    other = SyntheticTape(
        start=utc("2024-03-03T05:00:00Z"),
        end=utc("2024-05-07T11:00:00Z"),
        symbols=("DOGE/USDT", "SOL/USDT"),
    )
    whole, part = every_series(year, "SOL/USDT"), every_series(other, "SOL/USDT")
    for name, series in part.items():
        assert len(series) > 0, name
        same = whole[name].rows(np.isin(whole[name].ts, series.ts))
        for field in fields(series):
            assert getattr(series, field.name).tobytes() == getattr(same, field.name).tobytes(), (
                name,
                field.name,
            )


def test_seeds_are_different_worlds_and_names_rebuild_a_tape(year: SyntheticTape) -> None:
    other = SyntheticTape(seed=8, start=utc("2024-01-01"), end=utc("2024-02-01"))
    one, two = (
        year.candles("binance", "spot", "BTC/USDT"),
        other.candles("binance", "spot", "BTC/USDT"),
    )
    assert one is not None and two is not None
    assert (one.close[: len(two)] != two.close).mean() > 0.99
    again = tape_from_text(other.text)
    assert again.span == other.span and again.symbols == other.symbols
    rebuilt = again.candles("binance", "spot", "BTC/USDT")
    assert rebuilt is not None and rebuilt.close.tobytes() == two.close.tobytes()


def test_bars_are_continuous_sane_and_fat_tailed(year: SyntheticTape) -> None:
    returns = []
    for symbol in year.symbols:
        for venue, market in (("binance", "spot"), ("binance", "perp"), ("okx", "perp")):
            bars = year.candles(venue, market, symbol)
            assert bars is not None
            assert (np.diff(bars.ts) == HOUR_MS).all()
            assert (bars.low > 0).all()
            assert (bars.low <= np.minimum(bars.open, bars.close)).all()
            assert (bars.high >= np.maximum(bars.open, bars.close)).all()
            assert (bars.open[1:] == bars.close[:-1]).all()
            assert (bars.volume_base > 0).all() and (bars.taker_buy_base <= bars.volume_base).all()
        bars = year.candles("binance", "perp", symbol)
        assert bars is not None
        hourly = np.diff(np.log(bars.close))
        returns.append(hourly)
        assert 0.003 < hourly.std() < 0.015
        assert ((hourly / hourly.std()) ** 4).mean() > 6
        garman_klass = (
            0.5 * np.log(bars.high / bars.low) ** 2
            - (2 * np.log(2) - 1) * np.log(bars.close / bars.open) ** 2
        )
        assert 0.85 < garman_klass.mean() / hourly.var() < 1.15
    correlations = np.corrcoef(returns)[np.triu_indices(len(returns), 1)]
    assert 0.4 < np.median(correlations) < 0.9


def test_venues_differ_a_little(year: SyntheticTape) -> None:
    spot, swap = (year.candles(v, m, "ETH/USDT") for v, m in (("binance", "spot"), ("okx", "perp")))
    assert spot is not None and swap is not None
    apart = np.abs(np.log(spot.close / swap.close))
    assert 0 < np.median(apart) < 0.001 and apart.max() < 0.01


def test_funding_is_mostly_the_default_and_shares_lie_in_their_range(year: SyntheticTape) -> None:
    for symbol in year.symbols:
        funding = year.funding("binance", symbol)
        assert funding is not None
        assert 0.6 < (funding.rate == 0.0001).mean() < 0.97
        shares = year.positioning("binance", symbol, "global_account")
        assert shares is not None
        assert 0.5 < np.median(shares.long) < 0.72
        assert shares.long.min() >= 0.3 and shares.long.max() <= 0.85


def test_liquidations_follow_the_move(year: SyntheticTape) -> None:
    bars, told = (
        year.candles("binance", "perp", "BTC/USDT"),
        year.liquidations("binance", "BTC/USDT"),
    )
    assert bars is not None and told is not None
    move = np.log(bars.close / bars.open)[np.isin(bars.ts, told.ts)]
    longs = told.long_usd / (told.long_usd + told.short_usd)
    falls, rises = move < np.quantile(move, 0.1), move > np.quantile(move, 0.9)
    assert longs[falls].mean() > 0.7 > 0.3 > longs[rises].mean()
    assert 0.002 < 1 - len(told) / len(bars) < 0.1


def rows_between(series: Any, event: Any) -> np.ndarray:
    start, end = (int(t.timestamp() * 1000) for t in (event.start, event.end))
    return (series.ts >= start) & (series.ts < end)


def test_planted_cascades_are_in_the_liquidations(year: SyntheticTape) -> None:
    events = [e for e in year.truth if e.kind == "LIQUIDATION_CASCADE"]
    assert len(events) > 10
    for event in events:
        for symbol in event.symbols:
            told = year.liquidations("binance", symbol)
            assert told is not None
            side = told.long_usd if event.size < 0 else told.short_usd
            usual = np.median(told.long_usd + told.short_usd)
            assert side[rows_between(told, event)].max() > 15 * usual, (event, symbol)


def test_planted_funding_extremes_are_in_the_prints(year: SyntheticTape) -> None:
    events = [e for e in year.truth if e.kind == "FUNDING_EXTREME"]
    assert len(events) > 20
    for event in events:
        funding = year.funding("binance", event.symbols[0])
        assert funding is not None
        prints = funding.rate[rows_between(funding, event)]
        assert len(prints) >= 3
        assert (np.sign(prints) == np.sign(event.size)).all()
        assert np.abs(prints - 0.0001).min() > 5 * np.median(np.abs(funding.rate))


def test_planted_volatility_is_in_the_bars(year: SyntheticTape) -> None:
    for event in (e for e in year.truth if e.kind == "VOLATILITY_REGIME"):
        for symbol in event.symbols:
            bars = year.candles("binance", "spot", symbol)
            assert bars is not None
            span = np.log(bars.high / bars.low)
            assert np.median(span[rows_between(bars, event)]) > 2 * np.median(span), (event, symbol)


def test_planted_correlation_breaks_are_in_the_returns() -> None:
    tape = SyntheticTape(start=utc("2023-01-01"), end=utc("2025-01-01"))
    truth = tape.truth
    events = [e for e in truth if e.kind == "CORRELATION_BREAK"]
    assert len(events) >= 12
    for event in events:
        symbol = event.symbols[0]
        other = "ETH/USDT" if symbol != "ETH/USDT" else "BTC/USDT"
        if any(
            e.kind == "CORRELATION_BREAK" and e.symbols == (other,)
            for e in truth
            if abs(e.start - event.start) < timedelta(days=30)
        ):
            continue
        one, two = tape.candles("binance", "spot", symbol), tape.candles("binance", "spot", other)
        assert one is not None and two is not None
        inside = rows_between(one, event)
        returns = [np.log(c.close / c.open) for c in (one, two)]
        broken = np.corrcoef(returns[0][inside], returns[1][inside])[0, 1]
        assert broken < 0.3, event


def test_trends_carry_the_price(year: SyntheticTape) -> None:
    for event in (e for e in year.truth if e.kind.startswith("TREND")):
        moves = []
        for symbol in event.symbols:
            bars = year.candles("binance", "spot", symbol)
            assert bars is not None
            inside = np.flatnonzero(rows_between(bars, event))
            moves.append(np.log(bars.close[inside[-1]] / bars.open[inside[0]]))
        assert np.sign(np.median(moves)) == (1 if event.kind == "TREND_UP" else -1), event


def test_every_three_hundred_days_hold_several_of_each_kind() -> None:
    tape = SyntheticTape(start=utc("2022-01-01"), end=utc("2027-01-01"))
    end = utc("2023-01-01")
    while end <= utc("2027-01-01"):
        inside = [e for e in tape.truth if end - timedelta(days=300) <= e.start and e.end <= end]
        counts = Counter(e.kind for e in inside)
        assert all(
            counts[kind] >= 2
            for kind in (
                "LIQUIDATION_CASCADE",
                "FUNDING_EXTREME",
                "VOLATILITY_REGIME",
                "CORRELATION_BREAK",
                "TREND_UP",
                "TREND_DOWN",
            )
        ), (end, counts)
        end += timedelta(days=45)


def test_other_symbols_can_be_asked_for_and_nonsense_is_refused() -> None:
    tape = SyntheticTape(symbols=("PEPE/USDT",))
    assert tape.candles("binance", "spot", "PEPE/USDT") is not None
    assert tape.candles("binance", "spot", "BTC/USDT") is None
    with pytest.raises(ValueError, match="BASE/QUOTE"):
        SyntheticTape(symbols=("pepe",))
    with pytest.raises(ValueError, match="spans hours"):
        SyntheticTape(start=utc("2024-01-01"), end=utc("2023-01-01"))


@pytest.mark.slow
def test_three_years_of_eight_symbols_are_made_in_seconds() -> None:
    tape = SyntheticTape(seed=12345, start=utc("2023-01-01"), end=utc("2026-01-01"))
    began = time.perf_counter()
    for symbol in tape.symbols:
        every_series(tape, symbol)
    assert time.perf_counter() - began < 6  # three when nobody else uses the machine
