"""Outcomes of primary regimes, the confidence calibrated on them, and independent votes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from regime_pipeline.catalogue.frames import conform, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.regimes.timeframe_confidence import timeframe_confidence, timeframe_outcomes
from regime_pipeline.regimes.timeframe_labels import COOLING, IGNITION, NEUTRAL
from regime_pipeline.regimes.timeframe_regimes import effective_votes
from regime_pipeline.windows import HOUR, Grid, utc
from regime_pipeline_tests.synthetic import same_bytes

START = utc("2024-01-01")
SYMBOLS = ("ADA/USDT", "BTC/USDT")
UP, DOWN = "SPOT_IGNITION", "SPOT_COOLING"


def regimes(days: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    hours = pd.date_range(START, periods=24 * days, freq="1h")
    parts = []
    for symbol in SYMBOLS:
        blocks = rng.choice(
            [UP, DOWN, "SPOT_NEUTRAL", "SPOT_CHOP"],
            size=len(hours) // 16 + 1,
            p=[0.4, 0.4, 0.1, 0.1],
        )
        label = pd.Series(np.repeat(blocks, 16)[: len(hours)])
        parts.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "ts": hours,
                    "primary_regime": label.mask(rng.random(len(hours)) < 0.02),
                    "agreement_count": rng.integers(2, 5, len(hours)),
                    "agreement_score": rng.random(len(hours)),
                    "source_tier": 1,
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    spec = table("regimes.timeframe_regimes")
    missing = {c: None for c in spec.content if c not in frame}
    return conform(frame.assign(**missing), spec)


def closes(days: int, seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    hours = pd.date_range(START, periods=24 * days, freq="1h")
    parts = [
        pd.DataFrame(
            {"symbol": s, "ts": hours, "close": 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(hours))))}
        )
        for s in SYMBOLS
    ]  # fmt: skip
    frame = pd.concat(parts, ignore_index=True).assign(market="spot", source_tier=2)
    return pd.concat([frame, frame.assign(market="perp", close=1.0)], ignore_index=True)


def grid(first: int, last: int, symbols: tuple[str, ...] = SYMBOLS) -> Grid:
    return Grid(START + first * HOUR, START + last * HOUR, symbols)


DAYS = 220
REGIMES, CLOSES = regimes(DAYS), closes(DAYS)
OUTCOMES = timeframe_outcomes(REGIMES, CLOSES, grid=grid(0, 24 * DAYS))


def test_outcomes_equal_a_slow_count() -> None:
    validate(OUTCOMES, table("regimes.timeframe_outcomes"))
    state = REGIMES.set_index(["symbol", "ts"])["primary_regime"]
    price = CLOSES[CLOSES["market"] == "spot"].set_index(["symbol", "ts"])["close"]
    expected = {}
    for (symbol, ts), label in state.items():
        end = ts + pd.Timedelta(days=1)
        if ts.hour != 23 or label not in (UP, DOWN) or (symbol, end) not in state.index:
            continue
        later = state[(symbol, end)]
        change = np.log(price[(symbol, end)] / price[(symbol, ts)])
        moved = change > 0 if label == UP else change < 0
        held = True if moved or later == label else (None if pd.isna(later) else False)
        expected[(symbol, end)] = held
    got = OUTCOMES.set_index(["symbol", "ts"])["held_24h"]
    assert {k: None if pd.isna(v) else bool(v) for k, v in got.items()} == expected
    assert len(expected) > 200
    assert OUTCOMES["held_24h"].isna().any() and OUTCOMES["source_tier"].eq(2).all()


def slow_confidence(symbol: str, ts: pd.Timestamp) -> tuple[float, float, int] | None:
    row = REGIMES[(REGIMES["symbol"] == symbol) & (REGIMES["ts"] == ts)].iloc[0]
    if row["primary_regime"] not in (UP, DOWN):
        return None
    known = OUTCOMES[(OUTCOMES["ts"] <= ts) & OUTCOMES["held_24h"].notna()]
    if len(known) < 200:
        return float(row["agreement_score"]), np.nan, 0
    p0 = known["held_24h"].astype(float).mean()
    own = known[
        (known["primary_regime"] == row["primary_regime"])
        & (known["agreement_count"] == row["agreement_count"])
    ]
    k, n = own["held_24h"].sum(), len(own)
    low = beta.ppf(0.025, k + 10 * p0, n - k + 10 * (1 - p0))
    return float((k + 10 * p0) / (n + 10)), float(low), n


def confidence(first: int, last: int, symbols: tuple[str, ...] = SYMBOLS) -> pd.DataFrame:
    out = timeframe_confidence(REGIMES, OUTCOMES, grid=grid(first, last, symbols))
    validate(out, table("regimes.timeframe_confidence"))
    return out


def test_confidence_equals_a_slow_count_and_is_heuristic_before_200_cases() -> None:
    out = confidence(0, 24 * DAYS)
    kinds = out.groupby("confidence_kind", dropna=False).size()
    assert {"heuristic", "calibrated"} <= set(kinds.index.dropna())
    for row in out.sample(60, random_state=4).itertuples():
        expected = slow_confidence(row.symbol, row.ts)
        if expected is None:
            assert pd.isna(row.confidence) and pd.isna(row.confidence_kind)
            assert row.status in ("missing", "not_applicable")
            continue
        assert row.confidence == pytest.approx(expected[0], rel=1e-12)
        assert row.confidence_kind == ("heuristic" if np.isnan(expected[1]) else "calibrated")
        if row.confidence_kind == "calibrated":
            assert row.confidence_lo == pytest.approx(expected[1], rel=1e-9)
            assert row.confidence_n == expected[2]
    first = out.loc[out["confidence_kind"] == "calibrated", "confidence_base_n"]
    assert first.min() >= 200


def test_a_label_whose_day_is_not_over_is_not_used_and_chunks_agree() -> None:
    whole = confidence(24 * 150, 24 * DAYS)
    cuts = [24 * 150, 24 * 150 + 7, 24 * 180, 24 * DAYS]
    parts = []
    for a, b in zip(cuts[:-1], cuts[1:], strict=True):  # noqa: RUF007 - two bounds
        seen = OUTCOMES[OUTCOMES["ts"] < pd.Timestamp(START + b * HOUR)]
        parts.append(timeframe_confidence(REGIMES, seen, grid=grid(a, b)))
    same_bytes(pd.concat(parts).sort_values(["symbol", "ts"], ignore_index=True), whole)
    cut = pd.Timestamp(START + 24 * 190 * HOUR)
    lies = OUTCOMES.assign(held_24h=OUTCOMES["held_24h"].mask(OUTCOMES["ts"] >= cut, other=False))
    after = timeframe_confidence(REGIMES, lies, grid=grid(24 * 150, 24 * DAYS))
    before = (whole["ts"] < cut).to_numpy()
    same_bytes(after[before].reset_index(drop=True), whole[before].reset_index(drop=True))
    alone = confidence(24 * 150, 24 * DAYS, ("BTC/USDT",))
    same_bytes(alone, whole[whole["symbol"] == "BTC/USDT"].reset_index(drop=True))


def test_outcomes_in_chunks_are_those_of_one_shot() -> None:
    parts = []
    for a, b in ((0, 24 * 10), (24 * 10, 24 * 11), (24 * 11, 24 * DAYS)):
        lower = pd.Timestamp(START + (a - 24) * HOUR)
        upper = pd.Timestamp(START + b * HOUR)
        near = [f[(f["ts"] >= lower) & (f["ts"] < upper)] for f in (REGIMES, CLOSES)]
        parts.append(timeframe_outcomes(*near, grid=grid(a, b)))
    joined = pd.concat(parts).sort_values(["symbol", "ts"], ignore_index=True)
    same_bytes(joined, OUTCOMES)


# --- independent votes ------------------------------------------------------------------------------


def test_independent_votes_equal_a_slow_participation_ratio() -> None:
    rng = np.random.default_rng(3)
    hours, first = 2600, 2200
    base = np.repeat(rng.choice([IGNITION, COOLING, NEUTRAL], size=(1, hours // 10, 2)), 10, axis=1)
    codes = np.concatenate([base, base, rng.permuted(base, axis=1), rng.permuted(base, axis=1)])
    flip = rng.random(codes.shape) < 0.3
    codes = np.where(flip, rng.choice([IGNITION, COOLING, NEUTRAL], size=codes.shape), codes)
    codes[rng.random(codes.shape) < 0.05] = -1
    got = effective_votes(codes, first)
    sign = np.where(codes == IGNITION, 1.0, np.where(codes == COOLING, -1.0, 0.0))
    sign[codes < 0] = np.nan
    for h in (first, first + 111, hours - 1):
        for s in range(2):
            frames = [f for f in range(4) if codes[f, h, s] >= 0]
            window = pd.DataFrame(sign[frames, h - 2160 : h, s].T)
            expected = len(frames) ** 2 / (window.corr() ** 2).to_numpy().sum()
            if len(frames) < 3:
                assert np.isnan(got[h - first, s])
            else:
                assert got[h - first, s] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(effective_votes(codes[:, 40:], first - 40), got)


def test_frames_that_always_agree_are_one_vote() -> None:
    rng = np.random.default_rng(5)
    one = rng.choice([IGNITION, COOLING, NEUTRAL], size=(1, 2300, 1))
    votes = effective_votes(np.repeat(one, 4, axis=0), 2200)
    np.testing.assert_allclose(votes, 1.0)
    stuck = np.full((4, 2300, 1), NEUTRAL)
    assert np.isnan(effective_votes(stuck, 2200)).all()
