"""Find out what every published column is made of, and write it down: ``catalogue/lineage.json``.

Read are the queries of marts that are views, the SQL that dbt compiles of its models, the inputs that
derived functions declare, the tables that announce events, and, in folders that are named, replies of
providers with their parsers. Nothing is described by hand. After a change of any of them: ``make docs``,
which runs this module; a test compares the digest. After a change of a parser: ``python -m
regime_pipeline_tests.simulator.replies SIMULATED``, then ``python -m regime_pipeline.orchestration.lineage
RECORDED SIMULATED``, where RECORDED holds replies of the providers themselves.

Does not belong here: reading the file (``catalogue.lineage``), following it for a row of data
(``storage.provenance``).
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regime_pipeline.alerts.kinds import MARKET
from regime_pipeline.catalogue.derivation import Derivation, Given, derivations
from regime_pipeline.catalogue.lineage import PATH, Columns, Edge, Lineage, stored, to_json
from regime_pipeline.catalogue.marts import BUILT, VIEWS
from regime_pipeline.catalogue.model import PLACEHOLDER, Mart
from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.orchestration import dbt_build, dbt_profile
from regime_pipeline.orchestration.assets.reporting import PROJECT
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.providers.reply_fields import columns_of_all
from regime_pipeline.storage.database import Database

_DIALECT = "postgres"
EVENTS = "alerts.market_events"
READING = b"1"
"""Another number when :func:`trace` reads the same query otherwise."""


def traced_views() -> tuple[Mart, ...]:
    """Marts that are views of tables; those about all versions of all tables have no columns below."""
    return tuple(m for m in VIEWS if m.reads and all(t in TABLES for t in m.reads))


def made_of() -> str:
    """Digests of the queries that the columns of marts are read from: those of views, and dbt's."""
    views, models = hashlib.sha256(READING), hashlib.sha256(READING)
    for mart in traced_views():
        views.update(f"{mart.name}\0{mart.query}\0".encode())
    for path in sorted(PROJECT.glob("m*/**/*.sql")):  # models and macros
        models.update(path.read_bytes())
    return f"{views.hexdigest()[:16]}.{models.hexdigest()[:16]}"


def table_edges() -> dict[str, tuple[Edge, ...]]:
    """Computed table -> its inputs, as its function declares them; events by the table announcing them."""
    found = {name: _edges(what) for what in derivations() for name in what.tables}
    found[EVENTS] = tuple(Edge(kind.table, when={"event_type": kind.name}) for kind in MARKET)
    return {name: found[name] for name in TABLES if name in found}


def _edges(what: Derivation) -> tuple[Edge, ...]:
    return tuple(
        Edge(
            one.table,
            one.columns,
            {c: v for c, v in one.where.items() if not isinstance(v, Given)},
            one.lookback,
            one.of_universe or what.of_universe,
            one.all_stored,
        )
        for one in what.inputs.values()
    )


def compiled_models(database: Database) -> dict[str, str]:
    """The SQL of every model that fills a mart, as dbt makes it for a build of everything.

    Raises:
        DbtBuildError: dbt could not compile the project.
    """
    with tempfile.TemporaryDirectory() as target:
        return dbt_build.compiled(
            project=PROJECT,
            target=Path(target),
            variables=dbt_profile.environment(database),
            names={m.name for m in BUILT},
        )


def trace(queries: Mapping[str, str]) -> Columns:
    """Mart -> column -> table -> columns, from the query of each mart.

    A column counts when its value reaches the result or decides which value does, as in a ``filter``
    or the condition of a scalar subquery; what only joins or restricts rows does not.
    """
    from sqlglot import exp, parse_one
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    by_schema: dict[str, dict[str, dict[str, str]]] = {}
    for item in TABLES.values():
        by_schema.setdefault(item.schema, {})[item.name] = dict.fromkeys(item.fields, "text")
    known: dict[str, object] = dict(by_schema)

    def uncatalogued(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Table):
            node.set("catalog", None)
        return node

    out: Columns = {}
    for mart, query in queries.items():
        tree = (
            parse_one(query, dialect=_DIALECT).transform(uncatalogued).transform(_laterals_unfolded)
        )
        tree = qualify(
            tree,
            schema=known,
            dialect=_DIALECT,
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        scope = build_scope(tree)
        out[mart] = {}
        for column in tree.named_selects:
            below: dict[str, set[str]] = {}
            for node in lineage(
                column, tree, schema=known, dialect=_DIALECT, scope=scope, copy=False
            ).walk():
                if isinstance(node.source, exp.Table) and node.source.db:
                    table = f"{node.source.db}.{node.source.name}"
                    below.setdefault(table, set()).add(node.name.split(".")[-1].strip('"'))
            out[mart][column] = {
                t: tuple(c for c in TABLES[t].fields if c in below[t]) for t in TABLES if t in below
            }
    return out


def _laterals_unfolded(node: Any) -> Any:
    """A SELECT without lateral joins, which sqlglot does not look into.

    Of ``lateral (values (a, b), (c, d)) as v (x, y)`` the column ``v.x`` becomes ``coalesce(a, c)``, of
    ``lateral (select f(z) as x from ...) as v`` it becomes ``(select f(z) from ...)``.
    """
    from sqlglot import exp

    if not isinstance(node, exp.Select):
        return node
    for join in list(node.args.get("joins") or ()):
        lateral = join.this
        inner = lateral.this.this if isinstance(lateral, exp.Lateral) else None
        if isinstance(inner, exp.Values):
            rows = [row.expressions for row in inner.expressions]
            of: dict[str, Any] = {
                name: exp.func("coalesce", *values)
                for name, values in zip(
                    lateral.alias_column_names, zip(*rows, strict=True), strict=True
                )
            }
        elif isinstance(inner, exp.Select):
            of = {
                e.alias_or_name: inner.copy().select(e.copy(), append=False).subquery()
                for e in inner.selects
            }
        else:
            continue
        join.pop()
        for star in node.selects:
            if star.is_star and getattr(star, "table", "") == lateral.alias:
                every = [exp.column(name, table=lateral.alias) for name in of]
                at = node.expressions.index(star)
                node.set(
                    "expressions", [*node.expressions[:at], *every, *node.expressions[at + 1 :]]
                )
        for column in list(node.find_all(exp.Column)):
            if column.table == lateral.alias and column.name in of:
                made = of[column.name].copy()
                is_output = isinstance(column.parent, exp.Select)
                column.replace(exp.alias_(made, column.name) if is_output else made)
    return node


def _views_traced() -> Columns:
    return trace({m.name: PLACEHOLDER.sub(lambda p: p[1], m.query or "") for m in traced_views()})


def _models_traced() -> Columns:
    """From dbt's SQL; it looks into a database whether its tables are there, so one is started aside."""
    from regime_pipeline.storage.embedded import EmbeddedServer

    with tempfile.TemporaryDirectory() as home:
        server = EmbeddedServer(Path(home))
        server.start()
        try:
            return trace(compiled_models(Database(server.url("postgres"))))
        finally:
            server.destroy()


def write(path: Path = PATH, replies: Sequence[Path] = ()) -> None:
    """Write the file; queries that are as they were are not read again.

    Args:
        path: the file.
        replies: folders of replies, see :func:`columns_of_all`; none: what is known of replies stays.
    """
    before = stored()
    views, models = made_of().split(".")
    known_views, _, known_models = before.made_of.partition(".")
    built = {m.name: before.marts.get(m.name, {}) for m in BUILT}
    marts = dict(before.marts) if views == known_views else _views_traced()
    marts |= built if models == known_models else _models_traced()
    told = columns_of_all(SOURCES.values(), replies) if replies else before.replies
    found = Lineage(marts, table_edges(), f"{views}.{models}", told)
    path.write_text(json.dumps(to_json(found), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(replies=[Path(folder) for folder in sys.argv[1:]])
