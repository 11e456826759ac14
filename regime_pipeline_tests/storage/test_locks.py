"""A database is served by one process at a time, and whoever comes second learns who that is."""

from __future__ import annotations

from regime_pipeline.storage.database import Database
from regime_pipeline.storage.locks import take_service

ONE = "regime ui, process 1 on here, port 3000"


def test_fault_80_the_second_learns_who_serves_and_serves_when_that_one_has_ended(
    database: Database,
) -> None:
    with database.connect(autocommit=True) as second:
        with database.connect(autocommit=True) as first:
            assert take_service(first, ONE) == []
            assert take_service(second, "another") == [ONE]
        assert take_service(second, "another") == []
