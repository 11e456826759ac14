"""A home on a disk that fills up while rows are written and while the server recovers.

Run as a program inside a mount namespace of its own, so that nobody else sees the small disk. It prints one
JSON object: what each step raised and what was stored after it. Does not belong here: judging that.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from regime_pipeline.storage import migrate
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import StorageError
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, Window, utc
from regime_pipeline_tests.storage.frames import DAY_1, raw_candles

CLOCK = FixedClock(utc("2024-06-01"))
LONG = Window(utc("2024-01-01"), utc("2024-05-01"))
SIZE_MB = 320
CHUNK = b"\0" * 65536


def fill(place: Path) -> None:
    """Take all space that is left."""
    with place.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(CHUNK)


def shrink(place: Path, by: int) -> None:
    """Give some of the space back."""
    os.truncate(place, max(0, place.stat().st_size - by))


def raised(work: Callable[[], object]) -> str | None:
    """The class and the words of the error that the work ends in; None: it succeeds."""
    try:
        work()
    except StorageError as error:
        return f"{type(error).__name__}: {error}"
    return None


def main(home: Path) -> None:
    """Fill the disk twice: under a writer, and under a server that died."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=755", "none", home], check=True
    )
    server = EmbeddedServer(home)
    server.start()
    url = server.url("postgres")
    database = Database(url)
    migrate.upgrade(database.engine)
    database.claim("live", "test", clock=CLOCK)
    warehouse = Warehouse(database, CLOCK)
    warehouse.merge("raw.candles", raw_candles(DAY_1))
    told = {"before": warehouse.content_hash("raw.candles")}
    filler = home / "filler"
    fill(filler)
    shrink(filler, 10 * len(CHUNK))
    long = raw_candles(LONG)
    told["writing"] = raised(lambda: warehouse.merge("raw.candles", long))
    shrink(filler, 2**40)
    server.start()
    told["after_writing"] = warehouse.content_hash("raw.candles")
    warehouse.merge("raw.candles", long)
    told["whole"] = warehouse.content_hash("raw.candles")
    database.close()
    pid = int((server.data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    fill(filler)
    told["recovering"] = raised(server.start)
    filler.unlink()
    server.start()
    database = Database(server.url("postgres"))
    told["after_recovering"] = Warehouse(database, CLOCK).content_hash("raw.candles")
    database.close()
    server.stop()
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
