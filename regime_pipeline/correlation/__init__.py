"""Correlations: matrices, breaks, lead-lag, pairs and the structure of the whole market.

Belongs here: one module a table and ``*_kernels`` with compiled loops over pairs and hours. Does not
belong here: correlations between signals, which compare columns and not assets.
"""
