"""Coinglass: hourly series and its list endpoints."""
