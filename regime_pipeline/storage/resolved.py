"""``ops.resolved_sources``: which provider a start found behind what several could tell.

Does not belong here: choosing (``source_choice``), showing it (``reporting``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from regime_pipeline.source_choice import Choice
from regime_pipeline.storage.database import Database

_NEWEST = """
select distinct on (role) role, source, venue, why, resolved_at
from ops.resolved_sources order by role, resolved_at desc
"""


def note(database: Database, choices: Iterable[Choice], at: datetime) -> None:
    """Write down the choices that differ from the newest ones; the others stay as they are."""
    known = {choice: since for choice, since in newest(database)}
    changed = [choice for choice in choices if choice not in known]
    if not changed:
        return
    with database.connect() as connection:
        for choice in changed:
            connection.execute(
                "insert into ops.resolved_sources (role, resolved_at, source, venue, why) "
                "values (%s, %s, %s, %s, %s) on conflict (role, resolved_at) do update "
                "set source = excluded.source, venue = excluded.venue, why = excluded.why",
                (choice.role, at, choice.source, choice.venue, choice.why),
            )


def newest(database: Database) -> list[tuple[Choice, datetime]]:
    """The choice of each role and since when it stands, by role."""
    with database.connect() as connection:
        found = connection.execute(_NEWEST).fetchall()
    return [(Choice(role, source, venue, why), at) for role, source, venue, why, at in found]
