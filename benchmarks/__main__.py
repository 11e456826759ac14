"""``python -m benchmarks [--quick] [NAME ...]``: one JSON object per figure on standard output."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

NAMES = (
    "imports",
    "features",
    "correlations",
    "tick",
    "backfill",
    "requests",
    "tick_requests",
    "ingest",
    "cost",
    "dispatch",
    "signal_history",
