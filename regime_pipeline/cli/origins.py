"""Which market a command works on: live, simulated or a tape, and the database that holds it.

Belongs here: choosing the source, its clock, the simulator process beside a command, whether live data
can be reached, opening the database of an origin, the environment of child processes. Does not belong
here: options, printing, work.

The environment of this process is never changed: overrides make new settings, and a child process is
given them as variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from regime_pipeline.cli.options import SOURCE_HELP, UsageError, parse_day
from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.settings import Settings, changed, environment_name
from regime_pipeline.windows import DAY, Clock, FixedClock, clock_from_text, floor_day

if TYPE_CHECKING:
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.storage.database import Database

SYNTHETIC_FUTURE = 60 * DAY
"""How far past now a synthetic market reaches; a simulator left running longer goes quiet."""
ORIGINS = {
    "live": "live data",
    "simulated": "SIMULATED data; live data: `regime run --source live`",
    "tape": "replayed history",
}
"""What a person is told about the data of each origin."""


@dataclass(frozen=True)
class Market:
    """Where a run gets its data from.

    Attributes:
        settings: that point there.
        label: one line that says what it is.
        why: why it is not live data and how to get that; null where it is.
    """

    settings: Settings
    label: str
    why: str | None = None

    @property
    def clock(self) -> Clock:
        """What now is on this market."""
        return clock_from_text(self.settings.clock)


class NoVenueError(Exception):
    """No exchange answers from here."""


def child_environment(overrides: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with settings replaced, for a process that reads its own."""
    return {**os.environ, **{environment_name(f): v for f, v in overrides.items()}}


def live_overrides(settings: Settings) -> dict[str, str]:
    """What makes the settings live from here.

    A primary venue that nobody chose and that refuses this location gives way to the next one that
    answers. One that is out of order for now does not: its series go on when it is back.

    Raises:
        NoVenueError: none answers; the text says why, source by source.
    """
    from regime_pipeline.providers.probe import venues_from_here

    reach = venues_from_here(settings, clock_from_text(settings.clock))
    if not reach.answering:
        by_reason: dict[str, list[str]] = {}
        for source, problem in reach.problems.items():
            by_reason.setdefault(problem.partition(": ")[2] or problem, []).append(source)
        reasons = "; ".join(f"{', '.join(names)}: {text}" for text, names in by_reason.items())
        raise NoVenueError(f"No exchange could be reached ({reasons})")
    refused = [
        field
        for field in ("spot_venue", "perp_venue")
        if field not in settings.model_fields_set and getattr(settings, field) in reach.blocked
    ]
    return {"origin": "live", **dict.fromkeys(refused, reach.answering[0])}


def synthetic_server(settings: Settings) -> SimulatorServer:
    """A simulator of a synthetic market in a process of its own, not started yet."""
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.simulator.tape import SyntheticTape

    clock = clock_from_text(settings.clock)
    market = SyntheticTape(symbols=settings.symbols, end=clock.now() + SYNTHETIC_FUTURE)
    return SimulatorServer(market, clock, isolation="process")


@contextmanager
def market(source: str, last: str | None) -> Iterator[Market]:
    """The market of ``--source``; for the simulated ones a server is up while the block runs.

    Args:
        source: ``auto``, ``live``, ``simulated`` or ``tape:DIR``.
        last: ``--to``; a tape's clock stands at its end.

    Raises:
        UsageError: the source is not understood.
    """
    settings = Settings()
    kind, _, folder = source.partition(":")
    live = {"origin": "live"}
    why = f"--source {source} was asked for; live data: `--source live`"
    if kind == "auto":
        try:
            kind, live = "live", live_overrides(settings)
        except NoVenueError as error:
            kind = "simulated"
            why = (
                f"{error}. For live data: check the network, or name a proxy (HTTPS_PROXY), then "
                "run the same command again"
            )
    if kind == "live" and not folder:
        yield Market(changed(settings, live), "live data")
        return
    if kind == "simulated" and not folder:
        overrides = {"origin": "simulated"}
        server = synthetic_server(settings)
        label = "SIMULATED data: a synthetic market with planted events, not real prices"
    elif kind == "tape" and folder:
        from regime_pipeline.simulator.server import SimulatorServer
        from regime_pipeline.simulator.tape import ParquetTape

        tape = ParquetTape(Path(folder))  # fails here, before anything is written
        end = (
            parse_day(last, "--to") + DAY
            if last
            else floor_day(tape.span.end - timedelta(seconds=1)) + DAY
        )
        overrides = {"origin": "tape", "clock": end.isoformat()}
        if tape.has_days and "factor_interval" not in settings.model_fields_set:
            overrides["factor_interval"] = "1d"
        server = SimulatorServer(tape, FixedClock(end), isolation="process")
        label = f"replayed history from {folder}"
    else:
        raise UsageError(f"--source {source!r} is not understood: {SOURCE_HELP}")
    with server:
        yield Market(changed(settings, overrides | _reached(settings, server, kind)), label, why)


def _reached(settings: Settings, server: SimulatorServer, origin: str) -> dict[str, str]:
    """What points every provider to a simulator, with a key where the settings want it to have one.

    A recording was made with the keys of its time, whoever replays it.
    """
    overrides = server.settings_overrides()
    if origin == "tape" or settings.simulated_keys == "all":
        return overrides
    keys = {row.key_setting for row in CONNECTIONS.values() if row.key_setting}
    return {
        name: value
        for name, value in overrides.items()
        if name not in keys or getattr(settings, name) is not None
    }


@contextmanager
def beside(settings: Settings) -> Iterator[dict[str, str]]:
    """A simulator beside a command on simulated data, as overrides; a tape stands still."""
    if settings.origin != "simulated":
        yield {}
        return
    with synthetic_server(settings) as server:
        yield _reached(settings, server, settings.origin)


def origin_settings(data: str | None) -> Settings:
    """Settings for the database of an origin: the one named, configured, or used last.

    Raises:
        UsageError: there is no such origin.
    """
    from regime_pipeline.storage.database import last_origin

    settings = Settings()
    configured = settings.origin if "origin" in settings.model_fields_set else None
    origin = data or configured or last_origin(settings.home) or "live"
    if origin not in ORIGINS:
        raise UsageError(f"--data {origin!r} is not understood: live, simulated or tape")
    return changed(settings, {"origin": origin})


def open_data(data: str | None) -> tuple[Settings, Database]:
    """The database of an origin, by default that of the last run.

    Raises:
        UsageError: there is no such origin.
        StorageError: it cannot be opened.
    """
    from regime_pipeline.storage.database import open_database

    settings = origin_settings(data)
    return settings, open_database(settings, origin=settings.origin)
