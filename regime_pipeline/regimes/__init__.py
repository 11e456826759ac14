"""Multi-timeframe regimes: a label a frame, how far the frames agree, the primary regime.

Belongs here: labels, agreement, confirmation and its calibrated confidence. Does not belong here: the
volatility regime, which is a feature of one series (``features.volatility_regimes``).
"""
