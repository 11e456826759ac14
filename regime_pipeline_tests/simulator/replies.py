"""``python -m regime_pipeline_tests.simulator.replies FOLDER``: a simulated reply of every endpoint.

They stand in where no reply of the provider is recorded: the simulator writes the provider's own format.
Their names are those of recorded replies. Belongs here: asking and writing. Does not belong here: how an
endpoint is asked (``asking``), what is read from the files (``providers.reply_fields``).
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

import httpx
from starlette.testclient import TestClient

from regime_pipeline.simulator.app import build_app
from regime_pipeline.simulator.archive import archive_file, paths
from regime_pipeline.simulator.tape import SyntheticTape, Tape
from regime_pipeline.windows import DAY, FixedClock, Window, floor_day, utc
from regime_pipeline_tests.simulator.archive_folder import epoch_ms
from regime_pipeline_tests.simulator.asking import NOW, PARAMETERS, ask

ARCHIVED = {
    "klines": ("/klines/",),
    "klines_takers": ("/futures/", "/klines/"),
    "fundingRate": ("/fundingRate/",),
    "metrics_open_interest": ("/metrics/",),
    "metrics_positioning": ("/metrics/",),
}
"""Endpoint of the archive -> what the path of a file of it contains."""


def small_market() -> SyntheticTape:
    """The market that the replies are of."""
    return SyntheticTape(
        start=utc("2024-07-01"), end=utc("2024-09-01"), symbols=("BTC/USDT", "ETH/USDT")
    )


def write(
    folder: Path, web: httpx.Client, tape: Tape, *, without: Collection[str] = ()
) -> list[str]:
    """Write the replies.

    Args:
        folder: made when it is not there.
        web: the simulator.
        tape: what it plays, for files of the archive.
        without: ``provider/endpoint`` that are left out.

    Returns:
        What was written, as ``provider/endpoint``.
    """
    bodies = {f"{key}__1.json": lambda key=key: ask(web, key).content for key in PARAMETERS}
    month = Window(utc("2024-07-01"), utc("2024-08-01"))
    for name, parts in ARCHIVED.items():
        path = next(p for p in paths(tape, month, None) if all(part in p for part in parts))
        bodies[f"binance_archive/{name}__1.zip"] = lambda path=path: archive_file(
            tape, path, epoch_ms(floor_day(NOW) + 40 * DAY)
        )
    written = []
    for name, body in bodies.items():
        key = name.partition("__")[0]
        if key in without:
            continue
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body())
        written.append(key)
    return written


if __name__ == "__main__":
    market = small_market()
    with TestClient(build_app(market, FixedClock(NOW))) as client:
        write(Path(sys.argv[1]), client, market)
