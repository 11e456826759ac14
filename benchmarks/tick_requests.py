"""How many requests an hourly tick makes, by dataset: eight symbols, every source on, no Dagster.

Each tick is an hour after the one before, and the simulator's clock goes with it. The first ones of an
empty database also make up for hours that nobody has asked for, so they come on lines of their own. Books are
told apart: they are sampled every five minutes whether there are ticks or not, and a tick makes none
where that was done.
"""

from __future__ import annotations

import tempfile
import uuid
from datetime import datetime
from pathlib import Path

from benchmarks.common import NOW, line
from regime_pipeline.windows import DAY, HOUR

SETTLING, MEASURED = 2, 2
SAMPLED = "order_book"


class HourlyClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """The present instant."""
        return self._at

    def go_on(self) -> None:
        """An hour passes."""
        self._at += HOUR


def run() -> None:
    """Some ticks that settle, and those that are measured."""
    from regime_pipeline.catalogue import TABLES
    from regime_pipeline.catalogue.datasets import BY_TABLE
    from regime_pipeline.orchestration.assets.raw import fetched
    from regime_pipeline.orchestration.partitions import tick_window
    from regime_pipeline.orchestration.resources import Platform, Scope
    from regime_pipeline.settings import Settings
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.simulator.tape import SyntheticTape
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer

    clock = HourlyClock(NOW)
    with (
        tempfile.TemporaryDirectory(prefix="regime-bench-") as folder,
        SimulatorServer(SyntheticTape(end=NOW + 2 * DAY), clock) as server,
    ):
        Path(folder).chmod(0o755)  # the server's account must reach its data
        settings = Settings(
            _env_file=None, home=Path(folder), origin="simulated", **server.settings_overrides()
        )
        database = open_database(settings, origin="simulated")
        platform = Platform(settings, clock, database=database)
        try:
            for number in range(SETTLING + MEASURED):
                run_id, now = uuid.uuid4().hex, clock.now()
                for name in BY_TABLE:
                    window = tick_window(now).clipped(now)
                    fetched(run_id, platform, Scope(), TABLES[name], window, is_tick=True)
                with database.connect() as connection:
                    made = dict(
                        connection.execute(
                            "SELECT dataset, sum(request_count)::int FROM ops.fetch_log "
                            "WHERE run_id = %s GROUP BY 1 HAVING sum(request_count) > 0 ORDER BY 1",
                            (run_id,),
                        ).fetchall()
                    )
                which = "settling" if number < SETTLING else "measured"
                line(
                    "tick_requests",
                    f"{len(settings.universe)} symbols, tick {number + 1}, {which}",
                    requests=sum(made.values()),
                    requests_beside_books=sum(n for d, n in made.items() if d != SAMPLED),
                    of=made,
                )
                clock.go_on()
        finally:
            platform.close()
            EmbeddedServer(Path(folder)).stop()
