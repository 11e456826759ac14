"""Bybit: the v5 market API and its streams."""
