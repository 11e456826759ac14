"""What followed on a condition: the database's answer beside that of the estimator, and its refusals."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import psycopg
import pytest
from sqlalchemy import make_url

from regime_pipeline.alerts.kinds import MARKET
from regime_pipeline.alerts.outcomes import (
    Answer,
    InvalidConditionError,
    ask,
    condition_of,
    followed,
)
from regime_pipeline.numerics import block_estimator as be
from regime_pipeline.storage.database import Database
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.storage.test_roles import urls as urls

HOURS = 500 * 24
START = pd.Timestamp("2023-01-01T00:00Z")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
END = datetime.fromisoformat("2024-05-15T00:00+00:00")
"""The hour after the last row."""
SEVERE = {"field": "cascades_1h.severity_pct", "op": ">=", "value": 3}

_PRICES = """
INSERT INTO market.candles_1h (market, symbol, ts, venue, open, high, low, close, status, source_tier,
    method_version, revision, ingested_at)
SELECT 'perp', %(symbol)s, t.ts, 'binance', c, c, c, c, 'ok', 1, 'x', 0, t.ts
FROM unnest(%(ts)s::timestamptz[], %(close)s::float[]) AS t (ts, c)
"""
_CASCADES = """
INSERT INTO features.liquidation_cascades (symbol, ts, severity_pct, total_liquidation_usd, is_cascade,
    event_kind, status, source_tier, method_version, revision, ingested_at)
SELECT %(symbol)s, t.ts, t.level, t.usd, t.level >= 4, CASE WHEN t.level = 5 THEN 'start' END,
    CASE WHEN t.level IS NULL THEN 'missing' ELSE 'ok' END, 1, 'x', 0, t.ts
FROM unnest(%(ts)s::timestamptz[], %(level)s::int[], %(usd)s::float[]) AS t (ts, level, usd)
"""


def market(symbol: str) -> pd.DataFrame:
    """500 days of prices and of levels that come in storms; some hours of both are missing."""
    rng = np.random.default_rng(SYMBOLS.index(symbol))
    storm = np.repeat(rng.random(HOURS // 48) < 0.5, 48)
    level = np.where(storm, rng.integers(0, 6, HOURS), rng.integers(0, 2, HOURS)).astype(object)
    level[rng.random(HOURS) < 0.02] = None
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, HOURS)))
    close[rng.random(HOURS) < 0.01] = np.nan
    ts = pd.date_range(START, periods=HOURS, freq="h")
    return pd.DataFrame({"ts": ts, "close": close, "level": level, "usd": rng.random(HOURS)})


@pytest.fixture(scope="module")
def world(postgres: TestServer) -> Iterator[psycopg.Connection]:
    with postgres.database() as database, database.connect(autocommit=True) as conn:
        for name in ("market.candles_1h", "features.liquidation_cascades"):
            for month in pd.date_range(START, END, freq="MS"):
                conn.execute("SELECT ops.ensure_partition(%s::regclass, %s)", (name, month.date()))
        for symbol in SYMBOLS:
            rows = market(symbol)
            given = {c: rows[c].tolist() for c in ("close", "level", "usd")}
            given["close"] = [None if np.isnan(c) else c for c in given["close"]]
            given |= {"symbol": symbol, "ts": rows["ts"].dt.to_pydatetime().tolist()}
            conn.execute(_PRICES, given)
            conn.execute(_CASCADES, given)
        yield conn


def reference(hit_of, horizon_h: int, *, entry: bool = False) -> dict[str, object]:
    """The answer by the estimator in Python, over rows that it reads from nowhere but ``market``."""
    parts = []
    for symbol in SYMBOLS:
        rows = market(symbol)
        price = np.log(rows["close"])
        rows["ret"] = price.shift(-horizon_h) - price
        rows["hour"] = rows["ts"].astype("int64") // 3_600_000_000 + 1
        assert rows["ts"].dtype == "datetime64[us, UTC]"
        judged = rows["level"].notna()
        rows = rows.assign(symbol=symbol, level=rows["level"].fillna(-1))
        rows["hit"] = hit_of(rows) & judged
        if entry:
            true = rows.loc[rows["hit"], "hour"]
            since = true.diff()
            rows["hit"] = rows["hour"].isin(true[since.isna() | (since > 24)])
        parts.append(rows[rows["ret"].notna()])
    base = pd.concat(parts)
    found = base[base["hit"]]
    hours, returns = found["hour"].to_numpy(), found["ret"].to_numpy()
    weeks = be.Weeks.of(hours, returns > 0)
    whole = be.Weeks.of(base["hour"].to_numpy(), base["ret"].to_numpy() > 0)
    apart = 0
    for _, rows in found.groupby("symbol"):
        free = 0
        for hour in rows["hour"]:
            if hour >= free:
                apart, free = apart + 1, hour + horizon_h
    n_eff, blocks = be.rows_effective(weeks, apart), weeks.blocks_effective()
    low, high = be.wilson(weeks.share, n_eff, be.t_quantile(0.95, blocks))
    wide = be.t_quantile(0.99, blocks) * np.sqrt(be.variance_of_difference(weeks, whole))
    answer: dict[str, object] = {
        "n_rows": len(found), "n_eff": n_eff, "blocks_eff": blocks,
        "p_up": weeks.share, "p_up_low": low, "p_up_high": high, "mean": returns.mean(),
        "base_rows": len(base), "base_p_up": whole.share, "base_mean": base["ret"].mean(),
        "differs": bool(abs(weeks.share - whole.share) > wide),
    }  # fmt: skip
    for name, at in (("p10", 0.1), ("median", 0.5), ("p90", 0.9)):
        three = be.quantile_interval(hours, returns, at, 0.95)
        answer |= dict(zip((name, f"{name}_low", f"{name}_high"), three, strict=True))
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("horizon_h", [1, 4, 24, 72])
def test_the_database_answers_as_the_estimator_does(world, horizon_h):
    found = ask(world, SEVERE, horizon_h, END)
    assert found.reason is None
    expected = reference(lambda rows: rows["level"] >= 3, horizon_h)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(
        expected, rel=1e-12, abs=1e-12
    )


def test_bars_that_are_not_stored_are_as_bars_without_a_price(world):
    before = ask(world, SEVERE, 24, END)
    with world.transaction(force_rollback=True):
        gone = world.execute("DELETE FROM market.candles_1h WHERE close IS NULL").rowcount
        assert gone > 100
        assert ask(world, SEVERE, 24, END) == before


def test_an_entry_is_the_first_hour_after_a_day_without(world):
    condition = {"any": [SEVERE, {"field": "cascades_1h.is_cascade", "op": "is", "value": True}]}
    found = ask(world, condition | {"entry": True}, 4, END)
    expected = reference(lambda rows: rows["level"] >= 3, 4, entry=True)
    assert found.n_rows == expected["n_rows"] < 200
    assert found.n_eff == pytest.approx(expected["n_eff"], rel=1e-12)


def test_groups_and_comparisons_mean_what_they_say(world):
    usd = "cascades_1h.total_liquidation_usd"
    for condition, hit in (
        ({"not": [SEVERE]}, lambda r: r["level"] < 3),
        ({"field": usd, "op": "between", "value": [0.2, 0.4]}, lambda r: r["usd"].between(0.2, 0.4)),
        ({"field": "cascades_1h.severity_pct", "op": "in", "value": [0, 5]},
         lambda r: r["level"].isin([0, 5])),
        ({"all": [SEVERE, {"field": usd, "op": "<", "value": 0.5}]},
         lambda r: (r["level"] >= 3) & (r["usd"] < 0.5)),
        ({"field": "cascades_1h.event_kind", "op": "is", "value": "start"}, lambda r: r["level"] == 5),
    ):  # fmt: skip
        found = ask(world, condition, 1, END)
        assert found.n_rows == reference(hit, 1)["n_rows"]


def test_nothing_that_came_later_counts(world):
    early = END - timedelta(days=100)
    before = ask(world, SEVERE, 24, early)
    world.execute("BEGIN")
    world.execute("UPDATE market.candles_1h SET close = 1 WHERE ts >= %s", (early,))
    world.execute("DELETE FROM features.liquidation_cascades WHERE ts >= %s", (early,))
    after = ask(world, SEVERE, 24, early)
    world.execute("ROLLBACK")
    assert before == after


def test_history_is_silent_where_it_is_short_thin_or_unknown(world):
    assert ask(world, SEVERE, 4, END - timedelta(days=200)).reason.endswith("365 needed")
    rare = {"field": "cascades_1h.total_liquidation_usd", "op": ">=", "value": 0.9995}
    thin = ask(world, rare, 4, END)
    assert thin.is_silent
    assert (thin.p_up, thin.median, thin.n_rows > 0) == (None, None, True)
    assert ask(world, SEVERE, 4, END, ["NOT/USDT"]).n_rows == 0


REFUSED = (
    *(None, [], 1, {}, {"all": []}, {"all": [SEVERE], "any": [SEVERE]}, {"entry": True}),
    {"all": [{"any": [{"all": [{"any": [SEVERE]}]}]}]},
    {"all": [SEVERE] * 9},
    {"all": [{"any": [SEVERE] * 5}, {"any": [SEVERE] * 4}]},
    SEVERE | {"field": "raw.candles.close"},
    SEVERE | {"field": "cascades_1h.status"},
    SEVERE | {"op": "like"},
    SEVERE | {"value": "3"},
    SEVERE | {"value": None},
    SEVERE | {"value": 1e305},
    SEVERE | {"op": "between", "value": [1]},
    SEVERE | {"entry": "yes"},
    SEVERE | {"sql": "1"},
    {"field": "volatility_1h.vol_regime", "op": "is", "value": "'; drop table alerts.outbox --"},
    {"field": "volatility_1h.vol_regime", "op": "is", "value": "\0"},
    {"field": "volatility_1h.vol_regime", "op": ">=", "value": "STABLE"},
)  # fmt: skip


@pytest.mark.parametrize("condition", REFUSED, ids=lambda c: json.dumps(c)[:60])
def test_what_is_no_condition_is_refused_with_why(world, condition):
    with pytest.raises(InvalidConditionError, match=r"invalid_condition|JSON|Unicode"):
        ask(world, condition, 4, END)
    with pytest.raises(InvalidConditionError, match="horizon"):
        ask(world, SEVERE, 5, END)


def fuzzed(rng: random.Random, fields: list[str], depth: int = 0) -> object:
    """Something like a condition; about one leaf in three is one, so whole trees are rarer."""
    if depth < 4 and rng.random() < 0.4:
        return {rng.choice(["all", "any", "not", "xor"][: 3 + (rng.random() < 0.05)]): [
            fuzzed(rng, fields, depth + 1) for _ in range(rng.randint(0 if rng.random() < 0.05 else 1, 3))
        ]}  # fmt: skip
    value = rng.choice(
        [0, 3, -1.5, 1e9, 1e308, True, "start", "\u00e9'\"\\", None, [1, 3], ["start"], {}]
    )
    leaf = {"field": rng.choice(fields), "op": rng.choice(OPERATORS), "value": value}
    if rng.random() < 0.25:
        leaf = {"field": fields[0], "op": rng.choice(OPERATORS[:4]), "value": rng.randint(0, 5)}
    if rng.random() < 0.05:
        leaf.pop(rng.choice(list(leaf)))
    return leaf


OPERATORS = (">=", ">", "<=", "<", "between", "in", "is")


def written(world: psycopg.Connection) -> int:
    """Rows that were inserted or updated so far; the server counts a session's with delay unless asked."""
    world.execute("SELECT pg_stat_force_next_flush()")
    counted = world.execute("SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables").fetchone()
    assert counted is not None
    return counted[0]


def answered(world: psycopg.Connection, count: int) -> int:
    """How many of some fuzzed conditions are answered; all others are refused by name."""
    rng, good = random.Random(3), 0
    fields = [
        "cascades_1h.severity_pct",
        "cascades_1h.is_cascade",
        "cascades_1h.event_kind",
        "x'.y",
    ]
    before = written(world)
    for _ in range(count):
        try:
            good += isinstance(ask(world, fuzzed(rng, fields), 1, END, ["NOT/USDT"]), Answer)
        except InvalidConditionError as error:
            assert "invalid_condition" in str(error) or "JSON" in str(error)
    assert written(world) == before
    return good


def test_any_condition_is_answered_or_refused(world):
    assert 5 < answered(world, 150) < 140


@pytest.mark.slow
def test_ten_thousand_conditions_are_answered_or_refused(world):
    assert 500 < answered(world, 10_000) < 9_500


def test_a_reader_of_reports_may_ask(urls):
    """And is refused the tables below."""
    address = make_url(urls["bi"]).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(address) as conn:
        assert ask(conn, SEVERE, 4, END).n_rows == 0
        assert conn.execute("SELECT count(*) > 50 FROM reporting.askable").fetchone() == (True,)


def test_every_type_of_event_that_is_about_a_symbol_can_be_asked(database: Database):
    """Each at a level that it has; a pair has no one price."""
    levels = {
        "LIQUIDATION_CASCADE": "4",
        "FUNDING_ANOMALY": "EXTREME_HIGH",
        "FUNDING_REVERSAL": "NORMAL",
        "VOLATILITY_REGIME_CHANGE": "EXTREME",
        "REGIME_CONFIRMED": "SPOT_IGNITION",
    }
    with database.connect() as conn:
        for kind in MARKET:
            if kind.mart is None:
                assert condition_of(kind, "x") is None
                continue
            found = followed(conn, kind, levels[kind.name], ["BTC/USDT"], END)
            assert found["24"]["reason"] == "0 days of history, 365 needed"
