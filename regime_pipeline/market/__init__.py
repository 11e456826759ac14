"""Market tables: one truth a symbol and hour out of the raw rows of many sources.

Belongs here: choosing among sources by tier, resampling, units that only history can tell, flags for
doubtful rows, tier-3 proxies under their own names. Does not belong here: wire formats
(``providers``), anything that judges the market (``features`` and above).
"""
