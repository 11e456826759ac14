"""Deribit: options, their volatility index, and the funding of its perpetuals."""
