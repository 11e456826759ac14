"""Features: cascades, funding anomalies, volatility regimes, price levels; frames in, frames out.

Belongs here: one module a feature (definition, lookback, statuses) and ``*_kernels`` with its compiled
loops. Does not belong here: statistics that several features share (``numerics``), what a source's
rows look like (``market``), sending anything (``alerts``).
"""
