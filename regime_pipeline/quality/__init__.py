"""Data quality: the fifteen checks, the score of a table's day, and what is withheld from publishing.

Array work over frames that somebody else has read. Belongs here: what a check looks at, its tolerance,
how its findings add up. Does not belong here: reading tables, the clock, Dagster, rules that are
enforced before a write (``catalogue.frames`` and ``providers.fetch``; their refusals are counted here).
"""
