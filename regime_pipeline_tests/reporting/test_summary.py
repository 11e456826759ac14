from __future__ import annotations

import io
import json
from datetime import datetime, timedelta

import pandas as pd
import pytest
from rich.console import Console

from regime_pipeline.catalogue.datasets import BY_TABLE
from regime_pipeline.catalogue.derivation import derivations
from regime_pipeline.cli.serving import _first_day
from regime_pipeline.reporting import queries
from regime_pipeline.reporting.quality import print_quality_days, quality_of
from regime_pipeline.reporting.queries import alerts, stored_window
from regime_pipeline.reporting.report import write_report
from regime_pipeline.reporting.status import print_status, status_of
from regime_pipeline.reporting.summary import collect, to_json
from regime_pipeline.reporting.terminal import print_summary
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import Window, utc
from regime_pipeline.wording.formats import age_text, price_text, usd_text
from regime_pipeline.wording.labels import label_of
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, WINDOW, write
from regime_pipeline_tests.synthetic import frame_of

pytestmark = pytest.mark.xdist_group("market")


def printed(what, show, width: int = 120) -> str:
    out = io.StringIO()
    show(what, Console(file=out, width=width, no_color=True))
    return out.getvalue()


def test_summary_says_what_sql_says(market: Database, settings: Settings):
    summary = collect(market, settings, CLOCK, WINDOW)
    text = printed(summary, print_summary)
    row = rows(market, "select * from reporting.market_overview where symbol = 'BTC/USDT'")[0]
    line = next(x for x in text.splitlines() if x.startswith(" BTC") or x.startswith("BTC"))
    assert price_text(row["price"]) in line
    assert label_of(row["primary_regime"]).word in line
    assert label_of(row["vol_regime_confirmed"]).word in line
    assert f"{row['futures_signal']} {row['futures_score']:.0f}" in line
    assert f"{row['futures_coverage_pct']}%" in line
    worst = rows(
        market,
        "select title from alerts.market_events where known_at >= '2024-07-13' "
        "and alert_severity = 'CRITICAL' order by known_at desc, event_id limit 1",
    )
    assert worst[0]["title"] in text
    assert "candles from okx: 3 failed (RateLimited). 429 from the venue" in text
    assert "regime db url" in text
    assert "regime ui" in text

    counts = Warehouse(market, CLOCK).counts()
    stored = {k: v for k, v in counts.items() if v and not k.startswith(("ops.", "alerts.outbox"))}
    assert {k: v for k, v in summary.row_counts.items() if v and "reporting" not in k} == stored
    assert sum(summary.event_counts.values()) == counts["alerts.market_events"]


def test_json_is_plain_and_complete(market: Database, settings: Settings):
    loaded = json.loads(json.dumps(to_json(collect(market, settings, CLOCK, WINDOW))))
    assert [r["symbol"] for r in loaded["overview"]] == list(SYMBOLS)
    assert loaded["window"] == {"start": WINDOW.start.isoformat(), "end": WINDOW.end.isoformat()}
    assert {c["table"] for c in loaded["coverage"]} >= {"market.candles_1h spot"}


@pytest.mark.parametrize(
    ("origin", "words"), [("simulated", "SIMULATED DATA"), ("tape", "REPLAYED HISTORY")]
)
def test_banner_is_loud_unless_data_are_live(
    market: Database, settings: Settings, origin: str, words: str
):
    live = collect(market, settings, CLOCK, WINDOW)
    assert words not in printed(live, print_summary)
    other = type(live)(**{**live.__dict__, "origin": origin})
    assert printed(other, print_summary).splitlines()[1].strip("│ ").startswith(words)


@pytest.mark.parametrize("width", [80, 200])
def test_no_line_is_wider_than_the_console(market: Database, settings: Settings, width: int):
    text = printed(collect(market, settings, CLOCK, WINDOW), print_summary, width)
    text = text.split("Where to look next")[0]  # what follows is to be copied, and is not broken
    assert max(len(x) for x in text.splitlines()) <= width
    assert "…" not in text.split("Events, the most")[0].split("UTC", 1)[1]


def test_hours_that_nobody_computed_are_told_apart_from_null_hours(
    market: Database, settings: Settings
):
    wider = Window(WINDOW.start - timedelta(days=2), WINDOW.end)
    cover = {c.table: c for c in collect(market, settings, CLOCK, wider).coverage}
    spot = cover["market.candles_1h spot"]
    hours = 47 * 24 * len(SYMBOLS)
    assert (spot.owed, spot.absent) == (hours, 2 * 24 * len(SYMBOLS))
    missing = rows(
        market,
        "select count(*) as n from market.candles_1h where market = 'spot' and close is null",
    )[0]["n"]
    assert spot.unusable == missing > 0


def test_a_failure_is_over_once_the_window_was_fetched(database: Database):
    def fetch(number: int, status: str, start: str, end: str, minute: int) -> None:
        row = frame_of(
            "ops.fetch_log",
            fetch_id=[str(number)],
            dataset="candles",
            source="okx",
            symbol="BTC/USDT",
            window_start=[utc(start)],
            window_end=[utc(end)],
            fetch_status=status,
            error_class="Timeout" if status == "failed" else None,
            fetched_at=[CLOCK.now() + timedelta(minutes=minute)],
        )
        write(database, {"ops.fetch_log": row})

    def health():
        return queries.source_health(database, WINDOW, CLOCK.now())[0]

    fetch(1, "failed", "2024-07-01", "2024-07-02", 0)
    assert (health().state, health().failing, health().error_classes) == (
        "failing",
        1,
        ("Timeout",),
    )
    fetch(2, "ok", "2024-07-01T12:00", "2024-07-02", 1)  # only half of it
    assert health().failing == 1
    fetch(3, "ok", "2024-06-30", "2024-07-03", 2)
    assert (health().state, health().failing) == ("ok", 0)


def test_before_anything_is_built_the_summary_says_so(database: Database, settings: Settings):
    summary = collect(database, settings, CLOCK, WINDOW)
    text = printed(summary, print_summary)
    assert "reporting.market_overview is empty" in text
    assert "BTC/USDT, ETH/USDT, SOL/USDT" in text
    assert stored_window(database) is None
    assert "nothing is stored yet" in printed(status_of(database, settings, CLOCK), print_status)


def test_status_and_alerts_of_a_filled_database(market: Database, settings: Settings):
    found = json.loads(json.dumps(status_of(market, settings, CLOCK)))
    text = printed(found, print_status)
    assert "features.volatility_regimes" in text
    assert "raw.candles" in text
    assert stored_window(market) == WINDOW
    rows = alerts(market, 3)
    assert len(rows) == 3
    assert rows[0]["known_at"] >= rows[1]["known_at"]
    assert {r["delivery"] for r in rows} == {"no endpoint"}


def test_of_the_last_days_the_most_severe_event_comes_first(database: Database, settings: Settings):
    def event(name: str, severity: str, day: str) -> None:
        at = utc(day)
        row = frame_of(
            "alerts.market_events", event_id=[name], ts=[at], event_type="FUNDING_ANOMALY",
            instrument="BTC/USDT", kind="start", alert_severity=severity, level="HIGH",
            episode_start=[at], known_at=[at], title=name, details="{}",
        )  # fmt: skip
        write(database, {"alerts.market_events": row})

    event("old", "CRITICAL", "2024-07-01")
    event("older", "INFO", "2024-06-20")
    event("severe", "CRITICAL", "2024-07-13T12:00")
    event("middling", "WARNING", "2024-07-14")
    event("newest", "INFO", "2024-07-15T20:00")
    shown = collect(database, settings, CLOCK, WINDOW).events
    assert [e["title"] for e in shown] == ["severe", "middling", "newest", "old", "older"]
    few = collect(database, settings, CLOCK, WINDOW, event_limit=1).events
    assert [e["title"] for e in few] == ["severe"]


def test_the_most_traded_symbol_comes_first_and_ties_keep_the_declared_order(database: Database):
    at = [utc("2024-07-10")]
    for symbol, value in (("ADA/USDT", 1e6), ("SOL/USDT", 5e6)):
        row = frame_of(
            "market.candles_1h", market="spot", symbol=symbol, ts=at, venue="binance",
            volume_quote=value,
        )  # fmt: skip
        write(database, {"market.candles_1h": row})
    declared = ("BTC/USDT", "ADA/USDT", "ETH/USDT", "SOL/USDT")
    assert queries.by_traded_value(database, WINDOW, declared) == (
        "SOL/USDT", "ADA/USDT", "BTC/USDT", "ETH/USDT",
    )  # fmt: skip


def test_hours_that_can_only_be_recorded_live_are_not_lost_hours(
    database: Database, settings: Settings
):
    day = Window(utc("2024-07-10"), utc("2024-07-11"))
    span = frame_of(
        "ops.coverage_spans", dataset="order_book", source="binance", venue="binance", market="spot",
        symbol="BTC/USDT", span_start=[day.start], span_end=[utc("2024-07-10T20:00")],
        coverage_state="forward_only", is_forward_only=True,
    )  # fmt: skip
    missed = span.assign(span_start=[utc("2024-07-10T20:00")], coverage_state="missed")
    missed["span_end"] = [day.end]
    for spans in (span, missed):
        Warehouse(database, CLOCK).record("ops.coverage_spans", spans)
    rows_ = frame_of(
        "market.order_book_1h", market="spot", symbol="BTC/USDT",
        ts=pd.date_range(day.start, day.end, freq="h", inclusive="left"), venue="binance",
        n_snapshots=0, status=["ok"] * 2 + ["missing"] * 22, reason=[None] * 2 + ["no_snapshot"] * 22,
    )  # fmt: skip
    write(database, {"market.order_book_1h": rows_})
    cover = {
        c.table: c for c in collect(database, settings, CLOCK, day, symbols=("BTC/USDT",)).coverage
    }
    spot = cover["market.order_book_1h spot"]
    assert (spot.owed, spot.ok, spot.unusable, spot.absent, spot.unexpected) == (6, 2, 4, 0, 18)


def test_hours_of_a_halted_market_are_not_lost_hours(database: Database, settings: Settings):
    day = Window(utc("2024-07-10"), utc("2024-07-11"))
    rows_ = frame_of(
        "market.candles_1h", market="spot", symbol="BTC/USDT", venue="binance",
        ts=pd.date_range(day.start, day.end, freq="h", inclusive="left"),
        status=["ok"] * 4 + ["not_applicable"] * 20, reason=[None] * 4 + ["halted"] * 20,
    )  # fmt: skip
    write(database, {"market.candles_1h": rows_})
    cover = {
        c.table: c for c in collect(database, settings, CLOCK, day, symbols=("BTC/USDT",)).coverage
    }
    spot = cover["market.candles_1h spot"]
    assert (spot.owed, spot.ok, spot.unusable, spot.absent, spot.unexpected) == (4, 4, 0, 0, 20)
    assert spot.usable_frac == 1.0


def test_every_hourly_table_of_a_dataset_without_a_past_is_known_as_such():
    """Derived features may use such a dataset besides; the market tables are made of it."""
    hourly = {t.full_name for t in queries.hourly_tables() if t.schema == "market"}
    without_past = {
        name: item.table.removeprefix("raw.")
        for declared in derivations()
        for name in declared.tables
        for item in declared.inputs.values()
        if name in hourly and item.table in BY_TABLE and BY_TABLE[item.table].forward_only
    }
    assert without_past.items() <= queries.RECORDED_FROM.items()
    assert without_past


def test_a_range_says_what_was_withheld_and_quarantined_on_all_of_its_days(
    database: Database, settings: Settings, tmp_path
):
    checks = frame_of(
        "ops.quality_checks", table_name="raw.candles", check_id="DQ05", series="*",
        ts=[utc("2024-06-05"), utc("2024-06-20")], check_severity="BLOCK", check_outcome="failed",
        n_judged=24, n_failed=[2, 1], n_withheld=[2, 1], penalty=0.2,
    )  # fmt: skip
    refused = pd.DataFrame(
        {"ts": ["2024-06-07T03:00:00Z"], "symbol": ["BTC/USDT"], "reason": ["high below low"]}
    )
    with database.connect() as connection:
        connection.execute("truncate ops.quarantine")
    warehouse = Warehouse(database, CLOCK)
    warehouse.merge("ops.quality_checks", checks)
    warehouse.quarantine("raw.candles", refused, source="okx", run_id=None)
    held = collect(database, settings, CLOCK, WINDOW).held
    assert [(h.state, h.table, h.rows, h.first) for h in held] == [
        ("withheld", "raw.candles", 3, utc("2024-06-05")),
        ("quarantined", "raw.candles", 1, utc("2024-06-07T03:00")),
    ]
    assert held[1].why == "high below low"
    one_day = Window(utc("2024-06-20"), utc("2024-06-21"))
    assert [h.rows for h in collect(database, settings, CLOCK, one_day).held] == [1]
    sums = "in the whole range: 3 rows withheld, 1 row quarantined"
    assert sums in printed(collect(database, settings, CLOCK, WINDOW), print_summary)
    assert sums in printed(quality_of(database, WINDOW), print_quality_days)
    assert [h["rows"] for h in quality_of(database, WINDOW)["held"]] == [3, 1]
    page = write_report(tmp_path / "r.html", database, settings, CLOCK, WINDOW).read_text("utf-8")
    assert "3 rows withheld, 1 quarantined in the window" in page
    assert "DQ05 a price jumped" in page


def test_numbers_read_well():
    assert [price_text(x) for x in (64123.4, 13.4, 0.41, None)] == [
        "64,123",
        "13.40",
        "0.4100",
        "—",
    ]
    assert [usd_text(x) for x in (0, 950, 1.2e6, 3e9, None)] == [
        "$0",
        "$950",
        "$1.2M",
        "$3.0B",
        "—",
    ]
    assert [age_text(x) for x in (None, 0.5, 3, 100)] == ["—", "30 min", "3 h", "4 d"]


def test_the_days_of_the_ui_begin_with_the_data_and_early_enough_for_every_gap(
    market: Database, settings: Settings
) -> None:
    def begin(now: str) -> datetime:
        return _first_day(settings.model_copy(update={"clock": now}), market)

    assert begin("2024-07-16") == queries.first_stored_day(market) == utc("2024-06-01")
    assert begin("2024-06-10") == utc("2024-05-09")  # hours of the last 31 days are asked for again
