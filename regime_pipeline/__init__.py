"""Crypto market-regime pipeline: provider bytes to reporting tables and alerts, point in time."""
