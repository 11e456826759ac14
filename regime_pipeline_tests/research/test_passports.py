"""Passports: what a day's rows say, what they do not know, and that noise does not pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.research import information
from regime_pipeline.research.passports import (
    History,
    daily,
    histories_of,
    judged,
    of_signal,
    passports,
    score_versions,
    tried,
)
from regime_pipeline.research.redundancy import redundancies
from regime_pipeline.research.trials import HORIZONS_H, SCORES, SIGNALS, Trial, published
from regime_pipeline.thresholds import FuturesParams, SignalParams
from regime_pipeline.windows import DAY
from regime_pipeline_tests.research import worlds

PARAMS = {"signal_params": SignalParams(), "futures_params": FuturesParams()}
KEY = list(table("signals.passports").key)


def made(world: worlds.World, days: int = 1, symbols: int = 2) -> pd.DataFrame:
    return passports(**world.frames(), grid=worlds.grid(days, symbols=symbols), **PARAMS)


@cache
def known() -> worlds.World:
    """120 days of two coins: one score knows a little, one is turned round, the others are noise."""
    return worlds.world(120, symbols=2, edge={"momentum": 0.25, "technical": -0.25})


@cache
def rows() -> pd.DataFrame:
    return made(known())


def headline(found: pd.DataFrame, signal: str, horizon_h: int = 4) -> pd.Series:
    at = (found["signal"] == signal) & (found["horizon_h"] == horizon_h)
    at &= (found["passport_kind"] == "pooled") & (found["passport_regime"] == "*")
    assert at.sum() == 1
    return found[at].iloc[0]


def test_a_day_has_a_row_for_every_signal_horizon_and_view() -> None:
    found = validate(rows().assign(ingested_at=None, revision=None, run_id=None), _table())
    views = 1 + 4 + 2 + 1  # pooled, regimes, symbols, across
    assert len(found) == len(SIGNALS) * len(HORIZONS_H) * views
    assert not found.duplicated(KEY).any()
    assert set(found["ts"]) == {pd.Timestamp(worlds.END - DAY / 24)}


def _table():  # type: ignore[no-untyped-def]
    item = table("signals.passports")
    loose = item.bookkeeping
    return replace(item, required=item.required - loose)


def test_what_knows_the_next_hour_is_valid_and_what_is_turned_round_is_inverted() -> None:
    good, wrong = headline(rows(), "momentum", 1), headline(rows(), "technical", 1)
    assert good["verdict"] == "VALID" and wrong["verdict"] == "INVERTED"
    assert good["ic"] == pytest.approx(0.25, abs=0.05) and wrong["ic"] == pytest.approx(
        -good["ic"], abs=0.05
    )
    assert good["ic_half_life_h"] == wrong["ic_half_life_h"] == 1
    assert good["quantile_spread_low_bps"] > 0 > wrong["quantile_spread_high_bps"]
    assert good["hit_rate_low"] > 0.5 > wrong["hit_rate_high"]
    assert headline(rows(), "volume", 1)["verdict"] == "UNDECIDED"


def test_the_net_spread_pays_for_every_change_of_a_position() -> None:
    row = headline(rows(), "momentum", 1)
    # fee of 5, half of a spread of 1, and half of a tenth of 10 bps: 10 000 of 100 000 USD
    assert row["cost_bps"] == pytest.approx(5 + 0.5 + 0.5) and row["cost_kind"] == "book"
    paid = row["switches_per_held_h"] * row["cost_bps"]
    assert row["net_spread_bps"] == pytest.approx(row["quantile_spread_bps"] - paid)
    assert row["is_tradable"] == (row["quantile_spread_low_bps"] > paid)


def test_the_other_horizons_count_as_four_trials_and_the_headline_as_one() -> None:
    assert headline(rows(), "momentum", 4)["trials_n"] == 1
    assert headline(rows(), "momentum", 4)["trials_eff"] == 1.0
    assert headline(rows(), "momentum", 24)["trials_n"] == 4
    assert headline(rows(), "momentum", 24)["crit"] > headline(rows(), "momentum", 4)["crit"]


def ledger(*trials: Trial, first_run_at: str = "2024-01-01") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial_id": [t.trial_id for t in trials],
            "trial_family": [t.family for t in trials],
            "trial_kind": "pooled",
            "first_run_at": pd.Timestamp(first_run_at, tz="UTC"),
        }
    )


def own(signal: str) -> Trial:
    versions = score_versions(PARAMS["signal_params"], PARAMS["futures_params"])
    return next(t for t in published(worlds.names(2), versions) if t.family == signal)


@cache
def history(edge: float = 0.25) -> History:
    """What the passports of the last day look at, of two coins and 120 days."""
    world = known() if edge == 0.25 else worlds.world(120, symbols=2, edge={"momentum": edge})
    frames = world.frames()
    del frames["trials"], frames["trial_days"]
    (found,) = histories_of(**frames, grid=worlds.grid(1, symbols=2))
    return found


def judge(found: History, trials: pd.DataFrame, days: pd.DataFrame, horizon_h: int) -> dict:
    """The headline row of momentum, with this ledger."""
    trial = own("momentum")
    family = tried(trial, trials, days, int(found.hours[-1]))
    return next(of_signal(found, trial, family, horizon_h, {}))


@pytest.mark.slow
def test_variants_in_the_ledger_raise_the_bound_until_nothing_passes() -> None:
    variants = [replace(own("momentum"), params=f"variant/{k}") for k in range(200)]
    none = worlds.empty_days()
    assert judge(history(0.07), worlds.empty_trials(), none, 1)["verdict"] == "VALID"
    others = ledger(*(replace(v, family="technical") for v in variants))
    assert judge(history(0.07), others, none, 1)["trials_n"] == 4  # of another family
    row = judge(history(0.07), ledger(own("momentum"), *variants), none, 1)
    assert row["trials_n"] == 4 * 201 and row["trials_eff"] == pytest.approx(4 * 201)
    assert (row["verdict_raw"], row["verdict"]) == ("VALID", "UNDECIDED")
    assert row["verdict_reason"] == "deflated"


def test_a_variant_that_is_alike_hardly_counts_and_days_to_come_say_nothing() -> None:
    variant = replace(own("momentum"), params="variant/1")
    found = history()
    pairs = information.Pairs.of(found.scores["momentum"], found.ranked[4])
    sums, day = daily(information.pooled(pairs, 4).influence, found.hours)
    days = pd.DataFrame(
        {
            "trial_id": variant.trial_id,
            "horizon_h": 4,
            "trial_day": pd.to_datetime(day * 86_400, unit="s", utc=True).as_unit("us"),
            "influence_sum": sums,
        }
    )
    trials = ledger(own("momentum"), variant)
    row = judge(found, trials, days, 4)
    assert row["trials_n"] == 2 and row["trials_eff"] == pytest.approx(1.0, abs=1e-6)
    late = days.assign(trial_day=days["trial_day"] + 400 * DAY)
    assert judge(found, trials, late, 4)["trials_eff"] == 2.0


def test_rows_after_the_first_run_that_pass_alone_are_live_evidence() -> None:
    for first, evidence in (("2024-03-10", "live"), ("2024-06-25", "history")):
        trials = ledger(own("momentum"), first_run_at=first)
        assert judge(history(), trials, worlds.empty_days(), 1)["evidence"] == evidence


def garbage(world: worlds.World, after: pd.Timestamp) -> worlds.World:
    """Everything that a row at or after an instant says, made up anew."""
    rng = np.random.default_rng(99)

    def spoilt(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        late = frame["ts"] >= after
        for column in frame.columns:
            if frame[column].dtype.kind == "f":
                frame.loc[late, column] = rng.uniform(1, 99, int(late.sum()))
        if "venue" in frame:
            frame.loc[late, "venue"] = "hyperliquid"
        return frame

    kept = {"trials", "trial_days"}
    frames = world.frames()
    return worlds.World(**{n: f if n in kept else spoilt(f) for n, f in frames.items()})


@pytest.mark.slow
def test_nothing_after_its_hour_changes_a_passport_and_chunks_give_the_same_bytes() -> None:
    whole = made(known(), days=2)
    days = sorted(set(whole["ts"]))
    spoilt = made(garbage(known(), days[0] + pd.Timedelta("1h")), days=2)
    for day, same in zip(days, (True, False), strict=True):
        a, b = (f[f["ts"] == day].reset_index(drop=True) for f in (whole, spoilt))
        assert a.equals(b) is same
    last = rows()
    pd.testing.assert_frame_equal(
        whole[whole["ts"] == days[1]].reset_index(drop=True), last, check_exact=True
    )


def test_where_nothing_is_stored_nothing_is_said() -> None:
    nothing, no_book = known().components.head(0), known().order_book_1h.head(0)
    found = made(replace(known(), components=nothing, order_book_1h=no_book))
    row = headline(found, "momentum")
    assert (row["status"], row["verdict"]) == ("missing", "UNPROVEN")
    assert row["reason"] == "no_pairs_of_score_and_return"
    numbers = ["ic", "ic_se", "hit_rate", "net_spread_bps", "redundancy_r2", "turnover_per_day"]
    assert row[numbers].isna().all()
    cost = headline(found, "futures")[["cost_bps", "cost_kind"]]
    assert cost.tolist() == [5.5, "declared"]


def test_a_signal_that_repeats_another_is_redundant_and_adds_nothing() -> None:
    rng = np.random.default_rng(1)
    first, third = rng.standard_normal((2, 2, 300))
    twin = first + 0.05 * rng.standard_normal((2, 300))
    returns = 0.5 * first + rng.standard_normal((2, 300))
    rare = np.where(np.arange(300) < 100, third, np.nan)
    found = redundancies(np.stack([first, twin, third, rare]), returns)
    assert found[1].nearest == 0 and found[1].r2 > 0.95 and abs(found[1].ic_partial) < 0.1
    assert found[2].r2 < 0.05
    assert found[3].nearest is None and np.isnan(found[3].r2)  # too rare to be compared
    few = redundancies(np.stack([first, twin])[:, :, :99], returns[:, :99])
    assert np.isnan(few[0].r2)


def test_what_happens_on_a_bar_is_judged_as_a_score_of_three_values() -> None:
    found = headline(rows(), "hammer")
    assert found["status"] == "ok" and found["ic_hours"] > 2_000
    assert np.isnan(found["redundancy_r2"]) and pd.isna(found["nearest_signal"])
    assert set(np.unique(history().scores["hammer"])) == {0.0, 50.0, 100.0}
    assert not any(s.is_event for s in SCORES)


def test_a_trial_is_its_specification_and_nothing_else() -> None:
    base = own("momentum")
    others = (
        replace(base, sign=-1),
        replace(base, params="x"),
        replace(base, headline_h=24),
        replace(base, universe=("BTC/USDT",)),
        replace(base, family="technical"),
    )
    assert len({base.trial_id, *(t.trial_id for t in others)}) == 6
    again = replace(base, universe=tuple(reversed(base.universe)), origin="cli")
    assert again.trial_id == base.trial_id


@pytest.mark.slow
def test_noise_passes_in_at_most_one_run_of_twenty_and_an_edge_of_an_hour_is_found() -> None:
    """The chain of a verdict over many worlds; persistent scores, two coins, 180 days."""

    def verdicts(ic: float) -> Iterator[str]:
        for seed in range(200):
            rng = np.random.default_rng(seed)
            n = 24 * 180
            shock = rng.standard_normal((2, n))
            own_noise = rng.standard_normal((2, n))
            score = np.zeros((2, n))
            for t in range(1, n):
                score[:, t] = 0.97 * score[:, t - 1] + own_noise[:, t]
            score /= score.std()
            returns = ic * score + np.sqrt(1 - ic**2) * shock
            yield judged(information.pooled(information.Pairs.of(score, returns), 1), 1.0)[1]

    assert sum(v == "VALID" for v in verdicts(0.0)) / 200 <= 0.05
    assert sum(v == "VALID" for v in verdicts(0.08)) / 200 >= 0.8


@pytest.mark.slow
def test_noise_that_is_read_63_times_is_called_valid_in_at_most_one_run_of_twenty() -> None:
    """From day 80 to day 700, every tenth day; a single look's interval calls more of it VALID."""
    raw = bound = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        score = lfilter([1.0], [1.0, -0.97], rng.standard_normal((1, 24 * 700)), axis=1)
        returns = rng.standard_normal(score.shape)
        looks = [
            information.pooled(information.Pairs.of(score[:, :n], returns[:, :n]), 1)
            for n in (24 * np.linspace(80, 700, 63)).astype(int)
        ]
        raw += any(f.verdict()[0] == "VALID" for f in looks)
        bound += any(judged(f, 1.0)[1] == "VALID" for f in looks)
    assert bound / 40 <= 0.05
    assert raw > bound
