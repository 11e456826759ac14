"""Each check: silent in a clean world, loud about the one defect that is planted for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.quality import prices
from regime_pipeline.quality.evaluate import Evidence, findings, withheld
from regime_pipeline.quality.model import BY_ID, CHECKS, WHOLE_TABLE, penalty
from regime_pipeline.quality.withholding import doubted, series_text, withhold
from regime_pipeline.windows import DAY, HOUR, Window
from regime_pipeline_tests.quality.chunks import as_read, whole_and_by_day
from regime_pipeline_tests.quality.worlds import (
    END,
    PARAMS,
    WINDOW,
    candles,
    failed,
    judged,
    tables,
)

AT = pd.Timestamp(END - 30 * HOUR)
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def clean() -> Tables:
    return tables()


@pytest.fixture
def world(clean: Tables) -> Tables:
    return dict(clean)


def change(world: Tables, name: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Tables:
    return {**world, name: edit(world[name].copy())}


def spot(frame: pd.DataFrame, source: str = "binance", symbol: str = "BTC/USDT") -> pd.Series:
    return (frame["source"] == source) & (frame["symbol"] == symbol)


def set_at(frame: pd.DataFrame, mask: pd.Series, **values) -> pd.DataFrame:
    for name, value in values.items():
        frame.loc[mask, name] = value
    return frame


def only(world: Tables, check_id: str, name: str, **more) -> pd.DataFrame:
    """The failures of one check; asserts that no other check of the table fails."""
    found = failed(judged(world, **more))
    assert set(found) == {(check_id, name)}
    return found[check_id, name]


def test_the_clean_world_is_silent_and_nothing_passes_unseen(clean: Tables) -> None:
    checks = judged(clean)
    assert failed(checks) == {}
    whole = checks[checks["series"] == WHOLE_TABLE]
    applied = whole[whole["check_outcome"] == "passed"]
    # no long bars are stored; all other checks had something to look at
    assert set(applied["check_id"]) == set(BY_ID) - {"DQ09"}
    idle = whole[whole["check_outcome"] == "not_applicable"]
    assert idle["reason"].notna().all()
    assert set(idle.loc[idle["table_name"] == "raw.fear_greed", "reason"]) == {"no_rows_stored"}
    assert len(whole) == 3 * sum(len(c.tables) for c in CHECKS)


@pytest.mark.slow
def test_rows_in_any_order_say_the_same(clean: Tables) -> None:
    hit = clean["raw.candles"]["ts"] == AT
    world = change(clean, "raw.candles", lambda f: set_at(f, hit & spot(f), close=1e4))
    shuffled = {n: f.sample(frac=1, random_state=3) for n, f in world.items()}
    pd.testing.assert_frame_equal(judged(world), judged(shuffled))
    pd.testing.assert_frame_equal(
        withheld(world, WINDOW, PARAMS), withheld(shuffled, WINDOW, PARAMS)
    )


@pytest.mark.slow
def test_verdicts_of_days_and_of_the_range_are_the_same_to_the_byte(world: Tables) -> None:
    """Everything that outlasts a day is in it: silent series, lost prints, frozen replies, a new unit."""
    window = Window(END - 6 * DAY, END)
    silent, back = pd.Timestamp(END - 5 * DAY), pd.Timestamp(END - DAY)

    def unheard(f: pd.DataFrame) -> pd.DataFrame:
        gone = (f["symbol"] == "BTC/USDT") & (f["source_tier"] == 1)
        return f[~(gone & (f["ts"] >= silent) & (f["ts"] < back))]

    names = ("raw.candles", "raw.funding_rates", "raw.positioning", "raw.liquidations")
    world = {**world, **{name: unheard(world[name]) for name in names}}
    world = change(world, "raw.order_book", lambda f: f.assign(payload_id="frozen"))
    world = change(
        world,
        "raw.open_interest",
        lambda f: set_at(f, f["ts"] >= silent, open_interest_usd=f["open_interest_usd"] * 1e3),
    )
    world = change(
        world,
        "raw.candles",
        lambda f: f.assign(close=f["close"] * np.where(f["ts"].dt.hour % 3 == 0, 1.0, 1.02)),
    )
    whole, parts = whole_and_by_day(world, window, window.end)
    pd.testing.assert_frame_equal(whole, parts)
    assert {"DQ03", "DQ06", "DQ10", "DQ13", "DQ15"} <= {check for check, _ in failed(whole)}


def quarantined(reason: str, **row) -> pd.DataFrame:
    told = {"source": "binance", "venue": "binance", "market": "spot", "symbol": "BTC/USDT", **row}
    return pd.DataFrame(
        {
            "table_name": "raw.candles",
            "source": "binance",
            "reason": reason,
            "row_data": json.dumps({"ts": AT.isoformat(), **told}),
            "created_at": pd.Timestamp(END),
        },
        index=[0],
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reason", "check_id"),
    [
        ("ts: not on the hourly grid", "DQ01"),
        ("symbol: another one than BTCUSDT; close: finite", "DQ01"),
        ("another row with the same key says otherwise", "DQ02"),
        ("high >= close; low <= open", "DQ04"),
        ("volume_base: greater_than_or_equal_to(0)", "DQ04"),
    ],
)
def test_refused_rows_are_counted_under_what_they_broke(
    world: Tables, reason: str, check_id: str
) -> None:
    rows = only(world, check_id, "raw.candles", quarantine=quarantined(reason))
    assert rows["n_failed"].tolist() == rows["n_withheld"].tolist() == [1]
    assert rows["ts"].tolist() == [AT.floor("D")]
    assert reason in rows["failing_keys"].iloc[0]
    assert rows["check_severity"].tolist() == ["BLOCK"]


def test_a_reply_that_nobody_could_read_breaks_the_contract(world: Tables) -> None:
    log = pd.DataFrame(
        {
            "dataset": ["candles"], "source": ["okx"], "venue": ["okx"], "market": ["spot"],
            "symbol": ["BTC/USDT"], "error_message": ["no field 'c'"],
            "window_start": [pd.Timestamp(END - 2 * DAY)], "window_end": [pd.Timestamp(END)],
        }
    )  # fmt: skip
    rows = only(world, "DQ01", "raw.candles", contract_failures=log)
    assert rows["n_failed"].tolist() == [1, 1]


@pytest.mark.parametrize(("hours", "severity"), [(1, "WARN"), (3, "BLOCK")])
def test_missing_hours(world: Tables, hours: int, severity: str) -> None:
    gone = [AT + i * HOUR for i in range(hours)]
    world = change(world, "raw.candles", lambda f: f[~(spot(f) & f["ts"].isin(gone))])
    found = failed(judged(world))
    assert found["DQ03", "raw.candles"]["check_severity"].tolist() == [severity]
    assert found["DQ03", "raw.candles"]["measured_value"].iloc[0] == pytest.approx(1 - hours / 24)
    assert withheld(world, WINDOW, PARAMS).empty  # what is there stays right


def test_fault_26_a_spike_that_no_venue_confirms_is_withheld(world: Tables) -> None:
    world = change(world, "raw.candles", lambda f: set_at(f, spot(f) & (f["ts"] == AT), close=1e4))
    found = failed(judged(world))
    assert found["DQ05", "raw.candles"]["n_withheld"].tolist() == [1]
    blocks = withheld(world, WINDOW, PARAMS)
    assert blocks[["check_id", "venue", "market", "symbol", "ts"]].to_numpy().tolist() == [
        ["DQ05", "binance", "spot", "BTC/USDT", AT]
    ]
    left = withhold(world["raw.candles"], "raw.candles", blocks)
    assert len(left) == len(world["raw.candles"]) - 1
    assert not (spot(left) & (left["ts"] == AT)).any()


def test_a_crash_that_other_venues_see_is_no_error(world: Tables) -> None:
    world = change(
        world,
        "raw.candles",
        lambda f: set_at(f, (f["symbol"] == "BTC/USDT") & (f["ts"] >= AT), close=f["close"] * 0.8),
    )
    assert not any(check == "DQ05" for check, _ in failed(judged(world)))


def test_a_level_that_lasts_is_its_own_confirmation(world: Tables) -> None:
    """One venue moves for good: the first hour is withheld, the next ones are not."""
    world = change(
        world,
        "raw.candles",
        lambda f: set_at(f, spot(f) & (f["ts"] >= AT), close=f["close"] * 2),
    )
    assert withheld(world, WINDOW, PARAMS)["ts"].tolist() == [AT]


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.3, 100.0])
def test_a_jump_that_nobody_else_has_is_told_and_published_with_the_doubt(
    world: Tables, factor: float
) -> None:
    def alone(f: pd.DataFrame) -> pd.DataFrame:
        f = f[f["source"] == "binance"]
        return set_at(f.copy(), spot(f) & (f["ts"] == AT), close=f["close"] * factor)

    world = change(world, "raw.candles", alone)
    rows = failed(judged(world))["DQ05", "raw.candles"]
    assert (rows["n_failed"].tolist(), rows["n_withheld"].tolist()) == ([1], [0])
    assert rows["check_severity"].tolist() == ["WARN"]
    blocks = withheld(world, WINDOW, PARAMS)
    assert blocks[["ts", "is_withheld", "reason"]].to_numpy().tolist() == [
        [AT, False, "unconfirmed_jump"]
    ]
    assert len(withhold(world["raw.candles"], "raw.candles", blocks)) == len(world["raw.candles"])
    made = pd.DataFrame(
        {"venue": "binance", "market": "spot", "symbol": "BTC/USDT", "ts": [AT - HOUR, AT]}
    ).assign(status="ok", reason=None)
    doubtful = doubted(made, blocks, ["raw.candles"])
    assert doubtful["status"].tolist() == ["ok", "partial"]
    assert doubtful["reason"].iloc[1] == "unconfirmed_jump" and doubtful["reason"].isna().iloc[0]


def correlated(seed: int, width: int, hours: int = 24 * 400) -> pd.DataFrame:
    """Closes of one coin on several venues: common t4 steps, a wandering basis of their own."""
    rng = np.random.default_rng(seed)
    step = 0.004 * rng.standard_t(4, hours) * np.exp(0.5 * np.sin(np.arange(hours) / 700.0))
    basis = 1e-3 * rng.normal(size=(hours, width))
    close = 100.0 * np.exp(np.cumsum(step)[:, None] + basis)
    ts = pd.date_range("2022-01-01", periods=hours, freq="h", tz="UTC", unit="us")
    places = [("binance", "spot"), ("binance", "perp"), ("okx", "perp"), ("bybit", "spot")]
    return pd.concat(
        [
            pd.DataFrame({"ts": ts, "close": close[:, i]}).assign(
                source=venue, venue=venue, market=market, symbol="BTC/USDT", timeframe="1h"
            )
            for i, (venue, market) in enumerate(places[:width])
        ],
        ignore_index=True,
    )


@pytest.mark.parametrize("width", [2, 3, 4])
@pytest.mark.parametrize("factor", [1.12, 0.85, 100.0, 0.01])
def test_a_spike_planted_on_one_of_several_series_is_withheld_and_nothing_else(
    width: int, factor: float
) -> None:
    clean = correlated(width, width)
    hours = len(clean) // width
    at = np.arange(1000, hours, 43)  # the spike goes from series to series
    spiked = clean.copy()
    spot_on = at + hours * (np.arange(len(at)) % width)
    spiked.loc[spot_on, "close"] = factor * clean.loc[spot_on - 1, "close"].to_numpy()
    before = prices.jumps(clean, PARAMS).verdicts
    assert not before.withheld.any()
    held = prices.jumps(spiked, PARAMS).verdicts
    found = held.rows(np.flatnonzero(held.withheld))[["venue", "market", "ts"]]
    planted = spiked.loc[spot_on, ["venue", "market", "ts"]]
    caught = found.merge(planted, on=["venue", "market", "ts"])
    assert len(caught) >= 0.99 * len(planted)
    assert len(found) == len(caught)  # the way back is no jump, nor are the others


@pytest.mark.parametrize("width", [2, 3, 4])
def test_crash_candles_are_confirmed_however_far_apart_the_venues_are(width: int) -> None:
    """In the largest liquidation hours venues lie up to 4.2 % apart, and all of them fall."""
    crash = correlated(10 + width, width)
    hours = len(crash) // width
    falls = np.resize([0.80, 0.83, 0.78, 0.86], width)
    for h in range(1000, hours, 97):
        rows = h + hours * np.arange(width)
        crash.loc[rows, "close"] *= falls
    seen = prices.jumps(crash, PARAMS).verdicts
    assert np.isfinite(seen.value).sum() > 150 and not seen.withheld.any()


def test_a_relayed_copy_neither_confirms_nor_contradicts(world: Tables) -> None:
    def relayed(f: pd.DataFrame) -> pd.DataFrame:
        f = f[f["source"] == "binance"]
        f = set_at(f.copy(), spot(f) & (f["ts"] == AT), close=1e4)
        return pd.concat([f, f.assign(source="relay", source_tier=2)], ignore_index=True)

    world = change(world, "raw.candles", relayed)
    assert withheld(world, WINDOW, PARAMS)["is_withheld"].tolist() == [False, False]


def test_the_verdict_on_an_hour_ignores_everything_after_it(world: Tables) -> None:
    spiked = change(world, "raw.candles", lambda f: set_at(f, spot(f) & (f["ts"] == AT), close=1e4))
    garbage = change(
        spiked,
        "raw.candles",
        lambda f: set_at(
            f, f["ts"] > AT, close=np.resize([1e-3, 7e5, 3.0], int((f["ts"] > AT).sum()))
        ),
    )
    until = Window(WINDOW.start, (AT + HOUR).to_pydatetime())
    pd.testing.assert_frame_equal(withheld(spiked, until, PARAMS), withheld(garbage, until, PARAMS))
    parts = [withheld(garbage, Window(d, d + DAY), PARAMS) for d in WINDOW.days()]
    whole = withheld(garbage, WINDOW, PARAMS)
    order = list(table("ops.quality_blocks").key)
    pd.testing.assert_frame_equal(pd.concat(parts).sort_values(order, ignore_index=True), whole)


@pytest.mark.slow
@pytest.mark.parametrize(("hours", "volume"), [(6, 1.0), (24, 0.0)])
def test_fault_27_a_feed_that_stands_still(world: Tables, hours: int, volume: float) -> None:
    def freeze(f: pd.DataFrame) -> pd.DataFrame:
        still = spot(f) & (f["ts"] >= AT) & (f["ts"] < AT + hours * HOUR)
        return set_at(
            f, still, close=f.loc[spot(f) & (f["ts"] == AT), "close"].iloc[0], volume_base=volume
        )

    assert ("DQ06", "raw.candles") in failed(judged(change(world, "raw.candles", freeze)))
    shorter = hours - 2
    hours = shorter
    assert ("DQ06", "raw.candles") not in failed(judged(change(world, "raw.candles", freeze)))


def test_the_same_reply_again_and_again(world: Tables) -> None:
    same = change(
        world,
        "raw.order_book",
        lambda f: set_at(f, (f["ts"] >= AT) & (f["ts"] < AT + 6 * HOUR), payload_id="frozen"),
    )
    rows = only(same, "DQ06", "raw.order_book")
    assert rows["n_failed"].sum() == 2  # the sixth, of each symbol


@pytest.mark.slow
def test_the_venue_that_is_alone_is_named(world: Tables) -> None:
    world = change(
        world,
        "raw.candles",
        lambda f: set_at(f, spot(f, "okx") & (f["ts"] == AT), close=f["close"] * 1.02),
    )
    rows = only(world, "DQ07", "raw.candles")
    assert rows["n_failed"].tolist() == [1]
    assert "okx" in rows["failing_keys"].iloc[0]
    two = change(world, "raw.candles", lambda f: f[f["source"] != "bybit"])
    assert "okx" in only(two, "DQ07", "raw.candles")["failing_keys"].iloc[0]


@pytest.mark.slow
def test_an_open_bar_is_withheld_unless_only_our_clock_is_late(world: Tables) -> None:
    early = (AT + 30 * pd.Timedelta(minutes=1)).as_unit("us")
    world = change(
        world, "raw.candles", lambda f: set_at(f, spot(f) & (f["ts"] == AT), ingested_at=early)
    )
    rows = only(world, "DQ08", "raw.candles")
    assert rows["measured_value"].tolist() == [1800.0]
    assert withheld(world, WINDOW, PARAMS)["check_id"].tolist() == ["DQ08"]
    told = change(world, "raw.candles", lambda f: f.assign(served_at=f["ts"] + HOUR))
    assert failed(judged(told)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.0, 1.0001])
def test_a_providers_day_is_the_sum_of_its_hours(world: Tables, factor: float) -> None:
    hours = candles()
    day = pd.Timestamp(WINDOW.start)
    mine = hours[spot(hours) & (hours["ts"] >= day) & (hours["ts"] < day + DAY)]
    bar = mine.head(1).assign(
        timeframe="1d",
        high=mine["high"].max() * factor,
        low=mine["low"].min(),
        close=mine["close"].iloc[-1],
        volume_base=mine["volume_base"].sum(),
    )
    checks = judged(world, long_bars=bar, bar_children=hours)
    row = checks[(checks["check_id"] == "DQ09") & (checks["ts"] == day)].iloc[0]
    assert row["check_outcome"] == ("passed" if factor == 1.0 else "failed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "held"),
    [({"funding_rate": 0.2}, 1), ({"interval_hours": 3}, 1), (None, 0)],
)
def test_funding(world: Tables, values: dict | None, held: int) -> None:
    at = pd.Timestamp(END - 32 * HOUR)

    def edit(f: pd.DataFrame) -> pd.DataFrame:
        hit = (f["symbol"] == "BTC/USDT") & (f["ts"] == at)
        return set_at(f, hit, **values) if values else f[~hit]

    world = change(world, "raw.funding_rates", edit)
    rows = failed(judged(world))["DQ10", "raw.funding_rates"]
    assert rows["check_severity"].tolist() == ["BLOCK" if held else "WARN"]
    assert len(withheld(world, WINDOW, PARAMS)) == held


@pytest.mark.slow
def test_liquidations_that_do_not_add_up(world: Tables) -> None:
    def hit(f: pd.DataFrame) -> pd.Series:
        return (f["symbol"] == "BTC/USDT") & (f["ts"] == AT)

    usd = change(world, "raw.liquidation_events", lambda f: set_at(f, hit(f), liquidation_usd=9.0))
    assert only(usd, "DQ11", "raw.liquidation_events")["n_failed"].tolist() == [1]
    sides = change(world, "raw.liquidation_events", lambda f: f.assign(position_side="short"))
    rows = only(sides, "DQ11", "raw.liquidation_events")
    assert "sides look swapped" in rows["failing_keys"].iloc[0]
    name = "market.liquidations_1h"
    total = change(world, name, lambda f: set_at(f, hit(f), total_liquidation_usd=999.0))
    assert only(total, "DQ11", name)["n_failed"].tolist() == [1]
    flag = change(world, name, lambda f: set_at(f, hit(f), is_lower_bound=False))
    assert only(flag, "DQ11", name)["n_failed"].tolist() == [1]


def test_books_that_enter_no_mean(world: Tables) -> None:
    stale = change(world, "raw.order_book", lambda f: set_at(f, f["ts"] == AT, book_age_s=300.0))
    assert only(stale, "DQ12", "raw.order_book")["n_failed"].tolist() == [2]


@pytest.mark.slow
def test_a_changed_unit_and_a_thinner_feed(world: Tables) -> None:
    last = pd.Timestamp(END - DAY)
    unit = change(
        world, "raw.open_interest", lambda f: set_at(f, f["ts"] >= last, open_interest_usd=1e5)
    )
    assert "level" in only(unit, "DQ13", "raw.open_interest")["failing_keys"].iloc[0]
    thin = change(
        world, "raw.open_interest", lambda f: f[~((f["ts"] >= last) & (f["ts"].dt.hour < 6))]
    )
    assert "row count" in failed(judged(thin))["DQ13", "raw.open_interest"]["failing_keys"].iloc[0]
    wild = change(
        world,
        "raw.candles",
        lambda f: f.assign(
            close=np.where(
                f["ts"] >= pd.Timestamp(END - 7 * DAY),
                f["close"] * np.where(f["ts"].dt.hour % 2 == 0, 1.0, 1.02),
                f["close"],
            )
        ),
    )
    rows = failed(judged(wild))["DQ13", "raw.candles"]
    assert "distribution of returns" in rows["failing_keys"].iloc[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "loud"), [(1.00005, False), (1.001, True)])
def test_restated_prices(world: Tables, factor: float, loud: bool) -> None:
    rows = candles()
    old = rows[spot(rows) & (rows["ts"] == AT)]
    versions = pd.concat(
        [
            old.assign(revision=0),
            old.assign(revision=1, close=old["close"] * factor, ingested_at=pd.Timestamp(END)),
        ]
    )
    found = failed(judged(world, versions={"raw.candles": versions}))
    assert set(found) == ({("DQ14", "raw.candles")} if loud else set())


@pytest.mark.slow
@pytest.mark.parametrize(("hours", "severity"), [(4, "WARN"), (20, "BLOCK")])
def test_a_table_that_fell_behind(world: Tables, hours: int, severity: str) -> None:
    late = change(world, "raw.trade_flow", lambda f: f[f["ts"] < pd.Timestamp(END - hours * HOUR)])
    rows = only(late, "DQ15", "raw.trade_flow")
    assert rows["check_severity"].tolist() == [severity]
    assert rows["measured_value"].tolist() == [float(hours)]


@pytest.mark.slow
def test_a_series_that_died_fails_for_as_long_as_its_rows_are_expected(world: Tables) -> None:
    """Long after its last row, which no day of the window reads any more."""
    name, died = "raw.open_interest", END - 20 * DAY
    gone = world[name]["symbol"].eq("ETH/USDT") & (world[name]["ts"] >= pd.Timestamp(died))
    world[name] = world[name][~gone].reset_index(drop=True)
    known = {
        "source": "binance_futures", "venue": "binance", "market": "perp", "symbol": "ETH/USDT",
        "ts": pd.Timestamp(died - HOUR), "source_tier": 1,
    }  # fmt: skip
    spans = pd.DataFrame([known | {"expected_from": WINDOW.start, "expected_to": END - DAY}])
    assert ("DQ15", name) not in failed(judged(world))

    checks, scores = findings(Evidence(world, silent={name: spans}), WINDOW, END, PARAMS)
    rows = checks[checks["check_id"].eq("DQ15") & checks["table_name"].eq(name)]
    dead = rows[rows["series"].str.contains("ETH")]
    assert dead["ts"].tolist() == [pd.Timestamp(END - n * DAY) for n in (3, 2)]  # not after its end
    assert dead["check_severity"].eq("BLOCK").all()
    assert dead["measured_value"].tolist() == [18 * 24.0, 19 * 24.0]
    mine = scores[scores["table_name"].eq(name)].set_index("ts")["quality_score"]
    assert (mine.iloc[:2] < 100).all()
    assert mine.iloc[2] == 100
    for day in (Window(d, d + DAY) for d in WINDOW.days()):  # the same from a day of its own
        read = replace(as_read(world, day), silent={name: spans})
        alone = findings(read, day, END, PARAMS)[0]
        alone = alone[alone["check_id"].eq("DQ15") & alone["table_name"].eq(name)]
        pd.testing.assert_frame_equal(
            alone.reset_index(drop=True),
            rows[rows["ts"].eq(pd.Timestamp(day.start))].reset_index(drop=True),
        )


def test_the_score_is_the_product_of_what_the_penalties_leave(world: Tables) -> None:
    world = change(world, "raw.candles", lambda f: set_at(f, spot(f) & (f["ts"] == AT), close=1e4))
    checks, scores = findings(Evidence(world), WINDOW, END, PARAMS)
    day = AT.floor("D")
    row = scores[(scores["table_name"] == "raw.candles") & (scores["ts"] == day)].iloc[0]
    mine = checks[
        (checks["table_name"] == "raw.candles")
        & (checks["ts"] == day)
        & (checks["series"] == WHOLE_TABLE)
    ]
    assert row["quality_score"] == pytest.approx(100 * np.prod(1 - mine["penalty"]))
    assert row["failing_checks"] == "DQ05,DQ07"
    assert (row["n_block"], row["n_warn"]) == (1, 1)
    assert (penalty(24, 24, True), penalty(0, 24, True)) == (0.5, 0.0)
    assert penalty(1, 100, False) == pytest.approx(0.1 * 0.208)


def test_a_table_without_rows_has_no_score(clean: Tables) -> None:
    _, scores = findings(Evidence(clean), WINDOW, END, PARAMS)
    empty = scores[scores["table_name"] == "raw.fear_greed"]
    assert empty["quality_score"].isna().all()
    assert (empty["n_checks"] == 0).all()


def test_a_block_names_its_row_exactly(clean: Tables) -> None:
    for name in ("raw.candles", "raw.funding_rates", "raw.positioning"):
        rows = clean[name]
        keys = pd.MultiIndex.from_arrays([series_text(rows), rows["ts"]])
        assert keys.is_unique, name
