"""What signals are worth: evidence, bounds that allow for many looks, and how often somebody tried.

Pure functions: frames and arrays in, frames and numbers out. Does not belong here: scores themselves
(``signals``), what followed on a condition (``reporting.outcomes``), writing the ledger (``storage``).
"""
