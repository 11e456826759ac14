"""Serving a tape on this machine: in a thread (tests), a process of its own (runs), or foreground.

Belongs here: sockets, threads, child processes. Does not belong here: what is answered (``app``).
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any, Self

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.settings import environment_name
from regime_pipeline.simulator.errors import PortInUseError, SimulatorDiedError
from regime_pipeline.simulator.tape import Tape
from regime_pipeline.windows import Clock, FixedClock, SystemClock

HOST = "127.0.0.1"
_KEY = "simulated-key"
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 10.0


def overrides_for(base_url: str) -> dict[str, str]:
    """Settings fields that point every provider to a simulator, with its key."""
    fields = {row.url_setting: f"{base_url}/{row.simulated_at}" for row in CONNECTIONS.values()}
    streams = base_url.replace("http://", "ws://", 1)
    for row in CONNECTIONS.values():
        if row.stream_setting:
            fields[row.stream_setting] = f"{streams}/ws/{row.name}"
    keys = [row.key_setting for row in CONNECTIONS.values() if row.key_setting]
    return fields | dict.fromkeys(keys, _KEY)


def environment_for(base_url: str, clock: Clock | None = None) -> dict[str, str]:
    """The same as variables of the environment; a clock that stands still comes with them."""
    variables = {environment_name(field): value for field, value in overrides_for(base_url).items()}
    if isinstance(clock, FixedClock):
        variables["REGIME_CLOCK"] = clock.at.isoformat()
    return variables


def bound_socket(port: int) -> socket.socket:
    """A socket on the loopback address; port 0 takes any free one.

    Raises:
        PortInUseError: somebody listens there, or this user may not.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
        found.listen(128)
    except OSError as error:
        found.close()
        reason = error.strerror or "cannot be bound"
        raise PortInUseError(f"port {port} on {HOST} is not free: {reason}") from None
    return found


class SimulatorServer:
    """A running simulator, as a context manager.

    ``isolation="thread"`` shares this process: quick to start, any clock, and ``app`` can be
    scripted directly. ``isolation="process"`` runs it in a process of its own, so that serving
    does not take turns with the caller's work; it ends with this process, however that ends.

    Args:
        tape: what happened.
        clock: decides what is visible; in a process only a system or a fixed clock.
        port: 0 takes a free one.
        walls: whether the providers' retention limits hold.
        isolation: ``thread`` or ``process``.

    Raises:
        PortInUseError: on entering, when the port is taken.
        SimulatorDiedError: on entering, when it does not come up.
        ValueError: a clock that another process cannot have.
    """

    def __init__(
        self,
        tape: Tape,
        clock: Clock,
        port: int = 0,
        *,
        walls: bool = False,
        isolation: str = "thread",
    ) -> None:
        if isolation not in ("thread", "process"):
            raise ValueError(f"isolation is thread or process, not {isolation!r}")
        self._tape = tape
        self._clock = clock
        self._wanted_port = port
        self._walls = walls
        self._isolation = isolation
        self._running: _Threaded | _Child | None = None

    def __enter__(self) -> Self:
        if self._isolation == "thread":
            self._running = _Threaded(self._tape, self._clock, self._wanted_port, self._walls)
        else:
            self._running = _Child(self._tape, self._clock, self._wanted_port, self._walls)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None

    @property
    def _now(self) -> _Threaded | _Child:
        if self._running is None:
            raise RuntimeError("the simulator runs only inside its with block")
        return self._running

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._now.port

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT``; providers live below it."""
        return f"http://{HOST}:{self.port}"

    @property
    def app(self) -> Any:
        """The application (thread only), for its ``state.faults`` and ``state.world``."""
        if not isinstance(self._now, _Threaded):
            raise RuntimeError("the application lives in another process; use /_control")
        return self._now.app

    def settings_overrides(self) -> dict[str, str]:
        """Settings fields that point every provider here, with the simulated key."""
        return overrides_for(self.base_url)

    def environment(self) -> dict[str, str]:
        """The same as variables of the environment."""
        return environment_for(self.base_url, self._clock)


def _uvicorn(app: Any) -> Any:
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    from regime_pipeline.simulator.faults import TRANSPORT

    class Protocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
        """Shows the application its connection: some faults are no HTTP."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            inner: Any = self.app  # type: ignore[has-type]  # set by its base

            async def shown(scope: Any, receive: Any, send: Any) -> None:
                await inner({**scope, TRANSPORT: transport}, receive, send)

            self.app = shown

    config = uvicorn.Config(
        app,
        http=Protocol,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        backlog=128,
    )
    return uvicorn.Server(config)


class _Threaded:
    def __init__(self, tape: Tape, clock: Clock, port: int, walls: bool) -> None:
        from regime_pipeline.simulator.app import build_app

        self._socket = bound_socket(port)
        self.port = int(self._socket.getsockname()[1])
        self.app = build_app(tape, clock, walls=walls)
        self._server = _uvicorn(self.app)
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            name="simulator",
            daemon=True,
        )
        self._thread.start()
        limit = time.monotonic() + _START_LIMIT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > limit:
                self.stop()
                raise SimulatorDiedError("the simulator did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_LIMIT_S)
        self._socket.close()


class _Child:
    def __init__(self, tape: Tape, clock: Clock, port: int, walls: bool) -> None:
        command = [
            sys.executable, "-m", "regime_pipeline.simulator",
            "--tape", tape.text, "--clock", _clock_text(clock), "--port", str(port), "--child",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [*command, *(["--walls"] if walls else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # a terminal's Ctrl-C goes to the parent, which then ends the child in order
            start_new_session=True,
        )
        try:
            self.port = self._told_port()
        except BaseException:
            self.stop()
            raise

    def _told_port(self) -> int:
        """The first line says ``port N`` or ``error KIND TEXT``."""
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(stdout, selectors.EVENT_READ)
            line = stdout.readline() if waiting.select(_START_LIMIT_S) else ""
        kind, _, rest = line.strip().partition(" ")
        if kind == "port":
            return int(rest)
        if kind == "taken":
            raise PortInUseError(rest)
        raise SimulatorDiedError(rest or "the simulator's process ended before it could answer")

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()  # the child ends when its input does
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _clock_text(clock: Clock) -> str:
    if isinstance(clock, SystemClock):
        return "system"
    if isinstance(clock, FixedClock):
        return clock.at.isoformat()
    raise ValueError("another process can follow only the system's clock or a fixed one")


def serve_child(tape: Tape, clock: Clock, port: int, *, walls: bool) -> None:
    """Serves until standard input ends or the parent is gone; the first line out is the port."""
    from regime_pipeline.simulator.app import build_app

    try:
        listening = bound_socket(port)
    except PortInUseError as error:
        _say(sys.stdout, f"taken {error}")
        return
    server = _uvicorn(build_app(tape, clock, walls=walls))
    parent = os.getppid()

    def watch() -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(sys.stdin.fileno(), selectors.EVENT_READ)
            while os.getppid() == parent:
                if waiting.select(1.0) and not os.read(sys.stdin.fileno(), 4096):
                    break
        server.should_exit = True

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    # connections made from here on wait in the listening socket until the loop runs
    _say(sys.stdout, f"port {listening.getsockname()[1]}")
    server.run(sockets=[listening])
    listening.close()


def serve(
    tape: Tape,
    clock: Clock,
    port: int = 0,
    *,
    walls: bool = False,
    say: Callable[[str], object] | None = None,
) -> None:
    """Serves in the foreground until interrupted; tells the variables a user would export.

    Args:
        tape: what happened.
        clock: decides what is visible.
        port: 0 takes a free one.
        walls: whether the providers' retention limits hold.
        say: takes each line; standard output by default.

    Raises:
        PortInUseError: the port is taken.
    """
    from regime_pipeline.simulator.app import build_app

    tell = say or (lambda line: _say(sys.stdout, line))
    listening = bound_socket(port)
    try:
        base_url = f"http://{HOST}:{listening.getsockname()[1]}"
        server = _uvicorn(build_app(tape, clock, walls=walls))
        for name, value in environment_for(base_url, clock).items():
            tell(f"export {name}={value}")
        server.run(sockets=[listening])
    finally:
        listening.close()


def _say(stream: IO[str], line: str) -> None:
    stream.write(line + "\n")
    stream.flush()
