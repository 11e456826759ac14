"""Paper positions: fills by a book, limits, the same bytes from a stored state, and never an order."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import regime_pipeline.research as research
from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.market.book_levels import Levels, Sampled
from regime_pipeline.research import fills, paper, paper_statistics
from regime_pipeline.research import paper_layout as lay
from regime_pipeline.research.paper_tables import (
    STRATEGIES,
    TABLES,
    paper_positions,
    states_before,
    trials_of,
)
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, Grid, hours_between, utc
from regime_pipeline_tests.synthetic import filled, long

ASKS = (np.array([100.0, 100.1]), np.array([1.0, 2.0]))
MID = 99.95
RULES = paper.Rules("futures")


def test_buying_two_of_three_pays_10_005_bps() -> None:
    found = fills.through_levels(*ASKS, MID, 2.0, 1)
    assert found.vwap == pytest.approx(100.05) and found.share == 1.0
    assert found.slippage_bps == pytest.approx(10.005, abs=1e-3)


def test_what_is_not_offered_is_cancelled() -> None:
    found = fills.through_levels(np.array([100.0, 100.1]), np.array([1.0, 0.5]), MID, 2.0, 1)
    assert (found.quantity, found.share) == (1.5, 0.75)
    far = fills.through_levels(np.array([100.0, 101.0]), np.array([1.0, 9.0]), MID, 2.0, 1)
    assert far.share == 0.5  # the second level is 105 bps away
    none = fills.through_levels(np.array([101.0]), np.array([9.0]), MID, 2.0, 1)
    assert none.quantity == 0 and math.isnan(none.vwap)


def test_a_thousand_books_are_walked_as_one_unit_at_a_time() -> None:
    rng = np.random.default_rng(1)
    for _ in range(1000):
        side = int(rng.choice([-1, 1]))
        prices = 100.0 + side * np.cumsum(rng.integers(1, 6, 8)) * 0.01
        sizes = rng.integers(1, 9, 8).astype(float)
        wanted = int(rng.integers(1, 40))
        units = [p for p, n in zip(prices, sizes, strict=True) for _ in range(int(n))]
        units = [p for p in units if side * (p - 100.0) / 100.0 * 1e4 <= 25.0 + 1e-9][:wanted]
        found = fills.through_levels(prices, sizes, 100.0, float(wanted), side)
        assert found.quantity == len(units)
        assert found.share == pytest.approx(len(units) / wanted, abs=1e-12)
        if units:
            assert found.vwap == pytest.approx(sum(units) / len(units), abs=1e-9)


def test_a_book_of_sums_is_walked_from_half_the_spread_to_25_bps() -> None:
    whole = fills.through_sums(2.0, 1e4, 4e4, 100.0, 100.0, -1)
    assert whole.slippage_bps == pytest.approx(5.5) and whole.vwap == pytest.approx(99.945)
    part = fills.through_sums(2.0, 1e4, 4e4, 100.0, 800.0, 1)
    assert part.share == pytest.approx(0.5)
    assert part.slippage_bps == pytest.approx((1e4 * 5.5 + 3e4 * 17.5) / 4e4)
    assert fills.through_sums(math.nan, 1e4, 4e4, 100.0, 1.0, 1).quantity == 0


PLACES = {
    "close": lay.CLOSE, "side": lay.ASKED, "multiplier": lay.MULTIPLIER, "depth_usd": lay.DEPTH,
    "funding": lay.FUNDING, "cluster": lay.CLUSTER, "fee_bps": lay.FEE, "half_spread": lay.HALF_SPREAD,
    "book": lay.BOOK, "tier": lay.TIER,
}  # fmt: skip
AT = 500_000


def hour(**changed: object) -> np.ndarray:
    known = {
        "close": [100.0, 50.0, 10.0], "side": [1.0, 1.0, -1.0], "multiplier": np.ones(3),
        "depth_usd": np.full(3, 1e8), "funding": np.full(3, np.nan), "cluster": np.arange(3),
        "fee_bps": np.full(3, 5.0), "half_spread": np.ones(3), "book": np.zeros(3), "tier": np.ones(3),
    } | changed  # fmt: skip
    out = np.empty((lay.SEEN, 3))
    for name, values in known.items():
        out[PLACES[name]] = values
    return out


class Moved:
    """What one hour came to, by name."""

    def __init__(self, made: paper.Moved) -> None:
        row = made.came_to[0]
        self.equity, self.fees, self.drawdown = (
            float(row[k]) for k in (lay.EQUITY, lay.FEES_NOW, lay.DRAWDOWN)
        )
        self.limits = list(paper.named(row[lay.LIMITS]))
        self.targets = made.decided[:, lay.TARGET].tolist()
        self.usd = (made.decided[:, lay.NEXT] * made.decided[:, lay.NEXT_PRICE]).tolist()


def moved(rules: paper.Rules, state: paper.State, at: int = AT, **changed: object) -> Moved:
    return Moved(paper.advance(rules, state, np.array([at]), hour(**changed)[None]))


def fresh() -> paper.State:
    return paper.State.fresh(RULES, ("A", "B", "C"), AT)


def test_a_side_is_taken_next_hour_and_costs_fee_and_half_the_spread() -> None:
    state = fresh()
    first = moved(RULES, state)
    assert first.equity == 1e6 and first.targets == [0.1, 0.1, -0.1]
    second = moved(RULES, state)
    assert state.held[lay.QUANTITY] == pytest.approx([1000.0, 2000.0, -10000.0])
    assert second.fees == pytest.approx(3e5 * 5e-4, rel=1e-3)
    assert 1e6 - second.equity == pytest.approx(second.fees + 3e5 * 1e-4, rel=1e-9)


def limited(target: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    from regime_pipeline.research.paper_kernels import limit

    out = target.copy()
    return out, paper.named(limit(RULES.numbers, out, cluster, np.empty(len(out))))


def test_weights_shrink_with_risk_and_every_limit_holds() -> None:
    many = np.full(12, 0.1)
    apart, together = np.arange(12.0), np.zeros(12)
    out, hit = limited(many, together)
    assert out.sum() == pytest.approx(0.35) and hit == ("cluster",)
    out, hit = limited(many, apart)
    assert out.sum() == pytest.approx(0.6) and hit == ("net",)
    out, hit = limited(many * np.tile([1, -1], 6), apart)
    assert np.abs(out).sum() == pytest.approx(1.0) and hit == ("gross",)
    out, hit = limited(np.array([0.5]), apart[:1])
    assert out[0] == 0.15 and hit == ("symbol",)
    state = fresh()
    risky = moved(RULES, state, multiplier=np.array([1.0, 2.0, np.nan]))
    assert risky.targets == pytest.approx([0.1, 0.05])
    assert "stale" in risky.limits  # an unknown multiplier lets nothing grow
    shallow = moved(RULES, fresh(), depth_usd=np.array([1e5, 1e8, 1e8]))
    assert shallow.usd[0] == pytest.approx(1e4) and shallow.limits == ["depth"]


def test_neutral_closes_at_once_and_silence_after_24_hours() -> None:
    state = fresh()
    for _ in range(2):
        moved(RULES, state)
    moved(RULES, state, side=np.array([0.0, np.nan, np.nan]))
    moved(RULES, state, side=np.array([0.0, np.nan, np.nan]))
    assert state.held[lay.QUANTITY, 0] == 0.0 and state.held[lay.QUANTITY, 1] > 0
    for _ in range(22):
        moved(RULES, state, side=np.full(3, np.nan))
    moved(RULES, state, side=np.full(3, np.nan))
    assert state.held[lay.QUANTITY].tolist() == [0.0, 0.0, 0.0]


def test_a_drawdown_halves_then_stops_until_the_next_month() -> None:
    state = fresh()
    state.account[lay.PEAK] = 1e6 / 0.88
    half = moved(RULES, state)
    assert np.abs(half.targets).tolist() == [0.05] * 3 and "drawdown" in half.limits
    state = fresh()
    state.account[lay.PEAK] = 1e6 / 0.79
    assert not moved(RULES, state).targets
    until = int(state.account[lay.STOPPED_UNTIL])
    assert until > AT
    assert not moved(RULES, state, at=until - 2).targets
    again = moved(RULES, state, at=until - 1)
    assert again.drawdown == 0.0 and len(again.targets) == 3


def test_groups_are_linked_by_correlation() -> None:
    rng = np.random.default_rng(2)
    base = rng.standard_normal(720)
    alike = [base + 0.3 * rng.standard_normal(720) for _ in range(3)]
    own = rng.standard_normal(720)
    found = paper.clusters(np.stack([own, *alike]), 0.7)
    assert found.tolist() == [0, 1, 1, 1]
    assert paper.clusters(np.stack([alike[0], alike[1]])[:, :479], 0.7).tolist() == [0, 1]


END = utc("2024-06-20")
COINS = ("BTC/USDT", "ETH/USDT")
DAYS = 95


@cache
def inputs() -> dict[str, pd.DataFrame]:
    """Two coins; books of the last twenty days of the first coin only."""
    rng = np.random.default_rng(3)
    hours = hours_between(END - DAYS * DAY, END)
    n = len(hours)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 5e-3, (n, 2)), axis=0))
    words = np.array(["LONG", "SHORT", "NEUTRAL", None], dtype=object)
    sides = words[np.repeat(rng.choice(4, (n // 6 + 1, 2), p=[0.4, 0.3, 0.2, 0.1]), 6, axis=0)[:n]]
    turned = np.where(sides == "LONG", "BEARISH", np.where(sides == "SHORT", "BULLISH", "NEUTRAL"))
    bars = long(COINS, hours, market="perp", venue="okx", close=close, source_tier=1)
    at = [h + pd.Timedelta(seconds=s) for h in hours[-480:] for s in (60, 300, 600)]
    books = long(
        COINS[:1], pd.DatetimeIndex(at), mid=np.repeat(close[-481:-1, :1], 3, axis=0) * 1.0001
    )
    books = books.assign(
        market="perp", venue="okx", source="okx", spread_bps=1.0, book_age_s=1.0, bid_levels=50,
        ask_levels=50, payload_id="a" * 64, source_tier=2, depth_10bps_bid_usd=2e4,
        depth_10bps_ask_usd=2e4, depth_25bps_bid_usd=6e4, depth_25bps_ask_usd=6e4,
    )  # fmt: skip
    prints = bars[bars["ts"].dt.hour % 8 == 0][["symbol", "ts"]].assign(funding_rate=1e-4)
    cost = long(COINS, hours, effective_spread_bps=4.0, thinner_depth_25bps_usd=np.where(
        (np.arange(n) >= n - 481)[:, None] & np.array([True, False]), 6e4, np.nan))  # fmt: skip
    return {
        "confluence": long(COINS, hours, confluence_direction=turned),
        "futures_scores": long(COINS, hours, futures_signal=sides),
        "candles_1h": filled("market.candles_1h", bars),
        "volatility_regimes": long(COINS, hours, risk_multiplier_confirmed=1.0),
        "funding": prints,
        "execution_quality": cost,
        "raw_order_book": books,
    }


def made(
    start: pd.Timestamp, end: pd.Timestamp = END, **frames: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    out = paper_positions(**(inputs() | frames), grid=Grid(start, end, COINS))
    return dict(zip((t.split(".")[1] for t in TABLES), out, strict=True))


@cache
def whole() -> dict[str, pd.DataFrame]:
    return made(END - DAYS * DAY)


def test_rows_fit_their_tables_and_cash_flows_sum_to_equity() -> None:
    for name, frame in whole().items():
        item = table(f"signals.{name}")
        loose = replace(item, required=item.required - item.bookkeeping)
        validate(frame.assign(ingested_at=None, revision=None, run_id=None), loose)
        assert len(frame)
    done, equity = whole()["trade_executions"], whole()["equity"]
    for name in STRATEGIES:
        own, curve = done[done["strategy"] == name], equity[equity["strategy"] == name]
        signed = np.where(own["order_side"] == "BUY", 1.0, -1.0) * own["filled_base"]
        paid = (signed * own["vwap"].fillna(0)).sum() + own["fees_usd"].sum()
        cash = 1e6 - paid - curve["funding_paid_usd"].sum()
        held = whole()["positions"].query("strategy == @name and ts == ts.max()")
        assert curve["cash_usd"].iloc[-1] == pytest.approx(cash, rel=1e-9)
        assert curve["equity_usd"].iloc[-1] == pytest.approx(
            cash + held["position_usd"].sum(), rel=1e-9
        )
        assert held["position_base"].tolist() == pytest.approx(
            [signed[own["symbol"] == s].sum() for s in COINS], abs=1e-6)  # fmt: skip


def test_fills_are_by_the_first_book_after_two_minutes_and_assumed_before_there_was_any() -> None:
    done = whole()["trade_executions"]
    first = END - 480 * HOUR
    early, btc = (
        done[done["ts"] < first],
        done[(done["ts"] >= first) & (done["symbol"] == COINS[0])],
    )
    assert set(early["fill_kind"]) == {"assumed"} and set(early["source_tier"]) == {3}
    assert early["paper_slippage_bps"].to_numpy() == pytest.approx(2.0)
    assert (
        set(btc["fill_kind"]) == {"sums"}
        and (btc["book_at"] == btc["ts"] + pd.Timedelta("5min")).all()
    )
    assert set(btc["book_payload_id"]) == {"a" * 64}
    assert (btc["order_base"] * btc["mid_at_decision"] <= 0.1 * 6e4 + 1e-6).all()
    without = inputs()["raw_order_book"]
    gone = made(END - 5 * DAY, raw_order_book=without[without["ts"] < END - 3 * DAY])
    late = gone["trade_executions"]
    late = late[(late["ts"] >= END - 3 * DAY) & (late["symbol"] == COINS[0])]
    assert set(late["fill_reason"]) == {"no_book"} and (late["filled_base"] == 0).all()
    assert late["vwap"].isna().all()


def test_stored_levels_are_walked_before_sums_and_what_they_lack_is_cancelled() -> None:
    asked = []

    def levels_of(book: Sampled) -> Levels | None:
        asked.append(book)
        if book.at_us % 7_200_000_000 < 3_600_000_000:
            return None  # of every other hour the bytes are gone
        step, size = 1e-4 * book.mid, np.array([20.0, 5.0])
        far = np.arange(1, 3) * step
        return Levels((book.mid - far, size), (book.mid + far, size))

    out = paper_positions(**inputs(), grid=Grid(END - 5 * DAY, END, COINS), levels_of=levels_of)
    done = out[2][out[2]["symbol"] == COINS[0]]
    assert {b.source for b in asked} == {"okx"} and {b.market for b in asked} == {"perp"}
    assert len({b.at_us for b in asked}) == len(asked)  # once, whatever strategies walk it
    whole = done["ts"].dt.hour % 2 == 1
    assert set(done.loc[whole, "fill_kind"]) == {"levels"}
    assert set(done.loc[~whole, "fill_kind"]) == {"sums"}
    by_levels = done[whole]
    filled = np.minimum(by_levels["order_base"], 25.0)
    assert by_levels["filled_base"].to_numpy() == pytest.approx(filled)
    first = np.minimum(filled, 20.0)
    bps = (first + 2 * (filled - first)) / filled
    assert by_levels["paper_slippage_bps"].to_numpy() == pytest.approx(bps, abs=1e-6)


def test_no_later_row_changes_a_row_and_chunks_give_the_same_bytes() -> None:
    cut = END - 10 * DAY
    spoilt = {}
    for name, frame in inputs().items():
        frame = frame.copy()
        for column in frame.select_dtypes("float64"):
            frame.loc[frame["ts"] >= cut, column] *= 1.3
        spoilt[name] = frame
    other, part = made(END - DAYS * DAY, **spoilt), made(cut - 5 * DAY, cut)
    for name, frame in whole().items():
        before = frame[frame["ts"] < cut].reset_index(drop=True)
        assert before.equals(other[name][other[name]["ts"] < cut].reset_index(drop=True)), name
        tail = before[before["ts"] >= cut - 5 * DAY].reset_index(drop=True)
        assert tail.equals(part[name]), name


def half_of_it(at: int, symbol: int, wanted: float, side: int) -> tuple[fills.Fill, float]:
    return fills.Fill.at(wanted / 2, 100.0 + side * 0.01, 100.0, wanted, side), 100.0


def test_a_night_goes_on_from_the_stored_state_and_reads_a_month() -> None:
    start, first = END - 3 * DAY, END - 36 * DAY
    month = {n: f[f["ts"] >= first] for n, f in inputs().items()}
    stored = whole()["strategies"]
    night = made(start, strategies=stored[stored["ts"] < start], **month)
    for name, frame in whole().items():
        assert frame[frame["ts"] >= start].reset_index(drop=True).equals(night[name]), name
    late = made(start, strategies=stored[stored["ts"] < start - 2 * DAY], **month)
    assert late["equity"].equals(night["equity"])  # two nights that did not run are walked too
    for strange in (
        stored.assign(method_version="paper/0"),
        stored[stored["strategy"] == "follow_futures"],
        stored.assign(paper_state=stored["paper_state"].str.replace("BTC/USDT", "XRP/USDT")),
    ):
        assert states_before(strange, COINS) is None


def test_an_hour_from_a_stored_state_is_the_hour_of_one_shot() -> None:
    rng = np.random.default_rng(4)
    seen = np.stack(
        [
            hour(
                close=100 * np.exp(rng.normal(0, 0.01, 3)),
                side=rng.choice([1.0, -1, 0, np.nan], 3),
                book=rng.choice([lay.NO_BOOK, lay.BOOK_IN_TIME, lay.OTHER_BOOK], 3) * (k > 100),
            )
            for k in range(200)
        ]
    )
    hours = AT + np.arange(200)
    one = fresh()
    at_once = paper.advance(RULES, one, hours, seen, half_of_it)
    stored, by_hour = fresh().written(), []
    for k in range(200):
        state = paper.State.read(stored)
        made = paper.advance(RULES, state, hours[k : k + 1], seen[k : k + 1], half_of_it)
        for rows in (made.due, made.decided):
            rows[:, lay.HOUR] += k
        by_hour.append(made)
        stored = state.written()
    for name, whole in vars(at_once).items():
        assert np.array_equal(
            np.concatenate([getattr(made, name) for made in by_hour]), whole, equal_nan=True
        ), name
    assert stored == one.written()
    whys = {int(w) for w in at_once.due[:, lay.WHY]}
    assert whys == {int(w) for w in (lay.WHOLE, lay.NO_BOOK_THEN, lay.TOO_SHALLOW)}


def test_where_nothing_is_known_nothing_is_held() -> None:
    nothing = made(END - DAY, candles_1h=inputs()["candles_1h"].head(0))
    assert all(frame.empty for frame in nothing.values())
    mute = {n: inputs()[n].head(0) for n in ("confluence", "futures_scores")}
    still = made(END - DAY, **mute)
    assert still["trade_intents"].empty and set(still["equity"]["equity_usd"]) == {1e6}
    assert set(still["strategies"]["reason"]) == {"equity_never_moved"}


def test_a_sharpe_ratio_allows_for_days_that_resemble_one_another() -> None:
    rng = np.random.default_rng(5)
    returns = rng.normal(0.001, 0.01, 730)
    equity = np.concatenate([[1.0], np.cumprod(1 + returns)])
    found = paper_statistics.worth(equity)
    plain = returns.mean() / returns.std(ddof=1) * math.sqrt(365)
    assert found.sharpe == pytest.approx(plain, rel=0.35)
    assert found.low < found.sharpe < found.high and 0 <= found.deflated <= 1
    assert paper_statistics.worth(equity, 50.0).deflated < found.deflated
    assert math.isnan(paper_statistics.worth(equity[:90]).sharpe)
    slow = np.repeat(rng.normal(0.001, 0.01, 73), 10)
    assert (
        paper_statistics.annual_sharpe(slow) < slow.mean() / slow.std(ddof=1) * math.sqrt(365) / 1.5
    )


def test_every_strategy_is_a_trial_and_each_that_was_ever_tried_deflates() -> None:
    own = trials_of(COINS)
    assert len({t.trial_id for t in own}) == len(STRATEGIES) and {t.kind for t in own} == {"paper"}
    assert not {t.trial_id for t in own} & {t.trial_id for t in trials_of(COINS[:1])}
    ids = [t.trial_id for t in own] + [f"{k:064d}" for k in range(40)]
    ledger = pd.DataFrame({"trial_id": ids, "trial_kind": "paper"})
    night = END - DAY
    many, few = (made(night, trials=frame)["strategies"] for frame in (ledger, ledger[:2]))
    assert few["sharpe_deflated"].equals(made(night)["strategies"]["sharpe_deflated"])
    assert (many["sharpe_deflated"] < few["sharpe_deflated"]).all()


def test_paper_has_no_way_to_place_an_order() -> None:
    """No module behind it imports anything that reaches out, and no setting holds a trading secret."""
    reaching = {"httpx", "requests", "urllib", "socket", "websockets", "ssl", "subprocess"}
    for path in Path(research.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {n.split(".")[0] for n in names}
            assert not roots & reaching, path.name
            assert not any(n.startswith("regime_pipeline.providers") for n in names), path.name
    words = ("trading", "api_secret", "private", "passphrase", "order_key")
    assert not [f for f in Settings.model_fields if any(w in f for w in words)]


@pytest.mark.slow
def test_the_same_numbers_come_with_the_network_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "create_connection", forbidden)
    again = made(END - 5 * DAY)
    equity = whole()["equity"]
    assert again["equity"].equals(equity[equity["ts"] >= END - 5 * DAY].reset_index(drop=True))
