"""What signals are worth, for people: the newest passports, one passport in full, the ledger of trials.

Belongs here: reading the marts of passports, trials, probabilities, consensus, costs and paper, and
putting them into lines. Does not belong here: computing them (``research``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from psycopg import sql

from regime_pipeline.alerts.outcomes import Answer
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.windows import DAY, Window
from regime_pipeline.wording.formats import UNKNOWN

EVERY = "*"
FALSE_VALID = 0.05
"""Share of signals of pure noise that are ever called VALID, at most."""

_PASSPORTS = """
    select * from reporting.passports as p
    where p.ts = (select max(n.ts) from reporting.passports as n where n.ts < %(before)s)
        and (%(signal)s::text is null or p.signal = %(signal)s)
    order by p.signal, p.horizon_h, p.passport_kind, p.symbol, p.passport_regime"""
_CALIBRATORS = """
    select * from reporting.calibrators as c
    where c.ts = (select max(n.ts) from reporting.calibrators as n where n.ts < %(before)s)
    order by c.signal, c.calibration_side"""
_PAPER = """
    select * from reporting.paper_strategies as s
    where s.ts = (select max(n.ts) from reporting.paper_strategies as n where n.ts < %(before)s)
    order by s.strategy"""
_TRIALS = """
    select * from reporting.trials as t
    where %(family)s::text is null or t.trial_family = %(family)s
    order by t.first_run_at desc, t.trial_id"""


def passports_of(
    database: Database, before: datetime, signal: str | None = None
) -> list[dict[str, Any]]:
    """The rows of the newest day whose last hour lies before an instant; none: nothing is judged yet.

    Args:
        database: what is stored.
        before: the instant.
        signal: of this one only.
    """
    return rows(database, _PASSPORTS, before=before, signal=signal)


def calibrators_of(database: Database, before: datetime) -> list[dict[str, Any]]:
    """The calibrators of the newest day whose last hour lies before an instant."""
    return rows(database, _CALIBRATORS, before=before)


def paper_of(database: Database, before: datetime) -> list[dict[str, Any]]:
    """What paper strategies came to by the newest day whose last hour lies before an instant."""
    return rows(database, _PAPER, before=before)


def newest_of(
    database: Database, mart: str, window: Window, symbols: Sequence[str]
) -> list[dict[str, Any]]:
    """The newest row of each symbol in the last day of a window.

    Args:
        database: what is stored.
        mart: with a row per symbol and hour, such as ``consensus_1h``.
        window: whose last day is looked at.
        symbols: in the order of the answer.
    """
    query = sql.SQL(
        "select distinct on (m.symbol) m.* from {} as m "
        "where m.ts >= %(start)s and m.ts < %(end)s and m.symbol = any(%(symbols)s) "
        "order by m.symbol, m.ts desc"
    ).format(sql.Identifier("reporting", MARTS[mart].name))
    start = max(window.start, window.end - DAY)
    found = rows(database, query, start=start, end=window.end, symbols=list(symbols))
    return sorted(found, key=lambda row: list(symbols).index(row["symbol"]))


def trials_of(database: Database, family: str | None = None) -> list[dict[str, Any]]:
    """The ledger, newest first; of one signal only where it is named."""
    return rows(database, _TRIALS, family=family)


def as_stored(rows: Sequence[dict[str, Any]], ts: datetime) -> list[dict[str, Any]]:
    """Rows that were just made as the mart would show them: every column, None for what is null.

    Args:
        rows: of a trial, made for the end of one day.
        ts: the day's last hour.
    """
    names = MARTS["passports"].names
    shown = []
    for row in rows:
        known = {n: v for n, v in row.items() if not (isinstance(v, float) and v != v)}
        shown.append(dict.fromkeys(names) | known | {"ts": ts})
    return shown


def headlines(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of some passports, the rows of all symbols and regimes together."""
    return [r for r in rows if r["passport_kind"] == "pooled" and r["passport_regime"] == EVERY]


def summary_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line a signal and horizon, and how many VALIDs noise would give at most."""
    shown = headlines(rows)
    if not shown:
        yield (
            "no signal has been judged yet; the nightly run judges each day, "
            "`regime backfill --select signals/passports` judges other days"
        )
        return
    yield f"to the end of {shown[0]['ts']:%Y-%m-%d}, all symbols together, 730 days back"
    yield f"{'signal':<20}{'h':>3}  {'IC [95 %]':<24}{'hours eff.':>10}{'net bps':>9}  verdict"
    for row in shown:
        yield (
            f"{row['signal']:<20}{row['horizon_h']:>3}  {_interval(row):<24}"
            f"{_number(row['ic_hours_eff'], '.0f'):>10}{_number(row['net_spread_bps'], '+.1f'):>9}  "
            f"{row['verdict']}{_why(row)}"
        )
    signals = {r["signal"] for r in shown}
    valid = {r["signal"] for r in shown if r["verdict"] == "VALID"}
    named = ", ".join(sorted(valid)) or "nothing passes"
    yield (
        f"VALID: {named}; {len(signals)} signals of pure noise would give at most "
        f"{FALSE_VALID * len(signals):.1f}"
    )


def passport_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One signal in full: its headline at every horizon, then regimes, symbols, across symbols."""
    for row in headlines(rows):
        yield (
            f"{row['signal']} over {row['horizon_h']} h, to the end of {row['ts']:%Y-%m-%d}: "
            f"{row['verdict']}{_why(row)}"
        )
        for name, text in _facts(row):
            yield f"    {name:<28}{text}"
        for other in rows:
            if other["horizon_h"] == row["horizon_h"] and other is not row:
                name = {
                    "pooled": other["passport_regime"],
                    "symbol": other["symbol"],
                    "cross_section": "across symbols",
                }[other["passport_kind"]]
                reason = f" ({other['reason']})" if other["ic"] is None else ""
                yield f"    {name:<28}{_interval(other)}{reason}  {other['verdict']}"


def _facts(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "rank correlation", _interval(row)
    yield (
        "hours",
        f"{row['ic_hours']}, {_number(row['ic_hours_eff'], '.0f')} independent; VALID needs "
        f"{_number(row['crit'], '.2f')} standard errors for {_number(row['trials_eff'], '.1f')} trials",
    )
    yield (
        "named the direction",
        f"{_number(row['hit_rate'], '.1%')} [{_number(row['hit_rate_low'], '.1%')}, "
        f"{_number(row['hit_rate_high'], '.1%')}] of {_number(row['n_hits'], 'd')} rows",
    )
    yield (
        "quantile spread, bps",
        f"{_number(row['quantile_spread_bps'], '+.1f')} "
        f"[{_number(row['quantile_spread_low_bps'], '+.1f')}, "
        f"{_number(row['quantile_spread_high_bps'], '+.1f')}], net of costs "
        f"{_number(row['net_spread_bps'], '+.1f')} "
        f"(a change costs {_number(row['cost_bps'], '.1f')}, {row['cost_kind'] or UNKNOWN})",
    )
    pays = {None: UNKNOWN, True: "yes", False: "no"}[row["is_tradable"]]
    yield "surely pays its costs", pays
    yield "turnover a day", _number(row["turnover_per_day"], ".2f")
    yield "half-life of the score, h", _number(row["score_half_life_h"], ".1f")
    yield "half of the effect after, h", _number(row["ic_half_life_h"], ".0f")
    yield (
        "explained by the others",
        f"{_number(row['redundancy_r2'], '.0%')}, nearest {row['nearest_signal'] or UNKNOWN} "
        f"({_number(row['nearest_corr'], '+.2f')}); IC given them "
        f"{_number(row['ic_partial'], '+.3f')}",
    )
    yield "evidence", row["evidence"] or UNKNOWN


def _interval(row: dict[str, Any]) -> str:
    ic, se = row["ic"], row["ic_se"]
    if ic is None or se is None:
        return UNKNOWN
    return f"{ic:+.3f} [{ic - 1.96 * se:+.3f}, {ic + 1.96 * se:+.3f}]"


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _why(row: dict[str, Any]) -> str:
    return f" ({row['verdict_reason'].replace('_', ' ')})" if row["verdict_reason"] else ""


def calibration_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line a score and side, and which probabilities may be shown."""
    if not rows:
        yield "no score has been calibrated yet; the nightly run does it"
        return
    yield f"to the end of {rows[0]['ts']:%Y-%m-%d}: probability that the return over 4 h passes the cost"
    yield (
        f"{'signal':<20}{'side':<6}{'curve':<10}{'labels eff.':>11}{'base':>7}  "
        f"{'skill over base [95 %]':<28}{'ECE':>6}  shown"
    )
    for row in rows:
        why = row["calibration_reason"] or row["reason"] or UNKNOWN
        skill = (
            f"{_number(row['brier_skill'], '+.2%')} [{_number(row['brier_skill_low'], '+.2%')}, "
            f"{_number(row['brier_skill_high'], '+.2%')}]"
        )
        yield (
            f"{row['signal']:<20}{row['calibration_side']:<6}{row['calibrator_kind'] or UNKNOWN:<10}"
            f"{_number(row['labels_eff'], '.0f'):>11}{_number(row['base_rate'], '.1%'):>7}  "
            f"{skill:<28}{_number(row['ece'], '.3f'):>6}  "
            f"{'yes' if row['is_calibrated'] else why.replace('_', ' ')}"
        )
    shown = sum(bool(r["is_calibrated"]) for r in rows)
    yield f"{shown} of {len(rows)} probabilities may be shown"


def paper_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A few lines a strategy."""
    if not rows:
        yield "no paper position was walked yet; the nightly run does it"
    for row in rows:
        yield f"{row['strategy']}, {row['paper_days']} days to the end of {row['ts']:%Y-%m-%d}"
        yield (
            f"    Sharpe {_number(row['sharpe'], '.2f')} [{_number(row['sharpe_low'], '.2f')}, "
            f"{_number(row['sharpe_high'], '.2f')}], above luck {_number(row['sharpe_deflated'], '.0%')}; "
            f"holding {_number(row['hold_sharpe'], '.2f')}"
        )
        yield (
            f"    beside holding at equal deviation {_number(row['excess_bps_per_day'], '+.1f')} bps a day "
            f"[{_number(row['excess_low_bps_per_day'], '+.1f')}, "
            f"{_number(row['excess_high_bps_per_day'], '+.1f')}]"
        )
        yield (
            f"    largest drawdown {_number(row['max_drawdown'], '.1%')}, exposure "
            f"{_number(row['exposure_mean'], '.0%')}, traded a day "
            f"{_number(row['traded_share_per_day'], '.0%')}, fees "
            f"{_number(row['fees_total_usd'], ',.0f')} USD, funding "
            f"{_number(row['funding_total_usd'], ',.0f')} USD"
        )
        yield f"    fills: {row['book_fills']} by a book, {row['assumed_fills']} assumed"
    yield "on paper: no order was placed"


def outcome_lines(answer: Answer, horizon_h: int) -> Iterator[str]:
    """What followed on a condition, beside all hours."""
    yield (
        f"{answer.n_rows} hours ({answer.n_eff:.0f} effective, {answer.blocks_eff:.1f} months) over "
        f"{answer.span_days:.0f} days, {answer.price}"
    )
    if answer.is_silent:
        yield f"history is silent: {answer.reason}"
        return
    rows = (
        ("up", ".0%", answer.p_up, answer.p_up_low, answer.p_up_high),
        ("median", "+.2%", answer.median, answer.median_low, answer.median_high),
        ("a tenth below", "+.2%", answer.p10, answer.p10_low, answer.p10_high),
        ("a tenth above", "+.2%", answer.p90, answer.p90_low, answer.p90_high),
    )
    for name, form, value, low, high in rows:
        yield (
            f"after {horizon_h} h  {name:<14} {_number(value, form)} "
            f"[{_number(low, form)}, {_number(high, form)}]"
        )
    differs = "differs" if answer.differs else "no difference"
    yield f"all {answer.base_rows} hours: up {_number(answer.base_p_up, '.0%')}: {differs}"


def trial_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line a trial, newest first."""
    if not rows:
        yield "nothing was tried yet on real history"
    for row in rows:
        spec = row["trial_spec"]
        turned = ", turned round" if spec["sign"] < 0 else ""
        dropped = f", dropped: {row['dropped_reason']}" if row["dropped_reason"] else ""
        yield (
            f"{row['first_run_at']:%Y-%m-%d %H:%M}  {row['trial_id'][:12]}  "
            f"{row['trial_family']:<20} {row['headline_h']:>2} h, {len(spec['universe'])} symbols, "
            f"{spec['params']}{turned}, by {row['trial_origin']}, {row['run_count']} runs{dropped}"
        )
