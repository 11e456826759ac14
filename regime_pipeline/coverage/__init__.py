"""Which hours of which raw series are stored, expected, missed, and what to ask for.

Belongs here: rules, hours, the fetch log's arithmetic, gaps and their wording. Does not belong here: asking a
provider (``providers``), Dagster.
"""
