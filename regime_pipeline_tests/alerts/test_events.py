from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr

from regime_pipeline.alerts.channels import GENERIC, Endpoint, generic
from regime_pipeline.alerts.events import LOOKBACK, columns_read, event_id, market_events
from regime_pipeline.alerts.false_alarms import ADVERTISED
from regime_pipeline.alerts.kinds import ALL_VARIABLE, MARKET, OPERATIONAL, TYPES, VARIABLES
from regime_pipeline.alerts.outbox import message_of
from regime_pipeline.catalogue.frames import conform, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.funding_anomalies import funding_prints
from regime_pipeline.market.funding import funding
from regime_pipeline.settings import FundingParams
from regime_pipeline.windows import Window, utc
from regime_pipeline_tests.signals.worlds import raw_prints
from regime_pipeline_tests.synthetic import same_bytes

SOMEWHERE = Endpoint("http-1", SecretStr("http://127.0.0.1/"), None, GENERIC)
TS = pd.Timestamp("2024-08-05T01:00Z")
START = pd.Timestamp("2024-08-05T00:00Z")
NAMES = {name.split(".")[1]: name for name in LOOKBACK}


def rows(name: str, *records: dict[str, object]) -> pd.DataFrame:
    """Rows of a derived table; columns that are not given are null."""
    target = table(NAMES[name])
    base = {"ts": TS, "symbol": "BTC/USDT", "status": "ok", "source_tier": 1}
    filled = [
        {c: {**base, "method_version": f"{name}/1", **r}.get(c) for c in target.content}
        for r in records
    ]
    return conform(pd.DataFrame(filled, columns=list(target.content)), target)


def events_of(**frames: pd.DataFrame) -> pd.DataFrame:
    out = market_events(**frames)
    validate(out, table("alerts.market_events"))
    return out


ANNOUNCED = {"event_kind": "start", "event_ordinal": 0, "episode_start": START}
CASCADE = {
    **ANNOUNCED,
    "total_liquidation_usd": 53_178_901.5,
    "long_liquidations_usd": 45_733_855.0,
    "short_liquidations_usd": 7_445_046.5,
    "velocity_usd_per_hour": 53_178_901.5,
    "long_share_frac": 0.86,
    "dominance": "LONG",
    "severity": 5,
    "severity_pct": 5,
    "event_severity": "CRITICAL",
}
PRINT = {
    "ts": pd.Timestamp("2024-08-05T08:00Z"),
    "symbol": "ADA/USDT",
    "funding_rate": -8.3e-5,
    "interval_hours": 8,
    "rate_8h": -8.3e-5,
    "z_score": -2.7,
    "median_rate_8h": 9.4e-5,
    "extreme_level": "LOW",
    "is_anomaly": True,
    "is_reversal": False,
}
BREAK = {
    "symbol_a": "BTC/USDT",
    "symbol_b": "ETH/USDT",
    **ANNOUNCED,
    "corr_7d": 0.15,
    "corr_30d_base": 0.45,
    "rel_drop": 2 / 3,
    "p_break": 0.001,
    "break_kind": "DROP",
    "break_severity": "MEDIUM",
    "duration_hours": 0,
    "event_severity": "WARNING",
}


VOLATILITY = {
    **ANNOUNCED,
    "event_kind": "change",
    "event_severity": "CRITICAL",
    "vol_regime_confirmed": "EXTREME",
    "vol_regime_from": "STABLE",
    "vol_ratio_gk": 3.14,
    "volatility_24h_gk": 0.0821,
    "vol_ratio": 2.6,
    "volatility_24h": 0.075,
}
REGIME = {
    **ANNOUNCED,
    "event_severity": "INFO",
    "primary_regime": "SPOT_COOLING",
    "agreement_count": 3,
    "frames_available": 4,
}
FUNDED = PRINT | {
    "event_kind": "start",
    "event_severity": "WARNING",
    "event_ordinal": 0,
    "episode_start": PRINT["ts"],
}
SAMPLES: dict[str, list[dict[str, object]]] = {
    "liquidation_cascades": [
        CASCADE,
        CASCADE | {"symbol": "ETH/USDT", "event_kind": "escalation", "long_share_frac": None},
        CASCADE | {"symbol": "SOL/USDT", "event_kind": "end", "severity_pct": None},
    ],
    "funding_prints": [
        FUNDED | {"is_reversal": True, "reversal_run_start": pd.Timestamp("2024-08-01T16:00Z")},
        FUNDED | {"symbol": "XRP/USDT", "extreme_level": "EXTREME_LOW", "z_score": -3.2},
    ],
    "volatility_regimes": [VOLATILITY, VOLATILITY | {"symbol": "ETH/USDT", "vol_ratio_gk": None}],
    "correlation_breaks": [
        BREAK,
        BREAK | {"event_kind": "escalation", "event_ordinal": 1, "corr_7d": None},
        BREAK | {"event_kind": "end", "event_ordinal": 2, "break_severity": None},
    ],
    "timeframe_regimes": [REGIME],
}
"""Rows that announce every type in every kind."""


def test_a_cascade_reads_like_a_trader_would_say_it() -> None:
    event = events_of(liquidation_cascades=rows("liquidation_cascades", CASCADE)).iloc[0]
    assert event["title"] == (
        "BTC/USDT liquidation cascade: $53.2M in 1 h, 86 % longs, severity 5/5"
    )
    assert event["event_type"] == "LIQUIDATION_CASCADE"
    assert (event["level"], event["alert_severity"], event["kind"]) == ("5", "CRITICAL", "start")
    assert event["known_at"] == TS + timedelta(hours=1)
    assert event["episode_start"] == START
    details = json.loads(event["details"])
    assert details["total_liquidation_usd"] == 53_178_901.5
    assert details["liq_to_oi_bps"] is None  # not known is null, not zero
    assert event["details"] == json.dumps(details, sort_keys=True, separators=(",", ":"))


def test_the_larger_side_is_named_and_escalations_say_so() -> None:
    row = CASCADE | {"long_share_frac": 0.25, "event_kind": "escalation", "event_ordinal": 1}
    row |= {"total_liquidation_usd": 999_960.0}
    event = events_of(liquidation_cascades=rows("liquidation_cascades", row)).iloc[0]
    assert event["title"] == (
        "BTC/USDT liquidation cascade grows: $1.0M in 1 h, 75 % shorts, severity 5/5"
    )


def test_funding_news_is_known_at_the_print_itself() -> None:
    event = events_of(funding_prints=rows("funding_prints", FUNDED)).iloc[0]
    assert event["known_at"] == event["ts"] == PRINT["ts"]
    assert (event["event_type"], event["level"]) == ("FUNDING_ANOMALY", "LOW")
    assert event["title"] == (
        "ADA/USDT funding unusually low, shorts crowded: -0.0083 % per 8 h, z -2.7"
    )


def test_one_print_can_end_a_run_and_start_the_opposite_one() -> None:
    row = FUNDED | {
        "is_reversal": True,
        "reversal_run_start": pd.Timestamp("2024-08-01T16:00Z"),
    }
    out = events_of(funding_prints=rows("funding_prints", row)).set_index("event_type")
    assert sorted(out.index) == ["FUNDING_ANOMALY", "FUNDING_REVERSAL"]
    turned = out.loc["FUNDING_REVERSAL"]
    assert turned["episode_start"] == PRINT["ts"]  # the end of its run
    assert turned["alert_severity"] == "INFO"
    assert "turned down after unusually high prints since 2024-08-01 16:00 UTC" in turned["title"]
    assert json.loads(turned["details"])["reversal_run_start"] == "2024-08-01T16:00:00Z"


def test_volatility_correlation_and_regime_lines() -> None:
    ended = BREAK | {
        "ts": TS + timedelta(hours=12),
        "event_kind": "end",
        "event_ordinal": 1,
        "event_severity": "INFO",
        "corr_7d": 0.41,
        "break_severity": None,
        "duration_hours": 12,
    }
    out = events_of(
        volatility_regimes=rows("volatility_regimes", VOLATILITY),
        timeframe_regimes=rows("timeframe_regimes", REGIME),
        correlation_breaks=rows("correlation_breaks", BREAK, ended),
    )
    assert sorted(out["title"]) == [
        "BTC/USDT and ETH/USDT: correlation break (MEDIUM), 0.45 over 30 d, 0.15 over 7 d",
        "BTC/USDT and ETH/USDT: correlation break over after 12 h, back at 0.41",
        "BTC/USDT regime confirmed COOLING: 3 of 4 timeframes agree",
        "BTC/USDT volatility EXTREME, up from STABLE: 3.1 x its 30-day median, 8.2 % in 24 h",
    ]
    pair = out[out["event_type"] == "CORRELATION_BREAK"].sort_values("ts")
    assert set(pair["instrument"]) == {"BTC/USDT|ETH/USDT"}
    assert pair["level"].tolist() == ["MEDIUM", "ended"]
    assert pair["known_at"].tolist() == [TS + timedelta(hours=h) for h in (1, 13)]


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        (
            {"vol_regime_from": "EXTREME", "vol_regime_confirmed": "HIGH_VOL", "vol_ratio_gk": 1.3},
            "volatility HIGH_VOL, down from EXTREME: 1.3 x its 30-day median, 8.2 % in 24 h",
        ),
        (
            {"vol_ratio_gk": 96.9, "volatility_24h_gk": 7.307, "vol_ratio": 1.2},
            "volatility EXTREME, up from STABLE, a wick: 1.2 x its 30-day mean close to close, "
            "7.5 % in 24 h",
        ),
        (
            {"vol_ratio_gk": 3.0, "vol_ratio": 1.0},  # at the border it is no wick yet
            "volatility EXTREME, up from STABLE: 3.0 x its 30-day median, 8.2 % in 24 h",
        ),
        (
            {"vol_regime_from": "EXTREME", "vol_ratio": None},
            "volatility EXTREME again: 3.1 x its 30-day median, 8.2 % in 24 h",
        ),
        (
            {"vol_regime_from": None, "vol_ratio_gk": None, "volatility_24h_gk": None},
            "volatility EXTREME",
        ),
    ],
)
def test_a_volatility_title_names_both_classes_and_a_lone_wick(
    changes: dict[str, object], title: str
) -> None:
    event = events_of(volatility_regimes=rows("volatility_regimes", VOLATILITY | changes)).iloc[0]
    assert event["title"] == f"BTC/USDT {title}"


def test_rows_without_an_announcement_are_no_events() -> None:
    silent = CASCADE | {"event_kind": None, "event_severity": None, "event_ordinal": None}
    out = events_of(
        liquidation_cascades=rows("liquidation_cascades", silent),
        funding_prints=rows("funding_prints", PRINT, PRINT | {"is_reversal": None}),
    )
    assert out.empty
    assert list(out.columns) == list(table("alerts.market_events").content)


def test_the_same_event_has_the_same_id_and_any_naming_part_changes_it() -> None:
    parts = ("LIQUIDATION_CASCADE", "BTC/USDT", START, "start", 0, "5", "cascades/1+ab")
    one = event_id(*parts)
    # written down: an id that changes would announce all of history again
    assert one == "086eabd2752a8fd435d02e92775f095f6e7a08a31c3336efef8e8b60a6f021a8"
    assert one == event_id(parts[0], parts[1], START.tz_convert("Asia/Tokyo"), *parts[3:])
    others = [
        ("FUNDING_ANOMALY", *parts[1:]),
        (parts[0], "ETH/USDT", *parts[2:]),
        (*parts[:2], TS, *parts[3:]),
        (*parts[:3], "escalation", *parts[4:]),
        (*parts[:4], 1, *parts[5:]),
        (*parts[:5], "4", parts[6]),
        (*parts[:6], "cascades/2"),
    ]
    assert len({one, *(event_id(*p) for p in others)}) == 1 + len(others)


def test_the_order_and_company_of_rows_change_nothing() -> None:
    first = CASCADE
    second = CASCADE | {"symbol": "ETH/USDT", "severity_pct": 3, "event_severity": "WARNING"}
    both = events_of(liquidation_cascades=rows("liquidation_cascades", first, second))
    turned = events_of(liquidation_cascades=rows("liquidation_cascades", second, first))
    same_bytes(both, turned)
    alone = events_of(liquidation_cascades=rows("liquidation_cascades", second))
    same_bytes(alone, both[both["instrument"] == "ETH/USDT"])


@pytest.mark.parametrize(
    ("event_type", "severity", "sent"),
    [
        ("VOLATILITY_REGIME_CHANGE", "INFO", False),
        ("VOLATILITY_REGIME_CHANGE", "WARNING", True),
        ("CORRELATION_BREAK", "INFO", False),
        ("CORRELATION_BREAK", "CRITICAL", True),
        ("REGIME_CONFIRMED", "INFO", True),
        ("FUNDING_REVERSAL", "INFO", True),
        ("LIQUIDATION_CASCADE", "WARNING", True),
    ],
)
def test_default_routing(event_type: str, severity: str, sent: bool) -> None:
    assert TYPES[event_type].is_sent(severity) is sent


def test_the_rows_of_the_event_types_are_whole() -> None:
    assert set(TYPES) == {t.name for t in MARKET} | set(OPERATIONAL)
    assert len(TYPES) == len(MARKET) + len(OPERATIONAL)  # no name is given twice
    rates = {a.detector for a in ADVERTISED}
    for kind in MARKET:
        assert timedelta(hours=1) < kind.deliver_before < timedelta(days=1)
        assert kind.false_alarms in rates
        assert {*kind.announcing, *kind.details, *kind.read} <= set(table(kind.table).fields)
        assert kind.name in VARIABLES[kind.variable]
    for kind in OPERATIONAL.values():
        assert kind.variable is None, kind.name  # they go to the receivers of everything
        assert timedelta(hours=1) < kind.deliver_before <= timedelta(days=1)
    assert VARIABLES[ALL_VARIABLE] is None


def test_the_columns_that_events_declare_are_all_that_they_read() -> None:
    """An event from the declared columns alone is the event from the whole row."""
    for name, given in SAMPLES.items():
        whole = rows(name, *given)
        narrow = whole[columns_read()[NAMES[name]]]
        same_bytes(market_events(**{name: narrow}), market_events(**{name: whole}))


def test_ids_and_bodies_are_those_that_were_always_sent() -> None:
    """An id that changes would announce all of history again, a byte would break a signature kept."""
    out = events_of(**{name: rows(name, *given) for name, given in SAMPLES.items()})
    stored = json.loads((Path(__file__).parent / "expected_events.json").read_text())
    assert len(stored) == len(out) == 12
    for event in out.to_dict("records"):
        body = json.loads(generic(message_of(event, "live"), SOMEWHERE))
        origin, tier = body["data"].pop("data_origin"), body["data"].pop("worst_tier")
        assert (origin, tier) == ("live", 1)
        assert (
            json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            == (stored[event["event_id"]])
        )


@pytest.mark.parametrize(("origin", "word"), [("simulated", "SIMULATED "), ("tape", "REPLAY ")])
def test_the_title_of_what_is_not_live_says_so_first(origin: str, word: str) -> None:
    event = events_of(liquidation_cascades=rows("liquidation_cascades", CASCADE)).iloc[0]
    data = json.loads(generic(message_of(event.to_dict(), origin), SOMEWHERE))["data"]
    assert data["title"] == word + event["title"]
    assert data["data_origin"] == origin


def test_a_table_that_no_event_reads_is_refused() -> None:
    with pytest.raises(ValueError, match="no event is read from candles"):
        market_events(candles=pd.DataFrame())


@pytest.mark.history
def test_real_funding_makes_valid_unique_events(market_history: Path) -> None:
    recorded = pd.read_parquet(market_history / "funding.parquet")
    recorded = recorded[recorded["venue"] == "binance"]
    raw = raw_prints(list(recorded["ts"]), recorded["funding_rate"].tolist(), symbol="").assign(
        symbol=recorded["symbol"].str.replace("USDT", "/USDT").to_numpy()
    )
    symbols = sorted(raw["symbol"].unique())
    window = Window(utc("2023-01-01"), utc("2025-01-01"))
    series = funding(raw, window=window, venues=dict.fromkeys(symbols, "binance"))
    prints = funding_prints(series, window=window, symbols=symbols, params=FundingParams())
    out = events_of(funding_prints=prints)
    assert out["event_id"].is_unique
    assert set(out["event_type"]) == {"FUNDING_ANOMALY", "FUNDING_REVERSAL"}
    assert (out["known_at"] == out["ts"]).all()
    # a reversal is named for the run that ended: its title and the sign of that run agree
    by_print = prints.set_index(["symbol", "ts"])
    turned = out[out["event_type"] == "FUNDING_REVERSAL"]
    for event in turned.to_dict("records"):
        began = pd.Timestamp(json.loads(event["details"])["reversal_run_start"])
        sign = by_print.loc[(event["instrument"], began), "run_sign"]
        assert ("unusually high" in event["title"]) == (sign > 0)
    days = (window.end - window.start).days
    assert 0.3 < len(out) / days < 1.5  # six symbols
