"""Binance: spot, USD-M futures, bulk archive, streams."""
