"""dbt seen from the outside: its project, its environment, one build in a process of its own.

The models are in ``dbt_project/``. Belongs here: nothing about what they say.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import make_url

from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Window

WINDOW_START = "REGIME_WINDOW_START"
WINDOW_END = "REGIME_WINDOW_END"
_PREFIX = "REGIME_PG_"


class DbtError(RuntimeError):
    """dbt could not build; the message holds the end of what it printed."""


def project_dir() -> Path:
    """The dbt project beside the package; ``REGIME_DBT_PROJECT`` names another place.

    Raises:
        FileNotFoundError: there is none.
    """
    named = os.environ.get("REGIME_DBT_PROJECT")
    path = Path(named) if named else Path(__file__).resolve().parents[2] / "dbt_project"
    if not (path / "dbt_project.yml").is_file():
        raise FileNotFoundError(f"no dbt project at {path}; REGIME_DBT_PROJECT names its folder")
    return path


def environment(database: Database, window: Window | None = None) -> dict[str, str]:
    """The variables that the dbt profile and the models read.

    Args:
        database: where the reports are written.
        window: what to rebuild; None leaves it to the models (everything since the newest stored
            hour minus two days). Both variables are always set, so that those of the calling
            process never count.
    """
    url = make_url(database.url)
    query = {k: v if isinstance(v, str) else v[-1] for k, v in url.query.items()}
    values = {
        "HOST": url.host or query.get("host") or "127.0.0.1",
        "PORT": str(url.port or query.get("port") or 5432),
        "USER": url.username or query.get("user") or "",
        "PASSWORD": str(url.password or query.get("password") or ""),
        "DATABASE": url.database or "",
        "SSLMODE": query.get("sslmode") or "prefer",
    }
    out = {_PREFIX + k: v for k, v in values.items()}
    out[WINDOW_START] = "" if window is None else window.start.isoformat()
    out[WINDOW_END] = "" if window is None else window.end.isoformat()
    return out


def build(
    database: Database,
    window: Window | None = None,
    *,
    full_refresh: bool = False,
    target: Path | None = None,
    timeout_s: float = 600.0,
) -> str:
    """Run ``dbt build`` and return what it printed.

    Args:
        database: where the sources are and the reports go.
        window: see :func:`environment`.
        full_refresh: build the tables anew from everything stored.
        target: folder for dbt's artefacts and logs; None takes the project's own.
        timeout_s: after so many seconds dbt is ended.

    Raises:
        DbtError: a model or an error-severity test failed, or time ran out.
    """
    project = project_dir()
    command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "build"]
    command += ["--project-dir", str(project), "--profiles-dir", str(project)]
    if full_refresh:
        command.append("--full-refresh")
    if target is not None:
        command += ["--target-path", str(target / "target"), "--log-path", str(target / "logs")]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment(database, window)},
            cwd=project,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DbtError(f"dbt did not finish within {timeout_s:g} s") from error
    if done.returncode != 0:
        raise DbtError((done.stdout + done.stderr)[-4000:])
    return done.stdout
