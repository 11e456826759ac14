"""The embedded server's data brought to a newer major version of PostgreSQL, which the wheel brings along.

Belongs here: copying with ``pg_upgrade``. Does not belong here: putting the copy in the old data's place
(``swap``), running the server (``embedded``), versions of our own schema (``migrate``).

The old folder is only read. The copy stands beside it until it is whole and marked as such; then the old one
gets another name and the copy its place. Who is killed before that has the old version, afterwards the new.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from regime_pipeline.storage import embedded
from regime_pipeline.storage.crash import crash_point
from regime_pipeline.storage.errors import EmbeddedServerError
from regime_pipeline.storage.folders import is_data_folder
from regime_pipeline.storage.interrupted import MARK, end_interrupted
from regime_pipeline.storage.processes import bare_environment
from regime_pipeline.storage.swap import COPY, WHOLE, swap

_LONGEST_S = 6 * 3600.0


def upgrade(server: embedded.EmbeddedServer) -> Path | None:
    """Bring a server's data to the newest version that is installed; it is stopped afterwards.

    Returns:
        The folder of the old data, which may be deleted once all is well; None: it is the newest already.

    Raises:
        EmbeddedServerError: there is no data, or it cannot be copied; the old data are as they were.
    """
    with server._lock():
        data = server._locate_data()
        if not is_data_folder(data):
            raise EmbeddedServerError(f"there is no data folder below {server.home} to upgrade")
        end_interrupted(data)
        old = server._binaries(data)
        copy = data.with_name(COPY)
        shutil.rmtree(copy, ignore_errors=True)
        new = server._binaries(copy)
        if new == old:
            return None
        server._stop_locked()
        version = (data / "PG_VERSION").read_text().strip()
        server._initdb(copy)
        try:
            _copied(server, old, new, data, copy)
        except EmbeddedServerError:
            shutil.rmtree(copy, ignore_errors=True)
            raise
        crash_point("upgraded")
        kept = data.with_name(f"data-{version}-{secrets.token_hex(4)}")
        data.with_name(WHOLE).write_text(kept.name)
        crash_point("upgrade_marked")
        swap(data, kept)
        return kept


def _copied(server: embedded.EmbeddedServer, old: Path, new: Path, data: Path, copy: Path) -> None:
    """Run ``pg_upgrade``, which starts both servers on sockets of its own."""
    account = server._account()
    work = data.with_name(f"new-{secrets.token_hex(4)}")  # a leftover of that name is swept
    work.mkdir(mode=0o700)
    data.with_name(MARK).write_text(str(work))
    if account:
        os.chown(work, account["user"], account["group"])
    command = [str(new / "pg_upgrade"), "--copy", "-U", embedded.SUPERUSER, "-s", str(work)]
    command += ["-b", str(old), "-B", str(new), "-d", str(data), "-D", str(copy)]
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env={**bare_environment(), "PGPASSWORD": server._password() or ""},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST_S,
            check=False,
            **account,
        )
    finally:
        end_interrupted(data)
    if done.returncode != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise EmbeddedServerError(
            f"pg_upgrade could not copy {data}: {' '.join(said[-3:])}; the old data are as they were"
        )
