"""Figures, each beside its baseline in the same run, as ratios; never part of a timed test.

Polars and TA-Lib, which ``features`` and ``correlations`` compare with, are no dependencies of the
project: ``pip install -e '.[bench]'``. Lines whose other side is absent say that they were skipped.
"""
