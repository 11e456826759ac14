"""The same rows whoever computes them, in whatever portions: one content hash per table."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regime_pipeline_tests.proofs import base, chain, hashing, world

pytestmark = [pytest.mark.xdist_group("proofs"), pytest.mark.timeout(1200)]

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
    found = {way: hashing.hashes(runs) for way, runs in hashing.ways(10).items()}
    assert set(found["one shot"]) == set(chain.derived_tables())
    for way, hashes in found.items():
        differ = [name for name, h in hashes.items() if h != found["one shot"][name]]
        assert not differ, f"{way}: {differ}"


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_run_narrowed_to_one_symbol_agrees_with_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows of a symbol don't depend on who else is computed, but for what belongs to the universe."""
    frames = base.computed()
    alone = chain.run(frames, base.LAST_DAYS, settings=world.settings(), symbols=["ETH/USDT"])
    for name in chain.derived_tables():
        assert chain.content_hash(frames[name], name) == chain.content_hash(alone[name], name), name


def told_by(case: tuple[str, str]) -> dict[str, dict[str, str]]:
    """Hashes by way and table of a process with this hash seed and number of threads."""
    seed, threads = case
    done = subprocess.run(
        [sys.executable, "-m", "regime_pipeline_tests.proofs.hashing"],
        env={**os.environ, "PYTHONHASHSEED": seed, **dict.fromkeys(THREAD_VARIABLES, threads)},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.xdist_group("proofs-processes")
def test_hash_seeds_and_threads_do_not_matter() -> None:
    """Nine processes, each in three ways, make the history and the days anew: 27 times one hash."""
    cases = list(itertools.product(SEEDS, THREADS))
    with ThreadPoolExecutor(min(len(cases), os.cpu_count() or 1)) as pool:
        found = dict(zip(cases, pool.map(told_by, cases), strict=True))
    expected = found[cases[0]]["one shot"]
    assert set(expected) == set(chain.derived_tables())
    for (seed, threads), ways in found.items():
        assert set(ways) == {"one shot", "uneven chunks", "hourly ticks"}
        for way, hashes in ways.items():
            differ = [n for n in expected if hashes[n] != expected[n]]
            assert not differ, f"seed {seed}, {threads} threads, {way}: {differ}"
