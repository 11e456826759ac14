"""Single liquidation orders: counts, speed, Hawkes fits, price clusters, and whose they are."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features import order_kernels as kernels
from regime_pipeline.features.liquidation_cascades import liquidation_cascades
from regime_pipeline.settings import CascadeParams
from regime_pipeline.windows import HOUR, Grid, Window, utc

START = utc("2024-03-01")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
DAYS = 36
FIRST = START + timedelta(days=33)
END = START + timedelta(days=DAYS)


def hawkes_times(
    rng: np.random.Generator, mu: float, branching: float, beta: float, hours: float
) -> np.ndarray:
    """A Hawkes process by generations: background orders, then each one's offspring."""
    generation = rng.uniform(0, hours, rng.poisson(mu * hours))
    times = [generation]
    while len(generation):
        children = rng.poisson(branching, len(generation))
        delays = rng.exponential(1 / beta, children.sum())
        generation = np.repeat(generation, children) + delays
        times.append(generation)
    out = np.sort(np.concatenate(times))
    return out[out < hours]


def orders_frame(seed: int = 1, source: str = "okx") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for symbol, mu in zip(SYMBOLS, (1.5, 0.2), strict=True):
        for side, rate in (("long", mu), ("short", mu / 2)):
            times = hawkes_times(rng, rate, 0.5, math.log(2) / 0.05, DAYS * 24)
            # prices in steps, so that orders gather in bins
            price = np.round(100 + np.cumsum(rng.normal(0, 0.1, len(times))), 0)
            parts.append(
                pd.DataFrame(
                    {
                        "symbol": symbol,
                        "ts": pd.Timestamp(START)
                        + pd.to_timedelta((times * 3.6e6).astype(int), "ms"),
                        "position_side": side,
                        "price": price,
                        "liquidation_usd": rng.exponential(2e4, len(times)),
                    }
                )
            )
    frame = pd.concat(parts, ignore_index=True)
    frame["ts"] = frame["ts"].dt.as_unit("us")
    return frame.assign(
        source=source,
        venue=source,
        market="perp",
        closure_id=[f"{i:08d}" for i in range(len(frame))],
    )


def bars() -> pd.DataFrame:
    hours = pd.date_range(START, END, freq="1h", inclusive="left")
    rng = np.random.default_rng(5)
    parts = []
    for symbol in SYMBOLS:
        close = 100 + np.cumsum(rng.normal(0, 0.3, len(hours)))
        parts.append(
            pd.DataFrame(
                {"symbol": symbol, "ts": hours, "high": close + 0.5, "low": close - 0.5, "close": close}
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True).assign(market="perp", source_tier=1)


def sums(venue: str = "binance") -> pd.DataFrame:
    hours = pd.date_range(START, END, freq="1h", inclusive="left")
    parts = [
        pd.DataFrame(
            {
                "symbol": symbol,
                "ts": hours,
                "long_liquidations_usd": 700.0,
                "short_liquidations_usd": 300.0,
                "total_liquidation_usd": 1000.0,
                "coverage": 1.0,
                "is_lower_bound": True,
                "source_tier": 1,
            }
        )
        for symbol in SYMBOLS
    ]
    return pd.concat(parts, ignore_index=True).assign(venue=venue)


INTEREST = pd.DataFrame(
    {"symbol": pd.Series(dtype="str"), "ts": pd.Series(dtype="datetime64[us, UTC]"),
     "open_interest_usd": pd.Series(dtype=float), "source_tier": pd.Series(dtype=float)}
)  # fmt: skip


def run(
    orders: pd.DataFrame | None,
    first: object = FIRST,
    last: object = END,
    symbols: tuple[str, ...] = SYMBOLS,
    venue: str = "binance",
) -> pd.DataFrame:
    grid = Grid.of(Window(first, last), symbols)  # type: ignore[arg-type]
    out = liquidation_cascades(
        sums(venue), INTEREST, bars(), orders, grid=grid, params=CascadeParams()
    )
    return validate(out, table("features.liquidation_cascades"))


def at(frame: pd.DataFrame, symbol: str, stamp: object) -> pd.Series:
    return frame.set_index(["symbol", "ts"]).loc[(symbol, pd.Timestamp(stamp))]  # type: ignore[arg-type]


ORDER_COLUMNS = [
    "order_source",
    "event_count",
    "dominance_ci_low",
    "dominance_ci_high",
    "velocity_15m_usd_per_hour",
    "velocity_15m_peak_usd_per_hour",
    "velocity_legacy_usd_per_hour",
    "hawkes_branching_long",
    "hawkes_branching_short",
    "hawkes_intensity_ratio_long",
    "hawkes_intensity_ratio_short",
]


# --- the fit --------------------------------------------------------------------------------------


def slow_likelihood(times: np.ndarray, mu: float, n: float, beta: float, end: float) -> float:
    total = 0.0
    for i, t in enumerate(times):
        total += math.log(mu + n * beta * np.exp(-beta * (t - times[:i])).sum())
    return total - mu * end - n * (1 - np.exp(-beta * (end - times))).sum()


NEAR = kernels.HALF_LIVES_H[(kernels.HALF_LIVES_H > 0.03) & (kernels.HALF_LIVES_H < 0.15)]


def test_half_lives_are_a_root_of_two_apart_and_reach_ten_hours() -> None:
    steps = kernels.HALF_LIVES_H[1:] / kernels.HALF_LIVES_H[:-1]
    assert steps == pytest.approx(np.full(len(steps), math.sqrt(2.0)))
    assert kernels.HALF_LIVES_H[0] * 3600 < 15 and kernels.HALF_LIVES_H[-1] == 10.0


@pytest.mark.slow
def test_the_fit_maximises_the_likelihood_like_a_general_optimiser() -> None:
    times = hawkes_times(np.random.default_rng(2), 2.0, 0.6, math.log(2) / 0.066, 80.0)
    mu, n, beta = kernels.hawkes_fit(times, 0.0, 80.0)
    ours = slow_likelihood(times, mu, n, beta, 80.0)
    best = -np.inf
    for half_life in kernels.HALF_LIVES_H:
        rate = math.log(2) / half_life

        def cost(x: np.ndarray, rate: float = rate) -> float:
            return -slow_likelihood(times, math.exp(x[0]), 1 / (1 + math.exp(-x[1])), rate, 80.0)

        if half_life in NEAR:
            best = max(best, -optimize.minimize(cost, [0.0, 0.0], method="Nelder-Mead").fun)
    assert beta in (math.log(2) / NEAR).tolist()
    assert ours == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("branching", [0.0, 0.4, 0.8])
def test_a_planted_branching_ratio_is_found(branching: float) -> None:
    rng = np.random.default_rng(7)
    found = [
        kernels.hawkes_fit(
            hawkes_times(rng, 4.0 * (1 - branching), branching, 12.0, 720.0), 0.0, 720.0
        )[1]
        for _ in range(5)
    ]
    assert np.mean(found) == pytest.approx(branching, abs=0.06)
    assert all(0.0 <= n < 1.0 for n in found)


def test_too_few_orders_have_no_fit_and_the_row_says_what_it_has() -> None:
    out = run(orders_frame())
    btc, eth = (out[out["symbol"] == s] for s in SYMBOLS)
    assert btc["hawkes_branching_long"].notna().all()
    assert btc["hawkes_branching_long"].between(0.3, 0.7).all()
    assert btc["hawkes_intensity_ratio_long"].ge(1.0).all()
    assert btc["excitation_source"].eq("orders").all()
    # 0.2 orders an hour and as many offspring are fewer than 500 in thirty days
    assert eth[["hawkes_branching_long", "hawkes_intensity_ratio_short"]].isna().all(axis=None)
    assert eth["excitation_source"].isin(["buckets"]).all()
    # the bucket figures are what they are without orders: nothing is mixed
    plain = run(None)
    own = ["severity", "intensity_ratio", "branching_ratio", "cascade_state", "dominance", "status"]
    pd.testing.assert_frame_equal(out[own], plain[own], check_exact=True)
    assert plain[ORDER_COLUMNS].isna().all(axis=None)


def test_the_row_equals_a_slow_intensity() -> None:
    frame = orders_frame()
    out = run(frame)
    stamp = FIRST + 5 * HOUR
    own = frame[(frame["symbol"] == "BTC/USDT") & (frame["position_side"] == "long")]
    times = np.sort((own["ts"] - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(hours=1)).astype(float)
    day = FIRST.timestamp() / 3600
    inside = times[(times >= day - 720) & (times < day)]
    mu, n, beta = kernels.hawkes_fit(inside, day - 720, day)
    past = times[times < day + 6]
    expected = (mu + n * beta * np.exp(-beta * (day + 6 - past)).sum()) / mu
    row = at(out, "BTC/USDT", stamp)
    assert row["hawkes_intensity_ratio_long"] == pytest.approx(expected, rel=1e-9)
    assert row["hawkes_branching_long"] == pytest.approx(n, abs=1e-8)


# --- counts ---------------------------------------------------------------------------------------


def test_counts_speed_and_interval_of_an_hour() -> None:
    frame = orders_frame().head(0)
    minutes = [1, 20, 50, 55, 59]
    rows = pd.DataFrame(
        {
            "symbol": "BTC/USDT",
            "ts": [pd.Timestamp(FIRST + timedelta(minutes=m)) for m in minutes],
            "position_side": ["long", "long", "long", "short", "long"],
            "price": 100.0,
            "liquidation_usd": [9e4, 1e4, 2e4, 3e4, 1e4],
            "source": "okx",
            "venue": "okx",
            "market": "perp",
            "closure_id": list("abcde"),
        }
    )
    out = run(pd.concat([frame, rows]))
    row = at(out, "BTC/USDT", FIRST)
    assert (row["event_count"], row["order_source"]) == (5, "okx")
    assert row["velocity_15m_usd_per_hour"] == 4 * 6e4
    assert row["velocity_15m_peak_usd_per_hour"] == 4 * 9e4
    # 160,000 USD between minutes 1 and 59
    assert row["velocity_legacy_usd_per_hour"] == pytest.approx(16e4 * 60 / 58)
    # 4 of 5: Wilson's interval
    assert row["dominance_ci_low"] == pytest.approx(0.3755, abs=1e-4)
    assert row["dominance_ci_high"] == pytest.approx(0.9638, abs=1e-4)
    # the source told of BTC in this hour, so ETH was silent; of the next hour it told nothing
    assert at(out, "ETH/USDT", FIRST)["event_count"] == 0
    alone = run(pd.concat([frame, rows]), symbols=("ETH/USDT",))
    assert at(alone, "ETH/USDT", FIRST)[["event_count", "order_source"]].tolist() == [0, "okx"]
    assert pd.isna(at(out, "ETH/USDT", FIRST)["dominance_ci_low"])
    assert at(out, "BTC/USDT", FIRST + HOUR)[ORDER_COLUMNS].isna().all()
    # a thousand dollars are no dominance, unless the counted orders are of the same venue
    assert pd.isna(row["dominance"])
    assert at(run(pd.concat([frame, rows]), venue="okx"), "BTC/USDT", FIRST)["dominance"] == "LONG"


def test_the_speed_of_the_seed_is_null_for_a_single_time() -> None:
    one = orders_frame().head(1).assign(ts=pd.Timestamp(FIRST), symbol="BTC/USDT")
    row = at(run(one), "BTC/USDT", FIRST)
    assert row["event_count"] == 1 and pd.isna(row["velocity_legacy_usd_per_hour"])


def test_only_the_configured_source_counts() -> None:
    pd.testing.assert_frame_equal(run(orders_frame(source="bybit")), run(None))


# --- clusters -------------------------------------------------------------------------------------


def slow_clusters(
    orders: pd.DataFrame, close: float, width: float, end: pd.Timestamp
) -> tuple[list[float], list[float]]:
    near = orders[(orders["ts"] < end) & (orders["ts"] >= end - pd.Timedelta(hours=168))]
    whole = near["liquidation_usd"].sum()
    found = []
    for _, group in near.groupby(np.floor(near["price"] / width)):
        usd = group["liquidation_usd"].sum()
        if len(group) >= 5 and usd >= 0.05 * whole:
            mean = (group["price"] * group["liquidation_usd"]).sum() / usd
            found.append((usd, min(max(mean, group["price"].min()), group["price"].max())))
    found.sort(reverse=True)
    below = [p for _, p in found if p < close][:3]
    above = [p for _, p in found if p > close][:3]
    return below, above


def test_clusters_equal_a_slow_reference() -> None:
    orders = orders_frame()
    btc = orders[orders["symbol"] == "BTC/USDT"].sort_values("ts")
    times = ((btc["ts"] - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(hours=1)).to_numpy(float)
    close = np.linspace(95.0, 105.0, 40)
    width = np.linspace(0.2, 2.5, 40)
    below, above = np.full((40, 3), np.nan), np.full((40, 3), np.nan)
    first = int(FIRST.timestamp() // 3600)
    kernels.price_clusters(
        times,
        btc["price"].to_numpy(float),
        btc["liquidation_usd"].to_numpy(float),
        first,
        close,
        width,
        168,
        below,
        above,
    )
    seen = 0
    for r in range(40):
        end = pd.Timestamp(FIRST + (r + 1) * HOUR)
        expected = slow_clusters(btc, close[r], width[r], end)
        for got, wanted in zip((below[r], above[r]), expected, strict=True):
            assert [v for v in got if v == v] == pytest.approx(wanted, rel=1e-9)
            seen += len(wanted)
    assert seen > 30


def test_a_cluster_becomes_a_level_with_its_source() -> None:
    out = run(orders_frame())
    sources = out["support_level_sources"] + out["resistance_level_sources"]
    assert sources.str.contains("liquidation_cluster").any()
    assert sources.str.contains("swing").any()
    plain = run(None)
    texts = plain["support_level_sources"] + plain["resistance_level_sources"]
    assert not texts.str.contains("cluster").any()


# --- always ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_any_chunk_gives_the_same_bytes_and_nothing_after_a_row_matters() -> None:
    orders = orders_frame()
    whole = run(orders)
    cuts = [FIRST, FIRST + 5 * HOUR, FIRST + 31 * HOUR, END]
    parts = []
    for first, last in itertools.pairwise(cuts):
        back = reach_of(liquidation_cascades, "raw.liquidation_events")
        kept = (orders["ts"] >= pd.Timestamp(first - back)) & (orders["ts"] < pd.Timestamp(last))
        parts.append(run(orders[kept].sample(frac=1.0, random_state=1), first, last))
    joined = pd.concat(parts).sort_values(["symbol", "ts"], ignore_index=True)
    pd.testing.assert_frame_equal(joined, whole, check_exact=True)
    cut = pd.Timestamp(FIRST + 30 * HOUR)
    garbage = orders.copy()
    later = garbage["ts"] >= cut
    garbage.loc[later, "liquidation_usd"] = 1e9
    garbage.loc[later, "position_side"] = "short"
    garbage.loc[later, "price"] = 1.0
    before = (whole["ts"] < cut).to_numpy()
    pd.testing.assert_frame_equal(run(garbage)[before], whole[before], check_exact=True)


def test_a_run_of_one_coin_says_the_same_of_it() -> None:
    orders = orders_frame()
    whole = run(orders)
    alone = run(orders, symbols=("ETH/USDT",))
    pd.testing.assert_frame_equal(
        alone, whole[whole["symbol"] == "ETH/USDT"].reset_index(drop=True), check_exact=True
    )
