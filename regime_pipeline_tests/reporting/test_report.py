from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.reporting import charts
from regime_pipeline.reporting.html import render_template
from regime_pipeline.reporting.page import render
from regime_pipeline.reporting.report import bucket_of, bucketed, load, write_report
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.windows import Window, hours_between, utc
from regime_pipeline.wording.formats import UNKNOWN
from regime_pipeline_tests.browser import laid_out
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, WINDOW, write
from regime_pipeline_tests.synthetic import frame_of

pytestmark = pytest.mark.xdist_group("market")
VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Ids, links and unbalanced tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.targets += [str(given[k]) for k in ("href", "src", "xlink:href") if given.get(k)]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(market: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(_env_file=None, symbols=SYMBOLS)
    path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    assert write_report(path, market, settings, CLOCK, WINDOW, label="a made-up market") == path
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    return path


def test_page_holds_every_section_and_symbol(written: Path, market: Database):
    text = written.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    for section in ("overview", "symbols", "correlation", "events", "futures", "health", "reading"):
        assert section in page.ids
    for symbol in SYMBOLS:
        assert f"s-{symbol.replace('/', '-')}" in page.ids
    titles = [r["title"] for r in rows(market, "select title from alerts.market_events")]
    assert all(t in text for t in titles)
    assert "8 failed" not in text
    assert "3 failed (RateLimited): 429 from the venue" in text
    assert len(set(page.ids)) == len(page.ids)


def test_page_needs_nothing_else(written: Path):
    text = written.read_text("utf-8")
    targets = Page(text).targets
    assert {t for t in targets if not t.startswith("#")} == {"data:,"}
    assert not re.search(r"https?://|@import|url\((?!#)|<script", text)
    assert not set(charts.COLOURS.values()) & set(re.findall(r"#[0-9a-f]{6}", text))
    assert written.stat().st_size < 3e6


def unknown(value: object) -> object:
    """The same rows with every number unknown."""
    if isinstance(value, pd.DataFrame):
        numbers = value.select_dtypes(["float64", "Int64", "boolean"]).columns
        return value.assign(
            **{n: value[n].where(np.zeros(len(value), dtype=bool)) for n in numbers}
        )
    if isinstance(value, list):
        return [{k: None if isinstance(v, float) else v for k, v in row.items()} for row in value]
    return value


def test_numbers_that_are_unknown_are_dashes_and_end_no_report(market: Database) -> None:
    settings = Settings(_env_file=None, symbols=SYMBOLS)
    data = load(market, settings, CLOCK, WINDOW)
    young = replace(data, **{k: unknown(v) for k, v in vars(data).items() if k != "events"})
    young = replace(young, summary=replace(data.summary, overview=unknown(data.summary.overview)))
    page = Page(render(young))
    assert page.open == []


@pytest.mark.slow
def test_same_data_give_the_same_bytes(written: Path, market: Database, tmp_path: Path):
    settings = Settings(_env_file=None, symbols=SYMBOLS)
    again = write_report(
        tmp_path / "again.html", market, settings, CLOCK, WINDOW, label="a made-up market"
    )
    assert again.read_bytes() == written.read_bytes()


@pytest.mark.slow
def test_an_empty_database_gives_a_page_that_says_so(database: Database, tmp_path: Path):
    settings = Settings(_env_file=None, symbols=SYMBOLS)
    path = write_report(tmp_path / "r.html", database, settings, CLOCK, WINDOW)
    text = path.read_text("utf-8")
    assert Page(text).open == []
    assert "has not been built" in text or "have not been built" in text
    assert "no price in this window" in text
    assert "No market event in this window" in text


@pytest.mark.slow
def test_texts_from_data_are_escaped(database: Database, tmp_path: Path):
    event = frame_of(
        "alerts.market_events",
        event_id=["x"],
        ts=[utc("2024-07-01")],
        event_type="FUNDING_ANOMALY",
        instrument="BTC/USDT",
        kind="start",
        alert_severity="WARNING",
        level="HIGH",
        episode_start=[utc("2024-07-01")],
        known_at=[utc("2024-07-01")],
        title="<script>alert(1)</script>",
        details="{}",
    )
    write(database, {"alerts.market_events": event})
    settings = Settings(_env_file=None, symbols=SYMBOLS)
    text = write_report(tmp_path / "r.html", database, settings, CLOCK, WINDOW).read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_null_buckets_stay_null_and_sums_skip_no_zero():
    at = hours_between(utc("2024-01-01"), utc("2024-01-02"))
    values = pd.Series(np.arange(24.0), index=at)
    values.iloc[4:8] = np.nan
    values.iloc[9] = np.nan
    window = Window(utc("2024-01-01"), utc("2024-01-02T04:00"))
    assert bucketed(values, "4h", window, "last").tolist()[:1] == [3.0]
    summed = bucketed(values, "4h", window, "sum")
    assert np.isnan(summed.iloc[1])
    assert summed.iloc[2] == 8 + 10 + 11
    assert np.isnan(summed.iloc[6])  # a bucket beyond the data
    assert bucketed(values.iloc[:0], "4h", window, "max").isna().all()


def test_spells_end_at_unknown_and_absent_hours():
    at = hours_between(utc("2024-01-01"), utc("2024-01-01T08:00")).delete(6)
    found = charts.spells(pd.Series(["A", "A", None, "A", "B", "B", "B"], index=at, dtype=object))
    hour = timedelta(hours=1)
    assert [((a - at[0]) // hour, (b - at[0]) // hour, x) for a, b, x in found] == [
        (0, 2, "A"),
        (3, 4, "A"),
        (4, 6, "B"),
        (7, 8, "B"),
    ]


def test_the_funding_axis_stays_readable_beside_a_large_z():
    from matplotlib.figure import Figure

    at = hours_between(utc("2024-01-01"), utc("2024-01-03"))[::8]
    empty = pd.Series(dtype="float64", index=at[:0])
    for largest in (2.5, 9.0, 96.0):
        z = pd.Series([0.1, -0.4, largest, 0.2, -1.0, 0.0], index=at)
        data = charts.SymbolSeries(
            *[empty] * 4, z, z[z > 2], empty, empty, pd.DataFrame(index=at[:0])
        )
        axes = Figure(figsize=(10.4, 1.3)).subplots()
        charts._funding_panel(axes, data, 2.0, 3.0)
        low, high = axes.get_ylim()
        ticks = [t for t in axes.get_yticks() if low <= t <= high]
        assert 0 in ticks
        assert len(ticks) >= 3
        assert min(np.diff(ticks)) / (high - low) > 0.12, largest  # a label needs a tenth of it


@pytest.mark.parametrize("price", [0.00012345, 98_765.0, 123_456.0, 12_345_678.0])
def test_no_label_of_a_price_is_clipped(price: float):
    at = hours_between(utc("2024-01-01"), utc("2024-01-03"))
    empty = pd.Series(dtype="float64", index=at[:0])
    close = pd.Series(np.linspace(price, 1.08 * price, len(at)), index=at)
    data = charts.SymbolSeries(close, *[empty] * 7, pd.DataFrame({"dominance": []}, index=at[:0]))
    params = {"borders": (1.2, 2.0, 3.0), "anomaly_z": 2.0, "extreme_z": 3.0}
    drawn = charts.symbol_chart("X/USDT", data, Window(at[0], at[-1]), params)
    ends = re.findall(r'text-anchor: end[^>]* x="([\d.]+)"[^>]*>([^<]*)<', drawn)
    assert len(ends) >= 3
    for x, text in ends:
        # of the common fonts DejaVu Sans is the widest: a digit has 0.64 of its height, a mark half of that
        assert float(x) > 9 * sum(0.32 if c in ".," else 0.64 for c in text), (x, text)


def test_what_failed_holds_failures_whole_and_remarks_apart(database: Database, tmp_path: Path):
    said = "the venue answered 503 for the whole night; " * 8 + "the end of it"
    log = [
        {
            "fetch_status": "failed",
            "source": "okx",
            "error_class": "Transient",
            "error_message": said,
        },
        {"fetch_status": "skipped", "source": "news", "error_message": "no key is set"},
    ]
    row = {
        "dataset": "candles", "symbol": "BTC/USDT", "window_start": WINDOW.start,
        "window_end": WINDOW.end, "fetched_at": CLOCK.now(),
    }  # fmt: skip
    for number, given in enumerate(log):
        one = {k: [v] for k, v in (row | given).items()}
        write(database, {"ops.fetch_log": frame_of("ops.fetch_log", fetch_id=[str(number)], **one)})
    settings = Settings(_env_file=None, symbols=SYMBOLS)
    text = write_report(tmp_path / "r.html", database, settings, CLOCK, WINDOW).read_text("utf-8")
    failed = text.split("What failed", 1)[1].split("</ul>", 1)[0]
    assert said in failed
    assert "no key is set" not in failed
    assert "no key is set" in text


def test_longer_windows_get_longer_buckets():
    start = utc("2024-01-01")
    days = {d: bucket_of(Window(start, start + timedelta(days=d))) for d in (30, 300, 900)}
    assert days == {30: "1h", 300: "4h", 900: "1d"}


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_lays_it_out_without_overflow_or_errors(
    written: Path, tmp_path: Path, width: int
):
    assert laid_out(written, tmp_path, width) == {
        "over": 0,  # wide things scroll inside their own box
        "charts": len(SYMBOLS) + 4,
        "flat": 0,
        "outside": 0,  # the regimes of every symbol are seen before anything is scrolled
    }


def test_what_trading_would_come_to_is_on_the_page_and_what_is_not_known_says_so(
    written: Path,
) -> None:
    text = written.read_text()
    section = text[text.index('id="trading"') :].split("<section", 1)[0]
    assert "follow futures" in section and "-1.25" in section and "5,300" in section
    assert "No order is ever placed" in section
    assert "LONG" in section and "7.50" in section and "No vote" not in section
    assert UNKNOWN in section  # slippage of larger orders
    nothing = render_template("trading.html", consensus=[], costs=[], paper=[])
    for text in ("No vote has been counted", "Nothing is known of what trading", "No strategy has"):
        assert text in nothing


def test_votes_and_costs_are_shown_and_null_ones_give_their_reason() -> None:
    vote = {
        "symbol": "BTC/USDT",
        "consensus": "LONG",
        "voters": 3,
        "consensus_margin": 1 / 3,
        "dissenters": "momentum",
        "fleiss_kappa_30d": None,
        "consensus_reason": None,
        "reason": None,
    }
    cost = dict.fromkeys(
        ("quoted_spread_bps", "effective_spread_bps", "slippage_10k_bps", "slippage_100k_bps",
         "slippage_1m_bps", "cost_10k_bps", "liquidity_score", "signal_tradable")
    ) | {"symbol": "BTC/USDT", "reason": "no_book_this_hour", "quoted_spread_bps": 1.25}  # fmt: skip
    text = render_template("trading.html", consensus=[vote], costs=[cost], paper=[])
    assert ">33 %<" in text and ">1.25<" in text and ">momentum<" in text
    assert "no book this hour" in text and "not proven" in text
