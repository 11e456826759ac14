"""What the fetch log covers, what is asked for again and when: pure arithmetic."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from regime_pipeline.catalogue import FIELDS, table
from regime_pipeline.catalogue.frames import DTYPES
from regime_pipeline.coverage import gaps
from regime_pipeline.coverage.asked import (
    MARKET_SYMBOL,
    answered,
    covered_days,
    demands,
    merged,
    pieces,
    without,
)
from regime_pipeline.windows import DAY, HOUR, Window, utc

D1, D2, D3, D4 = (utc(f"2024-05-0{i}") for i in range(1, 5))
LATER = utc("2024-06-01")


def log(*rows: tuple[str, str | None, datetime, datetime, str, datetime, str]) -> pd.DataFrame:
    """Fetch log rows from (source, symbol, start, end, status, fetched_at, run)."""
    columns = (
        "source", "symbol", "window_start", "window_end", "fetch_status", "fetched_at", "run_id",
    )  # fmt: skip
    frame = pd.DataFrame(list(rows), columns=columns)
    frame["venue"], frame["market"], frame["rows_quarantined"] = "binance", "spot", 0
    frame["request_count"] = 1
    fields = [f for f in table("ops.fetch_log").fields if f in frame]
    return frame[fields].astype({f: DTYPES[FIELDS[f].kind] for f in fields})


def test_a_day_is_covered_when_it_was_answered_after_it_had_closed() -> None:
    found = covered_days(
        log(("binance", "BTC/USDT", D1, D3, "ok", D2 + 12 * HOUR, "a")), Window(D1, D4)
    )
    assert found == {("binance", "BTC/USDT"): {D1}}


def test_an_empty_answer_covers_and_a_failed_one_does_not() -> None:
    rows = log(
        ("binance", "BTC/USDT", D1, D2, "empty", LATER, "a"),
        ("binance", "ETH/USDT", D1, D2, "failed", LATER, "a"),
        ("binance", "SOL/USDT", D1, D2, "partial", LATER, "a"),
        ("alternative_me", None, D1, D2, "ok", LATER, "a"),
    )
    found = covered_days(rows, Window(D1, D2))
    assert {k for k, days in found.items() if days} == {
        ("binance", "BTC/USDT"),
        ("binance", "SOL/USDT"),
        ("alternative_me", MARKET_SYMBOL),
    }


def test_what_one_series_failed_to_give_voids_the_others_of_that_run_only() -> None:
    rows = log(
        ("coinglass", "BTC/USDT", D1, D4, "ok", LATER, "a"),
        ("coinglass", "BTC/USDT", D2, D3, "failed", LATER, "a"),
    )
    assert answered(rows) == {("coinglass", "BTC/USDT"): [Window(D1, D2), Window(D3, D4)]}
    healed = pd.concat([rows, log(("coinglass", "BTC/USDT", D2, D3, "ok", LATER, "b"))])
    assert answered(healed) == {("coinglass", "BTC/USDT"): [Window(D1, D4)]}


def test_demands_ask_each_source_only_for_its_open_days() -> None:
    covered = {
        ("binance", "BTC/USDT"): {D1, D2, D3},
        ("binance", "ETH/USDT"): {D1},
        ("okx", "BTC/USDT"): {D1},
        ("okx", "ETH/USDT"): {D1},
    }
    window = Window(D1, D4)
    found = demands(covered, window, sources=["binance", "okx"], symbols=["BTC/USDT", "ETH/USDT"])
    assert {(d.sources, d.symbols, d.window) for d in found} == {
        (("binance",), ("ETH/USDT",), Window(D2, D4)),
        (("okx",), ("BTC/USDT", "ETH/USDT"), Window(D2, D4)),
    }


def test_demands_are_cut_to_the_window_and_empty_when_all_is_there() -> None:
    window = Window(D1 + 6 * HOUR, D2 + 6 * HOUR)
    (one,) = demands({}, window, sources=["binance"], symbols=["BTC/USDT"])
    assert one.window == window
    full = {("binance", "BTC/USDT"): {D1, D2}}
    assert demands(full, window, sources=["binance"], symbols=["BTC/USDT"]) == []
    wide = demands({}, window, sources=["x"], symbols=["BTC/USDT"], per_symbol=False)
    assert wide[0].symbols == ("BTC/USDT",)


def test_window_arithmetic() -> None:
    assert merged([Window(D3, D4), Window(D1, D2), Window(D2, D3)]) == [Window(D1, D4)]
    assert without(Window(D1, D4), [Window(D2, D3)]) == [Window(D1, D2), Window(D3, D4)]
    assert without(Window(D1, D2), [Window(D1 - DAY, D4)]) == []
    assert pieces(Window(D1, D4), 2) == [Window(D1, D3), Window(D3, D4)]


def test_a_refusal_for_good_is_an_answer_and_is_not_asked_again() -> None:
    rows = log(
        ("okx", "ETH/USDT", D1, D2, "failed", LATER, "a"),
        ("okx", "BTC/USDT", D1, D2, "failed", LATER, "a"),
    ).assign(error_class=["UnknownSymbol", "Transient"])
    found = covered_days(rows, Window(D1, D2))
    assert {k for k, days in found.items() if days} == {("okx", "ETH/USDT")}


# --- gaps -----------------------------------------------------------------------------------------

NOW = utc("2024-05-04 10:20")
ASKABLE = {
    ("candles", "binance", "BTC/USDT"): "binance",
    ("candles", "binance", "ETH/USDT"): "binance",
    ("fear_greed", "alternative_me", "*"): "alternative_me",
}


def missed(*rows: tuple[str, str, str, datetime, datetime]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=["dataset", "source", "symbol", "start", "end"])
    return frame.assign(
        start=pd.to_datetime(frame["start"], utc=True), end=pd.to_datetime(frame["end"], utc=True)
    )


def candles_log(
    *rows: tuple[str, str | None, datetime, datetime, str, datetime, str],
) -> pd.DataFrame:
    return log(*rows).assign(dataset="candles")


GAP = missed(("candles", "binance", "BTC/USDT", D2, D3))


def test_nothing_missed_is_no_gap_and_only_askable_series_are_asked() -> None:
    assert gaps.find(GAP.head(0), candles_log(), ASKABLE) == []
    strange = missed(("candles", "okx", "BTC/USDT", D2, D3))
    assert gaps.find(strange, candles_log(), ASKABLE) == []


def test_a_failed_stretch_is_one_gap_and_one_request_over_its_days() -> None:
    at = utc("2024-05-03 00:02")
    rows = candles_log(
        ("binance", "BTC/USDT", D2, D3, "failed", at, "b"),
        ("binance", "ETH/USDT", D2, D3, "ok", at, "b"),
    )
    found = gaps.find(GAP, rows, ASKABLE)
    assert [(g.symbol, g.missed, g.attempts, g.failures) for g in found] == [
        ("BTC/USDT", (Window(D2, D3),), 1, 1)
    ]
    (request,) = gaps.refetches(found, NOW, limit=3)
    assert request.window == Window(D2, D3)
    assert request.symbols == ("BTC/USDT",)
    assert request.run_key.startswith("gap:2024-05-02..2024-05-02:")


def test_series_of_two_venues_are_one_gap_and_a_market_wide_one_has_no_symbol() -> None:
    spans = missed(
        ("candles", "binance", "BTC/USDT", D2, D2 + HOUR),
        ("candles", "binance", "BTC/USDT", D2 + HOUR, D2 + 2 * HOUR),
        ("fear_greed", "alternative_me", "*", D2, D3),
    )
    first, second = gaps.find(spans, candles_log(), ASKABLE)
    assert first.missed == (Window(D2, D2 + 2 * HOUR),)
    assert (second.dataset, second.symbol) == ("fear_greed", MARKET_SYMBOL)


def test_failures_of_an_outage_do_not_count_once_the_source_is_back() -> None:
    down = [
        ("binance", "BTC/USDT", D2, D3, "failed", D2 + n * HOUR, f"run{n}") for n in range(1, 24)
    ]
    (gap,) = gaps.find(GAP, candles_log(*down), ASKABLE)
    assert (gap.attempts, gap.last_attempt) == (23, D2 + 23 * HOUR)
    back = ("binance", "BTC/USDT", D3, D4, "ok", D3 + 2 * HOUR, "back")
    (gap,) = gaps.find(GAP, candles_log(*down, back), ASKABLE)
    assert (gap.attempts, gap.last_attempt, gap.failures) == (0, None, 23)
    again = ("binance", "BTC/USDT", D2, D3, "failed", D3 + 3 * HOUR, "gap")
    (gap,) = gaps.find(GAP, candles_log(*down, back, again), ASKABLE)
    assert (gap.attempts, gap.last_attempt, gap.failures) == (1, D3 + 3 * HOUR, 24)


def test_answers_that_do_not_fill_a_gap_are_asked_for_less_and_less_too() -> None:
    gap = missed(("candles", "binance", "BTC/USDT", D2, D2 + HOUR))
    answers = candles_log(
        *(("binance", "BTC/USDT", D2, D3, "ok", D3 + n * HOUR, f"run{n}") for n in range(1, 5))
    )
    (vain,) = gaps.find(gap, answers, ASKABLE)
    assert (vain.attempts, vain.failures, vain.last_attempt) == (4, 4, D3 + 4 * HOUR)
    (idle,) = gaps.find(gap, answers.assign(request_count=0), ASKABLE)
    (early,) = gaps.find(gap, answers.assign(fetched_at=D2 + HOUR), ASKABLE)
    assert (idle.attempts, early.attempts) == (0, 0)


def test_the_run_key_is_the_same_until_something_changed() -> None:
    gap = gaps.Gap("candles", "binance", "BTC/USDT", (Window(D2, D3),), failures=1)
    again = gaps.Gap("candles", "binance", "BTC/USDT", (Window(D2, D3),), failures=2)
    (a,), (b,), (c,) = (gaps.refetches([g], NOW, limit=3) for g in (gap, gap, again))
    assert a.run_key == b.run_key != c.run_key


def test_a_source_that_keeps_failing_is_asked_less_and_less() -> None:
    waits = [gaps.wait_after(n) for n in range(10)]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(minutes=5)
    assert waits[-1] == timedelta(hours=6)
    recent = gaps.Gap(
        "candles", "binance", "BTC/USDT", (Window(D2, D3),), 3, NOW - timedelta(minutes=20)
    )
    assert gaps.refetches([recent], NOW, limit=3) == []
    assert gaps.refetches([recent], NOW + HOUR, limit=3) != []


def test_datasets_with_the_same_missing_days_share_a_run_and_runs_are_bounded() -> None:
    found = [
        gaps.Gap(name, "binance", "BTC/USDT", (Window(D2 + 3 * HOUR, D2 + 5 * HOUR),))
        for name in ("candles", "open_interest")
    ]
    (one,) = gaps.refetches(found, NOW, limit=3)
    assert one.datasets == ("candles", "open_interest")
    assert one.window == Window(D2, D3)
    many = [
        gaps.Gap("candles", "binance", "BTC/USDT", (Window(D1 + n * 2 * DAY, D2 + n * 2 * DAY),))
        for n in range(9)
    ]
    assert [r.window.start for r in gaps.refetches(many, NOW, limit=2)] == [D1, D3]
    month = gaps.Gap("candles", "binance", "BTC/USDT", (Window(D1, D1 + 20 * DAY),))
    assert [len(r.window.days()) for r in gaps.refetches([month], NOW, limit=3)] == [7, 7, 6]
