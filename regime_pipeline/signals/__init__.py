"""Scores a trader reads: the components, the 8-factor futures score, their common scale.

Belongs here: maps from statistics to scores of 0..100, weights, coverage, agreement. Does not belong
here: the statistics themselves (``features``, ``numerics``), orders or position sizes.
"""
