"""Figures, each beside its baseline in the same run, as ratios; never part of a timed test."""
