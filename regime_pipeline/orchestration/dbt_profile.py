"""What dbt reads from its environment: the database of the profile, the window of the models.

The models are in ``dbt_project/``. Does not belong here: what they say, running dbt
(``assets.reporting``).
"""

from __future__ import annotations

from sqlalchemy import make_url

from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Window

WINDOW_START = "REGIME_WINDOW_START"
WINDOW_END = "REGIME_WINDOW_END"
_PREFIX = "REGIME_PG_"


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
