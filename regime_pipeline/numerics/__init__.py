"""Numerics: kernels over panels of hours x symbols that several features share.

Belongs here: rolling statistics whose bits do not depend on where a run began, panels, tails,
proportions; each states its null rule and its minimum of observations. Does not belong here: anything
that knows a table, a symbol or a threshold.
"""
