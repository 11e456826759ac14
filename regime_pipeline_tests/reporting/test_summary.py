from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from rich.console import Console

from regime_pipeline.reporting import queries
from regime_pipeline.reporting.formats import age_text, price_text, usd_text
from regime_pipeline.reporting.labels import label_of
from regime_pipeline.reporting.queries import alerts, stored_window
from regime_pipeline.reporting.status import print_status, status_of
from regime_pipeline.reporting.summary import collect, to_json
from regime_pipeline.reporting.terminal import print_summary
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import Window, utc
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, WINDOW, write
from regime_pipeline_tests.reporting.world import frame_of

pytestmark = pytest.mark.xdist_group("dbt")


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
    newest = rows(
        market, "select title from alerts.market_events order by known_at desc, event_id limit 1"
    )
    assert newest[0]["title"] in text
    assert "candles from okx: 3 failed (RateLimited). 429 from the venue" in text
    assert "regime db url" in text
    assert "make ui" in text

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
    assert "…" not in text.split("Last events")[0].split("UTC", 1)[1]


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
