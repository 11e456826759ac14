"""``reporting.outcomes`` on seven years of eight symbols: processor seconds a question, alone on a server.

The tables are made in a throw-away database: prices that walk at random, cascade rows with every column
that a question may read.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

SYMBOLS, YEARS = 8, 7
QUESTIONS = 20

_MONTHS = """
SELECT ops.ensure_partition(t::regclass, m::date)
FROM unnest(ARRAY['market.candles_1h', 'features.liquidation_cascades', 'features.volatility_regimes']) t,
    generate_series('2018-01-01'::date, '2025-01-01', '1 month') m
"""
_HOURS = """
(SELECT 'S' || s || '/USDT' AS symbol, '2018-01-01 00:00+00'::timestamptz + h * interval '1 hour' AS ts
FROM generate_series(1, %(symbols)s) s, generate_series(0, %(hours)s - 1) h) x
"""
_CANDLES = (
    """
INSERT INTO market.candles_1h (market, symbol, ts, venue, open, high, low, close, status, source_tier,
    method_version, revision, ingested_at)
SELECT 'perp', symbol, ts, 'binance', c, c * 1.01, c * 0.99, c, 'ok', 1, 'x', 0, ts FROM (
    SELECT symbol, ts, exp(sum(random() - 0.5) OVER (PARTITION BY symbol ORDER BY ts) / 100) AS c FROM """
    + _HOURS
    + ") y"
)
_CASCADES = (
    """
INSERT INTO features.liquidation_cascades (symbol, ts, total_liquidation_usd, long_liquidations_usd,
    short_liquidations_usd, velocity_usd_per_hour, severity, is_cascade, severity_pct, liq_to_oi_bps,
    long_share_frac, branching_ratio, intensity_ratio, support_levels, resistance_levels, status,
    source_tier, method_version, revision, ingested_at)
SELECT symbol, ts, 1e6 * random(), 1, 1, 1, floor(6 * random() ^ 4), random() < 0.01,
    floor(6 * random() ^ 4), random(), random(), random(), random(), '[1.5, 2.5, 3.5]', '[1.5, 2.5, 3.5]',
    'ok', 1, 'x', 0, ts FROM """
    + _HOURS
)
_VOLATILITY = (
    """
INSERT INTO features.volatility_regimes (symbol, ts, volatility_24h, vol_ratio, vol_regime_confirmed,
    status, source_tier, method_version, revision, ingested_at)
SELECT symbol, ts, random(), 2 * random(),
    (ARRAY['STABLE', 'HIGH_VOL', 'EXPLOSIVE'])[1 + floor(3 * random())], 'ok', 1, 'x', 0, ts FROM """
    + _HOURS
)


def questions(count: int) -> list[tuple[str, int]]:
    """Conditions from rare to common, on one table and on two."""
    draw = random.Random(1)
    found = []
    for number in range(count):
        leaf = {"field": "cascades_1h.severity_pct", "op": "is", "value": draw.choice([1, 3, 5])}
        other = {"field": "volatility_1h.vol_ratio", "op": ">=", "value": draw.uniform(0, 2)}
        both = [leaf, other] if number % 4 == 0 else [leaf if number % 2 else other]
        asked = {"all": both, "entry": number % 3 == 0}
        found.append((json.dumps(asked), draw.choice([1, 4, 24, 72])))
    return found


def run() -> None:
    """Print one JSON object."""
    sys.path.insert(0, str(Path(__file__).parent))
    import processes  # type: ignore[import-not-found]

    from benchmarks.common import line
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer

    processes.adopt_orphans()
    size = {"symbols": SYMBOLS, "hours": YEARS * 8_760}
    took: list[float] = []
    silent = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            database = open_database(Settings(_env_file=None, home=Path(folder)), origin="live")
            with database.connect(autocommit=True) as conn:
                conn.execute(_MONTHS)
                for statement in (_CANDLES, _CASCADES, _VOLATILITY):
                    conn.execute(statement, size)
                conn.execute("ANALYZE")
                for asked, horizon in questions(QUESTIONS):
                    before = processes.spent_s()["postgres"]
                    row = conn.execute(
                        "SELECT (reporting.outcomes(%s::jsonb, %s, '2026-01-01')).reason",
                        (asked, horizon),
                    ).fetchone()
                    silent += row is not None and row[0] is not None
                    took.append(processes.spent_s()["postgres"] - before)
            database.close()
        finally:
            EmbeddedServer(Path(folder)).stop()
    took.sort()
    line(
        "outcomes",
        f"{QUESTIONS} questions, {YEARS} years x {SYMBOLS}",
        cpu_s_p50=took[QUESTIONS // 2],
        cpu_s_p95=took[int(0.95 * QUESTIONS) - 1],
        silent=silent,
    )
