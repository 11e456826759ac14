"""Missing is missing: a provider that is away for a day leaves nulls that say so, and nothing else.

Every raw dataset of the world and each of its providers goes away in turn, and everything downstream is
computed again.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import FIELDS, Kind, table
from regime_pipeline.catalogue.fields.signals import FACTORS
from regime_pipeline.windows import DAY, Window, utc
from regime_pipeline_tests.proofs import base, chain, world
from regime_pipeline_tests.proofs.world import Frames, Outage

pytestmark = [pytest.mark.xdist_group("proofs"), pytest.mark.timeout(1200)]

OUT = Window(utc("2024-09-28"), utc("2024-09-29"))
DAYS = Window(OUT.start - DAY, world.END)
FIRST, LAST = pd.Timestamp(OUT.start), pd.Timestamp(OUT.end)
HOUR = pd.Timedelta(hours=1)

HELD_UP: dict[str, tuple[str, str, int, int]] = {
    # output: (input that went away, main value, first null hour of the outage, null hours after it)
    "market.candles_1h": ("raw.candles", "close", 0, 0),
    "market.open_interest": ("raw.open_interest", "open_interest_base", 1, 0),
    "market.liquidations_1h": ("raw.liquidations", "total_liquidation_usd", 0, 0),
    "market.positioning_1h": ("raw.positioning", "global_account_long_frac", 0, 0),
    "market.order_book_1h": ("raw.order_book", "imbalance", 0, 0),
    # of transfers the last ones before the outage are told in its first hour; then as below
    "market.whale_flow_1h": ("raw.whale_transfers", "net_flow_usd", 5, 19),
    # 20 bars of 24: the fifth lost hour is one too many, the 20th bar after it enough
    "features.volatility_regimes": ("raw.candles<-binance", "vol_regime_confirmed", 4, 19),
    "features.liquidation_cascades": ("raw.liquidations", "severity", 0, 0),
    "features.implied_volatility": ("raw.volatility_index", "dvol", 0, 0),
    # more than 20 of 449 closes are wanting: to the end of these days, and 13 more
    "signals.components": ("raw.candles<-binance_futures", "momentum_score", 0, 120),
    "correlation.pair_signals": ("raw.candles<-binance", "spread_z", 0, 0),
}
"""How long a main value is null when its input is away for 24 h. One with a lookback keeps a value while
it has enough of it, and recovers late; what nothing in this table says is checked by status."""

BOOKS_OF_ACCOUNT = {
    *("signals.trade_intents", "signals.trade_executions", "signals.positions", "signals.equity"),
}
"""What no position costs is 0, and none is held when its signal is silent; the row says so."""
PLAIN_ZEROS: dict[str, str] = {
    "coverage": "the share of the hour that was observed",
    "component_coverage": "five components of ten are made of candles",
    "news_mentions": "a count of the posts that came",
    "factor_agreement": "1 when all factors that are left point one way",
    "shrinkage": "an estimate that ends at 1",
    "funding_crowding_z": "an older print that is the median of its month",
    "z_robust": "an older print that is the median of its month",
    "persistence_score": "no anomaly in the week",
    "funding_factor": "the dead zone of an older print",
    "liquidations_factor": "a balance at the end of its scale, after the outage",
    "hit_rate_low": "an interval of few hours reaches the ends of its scale",
    "hit_rate_high": "an interval of few hours reaches the ends of its scale",
    "signal_freshness": "a signal whose newest hour is too old",
    "signal_health": "a signal whose newest hour is too old",
    "bin_observed": "a share of labels, of which one more or less are known",
    "consensus_margin": "a tie, or voters of one mind, among those that are left",
    "ic_hours_eff": "hours in which an event never happened have no ranks: none is counted",
    "outflow_usd": "no flow of this coin in the hours that were seen",
    "inflow_usd": "no flow of this coin in the hours that were seen",
    "whale_act_score_legacy": "within ten million dollars of net flow",
    "alignment": "as many components say up as down, or all the same",
    "confluence_confidence": "as many components say up as down",
    "net_flow_usd": "no flow of this coin in the hours that were seen",
    "ic_half_life_h": "half of the effect within the first hour",
    "loss_cusum": "no loss has crept up",
    "coverage_90": "few rows, all within the interval",
    "coverage_90_low": "a bound at the end of its scale",
    "coverage_90_high": "a bound at the end of its scale",
    "coverage_rows_eff": "all rows within the interval",
    "scored_rows_eff": "rows of one block",
    "hit_rate": "as many returns with the sign as against it",
}
"""Columns in which a round number is a finding, with what it says."""

NEUTRAL = (0.0, 0.5, 1.0, 50.0)


def ordered(frames: Frames, name: str) -> pd.DataFrame:
    rows = frames[name]
    rows = rows[rows["ts"] >= pd.Timestamp(DAYS.start)]
    return rows.sort_values(list(table(name).key), ignore_index=True)


@cache
def struck(outage: Outage) -> tuple[Frames, Frames]:
    """Downstream tables with and without the provider's day."""
    names = chain.downstream(outage.dataset)
    frames = base.computed()
    announced = frames["alerts.market_events"]
    fresh = outage.strike(frames, OUT) | {
        "alerts.market_events": announced[announced["ts"] < DAYS.start]
    }
    after = chain.run(fresh, DAYS, settings=world.settings(), only=names, checked=True)
    return tuple({n: ordered(f, n) for n in names} for f in (frames, after))  # type: ignore[return-value]


def differing(name: str, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Keys of all rows that one side lacks or that differ."""
    found = chain.differences(before, after, table(name))
    key = list(table(name).key)
    return pd.concat([before.head(0)[key], *(f[key] for f in found.values())]).drop_duplicates()


outages = pytest.mark.parametrize("outage", world.outages(), ids=str)


@pytest.mark.slow
@outages
def test_rows_before_the_outage_and_tables_beside_it_keep_their_bytes(outage: Outage) -> None:
    before, after = struck(outage)
    assert before, f"nothing is made of {outage.dataset}"
    for name in before:
        keys = differing(name, before[name], after[name])
        assert (keys["ts"] >= FIRST).all(), f"{name}: {keys['ts'].min()} changed"


@pytest.mark.slow
@outages
def test_where_a_value_went_the_row_says_why(outage: Outage) -> None:
    for name, after in struck(outage)[1].items():
        if "status" in after:
            unsaid = after[(after["status"] != "ok") & after["reason"].isna()]
            assert unsaid.empty, f"{name}: {unsaid.iloc[0].to_dict()}"
            claimed = after[(after["status"] == "ok") & after["reason"].notna()]
            assert claimed.empty, f"{name}: {claimed.iloc[0].to_dict()}"
    scores = struck(outage)[1].get("signals.futures_scores")
    for factor in FACTORS if scores is not None else ():
        value, status = scores[f"{factor}_factor"], scores[f"{factor}_factor_status"]
        said = scores[f"{factor}_factor_reason"].notna()
        assert (value.notna() | (status != "ok")).all(), factor
        assert ((status == "ok") == ~said).all(), factor


def carried(rows: pd.DataFrame, column: str, key: list[str]) -> pd.Series:
    """Where a value says that it is that of the hour before, and is."""
    reason = column + "_reason"
    if reason not in rows:
        return pd.Series(False, index=rows.index)
    moved = rows[[*key, column]].assign(ts=rows["ts"] + HOUR)
    before = rows[key].merge(moved, on=key, how="left")[column]
    return rows[reason].eq("carried_1h") & rows[column].eq(before.to_numpy())


@pytest.mark.slow
@outages
def test_nothing_neutral_stands_where_a_value_was(outage: Outage) -> None:
    before, after = struck(outage)
    for name, old in before.items():
        if name in BOOKS_OF_ACCOUNT:
            continue
        new = after[name]
        item = table(name)
        key = list(item.key)
        both = old.merge(new, on=key, suffixes=("", "_new"))
        for column in item.content:
            if FIELDS[column].kind is not Kind.FLOAT or column in (*key, *PLAIN_ZEROS):
                continue
            was = both[column].to_numpy("float64", na_value=np.nan)
            now = both[f"{column}_new"].to_numpy("float64", na_value=np.nan)
            made = np.isfinite(was) & np.isin(now, NEUTRAL) & (was != now)
            if made.any():
                said = new[key].assign(carried=carried(new, column, key))
                made &= ~both[key].merge(said, on=key)["carried"].to_numpy()
            assert not made.any(), f"{name}.{column}: {both.loc[made, [*key, column]].head(3)}"


@pytest.mark.slow
@pytest.mark.parametrize("name", HELD_UP)
def test_the_main_value_is_null_in_exactly_the_hours_that_lack_their_input(name: str) -> None:
    source, column, late, longer = HELD_UP[name]
    for outage in world.outages():
        if source not in (str(outage), outage.dataset):
            continue
        before, after = (f[name] for f in struck(outage))
        rows = after["ts"].between(FIRST + late * HOUR, LAST + (longer - 1) * HOUR)
        if "market" in after:
            market = {"binance": "spot", "binance_futures": "perp"}[outage.source]
            rows &= after["market"] == market
        null = after[column].isna()
        lost = null & before[column].notna()
        assert (null & rows).sum() == rows.sum() > 0, f"{outage}: still there"
        assert not (lost & ~rows).any(), f"{outage}: {after.loc[lost & ~rows, 'ts'].tolist()}"
        assert (after.loc[null, "status"] != "ok").all()
        assert after.loc[null, "reason"].notna().all()


@pytest.mark.slow
def test_a_print_that_nobody_reported_has_no_row_and_its_hours_go_stale() -> None:
    outage = Outage("raw.funding_rates", "binance_futures")
    before, after = struck(outage)
    for name in ("market.funding", "features.funding_prints"):
        lost = before[name].merge(after[name], on=["symbol", "ts"], how="left", indicator=True)
        lost = lost[lost["_merge"] == "left_only"]
        assert sorted(set(lost["ts"].dt.hour)) == [0, 8, 16] and len(lost) == 9
        assert lost["ts"].between(FIRST, LAST, inclusive="left").all()
    hours = after["features.funding_anomalies"]
    # the print of 16:00 the day before is fresh for 12 h: up to the row of 03:00
    stale = hours["ts"].between(FIRST + 4 * HOUR, LAST - HOUR)
    assert (hours.loc[stale, "status"] == "stale").all()
    assert hours.loc[stale, "z_score"].isna().all()
    usual = before["features.funding_anomalies"]["status"].eq("stale")  # a print was withheld
    assert not hours.loc[~stale & ~usual, "status"].eq("stale").any()


@pytest.mark.slow
def test_a_day_without_an_index_is_null_and_the_old_one_stands_for_36_hours() -> None:
    before, after = struck(Outage("raw.fear_greed", "alternative_me"))
    day = after["market.fear_greed"]
    assert day.loc[day["ts"] == FIRST, "status"].tolist() == ["missing"]
    assert day.loc[day["ts"] == FIRST, "fear_greed"].isna().all()
    scores, whole = after["signals.futures_scores"], before["signals.futures_scores"]
    lost = scores["fear_greed_factor"].isna() & whole["fear_greed_factor"].notna()
    # that of the day before came at 00:15 and is 36 h old at 12:15
    assert set(scores.loc[lost, "ts"].dt.hour) == set(range(12, 24))
    assert scores.loc[lost, "ts"].between(FIRST, LAST, inclusive="left").all()


@pytest.mark.slow
def test_one_kind_of_mood_less_is_that_kind_less() -> None:
    before, after = struck(Outage("raw.sentiment", "lunarcrush"))
    old, new = before["market.sentiment_1h"], after["market.sentiment_1h"]
    inside = new["ts"].between(FIRST, LAST, inclusive="left")
    assert new.loc[inside, ["social_score", "social_mentions"]].isna().all(axis=None)
    for column in ("news_score", "trader_score", "trader_mentions"):
        pd.testing.assert_series_equal(old[column], new[column])
    # two kinds of three are enough; with one the row is partial
    assert set(new.loc[inside, "kinds_present"]) <= {0, 1, 2}


@pytest.mark.slow
def test_trades_of_a_day_are_replaced_by_the_candles_under_their_name_only() -> None:
    for source, market in (("binance", "spot"), ("binance_futures", "perp")):
        after = struck(Outage("raw.trade_flow", source))[1]["market.trade_flow_1h"]
        rows = after[(after["market"] == market) & after["ts"].between(FIRST, LAST - HOUR)]
        assert (rows["flow_source"] == "candles").all()
        assert rows[["large_trade_quote", "large_share"]].isna().all(axis=None)
