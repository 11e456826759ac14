"""How well the detectors do where the truth is known, beside the naive versions they replace."""
