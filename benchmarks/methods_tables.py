"""The measured tables of ``docs/methods.md``: base rates, flips, what was said at the big events.

``python -m benchmarks.methods_tables`` prints them, ``--write`` puts them into the page between their
markers, ``--recount`` counts the advertised false-alarm rates again instead. Recorded history is looked
for in ``REGIME_MARKET_HISTORY``; without it only the tables of synthetic markets are made.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from benchmarks import signal_history
from benchmarks.common import markdown
from benchmarks.worlds import RECORDED, History, null_candles, recorded
from regime_pipeline.alerts.events import market_events
from regime_pipeline.alerts.false_alarms import ADVERTISED, CALIBRATION_SEED
from regime_pipeline.catalogue.fields.regimes import FRAMES, LABELS
from regime_pipeline.correlation.asset_correlations import correlations
from regime_pipeline.evaluation.scenes import Result, count, run
from regime_pipeline.evaluation.scoring import Tally
from regime_pipeline.features.funding_anomalies import funding_anomalies, funding_prints
from regime_pipeline.features.funding_outcomes import funding_outcomes
from regime_pipeline.features.liquidation_cascades import liquidation_cascades
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.regimes.timeframe_regimes import timeframe_regimes
from regime_pipeline.settings import Params
from regime_pipeline.windows import Grid, Window, utc
from regime_pipeline.wording.formats import hours_text, rate_text, share_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "methods.md"
PARAMS = Params()
EVENTS = {
    "2023-06-10 04h": "altcoins, SOL -23 % in the hour, BTC quiet",
    "2023-08-17 21h": "BTC -11 %",
    "2024-01-03 12h": "SOL -19 %",
    "2024-03-05 19h": "all coins",
    "2024-04-13 20h": "all coins",
    "2024-08-05 01h": "ETH -16 %, again at 06h",
}
SCORECARD_SEED = 1
"""As `regime scorecard` has it by default."""
QUIET = ("vol_regime_confirmed",)
"""Judged by the scorecard, but said elsewhere in the page."""
BEFORE, AFTER = timedelta(hours=3), timedelta(hours=24)


# ---------------------------------------------------------------------- null worlds


def base_rates(symbols: int = 40, weeks: int = 90) -> str:
    """Shares of the labels where nothing has a direction."""
    start = utc("2022-01-03")
    hours = weeks * 168
    candles = null_candles(symbols, start, hours)
    names = tuple(sorted(candles["symbol"].unique()))
    grid = Grid(start + timedelta(weeks=48), start + timedelta(hours=hours), names)
    got = timeframe_regimes(candles, grid=grid, params=PARAMS.timeframes)
    columns = [f"regime_{f}" for f in FRAMES] + [f"regime_symmetric_{f}" for f in FRAMES]
    rows = []
    for column in (*columns, "primary_raw", "primary_regime"):
        share = got[column].value_counts(normalize=True)
        rows.append(
            {"column": f"`{column}`"}
            | {
                label.removeprefix("SPOT_"): f"{100 * share.get(label, 0.0):.1f} %"
                for label in LABELS
            }
        )
    counts = got["agreement_count"].value_counts(normalize=True)
    return (
        markdown(pd.DataFrame(rows))
        + "\n\nagreement_count 2 or more: "
        + f"{100 * counts[counts.index >= 2].sum():.1f} %, 3 or more: "
        + f"{100 * counts[counts.index >= 3].sum():.1f} % of the hours. "
        + f"{symbols} walks of {weeks - 48} weeks; the 1w row rests on "
        + f"{symbols * (weeks - 48)} bars that overlap in their windows."
    )


def null_flips(symbols: int = 40, days: int = 240, *, fat_tails: bool = True) -> float:
    """Changes of the confirmed volatility regime per symbol-day at constant volatility."""
    start = utc("2022-01-01")
    candles = null_candles(symbols, start, days * 24, seed=11, fat_tails=fat_tails)
    names = tuple(sorted(candles["symbol"].unique()))
    grid = Grid(start + timedelta(days=40), start + timedelta(days=days), names)
    return flips(volatility_regimes(candles, grid=grid, params=PARAMS.volatility))


def flips(volatility: pd.DataFrame) -> float:
    """Changes of the confirmed regime between neighbouring known hours, per symbol-day."""
    known = volatility[volatility["vol_regime_confirmed"].notna()]
    before = known.groupby("symbol")[["vol_regime_confirmed", "ts"]].shift()
    next_hour = known["ts"] - before["ts"] == pd.Timedelta(hours=1)
    changed = next_hour & (known["vol_regime_confirmed"] != before["vol_regime_confirmed"])
    return float(changed.sum() / (len(known) / 24))


def null_rates(results: Sequence[Result]) -> str:
    """False alarms a day on null worlds: advertised, measured, and what the legacy rules give."""
    shown = [r for r in results if r.advertised is not None and r.detector not in QUIET]
    rows = [
        {
            "detector": f"`{r.detector}`",
            "null world": f"`{r.scene.world}`",
            "advertised": rate_text(r.advertised),
            "measured": rate_text(r.ours.false_per_day),
            "legacy rule": rate_text(r.naive.false_per_day if r.naive else None),
            "from": f"{r.ours.wrong:,} in {r.ours.quiet_days:,.0f} {r.scene.unit}s",
        }
        for r in shown
    ]
    worlds = {r.scene.world: r.scene.what for r in shown}
    listed = "\n".join(f"- `{name}`: {what}" for name, what in worlds.items())
    return f"{markdown(pd.DataFrame(rows))}\n\n{listed}"


def recounted() -> str:
    """The advertised rates counted again on the worlds that they were counted on."""
    days: dict[str, int] = {}
    for stated in ADVERTISED:
        days[stated.world] = max(days.get(stated.world, 0), stated.days)
    again = {w: count(w, seed=CALIBRATION_SEED, days=d) for w, d in days.items()}
    rows = []
    for stated in ADVERTISED:
        tally = again[stated.world][stated.detector]
        rows.append(
            {
                "detector": stated.detector,
                "null world": stated.world,
                "advertised": f"{stated.per_day:g}",
                "counted": f"{tally.wrong:,} in {tally.quiet_days:,.0f}",
                "a day": f"{tally.false_per_day:.3g}",
            }
        )
    return markdown(pd.DataFrame(rows))


def planted_events(results: Sequence[Result]) -> str:
    """What was found of the planted events, ours and the legacy rules."""
    shown = [r for r in results if r.ours.planted]
    rows = [
        {"detector": f"`{r.detector}`", "planted": f"{r.ours.planted:,}"}
        | _found(r.ours, "")
        | _found(r.naive or Tally(), "legacy: ")
        for r in shown
    ]
    worlds = {r.scene.world: r.scene.what for r in shown}
    listed = "\n".join(f"- `{name}`: {what}" for name, what in worlds.items())
    return f"{markdown(pd.DataFrame(rows))}\n\n{listed}"


def _found(tally: Tally, whose: str) -> dict[str, str]:
    return {
        f"{whose}found": share_text(tally.recall),
        f"{whose}right": share_text(tally.precision),
        f"{whose}delay": hours_text(tally.delay_hours),
        f"{whose}false a day": rate_text(tally.false_per_day),
    }


# ---------------------------------------------------------------------- recorded history


def said(history: History) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Market events around the big hours; volatility and funding rows of the whole history."""
    wide = Grid.of(RECORDED, history.symbols)
    volatility = volatility_regimes(history.candles_1h, grid=wide, params=PARAMS.volatility)
    prints = funding_prints(
        history.funding, window=RECORDED, symbols=history.symbols, params=PARAMS.funding
    )
    outcomes = funding_outcomes(
        prints, history.candles_1h, window=RECORDED, symbols=history.symbols, params=PARAMS.funding
    )
    frames = timeframe_regimes(history.candles_1h, grid=wide, params=PARAMS.timeframes)
    cascades = _cascades(history)
    found = []
    for name in EVENTS:
        window = around(name)
        grid = Grid.of(window, history.symbols)
        _, breaks = correlations(history.candles_1h, grid=grid, params=PARAMS.correlation)
        tables = {
            "liquidation_cascades": cascades,
            "funding_prints": prints,
            "volatility_regimes": volatility,
            "correlation_breaks": breaks,
            "timeframe_regimes": frames,
        }
        events = market_events(**{k: _within(v, window) for k, v in tables.items()})
        found.append(events.assign(at=name))
    hourly = funding_anomalies(prints, outcomes, grid=wide, params=PARAMS.funding)
    return pd.concat(found, ignore_index=True), volatility, hourly


def around(name: str) -> Window:
    """The stretch around a big hour."""
    at = event_hour(name)
    return Window(at - BEFORE, at + AFTER)


def event_hour(name: str) -> datetime:
    """The bar open of a big hour."""
    return utc(name.removesuffix("h") + ":00")


def _within(frame: pd.DataFrame, window: Window) -> pd.DataFrame:
    kept = frame[(frame["ts"] >= window.start) & (frame["ts"] < window.end)]
    return kept.reset_index(drop=True)


def _cascades(history: History) -> pd.DataFrame:
    span = history.liquidations_1h["ts"]
    grid = Grid(
        span.min().to_pydatetime(),
        span.max().to_pydatetime() + timedelta(hours=1),
        tuple(sorted(history.liquidations_1h["symbol"].unique())),
    )
    return liquidation_cascades(
        history.liquidations_1h,
        history.open_interest,
        history.candles_1h,
        grid=grid,
        params=PARAMS.cascades,
    )


def known_events(events: pd.DataFrame, volatility: pd.DataFrame) -> str:
    """One row a big event: what each detector said from three hours before to a day after."""
    rows = []
    for name, what in EVENTS.items():
        mine = events[events["at"] == name]
        rows.append(
            {
                "hour (UTC bar open)": f"{name}: {what}",
                "EXTREME volatility from": _extreme(_within(volatility, around(name)), name),
                "cascades": _told(mine, "LIQUIDATION_CASCADE", name),
                "funding": _told(mine, "FUNDING_ANOMALY", name),
                "regime confirmed": _told(mine, "REGIME_CONFIRMED", name),
                "correlation breaks": _told(mine, "CORRELATION_BREAK", name),
            }
        )
    return markdown(pd.DataFrame(rows))


def _coin(symbol: str) -> str:
    return "-".join(part.split("/")[0] for part in re.split(r"[~|:]", symbol))


def _extreme(hours: pd.DataFrame, name: str) -> str:
    """Who was EXTREME when the stretch began, and who entered it in which hour."""
    extreme = hours["vol_regime_confirmed"].eq("EXTREME")
    first = hours.loc[extreme].groupby("symbol")["ts"].min()
    began = pd.Timestamp(around(name).start)
    already = " ".join(_coin(s) for s in first.index[first == began])
    entered = [(ts, _coin(s)) for s, ts in first[first > began].items()]
    return f"already {already}; {_listed(entered, name)}" if already else _listed(entered, name)


def _told(events: pd.DataFrame, kind: str, name: str) -> str:
    mine = events[events["event_type"] == kind]
    if kind == "LIQUIDATION_CASCADE" and event_hour(name) < utc("2024-06-20"):
        return "no hourly liquidations stored"
    return _listed(list(zip(mine["ts"], map(_coin, mine["instrument"]), strict=True)), name)


def _listed(found: list[tuple[pd.Timestamp, str]], name: str) -> str:
    """``hour: coins`` in order of time, hours of another day with a sign."""
    if not found:
        return "nothing"
    day = pd.Timestamp(event_hour(name)).normalize()
    by_hour: dict[pd.Timestamp, list[str]] = {}
    for ts, who in sorted(found):
        by_hour.setdefault(ts, []).append(who)
    parts = []
    for ts, who in by_hour.items():
        days = (ts.normalize() - day).days
        parts.append(f"{ts:%H}h{f'{days:+d}d' if days else ''} {' '.join(dict.fromkeys(who))}")
    return "; ".join(parts)


def reversal_check(hourly: pd.DataFrame, history: History) -> str:
    """Published odds against what followed, by band of the odds."""
    prints = funding_prints(
        history.funding, window=RECORDED, symbols=history.symbols, params=PARAMS.funding
    )
    outcomes = funding_outcomes(
        prints, history.candles_1h, window=RECORDED, symbols=history.symbols, params=PARAMS.funding
    )
    shown = hourly[hourly["reversal_probability"].notna()]
    shown = shown.drop_duplicates(["symbol", "print_ts"])
    both = shown.merge(
        outcomes[["symbol", "print_ts", "reentered_24h", "price_reversed_24h"]],
        on=["symbol", "print_ts"],
    )
    rows = []
    for column, label in (
        ("reversal_probability", "reentered_24h"),
        ("price_reversal_probability", "price_reversed_24h"),
    ):
        known = both[both[label].notna()]
        band = pd.cut(known[column].astype(float), [0, 0.5, 0.6, 0.7, 0.8, 1.0])
        for interval, part in known.groupby(band, observed=True):
            rows.append(
                {
                    "odds": f"`{column}`",
                    "band": f"{interval.left:.1f} - {interval.right:.1f}",
                    "prints": len(part),
                    "mean odds": f"{part[column].mean():.2f}",
                    "share that did": f"{part[label].astype(float).mean():.2f}",
                }
            )
    return markdown(pd.DataFrame(rows))


def history_flips(volatility: pd.DataFrame) -> str:
    """Confirmed flips and the outlook's classes by year of recorded history."""
    rows = []
    for year, part in volatility.groupby(volatility["ts"].dt.year):
        skill = part.loc[part["ts"].dt.hour == 23, "har_skill"].dropna()
        rows.append(
            {
                "year": year,
                "confirmed flips per symbol-day": f"{flips(part):.2f}",
                "EXTREME, share of hours": (
                    f"{100 * part['vol_regime_confirmed'].eq('EXTREME').mean():.1f} %"
                ),
                "median clustering_probability": f"{part['clustering_probability'].median():.2f}",
                "median har_skill": f"{skill.median():.2f}",
            }
        )
    return markdown(pd.DataFrame(rows))


def tables(folder: Path | None) -> dict[str, str]:
    """Every measured table by its marker."""
    results = run(seed=SCORECARD_SEED, params=PARAMS)
    out = {
        "null-rates": null_rates(results),
        "planted-events": planted_events(results),
        "base-rates": base_rates(),
        "null-flips": f"Constant volatility: {null_flips(fat_tails=False):.2f} confirmed flips per "
        f"symbol-day with normal steps, {null_flips():.2f} with t4 steps.",
    }
    if folder is not None:
        history = recorded(folder)
        events, volatility, hourly = said(history)
        out |= {
            "known-events": known_events(events, volatility),
            "history-flips": history_flips(volatility),
            "reversal-check": reversal_check(hourly, history),
            **signal_history.tables(signal_history.said(history, folder)),
        }
    return out


def write(found: dict[str, str], page: Path = PAGE) -> None:
    """Put the tables between their markers.

    Raises:
        ValueError: a marker is absent.
    """
    text = page.read_text(encoding="utf-8")
    for name, body in found.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        if not pattern.search(text):
            raise ValueError(f"{page.name} has no place for {name}")
        text = pattern.sub(lambda m, body=body: f"{m[1]}{body}\n{m[2]}", text)
    page.write_text(text, encoding="utf-8")


def main() -> int:
    """Make the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put them into docs/methods.md")
    parser.add_argument("--recount", action="store_true", help="count the advertised rates again")
    where = os.environ.get("REGIME_MARKET_HISTORY")
    arguments = parser.parse_args()
    if arguments.recount:
        print(recounted())
        return 0
    found = tables(Path(where) if where else None)
    if arguments.write:
        write(found)
    for name, body in found.items():
        print(f"## {name}\n\n{body}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
