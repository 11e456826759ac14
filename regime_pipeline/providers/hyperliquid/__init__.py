"""Hyperliquid: its info interface, and the files of its nodes."""
