"""``python -m regime_pipeline.simulator``: serves a tape, in the foreground or as a child."""

from __future__ import annotations

import argparse
import sys

from regime_pipeline.simulator.server import PortInUseError, serve, serve_child
from regime_pipeline.simulator.tape import NotATapeError, tape_from_text
from regime_pipeline.windows import clock_from_text


def main(arguments: list[str] | None = None) -> int:
    """Parses the arguments and serves; 2 when they make no sense, with one line why."""
    parser = argparse.ArgumentParser(prog="regime_pipeline.simulator")
    parser.add_argument("--tape", default="synthetic", help="`synthetic[:SEED][,...]` or a folder")
    parser.add_argument("--clock", default="system", help="`system` or an ISO instant")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--walls", action="store_true", help="hold the providers' retention limits")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        tape, clock = tape_from_text(given.tape), clock_from_text(given.clock)
        if given.child:
            serve_child(tape, clock, given.port, walls=given.walls)
        else:
            serve(tape, clock, given.port, walls=given.walls)
    except (NotATapeError, PortInUseError, ValueError) as error:
        if given.child:
            sys.stdout.write(f"error {error}\n")
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
