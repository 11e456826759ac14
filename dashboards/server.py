"""Apache Superset with the declared dashboards, on this machine only.

Superset lives in an environment of its own (``requirements-superset.txt``): its dependencies and ours do
not agree. Belongs here: starting it, loading the bundle so that nothing of an earlier one stays, asking
each chart for its rows. Does not belong here: what the dashboards show (``dashboards.yml``).

The password of the account that reads is in ``PGPASSWORD`` of Superset's process and nowhere else: an
import that carries it leaves it in Superset's log table.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from sqlalchemy import URL, make_url

from dashboards import bundle

CONFIG = Path(__file__).with_name("superset_config.py")
ADMIN = "admin"
START_S = 180
KINDS = ("dashboard", "chart", "dataset")
"""Of each kind what a bundle no longer has is deleted, in this order: none is needed by a later one."""


class SupersetError(RuntimeError):
    """Superset could not be prepared, started or loaded; the text is its own."""


@dataclass(frozen=True)
class Answer:
    """What the query of a chart gave: rows, or why there are none."""

    dashboard: str
    chart: str
    rows: int
    error: str | None


@dataclass(frozen=True)
class Superset:
    """An installed Superset and its folder.

    Attributes:
        programs: folder of the programs of its environment.
        home: its metadata, key and password of the administrator; made when absent.
        database_url: of the account that reads, with its password.
    """

    programs: Path
    home: Path
    database_url: str

    @property
    def password(self) -> str:
        """The administrator's password, drawn once for this folder."""
        return self._drawn("admin_password")

    def prepare(self) -> None:
        """Make the metadata, the administrator and the roles, or bring them to this version.

        Raises:
            SupersetError: Superset refused.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self._run("db", "upgrade")
        account = ("--username", ADMIN, "--firstname", "The", "--lastname", "Administrator")
        more = ("--email", "admin@example.invalid", "--password", self.password)
        self._run("fab", "create-admin", *account, *more)
        self._run("init")

    @contextmanager
    def running(self, port: int = 0) -> Iterator[Served]:
        """A server on the loopback interface, ended at the end.

        Raises:
            SupersetError: it does not answer in time.
        """
        at = port or _free_port()
        command = ["gunicorn", "-w", "1", "-k", "gthread", "--threads", "4", "-t", "120"]
        with (self.home / "server.log").open("w") as log:
            process = subprocess.Popen(
                [self.programs / command[0], *command[1:], "-b", f"127.0.0.1:{at}", _APPLICATION],
                env=self._environment(),
                stdout=log,
                stderr=log,
            )
        try:
            base = f"http://127.0.0.1:{at}"
            self._wait(process, base)
            with httpx.Client(base_url=base, timeout=120) as client:
                yield Served(self, base, client)
        finally:
            process.terminate()
            process.wait(30)

    def _wait(self, process: subprocess.Popen[bytes], base: str) -> None:
        until = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < until:
            try:
                if httpx.get(f"{base}/health").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.5)
        raise SupersetError((self.home / "server.log").read_text()[-2000:])

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / "superset", *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SupersetError(f"superset {arguments[0]}: {(done.stdout + done.stderr)[-2000:]}")

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return kept | {
            "SUPERSET_HOME": str(self.home.resolve()),
            "SUPERSET_CONFIG_PATH": str(CONFIG),
            "SUPERSET_SECRET_KEY": self._drawn("secret_key"),
            "FLASK_APP": "superset",
            "PGPASSWORD": make_url(self.database_url).password or "",
        }

    def _drawn(self, name: str) -> str:
        """A random text that stays the same for this folder; only its owner can read it."""
        path = self.home / name
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as handle:
                handle.write(secrets.token_urlsafe(42))
        return path.read_text()


_APPLICATION = "superset.app:create_app()"


@dataclass(frozen=True)
class Served:
    """A Superset that runs."""

    of: Superset
    base: str
    client: httpx.Client

    def load(self, dashboards: Sequence[bundle.Dashboard]) -> None:
        """Make the dashboards, charts and datasets those that are declared, whatever an earlier load made.

        An import alone overwrites and adds, and what a bundle no longer has would stay. What people made
        by hand is not touched.

        Raises:
            SupersetError: the import was refused.
        """
        files = bundle.files(dashboards, _without_password(self.of.database_url))
        target = self.of.home / "bundle.zip"
        bundle.pack(target, files)
        made = self.of.home / "loaded.json"
        before = set(json.loads(made.read_text())) if made.exists() else set()
        wanted = {content["uuid"] for content in files.values() if "uuid" in content}
        for kind in KINDS:
            for number, uuid in self._listed(kind).items():
                if uuid in before - wanted:
                    self._ask("DELETE", f"/api/v1/{kind}/{number}")
        made.write_text(
            json.dumps(sorted(before | wanted))
        )  # an interrupted load leaves none behind
        with target.open("rb") as content:
            self._ask("POST", "/api/v1/assets/import/", files={"bundle": (target.name, content)})
        made.write_text(json.dumps(sorted(wanted)))

    def exported(self) -> dict[str, Any]:
        """Everything that Superset keeps of dashboards, by path in its bundle; without the time of export.

        The numbers that it gives to what it makes are part of paths and contents.
        """
        reply = self._ask("GET", "/api/v1/assets/export/")
        with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
            found = {
                n.partition("/")[2]: yaml.safe_load(archive.read(n)) for n in archive.namelist()
            }
        found["metadata.yaml"].pop("timestamp")
        return found

    def answers(self) -> list[Answer]:
        """What the query of every chart of a dashboard gives now, asked of the database and no cache."""
        out = []
        for number in self._listed("dashboard"):
            page = self._ask("GET", f"/api/v1/dashboard/{number}").json()["result"]
            for chart in self._ask("GET", f"/api/v1/dashboard/{number}/charts").json()["result"]:
                reply = self._get(f"/api/v1/chart/{chart['id']}/data/?force=true")
                (rows, error) = _rows_of(reply)
                out.append(Answer(page["dashboard_title"], chart["slice_name"], rows, error))
        return out

    def _listed(self, kind: str) -> dict[int, str]:
        """Number -> identifier of all of a kind."""
        reply = self._ask("GET", f"/api/v1/{kind}/?q=(columns:!(id,uuid),page_size:1000)")
        return {one["id"]: one["uuid"] for one in reply.json()["result"]}

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        reply = self._get(path, method, **more)
        if reply.is_error:
            raise SupersetError(f"{method} {path}: {reply.status_code} {reply.text[:2000]}")
        return reply

    def _get(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        if "Authorization" not in self.client.headers:
            self._log_in()
        return self.client.request(method, path, **more)

    def _log_in(self) -> None:
        who = {"username": ADMIN, "password": self.of.password, "provider": "db", "refresh": False}
        reply = self.client.post("/api/v1/security/login", json=who)
        if reply.is_error:
            raise SupersetError(f"log in: {reply.status_code} {reply.text[:500]}")
        self.client.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
        token = self.client.get("/api/v1/security/csrf_token/").json()["result"]
        self.client.headers.update({"X-CSRFToken": token, "Referer": self.base})


def _without_password(address: str) -> str:
    url = make_url(address)
    bare = URL.create(
        "postgresql+psycopg2", url.username, None, url.host, url.port, url.database, url.query
    )
    return bare.render_as_string()


def _rows_of(reply: httpx.Response) -> tuple[int, str | None]:
    if reply.is_error:
        return 0, f"{reply.status_code} {reply.text[:500]}"
    found: Mapping[str, Any] = reply.json()["result"][0]
    return found["rowcount"], found.get("error")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Prepare, load and serve until interrupted; the exit code says whether every chart answered."""
    parser = argparse.ArgumentParser(description="Serve the declared dashboards with Superset.")
    parser.add_argument("programs", type=Path, help="folder of the programs of its environment")
    parser.add_argument("home", type=Path, help="folder for its metadata")
    parser.add_argument("--port", type=int, default=8088)
    parser.add_argument("--check", action="store_true", help="load, ask every chart, and end")
    given = parser.parse_args()
    superset = Superset(given.programs, given.home, sys.stdin.readline().strip())
    superset.prepare()
    with superset.running(0 if given.check else given.port) as served:
        served.load(bundle.declared())
        failed = [a for a in served.answers() if a.error is not None]
        for answer in failed:
            sys.stdout.write(f"{answer.dashboard} / {answer.chart}: {answer.error}\n")
        if given.check:
            return 1 if failed else 0
        sys.stdout.write(
            f"{served.base} as {ADMIN}, password in {superset.home / 'admin_password'}\n"
        )
        sys.stdout.flush()
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main())
