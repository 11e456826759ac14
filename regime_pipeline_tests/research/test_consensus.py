"""What voters say together: quorum, majority, abstention, weights, agreement."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.research.consensus import (
    ABSTAINS,
    LONG,
    NEUTRAL,
    SHORT,
    consensus,
    fleiss,
    likeness,
    tally,
    weights_of,
)
from regime_pipeline.windows import DAY, HOUR, Grid, hours_between, utc
from regime_pipeline_tests.synthetic import filled, long

END = utc("2024-06-10")
BTC = ("BTC/USDT",)


def counted(*votes: int, weights: tuple[float, ...] | None = None) -> tuple[int, float, int]:
    code, margin, why = tally(
        np.array(votes)[:, None], np.array(weights or (1.0,) * len(votes))[:, None]
    )
    return int(code[0]), float(margin[0]), int(why[0])


def test_two_longs_a_short_and_an_abstention_are_long_by_a_third() -> None:
    assert counted(LONG, LONG, SHORT, ABSTAINS) == (LONG, pytest.approx(1 / 3), -1)


def test_two_against_two_and_two_alone_are_no_consensus() -> None:
    assert counted(LONG, LONG, SHORT, SHORT) == (3, 0.0, 1)
    assert counted(LONG, LONG, ABSTAINS, ABSTAINS)[::2] == (3, 0)
    assert counted(NEUTRAL, NEUTRAL, NEUTRAL, LONG)[0] == NEUTRAL  # neutral is a vote
    code, margin, _ = counted(*(ABSTAINS,) * 4)
    assert code == 3 and np.isnan(margin)


def test_a_voter_without_weight_makes_no_quorum_and_a_heavy_one_that_abstains_breaks_it() -> None:
    assert counted(LONG, LONG, LONG, SHORT, weights=(1, 1, 1, 0))[0] == LONG
    assert counted(LONG, LONG, SHORT, SHORT, weights=(1, 1, 0, 0))[2] == 0
    assert counted(LONG, LONG, LONG, ABSTAINS, weights=(1, 1, 1, 3))[2] == 0


def test_weights_are_equal_until_somebody_proves_skill() -> None:
    unknown = np.full((3, 1, 1), np.nan)
    none = np.zeros((3, 1, 1), bool)
    alike = np.zeros((3, 1, 1))
    assert weights_of(unknown, none, alike).ravel().tolist() == [1, 1, 1]
    wrong = none.copy()
    wrong[1] = True
    assert weights_of(unknown, wrong, alike).ravel().tolist() == [1, 0, 1]
    skill = np.array([0.02, -0.1, 0.04]).reshape(3, 1, 1)
    alike[2] = 1.0
    assert weights_of(skill, none, alike).ravel().tolist() == pytest.approx([0.02, 0, 0.02])


def test_agreement_beyond_chance() -> None:
    rng = np.random.default_rng(1)
    own = rng.integers(0, 3, (4, 900, 1))
    assert fleiss(own, 0)[-1, 0] == pytest.approx(0.0, abs=0.05)
    same = np.repeat(own[:1], 4, axis=0)
    assert fleiss(same, 0)[-1, 0] == pytest.approx(1.0)
    assert np.isnan(fleiss(np.zeros_like(own), 0)).all()  # one kind of vote only
    few = np.where(np.arange(4)[:, None, None] < 2, own, ABSTAINS)
    assert np.isnan(fleiss(few, 0)).all()
    votes = np.concatenate([own[:1], own[:1], own[1:2]])[:, rng.integers(0, 900, 2200)]
    found = likeness(votes, 0)[:, -1, 0]
    assert found[0] == pytest.approx(1.0, abs=0.1) and found[2] < 0.1


def inputs(days: int = 40) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(2)
    hours = hours_between(END - days * DAY, END)
    words = {
        "timeframe_regimes": ("regimes.timeframe_regimes", "primary_regime", ["IGNITION", "COOLING", "CHOP"]),
        "futures_scores": ("signals.futures_scores", "futures_signal", ["LONG", "SHORT", "NEUTRAL"]),
        "confluence": ("signals.confluence", "confluence_direction", ["BULLISH", "BEARISH", "NEUTRAL"]),
        "components": ("signals.components", "momentum_direction", ["BULLISH", "BEARISH", "NEUTRAL"]),
    }  # fmt: skip
    base = rng.integers(0, 3, len(hours))
    out = {}
    for name, (of, column, said) in words.items():
        vote = np.where(rng.random(len(hours)) < 0.6, base, rng.integers(0, 3, len(hours)))
        rows = long(BTC, hours, **{column: np.array(said, dtype=object)[vote]}, source_tier=1)
        out[name] = filled(of, rows)
    return out | {"calibrators": standing("UNDECIDED")}


def standing(verdict: str, at: pd.Timestamp = END - DAY - HOUR) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "signal": ["futures"],
            "calibration_side": ["up"],
            "ts": pd.DatetimeIndex([at]).as_unit("us"),
            "brier_skill_low": [-0.01],
            "verdict_raw": [verdict],
        }
    )


def made(hours: int = 24, **frames: pd.DataFrame) -> pd.DataFrame:
    return consensus(**(inputs() | frames), grid=Grid(END - hours * HOUR, END, BTC))


def test_rows_fit_their_table_and_a_voter_that_is_not_there_abstains() -> None:
    found = made()
    item = table("signals.consensus")
    validate(found.assign(ingested_at=None, revision=None, run_id=None),
             replace(item, required=item.required - item.bookkeeping))  # fmt: skip
    assert found["is_unproven"].all() and found["fleiss_kappa_30d"].between(0.1, 0.6).all()
    for _, row in found.iterrows():
        votes = json.loads(row["votes"])
        against = {n for n, v in votes.items() if v["vote"] != row["consensus"]}
        if row["consensus"] == "NO_CONSENSUS":
            assert row["consensus_reason"] == "no_majority" and pd.isna(row["dissenters"])
        else:
            assert against == set((row["dissenters"] or "").split(",") if against else [])
    lone = made(futures_scores=inputs()["futures_scores"].head(0))
    assert (lone["voters"] == 3).all()
    assert json.loads(lone.iloc[0]["votes"])["futures"]["vote"] == "ABSTAIN"
    nothing = made(**{n: f.head(0) for n, f in inputs().items()})
    assert set(nothing["status"]) == {"missing"} and nothing["consensus"].isna().all()


def test_an_artefact_counts_from_a_day_after_its_fit_for_three_days() -> None:
    def weight(at: pd.Timestamp, hour: int) -> float:
        found = made(72, calibrators=standing("INVERTED", at)).iloc[hour]
        return json.loads(found["votes"])["futures"]["weight"]

    fit = END - 72 * HOUR
    assert [weight(fit, h) for h in (23, 24, 71)] == [1.0, 0.0, 0.0]
    assert weight(END - 24 * 7 * HOUR, 10) == 1.0


def test_no_later_row_changes_a_row_and_chunks_give_the_same_bytes() -> None:
    whole, cut = made(48), END - DAY
    spoilt = {n: f[f["ts"] < cut] for n, f in inputs().items()}
    early = whole[whole["ts"] < cut].reset_index(drop=True)
    after = made(48, **spoilt)
    assert early.equals(after[after["ts"] < cut].reset_index(drop=True))
    one = consensus(**inputs(), grid=Grid(cut - DAY, cut, BTC))
    assert early.equals(one)
