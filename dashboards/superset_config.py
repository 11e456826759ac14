"""Superset's own configuration: read by Superset, which lives in an environment of its own.

All of it comes from the environment that ``dashboards.server`` makes; no secret stands here.
"""

from __future__ import annotations

import os

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.environ['SUPERSET_HOME']}/superset.db"
TALISMAN_ENABLED = False  # http on this machine only
WTF_CSRF_ENABLED = True
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
