"""A small made-up market that fills every derived table, for looking at and testing reports.

The numbers are plausible, not computed by the pipeline: reports are tested against what stands in
the tables. ``make`` is deterministic.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from regime_pipeline.catalogue import TABLES, table
from regime_pipeline.catalogue.fields.signals import FACTORS
from regime_pipeline.windows import Window, hours_between
from regime_pipeline_tests.synthetic import frame_of

LABELS = np.array(["SPOT_IGNITION", "SPOT_COOLING", "SPOT_CHOP", "SPOT_NEUTRAL"], dtype=object)
VOL = np.array(["STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME"], dtype=object)
PRICES = {"BTC": 64_000.0, "ETH": 3_100.0, "SOL": 145.0, "ADA": 0.41, "BNB": 560.0, "XRP": 0.58,
          "DOT": 6.1, "LINK": 13.4}  # fmt: skip
WEIGHTS = dict(zip(FACTORS, (20, 15, 15, 15, 10, 10, 10, 5), strict=True))


def make(start: datetime, end: datetime, symbols: tuple[str, ...], seed: int = 7) -> dict:
    """Frames of every derived table over ``[start, end)`` by full name."""
    rng = np.random.default_rng(seed)
    hours = hours_between(start, end)
    n = len(hours)
    common = _volatility(rng, n)
    tables: dict[str, list[pd.DataFrame]] = {}

    def add(name: str, **columns: object) -> pd.DataFrame:
        made = frame_of(name, **columns)
        tables.setdefault(name, []).append(made)
        return made

    closes: dict[str, np.ndarray] = {}
    for index, symbol in enumerate(sorted(symbols)):
        vol = 0.0045 * (0.6 * common + 0.4 * _volatility(rng, n)) * (1 + 0.1 * index)
        shared = np.random.default_rng(seed + 1).standard_t(4, n) * 0.7
        returns = vol * (0.75 * shared + 0.65 * rng.standard_t(4, n) * 0.7)
        base = PRICES.get(symbol.split("/")[0], 10.0)
        close = base * np.exp(np.cumsum(returns - returns.mean()))
        gap = _gap(rng, n) if index == 1 else np.zeros(n, bool)
        close[gap] = np.nan
        closes[symbol] = close
        opened = np.roll(close, 1)
        opened[0] = close[0]
        status = np.where(gap, "missing", "ok")
        reason = np.where(gap, "not_observed", None)
        for market, shift in (("spot", 1.0), ("perp", 1 + 0.0003 * np.sin(np.arange(n) / 50))):
            add(
                "market.candles_1h", market=market, symbol=symbol, ts=hours, venue="binance",
                open=opened * shift, close=close * shift,
                high=np.fmax(opened, close) * shift * 1.002,
                low=np.fmin(opened, close) * shift * 0.998,
                volume_base=1e6 / base * (1 + common), volume_quote=1e6 * (1 + common),
                trade_count=1000, status=status, reason=reason,
            )  # fmt: skip
        _features(add, rng, symbol, hours, close, vol, gap, status, reason)
    _correlations(add, rng, hours, sorted(symbols))
    _passports(add, hours, sorted(symbols))
    _models(add, hours, sorted(symbols))
    days = hours[hours.hour == 0]
    add("market.fear_greed", ts=days, available_at=days + timedelta(minutes=10),
        fear_greed=np.clip(50 + np.cumsum(rng.normal(0, 6, len(days))), 5, 95).round())  # fmt: skip
    out = {k: pd.concat(v, ignore_index=True) for k, v in tables.items()}
    out["alerts.market_events"] = _events(out)
    return {k: f.sort_values(list(table(k).key)).reset_index(drop=True) for k, f in out.items()}


def _volatility(rng: np.random.Generator, n: int) -> np.ndarray:
    level = np.zeros(n)
    for i in range(1, n):
        level[i] = 0.992 * level[i - 1] + rng.normal(0, 0.07)
    for at in range(400, n, 1500):
        level[at : at + 60] += np.linspace(1.6, 0, len(level[at : at + 60]))
    return np.exp(level)


def _gap(rng: np.random.Generator, n: int) -> np.ndarray:
    out = np.zeros(n, bool)
    at = n // 2
    out[at : at + min(90, n // 8)] = True
    return out


def _hold(values: np.ndarray, hours: int) -> np.ndarray:
    """The value of every ``hours``-th row, kept between them, so that classes last."""
    return values[(np.arange(len(values)) // hours) * hours]


def _features(add, rng, symbol, hours, close, vol, gap, status, reason) -> None:
    n = len(hours)
    returns = pd.Series(np.log(close)).diff()
    v24 = np.sqrt((returns**2).rolling(24, 20).sum())
    ratio = (v24 / v24.rolling(720, 48).median().shift(24)).to_numpy()
    known = np.isfinite(ratio)
    held = _hold(np.nan_to_num(ratio), 6)
    code = np.digitize(held, (1.0, 1.5, 2.5))
    early = np.where(known, "ok", "insufficient_history")
    changed = np.r_[True, code[1:] != code[:-1]]
    age = np.arange(n) - np.maximum.accumulate(np.where(changed, np.arange(n), 0))
    add(
        "features.volatility_regimes", symbol=symbol, ts=hours, volatility_24h=v24,
        vol_ratio=ratio * 0.95, vol_ratio_gk=ratio, n_bars=24,
        vol_regime_confirmed=np.where(known, VOL[code], None),
        risk_multiplier_confirmed=np.where(known, np.array([0.7, 1.2, 1.8, 2.5])[code], np.nan),
        regime_age_h=pd.array(np.where(known, np.minimum(age, 168), 0)), status=early,
        reason=np.where(known, None, "no_baseline"),
        event_kind=np.where(changed & known, "change", None),
        event_severity=np.where(changed & known, np.where(code == 3, "CRITICAL", "INFO"), None),
    )  # fmt: skip
    trend = pd.Series(np.log(close)).diff(240) / (vol * np.sqrt(240))
    frames = {}
    for name, hold in (("1h", 3), ("4h", 8), ("1d", 24), ("1w", 168)):
        t = _hold(trend.fillna(0).to_numpy() + rng.normal(0, 0.3, n), hold)
        frames[f"regime_{name}"] = LABELS[np.select([t > 1, t < -1, abs(t) < 0.35], [0, 1, 2], 3)]
    primary = np.where(trend.notna() & ~gap, _hold(frames["regime_1d"], 12), None)
    count = np.sum([f == primary for f in frames.values()], axis=0)
    add(
        "regimes.timeframe_regimes", symbol=symbol, ts=hours, **frames, primary_regime=primary,
        primary_raw=primary, agreement_count=count, frames_available=4,
        agreement_score=count / 4, confidence=count / 4, confidence_kind="heuristic",
        is_confirmed=count >= 3, status=np.where(pd.isna(primary), "missing", "ok"),
        reason=np.where(pd.isna(primary), "no_bars", None),
    )  # fmt: skip
    prints = hours[hours.hour % 8 == 0]
    rate = 1e-4 * (1 + np.cumsum(rng.normal(0, 0.5, len(prints))) * 0.2)
    rate = np.clip(rate + 3e-4 * (rng.random(len(prints)) < 0.02), -8e-4, 1.5e-3)
    z = np.clip((rate - pd.Series(rate).rolling(90, 10).mean().shift(1)) / 1.2e-4, -6, 6).to_numpy()
    level = np.select([z > 3, z > 2, z < -3, z < -2],
                      ["EXTREME_HIGH", "HIGH", "EXTREME_LOW", "LOW"], "NORMAL")  # fmt: skip
    level = np.where(np.isfinite(z), level, None)
    funding = {
        "funding_rate": rate, "interval_hours": 8, "rate_8h": rate, "rate_annual": rate * 1095,
    }  # fmt: skip
    add("market.funding", symbol=symbol, ts=prints, venue="binance", **funding)
    stats = {**funding, "z_score": z, "is_anomaly": pd.array(abs(np.nan_to_num(z)) > 2),
             "extreme_level": level, "persistence_score": 0.2, "n_obs": 90}  # fmt: skip
    add("features.funding_prints", symbol=symbol, ts=prints, **stats,
        event_kind=np.where(abs(np.nan_to_num(z)) > 2, "start", None))  # fmt: skip
    at = np.clip(prints.searchsorted(hours, side="right") - 1, 0, None)
    hourly = {k: (np.asarray(v)[at] if np.ndim(v) else v) for k, v in stats.items()}
    add("features.funding_anomalies", symbol=symbol, ts=hours, print_ts=prints[at], **hourly)
    longs = np.exp(rng.normal(10, 1.3, n)) * np.where(returns.fillna(0) < 0, 4, 0.6)
    shorts = np.exp(rng.normal(10, 1.3, n)) * np.where(returns.fillna(0) > 0, 4, 0.6)
    sides = {"long_liquidations_usd": longs, "short_liquidations_usd": shorts,
             "total_liquidation_usd": longs + shorts, "coverage": 1.0,
             "is_lower_bound": False}  # fmt: skip
    add("market.liquidations_1h", symbol=symbol, ts=hours, venue="binance", source="coinglass",
        **sides)  # fmt: skip
    total = longs + shorts
    severity = np.digitize(total, (1e5, 2.5e5, 5e5, 1e6, 2.5e6))
    add("features.liquidation_cascades", symbol=symbol, ts=hours, severity=severity,
        is_cascade=severity >= 3, severity_pct=severity, velocity_usd_per_hour=total,
        long_share_frac=longs / total, dominance=np.where(longs > shorts, "LONG", "SHORT"),
        event_kind=np.where(severity >= 4, "start", None),
        event_severity=np.where(severity >= 4, "CRITICAL", None), **sides)  # fmt: skip
    coins = 1e5 * np.exp(np.cumsum(rng.normal(0, 0.003, n)))
    add("market.open_interest", symbol=symbol, ts=hours, venue="binance", source="coinglass",
        open_interest_base=coins, open_interest_usd=coins * close, status=status,
        reason=reason)  # fmt: skip
    add("market.positioning_1h", symbol=symbol, ts=hours, venue="binance",
        global_account_long_frac=0.55)  # fmt: skip
    momentum = 50 + 20 * np.tanh(trend.fillna(0).to_numpy())
    add("signals.components", symbol=symbol, ts=hours, momentum_score=momentum,
        momentum_status="ok", status="ok")  # fmt: skip
    _scores(add, rng, symbol, hours, momentum)


def _scores(add, rng, symbol, hours, momentum) -> None:
    n = len(hours)
    scores = {}
    for name in FACTORS:
        walk = _volatility(rng, n)
        scores[name] = np.clip(50 + 30 * np.tanh(np.log(walk)), 0, 100)
    scores["momentum"] = momentum
    scores["social"] = np.full(n, np.nan)
    weight = np.array([WEIGHTS[f] for f in FACTORS])
    matrix = np.column_stack([scores[f] for f in FACTORS])
    available = np.isfinite(matrix)
    coverage = (available * weight).sum(axis=1)
    score = np.nansum(matrix * weight, axis=1) / coverage
    top = []
    for row in matrix[:, :]:
        parts = sorted(
            ((abs(w * (s - 50)), f, s) for f, w, s in zip(FACTORS, weight, row, strict=True)
             if np.isfinite(s)), reverse=True)  # fmt: skip
        top.append(
            json.dumps(
                [
                    {"factor": f, "score": round(s, 2), "reason": f"{f} leans"}
                    for _, f, s in parts[:3]
                ],
                sort_keys=True,
                separators=(",", ":"),
            )
        )
    extra = {}
    for name in FACTORS:
        extra[f"{name}_factor"] = scores[name]
        extra[f"{name}_factor_status"] = "missing" if name == "social" else "ok"
        extra[f"{name}_factor_reason"] = "not_wired" if name == "social" else None
    add("signals.futures_scores", symbol=symbol, ts=hours, futures_score=score,
        futures_signal=np.select([score >= 65, score <= 35], ["LONG", "SHORT"], "NEUTRAL"),
        score_uncovered=score, score_fixed50=score, coverage_pct=coverage, confidence=0.6,
        confidence_level="medium", factor_agreement=0.7, freshness=1.0, top_factors=top,
        status="partial", **extra)  # fmt: skip


def _passports(add, hours, symbols) -> None:
    """Two signals of one day: one that is worth something and one that is not known yet."""
    ts = hours[hours.hour == 23][-1:]
    shown = {"ts": ts, "ic_lag_h": 96, "ic_hours": 1080, "trials_n": 1, "trials_eff": 1.0}
    sure = {"ic": 0.12, "ic_se": 0.02, "ic_hours_eff": 900.0, "crit": 2.8, "verdict_raw": "VALID"}
    known = {**sure, "verdict": "VALID", "evidence": "history", "net_spread_bps": -3.5}
    known |= {"quantile_spread_bps": 4.25, "hit_rate": 0.53, "cost_bps": 5.5}
    views = [("pooled", "*", "*"), ("pooled", "*", "EXTREME"), ("cross_section", "*", "*")]
    for kind, symbol, regime in (*views, *(("symbol", s, "*") for s in symbols)):
        view = {"passport_kind": kind, "symbol": symbol, "passport_regime": regime, **shown}
        add("signals.passports", signal="momentum", horizon_h=4, **view, **known)
        add("signals.passports", signal="whale_act", horizon_h=4, **view, verdict_raw="UNPROVEN",
            verdict="UNPROVEN", verdict_reason="no_coefficient", status="missing",
            reason="no_pairs_of_score_and_return")  # fmt: skip
    add("signals.strategies", strategy="follow_futures", ts=ts, paper_days=120, sharpe=-1.25,
        sharpe_low=-3.5, sharpe_high=0.5, max_drawdown=0.08, fees_total_usd=5300.0, book_fills=40,
        assumed_fills=2)  # fmt: skip
    _paper(add, hours[-240:], symbols)
    for side, shown in (("up", True), ("down", False)):
        add("signals.reliability", signal="momentum", horizon_h=4, calibration_side=side, ts=ts,
            reliability_bin=0, bin_rows=600, bin_probability=0.4, bin_observed=0.43,
            bin_observed_se=0.02)  # fmt: skip
        add("signals.calibrators", signal="momentum", horizon_h=4, calibration_side=side, ts=ts,
            calibrator_kind="platt", labels=9000, labels_eff=1100.0, base_rate=0.42, ece=0.02,
            brier_skill=0.01, brier_skill_low=0.004 if shown else -0.002, is_calibrated=shown,
            calibration_reason=None if shown else "no_skill_over_base_rate",
            verdict_raw="VALID")  # fmt: skip


def _paper(add, hours, symbols) -> None:
    """Ten days of a rule on paper, one order of each kind; the newest voters and costs of each symbol."""
    n = len(hours)
    equity = 100_000 * np.exp(np.cumsum(0.001 * np.sin(np.arange(n) / 9)))
    rule = {"strategy": "follow_futures"}
    add("signals.equity", **rule, ts=hours, equity_usd=equity, cash_usd=equity * 0.8,
        gross_weight=0.2, net_weight=0.1, drawdown=1 - equity / np.maximum.accumulate(equity),
        fees_usd=0.5, funding_paid_usd=0.1, traded_usd=900.0)  # fmt: skip
    for n, symbol in enumerate(symbols):
        at = {"symbol": symbol, "ts": hours[-1:]}
        add("signals.positions", **rule, **at, position_base=0.1, position_usd=6000.0,
            position_weight=0.06)  # fmt: skip
        add("signals.trade_intents", **rule, **at, intent_side=1, position_weight=0.0,
            target_weight=0.06, order_usd=6000.0)  # fmt: skip
        met = {"fill_kind": "levels", "vwap": 100.05, "filled_base": 0.1, "filled_share": 1.0,
               "paper_slippage_bps": 1.5, "fees_usd": 3.0}  # fmt: skip
        none = {"fill_reason": "no_book", "filled_share": 0.0}
        add("signals.trade_executions", **rule, **at, execution_id=f"order-{n}", order_side="BUY",
            order_base=0.1, **(none if n == 1 else met))  # fmt: skip
        add("signals.consensus", **at, votes='{"futures":"LONG","momentum":"LONG"}', voters=2,
            consensus="LONG", consensus_margin=1.0, is_unproven=True)  # fmt: skip
        add("signals.execution_quality", **at, venue="binance", quoted_spread_bps=1.2,
            slippage_10k_bps=0.9, cost_10k_bps=7.5, cost_10k_kind="book",
            taker_fee_bps=5.0)  # fmt: skip


def _models(add, hours, symbols) -> None:
    """A model that is published and one that is not, at the last hour of the last whole day."""
    ts = hours[hours.hour == 23][-1:]
    trained = hours[:1]
    for model, target, skill in (("volatility_har", "variance_24h", 0.25),
                                 ("direction_1h", "direction_1h", 0.0013)):  # fmt: skip
        good = model == "volatility_har"
        fit = {"model": model, "model_version": f"{model}-fit", "model_role": "champion"}
        add("signals.models", **fit, ts=trained, model_target=target, horizon_h=24 if good else 1,
            purge_h=24 if good else 1, model_features="[]", model_spec="{}", model_rows=70_000,
            model_hours_eff=365.0, model_seed=0, model_libraries="{}", trained_from=trained,
            trained_to=trained, model_parameters="{}")  # fmt: skip
        worth = {"skill": skill, "skill_low": skill - 0.002, "skill_high": skill + 0.002}
        worth |= {"model_loss": 0.36, "baseline_loss": 0.48, "scored_rows_eff": 500.0}
        worth |= {"scored_rows": 70_000, "psi": 0.1, "psi_limit": 0.3, "psi_feature": "x"}
        worth |= {"loss_cusum": 0.5, "has_drifted": False}
        add("signals.model_performance", **fit, symbol="*", passport_regime="*", ts=ts, **worth,
            has_passed=good, is_published=good, coverage_90=0.9 if good else np.nan,
            publication_reason=None if good else "no_skill_over_baseline")  # fmt: skip
        for symbol in symbols:
            known = {"volatility_forecast_frac": 0.03, "interval_90_frac": 0.05} if good else {}
            silent = {"status": "missing", "reason": "no_skill_over_baseline"}
            add("signals.model_predictions", **fit, symbol=symbol, ts=hours[-24:],
                horizon_h=24 if good else 1, **(known or silent))  # fmt: skip


def _correlations(add, rng, hours, symbols) -> None:
    n = len(hours)
    days = hours[hours.hour == 23]
    pair = {"component_a": "momentum", "component_b": "technical", "ts": days, "n_obs": 720}
    for symbol in symbols:
        add("correlation.signal_correlations", symbol=symbol, signal_corr=0.7, **pair)
    add("correlation.signal_correlations_pooled", signal_corr=0.7, n_symbols=len(symbols), **pair)
    for i, a in enumerate(symbols):
        for b in symbols[i + 1 :]:
            base = np.clip(0.72 - 0.03 * i + 0.05 * np.sin(np.arange(n) / 900), -1, 1)
            corr = np.clip(base + _hold(rng.normal(0, 0.08, n), 24), -1, 1)
            if (i + len(b)) % 3 == 0:
                corr[-30:] = base[-30:] * 0.35
            drop = (base - corr) / base
            broken = (drop > 0.5) & (base >= 0.3)
            add("correlation.correlation_matrices", symbol_a=a, symbol_b=b, ts=days,
                corr_7d=corr[hours.hour == 23], n_7d=168)  # fmt: skip
            add("correlation.asset_correlations", symbol_a=a, symbol_b=b, ts=hours, corr_7d=corr,
                corr_30d_base=base, spearman_7d=corr, rel_drop=drop, abs_change=corr - base,
                p_break=np.where(broken, 0.01, 0.4), is_break=broken, is_rise=False,
                n_7d=168, n_30d_base=720)  # fmt: skip
            if broken.any():
                h = hours[broken]
                add("correlation.correlation_breaks", symbol_a=a, symbol_b=b, ts=h,
                    corr_7d=corr[broken], corr_30d_base=base[broken], rel_drop=drop[broken],
                    p_break=0.01, break_kind="DROP", break_severity="MEDIUM",
                    duration_hours=np.arange(broken.sum()), episode_start=h[0],
                    event_kind=np.where(np.arange(len(h)) == 0, "start", None),
                    event_severity="WARNING")  # fmt: skip


def _events(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    kinds = {
        "features.volatility_regimes": ("VOLATILITY_REGIME_CHANGE", "volatility now "),
        "features.liquidation_cascades": ("LIQUIDATION_CASCADE", "liquidation cascade, severity "),
        "features.funding_prints": ("FUNDING_ANOMALY", "funding "),
        "correlation.correlation_breaks": ("CORRELATION_BREAK", "correlation fell "),
    }
    level = {"features.volatility_regimes": "vol_regime_confirmed",
             "features.liquidation_cascades": "severity",
             "features.funding_prints": "extreme_level",
             "correlation.correlation_breaks": "break_severity"}  # fmt: skip
    out = []
    for name, (kind, words) in kinds.items():
        if name not in tables:
            continue
        rows = tables[name]
        rows = rows[rows["event_kind"].notna()]
        pair = "symbol_a" in rows.columns
        instrument = rows["symbol_a"] + "|" + rows["symbol_b"] if pair else rows["symbol"]
        value = rows[level[name]].astype(str)
        ids = [
            hashlib.sha256(f"{kind}{i}{t}".encode()).hexdigest()
            for i, t in zip(instrument, rows["ts"], strict=True)
        ]
        out.append(
            frame_of(
                "alerts.market_events",
                event_id=ids,
                ts=rows["ts"].array,
                event_type=kind,
                instrument=instrument.array,
                kind=rows["event_kind"].array,
                ordinal=0,
                alert_severity=rows["event_severity"].fillna("WARNING").array,
                level=value.array,
                episode_start=rows["ts"].array,
                known_at=rows["ts"].array + timedelta(hours=1),
                title=(instrument + ": " + words + value).array,
                details="{}",
            )
        )
    return pd.concat(out, ignore_index=True)


def raw(start: datetime, end: datetime, symbols: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """Raw rows of one venue for what reports make bars of, and the spans of its candles."""
    hours = hours_between(start, end)
    wave = np.sin(np.arange(len(hours)) / 7)
    of = {"source": "binance_futures", "venue": "binance", "market": "perp", "available_at": hours}
    parts: dict[str, list[pd.DataFrame]] = {}
    for symbol in symbols:
        for name, columns in (
            ("raw.funding_rates", {"funding_rate": 1e-4 * wave, "interval_hours": 8}),
            ("raw.open_interest", {"open_interest_usd": 1e9 + 1e6 * wave}),
            ("raw.positioning", {"metric": "global_account_long_frac", "value": 0.5 + 0.1 * wave}),
        ):
            made = frame_of(name, symbol=symbol, ts=hours, pit_grade="observed", **of, **columns)
            parts.setdefault(name, []).append(made[:: 8 if "funding" in name else 1])
        parts.setdefault("raw.coin_markets", []).append(
            frame_of(
                "raw.coin_markets", source="coinglass", symbol=symbol, ts=hours[-1:],
                price_usd=[10.0], available_at=hours[-1:], pit_grade="observed",
            )
        )  # fmt: skip
        parts.setdefault("raw.liquidation_events", []).append(
            frame_of(
                "raw.liquidation_events", source="bybit", venue="bybit", market="perp", symbol=symbol,
                ts=hours[-1:], closure_id="1", position_side="long", price=[10.0], quantity_base=[2.0],
                liquidation_usd=[20.0], available_at=hours[-1:], pit_grade="observed",
            )
        )  # fmt: skip
        parts.setdefault("raw.liquidation_levels", []).append(
            frame_of(
                "raw.liquidation_levels", source="coinglass", venue="aggregate", market="perp",
                symbol=symbol, ts=hours[-1:], level_model="map", level_id="9.5|25", price_level=[9.5],
                leverage=[25.0], level_usd=[1e6], available_at=hours[-1:], pit_grade="observed",
            )
        )  # fmt: skip
        parts.setdefault("ops.coverage_spans", []).append(
            frame_of(
                "ops.coverage_spans", dataset="candles", source="binance", venue="binance",
                market="spot", symbol=symbol, span_start=[start, end - timedelta(hours=5)],
                span_end=[end - timedelta(hours=5), end], coverage_state=["stored", "missed"],
                coverage_reason=[None, "nobody asked"], is_forward_only=False,
            )
        )  # fmt: skip
    return {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}


def fetch_log(window: Window, now: datetime, symbols: tuple[str, ...]) -> pd.DataFrame:
    """Fetch-log rows: three sources that answered, one that failed, one that was skipped."""
    rows = []
    for source, dataset, status, error in (
        ("binance", "candles", "ok", None),
        ("binance_futures", "funding_rates", "ok", None),
        ("okx", "candles", "failed", "RateLimited"),
        ("coinglass", "liquidations", "ok", None),
        ("alternative_me", "fear_greed", "ok", None),
    ):
        for symbol in symbols if dataset != "fear_greed" else (None,):
            rows.append(
                dict(
                    fetch_id=hashlib.sha256(f"{source}{dataset}{symbol}".encode()).hexdigest(),
                    dataset=dataset,
                    source=source,
                    symbol=symbol,
                    venue="binance",
                    market="spot",
                    endpoint_path="/x",
                    window_start=window.start,
                    window_end=window.end,
                    fetch_status=status,
                    error_class=error,
                    error_message=error and "429 from the venue",
                    rows_quarantined=0,
                    rows_stored=100 if status == "ok" else 0,
                    request_count=3,
                    duration_s=0.4,
                    source_tier=1,
                    fetched_at=now - timedelta(minutes=5),
                )
            )
    return frame_of("ops.fetch_log", **pd.DataFrame(rows).to_dict("list"))


def run_steps(now: datetime) -> pd.DataFrame:
    """Two steps of one run, the second by dbt."""
    return frame_of(
        "ops.run_steps", run_id="run", step=["market__candles_1h", "reporting__models"],
        job_name="hourly_tick", started_at=now - timedelta(minutes=2), duration_s=[1.5, 4.0],
        cpu_s=[1.0, 3.0], step_outcome="succeeded", attempt_count=1, request_count=0,
        written_count=[48, None], changed_count=[2, None],
        by_table=[
            '{"market.candles_1h":{"changed_count":2,"written_count":48}}',
            '{"reporting.hourly":{"duration_s":0.25}}',
        ],
    )  # fmt: skip


Writer = Callable[[str, pd.DataFrame], object]


def store(frames: dict[str, pd.DataFrame], write: Writer) -> None:
    """Hand every frame to ``write`` in the order of the catalogue."""
    for name in TABLES:
        if name in frames:
            write(name, frames[name])
