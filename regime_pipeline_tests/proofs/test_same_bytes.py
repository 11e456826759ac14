"""The same rows whoever computes them, in whatever portions: one content hash per table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from regime_pipeline_tests.proofs import base, chain, hashing, world

pytestmark = [pytest.mark.xdist_group("proofs"), pytest.mark.timeout(600)]

SEEDS = ("0", "1", "4242")
THREADS = ("1", "2", "8")
THREAD_VARIABLES = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "ARROW_NUM_THREADS",
)


@pytest.mark.slow
def test_ticks_chunks_and_one_shot_give_one_hash_per_table() -> None:
    found = {way: hashing.hashes(runs) for way, runs in hashing.ways(2).items()}
    assert set(found["one shot"]) == set(chain.derived_tables())
    for way, hashes in found.items():
        differ = [name for name, h in hashes.items() if h != found["one shot"][name]]
        assert not differ, f"{way}: {differ}"


def test_a_hash_shows_one_changed_bit() -> None:
    rows = base.computed()["signals.components"]
    at = rows["momentum_score"].notna().to_numpy().argmax()
    value = float(rows.loc[at, "momentum_score"])
    changed = rows.copy()
    changed.loc[at, "momentum_score"] = value * (1 + 2**-52)
    name = "signals.components"
    assert chain.content_hash(changed, name) != chain.content_hash(rows, name)
    assert chain.content_hash(rows.sample(frac=1, random_state=1), name) == chain.content_hash(
        rows, name
    )


def test_a_run_narrowed_to_one_symbol_agrees_with_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows of a symbol don't depend on who else is computed, but for what belongs to the universe."""
    frames = base.computed()
    alone = chain.run(frames, base.LAST_DAYS, settings=world.settings(), symbols=["ETH/USDT"])
    for name in chain.derived_tables():
        assert chain.content_hash(frames[name], name) == chain.content_hash(alone[name], name), name


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("threads", THREADS)
def test_hash_seeds_and_threads_do_not_matter(seed: str, threads: str) -> None:
    """Nine processes, each in three ways; every one must give the hashes of this process."""
    told = {**os.environ, "PYTHONHASHSEED": seed, **dict.fromkeys(THREAD_VARIABLES, threads)}
    done = subprocess.run(
        [sys.executable, "-m", "regime_pipeline_tests.proofs.hashing", "10"],
        env=told,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (expected,) = [hashing.hashes(runs) for w, runs in hashing.ways(1).items() if w == "one shot"]
    for way, hashes in json.loads(done.stdout.splitlines()[-1]).items():
        differ = [n for n in expected if hashes[n] != expected[n]]
        assert not differ, f"seed {seed}, {threads} threads, {way}: {differ}"
