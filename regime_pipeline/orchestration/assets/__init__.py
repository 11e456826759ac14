"""Thin assets by layer: each says which function of the pure packages fills which table."""

from __future__ import annotations
