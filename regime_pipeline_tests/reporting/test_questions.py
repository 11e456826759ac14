"""Every statement of the page on reports is answered, by the account that BI tools have."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from regime_pipeline.api import endpoints
from regime_pipeline.catalogue.documents import ROOT
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.storage.roles import ROLES, ensure_roles

PAGE = (ROOT / "docs" / "reporting.md").read_text(encoding="utf-8")
BLOCKS = [
    statement.strip()
    for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    for statement in block.split(";")
    if statement.strip()
]
ENDPOINTS = dict(re.findall(r"^\| (.+?) \| `(select .+?)` \|$", PAGE, re.MULTILINE))

pytestmark = pytest.mark.xdist_group("market")


@pytest.fixture(scope="module")
def reader(market: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The built market, as the account of BI tools sees it."""
    prefix = f"t{secrets.token_hex(4)}"
    folder: Path = tmp_path_factory.mktemp("roles")
    with market.connect() as connection:
        roles = ensure_roles(connection, market.url, folder, prefix=prefix)
    found = Database(roles.urls["bi"])
    yield found
    found.close()
    dropped(market, prefix)


def dropped(database: Database, prefix: str) -> None:
    """Take the roles away again that a test made."""
    with database.connect() as connection:
        for role in ROLES:
            name = sql.Identifier(f"{prefix}_{role}")
            connection.execute(sql.SQL("reassign owned by {} to current_user").format(name))
            connection.execute(sql.SQL("drop owned by {}").format(name))
            connection.execute(sql.SQL("drop role {}").format(name))


@pytest.mark.parametrize("statement", BLOCKS, ids=lambda s: s.splitlines()[0][:60])
def test_each_question_of_the_page_is_answered(reader: Database, statement: str) -> None:
    # the pair that breaks in the small market is another one
    statement = statement.replace("'ETH/USDT'", "'SOL/USDT'").replace(
        "symbol_a = 'BTC/USDT'", "symbol_a = 'ETH/USDT'"
    )
    found = rows(reader, statement)
    if "restate" not in statement:  # nothing was restated in the small market
        assert found


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_endpoint_of_the_replaced_systems_is_one_select(
    reader: Database, endpoint: str
) -> None:
    found = rows(reader, ENDPOINTS[endpoint])
    assert found, endpoint


def test_no_endpoint_of_the_replaced_systems_is_left_out() -> None:
    told = set(re.findall(r"`(/[^`]+)`", " ".join(ENDPOINTS)))
    old = {path.replace("{symbol}", "{s}") for e in endpoints.ENDPOINTS for path in e.old}
    assert len(old) > 20
    assert old - told == set()


def test_what_followed_a_cascade_is_worked_out_from_the_closes(
    reader: Database, market: Database
) -> None:
    event = rows(
        reader,
        "select * from reporting.events where event_type = 'LIQUIDATION_CASCADE' and status = 'ok' "
        "and symbol = 'BTC/USDT' order by known_at limit 1",
    )[0]
    closes = {
        r["ts"]: r["close"]
        for r in rows(
            market,
            "select ts, close from market.candles_1h where market = 'spot' and symbol = 'BTC/USDT'",
        )
    }
    for hours in (1, 4, 24):
        now, then = (
            closes[event["ts"]],
            closes[event["ts"] + hours * (event["known_at"] - event["ts"])],
        )
        assert event["price"] == now
        assert event[f"price_{hours}h"] == then
        assert event[f"return_{hours}h_pct"] == pytest.approx(100 * (then / now - 1))


def test_the_last_events_wait_for_the_hours_to_come(reader: Database) -> None:
    found = rows(
        reader,
        "select status, reason, return_24h_pct from reporting.events "
        "where known_at > (select max(known_at) from reporting.market_overview) - interval '20 hours' "
        "and price is not null",
    )
    assert found
    assert {(r["reason"], r["return_24h_pct"]) for r in found} == {("not_yet", None)}
    assert {r["status"] for r in found} <= {"partial", "missing"}


def test_the_hourly_row_is_the_overview_of_its_hour(reader: Database) -> None:
    shared = [
        c for c in MARTS["hourly"].names if c in MARTS["market_overview"].names and c != "symbol"
    ]
    columns = ", ".join(shared)
    assert rows(
        reader,
        f"select symbol, {columns} from reporting.hourly "
        "where ts = (select max(ts) from reporting.market_overview) order by symbol",
    ) == rows(reader, f"select symbol, {columns} from reporting.market_overview order by symbol")


def test_readers_see_reports_and_nothing_below_them(reader: Database) -> None:
    for relation in ("features.volatility_regimes", "ops.table_versions", "alerts.outbox"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(reader, f"select * from {relation}")
    for mart in MARTS.values():
        rows(reader, f"select * from {mart.full_name} limit 1")


def test_every_relation_and_column_of_reports_is_described(market: Database) -> None:
    found = rows(
        market,
        "select c.relname || '.' || a.attname as name from pg_class c "
        "join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
        "where c.relnamespace = 'reporting'::regnamespace and c.relkind in ('r', 'v') "
        "and c.relname = any(%(marts)s) and col_description(c.oid, a.attnum) is null",
        marts=list(MARTS),
    )
    assert found == []
