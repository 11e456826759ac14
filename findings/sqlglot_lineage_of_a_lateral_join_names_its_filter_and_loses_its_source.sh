#!/usr/bin/env bash
# sqlglot's column lineage, PostgreSQL's lateral joins.
#
# Asked what a column is made of, sqlglot follows it through derived tables, common table expressions
# and scalar subqueries to the right column. Through LATERAL it does not look: the lateral part is one
# node, and its children are all columns named anywhere inside. For
#     select s.n from t left join lateral (select max(u.v) as n from u where u.id = t.id) s on true
# the only column of a table that is reported is t.id, which merely picks the rows, and the value's
# source u.v is a placeholder that belongs to no table. The same query as a join of a grouped derived
# table, or as a scalar subquery, reports u.v alone. Two outputs of one lateral part get each other's
# columns, and so do the columns of a lateral VALUES list. Nothing raises or warns, so a lineage that
# keeps nodes of tables (the usual way) looks complete and is wrong.
#
# Version: sqlglot 30.30.0, Python 3.11. Exit code 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3.11}" -m venv env
env/bin/pip install --quiet --disable-pip-version-check sqlglot==30.30.0

cat > ask.py <<'PY'
import sys

from sqlglot import exp
from sqlglot.lineage import lineage

SCHEMA = {"t": {"id": "int", "a": "int", "b": "int", "c": "int"}, "u": {"id": "int", "v": "int"}}
QUERIES = {
    "derived table": "select s.n from t left join"
    " (select u.id, max(u.v) as n from u group by u.id) as s on s.id = t.id",
    "scalar subquery": "select (select max(u.v) from u where u.id = t.id) as n from t",
    "lateral subquery": "select s.n from t left join lateral"
    " (select max(u.v) as n from u where u.id = t.id) as s on true",
    "one of two outputs": "select s.n from t cross join lateral (select t.a as n, t.b as m) as s",
    "a list of rows": "select v.n from t cross join lateral"
    " (values (t.a, t.b), (t.b, t.c)) as v (n, m)",
}
EXPECTED = {
    "derived table": {"u.v"},
    "scalar subquery": {"u.v"},
    "lateral subquery": {"t.id"},
    "one of two outputs": {"t.a", "t.b"},
    "a list of rows": {"t.a", "t.b", "t.c"},
}

seen = {}
for name, query in QUERIES.items():
    nodes = lineage("n", query, schema=SCHEMA, dialect="postgres").walk()
    seen[name] = {n.name for n in nodes if isinstance(n.source, exp.Table)}
    print(f"{name:20} {sorted(seen[name])}")
sys.exit(seen != EXPECTED)
PY
env/bin/python ask.py
