"""A loopback server that answers for every provider from a tape of synthetic or recorded history.

Belongs here: tapes (what happened), wire formats (how each venue says it), the server. Does not
belong here: provider clients, anything the pipeline itself would import outside replays and tests.
"""

from __future__ import annotations
