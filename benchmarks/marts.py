"""What questions to the marts cost on five years of eight symbols, each beside the layer below.

Processor milliseconds of the one backend that answers, as the kernel counts them: the clock says little
on a busy machine. A made-up market of 45 days is written and built as the tests do, and its rows are put
back in time by SQL until they reach over five years. Then: the questions that people ask of each mart,
the same of a past instant, the selects for the endpoints of the replaced systems, a build of the newest
hours, restating one row in a hundred, and one symbol's history among a hundred symbols. ``--quick`` stays
with 45 days.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.common import line, repeated

YEARS = timedelta(days=1826)
TIMES = 20
WARM = 5
"""Questions before those that count: catalogues, pages and hints of rows are read by the first."""
RESTATED = ("features.volatility_regimes", "market.candles_1h")
AMONG_MANY = ("features.volatility_regimes", "reporting.hourly")
MANY_DAYS = 365


def run(*, quick: bool = False) -> None:
    """Every figure."""
    from regime_pipeline.settings import Settings, changed
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer
    from regime_pipeline_tests.reporting.conftest import Builder

    processes.adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as name:
        folder = Path(name)
        settings = changed(Settings(), {"home": str(folder / "home"), "origin": "live"})
        try:
            database = open_database(settings, origin="live")
            build = Builder(folder / "dbt")
            fill(database, build, settings.symbols, quick=quick)
            with database.connect(autocommit=True) as connection:
                connection.execute("set max_parallel_workers_per_gather = 0")
                ask = Asking(connection, settings.symbols, quick=quick)
                ask.marts()
                ask.past()
                ask.endpoints()
                built(database, build)
                restated(database)
                if not quick:
                    ask.among_many()
            database.close()
        finally:
            EmbeddedServer(folder / "home").stop()


def fill(database: Any, build: Any, symbols: tuple[str, ...], *, quick: bool) -> None:
    """Write and build the market, and put its rows back in time."""
    from regime_pipeline.catalogue.marts import BUILT
    from regime_pipeline_tests.reporting import world
    from regime_pipeline_tests.reporting.conftest import CLOCK, WINDOW, write

    frames = world.make(WINDOW.start, WINDOW.end, symbols)
    frames |= world.raw(WINDOW.start, WINDOW.end, symbols)
    frames["ops.fetch_log"] = world.fetch_log(WINDOW, CLOCK.now(), symbols)
    frames["ops.run_steps"] = world.run_steps(CLOCK.now())
    write(database, frames)
    build(database)
    if quick:
        with database.connect(autocommit=True) as connection:
            connection.execute("analyze")
        return
    stored = [n for n in frames if not n.startswith("ops.")]
    series = [m.full_name for m in BUILT if m.time_column]
    with database.connect(autocommit=True) as connection:
        for table in (*stored, *series):
            repeated(connection, table, WINDOW, YEARS)


class Asking:
    """Questions to the marts over one connection.

    Args:
        connection: of the backend that is measured.
        symbols: that are stored.
        quick: whether only 45 days are.
    """

    def __init__(self, connection: Any, symbols: Sequence[str], *, quick: bool) -> None:
        from regime_pipeline_tests.reporting.conftest import WINDOW

        self._connection = connection
        self._symbols = symbols
        self._dice = random.Random(1)
        self._end = WINDOW.end
        self._reach = timedelta(days=45) if quick else YEARS
        pid = connection.execute("select pg_backend_pid()").fetchone()[0]
        self._counted = Path(f"/proc/{pid}/schedstat")

    def _cpu_ms(self, statement: str) -> float:
        before = int(self._counted.read_text().split()[0])
        self._connection.execute(statement.encode()).fetchall()
        return (int(self._counted.read_text().split()[0]) - before) / 1e6

    def _figures(self, statement: Callable[[], str]) -> tuple[float, float]:
        """Median and 95th percentile of what a question costs, once its like was asked."""
        for _ in range(WARM):
            self._cpu_ms(statement())
        took = sorted(self._cpu_ms(statement()) for _ in range(TIMES))
        return took[TIMES // 2], took[int(0.95 * TIMES)]

    def _of_symbol(self, mart: Any) -> str:
        chosen = self._dice.sample(list(self._symbols), 2)
        values = sorted(chosen) if len(mart.symbol_columns) == 2 else chosen[:1]
        said = zip(mart.symbol_columns, values, strict=True) if mart.symbol_columns else ()
        return " and ".join(["true", *(f"{c} = '{v}'" for c, v in said)])

    def _month(self) -> tuple[str, str]:
        days = self._dice.randrange(30, max(31, self._reach.days))
        start = self._end - timedelta(days=days)
        return start.isoformat(), (start + timedelta(days=30)).isoformat()

    def _questions(self, mart: Any) -> Iterator[tuple[str, Callable[[], str]]]:
        name, time = mart.full_name, mart.time_column
        if time is None:
            yield "all of it", lambda: f"select * from {name}"
            return
        yield (
            "everything of the newest day",
            lambda: f"select * from {name} where {time} > '{self._end - timedelta(days=1)}'",
        )

        def month() -> str:
            start, end = self._month()
            of = self._of_symbol(mart)
            return f"select * from {name} where {of} and {time} >= '{start}' and {time} < '{end}'"

        yield "a symbol's month", month
        yield (
            "a symbol's newest hundred rows",
            lambda: (
                f"select * from {name} where {self._of_symbol(mart)} order by {time} desc limit 100"
            ),
        )
        yield (
            "the newest hundred rows",
            lambda: f"select * from {name} order by {time} desc limit 100",
        )

    def marts(self) -> None:
        """Each question of each mart."""
        from regime_pipeline.catalogue.marts import MARTS

        worst: list[tuple[float, str]] = []
        for mart in MARTS.values():
            for case, statement in self._questions(mart):
                middle, p95 = self._figures(statement)
                worst.append((p95, f"{mart.name}: {case}"))
                if p95 > 20:
                    line("marts", f"{mart.name}: {case}", cpu_ms_p50=middle, cpu_ms_p95=p95)
        worst.sort(reverse=True)
        line(
            "marts", f"slowest of {len(worst)} questions", cpu_ms_p95=worst[0][0], which=worst[0][1]
        )

    def past(self) -> None:
        """A symbol's month as it was known at an instant, beside the mart as it is now."""
        from regime_pipeline.catalogue.marts import WITH_PAST

        for mart in WITH_PAST:
            if mart.time_column is None:
                continue

            def asked(mart: Any = mart, *, then: bool = True) -> str:
                start, end = self._month()
                relation = mart.full_name
                if then:
                    span = f", start => '{start}', until => '{end}'" if mart.query is None else ""
                    relation = f"{mart.full_name}_as_of(now(){span})"
                time = mart.time_column
                return (
                    f"select * from {relation} where {self._of_symbol(mart)} "
                    f"and {time} >= '{start}' and {time} < '{end}'"
                )

            _, p95 = self._figures(asked)
            _, now = self._figures(lambda asked=asked: asked(then=False))  # type: ignore[misc]
            line("marts", f"{mart.name} as of an instant", cpu_ms_p95=p95, as_it_is_cpu_ms_p95=now)

    def endpoints(self) -> None:
        """The selects of the page on reports."""
        from regime_pipeline.catalogue.documents import ROOT

        page = (ROOT / "docs" / "reporting.md").read_text(encoding="utf-8")
        for name, select in re.findall(r"^\| (.+?) \| `(select .+?)` \|$", page, re.MULTILINE):
            middle, p95 = self._figures(lambda select=select: select)  # type: ignore[misc]
            line("marts", f"endpoint {name}", cpu_ms_p50=middle, cpu_ms_p95=p95)

    def among_many(self) -> None:
        """A symbol's history among the stored symbols and among a hundred."""
        names = {table: table.split(".")[1] for table in AMONG_MANY}

        def history(table: str, years_ago: int) -> Callable[[], str]:
            end = self._end - years_ago * timedelta(days=MANY_DAYS)
            start = end - timedelta(days=MANY_DAYS)
            return lambda: (
                f"select * from {table} where symbol = '{self._dice.choice(self._symbols)}' "
                f"and ts >= '{start}' and ts < '{end}' order by ts"
            )

        for table, name in names.items():
            _more_symbols(self._connection, table, 100 - len(self._symbols))
            few, _ = self._figures(history(table, 2))  # years that have the few only
            many, _ = self._figures(history(table, 0))
            line("marts", f"a year of {name} of one symbol", among_8_cpu_ms=few,
                 among_100_cpu_ms=many, ratio=many / few, budget=1.3)  # fmt: skip


def _more_symbols(connection: Any, table: str, count: int) -> None:
    """The newest year of one symbol again under other names."""
    found = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 "
        "and not attisdropped",
        (table,),
    )
    names = [row[0] for row in found]
    columns = ", ".join(f'"{n}"' for n in names)
    copied = ", ".join("'M' || n || '/USDT'" if n == "symbol" else f'"{n}"' for n in names)
    connection.execute(
        f"insert into {table} ({columns}) select {copied} from {table} "
        "cross join generate_series(1, %s) as n where symbol = 'BTC/USDT' "
        "and ts >= (select max(ts) from reporting.market_overview) - %s * interval '1 day'",
        (count, MANY_DAYS),
    )
    connection.execute(f"vacuum (analyze) {table}")


def built(database: Any, build: Any) -> None:
    """The build of an hourly tick: two days, all models and their tests."""
    from regime_pipeline.catalogue.marts import BUILT
    from regime_pipeline.windows import Window
    from regime_pipeline_tests.reporting.conftest import WINDOW

    window = Window(WINDOW.end - timedelta(days=2), WINDOW.end)
    build(database, window)
    before = processes.spent_s()
    build(database, window)
    spent = processes.difference_s(before, processes.spent_s())
    line("marts", f"build of two days, {len(BUILT)} marts", cpu_s=spent["total"],
         postgres_cpu_s=spent["postgres"], cpu_s_per_mart=spent["total"] / len(BUILT))  # fmt: skip


def restated(database: Any) -> None:
    """Bytes of tables before and after one row in a hundred was restated."""
    from regime_pipeline.storage.warehouse import Warehouse
    from regime_pipeline.windows import SystemClock

    warehouse = Warehouse(database, SystemClock())
    for table in RESTATED:
        before = _bytes(database, table)
        rows = warehouse.read(table, None)
        some = rows.iloc[::100].reset_index(drop=True)
        changed = "vol_ratio" if "vol_ratio" in some else "volume_base"
        warehouse.merge(table, some.assign(**{changed: some[changed] * 1.01}))
        after = _bytes(database, table)
        line("marts", f"{table}, 1 % restated", rows=len(rows), mb=before / 1e6,
             growth_frac=after / before - 1, budget=0.25)  # fmt: skip


def _bytes(database: Any, table: str) -> int:
    with database.connect() as connection:
        row = connection.execute(
            "select sum(pg_total_relation_size(t.relid)) from unnest(%s::regclass[]) as of (name), "
            "pg_partition_tree(of.name) as t",
            ([table, f"{table}_revisions"],),
        ).fetchone()
    return int(row[0])
