"""``regime research``: what signals are worth, what followed on a condition, what was tried."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import typer

from regime_pipeline.cli.options import (
    DataOption,
    JsonOption,
    SymbolsOption,
    UsageError,
    parse_day,
    parse_symbols,
)
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import out
from regime_pipeline.windows import DAY, clock_from_text, floor_day, floor_hour

app = typer.Typer(
    no_args_is_help=True,
    help="What signals are worth, in numbers that allow for every look and every trial.",
)

SignalArgument = Annotated[str | None, typer.Argument(help="A signal; without one all in short.")]
DayOption = Annotated[
    str | None, typer.Option("--day", help="Day whose last hour counts. Default: the newest.")
]


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        out.print(line, soft_wrap=True, markup=False, highlight=False)


def _json(value: object) -> None:
    sys.stdout.write(json.dumps(value, default=str) + "\n")


def _known(signal: str) -> str:
    from regime_pipeline.research.trials import BY_NAME

    if signal not in BY_NAME:
        raise UsageError(f"no signal {signal!r}: {', '.join(sorted(BY_NAME))}")
    return signal


@app.command()
def passport(
    signal: SignalArgument = None,
    day: DayOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What each score has been worth over two years, and whether that can be chance.

    VALID means that the rank correlation with the returns that followed is above a bound that holds at
    every daily look and for all trials of the family; INVERTED, that the score points the wrong way;
    UNDECIDED, that the data allow either; UNPROVEN, that there is too little of it.

    Examples:
        regime research passport

        regime research passport momentum --day 2024-08-18
    """
    from regime_pipeline.reporting import research

    if signal is not None:
        _known(signal)
    settings, database = open_data(data)
    end = clock_from_text(settings.clock).now()
    if day is not None:
        end = parse_day(day, "--day") + DAY
    rows = research.passports_of(database, end, signal)
    if as_json:
        _json(rows)
    elif signal is None or not rows:
        _lines(research.summary_lines(rows))
    else:
        _lines(research.passport_lines(rows))


@app.command()
def outcomes(
    condition: Annotated[str, typer.Argument(help="JSON, as docs/reporting.md describes it.")],
    horizon: Annotated[int, typer.Option(help="Hours ahead: 1, 4, 24 or 72.")] = 24,
    symbols: SymbolsOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What followed on the hours in which a condition held, beside all hours.

    Examples:
        regime research outcomes '{"field": "cascades_1h.severity", "op": ">=", "value": 4}'
    """
    from regime_pipeline.alerts.outcomes import InvalidConditionError, ask
    from regime_pipeline.reporting import research

    settings, database = open_data(data)
    try:
        asked = json.loads(condition)
    except ValueError as error:
        raise UsageError(f"the condition is no JSON: {error}") from error
    chosen = parse_symbols(symbols, settings) if symbols else None
    now = clock_from_text(settings.clock).now()
    try:
        with database.connect() as connection:
            found = ask(connection, asked, horizon, now, chosen)
    except InvalidConditionError as error:
        raise UsageError(str(error)) from error
    if as_json:
        _json(found.plain())
    else:
        _lines(research.outcome_lines(found, horizon))


@app.command()
def trials(
    family: SignalArgument = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """The ledger: everything that was tried on real history, newest first, dropped trials too."""
    from regime_pipeline.reporting import research

    _, database = open_data(data)
    rows = research.trials_of(database, None if family is None else _known(family))
    if as_json:
        _json(rows)
    else:
        _lines(research.trial_lines(rows))


@app.command()
def calibration(
    day: DayOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """The probability behind each score, its skill over the base rate, and whether it may be shown."""
    from regime_pipeline.reporting import research

    settings, database = open_data(data)
    end = clock_from_text(settings.clock).now() if day is None else parse_day(day, "--day") + DAY
    rows = research.calibrators_of(database, end)
    if as_json:
        _json(rows)
    else:
        _lines(research.calibration_lines(rows))


@app.command()
def paper(day: DayOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """What following a signal by fixed rules came to on paper. No order is ever placed."""
    from regime_pipeline.reporting import research

    settings, database = open_data(data)
    end = clock_from_text(settings.clock).now() if day is None else parse_day(day, "--day") + DAY
    rows = research.paper_of(database, end)
    if as_json:
        _json(rows)
    else:
        _lines(research.paper_lines(rows))


@app.command()
def models(
    model: Annotated[str | None, typer.Argument(help="A model; without one all in short.")] = None,
    day: DayOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What each forecasting model has been worth over a year, and whether its forecasts are shown.

    Skill is over a forecast that needs no model: the mean variance of 30 days, the year's rate of rising
    hours. A model is published while the lower bound of its skill is above zero.

    Examples:
        regime research models

        regime research models volatility_har
    """
    from regime_pipeline.reporting import models as told
    from regime_pipeline.research.models import BY_NAME

    if model is not None and model not in BY_NAME:
        raise UsageError(f"no model {model!r}: {', '.join(BY_NAME)}")
    settings, database = open_data(data)
    end = clock_from_text(settings.clock).now()
    if day is not None:
        end = parse_day(day, "--day") + DAY
    rows = told.models_of(database, end, model)
    if as_json:
        _json(rows)
    elif model is None or not rows:
        _lines(told.summary_lines(rows))
    else:
        _lines(told.model_lines(rows))


@app.command("try")
def try_variant(
    signal: Annotated[str, typer.Argument(help="A signal.")],
    horizon: Annotated[int, typer.Option(help="Hours that the variant is judged by.")] = 4,
    inverted: Annotated[bool, typer.Option("--inverted", help="Turn the score round.")] = False,
    symbols: SymbolsOption = None,
    day: DayOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a variant of a signal: other symbols, another horizon, turned round.

    It is a trial: it is in the ledger before its number is known, and from then on every verdict of the
    signal allows for it. Asking again costs nothing.
    """
    from regime_pipeline.orchestration import variants
    from regime_pipeline.orchestration.resources import Platform
    from regime_pipeline.reporting import research
    from regime_pipeline.research.trials import HORIZONS_H

    if horizon not in HORIZONS_H:
        raise UsageError(f"--horizon is one of {', '.join(map(str, HORIZONS_H))}")
    settings, database = open_data(data)
    clock = clock_from_text(settings.clock)
    at = floor_day(floor_hour(clock.now())) - DAY if day is None else parse_day(day, "--day")
    platform = Platform(settings, clock, database)
    trial = variants.variant(
        platform,
        _known(signal),
        symbols=parse_symbols(symbols, settings),
        headline_h=horizon,
        sign=-1 if inverted else 1,
    )
    rows = variants.judge(platform, trial, at)
    shown = research.as_stored(rows, at + timedelta(hours=23))
    if as_json:
        _json(shown)
    else:
        _lines(research.passport_lines(shown))


@app.command()
def drop(
    trial_id: Annotated[str, typer.Argument(help="Its id, or how that begins.")],
    reason: Annotated[str, typer.Argument(help="Why nobody goes on with it.")],
    data: DataOption = None,
) -> None:
    """Say that nobody goes on with a trial. It stays in the ledger and counts."""
    from regime_pipeline.reporting import research
    from regime_pipeline.storage import trials as ledger
    from regime_pipeline.storage.warehouse import Warehouse

    _, database = open_data(data)
    found = [r["trial_id"] for r in research.trials_of(database)]
    meant = [i for i in found if i.startswith(trial_id)]
    if len(meant) != 1:
        raise UsageError(f"{len(meant)} trials begin with {trial_id!r}")
    ledger.drop(Warehouse(database), meant[0], reason)
