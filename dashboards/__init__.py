"""Dashboards over the schema ``reporting``, as code, for Apache Superset.

``dashboards.yml`` says which charts there are and which columns of which mart they show. From it come the
bundle that Superset imports (``bundle``), and the check that names the chart a renamed column breaks
(``check``), which needs no Superset.
"""

from __future__ import annotations
